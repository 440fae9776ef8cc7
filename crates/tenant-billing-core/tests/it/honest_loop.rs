//! The loop while things fail: no Customer is dropped, no error claims more than is known, no
//! tenant waits for another one's trouble, and nothing spins or hangs.

use std::{
    pin::pin,
    sync::mpsc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tenant_billing_core::{Outcome, Policy, ids::TenantId, state::State};

use crate::{
    answers::{BAD_EMAIL, response},
    fakes::{Commit, DEADLINE, created, rejected, retries, world},
    scene::{At, DETAILS, OTHER, X, cus, in_doubt, reason, request, row_in, tenant, unbound, view},
};

#[tokio::test(start_paused = true)]
async fn a_new_tenant_costs_one_call_and_two_commits() {
    let world = world(Policy::default());
    assert_eq!(world.call().await, created("cus_new1"));
    assert_eq!(world.call().await, Ok(("cus_new1".into(), Outcome::Existing)));
    assert_eq!(world.stripe.sent().len(), 1);
    // Once in the life of a process.
    assert_eq!(world.stripe.asked(), ["account"]);
    let version = world.store.data().tenants[&tenant()].row.as_ref().map(|row| row.version);
    assert_eq!(version, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_customer_waits_for_a_database_that_is_away_for_long() {
    for commits in [1, 99, 100, 101, 5000] {
        let world = world(Policy::default());
        world.store.plan_commits([Commit::Succeeds]);
        world.store.plan_commits(std::iter::repeat_n(Commit::Fails, commits));
        // The caller's deadline passes, and its Customer is bound all the same.
        let _ = world.call().await;
        assert!(world.billing.shutdown(Duration::from_secs(1_000_000)).await);
        let bound = world.store.data().tenants[&tenant()].bound.clone();
        assert_eq!(bound, Some(cus("cus_new1")), "after {commits} commits that failed");
    }
}

#[tokio::test(start_paused = true)]
async fn an_opening_of_unknown_outcome_may_have_created_a_customer() {
    let world = world(Policy::default());
    world.store.plan_commits([Commit::OutcomeUnknown]);
    let error = world.call().await.expect_err("the outcome is unknown");
    assert!(world.store.data().tenants[&tenant()].row.is_some());
    assert!(error.may_have_created(), "the row is pending, and recovery will send it: {error}");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_fails_after_a_send_leaves_a_creation_that_may_have_happened() {
    let world = world(Policy::default());
    world.store.plan_commits([Commit::Succeeds, Commit::Fails]);
    world.stripe.answer([response(500, &[], "{}")]);
    let error = world.call().await.expect_err("Stripe and the database are unavailable");
    assert_eq!(world.stripe.sent().len(), 1);
    assert!(error.may_have_created(), "that send may have created a Customer: {error}");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_backs_off_does_not_keep_others_from_sending() {
    let policy = Policy { concurrent_sends: 1, ..Policy::default() };
    let world = world(policy);
    world.stripe.answer([response(429, &[("Retry-After", "8")], "{}")]);
    let other = TenantId::parse("another").expect("a tenant id");
    let first = world.call();
    let second = async {
        tokio::task::yield_now().await;
        let call = world.billing.get_or_create(&other, &DETAILS, Duration::from_secs(2));
        call.await.map(|it| it.outcome)
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(second, Ok(Outcome::Created));
    assert!(first.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_row_that_another_process_holds_is_waited_for() {
    let world = world(Policy::default());
    world.store.put(view(At::InDoubt));
    world.store.data().held_by_another = true;
    let error = world.call().await.expect_err("it is held throughout").to_string();
    assert!(!error.contains("interrupted"), "it spun: {error}");
    assert!(error.contains("retry in"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_call_may_wait_for_ever() {
    let world = world(Policy::default());
    let tenant = tenant();
    let call = world.billing.get_or_create(&tenant, &DETAILS, Duration::MAX);
    assert_eq!(call.await.map(|it| it.outcome), Ok(Outcome::Created));
}

#[tokio::test(start_paused = true)]
async fn a_wait_longer_than_the_deadline_is_not_begun() {
    let world = world(Policy::default());
    tokio::time::advance(DEADLINE).await;
    let longest = u64::MAX.to_string();
    world.stripe.answer([response(429, &[("Retry-After", &longest)], "{}")]);
    let error = world.call().await.expect_err("it takes too long");
    assert!(error.to_string().contains("HTTP 429"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_send_that_needs_an_operator_does_not_hide_a_customer_bound_meanwhile() {
    let world = world(Policy::default());
    world.store.put(unbound(Some(row_in(State::Pending(request(3))))));
    world.stripe.answer([response(401, &[], "{}")]);
    let meanwhile = async {
        world.sent(1).await;
        let mut provisioned = view(At::Provisioned);
        provisioned.row.iter_mut().for_each(|row| row.version += 1);
        world.store.put(provisioned);
    };
    let (called, ()) = tokio::join!(world.call(), meanwhile);
    assert_eq!(called, Ok(("cus_cid".into(), Outcome::Existing)));
}

#[tokio::test(start_paused = true)]
async fn a_customer_that_an_operator_has_unbound_is_not_adopted_when_a_webhook_comes_again() {
    let policy = Policy { inquire_first: true, ..Policy::default() };
    let world = world(policy);
    let key = request(3).key;
    world.store.put(view(At::Provisioned));
    world.stripe.event(key.as_str(), "cus_cid");
    assert_eq!(world.billing.unbind(&tenant(), &cus("cus_cid"), &reason()).await, Ok(true));
    assert_eq!(world.billing.customer_created(key.as_str(), &cus("cus_cid")).await, Ok(()));
    let called = world.call().await;
    assert_ne!(called.map(|it| it.0), Ok("cus_cid".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_inquiry_finds_what_the_key_created() {
    let world = world(Policy::default());
    world.store.put(unbound(Some(row_in(in_doubt(crate::scene::now(), true)))));
    world.stripe.event(request(3).key.as_str(), X);
    assert_eq!(world.call().await, Ok((X.to_owned(), Outcome::Adopted)));
    assert!(world.stripe.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_inquiry_that_finds_nothing_sends_the_next_generation() {
    let world = world(Policy::default());
    world.store.put(unbound(Some(row_in(in_doubt(crate::scene::now(), true)))));
    assert_eq!(world.call().await, created("cus_new1"));
    assert_eq!(world.stripe.sent(), [request(4)]);
}

/// `tokio::spawn` panics where there is no runtime, and then nothing may stay locked.
#[test]
fn a_call_outside_a_runtime_fails_instead_of_hanging() {
    let (say, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let world = world(Policy::default());
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut call = pin!(world.call());
            let mut context = Context::from_waker(Waker::noop());
            (0..10).any(|_| matches!(call.as_mut().poll(&mut context), Poll::Ready(_)))
        }));
        say.send(polled.is_err()).expect("the test waits");
    });
    assert_eq!(heard.recv_timeout(Duration::from_secs(5)), Ok(true));
}

/// Found by simulation: a rejection is an answer to the details that were sent, and to no others.
#[tokio::test(start_paused = true)]
async fn a_caller_without_time_for_another_try_does_not_get_the_rejection_of_other_details() {
    let world = world(Policy::default());
    world.stripe.answer([response(400, &[], BAD_EMAIL)]);
    let (tenant, a_moment) = (tenant(), Duration::from_nanos(1));
    let theirs = world.billing.get_or_create(&tenant, &DETAILS, DEADLINE);
    let mine = async {
        world.sent(1).await;
        world.billing.get_or_create(&tenant, &OTHER, a_moment).await
    };
    let (theirs, mine) = tokio::join!(theirs, mine);
    assert!(rejected(&theirs), "{theirs:?}");
    assert!(retries(&mine, true), "{mine:?}");
}

/// Found by simulation: what a stored failure left behind may show 10 minutes after the answer, not
/// after the send.
#[tokio::test(start_paused = true)]
async fn the_time_until_an_inquiry_is_conclusive_begins_with_the_answer_and_not_with_the_send() {
    let world = world(Policy::default());
    world.stripe.takes(Duration::from_secs(25));
    let replayed = [("Idempotent-Replayed", "true")];
    world.stripe.answer([response(500, &replayed, r#"{"error":{"type":"api_error"}}"#)]);
    let _ = world.call().await;
    assert!(world.billing.shutdown(Duration::from_secs(60)).await);
    let row = world.store.data().tenants[&tenant()].row.clone().expect("a row");
    let State::InDoubt { conclusive_from, .. } = row.state else { panic!("{row:?}") };
    let answered = crate::scene::now() + jiff::SignedDuration::from_secs(25);
    assert!(conclusive_from >= answered + jiff::SignedDuration::from_mins(10), "{conclusive_from}");
}
