//! Answers of Stripe on any input: judged, read and summed up.

use std::time::Duration;

use parser_inputs::{bytes, check, texts};
use proptest::{
    prelude::{Strategy, any},
    prop_oneof,
    sample::select,
};
use tenant_billing_core::{
    answer::{
        Answer, Customer, Failure, Reading, Verdict, account_id, created_events, customers, judge,
        read, request_id, status, summary,
    },
    ids::{CustomerId, Email},
    request::{CustomerDetails, FrozenRequest},
};

use crate::scene::{context, request, tenant};

/// Personal data that no text of ours may hold.
const EMAIL: &str = "anna.private@example.com";
const NAME: &str = "Anna Private";

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"id\":",
    "\"cus_1\"",
    "\"data\":[",
    "\"has_more\":",
    "true",
    "false",
    "null",
    "1700000000",
    "-1",
    "1.5",
    "\"metadata\":{",
    "\"email\":",
    "\"error\":{",
    "\"code\":",
    "\"resource_missing\"",
    "\"request\":",
    "\"\\u00e9\"",
    " ",
];

fn id() -> impl Strategy<Value = &'static str> {
    let good = ["cus_NffrFeUfNV2Hib", "cus_1", "7", "evt_1", "acct_1"];
    prop_oneof![9 => select(good.to_vec()), 1 => select(&["", "a b", "_x", "é", "."][..])]
}

