//! What Stripe's answers to a creation mean, line by line of the table, with the odd ones that
//! proxies and outages bring.

use bytes::Bytes;
use tenant_billing_core::answer::{
    Answer, Failure, Headers, Refusal, Verdict, denies_account, judge,
};

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
        Verdict::Failed(Failure::Retry(None)) => "retry".into(),
        Verdict::Failed(Failure::Retry(Some(after))) => format!("retry after {after:?}"),
        Verdict::Failed(Failure::Rejected(rejection)) => {
            format!("rejected {}", rejection.param.unwrap_or_default())
        }
        Verdict::Failed(Failure::StoredFailure) => "stored failure".into(),
        Verdict::Failed(failure) => format!("{failure:?}").to_lowercase(),
    }
}

/// Checks rows of status, headers, body, and what they mean.
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

pub(crate) const MISSING: &str =
    r#"{"error":{"type":"invalid_request_error","code":"resource_missing"}}"#;
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
        (200, &[], r#"{"id":"cus_1","object":"customer"}"#, "created cus_1"),
        (200, &[], r#"{"id":"old.7","object":"customer","deleted":false}"#, "created old.7"),
        (
            200,
            &[],
            r#"{"object":"customer","created":"soon","metadata":[],"email":{},"id":"cus_1"}"#,
            "created cus_1",
        ),
        (
            200,
            &[],
            r#"{"id":"cus_1","object":"customer","error":{"type":"idempotency_error"}}"#,
            "created cus_1",
        ),
        (200, &[], r#"{"id":"cus_1","object":"customer","livemode":null}"#, "created cus_1"),
        (200, &[], "  {\n \"id\" : \"cus_1\", \"object\":\"customer\" }\n", "created cus_1"),
    ]);
}

