//! How the loop sends, and what it does while other processes write.

use std::time::Duration;

use tenant_billing_core::{
    OperatorError, Outcome, Policy, Problem,
    audit::{EventKind, SurplusReason},
    ids::Mode,
    ports::Clock,
    state::{State, View},
};

use crate::{
    answers::{API, IN_USE, response},
    fakes::{Commit, DEADLINE, created, retries, world},
    scene::{
        At, But, DETAILS, G, account, cus, in_doubt, minutes, now, ours, request, row_in, unbound,
        view,
    },
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_hundred_conflicts_in_a_row_are_the_progress_of_others_and_more_are_an_error() {
    for (conflicts, contended) in [(1, false), (100, false), (101, true)] {
        let world = world(Policy::default());
        world.store.plan_commits([Commit::Succeeds]);
        world.store.plan_commits(std::iter::repeat_n(Commit::Conflicts, conflicts));
        match world.call().await {
            Ok(called) => assert!(!contended, "{called:?} after {conflicts}"),
            Err(error) => {
                assert!(contended && error.may_have_created(), "{error} after {conflicts}");
                assert!(error.to_string().contains("keep changing"), "{error}");
            }
        }
    }
}

/// A trigger of the host's, say, that swallows what is written.
#[tokio::test(start_paused = true)]
async fn conflicts_over_a_tenant_that_nobody_changes_are_an_operators_matter() {
    for binding in [false, true] {
        for (conflicts, told) in [(10, false), (11, true)] {
            let world = world(Policy::default());
            // Time goes on between two readings, and that is no change.
            world.store.data().slow = Duration::from_millis(1);
            world.store.plan_commits(binding.then_some(Commit::Succeeds));
            let swallowed = std::iter::repeat_n(Commit::KeepsNothing, conflicts);
            world.store.plan_commits(swallowed);
            match world.call().await {
                Ok(called) => assert!(!told, "{called:?} after {conflicts}"),
                Err(error) => {
                    assert!(told, "{error} after {conflicts}");
                    assert_eq!(error.cause(), "write_refused");
                    assert!(error.to_string().contains("trigger"), "{error}");
                    assert_eq!(error.may_have_created(), binding, "{error}");
                }
            }
            assert_eq!(world.stripe.sent().len(), usize::from(binding || !told));
        }
    }
}

/// The pauses double up to 5 s, as those of Stripe's own libraries do.
#[tokio::test(start_paused = true)]
async fn a_stripe_that_is_unavailable_gets_few_requests() {
    let world = world(Policy::default());
    world.stripe.answer(std::iter::repeat_n(response(500, &[], API), 1000));
    let _ = world.call_within(seconds(60)).await;
    let sends = world.stripe.sent().len();
    assert!((10..=15).contains(&sends), "{sends} sends in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_unavailable_while_a_customer_waits_gets_few_commits() {
    let world = world(Policy::default());
    let commits = 1000;
    world.store.plan_commits([Commit::Succeeds]);
    world.store.plan_commits(std::iter::repeat_n(Commit::Fails, commits));
    let _ = world.call().await;
    assert!(!world.billing.shutdown(seconds(50)).await, "the Customer is not dropped");
    let tries = commits - world.store.data().planned.len();
    assert!((10..=15).contains(&tries), "{tries} tries in a minute");
}

/// A body must begin to leave within 30 seconds of the reading that permits it, and the wait for
/// one of the few slots must not use them up.
#[tokio::test(start_paused = true)]
async fn a_send_that_waited_for_a_slot_has_25_seconds_left_at_least() {
    for (queued, begin_by) in [(4, 30), (5, 30), (6, 36)] {
        let world = world(Policy { concurrent_sends: 1, ..Policy::default() });
        world.stripe.takes(seconds(queued));
        let other = "another".parse().expect("a tenant id");
        let second = async {
            world.sent(1).await;
            world.billing.get_or_create(&other, &DETAILS, seconds(60)).await
        };
        let (first, second) = tokio::join!(world.call_within(seconds(60)), second);
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(world.stripe.begin_by(), [seconds(30), seconds(begin_by)], "{queued} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_that_waited_too_long_for_a_slot_is_decided_anew() {
    let world = world(Policy { concurrent_sends: 1, ..Policy::default() });
    world.stripe.takes(seconds(6));
    let other = "another".parse().expect("a tenant id");
    let first = world.billing.get_or_create(&other, &DETAILS, DEADLINE);
    let second = async {
        world.sent(1).await;
        world.call().await
    };
    let meanwhile = async {
        world.sent(1).await;
        world.clock.sleep(seconds(3)).await;
        let mut provisioned = view(At::Provisioned);
        provisioned.row.iter_mut().for_each(|row| row.version = 9);
        world.store.put(provisioned);
    };
    let (first, second, ()) = tokio::join!(first, second, meanwhile);
    assert!(first.is_ok());
    assert_eq!(second, Ok(("cus_cid".into(), Outcome::Existing)));
    assert_eq!(world.stripe.sent().len(), 1, "the second request was not sent");
}

/// Its Customer is bound at once, whatever the row is by then.
#[tokio::test(start_paused = true)]
async fn an_answer_whose_row_was_lost_meanwhile_is_bound_at_once() {
    let world = world(Policy::default());
    world.store.put(view(At::Pending));
    let lose = async {
        world.sent(1).await;
        world.store.put(unbound(None));
    };
    let (called, ()) = tokio::join!(world.call(), lose);
    assert_eq!(called, created("cus_new1"));
    assert_eq!(world.store.data().surplus, [], "the record of it is resolved");
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_an_older_generation_is_on_record_once() {
    let world = world(Policy::default());
    world.store.put(view(At::Pending));
    let go_on = async {
        world.sent(1).await;
        let mut next = row_in(State::Pending(request(G + 1)));
        (next.generation, next.version) = (G + 1, 9);
        world.store.put(unbound(Some(next)));
    };
    // An inquiry cannot read it yet.
    world.stripe.shows("customer cus_new1", r#"{"object":"customer","id":"cus_other"}"#);
    let (called, ()) = tokio::join!(world.call(), go_on);
    assert!(retries(&called, true), "{called:?}");
    let data = world.store.data();
    let [surplus] = &*data.surplus else { panic!("{:?}", data.surplus) };
    assert_eq!((&surplus.customer, surplus.reason), (&cus("cus_new1"), SurplusReason::Late));
    let events = data.written.iter().flat_map(|change| &change.events);
    let told = events.filter(|event| event.kind == EventKind::Surplus).count();
    assert_eq!(told, 1);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_deleted_while_its_request_is_on_its_way_may_have_a_customer() {
    let world = world(Policy::default());
    world.stripe.answer([response(500, &[], API)]);
    let go = async {
        world.sent(1).await;
        let mut view = world.tenant();
        view.exists = false;
        world.store.put(view);
    };
    let (called, ()) = tokio::join!(world.call(), go);
    let told = called.expect_err("the tenant is gone");
    assert_eq!(told.problem(), &Problem::UnknownTenant(crate::scene::tenant()));
    assert!(told.may_have_created(), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_key_in_use_is_waited_for_and_left_to_its_sender() {
    let world = world(Policy::default());
    world.stripe.answer([response(409, &[], IN_USE)]);
    assert_eq!(world.call().await, created("cus_new2"));
    assert_eq!(world.stripe.sent(), [request(1), request(1)]);
    // Opened and bound: the sender that Stripe is working for records its own result.
    assert_eq!(world.store.data().written.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_was_taken_over_by_another_account_is_not_written_to() {
    let theirs = account("acct_theirs", Mode::Live);
    let wrong = OperatorError::WrongAccount { recorded: theirs.clone(), ours: ours().into() };
    let taken_over = View { account: Some(theirs), ..view(At::Pending) };
    let before = world(Policy::default());
    before.store.put(taken_over.clone());
    assert_eq!(before.call().await, Err(wrong.clone().into()));
    assert!(before.stripe.sent().is_empty());

    let during = world(Policy::default());
    during.store.put(view(At::Pending));
    let take_over = async {
        during.sent(1).await;
        let mut row = row_in(State::Pending(request(G)));
        row.version += 1;
        during.store.put(View { row: Some(row), ..taken_over });
    };
    let (called, ()) = tokio::join!(during.call(), take_over);
    assert_eq!(called, Err(wrong.into()));
    assert!(during.store.data().written.is_empty());
}

/// Its row was lost, so two decisions follow one another. Between them another tenant's column
/// takes the Customer, which only a second read can show.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_decided_twice_reads_again_in_between() {
    let world = world(Policy::default());
    world.store.put(view(At::Pending));
    let meanwhile = async {
        world.sent(1).await;
        world.store.put(unbound(None));
        let tenant = "another".parse().expect("a tenant id");
        for _ in 0..100 {
            if world.store.data().surplus.iter().any(|it| it.customer == cus("cus_new1")) {
                break;
            }
            tokio::task::yield_now().await;
        }
        world.store.put(View { tenant, ..view(At::Provisioned).bound_to("cus_new1") });
    };
    let (called, ()) = tokio::join!(world.call(), meanwhile);
    assert_eq!(called, Err(OperatorError::BoundElsewhere(cus("cus_new1")).into()));
    assert_eq!(world.tenant().bound, None);
}

/// The row was lost and opened anew meanwhile, and happens to have the same version. The answer
/// says nothing of the newer generation, and leaves it alone.
#[tokio::test(start_paused = true)]
async fn an_answer_with_a_deleted_customer_leaves_a_newer_generation_alone() {
    let world = world(Policy::default());
    world.store.put(view(At::Pending));
    let begin_anew = async {
        world.sent(1).await;
        let mut row = row_in(State::Pending(request(G + 1)));
        row.generation = G + 1;
        world.store.put(unbound(Some(row)));
        world.store.data().deleted.push(cus("cus_new1"));
    };
    let (called, ()) = tokio::join!(world.call(), begin_anew);
    assert_eq!(called, created("cus_new2"));
    assert_eq!(world.stripe.sent(), [request(G), request(G + 1)]);
    assert_eq!(world.store.data().written.len(), 1);
}

/// A panic costs its caller one call, and no tenant its Customer.
#[tokio::test(start_paused = true)]
async fn work_that_panics_is_interrupted_and_its_row_goes_on() {
    let world = world(Policy::default());
    world.stripe.panics(true);
    let told = world.call().await.expect_err("it was interrupted");
    assert!(told.may_have_created() && told.to_string().contains("interrupted"), "{told}");
    // Recovery reports it and goes on with the others.
    world.clock.sleep(seconds(60)).await;
    let recovery = world.billing.recover_once().await.expect("the database is there");
    let [(_, error)] = &*recovery.postponed else { panic!("{recovery:?}") };
    assert!(error.to_string().contains("interrupted"), "{error}");
    world.stripe.panics(false);
    assert_eq!(world.call().await.map(|it| it.1), Ok(Outcome::Created));
    assert!(world.billing.shutdown(Duration::ZERO).await, "nothing is left in flight");
}

#[tokio::test(start_paused = true)]
async fn a_caller_learns_when_the_next_inquiry_is_due() {
    let world = world(Policy::default());
    world.store.put(unbound(Some(row_in(in_doubt(now() + minutes(30), true)))));
    world.stripe.says("events", [response(503, &[], API)]);
    let error = world.call().await.expect_err("events cannot be read");
    // Two attempts had failed before.
    assert_eq!(error.retry_after(), Some(seconds(20)), "{error}");
}
