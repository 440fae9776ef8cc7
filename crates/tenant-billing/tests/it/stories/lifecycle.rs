//! The life of a Customer after its creation: deletions, edits, hosts and operators.

use std::time::Duration;

use stripe_sandbox::{Fault, Lag, Rule, When};
use tenant_billing::{
    Error, OperatorError, Outcome, Problem,
    audit::{EventKind as K, SurplusReason},
    ids::{CustomerId, IdempotencyKey, InstallationId, Mode, TenantId},
    ports::Stripe,
    request::{Account, FrozenRequest, Identity},
};

use super::world::{World, brief, call, details, id, reason};

#[tokio::test]
async fn a_deleted_customer_is_followed_by_another_once_it_is_known() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let first = call(&billing, &tenant).await.unwrap().customer;
    world.sandbox.delete_customer(first.as_str());
    assert_eq!(call(&billing, &tenant).await.unwrap().customer, first, "nobody has told us");
    for _ in 0..2 {
        billing.customer_deleted(&first).await.unwrap();
    }
    assert_eq!(billing.lookup(&tenant).await.unwrap(), None);
    let second = call(&billing, &tenant).await.unwrap();
    assert_eq!(second.outcome, Outcome::Created);
    assert_ne!(second.customer, first);
    billing.customer_deleted(&first).await.unwrap();
    assert_eq!(billing.lookup(&tenant).await.unwrap(), Some(second.customer));
}

#[tokio::test]
async fn a_deletion_delivered_before_the_answer_prevents_the_bind() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let pending = world.under_way(&billing, &tenant).await;
    let dead = world.live()[0].id.clone();
    world.sandbox.delete_customer(&dead);
    billing.customer_deleted(&id(&dead)).await.unwrap();
    let answer = pending.await.unwrap().unwrap();
    assert_ne!(answer.customer.as_str(), dead);
    assert_eq!(world.live().len(), 1);
}

#[tokio::test]
async fn a_customer_deleted_before_its_answer_is_replayed_is_not_bound() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let dead = world.created_unseen(&tenant).await.id;
    world.sandbox.delete_customer(&dead);
    let answer = call(&world.billing(), &tenant).await.unwrap();
    assert_ne!(answer.customer.as_str(), dead);
    let kinds = world.kinds(&tenant).await;
    assert!(kinds.ends_with(&[K::Vacated, K::Opened, K::Created]), "{kinds:?}");
}

#[tokio::test]
async fn a_created_webhook_binds_a_customer_whose_answer_was_lost() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let made = world.created_unseen(&tenant).await;
    let key = made.idempotency_key.clone().unwrap();
    world.sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").always());
    for key in ["", "a-strangers-key", "tenant-billing/other-installation/test/x/1"] {
        billing.customer_created(key, &id(&made.id)).await.unwrap();
    }
    assert_eq!(billing.lookup(&tenant).await.unwrap(), None);
    for _ in 0..2 {
        billing.customer_created(&key, &id(&made.id)).await.unwrap();
    }
    assert_eq!(billing.lookup(&tenant).await.unwrap(), Some(id(&made.id)));
    assert_eq!(world.kinds(&tenant).await.last(), Some(&K::Created));
}

#[tokio::test]
async fn a_created_webhook_recovers_a_lost_row() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let made = call(&billing, &tenant).await.unwrap().customer;
    let key = world.live()[0].idempotency_key.clone().unwrap();
    world.sql("DELETE FROM customer_provisioning; DELETE FROM tenant_config").await;
    let billing = world.billing();
    billing.customer_created(&key, &made).await.unwrap();
    assert_eq!(billing.lookup(&tenant).await.unwrap(), Some(made));
}

#[tokio::test]
async fn a_created_webhook_for_a_customer_deleted_since_binds_nothing() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let made = world.created_unseen(&tenant).await;
    world.sandbox.delete_customer(&made.id);
    let billing = world.billing();
    let key = made.idempotency_key.unwrap();
    billing.customer_created(&key, &id(&made.id)).await.unwrap();
    assert_eq!(billing.lookup(&tenant).await.unwrap(), None);
    assert_ne!(call(&billing, &tenant).await.unwrap().customer, id(&made.id));
}

