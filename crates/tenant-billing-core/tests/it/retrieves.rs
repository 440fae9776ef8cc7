//! What the loop believes only once a retrieve has confirmed it: old answers, and a Customer that
//! the column has lost.

use std::time::Duration;

use tenant_billing_core::{
    Error, OperatorError, Outcome, Policy, Problem,
    audit::EventKind,
    ports::Clock,
    state::{State, View},
};

use crate::{
    answers::{API, MISSING, REPLAYED, response},
    fakes::{Commit, created, world},
    scene::{At, But, G, X, cus, request, row_in, tenant, unbound, view},
};

/// Too short for any pause.
const AT_ONCE: Duration = Duration::from_millis(100);

const DELETED: &str = r#"{"object":"customer","id":"cus_x","deleted":true}"#;
const REPLAY: &str = r#"{"object":"customer","id":"cus_x"}"#;

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
async fn a_replayed_answer_with_a_deleted_customer_opens_the_next_generation_at_once() {
    let world = world(Policy::default());
    world.stripe.answer([response(200, REPLAYED, REPLAY)]);
    world.stripe.shows("customer cus_x", DELETED);
    assert_eq!(world.call_within(AT_ONCE).await, created("cus_new2"));
    assert_eq!(world.stripe.sent(), [request(1), request(2)]);
    assert_eq!(world.store.data().deleted, [cus(X)]);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_answer_that_cannot_be_confirmed_is_not_bound() {
    let table = [
        (503, "retry_later"),
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
        assert!(error.may_have_created(), "{status}");
        assert_eq!(world.tenant().bound, None, "{status}");
    }
}

/// Waiting does not help, and `resource_missing` is no proof of a deletion.
#[tokio::test(start_paused = true)]
async fn a_replayed_answer_whose_customer_stripe_does_not_know_is_for_an_operator_at_once() {
    for status in [404, 400] {
        let world = world(Policy::default());
        world.stripe.answer([response(200, REPLAYED, REPLAY)]);
        world.stripe.says("customer cus_x", [response(status, &[], MISSING)]);
        let told = world.call().await;
        assert_eq!(told, Err(OperatorError::UnknownCustomer(cus(X)).into()), "{status}");
        assert_eq!(world.stripe.sent().len(), 1);
        let row = world.tenant().row.expect("a row");
        assert_eq!(row.state, State::Pending(request(1)), "{status}");
        // The worker sends again, and then says the same.
        world.clock.sleep(seconds(60)).await;
        world.stripe.answer([response(200, REPLAYED, REPLAY)]);
        let recovery = world.billing.recover_once().await.expect("the database is there");
        let unknown = OperatorError::UnknownCustomer(cus(X)).into();
        assert_eq!(recovery.postponed, [(tenant(), unknown)], "{status}");
    }
}

/// The deletion of any Customer may be recorded just before it is bound. Then a condition of the
/// bind does not hold, and the next decision takes the deletion into account.
#[tokio::test(start_paused = true)]
async fn a_customer_deleted_just_before_it_is_bound_is_replaced_by_the_next() {
    for at in [At::Pending, At::InDoubt, At::Provisioned] {
        let world = world(Policy::default());
        let row = view(at).row;
        world.store.put(unbound(row));
        world.store.plan_commits([Commit::CustomerDeletedMeanwhile]);
        world.stripe.event(request(G).key.as_str(), X);
        world.stripe.says(
            "customer cus_x",
            [
                response(200, &[], r#"{"object":"customer","id":"cus_x","created":1}"#),
                response(200, &[], DELETED),
            ],
        );
        if at == At::InDoubt {
            // What an inquiry found was not necessarily created by this generation, so another one
            // follows.
            let told = world.call().await.expect_err("it must make another inquiry").to_string();
            assert!(told.contains("what was found is gone since"), "{told}");
            world.clock.sleep(Duration::from_secs(60)).await;
        }
        let called = world.call().await.map(|it| it.1);
        assert_eq!(called, Ok(Outcome::Created), "{at:?}");
        assert_eq!(world.tenant().row.map(|row| row.generation), Some(G + 1), "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_column_that_lost_its_customer_gets_it_back_if_that_is_alive() {
    let nulled = || unbound(Some(row_in(State::Provisioned(cus(X)))));
    let live = world(Policy::default());
    live.store.put(nulled());
    live.stripe.says(
        "customer cus_x",
        [response(200, &[("Request-Id", "req_7")], r#"{"object":"customer","id":"cus_x"}"#)],
    );
    assert_eq!(live.call().await, Ok((X.into(), Outcome::Existing)));
    assert_eq!(live.tenant().bound, Some(cus(X)));
    let event = live.store.data().written[0].events[0].clone();
    assert_eq!((event.kind, event.request_id.as_deref()), (EventKind::Rebound, Some("req_7")));

    let deleted = world(Policy::default());
    deleted.store.put(nulled());
    deleted.stripe.shows("customer cus_x", DELETED);
    assert_eq!(deleted.call().await, created("cus_new1"));
    assert_eq!(deleted.stripe.sent(), [request(G + 1)]);

    let table =
        [(404, MISSING, None), (403, API, None), (401, API, None), (503, API, Some(seconds(1)))];
    for (status, body, retry_after) in table {
        let world = world(Policy::default());
        world.store.put(nulled());
        world.stripe.says("customer cus_x", [response(status, &[], body)]);
        let error = world.call().await.expect_err("it is unknown whether it is alive");
        assert_eq!(error.retry_after(), retry_after, "{status}");
        let stripe_said = error.to_string().contains(&format!("HTTP {status}"));
        assert_eq!(stripe_said, status != 404, "{error}");
        let unknown = Error::from(OperatorError::UnknownCustomer(cus(X)));
        assert_eq!(error == unknown, status == 404);
        assert_eq!((world.stripe.sent(), world.tenant().bound), (vec![], None), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_without_an_answer_says_what_stripe_said() {
    let world = world(Policy::default());
    world.store.put(view(At::Provisioned));
    world.stripe.says("customer cus_cid", [response(503, &[], API)]);
    let told = world.billing.check(&tenant()).await.expect_err("Stripe is unavailable");
    assert!(told.to_string().contains("Stripe is unavailable: HTTP 503"), "{told}");
}

/// A provisioned row begins nothing, so nothing is under way.
#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_deleted_while_its_customer_is_retrieved_is_unknown() {
    let world = world(Policy::default());
    world.store.put(view(At::Provisioned).nulled());
    let provisioned = view(At::Provisioned).gone();
    world.stripe.says("customer cus_cid", [response(503, &[], API), response(200, &[], "{}")]);
    let go = async {
        world.clock.sleep(Duration::from_millis(100)).await;
        world.stripe.shows("customer cus_cid", r#"{"object":"customer","id":"cus_cid"}"#);
        world.store.put(provisioned);
    };
    let (called, ()) = tokio::join!(world.call(), go);
    assert_eq!(called.map_err(Error::into_problem), Err(Problem::UnknownTenant(tenant())));
}

#[tokio::test(start_paused = true)]
async fn a_customer_that_another_tenant_holds_is_for_an_operator() {
    let world = world(Policy::default());
    let tenant = "another".parse().expect("a tenant id");
    world.store.put(View { tenant, ..view(At::Provisioned).bound_to(X) });
    world.stripe.answer([response(200, REPLAYED, REPLAY)]);
    let told = world.call().await;
    assert_eq!(told, Err(OperatorError::BoundElsewhere(cus(X)).into()));
    let row = world.tenant().row.expect("a row");
    assert!(matches!(row.state, State::InDoubt { .. }), "{row:?}");
}
