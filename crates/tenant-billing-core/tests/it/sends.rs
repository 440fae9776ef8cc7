//! How the loop sends: what it believes of an answer, and what it does while others write.

use std::time::Duration;

use tenant_billing_core::{
    Advice, Error, OperatorError, Outcome, Policy,
    audit::{EventKind, SurplusReason},
    ids::Mode,
    ports::Clock,
    state::{State, View},
};

use crate::{
    answers::{API, IN_USE, REPLAYED, response},
    fakes::{DEADLINE, Day, created, world},
    scene::{
        At, But, DETAILS, G, X, account, cus, minutes, now, ours, request, row_in, suspect, tenant,
        unbound, view,
    },
};

/// Too short for any pause.
const AT_ONCE: Duration = Duration::from_millis(100);

const DEAD: &str = r#"{"id":"cus_x","deleted":true}"#;
const REPLAY: &str = r#"{"id":"cus_x"}"#;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_replayed_answer_is_bound_once_a_retrieve_has_shown_it_alive() {
    let world = world(Policy::default());
    world.stripe.answer([response(200, REPLAYED, REPLAY)]);
    assert_eq!(world.call_within(AT_ONCE).await, created(X));
    assert_eq!(world.stripe.asked(), ["account", "customer cus_x"]);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_answer_that_is_dead_makes_room_for_the_next_generation_at_once() {
    let world = world(Policy::default());
    world.stripe.answer([response(200, REPLAYED, REPLAY)]);
    world.stripe.shows("customer cus_x", DEAD);
    assert_eq!(world.call_within(AT_ONCE).await, created("cus_new2"));
    assert_eq!(world.stripe.sent(), [request(1), request(2)]);
    assert_eq!(world.store.data().deleted, [cus(X)]);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_answer_that_cannot_be_confirmed_is_not_bound() {
    let table = [
        (503, "try_again_later"),
        (404, "operator_must_act"),
        (403, "operator_must_act"),
        (401, "operator_must_act"),
    ];
    for (status, code) in table {
        let world = world(Policy::default());
        world.stripe.answer(std::iter::repeat_n(response(200, REPLAYED, REPLAY), 100));
        world.stripe.says("customer cus_x", [response(status, &[], API)]);
        let error = world.call().await.expect_err("nothing confirms it");
        assert_eq!(error.code(), code, "{status}");
        assert!(error.unsettled(), "{status}");
        assert_eq!(world.tenant().bound, None, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_somebody_elses_progress_up_to_a_hundred_in_a_row() {
    for (conflicts, contended) in [(1, false), (100, false), (101, true)] {
        let world = world(Policy::default());
        world.store.order(std::iter::repeat_n(Day::Conflict, conflicts));
        let called = world.call().await;
        assert_eq!(called.is_err(), contended, "opening, {conflicts}: {called:?}");
        assert_eq!(world.stripe.sent().len(), usize::from(!contended));
    }
    for (conflicts, contended) in [(1, false), (99, false), (100, true)] {
        let world = world(Policy::default());
        world.store.order([Day::Good]);
        world.store.order(std::iter::repeat_n(Day::Conflict, conflicts));
        match world.call().await {
            Ok(called) => assert!(!contended, "{called:?} after {conflicts}"),
            Err(error) => {
                assert!(contended && error.unsettled(), "{error} after {conflicts}");
                assert!(error.to_string().contains("contended"), "{error}");
            }
        }
    }
}

/// The pauses double up to 5 s, as those of Stripe's own libraries do.
#[tokio::test(start_paused = true)]
async fn who_is_away_is_not_pestered() {
    let world = world(Policy::default());
    world.stripe.answer(std::iter::repeat_n(response(500, &[], API), 1000));
    let _ = world.call_within(seconds(60)).await;
    let sends = world.stripe.sent().len();
    assert!((10..=15).contains(&sends), "{sends} sends in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_while_a_customer_waits_is_not_pestered() {
    let world = world(Policy::default());
    let days = 1000;
    world.store.order([Day::Good]);
    world.store.order(std::iter::repeat_n(Day::Away, days));
    let _ = world.call().await;
    assert!(!world.billing.shutdown(seconds(50)).await, "the Customer is not dropped");
    let tries = days - world.store.data().commits.len();
    assert!((10..=15).contains(&tries), "{tries} tries in a minute");
}

/// A body must begin to leave within 30 seconds of the reading that permits it, and a queue for the
/// few places must not use them up.
#[tokio::test(start_paused = true)]
async fn a_send_that_waited_for_its_place_has_25_seconds_left_at_least() {
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
async fn a_send_that_waited_too_long_for_its_place_is_decided_anew() {
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
        let mut settled = view(At::Settled);
        settled.row.iter_mut().for_each(|row| row.version = 9);
        world.store.put(settled);
    };
    let (first, second, ()) = tokio::join!(first, second, meanwhile);
    assert!(first.is_ok());
    assert_eq!(second, Ok(("cus_cid".into(), Outcome::Existing)));
    assert_eq!(world.stripe.sent().len(), 1, "the second was not sent any more");
}

/// Its Customer is bound at once, whatever has become of the row meanwhile.
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
    // A look does not show it yet.
    world.stripe.shows("customer cus_new1", r#"{"id":"cus_other"}"#);
    let (called, ()) = tokio::join!(world.call(), go_on);
    assert!(matches!(called, Err(Error::Later { unsettled: true, .. })), "{called:?}");
    let data = world.store.data();
    let [surplus] = &*data.surplus else { panic!("{:?}", data.surplus) };
    assert_eq!((&surplus.customer, surplus.reason), (&cus("cus_new1"), SurplusReason::Late));
    let events = data.written.iter().flat_map(|change| &change.events);
    let told = events.filter(|event| event.kind == EventKind::Surplus).count();
    assert_eq!(told, 1);
}

/// Whatever brings a Customer, its deletion may be recorded just before the bind, which then finds a
/// condition broken and must know why.
#[tokio::test(start_paused = true)]
async fn a_customer_deleted_at_its_bind_makes_room_for_the_next() {
    for at in [At::Pending, At::Suspect, At::Settled] {
        let world = world(Policy::default());
        let row = view(at).row;
        world.store.put(unbound(row));
        world.store.order([Day::Deleted]);
        world.stripe.event(request(G).key.as_str(), X);
        world.stripe.says(
            "customer cus_x",
            [response(200, &[], r#"{"id":"cus_x","created":1}"#), response(200, &[], DEAD)],
        );
        if at == At::Suspect {
            // What a look found need not be what this generation made, so it takes another look.
            let told = world.call().await.expect_err("it must look again").to_string();
            assert!(told.contains("deleted since"), "{told}");
            world.clock.sleep(Duration::from_secs(60)).await;
        }
        let called = world.call().await.map(|it| it.1);
        assert_eq!(called, Ok(Outcome::Created), "{at:?}");
        assert_eq!(world.tenant().row.map(|row| row.generation), Some(G + 1), "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_column_that_lost_its_customer_is_given_it_back_if_that_lives() {
    let nulled = || unbound(Some(row_in(State::Settled(cus(X)))));
    let live = world(Policy::default());
    live.store.put(nulled());
    live.stripe
        .says("customer cus_x", [response(200, &[("Request-Id", "req_7")], r#"{"id":"cus_x"}"#)]);
    assert_eq!(live.call().await, Ok((X.into(), Outcome::Existing)));
    assert_eq!(live.tenant().bound, Some(cus(X)));
    let event = live.store.data().written[0].events[0].clone();
    assert_eq!((event.kind, event.request_id.as_deref()), (EventKind::Rebound, Some("req_7")));

    let dead = world(Policy::default());
    dead.store.put(nulled());
    dead.stripe.shows("customer cus_x", DEAD);
    assert_eq!(dead.call().await, created("cus_new1"));
    assert_eq!(dead.stripe.sent(), [request(G + 1)]);

    let missing = r#"{"error":{"type":"invalid_request_error","code":"resource_missing"}}"#;
    let table = [
        (404, missing, Advice::CallOperator),
        (403, API, Advice::CallOperator),
        (401, API, Advice::CallOperator),
        (503, API, Advice::TryAgain(seconds(1))),
    ];
    for (status, body, advice) in table {
        let world = world(Policy::default());
        world.store.put(nulled());
        world.stripe.says("customer cus_x", [response(status, &[], body)]);
        let error = world.call().await.expect_err("nobody knows whether it lives");
        assert_eq!(error.advice(), advice, "{status}");
        let unknown = Error::Operator(OperatorError::UnknownCustomer(cus(X)));
        assert_eq!(error == unknown, status == 404);
        assert_eq!((world.stripe.sent(), world.tenant().bound), (vec![], None), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_goes_while_its_request_is_on_its_way_is_unsettled() {
    let world = world(Policy::default());
    world.stripe.answer([response(500, &[], API)]);
    let go = async {
        world.sent(1).await;
        let mut view = world.tenant();
        view.exists = false;
        world.store.put(view);
    };
    let (called, ()) = tokio::join!(world.call(), go);
    assert!(matches!(called, Err(Error::Later { unsettled: true, .. })), "{called:?}");
}

/// A settled row begins nothing, so nothing is under way either.
#[tokio::test(start_paused = true)]
async fn a_tenant_that_goes_while_its_customer_is_asked_about_is_unknown() {
    let world = world(Policy::default());
    world.store.put(view(At::Settled).nulled());
    let settled = view(At::Settled).gone();
    world.stripe.says("customer cus_cid", [response(503, &[], API), response(200, &[], "{}")]);
    let go = async {
        world.clock.sleep(Duration::from_millis(100)).await;
        world.stripe.shows("customer cus_cid", r#"{"id":"cus_cid"}"#);
        world.store.put(settled);
    };
    let (called, ()) = tokio::join!(world.call(), go);
    assert_eq!(called, Err(Error::UnknownTenant(tenant())));
}

#[tokio::test(start_paused = true)]
async fn a_key_in_use_is_waited_for_and_left_to_its_sender() {
    let world = world(Policy::default());
    world.stripe.answer([response(409, &[], IN_USE)]);
    assert_eq!(world.call().await, created("cus_new2"));
    assert_eq!(world.stripe.sent(), [request(1), request(1)]);
    // Opened and bound; a failure that is somebody else's to write is not written.
    assert_eq!(world.store.data().written.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_was_taken_over_by_another_account_is_not_written_to() {
    let theirs = account("acct_theirs", Mode::Live);
    let wrong = OperatorError::WrongAccount { recorded: theirs.clone(), ours: ours() };
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

#[tokio::test(start_paused = true)]
async fn a_customer_that_another_tenant_holds_is_for_an_operator() {
    let world = world(Policy::default());
    let tenant = "another".parse().expect("a tenant id");
    world.store.put(View { tenant, ..view(At::Settled).bound_to(X) });
    world.stripe.answer([response(200, REPLAYED, REPLAY)]);
    let told = world.call().await;
    assert_eq!(told, Err(OperatorError::BoundElsewhere(cus(X)).into()));
    let row = world.tenant().row.expect("a row");
    assert!(matches!(row.state, State::Suspect { .. }), "{row:?}");
}

/// Its row was lost and begun anew meanwhile, and happens to have the same version: the answer says
/// nothing of what is under way now, and leaves it alone.
#[tokio::test(start_paused = true)]
async fn a_dead_answer_to_a_row_that_was_begun_anew_disturbs_nothing() {
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

/// A fault of the program's costs its caller one call, and nobody a Customer.
#[tokio::test(start_paused = true)]
async fn work_that_panics_is_cut_off_and_its_row_goes_on() {
    let world = world(Policy::default());
    world.stripe.panics(true);
    let told = world.call().await.expect_err("it was cut off");
    assert!(told.unsettled() && told.to_string().contains("cut off"), "{told}");
    // Recovery tells of it and goes on with the others.
    world.clock.sleep(seconds(60)).await;
    let recovery = world.billing.recover_once().await.expect("the database is there");
    let [(_, error)] = &*recovery.postponed else { panic!("{recovery:?}") };
    assert!(error.to_string().contains("cut off"), "{error}");
    world.stripe.panics(false);
    assert_eq!(world.call().await.map(|it| it.1), Ok(Outcome::Created));
    assert!(
        world.billing.shutdown(Duration::ZERO).await,
        "nothing is left that counts as under way"
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_when_the_next_look_is_due() {
    let world = world(Policy::default());
    world.store.put(unbound(Some(row_in(suspect(now() + minutes(30), true)))));
    world.stripe.says("events", [response(503, &[], API)]);
    let error = world.call().await.expect_err("it cannot look");
    // Two attempts had failed before.
    assert_eq!(error.advice(), Advice::TryAgain(seconds(20)), "{error}");
}
