//! What is read from the answers to GETs, and how any answer is summed up.

use std::time::Duration;

use tenant_billing_core::answer::{
    Answer, Customer, Reading, account_id, created_events, customers, read, request_id, status,
    summary,
};

use crate::{
    answers::{
        API, BAD_EMAIL, HTML, INVALID, LOCKED, MADE, MISSING, Pairs, REPLAYED, RETRY, WAIT,
        response,
    },
    scene::cus,
};

#[test]
fn a_read_has_six_results() {
    let seconds = |it| Reading::Retry(Some(Duration::from_secs(it)));
    let table: &[(u16, Pairs<'_>, &str, Reading<String>)] = &[
        (200, &[], MADE, Reading::Found("cus_1".into())),
        (200, REPLAYED, MADE, Reading::Found("cus_1".into())),
        (200, &[], HTML, Reading::Retry(None)),
        (200, &[], "", Reading::Retry(None)),
        (404, &[], MISSING, Reading::Missing),
        (404, &[], HTML, Reading::Forbidden),
        (404, &[], INVALID, Reading::Forbidden),
        // A page that should start after an entry which is gone.
        (400, &[], MISSING, Reading::Missing),
        (400, &[], INVALID, Reading::Forbidden),
        (403, &[], MISSING, Reading::Forbidden),
        (401, &[], MISSING, Reading::Unauthorized),
        (401, &[], INVALID, Reading::Unauthorized),
        (403, &[], INVALID, Reading::Forbidden),
        (400, RETRY, INVALID, Reading::Retry(None)),
        (409, &[], LOCKED, Reading::Retry(None)),
        (429, WAIT, API, seconds(7)),
        (500, &[], API, Reading::Retry(None)),
        (502, &[], HTML, Reading::Retry(None)),
        (503, WAIT, HTML, seconds(7)),
        (302, &[], HTML, Reading::Retry(None)),
        (100, &[], "", Reading::Retry(None)),
        (0, &[], "", Reading::Retry(None)),
    ];
    for (status, headers, body, expected) in table {
        let reading = read(&response(*status, headers, body), account_id);
        assert_eq!(reading, *expected, "{status} {body}");
    }
    assert_eq!(read(&Answer::NoAnswer("reset".into()), account_id), Reading::Retry(None));
    assert_eq!(read(&Answer::Untrusted("expired".into()), account_id), Reading::Untrusted);
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
            r#"{"object":"customer","id":"cus_1","created":5,"email":null,"name":null,"metadata":null,"deleted":null}"#,
            cus_1(5, false),
        ),
        (
            r#"{"object":"customer","id":"cus_1","created":5,"metadata":{"tenantId":"t"},"new":[{}]}"#,
            cus_1(5, false),
        ),
        (r#"{"object":"customer"}"#, None),
        (r#"{"id":"…"}"#, None),
        (HTML, None),
    ];
    for (body, expected) in table {
        assert_eq!(read(body), expected, "{body}");
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
            r#"{"data":[{"object":"customer","id":"cus_1"},{"object":"customer","id":"cus_2"}],"has_more":true}"#,
            page("cus_1 cus_2", true, None),
        ),
        (
            r#"{"data":[{"object":"customer","id":"cus_1"}],"has_more":true,"next_page":"abc"}"#,
            page("cus_1", true, Some("abc")),
        ),
        (r#"{"data":[],"has_more":false,"next_page":null,"new":1}"#, page("", false, None)),
        (
            r#"{"data":[{"object":"customer","id":"cus_1"},{"object":"customer"}],"has_more":false}"#,
            None,
        ),
        (r#"{"data":[{"object":"customer","id":"cus_1"},null],"has_more":false}"#, None),
        (
            r#"{"data":[{"object":"customer","id":"cus_1","metadata":{"tenantId":7}}],"has_more":false}"#,
            None,
        ),
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
            r#"{{"has_more":false,"data":[{{"id":"evt_1","data":{{"object":{{"object":"customer","id":"cus_1","email":7}}}}{request}}}]}}"#
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
        (
            r#"{"has_more":false,"data":[{"data":{"object":{"object":"customer","id":"cus_1"}}}]}"#
                .into(),
            None,
        ),
        (
            r#"{"has_more":false,"data":[{"id":"evt_1","data":{"object":{"object":"account","id":"acct_1"}}}]}"#
                .into(),
            None,
        ),
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
            "HTTP 400 code=x param=metadata",
        ),
        (400, r#"{"error":"no"}"#, "HTTP 400"),
    ];
    for (status, body, expected) in table {
        assert_eq!(summary(&response(*status, &[], body)), *expected);
    }
    let long = format!(r#"{{"error":{{"code":"{}"}}}}"#, "x".repeat(65));
    assert_eq!(summary(&response(400, &[], &long)), "HTTP 400");
    assert_eq!(summary(&Answer::NoAnswer("timed out".into())), "no answer: timed out");
    assert_eq!(summary(&Answer::Untrusted("it has expired".into())), "not sent: it has expired");
}

/// Of Stripe's message, only the permission is told: not the key, not the account.
#[test]
fn the_permission_that_a_key_lacks_is_named() {
    let says = |status, message: &str| {
        let body = serde_json::json!({"error": {"message": message}}).to_string();
        summary(&response(status, &[], &body))
    };
    let one = "The provided key 'rk_test_***' does not have the required permissions for this \
               endpoint on account 'acct_x'. Having the 'rak_event_read' permission would allow \
               this request to continue.";
    assert_eq!(says(403, one), "HTTP 403 permission=rak_event_read");
    let two = "Having one of the following permissions: 'rak_a_read', 'rak_b_write'";
    assert_eq!(says(403, two), "HTTP 403 permission=rak_a_read permission=rak_b_write");
    assert_eq!(says(403, "Having the ‘rak_a_read’ permission"), "HTTP 403 permission=rak_a_read");
    for silent in ["its rak_a_read", "it's rak_a", "'rak_Ann'", "'rk_test_1'", "'acct_1'", ""] {
        assert_eq!(says(403, silent), "HTTP 403", "{silent}");
    }
    assert_eq!(says(400, one), "HTTP 400");
}

#[test]
fn the_request_id_is_kept_for_stripes_support() {
    assert_eq!(request_id(&response(500, &[("request-id", "req_1")], "")), Some("req_1"));
    assert_eq!(request_id(&response(500, &[], "")), None);
    assert_eq!(request_id(&Answer::NoAnswer("reset".into())), None);
    assert_eq!(request_id(&Answer::Untrusted("expired".into())), None);
}

#[test]
fn an_answer_has_a_status_if_it_came() {
    assert_eq!(status(&response(404, &[], HTML)), Some(404));
    assert_eq!(status(&Answer::NoAnswer("reset".into())), None);
    assert_eq!(status(&Answer::Untrusted("expired".into())), None);
}
