//! How a process finds out on which account its key acts, before it writes anything.

use std::time::Duration;

use tenant_billing_core::{
    OperatorError, Outcome, Policy, answer::Answer, ids::Mode, request::KeyScope, state::View,
};

use crate::{
    answers::{API, HTML, INVALID, MISSING, WAIT, response},
    fakes::{FakeStripe, World, created, world, world_with},
    scene::{CID, INSTALLATION, account, cus, ours, tenant, unbound},
};

fn declared(id: &str) -> World {
    let mut stripe = FakeStripe::default();
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

/// A restricted key may not read its account; but this says that it is not the key's at all.
#[tokio::test(start_paused = true)]
async fn a_declared_account_that_the_key_may_not_act_for_is_not_believed() {
    let world = declared("acct_ours");
    let refused = r#"{"error":{"type":"invalid_request_error","code":"account_invalid"}}"#;
    world.stripe.says("account", [response(403, &[], refused)]);
    let error = world.call().await.expect_err("the account is not the key's");
    assert_eq!(error.cause(), "account_refused", "{error}");
    assert!(world.store.data().written.is_empty() && world.stripe.sent().is_empty());
    assert_eq!(world.store.data().account, None);
}

#[tokio::test(start_paused = true)]
async fn no_account_is_asked_for_over_tls_that_is_not_trusted() {
    let world = world(Policy::default());
    world.stripe.says("account", [Answer::Untrusted("the certificate has expired".into())]);
    let error = world.call().await.expect_err("nothing was sent");
    assert_eq!(error.cause(), "tls_untrusted", "{error}");
    assert!(error.retry_after().is_none() && !error.may_have_created(), "{error}");
    assert!(error.to_string().contains("not sent: the certificate has expired"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_be_read_is_for_an_operator() {
    let table = [
        (200, r#"{"id":"cus_1"}"#, "unexpected answer from Stripe (HTTP 200)"),
        (401, INVALID, "does not accept the secret key (HTTP 401"),
        (403, INVALID, "declare the account's id"),
        (400, MISSING, "declare the account's id"),
        (404, HTML, "check the base URL"),
        (404, MISSING, "check the base URL"),
        (418, HTML, "declare the account's id"),
    ];
    for (status, body, says) in table {
        let world = world(Policy::default());
        world.stripe.says("account", [response(status, &[], body)]);
        let error = world.call().await.expect_err("the account is unknown");
        assert_eq!(error.code(), "operator_must_act");
        assert!(error.to_string().contains(says), "{status} {body}: {error}");
        assert!(world.store.data().written.is_empty() && world.stripe.sent().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_account_than_declared_is_refused() {
    assert_eq!(declared("acct_ours").call().await, created("cus_new1"));
    // The database does not say yet which account it belongs to.
    let world = declared("acct_other");
    world.store.put(View { account: None, ..unbound(None) });
    let error = world.call().await.expect_err("it is another one");
    assert_eq!(error.problem(), &OperatorError::NotDeclared("acct_ours".into()).into());
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_account_than_recorded_is_refused() {
    for recorded in [account("acct_theirs", Mode::Live), account("acct_ours", Mode::Test)] {
        let world = world(Policy::default());
        world.store.data().account = Some(recorded.clone());
        let error = world.call().await.expect_err("it is another one");
        // The mode is in the key, so Stripe need not be asked.
        let known = (recorded.mode == ours().mode).then(|| ours().id);
        assert_eq!(world.stripe.asked().is_empty(), known.is_none());
        let ours = KeyScope { mode: ours().mode, account: known };
        assert_eq!(error.problem(), &OperatorError::WrongAccount { recorded, ours }.into());
        assert!(!error.may_have_created());
        assert!(world.store.data().written.is_empty() && world.stripe.sent().is_empty());
        // From then on this process does not even read what is bound.
        let (bound, account) = (Some(cus(CID)), world.store.data().account.clone());
        world.store.put(View { bound, account, ..unbound(None) });
        let refused = world.billing.lookup(&tenant()).await.map_err(|it| it.problem().clone());
        assert_eq!(refused, Err(error.problem().clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stripe_that_is_unavailable_is_asked_again() {
    let world = world(Policy::default());
    let fine = response(200, &[], r#"{"id":"acct_ours"}"#);
    world.stripe.says("account", [response(503, &[], API), fine.clone()]);
    assert_eq!(world.call().await, created("cus_new1"));

    let unavailable = crate::fakes::world(Policy::default());
    for (headers, after) in [(&[][..], 1), (WAIT, 7)] {
        unavailable.stripe.says("account", [response(503, headers, API)]);
        let error = unavailable
            .call_within(Duration::from_secs(5))
            .await
            .expect_err("Stripe is unavailable");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(after)));
        assert!(
            !error.may_have_created() && error.to_string().contains("which account"),
            "{error}"
        );
    }
    // A failure is not remembered.
    unavailable.stripe.says("account", [fine]);
    assert_eq!(unavailable.call().await, created("cus_new1"));
}

/// A tenant that is bound belongs to the account on record, and needs no request to Stripe.
#[tokio::test(start_paused = true)]
async fn a_bound_tenants_customer_is_not_given_for_another_account_or_mode() {
    let theirs = account("acct_theirs", Mode::Live);
    let test = account("acct_ours", Mode::Test);
    for (recorded, declared_id, given) in [
        (Some(ours()), None, true),
        (Some(ours()), Some("acct_ours"), true),
        (None, Some("acct_ours"), true),
        // Which account the key acts on is not known without asking.
        (Some(theirs.clone()), None, true),
        (Some(theirs), Some("acct_ours"), false),
        (Some(test.clone()), None, false),
        (Some(test), Some("acct_ours"), false),
    ] {
        let world = match declared_id {
            Some(id) => declared(id),
            None => world(Policy::default()),
        };
        let (bound, account) = (Some(cus(CID)), recorded.clone());
        world.store.put(View { bound, account, ..unbound(None) });
        let (called, looked_up) = (world.call().await, world.billing.lookup(&tenant()).await);
        assert!(world.stripe.asked().is_empty());
        if given {
            assert_eq!(called, Ok((CID.to_owned(), Outcome::Existing)), "{recorded:?}");
            assert_eq!(looked_up, Ok(Some(cus(CID))));
            continue;
        }
        let recorded = recorded.expect("it differs");
        let key = KeyScope { mode: Mode::Live, account: declared_id.map(|id| id.parse().unwrap()) };
        let wrong = OperatorError::WrongAccount { recorded, ours: key };
        assert_eq!(called, Err(wrong.clone().into()));
        assert_eq!(looked_up, Err(wrong.into()));
    }
}

/// The database was given to another account of the same mode while this process lives.
#[tokio::test(start_paused = true)]
async fn a_process_that_knows_its_account_gives_no_other_accounts_customer() {
    let world = world(Policy::default());
    assert_eq!(world.call().await, created("cus_new1"));
    let theirs = account("acct_theirs", Mode::Live);
    let (bound, account) = (Some(cus(CID)), Some(theirs.clone()));
    world.store.put(View { bound, account, ..unbound(None) });
    let wrong = OperatorError::WrongAccount { recorded: theirs, ours: ours().into() };
    assert_eq!(world.billing.lookup(&tenant()).await, Err(wrong.into()));
}

/// What a process found out once, no other process asks for again.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_known_to_open_the_account_is_not_asked_for_it_again() {
    let asks = async |fingerprint: Option<&str>, known: &[&str]| {
        let mut stripe = FakeStripe::default();
        stripe.fingerprint = fingerprint.map(str::to_owned);
        let world = world_with(Policy::default(), stripe);
        world.store.data().keys = known.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(world.call().await, created("cus_new1"));
        let keys = world.store.data().keys.clone();
        (world.stripe.asked() == ["account"], keys)
    };
    assert_eq!(asks(Some("a"), &["a"]).await, (false, vec!["a".to_owned()]));
    assert_eq!(asks(Some("b"), &["a"]).await, (true, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(asks(None, &["a"]).await, (true, vec!["a".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_created_for_a_database_that_was_copied_or_moved() {
    let world = world(Policy::default());
    world.store.data().copied = true;
    let error = world.call().await.expect_err("it must be said which of the two it is");
    let installation = INSTALLATION.parse().expect("an installation id");
    assert_eq!(error.problem(), &OperatorError::CopiedOrMoved(installation).into());
    assert!(!error.may_have_created());
    assert!(world.stripe.asked().is_empty() && world.stripe.sent().is_empty());
    assert!(world.store.data().written.is_empty());
}
