//! What only an operator can put right, and Customers that the host has put into another tenant's
//! column.

use std::{sync::Arc, time::Duration};

use tenant_billing::{
    Billing, OperatorError, Outcome, Policy, Problem,
    audit::{EventKind as K, SurplusReason},
    ids::{CustomerId, IdempotencyKey, InstallationId, Mode, TenantId},
    ports::{Committed, Stripe},
    request::{Account, FrozenRequest, Identity},
    state::Change,
};

use super::world::{World, brief, call, details, id};
use crate::stripe_client::{
    trust::Tls,
    wire::{Reply, Wire, whole},
};

fn account() -> Account {
    Account { id: "acct_sandbox".parse().unwrap(), mode: Mode::Test }
}

/// Creates a Customer whose metadata names the tenant and no installation.
async fn legacy_customer(world: &World, tenant: &TenantId) -> CustomerId {
    let installation = InstallationId::parse("of-nobody").unwrap();
    let identity = Identity { installation, account: account(), stripe_account: None };
    let mut request = FrozenRequest::freeze(&identity, tenant, 1, &details("owner@example.com"));
    let key = format!("legacy-{}", world.sandbox.customers().len());
    request.key = IdempotencyKey::parse(&key).unwrap();
    request.body = format!("email=owner%40example.com&metadata[tenantId]={tenant}");
    let begin_by = Duration::from_secs(u64::MAX / 4);
    world.stripe("sk_test_1").create_customer(&request, begin_by).await;
    id(&world.sandbox.customers().iter().max_by_key(|it| it.created).unwrap().id)
}

#[tokio::test]
async fn a_customer_in_another_tenants_column_is_not_surplus() {
    let mut world = World::new().await;
    let (tenant, other) = (world.tenant(1).await, world.tenant(2).await);
    let older = legacy_customer(&world, &tenant).await;
    world.sandbox.advance(Duration::from_secs(5));
    let newer = legacy_customer(&world, &tenant).await;
    assert_ne!(older, newer);
    world
        .sql(&format!(
            "INSERT INTO tenant_config (id, tenant_id, stripe_customer_id)
             VALUES ('{other}', '{other}', '{newer}')"
        ))
        .await;

    let found = call(&world.inquire_first(), &tenant).await.unwrap();
    assert_eq!((&found.customer, found.outcome), (&older, Outcome::Adopted));
    let kinds = world.kinds(&tenant).await;
    assert_eq!(kinds, [K::Opened, K::Adopted]);
    for tenant in [&tenant, &other] {
        let history = world.store().history(tenant).await.unwrap();
        assert!(history.surplus.is_empty(), "{history:?}");
        let named = history.events.iter().any(|it| it.event.customer.as_ref() == Some(&newer));
        assert!(!named, "{history:?}");
    }
    assert_eq!(call(&world.billing(), &other).await.unwrap().customer, newer);
    assert_eq!(world.live().len(), 2);
    world.not_ours.push(newer.to_string());
}

/// How an inquiry comes to know of a Customer that it must retrieve.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// It is on record as surplus, unresolved.
    Record,
    /// An event says that one of our keys has created it.
    Event,
}

#[tokio::test]
async fn a_customer_that_cannot_be_retrieved_is_an_operators_matter() {
    let gone = id("cus_gone");
    let missing = r#"{"error": {"type": "invalid_request_error", "code": "resource_missing"}}"#;
    let forbidden = r#"{"error": {"type": "invalid_request_error"}}"#;
    let why = format!("read Customer {gone}: HTTP 403 type=invalid_request_error");
    let not_permitted = OperatorError::NotPermitted(why);
    for (status, body, expected) in [
        ("404 Not Found", missing, OperatorError::UnknownCustomer(gone.clone())),
        ("403 Forbidden", forbidden, not_permitted),
    ] {
        for source in [Source::Record, Source::Event] {
            let world = World::new().await;
            let tenant = world.tenant(1).await;
            let (installation, _) =
                tenant_billing::conformance::register(&*world.store(), &account(), None)
                    .await
                    .unwrap();
            let event = match source {
                Source::Record => {
                    let store = world.store();
                    let mut change = Change::none(&store.view(&tenant, &[]).await.unwrap());
                    change.surplus.push((gone.clone(), SurplusReason::Late));
                    assert_eq!(store.commit(&change).await, Ok(Committed::Yes));
                    String::new()
                }
                Source::Event => format!(
                    r#"{{"id": "evt_1", "object": "event", "type": "customer.created", "created": 1,
                        "data": {{"object": {{"id": "{gone}", "object": "customer"}}}}, "request":
                        {{"idempotency_key": "tenant-billing/{installation}/test/{tenant}/1"}}}}"#
                ),
            };
            let list = |data: &str| {
                Reply::json(&format!(
                    r#"{{"object": "list", "data": [{data}], "has_more": false}}"#
                ))
            };
            // Who we are, then events, list and search, then the Customer that was named.
            let wire = Wire::new([
                Reply::json(r#"{"id": "acct_sandbox", "object": "account"}"#),
                list(&event),
                list(""),
                list(""),
                Reply::Say(whole(status, body)),
            ])
            .await;
            let stripe = world.stripe("sk_test_1").with_base(&wire.url).unwrap();
            let policy = Policy { inquire_first: true, ..Policy::default() };
            let billing = Billing::shared(world.store(), Arc::new(stripe), policy);
            let error = call(&billing, &tenant).await.unwrap_err();
            assert_eq!(error.problem(), &Problem::Operator(expected.clone()), "{source:?}");
            assert_eq!((error.code(), error.http_status()), ("operator_must_act", 500));
            assert_eq!(world.state(&tenant).await, "in_doubt", "{status} {source:?}");
            assert_eq!(world.kinds(&tenant).await.last(), Some(&K::InquiryFailed));
            let requests = wire.seen().requests;
            assert!(requests.iter().all(|it| it.starts_with("GET ")), "nothing is created");
            assert!(requests[4].starts_with("GET /v1/customers/cus_gone "), "{requests:?}");
            // It stays so: the next call waits for the next inquiry, and creates nothing either.
            brief(&billing, &tenant).await.unwrap_err();
            assert_eq!(world.state(&tenant).await, "in_doubt", "{status} {source:?}");
        }
    }
}

