//! What Stripe's answers mean, line by line, with the odd ones that proxies and outages bring.

use std::time::Duration;

use bytes::Bytes;
use tenant_billing_core::answer::{
    Answer, Customer, Failure, Headers, Reading, Refusal, Verdict, account_id, created_events,
    customers, describe, judge, read, request_id,
};

use crate::scene::{EMAIL, cus, request};

pub(crate) type Pairs<'a> = &'a [(&'a str, &'a str)];

pub(crate) fn response(status: u16, headers: Pairs<'_>, body: &str) -> Answer {
    Answer::Response {
        status,
        headers: headers.iter().copied().collect::<Headers>(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn verdict(status: u16, headers: Pairs<'_>, body: &str) -> String {
    match judge(&response(status, headers, body), &request(1)) {
        Verdict::Created { customer, replayed: false } => format!("created {customer}"),
        Verdict::Created { customer, replayed: true } => format!("created {customer}, replayed"),
        Verdict::Failed(Failure::Again(None)) => "again".into(),
        Verdict::Failed(Failure::Again(Some(after))) => format!("again after {after:?}"),
        Verdict::Failed(Failure::Refused(refusal)) => {
            format!("refused {}", refusal.param.unwrap_or_default())
        }
        Verdict::Failed(failure) => format!("{failure:?}").to_lowercase(),
    }
}

/// Rows of status, headers, body, and what they mean.
fn judged(table: &[(u16, Pairs<'_>, &str, &str)]) {
    for (status, headers, body, expected) in table {
        assert_eq!(verdict(*status, headers, body), *expected, "{status} {headers:?} {body}");
    }
}

const MADE: &str = r#"{"id":"cus_1","object":"customer","livemode":true}"#;
const REPLAYED: Pairs<'_> =
    &[("Idempotent-Replayed", "true"), ("Original-Request", "req_0"), ("Request-Id", "req_1")];
const OLDER: Pairs<'_> = &[("original-request", "req_0"), ("request-id", "req_1")];
const FIRST: Pairs<'_> =
    &[("Original-Request", "req_1"), ("Request-Id", "req_1"), ("Stripe-Should-Retry", "false")];
const RETRY: Pairs<'_> = &[("Stripe-Should-Retry", "true")];
const WAIT: Pairs<'_> = &[("Retry-After", "7")];
const HTML: &str = "<html><h1>Bad Gateway</h1></html>";
const BAD_EMAIL: &str = r#"{"error":{"type":"invalid_request_error","code":"email_invalid","param":"email","message":"no"}}"#;
const BAD_AMOUNT: &str =
    r#"{"error":{"type":"invalid_request_error","param":"balance","message":"no"}}"#;
const MISMATCH: &str = r#"{"error":{"type":"idempotency_error","message":"no"}}"#;
const IN_USE: &str =
    r#"{"error":{"type":"invalid_request_error","code":"idempotency_key_in_use"}}"#;
const LOCKED: &str = r#"{"error":{"type":"invalid_request_error","code":"lock_timeout"}}"#;
const API: &str = r#"{"error":{"type":"api_error","message":"sorry"}}"#;
const INVALID: &str = r#"{"error":{"type":"invalid_request_error","message":"no"}}"#;

#[test]
fn success_with_an_id_is_a_customer() {
    judged(&[
        (200, &[], MADE, "created cus_1"),
        (201, FIRST, MADE, "created cus_1"),
        (299, RETRY, MADE, "created cus_1"),
        (200, REPLAYED, MADE, "created cus_1, replayed"),
        (200, &[("Idempotent-Replayed", "true")], MADE, "created cus_1, replayed"),
        (200, &[("idempotent-replayed", "true")], MADE, "created cus_1, replayed"),
        (200, &[("Idempotent-Replayed", "false")], MADE, "created cus_1"),
        (200, OLDER, MADE, "created cus_1, replayed"),
        (200, &[("Original-Request", "req_0")], MADE, "created cus_1, replayed"),
        (200, &[("Request-Id", "req_1")], MADE, "created cus_1"),
    ]);
}

#[test]
fn nothing_beside_the_id_hides_a_customer() {
    judged(&[
        (200, &[], r#"{"id":"cus_1"}"#, "created cus_1"),
        (200, &[], r#"{"id":"old-customer.7","object":"new_thing"}"#, "created old-customer.7"),
        (
            200,
            &[],
            r#"{"object":7,"created":"soon","metadata":[],"email":{},"id":"cus_1"}"#,
            "created cus_1",
        ),
        (200, &[], r#"{"id":"cus_1","error":{"type":"idempotency_error"}}"#, "created cus_1"),
        (200, &[], r#"{"id":"cus_1","deleted":"no","livemode":null}"#, "created cus_1"),
        (200, &[], "  {\n \"id\" : \"cus_1\" }\n", "created cus_1"),
    ]);
}

#[test]
fn success_that_cannot_be_read_is_unknown() {
    judged(&[
        (200, &[], "", "again"),
        (200, &[], HTML, "again"),
        (200, &[], r#"{"id":"cus_1","object":"cust"#, "again"),
        (200, &[], r#"{"object":"customer"}"#, "again"),
        (200, &[], r#"{"id":7}"#, "again"),
        (200, &[], r#"{"id":""}"#, "again"),
        (200, &[], r#"{"id":"../v1"}"#, "again"),
        (200, &[], r#"[{"id":"cus_1"}]"#, "again"),
        (204, &[], "", "again"),
        (200, REPLAYED, HTML, "again"),
    ]);
}

#[test]
fn a_refusal_of_a_frozen_field_is_definite_replayed_or_not() {
    let about = |param: &str| {
        format!(r#"{{"error":{{"type":"invalid_request_error","param":"{param}"}}}}"#)
    };
    for headers in [&[], FIRST, REPLAYED, OLDER, RETRY, WAIT] {
        judged(&[(400, headers, BAD_EMAIL, "refused email")]);
    }
    judged(&[
        (400, &[], &about("name"), "refused name"),
        (400, &[], &about("metadata"), "refused metadata"),
        (400, &[], &about("metadata[plan]"), "refused metadata[plan]"),
        (400, &[], &about("phone"), "operator"),
        (400, &[], &about("ema"), "operator"),
        (400, &[], &about(""), "operator"),
        // Neither status nor type is a matter of taste.
        (402, &[], BAD_EMAIL, "operator"),
        (422, &[], BAD_EMAIL, "operator"),
        (400, &[], r#"{"error":{"type":"card_error","param":"email"}}"#, "operator"),
        (500, &[], BAD_EMAIL, "again"),
    ]);
}

#[test]
fn any_other_replayed_failure_spends_the_key() {
    for headers in [REPLAYED, OLDER] {
        for status in [400, 401, 402, 403, 404, 409, 429, 500, 503] {
            judged(&[(status, headers, API, "spent")]);
        }
        judged(&[
            (400, headers, BAD_AMOUNT, "spent"),
            (400, headers, MISMATCH, "spent"),
            (409, headers, IN_USE, "spent"),
            (500, headers, HTML, "spent"),
        ]);
    }
    judged(&[
        (500, &[("Idempotent-Replayed", "true"), ("Stripe-Should-Retry", "true")], API, "spent"),
        (500, FIRST, API, "again"),
    ]);
}

#[test]
fn another_request_under_the_key_is_a_mismatch() {
    judged(&[
        (400, &[], MISMATCH, "mismatched"),
        (400, FIRST, MISMATCH, "mismatched"),
        (400, RETRY, MISMATCH, "mismatched"),
    ]);
}

#[test]
fn a_key_in_use_is_somebody_elses_send() {
    judged(&[(409, &[], IN_USE, "inflight"), (409, RETRY, IN_USE, "inflight")]);
    // No send of ours is at it, and still the same key is right, never an operator.
    let locked = verdict(409, &[], LOCKED);
    assert!(["inflight", "again"].contains(&&*locked), "{locked}");
}

#[test]
fn stripes_limits_and_its_own_advice_are_honoured() {
    judged(&[
        (429, &[], API, "again"),
        (429, &[], LOCKED, "again"),
        (429, WAIT, API, "again after 7s"),
        (429, &[("retry-after", " 7 ")], HTML, "again after 7s"),
        (429, &[("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")], API, "again"),
        (429, &[("Retry-After", "-1")], API, "again"),
        (429, &[("Stripe-Should-Retry", "false"), ("Retry-After", "2")], API, "again after 2s"),
        (400, RETRY, INVALID, "again"),
        (401, RETRY, INVALID, "again"),
        (404, &[("Stripe-Should-Retry", "true"), ("Retry-After", "3")], INVALID, "again after 3s"),
    ]);
}

#[test]
fn a_fresh_server_error_is_unknown() {
    judged(&[
        (500, &[], API, "again"),
        (500, &[("Stripe-Should-Retry", "false")], API, "again"),
        (500, &[], MADE, "again"),
        (502, &[], HTML, "again"),
        (503, WAIT, HTML, "again after 7s"),
        (504, &[], "", "again"),
        (599, &[], API, "again"),
        (999, &[], API, "again"),
    ]);
}

#[test]
fn no_answer_or_none_of_stripes_is_unknown() {
    let none = judge(&Answer::NoAnswer("reset".into()), &request(1));
    assert_eq!(none, Verdict::Failed(Failure::Again(None)));
    for status in [0, 100, 101, 301, 302, 304, 307, 308] {
        judged(&[(status, &[], HTML, "again"), (status, &[], MADE, "again")]);
    }
}

#[test]
fn any_other_refusal_calls_an_operator() {
    for status in [400, 401, 402, 403, 404, 405, 410, 413, 422, 499] {
        judged(&[(status, &[], INVALID, "operator"), (status, FIRST, BAD_AMOUNT, "operator")]);
    }
}

/// "unreadable body" stands above "any other 4xx" in the table, and the first line wins: what a proxy
/// says is no word of Stripe's, and whether Stripe did the work is unknown.
#[test]
fn a_refusal_that_is_not_stripes_is_unknown() {
    judged(&[(408, &[], HTML, "again"), (403, &[], HTML, "again"), (400, &[], "", "again")]);
}

#[test]
fn what_a_read_brought() {
    let missing = r#"{"error":{"type":"invalid_request_error","code":"resource_missing"}}"#;
    let seconds = |it| Reading::Again(Some(Duration::from_secs(it)));
    let table: &[(u16, Pairs<'_>, &str, Reading<String>)] = &[
        (200, &[], MADE, Reading::Found("cus_1".into())),
        (200, REPLAYED, MADE, Reading::Found("cus_1".into())),
        (200, &[], HTML, Reading::Again(None)),
        (200, &[], "", Reading::Again(None)),
        (404, &[], missing, Reading::Missing),
        (404, &[], HTML, Reading::Forbidden),
        (404, &[], INVALID, Reading::Forbidden),
        (400, &[], missing, Reading::Forbidden),
        (401, &[], INVALID, Reading::Unauthorized),
        (403, &[], INVALID, Reading::Forbidden),
        (400, RETRY, INVALID, Reading::Again(None)),
        (409, &[], LOCKED, Reading::Again(None)),
        (429, WAIT, API, seconds(7)),
        (500, &[], API, Reading::Again(None)),
        (502, &[], HTML, Reading::Again(None)),
        (503, WAIT, HTML, seconds(7)),
        (302, &[], HTML, Reading::Again(None)),
        (100, &[], "", Reading::Again(None)),
        (0, &[], "", Reading::Again(None)),
    ];
    for (status, headers, body, expected) in table {
        let reading = read(&response(*status, headers, body), account_id);
        assert_eq!(reading, *expected, "{status} {body}");
    }
    assert_eq!(read(&Answer::NoAnswer("reset".into()), account_id), Reading::Again(None));
}

#[test]
fn a_customer_is_read_leniently() {
    let read = |body: &str| {
        Customer::parse(body.as_bytes()).map(|it| (it.id.to_string(), it.created, it.deleted))
    };
    let cus_1 = |created, deleted| Some(("cus_1".to_owned(), created, deleted));
    let table = [
        (r#"{"id":"cus_1","object":"customer","deleted":true}"#, cus_1(0, true)),
        (
            r#"{"id":"cus_1","created":5,"email":null,"name":null,"metadata":null,"deleted":null}"#,
            cus_1(5, false),
        ),
        (r#"{"id":"cus_1","created":5,"metadata":{"tenantId":"t"},"new":[{}]}"#, cus_1(5, false)),
        (r#"{"object":"customer"}"#, None),
        (r#"{"id":"…"}"#, None),
        (HTML, None),
    ];
    for (body, expected) in table {
        assert_eq!(read(body), expected, "{body}");
    }
}

#[test]
fn a_customer_names_its_tenant_and_its_installation() {
    let tenant = crate::scene::tenant();
    let installation = crate::scene::site().origin.installation;
    let (ours, ids) = (installation.as_str(), tenant.as_str());
    let table = [
        (format!(r#"{{"tenantId":"{ids}"}}"#), true, None),
        (format!(r#"{{"tenantId":"{ids}","tenantBillingInstallation":"{ours}"}}"#), true, None),
        (
            format!(r#"{{"tenantId":"{ids}","tenantBillingInstallation":"another"}}"#),
            true,
            Some("another"),
        ),
        (format!(r#"{{"tenantId":"{}"}}"#, ids.to_uppercase()), false, None),
        (format!(r#"{{"tenantid":"{ids}"}}"#), false, None),
        ("{}".to_owned(), false, None),
    ];
    for (metadata, names, foreign) in table {
        let body = format!(r#"{{"id":"cus_1","metadata":{metadata}}}"#);
        let it = Customer::parse(body.as_bytes()).expect("a Customer");
        assert_eq!(
            (it.names(&tenant), it.foreign_to(&installation)),
            (names, foreign),
            "{metadata}"
        );
    }
}

#[test]
fn a_page_is_read_whole_or_not_at_all() {
    let ids = |body: &str| {
        let page = customers(body.as_bytes())?;
        let ids: Vec<_> = page.data.iter().map(|it| it.id.to_string()).collect();
        Some((ids.join(" "), page.has_more, page.next_page))
    };
    let page =
        |ids: &str, more, next: Option<&str>| Some((ids.to_owned(), more, next.map(str::to_owned)));
    let table = [
        (r#"{"object":"list","data":[],"has_more":false}"#, page("", false, None)),
        (
            r#"{"data":[{"id":"cus_1"},{"id":"cus_2"}],"has_more":true}"#,
            page("cus_1 cus_2", true, None),
        ),
        (
            r#"{"data":[{"id":"cus_1"}],"has_more":true,"next_page":"abc"}"#,
            page("cus_1", true, Some("abc")),
        ),
        (r#"{"data":[],"has_more":false,"next_page":null,"new":1}"#, page("", false, None)),
        (r#"{"data":[{"id":"cus_1"},{"object":"customer"}],"has_more":false}"#, None),
        (r#"{"data":[{"id":"cus_1"},null],"has_more":false}"#, None),
        (r#"{"data":[{"id":"cus_1","metadata":{"tenantId":7}}],"has_more":false}"#, None),
        (r#"{"has_more":false}"#, None),
        (r#"{"data":null,"has_more":false}"#, None),
        (r#"{"data":[],"has_more":null}"#, None),
        ("{}", None),
        (HTML, None),
        ("", None),
    ];
    for (body, expected) in table {
        assert_eq!(ids(body), expected, "{body}");
    }
}

/// "I could not look" is never taken for "there is none".
#[test]
fn a_page_that_does_not_say_whether_it_is_the_last_is_not() {
    assert_eq!(customers(br#"{"data":[]}"#), None);
    assert_eq!(created_events(br#"{"data":[]}"#), None);
}

#[test]
fn a_page_of_created_events() {
    let event = |request: &str| {
        format!(
            r#"{{"has_more":false,"data":[{{"id":"evt_1","data":{{"object":{{"id":"cus_1","email":7}}}}{request}}}]}}"#
        )
    };
    let table = [
        (
            event(r#","request":{"id":"req_1","idempotency_key":"key"}"#),
            Some(Some("key".to_owned())),
        ),
        (event(r#","request":{"id":null,"idempotency_key":null}"#), Some(None)),
        (event(r#","request":{}"#), Some(None)),
        (event(r#","request":null"#), Some(None)),
        (event(""), Some(None)),
        (r#"{"has_more":false,"data":[{"id":"evt_1"}]}"#.into(), None),
        (r#"{"has_more":false,"data":[{"data":{"object":{"id":"cus_1"}}}]}"#.into(), None),
    ];
    for (body, expected) in table {
        let page = created_events(body.as_bytes());
        let key = page.map(|page| {
            let [event] = &*page.data else { panic!("{page:?}") };
            assert_eq!((&*event.id, &event.customer), ("evt_1", &cus("cus_1")));
            event.idempotency_key.clone()
        });
        assert_eq!(key, expected, "{body}");
    }
}

#[test]
fn an_answer_in_a_few_words() {
    let table: &[(u16, &str, &str)] = &[
        (400, BAD_EMAIL, "HTTP 400 type=invalid_request_error code=email_invalid param=email"),
        (500, API, "HTTP 500 type=api_error"),
        (502, HTML, "HTTP 502"),
        (200, MADE, "HTTP 200"),
        (
            400,
            r#"{"error":{"code":"x","param":"metadata[plan]"}}"#,
            "HTTP 400 code=x param=metadata[plan]",
        ),
        (400, r#"{"error":"no"}"#, "HTTP 400"),
    ];
    for (status, body, expected) in table {
        assert_eq!(describe(&response(*status, &[], body)), *expected);
    }
    let long = format!(r#"{{"error":{{"code":"{}"}}}}"#, "x".repeat(65));
    assert_eq!(describe(&response(400, &[], &long)), "HTTP 400");
    assert_eq!(describe(&Answer::NoAnswer("timed out".into())), "no answer: timed out");
}

#[test]
fn the_request_id_is_kept_for_stripes_support() {
    assert_eq!(request_id(&response(500, &[("request-id", "req_1")], "")), Some("req_1"));
    assert_eq!(request_id(&response(500, &[], "")), None);
    assert_eq!(request_id(&Answer::NoAnswer("reset".into())), None);
}

/// The e-mail address, the name `Jane Q. Doe` and a key, as they are and in disguise.
const DISGUISES: &[&str] = &[
    EMAIL,
    "JANE.DOE@EXAMPLE.COM",
    "jane.doe%40example.com",
    "JANE.DOE%40EXAMPLE.COM",
    "jane.doe＠example.com",
    "<jane.doe@example.com>.",
    "\\\"jane.doe@example.com\\\"",
    "Jane Q. Doe",
    "JANE Q. DOE",
    "jane q. doe",
    "Jane+Q.+Doe",
    "Jane%20Q.%20Doe",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "SK_LIVE_4EC39HQLYJWDARJTT1ZDP7DC",
    "(rk_test_4eC39HqLyjWDarjtT1zdp7dc)",
    "key=sk_test_4eC39",
];

fn leaks(text: &str) -> bool {
    let text = text.to_lowercase();
    ["jane", "doe", "sk_", "rk_", "4ec39"].iter().any(|it| text.contains(it))
}

#[test]
fn a_refusals_message_names_nobody() {
    let mut leaked = Vec::new();
    for disguise in DISGUISES {
        for message in [
            format!("Invalid: {disguise} is no good."),
            (*disguise).to_owned(),
            format!("{disguise}\\n{disguise}"),
        ] {
            let body = format!(
                r#"{{"error":{{"type":"invalid_request_error","param":"email","message":"{message}"}}}}"#
            );
            let Verdict::Failed(Failure::Refused(refusal)) =
                judge(&response(400, &[], &body), &request(1))
            else {
                panic!("{body}");
            };
            if leaks(&refusal.message)
                || leaks(&refusal.to_string())
                || leaks(&format!("{refusal:?}"))
            {
                leaked.push(refusal.message);
            }
        }
    }
    assert_eq!(leaked, Vec::<String>::new());
}

#[test]
fn a_refusals_message_says_what_is_wrong() {
    let body = format!(
        r#"{{"error":{{"type":"invalid_request_error","code":"email_invalid","param":"email","message":"Invalid email address: {EMAIL}"}}}}"#
    );
    let expected = Refusal {
        code: Some("email_invalid".into()),
        param: Some("email".into()),
        message: "Invalid email address: […]".into(),
    };
    assert_eq!(
        judge(&response(400, &[], &body), &request(1)),
        Verdict::Failed(Failure::Refused(expected))
    );
}

#[test]
fn the_few_words_name_nobody() {
    let mut leaked = Vec::new();
    for disguise in DISGUISES {
        for field in ["type", "code", "param"] {
            for value in
                [(*disguise).to_owned(), format!("bad_{disguise}"), format!("metadata[{disguise}]")]
            {
                let body = format!(r#"{{"error":{{"message":"{disguise}","{field}":"{value}"}}}}"#);
                let words = describe(&response(400, &[], &body));
                if leaks(&words) {
                    leaked.push(words);
                }
            }
        }
    }
    assert_eq!(leaked, Vec::<String>::new());
}
