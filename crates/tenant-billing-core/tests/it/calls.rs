//! The results of calls, and how the calls of one tenant share one piece of work.

use std::time::Duration;

use tenant_billing_core::{
    Billing, Details, Error, Outcome, Policy, Problem,
    audit::{AuditEvent, EventKind, History, NewEvent},
    ports::Clock,
};

use crate::{
    answers::{API, BAD_EMAIL, response},
    fakes::{DEADLINE, FakeStripe, created, ports, rejected, retries, world},
    scene::{At, But, CID, DETAILS, EMAIL, OTHER, TENANT, cus, now, tenant, view},
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn how_a_customer_came_to_be_bound_has_a_name() {
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

/// Also where the row was opened by a caller who is gone, and whoever joins the work gave the very
/// details that were frozen.
#[tokio::test(start_paused = true)]
async fn a_caller_is_told_whose_details_the_customer_has() {
    let world = world(Policy::default());
    world.store.put(view(At::Pending));
    let (tenant, patience) = (tenant(), Duration::from_secs(5));
    let same = async {
        world.sent(1).await;
        world.billing.get_or_create(&tenant, &DETAILS, patience).await
    };
    let other = world.billing.get_or_create(&tenant, &OTHER, patience);
    let (other, same) = tokio::join!(other, same);
    assert_eq!(other.map(|it| it.details), Ok(Some(Details::OfAnEarlierCall)));
    assert_eq!(same.map(|it| it.details), Ok(Some(Details::AsGiven)));
    let later = world.billing.get_or_create(&tenant, &DETAILS, patience).await;
    assert_eq!(later.map(|it| it.details), Ok(None));
}

/// Another process is faster, with the request that both have read. What was bound before is nobody's.
#[tokio::test(start_paused = true)]
async fn a_caller_is_told_whose_details_the_customer_of_a_faster_process_has() {
    let earlier = Details::OfAnEarlierCall;
    for (at, details, told) in [
        (At::Pending, &*OTHER, Some(earlier)),
        (At::Pending, &DETAILS, Some(Details::AsGiven)),
        (At::InDoubt, &OTHER, Some(earlier)),
        (At::Provisioned, &OTHER, None),
    ] {
        let world = world(Policy::default());
        world.store.put(view(at));
        world.store.data().held_by_another = at == At::InDoubt;
        world.stripe.answer([response(503, &[], API)]);
        let faster = async {
            world.clock.sleep(Duration::from_millis(50)).await;
            world.store.put(view(At::Provisioned));
        };
        let tenant = tenant();
        let call = world.billing.get_or_create(&tenant, details, Duration::from_secs(30));
        let (called, ()) = tokio::join!(call, faster);
        let called = called.expect("a Customer");
        assert_eq!((called.outcome, called.details), (Outcome::Existing, told), "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_tenant_causes_no_request_to_stripe() {
    let world = world(Policy::default());
    world.store.put(view(At::NoRow).gone());
    let told = world.call().await.expect_err("there is no such tenant");
    assert_eq!(told.problem(), &Problem::UnknownTenant(tenant()));
    assert!(!told.may_have_created());
    assert!(world.stripe.asked().is_empty() && world.stripe.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lookup_creates_nothing() {
    let world = world(Policy::default());
    let table = [
        (view(At::Provisioned), Ok(Some(cus(CID)))),
        (view(At::NoRow), Ok(None)),
        (view(At::Pending), Ok(None)),
        (view(At::NoRow).gone(), Err(Problem::UnknownTenant(tenant()))),
    ];
    for (view, expected) in table {
        world.store.put(view);
        let found = world.billing.lookup(&tenant()).await;
        assert_eq!(found.map_err(Error::into_problem), expected);
    }
    assert!(world.stripe.asked().is_empty() && world.stripe.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn there_is_a_history_of_every_tenant_that_left_one() {
    let world = world(Policy::default());
    let at = now();
    let (generation, customer, request_id) = (1, None, None);
    let (kind, detail) = (EventKind::Opened, String::new());
    let event = NewEvent { kind, generation, customer, request_id, detail };
    for exists in [true, false] {
        for events in [vec![], vec![AuditEvent { at, event: event.clone() }]] {
            for (state, bound) in
                [(None, None), (Some(("vacant", None)), None), (None, Some(cus(CID)))]
            {
                let known = exists || !events.is_empty() || state.is_some() || bound.is_some();
                let surplus = vec![];
                let events = events.clone();
                let history = History { tenant: tenant(), exists, bound, state, events, surplus };
                world.store.data().history = Some(history.clone());
                let expected =
                    if known { Ok(history) } else { Err(Problem::UnknownTenant(tenant())) };
                let found = world.billing.history(&tenant()).await;
                assert_eq!(found.map_err(Error::into_problem), expected);
            }
        }
    }
}

#[test]
fn a_history_says_which_customer_the_column_has_lost() {
    let history = |provisioned: Option<&str>, bound: Option<&str>| History {
        tenant: tenant(),
        exists: true,
        bound: bound.map(cus),
        state: Some(("provisioned", provisioned.map(cus))),
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
    for (provisioned, bound, overridden) in table {
        let history = history(provisioned, bound);
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

/// Stripe asks for a longer pause than the first caller's deadline permits. A caller whose deadline
/// is up to a second later gets the same error, and one with a later deadline begins its own work.
#[tokio::test(start_paused = true)]
async fn a_caller_with_a_later_deadline_goes_on_where_another_gave_up() {
    for (deadline, created_by_it) in [(2, false), (3, false), (4, true), (10, true)] {
        let world = world(Policy::default());
        world.stripe.answer([response(500, &[("Retry-After", "3")], API)]);
        let second = async {
            world.sent(1).await;
            world.call_within(seconds(deadline)).await
        };
        let (first, second) = tokio::join!(world.call_within(seconds(2)), second);
        let first = first.expect_err("Stripe asked for a longer pause");
        // Recovery takes over 5 s after the deadline of the call.
        assert_eq!(first.retry_after(), Some(seconds(7)));
        let expected = if created_by_it { created("cus_new2") } else { Err(first) };
        assert_eq!(second, expected, "{deadline} s");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_with_the_same_details_get_the_same_rejection() {
    let world = world(Policy::default());
    world.stripe.answer([response(400, &[], BAD_EMAIL)]);
    let mine = async {
        world.sent(1).await;
        world.call_within(Duration::from_nanos(1)).await
    };
    let (theirs, mine) = tokio::join!(world.call(), mine);
    assert!(rejected(&theirs), "{theirs:?}");
    assert_eq!(mine, theirs);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_and_not_the_work() {
    let world = world(Policy::default());
    world.stripe.takes(seconds(20));
    let told = world.call().await.expect_err("it takes long");
    assert!(told.may_have_created(), "{told}");
    assert!(world.billing.shutdown(seconds(60)).await);
    assert_eq!(world.tenant().bound, Some(cus("cus_new1")));
}

#[tokio::test(start_paused = true)]
async fn a_slow_database_costs_no_more_than_the_callers_deadline() {
    let world = world(Policy::default());
    world.store.data().slow = DEADLINE * 3;
    let told = world.call().await;
    assert!(retries(&told, true), "nothing was read: {told:?}");
    let told = told.expect_err("it is slow").to_string();
    assert!(told.contains("the database"), "{told}");
    assert_eq!(world.call_within(DEADLINE * 100).await, created("cus_new1"));
}

/// The first read finds none, and another process binds it before the second.
#[tokio::test(start_paused = true)]
async fn a_customer_bound_between_two_readings_is_returned() {
    for lookup in [true, false] {
        let world = world(Policy::default());
        world.store.data().slow = seconds(2);
        let bind = async {
            world.clock.sleep(seconds(3)).await;
            world.store.put(view(At::Provisioned));
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

/// Events cannot be read, which only matters to a call that begins with an inquiry.
#[tokio::test(start_paused = true)]
async fn billing_without_a_policy_creates_at_once() {
    let call = async |billing: Billing| {
        billing.get_or_create_stripe_customer(TENANT, EMAIL).await.map_err(|error| error.code())
    };
    let ports = || {
        let (store, stripe, _) = ports(FakeStripe::default());
        stripe.says("events", [response(403, &[], API)]);
        (store, stripe)
    };
    let (store, stripe) = ports();
    assert_eq!(call(Billing::new(store, stripe)).await, Ok(cus("cus_new1")));
    let (store, stripe) = ports();
    let policy = Policy { inquire_first: true, ..Policy::default() };
    let billing = Billing::with_policy(store, stripe, policy);
    assert_eq!(call(billing).await, Err("operator_must_act"));
}

/// A caller who joins work in flight gets its result whatever its own details are, unless the
/// result is a rejection of other details.
#[tokio::test(start_paused = true)]
async fn callers_with_other_details_get_the_same_customer_and_the_same_operators_error() {
    for (status, expected) in [(200, Ok(())), (401, Err("operator_must_act"))] {
        let world = world(Policy::default());
        world.stripe.answer([response(
            status,
            &[],
            r#"{"object":"customer","id":"cus_x","error":{"type":"x"}}"#,
        )]);
        let (tenant, a_moment) = (tenant(), Duration::from_nanos(1));
        let mine = async {
            world.sent(1).await;
            world.billing.get_or_create(&tenant, &OTHER, a_moment).await
        };
        let (theirs, mine) = tokio::join!(world.call(), mine);
        let code = |error: Error| error.code();
        assert_eq!(theirs.map(drop).map_err(code), expected, "{status}");
        let details = mine.as_ref().ok().map(|it| it.details);
        assert_eq!(details, expected.ok().map(|()| Some(Details::OfAnEarlierCall)));
        assert_eq!(mine.map(drop).map_err(code), expected, "{status}");
        assert_eq!(world.stripe.sent().len(), 1);
    }
}