#[tokio::test]
async fn a_secret_key_that_stripe_does_not_accept_is_an_operators_matter() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let billing = world.billing_with("sk_test_invalid1", Default::default());
    let error = call(&billing, &tenant).await.unwrap_err();
    assert_eq!(error.cause(), "bad_key", "{error:?}");
    let billing = world.billing_with("rk_test_noaccount", Default::default());
    let error = call(&billing, &tenant).await.unwrap_err();
    assert_eq!(error.cause(), "account_unreadable", "{error:?}");
    assert_eq!(world.state(&tenant).await, "no row");
}

/// It is told by what it is that a key lacks, whichever call of a flow finds out. Nothing is created
/// meanwhile, and a better key goes on where the other one stopped.
#[tokio::test]
async fn a_restricted_key_without_a_permission_is_told_which() {
    let inquire = || Policy { inquire_first: true, ..Policy::default() };
    for (key, policy, what, permission, state) in [
        (
            "rk_test_nocustomerwrite",
            Policy::default(),
            "create a Customer",
            "rak_customer_write",
            "pending",
        ),
        ("rk_test_noevents", inquire(), "read events", "rak_event_read", "in_doubt"),
        ("rk_test_nocustomerread", inquire(), "read customers", "rak_customer_read", "in_doubt"),
    ] {
        let world = World::new().await;
        let tenant = world.tenant(1).await;
        let error = call(&world.billing_with(key, policy.clone()), &tenant).await.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.cause(), "not_permitted", "{said}");
        assert!(said.contains(&format!("may not {what}: HTTP 403")), "{said}");
        assert!(said.contains(&format!("permission={permission}")), "{said}");
        assert!(!said.contains(key) && !said.contains("acct_"), "{said}");
        assert_eq!((world.state(&tenant).await, world.live().len()), (state, 0));
        world.pass(Duration::from_secs(120)).await;
        call(&world.billing_with("rk_test_1", policy), &tenant).await.unwrap();
        assert_eq!(world.live().len(), 1);
    }
    // Who may not read the account must say which one it is; then that right is not needed.
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let error = call(&world.billing_with("rk_test_noaccount", Policy::default()), &tenant).await;
    let said = error.unwrap_err().to_string();
    assert!(said.contains("permission=rak_accounts_kyc_basic_read"), "{said}");
    let stripe = world.stripe("rk_test_noaccount_noevents_nocustomerread");
    let stripe = stripe.with_account("acct_sandbox".parse().unwrap());
    let billing = Billing::shared(world.store(), Arc::new(stripe), Policy::default());
    call(&billing, &tenant).await.unwrap();
}

/// A process that remembers its account sends without having asked for it again.
#[tokio::test]
async fn a_key_that_is_revoked_meanwhile() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let refused = r#"{"error": {"type": "invalid_request_error"}}"#;
    let account = || Reply::json(r#"{"id": "acct_sandbox", "object": "account"}"#);
    let wire = Wire::new([account(), Reply::Say(whole("401 Unauthorized", refused))]).await;
    let stripe = world.stripe("sk_test_1").with_base(&wire.url).unwrap();
    let billing = Billing::shared(world.store(), Arc::new(stripe), Policy::default());
    let error = call(&billing, &tenant).await.unwrap_err();
    assert_eq!(error.cause(), "bad_key", "{error}");
    assert!(error.may_have_created());
    assert_eq!(world.state(&tenant).await, "pending");
    call(&world.billing(), &tenant).await.unwrap();
    assert_eq!(world.live().len(), 1);
}

#[tokio::test]
async fn stripe_over_tls_that_is_not_trusted_is_an_operators_matter() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let server = Tls::intercepting();
    let stripe = world.stripe("sk_test_1").with_base(&server.url).unwrap();
    let billing = Billing::shared(world.store(), Arc::new(stripe), Policy::default());
    let error = call(&billing, &tenant).await.unwrap_err();
    assert_eq!((error.cause(), error.code()), ("tls_untrusted", "operator_must_act"), "{error}");
    assert!(error.retry_after().is_none() && !error.may_have_created());
    call(&world.billing(), &tenant).await.unwrap();
    assert_eq!(world.live().len(), 1);
}

#[tokio::test]
async fn a_database_belongs_to_one_account_and_mode() {
    let world = World::new().await;
    let (tenant, fresh) = (world.tenant(1).await, world.tenant(2).await);
    call(&world.billing(), &tenant).await.unwrap();
    for key in ["sk_live_1", "sk_test_acct_other"] {
        let billing = world.billing_with(key, Default::default());
        let error = call(&billing, &fresh).await.unwrap_err();
        assert_eq!(error.cause(), "wrong_account", "{error:?}");
        assert_eq!((error.code(), error.http_status()), ("operator_must_act", 500));
        // Since Stripe has said whose key it is, the process gives no id of a bound tenant either.
        assert_eq!(call(&billing, &tenant).await.unwrap_err().cause(), "wrong_account");
    }
    assert_eq!(world.creations(), 1);
    assert_eq!(world.state(&fresh).await, "no row");
}
