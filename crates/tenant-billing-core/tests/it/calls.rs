//! What callers are told, and how those of one tenant share one piece of work.

use std::time::Duration;

use tenant_billing_core::{
    Advice, Billing, Error, Outcome, Policy,
    audit::{AuditEvent, EventKind, History, NewEvent},
    ports::{Clock, Store},
};

use crate::{
    answers::{API, BAD_EMAIL, response},
    fakes::{DEADLINE, created, world},
    scene::{At, But, CID, EMAIL, TENANT, cus, now, tenant, view},
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn how_a_customer_came_to_be_there_has_a_name() {
    let names = [Outcome::Existing, Outcome::Created, Outcome::Adopted].map(Outcome::as_str);
    assert_eq!(names, ["existing", "created", "adopted"]);
}

#[tokio::test(start_paused = true)]
async fn the_plain_call_takes_text_and_returns_an_id() {
    let world = world(Policy::default());
    let call = async |tenant: &str, email: &str| {
        world.billing.get_or_create_stripe_customer(tenant, email).await
    };
    assert_eq!(call("", EMAIL).await.map_err(|it| it.code()), Err("invalid_input"));
    assert_eq!(call(TENANT, "nobody").await.map_err(|it| it.code()), Err("invalid_input"));
    assert!(world.stripe.sent().is_empty());
    assert_eq!(call(TENANT, EMAIL).await, Ok(cus("cus_new1")));
    assert_eq!(call(TENANT, EMAIL).await, Ok(cus("cus_new1")));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_not_there_costs_stripe_nothing() {
    let world = world(Policy::default());
    world.store.put(view(At::NoRow).gone());
    assert_eq!(world.call().await, Err(Error::UnknownTenant(tenant())));
    assert!(world.stripe.asked().is_empty() && world.stripe.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lookup_creates_nothing() {
    let world = world(Policy::default());
    let table = [
        (view(At::Settled), Ok(Some(cus(CID)))),
        (view(At::NoRow), Ok(None)),
        (view(At::Pending), Ok(None)),
        (view(At::NoRow).gone(), Err(Error::UnknownTenant(tenant()))),
    ];
    for (view, expected) in table {
        world.store.put(view);
        assert_eq!(world.billing.lookup(&tenant()).await, expected);
    }
    assert!(world.stripe.asked().is_empty() && world.stripe.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_history_is_told_of_whoever_left_one() {
    let world = world(Policy::default());
    let at = now();
    let (generation, customer, request_id) = (1, None, None);
    let (kind, detail) = (EventKind::Opened, String::new());
    let event = NewEvent { kind, generation, customer, request_id, detail };
    for exists in [true, false] {
        for events in [vec![], vec![AuditEvent { at, event: event.clone() }]] {
            for state in [None, Some(("vacant", None))] {
                let known = exists || !events.is_empty() || state.is_some();
                let (bound, surplus) = (None, vec![]);
                let events = events.clone();
                let history = History { tenant: tenant(), exists, bound, state, events, surplus };
                world.store.data().history = Some(history.clone());
                let expected =
                    if known { Ok(history) } else { Err(Error::UnknownTenant(tenant())) };
                assert_eq!(world.billing.history(&tenant()).await, expected);
            }
        }
    }
}

#[test]
fn a_history_says_what_the_column_has_lost() {
    let history = |settled: Option<&str>, bound: Option<&str>| History {
        tenant: tenant(),
        exists: true,
        bound: bound.map(cus),
        state: Some(("settled", settled.map(cus))),
        events: vec![],
        surplus: vec![],
    };
    let table = [
        (Some("cus_1"), Some("cus_1"), None),
        (Some("cus_1"), Some("cus_2"), Some("cus_1")),
        (Some("cus_1"), None, Some("cus_1")),
        (None, Some("cus_2"), None),
        (None, None, None),
    ];
    for (settled, bound, overridden) in table {
        let history = history(settled, bound);
        assert_eq!(history.overridden().cloned(), overridden.map(cus));
    }
    assert_eq!(History { state: None, ..history(None, None) }.overridden(), None);
}

#[tokio::test(start_paused = true)]
async fn callers_at_once_share_one_creation() {
    let world = world(Policy::default());
    let calls = futures_util::future::join_all((0..50).map(|_| world.call())).await;
    assert_eq!(calls, vec![created("cus_new1"); 50]);
    assert_eq!(world.stripe.sent().len(), 1);
}

/// Stripe asks for more patience than the first caller has. Who waits a second longer shares its
/// fate; who waits longer than that has time for another try.
#[tokio::test(start_paused = true)]
async fn a_more_patient_caller_goes_on_where_another_gave_up() {
    for (patience, told) in [(2, false), (3, false), (4, true), (10, true)] {
        let world = world(Policy::default());
        world.stripe.answer([response(500, &[("Retry-After", "3")], API)]);
        let second = async {
            world.sent(1).await;
            world.call_within(seconds(patience)).await
        };
        let (first, second) = tokio::join!(world.call_within(seconds(2)), second);
        let first = first.expect_err("Stripe asked for more patience than it had");
        assert_eq!(first.advice(), Advice::TryAgain(seconds(3)));
        let expected = if told { created("cus_new2") } else { Err(first) };
        assert_eq!(second, expected, "{patience} s");
    }
}

#[tokio::test(start_paused = true)]
async fn who_asked_for_the_same_is_told_the_same_refusal() {
    let world = world(Policy::default());
    world.stripe.answer([response(400, &[], BAD_EMAIL)]);
    let mine = async {
        world.sent(1).await;
        world.call_within(Duration::from_nanos(1)).await
    };
    let (theirs, mine) = tokio::join!(world.call(), mine);
    assert!(matches!(theirs, Err(Error::Refused(_))), "{theirs:?}");
    assert_eq!(mine, theirs);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_waiting_and_not_the_work() {
    let world = world(Policy::default());
    world.stripe.takes(seconds(20));
    let told = world.call().await.expect_err("it takes long");
    assert!(told.unsettled(), "{told}");
    assert!(world.billing.shutdown(seconds(60)).await);
    assert_eq!(world.tenant().bound, Some(cus("cus_new1")));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_slow_costs_no_more_than_the_callers_patience() {
    let world = world(Policy::default());
    world.store.data().slow = DEADLINE * 3;
    let told = world.call().await;
    assert!(matches!(told, Err(Error::Later { unsettled: false, .. })), "{told:?}");
    let told = told.expect_err("it is slow").to_string();
    assert!(told.contains("the database"), "{told}");
    assert_eq!(world.call_within(DEADLINE * 100).await, created("cus_new1"));
}

/// Its first read finds none, and somebody else binds it before the second.
#[tokio::test(start_paused = true)]
async fn a_customer_bound_between_two_readings_is_returned() {
    for lookup in [true, false] {
        let world = world(Policy::default());
        world.store.data().slow = seconds(2);
        let bind = async {
            world.clock.sleep(seconds(3)).await;
            world.store.put(view(At::Settled));
        };
        let call = async {
            if lookup {
                return world.billing.lookup(&tenant()).await;
            }
            let called = world.call().await?;
            assert_eq!(called.1, Outcome::Existing);
            Ok(Some(cus(&called.0)))
        };
        let (called, ()) = tokio::join!(call, bind);
        assert_eq!(called, Ok(Some(cus(CID))));
        assert!(world.stripe.asked().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn billing_without_a_policy_creates_at_once() {
    let world = world(Policy { look_first: true, ..Policy::default() });
    let (store, stripe, clock) = (world.store.clone(), world.stripe.clone(), world.clock.clone());
    let billing = Billing::new(store, stripe, clock);
    assert_eq!(billing.get_or_create_stripe_customer(TENANT, EMAIL).await, Ok(cus("cus_new1")));
    assert_eq!(world.stripe.asked(), ["account"]);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_registered_once() {
    let world = world(Policy::default());
    for (tenant, new) in [("a", true), ("a", false), ("b", true), ("a", false)] {
        let tenant = tenant.parse().expect("a tenant id");
        assert_eq!(world.store.add_tenant(&tenant).await, Ok(new));
    }
}