#[test]
fn success_that_cannot_be_read_is_unknown() {
    judged(&[
        (200, &[], "", "retry"),
        (200, &[], HTML, "retry"),
        (200, &[], r#"{"id":"cus_1","object":"cust"#, "retry"),
        (200, &[], r#"{"object":"customer"}"#, "retry"),
        (200, &[], r#"{"id":7}"#, "retry"),
        (200, &[], r#"{"id":""}"#, "retry"),
        (200, &[], r#"{"id":"../v1"}"#, "retry"),
        (200, &[], r#"[{"id":"cus_1"}]"#, "retry"),
        (204, &[], "", "retry"),
        (200, REPLAYED, HTML, "retry"),
    ]);
}

#[test]
fn success_that_brings_no_live_customer_is_unknown() {
    judged(&[
        (200, &[], r#"{"id":"cus_1"}"#, "retry"),
        (200, &[], r#"{"id":"cus_1","object":7}"#, "retry"),
        (200, &[], r#"{"id":"acct_1","object":"account"}"#, "retry"),
        (200, &[], r#"{"id":"cus_1","object":"customer","deleted":true}"#, "retry"),
        (200, &[], r#"{"id":"cus_1","object":"customer","deleted":"no"}"#, "retry"),
        (200, REPLAYED, r#"{"id":"cus_1","object":"customer","deleted":true}"#, "retry"),
    ]);
}

#[test]
fn an_error_about_a_frozen_field_rejects_the_request_replayed_or_not() {
    let about = |param: &str| {
        format!(r#"{{"error":{{"type":"invalid_request_error","param":"{param}"}}}}"#)
    };
    for headers in [&[], FIRST, REPLAYED, OLDER, RETRY, WAIT] {
        judged(&[(400, headers, BAD_EMAIL, "rejected email")]);
    }
    judged(&[
        (400, &[], &about("name"), "rejected name"),
        (400, &[], &about("metadata"), "rejected metadata"),
        (400, &[], &about("metadata[plan]"), "rejected metadata[plan]"),
        (400, &[], &about("phone"), "operator(unexpected)"),
        (400, &[], &about("ema"), "operator(unexpected)"),
        (400, &[], &about(""), "operator(unexpected)"),
        // Neither status nor type is a matter of taste.
        (402, &[], BAD_EMAIL, "operator(unexpected)"),
        (422, &[], BAD_EMAIL, "operator(unexpected)"),
        (400, &[], r#"{"error":{"type":"card_error","param":"email"}}"#, "operator(unexpected)"),
        (500, &[], BAD_EMAIL, "retry"),
    ]);
}

#[test]
fn any_other_replayed_failure_is_a_stored_failure() {
    for headers in [REPLAYED, OLDER] {
        for status in [400, 401, 402, 403, 404, 409, 429, 500, 503] {
            judged(&[(status, headers, API, "stored failure")]);
        }
        judged(&[
            (400, headers, BAD_AMOUNT, "stored failure"),
            (400, headers, MISMATCH, "stored failure"),
            (409, headers, IN_USE, "stored failure"),
            (500, headers, HTML, "stored failure"),
        ]);
    }
    judged(&[
        (
            500,
            &[("Idempotent-Replayed", "true"), ("Stripe-Should-Retry", "true")],
            API,
            "stored failure",
        ),
        (500, FIRST, API, "retry"),
    ]);
}

#[test]
fn an_idempotency_error_means_that_the_key_was_used_with_another_request() {
    judged(&[
        (400, &[], MISMATCH, "mismatched"),
        (400, FIRST, MISMATCH, "mismatched"),
        (400, RETRY, MISMATCH, "mismatched"),
    ]);
}

#[test]
fn a_key_in_use_is_another_send_in_flight() {
    judged(&[(409, &[], IN_USE, "inflight"), (409, RETRY, IN_USE, "inflight")]);
    // No send of ours is at it, and still the same key is right, never an operator.
    let locked = verdict(409, &[], LOCKED);
    assert!(["inflight", "retry"].contains(&&*locked), "{locked}");
}

#[test]
fn stripes_wish_to_wait_is_kept() {
    judged(&[
        (429, &[], API, "retry"),
        (429, &[], LOCKED, "retry"),
        (429, WAIT, API, "retry after 7s"),
        (429, &[("retry-after", " 7 ")], HTML, "retry after 7s"),
        (429, &[("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")], API, "retry"),
        (429, &[("Retry-After", "-1")], API, "retry"),
        (429, &[("Stripe-Should-Retry", "false"), ("Retry-After", "2")], API, "retry after 2s"),
        (400, RETRY, INVALID, "retry"),
        (401, RETRY, INVALID, "retry"),
        (404, &[("Stripe-Should-Retry", "true"), ("Retry-After", "3")], INVALID, "retry after 3s"),
    ]);
}

#[test]
fn a_fresh_server_error_is_unknown() {
    judged(&[
        (500, &[], API, "retry"),
        (500, &[("Stripe-Should-Retry", "false")], API, "retry"),
        (500, &[], MADE, "retry"),
        (502, &[], HTML, "retry"),
        (503, WAIT, HTML, "retry after 7s"),
        (504, &[], "", "retry"),
        (599, &[], API, "retry"),
        (999, &[], API, "retry"),
    ]);
}

#[test]
fn no_answer_or_none_of_stripes_is_unknown() {
    let none = judge(&Answer::NoAnswer("reset".into()), &request(1));
    assert_eq!(none, Verdict::Failed(Failure::Retry(None)));
    for status in [0, 100, 101, 301, 302, 304, 307, 308] {
        judged(&[(status, &[], HTML, "retry"), (status, &[], MADE, "retry")]);
    }
}

#[test]
fn any_other_client_error_is_for_an_operator() {
    for status in [400, 401, 402, 403, 404, 405, 410, 413, 422, 499] {
        let operator = match status {
            401 => "operator(badkey)",
            403 => "operator(notpermitted)",
            _ => "operator(unexpected)",
        };
        judged(&[(status, &[], INVALID, operator), (status, FIRST, BAD_AMOUNT, operator)]);
    }
    // No permission helps where the key may not act for the account.
    let account = r#"{"error":{"type":"invalid_request_error","code":"account_invalid"}}"#;
    judged(&[(403, &[], account, "operator(notitsaccount)")]);
    assert!(denies_account(&response(403, &[], account)));
    for (status, body) in [(400, account), (403, INVALID), (403, HTML)] {
        assert!(!denies_account(&response(status, &[], body)), "{status} {body}");
    }
    assert!(!denies_account(&Answer::NoAnswer("reset".into())));
}

#[test]
fn what_was_not_sent_over_untrusted_tls_is_for_an_operator() {
    let untrusted = judge(&Answer::Untrusted("it has expired".into()), &request(1));
    assert_eq!(untrusted, Verdict::Failed(Failure::Operator(Refusal::Untrusted)));
}

/// A body that is not Stripe's comes from some machine in between, so it is unknown whether Stripe
/// did the work.
#[test]
fn a_client_error_that_is_not_stripes_is_unknown() {
    judged(&[(408, &[], HTML, "retry"), (403, &[], HTML, "retry"), (400, &[], "", "retry")]);
}
