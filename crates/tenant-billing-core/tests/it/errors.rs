//! What each error says: a code for programs, an HTTP status, when to retry, whether a Customer may
//! exist all the same, and a text for people without personal data.

use std::time::Duration;

use tenant_billing_core::{
    Error, OperatorError,
    ids::{Invalid, Mode},
    ports::StoreError,
};

use crate::{
    scene::{TENANT, account, cus, ours, rejection, tenant},
    summary::without_personal_data,
};

const AFTER: Duration = Duration::from_millis(1500);

fn retry(may_have_created: bool) -> Error {
    Error::Retry { after: AFTER, why: "HTTP 503 type=api_error".into(), may_have_created }
}

struct Expected {
    code: &'static str,
    http_status: u16,
    retry_after: Option<Duration>,
    may_have_created: bool,
}

fn check(error: impl Into<Error>, expected: &Expected, says: &[&str]) {
    let error = error.into();
    let Expected { code, http_status, retry_after, may_have_created } = *expected;
    assert_eq!((error.code(), error.http_status()), (code, http_status), "{error}");
    assert_eq!(error.retry_after(), retry_after, "{error}");
    assert_eq!(error.may_have_created(), may_have_created, "{error}");
    let text = error.to_string();
    for words in says {
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
    without_personal_data(&text);
    without_personal_data(&format!("{error:?}"));
}

fn nothing_was_begun(code: &'static str, http_status: u16) -> Expected {
    Expected { code, http_status, retry_after: None, may_have_created: false }
}

#[test]
fn invalid_input_says_what_to_correct() {
    let invalid = Invalid::new("email", "is empty");
    let expected = nothing_was_begun("invalid_input", 400);
    check(invalid.clone(), &expected, &["email: is empty"]);
    check(StoreError::Invalid(invalid), &expected, &["email: is empty"]);
}

#[test]
fn an_unknown_tenant_is_to_be_registered() {
    let expected = nothing_was_begun("unknown_tenant", 404);
    let says = ["there is no tenant", TENANT, "register"];
    check(Error::UnknownTenant(tenant()), &expected, &says);
}

#[test]
fn a_rejected_request_says_what_stripe_says() {
    let expected = nothing_was_begun("rejected_by_stripe", 422);
    check(rejection(), &expected, &["Stripe rejected", "Invalid email address: […]"]);
}

#[test]
fn what_may_succeed_later_says_when_to_retry_and_whether_it_goes_on() {
    for may_have_created in [true, false] {
        let (code, retry_after) = ("retry_later", Some(AFTER));
        let expected = Expected { code, http_status: 503, retry_after, may_have_created };
        check(retry(may_have_created), &expected, &["retry in 2 s", "HTTP 503"]);
    }
}

#[test]
fn an_operator_is_told_what_to_do() {
    let answer = || "HTTP 403 type=invalid_request_error".to_owned();
    let (recorded, ours) = (account("acct_theirs", Mode::Test), ours());
    let store = |error| (OperatorError::Store(error), false);
    let table: Vec<((OperatorError, bool), &[&str])> = vec![
        ((OperatorError::BadKey(answer()), false), &["HTTP 403", "check which key"]),
        (
            (OperatorError::AccountUnreadable(answer()), false),
            &["HTTP 403", "declare the account's id", "permission"],
        ),
        ((OperatorError::NotDeclared("acct_1".into()), false), &["acct_1", "declared"]),
        (
            (OperatorError::WrongAccount { recorded, ours }, false),
            &["acct_theirs in test mode", "acct_ours in live mode", "copied"],
        ),
        ((OperatorError::UnexpectedAnswer(answer()), true), &["HTTP 403", "base URL"]),
        (
            (OperatorError::NotPermitted("events: HTTP 403".into()), true),
            &["events: HTTP 403", "permission", "dashboard"],
        ),
        ((OperatorError::BoundElsewhere(cus("cus_1")), true), &["cus_1", "bound to another"]),
        (
            (OperatorError::ForeignCustomer(cus("cus_1")), true),
            &["cus_1", "another installation", "which"],
        ),
        (
            (OperatorError::UnknownCustomer(cus("cus_1")), true),
            &["cus_1", "does not say that it is deleted", "account and mode"],
        ),
        ((OperatorError::OutOfReach, true), &["30 days", "dashboard", "tenantId"]),
        (store(StoreError::SchemaMissing), &["missing", "migrations"]),
        (store(StoreError::SchemaTooOld), &["older", "migrations"]),
        (store(StoreError::SchemaTooNew), &["newer", "upgrade"]),
        (store(StoreError::SchemaMismatch("no table tenants".into())), &["no table tenants"]),
        (store(StoreError::Corrupt("state".into())), &["no version", "state"]),
    ];
    for ((error, may_have_created), says) in table {
        let (code, retry_after) = ("operator_must_act", None);
        let expected = Expected { code, http_status: 500, retry_after, may_have_created };
        check(error, &expected, &[&["an operator must act"], says].concat());
    }
}

#[test]
fn the_databases_errors_keep_their_meaning() {
    let unavailable = Error::from(StoreError::Unavailable("connection refused".into()));
    let retry_after = Some(Duration::from_secs(1));
    let (code, http_status) = ("retry_later", 503);
    let expected = Expected { code, http_status, retry_after, may_have_created: false };
    check(unavailable, &expected, &["the database is unavailable: connection refused"]);
    for error in [
        StoreError::SchemaMissing,
        StoreError::SchemaTooOld,
        StoreError::SchemaTooNew,
        StoreError::SchemaMismatch("x".into()),
        StoreError::Corrupt("x".into()),
    ] {
        assert_eq!(Error::from(error.clone()), Error::Operator(OperatorError::Store(error)));
    }
}
