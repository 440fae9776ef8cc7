//! What each error says: a code for programs, an HTTP status, when to retry, whether a Customer may
//! exist all the same, and a text for people without personal data.

use std::time::Duration;

use tenant_billing_core::{
    Error, OperatorError, Problem,
    ids::{Invalid, Mode},
    ports::StoreError,
};

use crate::scene::another;
use crate::{
    scene::{TENANT, account, cus, ours, rejection, tenant},
    summary::without_personal_data,
};

const AFTER: Duration = Duration::from_millis(1500);

struct Expected {
    code: &'static str,
    http_status: u16,
    retry_after: Option<Duration>,
}

fn check(error: impl Into<Error>, expected: &Expected, says: &[&str]) {
    let error = error.into();
    let Expected { code, http_status, retry_after } = *expected;
    assert_eq!((error.code(), error.http_status()), (code, http_status), "{error}");
    assert_eq!(error.retry_after(), retry_after, "{error}");
    // Nothing was read of any tenant, so only a call that was refused at once has begun nothing.
    assert_eq!(error.may_have_created(), code != "invalid_input", "{error}");
    let text = error.to_string();
    for words in says {
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
    without_personal_data(&text);
    without_personal_data(&format!("{error:?}"));
}

fn expected(code: &'static str, http_status: u16) -> Expected {
    Expected { code, http_status, retry_after: None }
}

#[test]
fn invalid_input_says_what_to_correct() {
    let invalid = Invalid::new("email", "is empty");
    let expected = expected("invalid_input", 400);
    check(invalid.clone(), &expected, &["email: is empty"]);
    check(StoreError::Invalid(invalid), &expected, &["email: is empty"]);
}

#[test]
fn an_unknown_tenant_is_to_be_registered() {
    let expected = expected("unknown_tenant", 404);
    let says = ["there is no tenant", TENANT, "register"];
    check(Problem::UnknownTenant(tenant()), &expected, &says);
}

#[test]
fn a_rejected_request_says_what_stripe_says() {
    let expected = expected("rejected_by_stripe", 422);
    check(rejection(), &expected, &["Stripe rejected", "Invalid email address: […]"]);
}

#[test]
fn what_may_succeed_later_says_when_to_retry() {
    let retry = Problem::Retry { after: AFTER, why: "HTTP 503 type=api_error".into() };
    let expected = Expected { retry_after: Some(AFTER), ..expected("retry_later", 503) };
    check(retry, &expected, &["retry in 2 s", "HTTP 503"]);
}

#[test]
fn an_operator_is_told_what_to_do() {
    let answer = || "HTTP 403 type=invalid_request_error".to_owned();
    let (recorded, ours) = (account("acct_theirs", Mode::Test), ours());
    let store = OperatorError::Store;
    let table: Vec<(OperatorError, &[&str])> = vec![
        (OperatorError::BadKey(answer()), &["HTTP 403", "check which key"]),
        (
            OperatorError::AccountUnreadable(answer()),
            &["HTTP 403", "declare the account's id", "permission"],
        ),
        (OperatorError::AccountRefused(answer()), &["HTTP 403", "declared account"]),
        (OperatorError::NotDeclared("acct_1".into()), &["acct_1", "declared"]),
        (
            OperatorError::WrongAccount { recorded, ours: ours.into() },
            &["acct_theirs in test mode", "acct_ours in live mode", "copied"],
        ),
        (OperatorError::UnexpectedAnswer(answer()), &["HTTP 403", "base URL"]),
        (
            OperatorError::NotPermitted("read events: HTTP 403".into()),
            &["may not read events: HTTP 403", "permission", "dashboard"],
        ),
        (
            OperatorError::TlsUntrusted("not sent: the certificate has expired".into()),
            &["not sent: the certificate has expired", "certificate authorities"],
        ),
        (OperatorError::BoundElsewhere(cus("cus_1")), &["cus_1", "bound to another"]),
        (
            OperatorError::ForeignCustomer { customer: cus("cus_1"), installation: another() },
            &["cus_1", "installation another-1", "declare"],
        ),
        (
            OperatorError::UnmarkedCustomers(vec![cus("cus_1"), cus("cus_2")]),
            &["cus_1, cus_2", "look at them", "adopt", "ignore"],
        ),
        (OperatorError::CopiedOrMoved(another()), &["another-1", "copied or moved", "which"]),
        (
            OperatorError::UnknownCustomer(cus("cus_1")),
            &["cus_1", "does not say that it is deleted", "account and mode"],
        ),
        (OperatorError::OutOfReach, &["30 days", "dashboard", "tenantId"]),
        (
            OperatorError::NoEmailToLookBy,
            &["no e-mail address", "call again with an e-mail", "tenantId"],
        ),
        (store(StoreError::SchemaMissing), &["missing", "migrations"]),
        (store(StoreError::SchemaTooOld), &["older", "migrations"]),
        (store(StoreError::SchemaTooNew), &["newer", "upgrade"]),
        (store(StoreError::SchemaMismatch("no table tenants".into())), &["no table tenants"]),
        (store(StoreError::Tls("sslrootcert".into())), &["no TLS connection", "sslrootcert"]),
        (store(StoreError::Refused("CHECK x".into())), &["own table refuses", "CHECK x"]),
        (store(StoreError::Corrupt("state".into())), &["no version", "state"]),
    ];
    for (error, says) in table {
        assert!(!error.name().is_empty());
        assert_eq!(Error::from(error.clone()).cause(), error.name());
        let expected = expected("operator_must_act", 500);
        check(error, &expected, &[&["an operator must act"], says].concat());
    }
}

#[test]
fn the_databases_errors_keep_their_meaning() {
    let unavailable = Error::from(StoreError::Unavailable("connection refused".into()));
    let retry_after = Some(Duration::from_secs(1));
    let expected = Expected { retry_after, ..expected("retry_later", 503) };
    check(unavailable, &expected, &["the database is unavailable: connection refused"]);
    for error in [
        StoreError::SchemaMissing,
        StoreError::SchemaTooOld,
        StoreError::SchemaTooNew,
        StoreError::SchemaMismatch("x".into()),
        StoreError::Tls("x".into()),
        StoreError::Refused("x".into()),
        StoreError::Corrupt("x".into()),
    ] {
        assert_eq!(Error::from(error.clone()), Error::from(OperatorError::Store(error)));
    }
}
