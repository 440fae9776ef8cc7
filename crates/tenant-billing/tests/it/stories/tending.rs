//! What an operator does for one tenant: check its Customer, and take it off.

use std::time::Duration;

use tenant_billing::{Checked, Outcome, Policy, Problem, audit::EventKind as K, unbind};

use super::world::{World, brief, call, id, reason};

#[tokio::test]
async fn a_customer_that_was_deleted_in_the_dashboard_is_noticed_by_a_check() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    assert_eq!(billing.check(&tenant).await, Ok(Checked::NoCustomer));
    let first = call(&billing, &tenant).await.unwrap().customer;
    assert_eq!(billing.check(&tenant).await, Ok(Checked::Alive(first.clone())));
    world.sandbox.delete_customer(first.as_str());
    // Nobody has told the database.
    assert_eq!(call(&billing, &tenant).await.unwrap().customer, first);
    assert_eq!(world.billing().check(&tenant).await, Ok(Checked::Deleted(first.clone())));
    assert_eq!(world.state(&tenant).await, "vacant");
    assert_eq!(world.kinds(&tenant).await[2..], [K::Cleared, K::Vacated]);
    assert_eq!(billing.check(&tenant).await, Ok(Checked::NoCustomer));
    let second = call(&billing, &tenant).await.unwrap();
    assert_eq!(second.outcome, Outcome::Created);
    assert_ne!(second.customer, first);
}

/// `resource_missing` may mean a key of another account, so it changes nothing.
#[tokio::test]
async fn a_customer_that_stripe_does_not_know_is_left_alone() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    world
        .sql(&format!(
            "INSERT INTO tenant_config (id, tenant_id, stripe_customer_id)
             VALUES ('{tenant}', '{tenant}', 'cus_elsewhere')"
        ))
        .await;
    let unknown = id("cus_elsewhere");
    assert_eq!(world.billing().check(&tenant).await, Ok(Checked::Unknown(unknown.clone())));
    assert_eq!(world.billing().lookup(&tenant).await, Ok(Some(unknown)));
    assert_eq!(world.kinds(&tenant).await, []);
}

#[tokio::test]
async fn a_check_with_another_accounts_key_changes_nothing() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let first = call(&world.billing(), &tenant).await.unwrap().customer;
    world.sandbox.delete_customer(first.as_str());
    for key in ["sk_live_1", "sk_test_acct_other"] {
        let billing = world.billing_with(key, Policy::default());
        let error = billing.check(&tenant).await.unwrap_err();
        assert_eq!(error.cause(), "wrong_account", "{error}");
    }
    assert_eq!(world.billing().lookup(&tenant).await, Ok(Some(first)));
}

#[tokio::test]
async fn a_tenant_that_is_not_registered_cannot_be_checked() {
    let world = World::new().await;
    let tenant = "00000000-0000-4000-8000-000000000099".parse().unwrap();
    let error = world.billing().check(&tenant).await.unwrap_err();
    assert_eq!(error.problem(), &Problem::UnknownTenant(tenant));
    assert!(world.sandbox.requests().is_empty());
}

#[tokio::test]
async fn a_customer_is_unbound_without_stripe_and_the_trail_says_why() {
    let mut world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let first = call(&billing, &tenant).await.unwrap().customer;
    let requests = world.sandbox.requests().len();
    let store = world.store();
    assert_eq!(unbind(&*store, &tenant, &id("cus_other"), &reason()).await, Ok(false));
    assert_eq!(unbind(&*store, &tenant, &first, &reason()).await, Ok(true));
    assert_eq!(unbind(&*store, &tenant, &first, &reason()).await, Ok(false));
    assert_eq!(world.sandbox.requests().len(), requests);
    let history = store.history(&tenant).await.unwrap();
    let said = history.events.iter().filter(|it| it.event.detail.contains("another currency"));
    assert_eq!(said.count(), 2, "{history:?}");
    let second = call(&billing, &tenant).await.unwrap();
    assert_eq!(second.outcome, Outcome::Created);
    assert_ne!(second.customer, first);
    world.not_ours.push(first.to_string());
}

#[tokio::test]
async fn nothing_is_unbound_while_a_creation_is_under_way() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let made = world.created_unseen(&tenant).await;
    let told = unbind(&*world.store(), &tenant, &id(&made.id), &reason()).await;
    assert_eq!(told.unwrap_err().code(), "retry_later");
    assert_eq!(world.state(&tenant).await, "pending");
    world.pass(Duration::from_secs(60)).await;
    brief(&world.billing(), &tenant).await.unwrap();
}