#[tokio::test]
async fn a_column_that_the_host_nulls_is_filled_with_the_same_customer() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let first = call(&billing, &tenant).await.unwrap().customer;
    world.sql("UPDATE tenant_config SET stripe_customer_id = NULL").await;
    assert_eq!(call(&billing, &tenant).await.unwrap().customer, first);
    assert_eq!(world.kinds(&tenant).await.last(), Some(&K::Rebound));
    world.sql("UPDATE tenant_config SET stripe_customer_id = NULL").await;
    world.sandbox.delete_customer(first.as_str());
    let second = call(&billing, &tenant).await.unwrap();
    assert_ne!(second.customer, first);
    assert_eq!(world.creations(), 2);
}

/// Found by simulation: what is known of one Customer must not be taken for news of the next.
#[tokio::test]
async fn a_customer_deleted_while_it_is_put_back_does_not_take_its_successor_along() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let first = call(&billing, &tenant).await.unwrap().customer;
    world.sql("UPDATE tenant_config SET stripe_customer_id = NULL").await;
    let late = Rule::new(Fault::Delay { ms: 1000, when: When::After });
    world.sandbox.arm(late.method("GET").path(&format!("/v1/customers/{first}")));
    let pending = tokio::spawn({
        let (billing, tenant) = (billing.clone(), tenant.clone());
        async move { call(&billing, &tenant).await }
    });
    world.wait(Duration::from_millis(150)).await;
    // Deleted, and another process has begun anew, while the retrieve that showed it alive is on
    // its way.
    world.sandbox.delete_customer(first.as_str());
    billing.customer_deleted(&first).await.unwrap();
    world.fault(Fault::RequestLost, 100);
    let other = world.billing();
    brief(&other, &tenant).await.unwrap_err();
    other.shutdown(Duration::from_secs(5)).await;
    world.sandbox.disarm();
    let second = pending.await.unwrap().unwrap().customer;
    assert_ne!(second, first);
    assert_eq!(world.live().len(), 1);
    assert!(world.live()[0].idempotency_key.as_deref().unwrap().ends_with("/2"));
}

#[tokio::test]
async fn a_column_that_the_host_overwrites_is_the_hosts() {
    let mut world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let ours = call(&billing, &tenant).await.unwrap().customer;
    world.sql("UPDATE tenant_config SET stripe_customer_id = 'cus_hosts_own'").await;
    assert_eq!(call(&billing, &tenant).await.unwrap().customer, id("cus_hosts_own"));
    let history = billing.history(&tenant).await.unwrap();
    assert_eq!(history.overridden(), Some(&ours));
    world.not_ours.push(ours.to_string());
}

#[tokio::test]
async fn a_host_that_binds_while_we_create_wins_and_ours_is_on_record() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let pending = world.under_way(&billing, &tenant).await;
    world
        .sql(&format!(
            "INSERT INTO tenant_config (id, tenant_id, stripe_customer_id)
         VALUES ('{tenant}', '{tenant}', 'cus_hosts_own')"
        ))
        .await;
    let answer = pending.await.unwrap().unwrap();
    assert_eq!(answer.customer, id("cus_hosts_own"));
    let history = billing.history(&tenant).await.unwrap();
    assert_eq!(history.surplus[0].customer, id(&world.live()[0].id));
    assert_eq!(history.surplus[0].reason, SurplusReason::HostBoundAnother);
}

#[tokio::test]
async fn a_tenant_deleted_and_registered_again_gets_its_customer_back() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let first = call(&billing, &tenant).await.unwrap().customer;
    world.sql("DELETE FROM tenants").await;
    assert_eq!(
        call(&billing, &tenant).await.map_err(Error::into_problem),
        Err(Problem::UnknownTenant(tenant.clone()))
    );
    assert!(billing.history(&tenant).await.is_ok(), "what happened is still on record");
    world.tenant(1).await;
    assert_eq!(call(&billing, &tenant).await.unwrap().customer, first);
    assert_eq!(world.creations(), 1);
}

#[tokio::test]
async fn a_tenant_deleted_while_we_create_leaves_its_customer_on_record() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    world.created_unseen(&tenant).await;
    world.sql("DELETE FROM tenants").await;
    world.pass(Duration::from_secs(20)).await;
    let billing = world.billing();
    world.recover_all(&billing).await;
    let history = billing.history(&tenant).await.unwrap();
    assert_eq!(history.surplus[0].reason, SurplusReason::TenantGone);
    // Registered again, it is given what was made for it.
    world.tenant(1).await;
    assert_eq!(call(&billing, &tenant).await.unwrap().customer, history.surplus[0].customer);
    assert!(billing.history(&tenant).await.unwrap().surplus[0].resolved_at.is_some());
}