/// A JSON value, mostly the one that belongs there.
fn value(good: &'static str) -> impl Strategy<Value = &'static str> {
    let others = [
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1700000000",
        "1e400",
        "9223372036854775808",
        "\"\"",
        "\"a\"",
        "{}",
        "[]",
        "{\"tenantId\":\"t\",\"plan\":\"pro\"}",
        "{\"a\":1}",
        "[[[[]]]]",
    ];
    prop_oneof![9 => select(vec![good]), 1 => select(others.to_vec())]
}

/// A Customer.
fn customer() -> impl Strategy<Value = String> {
    let metadata = value(r#"{"tenantId":"t","tenantBillingInstallation":"0123456789abcdef"}"#);
    let email = value(r#""anna.private@example.com""#);
    (id(), value("1700000000"), value("false"), email, metadata).prop_map(
        |(id, created, deleted, email, metadata)| {
            format!(
                r#"{{"id":"{id}","object":"customer","created":{created},"deleted":{deleted},"email":{email},"name":"Anna Private","metadata":{metadata}}}"#
            )
        },
    )
}

/// A list or a page of a search.
fn page(entry: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let more = value("true");
    (entry, 0..3_usize, more, value("\"p2\"")).prop_map(|(entry, count, more, next)| {
        let data = vec![entry; count].join(",");
        format!(r#"{{"object":"list","data":[{data}],"has_more":{more},"next_page":{next}}}"#)
    })
}

/// A `customer.created` event.
fn event() -> impl Strategy<Value = String> {
    let request = value(r#"{"id":"req_1","idempotency_key":"tenant-billing/k/test/t/1"}"#);
    (id(), id(), request).prop_map(|(id, customer, request)| {
        format!(
            r#"{{"id":"{id}","type":"customer.created","data":{{"object":{{"id":"{customer}","object":"customer","email":"{EMAIL}"}}}},"request":{request}}}"#
        )
    })
}

/// An error of Stripe's.
fn error() -> impl Strategy<Value = String> {
    let kinds = ["invalid_request_error", "idempotency_error", "api_error", "card_error"];
    let codes = ["email_invalid", "resource_missing", "parameter_unknown", "rate_limit"];
    let params = ["email", "name", "metadata[plan]", "phone", "metadata"];
    let words = [
        "Invalid email address: anna.private@example.com",
        "anna.private%40example.com is none, ANNA PRIVATE",
        "Anna+Private and Anna%20Private and anna.PRIVATE＠example.com",
        "No such customer: 'cus_1'",
        "",
    ];
    let quoted = |all: &'static [&'static str]| prop_oneof![9 => select(all).prop_map(|it| format!("\"{it}\"")), 1 => value("null").prop_map(str::to_owned)];
    let [kinds, codes, params, words] =
        [kinds.to_vec(), codes.to_vec(), params.to_vec(), words.to_vec()].map(|it| &*it.leak());
    (quoted(kinds), quoted(codes), quoted(params), quoted(words)).prop_map(
        |(kind, code, param, words)| {
            format!(
                r#"{{"error":{{"type":{kind},"code":{code},"param":{param},"message":{words}}}}}"#
            )
        },
    )
}

fn statuses() -> impl Strategy<Value = u16> {
    let others = [201, 299, 401, 402, 403, 404, 409, 429, 500, 502];
    prop_oneof![4 => select(&[200, 400][..]), 2 => select(others.to_vec()), 1 => any::<u16>()]
}

fn answer(status: u16, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    Answer::Response { status, headers: headers.iter().copied().collect(), body: body.into() }
}

fn asked() -> FrozenRequest {
    let details = CustomerDetails::new(Email::parse(EMAIL).expect("an address"));
    let details = details.with_name(NAME).expect("a name");
    let details = details.with_metadata("plan", "pro").expect("metadata");
    FrozenRequest::freeze(&context().identity, &tenant(), 1, &details)
}

fn without_personal_data(text: &str) {
    let text = text.to_lowercase();
    for private in ["anna.private@example.com", "anna.private%40", "anna private", "anna%20private"]
    {
        assert!(!text.contains(private), "{text}");
    }
}

#[test]
fn answers_to_a_creation() {
    let bodies = bytes(prop_oneof![customer(), error()], WORDS);
    let headers = select(&["true", "false", "req_1", "5", "", "18446744073709551616"][..]);
    let headers = [headers.clone(), headers.clone(), headers];
    let asked = asked();
    check("answer to a creation", (statuses(), headers, bodies), |(code, headers, body)| {
        let [replayed, original, after] = headers;
        let headers = [
            ("Idempotent-Replayed", replayed),
            ("original-request", original),
            ("Retry-After", after),
            ("Request-Id", "req_1"),
        ];
        let id = account_id(&body).filter(|id| CustomerId::parse(id).is_ok());
        let alive = Customer::parse(&body).is_some_and(|it| !it.deleted);
        let answer = answer(code, &headers, body);
        let verdict = judge(&answer, &asked);
        let success = (200..300).contains(&code);
        match &verdict {
            Verdict::Created { customer, replayed: old } => {
                assert!(success);
                assert_eq!(Some(customer.as_str()), id.as_deref());
                assert_eq!(*old, replayed == "true" || original != "req_1");
            }
            Verdict::Failed(failure) => {
                assert!(!success || !alive, "a Customer is never overlooked");
                assert!(!success || *failure == Failure::Retry(None));
                if let Failure::Rejected(rejection) = failure {
                    assert_eq!(code, 400);
                    without_personal_data(&rejection.to_string());
                }
            }
        }
        matches!(verdict, Verdict::Created { .. } | Verdict::Failed(Failure::Rejected(_)))
    });
}

/// The summary of an answer: a status and words of Stripe's own vocabulary.
#[test]
fn summaries_of_answers() {
    let bodies = bytes(prop_oneof![error(), customer()], WORDS);
    check("summary of an answer", (statuses(), bodies), |(code, body)| {
        let answer = answer(code, &[], body);
        let words = summary(&answer);
        let mut rest = words.split(' ');
        assert_eq!(rest.next(), Some("HTTP"));
        assert_eq!(rest.next().map(str::parse), Some(Ok(code)));
        let mut said = 0;
        for pair in rest {
            let (name, word) = pair.split_once('=').expect("a name and a word");
            assert!(["type", "code", "param"].contains(&name), "{words}");
            assert!(word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')), "{words}");
            said += 1;
        }
        assert!((status(&answer), request_id(&answer)) == (Some(code), None));
        said > 0
    });
}

#[test]
fn retry_after() {
    const WORDS: &[&str] = &["1", "0", "-", "+", " ", ".", "Wed, 21 Oct 2026 07:28:00 GMT", "e"];
    let seconds = prop_oneof![any::<u32>().prop_map(u64::from), any::<u64>()];
    check("Retry-After", texts(seconds.prop_map(|it| it.to_string()), WORDS), |text| {
        let answer = answer(429, &[("retry-after", &text)], Vec::new());
        let Verdict::Failed(Failure::Retry(after)) = judge(&answer, &request(1)) else {
            panic!("a 429 is sent again");
        };
        let digits = text.trim();
        let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        assert_eq!(after.is_some(), whole, "{text:?}");
        if let Some(after) = after {
            let asked = digits.parse().unwrap_or(u64::MAX);
            assert_eq!(after, Duration::from_secs(asked.min(600)), "{text:?}");
        }
        assert_eq!(Reading::Retry::<()>(after), read(&answer, |_| None));
        after.is_some()
    });
}

/// Reads bodies as the one thing that they may be.
fn reads<T: std::fmt::Debug>(
    what: &str,
    bodies: impl Strategy<Value = String>,
    parse: fn(&[u8]) -> Option<T>,
    ids: impl Fn(&T) -> Vec<&str>,
) {
    check(what, (statuses(), bytes(bodies, WORDS)), |(code, body)| {
        let success = (200..300).contains(&code);
        let parsed = parse(&body);
        let answer = answer(code, &[], body);
        match (read(&answer, parse), parsed) {
            (Reading::Found(found), Some(parsed)) => {
                assert!(success);
                assert_eq!(ids(&found), ids(&parsed));
                for id in ids(&found) {
                    assert_eq!(CustomerId::parse(id).map(|it| it.to_string()).as_deref(), Ok(id));
                }
                // An edit may have made an id of it.
                let named = ids(&found).iter().any(|id| id.contains("anna.private"));
                assert!(named || !format!("{found:?}").contains("anna.private"), "{found:?}");
                true
            }
            (Reading::Found(_), None) => panic!("read in two ways"),
            (_, Some(_)) => {
                assert!(!success);
                false
            }
            (other, None) => {
                assert!(!success || matches!(other, Reading::Retry(None)));
                false
            }
        }
    });
}

#[test]
fn one_customer() {
    reads("Customer", customer(), Customer::parse, |it| vec![it.id.as_str()]);
}

#[test]
fn pages_of_customers() {
    reads("page of Customers", page(customer()), customers, |page| {
        page.data.iter().map(|it| it.id.as_str()).collect()
    });
}

#[test]
fn pages_of_events() {
    reads("page of events", page(event()), created_events, |page| {
        page.data.iter().map(|it| it.customer.as_str()).collect()
    });
}

#[test]
fn accounts() {
    reads("account", customer(), account_id, |_| Vec::new());
}
