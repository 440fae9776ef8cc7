//! What Stripe's answers to a creation mean, line by line of the table, with the odd ones that proxies
//! and outages bring.

use bytes::Bytes;
use tenant_billing_core::answer::{Answer, Failure, Headers, Verdict, judge};

use crate::scene::request;

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

pub(crate) const MADE: &str = r#"{"id":"cus_1","object":"customer","livemode":true}"#;

pub(crate) const REPLAYED: Pairs<'_> =
    &[("Idempotent-Replayed", "true"), ("Original-Request", "req_0"), ("Request-Id", "req_1")];
pub(crate) const OLDER: Pairs<'_> = &[("original-request", "req_0"), ("request-id", "req_1")];

pub(crate) const FIRST: Pairs<'_> =
    &[("Original-Request", "req_1"), ("Request-Id", "req_1"), ("Stripe-Should-Retry", "false")];
pub(crate) const RETRY: Pairs<'_> = &[("Stripe-Should-Retry", "true")];

pub(crate) const WAIT: Pairs<'_> = &[("Retry-After", "7")];

pub(crate) const HTML: &str = "<html><h1>Bad Gateway</h1></html>";

pub(crate) const BAD_EMAIL: &str = r#"{"error":{"type":"invalid_request_error","code":"email_invalid","param":"email","message":"no"}}"#;

pub(crate) const BAD_AMOUNT: &str =
    r#"{"error":{"type":"invalid_request_error","param":"balance","message":"no"}}"#;
pub(crate) const MISMATCH: &str = r#"{"error":{"type":"idempotency_error","message":"no"}}"#;

pub(crate) const IN_USE: &str =
    r#"{"error":{"type":"invalid_request_error","code":"idempotency_key_in_use"}}"#;
pub(crate) const LOCKED: &str =
    r#"{"error":{"type":"invalid_request_error","code":"lock_timeout"}}"#;

pub(crate) const API: &str = r#"{"error":{"type":"api_error","message":"sorry"}}"#;

pub(crate) const INVALID: &str = r#"{"error":{"type":"invalid_request_error","message":"no"}}"#;

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