#[tokio::test]
async fn an_email_edited_in_the_dashboard_hides_nothing_from_an_inquiry() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let made = world.created_unseen(&tenant).await.id;
    assert!(world.sandbox.edit_email(&made, "edited@example.com"));
    world.pass(Duration::from_secs(25 * 3600)).await;
    assert_eq!(call(&world.billing(), &tenant).await.unwrap().customer, id(&made));
}

#[tokio::test]
async fn what_could_not_be_read_is_never_taken_for_none() {
    for path in ["/v1/events", "/v1/customers/search", "/v1/customers"] {
        let world = World::new().await;
        let tenant = world.tenant(1).await;
        let broken = Rule::new(Fault::ServerError { should_retry: false });
        world.sandbox.arm(broken.method("GET").path(path).always());
        let billing = world.inquire_first();
        let error = brief(&billing, &tenant).await.unwrap_err();
        assert!(error.code() == "retry_later", "{path}: {error:?}");
        assert!(billing.shutdown(Duration::from_secs(5)).await, "{path}: the inquiry is over");
        assert_eq!(world.creations(), 0, "{path}");
        world.sandbox.disarm();
        world.pass(Duration::from_secs(61)).await;
        assert_eq!(call(&world.inquire_first(), &tenant).await.unwrap().outcome, Outcome::Created);
    }
}

/// The installation of code that has no such idea.
const NOBODYS: &str = "of-nobody";

/// The ten lines that were there before this had made it, and died before they saved it.
#[tokio::test]
async fn a_customer_that_earlier_code_created_is_adopted_with_inquire_first() {
    let mut world = World::new().await;
    let tenant = world.tenant(1).await;
    let theirs = planted(&world, &tenant, NOBODYS, "test").await;
    let found = call(&world.inquire_first(), &tenant).await.unwrap();
    assert_eq!((&found.customer, found.outcome), (&theirs, Outcome::Adopted));
    // Without an inquiry nobody knows of it, and there are two. That is what inquire_first is for.
    let other = world.tenant(2).await;
    let unseen = planted(&world, &other, NOBODYS, "test").await;
    assert_eq!(call(&world.billing(), &other).await.unwrap().outcome, Outcome::Created);
    world.not_ours.push(unseen.as_str().to_owned());
}

/// A Customer that names this tenant and this installation, or none, made by hand.
async fn planted(world: &World, tenant: &TenantId, installation: &str, mode: &str) -> CustomerId {
    let key = format!("sk_{mode}_1");
    let identity = Identity {
        installation: InstallationId::parse(installation).unwrap(),
        account: Account { id: "acct_sandbox".parse().unwrap(), mode: Mode::parse(mode).unwrap() },
        stripe_account: None,
    };
    let count = world.sandbox.customers().len();
    let email = details("owner@example.com");
    let mut request = FrozenRequest::freeze(&identity, tenant, 1, &email);
    request.key = IdempotencyKey::parse(&format!("planted-{count}")).unwrap();
    if installation == NOBODYS {
        request.body = format!("email=owner%40example.com&metadata[tenantId]={tenant}");
    }
    let begin_by = Duration::from_secs(u64::MAX / 4);
    let answer = world.stripe(&key).create_customer(&request, begin_by).await;
    let verdict = tenant_billing::answer::judge(&answer, &request);
    let tenant_billing::answer::Verdict::Created { customer, .. } = verdict else {
        panic!("{verdict:?}")
    };
    customer
}

async fn installation(world: &World) -> String {
    let account = Account { id: "acct_sandbox".parse().unwrap(), mode: Mode::Test };
    tenant_billing::conformance::register(&*world.store(), &account, None)
        .await
        .unwrap()
        .0
        .to_string()
}

#[tokio::test]
async fn of_several_the_oldest_is_adopted_and_the_others_are_surplus() {
    let mut world = World::new().await;
    let tenant = world.tenant(1).await;
    let ours = installation(&world).await;
    let oldest = planted(&world, &tenant, &ours, "test").await;
    world.sandbox.advance(Duration::from_secs(5));
    let younger = planted(&world, &tenant, &ours, "test").await;
    let found = call(&world.inquire_first(), &tenant).await.unwrap();
    assert_eq!((found.customer, found.outcome), (oldest, Outcome::Adopted));
    let surplus = world.store().surplus(&tenant).await.unwrap();
    assert_eq!(surplus.len(), 1);
    assert_eq!((&surplus[0].customer, surplus[0].reason), (&younger, SurplusReason::Duplicate));
    world.not_ours.push(younger.to_string());
}

