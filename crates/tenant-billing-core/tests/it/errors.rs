//! What each error tells its caller to do, and whether something may come of the call all the same.

use std::time::Duration;

use tenant_billing_core::{
    Advice, Error, OperatorError,
    ids::{Invalid, Mode},
    ports::StoreError,
};

use crate::{
    scene::{account, cus, ours, refusal, tenant},
    summary::nameless,
};

const AFTER: Duration = Duration::from_millis(1500);

fn later(unsettled: bool) -> Error {
    Error::Later { after: AFTER, why: "HTTP 503 type=api_error".into(), unsettled }
}

fn check(error: impl Into<Error>, code: &str, advice: Advice, unsettled: bool, says: &[&str]) {
    let error = error.into();
    assert_eq!(
        (error.code(), error.advice(), error.unsettled()),
        (code, advice, unsettled),
        "{error}"
    );
    let text = error.to_string();
    for words in says {
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
    nameless(&text);
    nameless(&format!("{error:?}"));
}

#[test]
fn wrong_input_is_to_be_corrected() {
    let invalid = Invalid::new("email", "is empty");
    check(invalid.clone(), "invalid_input", Advice::CorrectInput, false, &["email: is empty"]);
    check(
        StoreError::Invalid(invalid),
        "invalid_input",
        Advice::CorrectInput,
        false,
        &["email: is empty"],
    );
}

#[test]
fn an_unknown_tenant_is_to_be_registered() {
    let says = ["there is no tenant", crate::scene::TENANT, "register"];
    check(Error::UnknownTenant(tenant()), "unknown_tenant", Advice::RegisterTenant, false, &says);
}

#[test]
fn a_refused_request_is_to_be_given_up() {
    check(
        refusal(),
        "refused_by_stripe",
        Advice::GiveUp,
        false,
        &["Stripe refused", "Invalid email address: […]"],
    );
}

#[test]
fn what_did_not_work_out_yet_says_when_to_try_again_and_whether_it_goes_on() {
    for unsettled in [true, false] {
        check(
            later(unsettled),
            "try_again_later",
            Advice::TryAgain(AFTER),
            unsettled,
            &["try again in 2 s", "HTTP 503"],
        );
    }
}

#[test]
fn an_operator_is_told_what_to_do() {
    let words = || "HTTP 403 type=invalid_request_error".to_owned();
    let (recorded, ours) = (account("acct_theirs", Mode::Test), ours());
    let table: Vec<(OperatorError, bool, &[&str])> = vec![
        (OperatorError::BadKey(words()), false, &["HTTP 403", "STRIPE_SECRET_KEY"]),
        (OperatorError::AccountUnreadable(words()), false, &["HTTP 403", "STRIPE_ACCOUNT"]),
        (
            OperatorError::WrongAccount { recorded, ours },
            false,
            &["acct_theirs in test mode", "acct_ours in live mode", "copied"],
        ),
        (OperatorError::Stripe(words()), true, &["HTTP 403"]),
        (OperatorError::BoundElsewhere(cus("cus_1")), true, &["cus_1", "bound to another"]),
        (
            OperatorError::ForeignCustomer(cus("cus_1")),
            true,
            &["cus_1", "another installation", "which"],
        ),
        (OperatorError::OutOfReach, true, &["30 days", "dashboard", "tenantId"]),
        (
            OperatorError::Store(StoreError::SchemaMissing),
            false,
            &["missing", "tenant-billing migrate"],
        ),
        (
            OperatorError::Store(StoreError::SchemaTooOld),
            false,
            &["older", "tenant-billing migrate"],
        ),
        (OperatorError::Store(StoreError::SchemaTooNew), false, &["newer", "upgrade"]),
        (
            OperatorError::Store(StoreError::Unfit("no table tenants".into())),
            false,
            &["no table tenants"],
        ),
        (OperatorError::Store(StoreError::Corrupt("state".into())), false, &["must not", "state"]),
    ];
    for (error, unsettled, says) in table {
        let act = "an operator must act";
        check(
            error.clone(),
            "operator_must_act",
            Advice::CallOperator,
            unsettled,
            &[&[act], says].concat(),
        );
    }
}

/// Whoever called it, nothing goes on by itself for a tenant that has settled: only the next call
/// asks Stripe again.
#[test]
fn an_unknown_customer_is_not_said_to_be_bound_without_another_call() {
    let error = OperatorError::UnknownCustomer(cus("cus_1"));
    check(error, "operator_must_act", Advice::CallOperator, false, &["cus_1", "account and mode"]);
}

#[test]
fn the_databases_errors_keep_their_meaning() {
    let away = Error::from(StoreError::Unavailable("connection refused".into()));
    assert_eq!(away.code(), "try_again_later");
    assert!(matches!(away.advice(), Advice::TryAgain(after) if after > Duration::ZERO));
    assert!(away.to_string().contains("the database is unavailable: connection refused"));
    for error in [
        StoreError::SchemaMissing,
        StoreError::SchemaTooOld,
        StoreError::SchemaTooNew,
        StoreError::Unfit("x".into()),
        StoreError::Corrupt("x".into()),
    ] {
        assert_eq!(Error::from(error.clone()), Error::Operator(OperatorError::Store(error)));
    }
}
