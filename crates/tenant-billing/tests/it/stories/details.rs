//! Whose details a Customer has, and tenants that have no e-mail address yet.

use std::time::Duration;

use stripe_sandbox::{Fault, Lag, Rule, When};
use tenant_billing::{Details, Error, Outcome, TenantCustomer, request::CustomerDetails};

use super::world::{World, call, details};

const PATIENCE: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_tenant_without_an_email_has_one_customer_too() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let bare = CustomerDetails::without_email();
    let first = billing.get_or_create(&tenant, &bare, PATIENCE).await.unwrap();
    assert_eq!((first.outcome, first.details), (Outcome::Created, Some(Details::AsGiven)));
    let made = &world.live()[0];
    assert_eq!((&*made.id, made.email.as_deref()), (first.customer.as_str(), None));
    assert_eq!(made.metadata["tenantId"], tenant.as_str());
    let again = call(&billing, &tenant).await.unwrap();
    assert_eq!(
        (again.customer, again.outcome, again.details),
        (first.customer, Outcome::Existing, None)
    );
}

/// Events are behind by up to an hour, and no list by e-mail shows what a stored failure has
/// created.
#[tokio::test]
async fn a_stored_failure_without_an_email_waits_for_the_events() {
    for side_effect in [true, false] {
        let world = World::new().await;
        let (billing, tenant) = (world.billing(), world.tenant(1).await);
        let bare = CustomerDetails::without_email();
        let told = async || -> Result<TenantCustomer, Error> {
            billing.get_or_create(&tenant, &bare, Duration::from_millis(300)).await
        };
        world.sandbox.set_lag(Lag { search_seconds: 3600, events_seconds: 3600 });
        world.fault(Fault::StoredError { side_effect }, 1);
        told().await.unwrap_err();
        for minutes in [0, 11, 48] {
            world.pass(minutes * MINUTE).await;
            assert_eq!(told().await.unwrap_err().code(), "retry_later", "{side_effect} {minutes}");
            assert_eq!((world.state(&tenant).await, world.creations()), ("in_doubt", 2));
        }
        world.pass(12 * MINUTE).await;
        let outcome = if side_effect { Outcome::Adopted } else { Outcome::Created };
        assert_eq!(told().await.unwrap().outcome, outcome);
        assert_eq!(world.live().len(), 1);
    }
}

/// The search shows what no list by e-mail can: the Customer of a row whose trail is lost too.
#[tokio::test]
async fn a_customer_without_an_email_is_found_again() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let bare = CustomerDetails::without_email();
    let first = billing.get_or_create(&tenant, &bare, PATIENCE).await.unwrap().customer;
    world.pass(31 * 24 * 60 * MINUTE).await;
    world.forget().await;
    let found = world.inquire_first().get_or_create(&tenant, &bare, PATIENCE).await.unwrap();
    assert_eq!((found.customer, found.outcome, found.details), (first, Outcome::Adopted, None));
    assert_eq!(world.creations(), 1);
}

#[tokio::test]
async fn a_corrected_address_that_comes_too_late_says_so() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    // A typo, and an answer that never came.
    world.sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").always());
    let typo = details("ownr@example.com");
    billing.get_or_create(&tenant, &typo, Duration::from_millis(300)).await.unwrap_err();
    assert!(billing.shutdown(PATIENCE).await);
    world.sandbox.disarm();
    let corrected = call(&world.billing(), &tenant).await.unwrap();
    assert_eq!(corrected.details, Some(Details::OfAnEarlierCall));
    assert_eq!(world.live()[0].email.as_deref(), Some("ownr@example.com"));

    // One work in one process, and two callers with details of their own.
    let tenant = world.tenant(2).await;
    let billing = world.billing();
    world.fault(Fault::Delay { ms: 300, when: When::Before }, 1);
    let (one, two) = (details("one@example.com"), details("two@example.com"));
    let (first, second) = tokio::join!(
        billing.get_or_create(&tenant, &one, PATIENCE),
        billing.get_or_create(&tenant, &two, PATIENCE)
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.customer, second.customer);
    let whose = [first.details, second.details];
    assert!(whose.contains(&Some(Details::AsGiven)), "{whose:?}");
    assert!(whose.contains(&Some(Details::OfAnEarlierCall)), "{whose:?}");
}