#[tokio::test]
async fn a_customer_of_another_installation_is_passed_over_in_test_mode() {
    let mut world = World::new().await;
    let tenant = world.tenant(1).await;
    let foreign = planted(&world, &tenant, "another-installation", "test").await;
    let made = call(&world.inquire_first(), &tenant).await.unwrap();
    assert_eq!(made.outcome, Outcome::Created);
    assert!(world.store().surplus(&tenant).await.unwrap().is_empty());
    world.not_ours.push(foreign.to_string());
}

#[tokio::test]
async fn a_customer_of_another_installation_stops_an_inquiry_in_live_mode() {
    let mut world = World::new().await;
    let tenant = world.tenant(1).await;
    let foreign = planted(&world, &tenant, "another-installation", "live").await;
    let policy = tenant_billing::Policy { inquire_first: true, ..Default::default() };
    let error = call(&world.billing_with("sk_live_1", policy), &tenant).await.unwrap_err();
    let installation = "another-installation".parse().unwrap();
    let foreigners = OperatorError::ForeignCustomer { customer: foreign.clone(), installation };
    assert_eq!(error.problem(), &foreigners.into());
    world.not_ours.push(foreign.to_string());
}

#[tokio::test]
async fn an_email_alone_never_decides_ownership() {
    let mut world = World::new().await;
    let (tenant, other) = (world.tenant(1).await, world.tenant(2).await);
    let ours = installation(&world).await;
    let others = planted(&world, &other, &ours, "test").await;
    let made = call(&world.inquire_first(), &tenant).await.unwrap();
    assert_eq!(made.outcome, Outcome::Created, "the same e-mail, but another tenant's");
    world.not_ours.push(others.to_string());
}

#[tokio::test]
async fn a_customer_that_an_operator_unbound_is_never_adopted_again() {
    let mut world = World::new().await;
    let (billing, tenant) = (world.inquire_first(), world.tenant(1).await);
    let first = call(&billing, &tenant).await.unwrap().customer;
    assert!(billing.unbind(&tenant, &first, &reason()).await.unwrap());
    assert_eq!(billing.lookup(&tenant).await.unwrap(), None);
    let second = call(&billing, &tenant).await.unwrap();
    assert_eq!(second.outcome, Outcome::Created);
    assert_ne!(second.customer, first);
    world.not_ours.push(first.to_string());
}

/// Found by simulation: the lost generation's key would only ever bring back what was taken off.
#[tokio::test]
async fn a_customer_unbound_after_its_row_was_lost_is_followed_by_another() {
    let mut world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let first = call(&billing, &tenant).await.unwrap().customer;
    world.sql("DELETE FROM customer_provisioning").await;
    assert!(billing.unbind(&tenant, &first, &reason()).await.unwrap());
    let error = brief(&billing, &tenant).await.unwrap_err();
    assert!(error.code() == "retry_later" && error.may_have_created(), "{error:?}");
    world.pass(Duration::from_secs(5 * 3600 + 1)).await;
    let second = call(&billing, &tenant).await.unwrap();
    assert_eq!(second.outcome, Outcome::Created);
    assert_ne!(second.customer, first);
    assert_eq!(world.creations(), 2, "and no endless sending in between");
    world.not_ours.push(first.to_string());
}

#[tokio::test]
async fn what_search_shows_late_is_waited_for() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    world.sandbox.set_lag(Lag { search_seconds: 3600, events_seconds: 3600 });
    let made = world.created_unseen(&tenant).await.id;
    assert!(world.sandbox.edit_email(&made, "edited@example.com"));
    // The row is lost, and another e-mail asked for: only events and search can tell, in an hour.
    world.sql("DELETE FROM customer_provisioning").await;
    let again = world.billing();
    let third = details("third@example.com");
    let ask = || again.get_or_create(&tenant, &third, Duration::from_millis(300));
    let error = ask().await.unwrap_err();
    assert!(error.code() == "retry_later" && error.may_have_created(), "{error:?}");
    world.pass(Duration::from_secs(30 * 60)).await;
    ask().await.unwrap_err();
    world.pass(Duration::from_secs(31 * 60)).await;
    assert_eq!(ask().await.unwrap().customer, id(&made));
}
