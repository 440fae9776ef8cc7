//! How the program finds out whose key it has, before it writes anything.

use std::time::Duration;

use tenant_billing_core::{Advice, Error, OperatorError, Policy, ids::Mode};

use crate::{
    answers::{API, HTML, INVALID, WAIT, response},
    fakes::{Script, World, created, world, world_with},
    scene::{account, ours},
};

fn declared(id: &str) -> World {
    let mut stripe = Script::default();
    stripe.declared = Some(id.parse().expect("an account id"));
    world_with(Policy::default(), stripe)
}

#[tokio::test(start_paused = true)]
async fn a_key_that_may_not_read_its_account_acts_on_the_declared_one() {
    for status in [403, 404] {
        let world = declared("acct_ours");
        world.stripe.says("account", [response(status, &[], INVALID)]);
        assert_eq!(world.call().await, created("cus_new1"), "{status}");
        let sent = world.stripe.sent().remove(0);
        assert_eq!(sent.stripe_account, "acct_ours".parse().ok());
        assert_eq!(sent.account, ours());
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_be_told_is_for_an_operator() {
    let missing = r#"{"error":{"type":"invalid_request_error","code":"resource_missing"}}"#;
    let table = [
        (200, r#"{"id":"cus_1"}"#, "STRIPE_ACCOUNT"),
        (401, INVALID, "STRIPE_SECRET_KEY"),
        (403, INVALID, "STRIPE_ACCOUNT"),
        (404, HTML, "STRIPE_API_BASE"),
        (404, missing, "STRIPE_API_BASE"),
        (418, HTML, "STRIPE_ACCOUNT"),
    ];
    for (status, body, says) in table {
        let world = world(Policy::default());
        world.stripe.says("account", [response(status, &[], body)]);
        let error = world.call().await.expect_err("nobody knows whose key it is");
        assert_eq!(error.advice(), Advice::CallOperator);
        assert!(error.to_string().contains(says), "{status} {body}: {error}");
        assert!(world.store.data().written.is_empty() && world.stripe.sent().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_account_than_declared_is_refused() {
    assert_eq!(declared("acct_ours").call().await, created("cus_new1"));
    let error = declared("acct_other").call().await.expect_err("it is another one");
    assert!(error.to_string().contains("than declared"), "{error}");
    assert!(matches!(error, Error::Operator(OperatorError::AccountUnreadable(_))));
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_account_than_recorded_is_refused() {
    for recorded in [account("acct_theirs", Mode::Live), account("acct_ours", Mode::Test)] {
        let world = world(Policy::default());
        world.store.data().account = Some(recorded.clone());
        let error = world.call().await;
        let ours = ours();
        assert_eq!(error, Err(OperatorError::WrongAccount { recorded, ours }.into()));
        assert!(world.store.data().written.is_empty() && world.stripe.sent().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stripe_that_cannot_be_asked_now_is_asked_again() {
    let world = world(Policy::default());
    let fine = response(200, &[], r#"{"id":"acct_ours"}"#);
    world.stripe.says("account", [response(503, &[], API), fine.clone()]);
    assert_eq!(world.call().await, created("cus_new1"));

    let away = crate::fakes::world(Policy::default());
    for (headers, after) in [(&[][..], 1), (WAIT, 7)] {
        away.stripe.says("account", [response(503, headers, API)]);
        let error = away.call_within(Duration::from_secs(5)).await.expect_err("it is away");
        assert_eq!(error.advice(), Advice::TryAgain(Duration::from_secs(after)));
        assert!(!error.unsettled() && error.to_string().contains("which account"), "{error}");
    }
    // It is not remembered that it could not be asked.
    away.stripe.says("account", [fine]);
    assert_eq!(away.call().await, created("cus_new1"));
}
