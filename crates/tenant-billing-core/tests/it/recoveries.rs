//! The worker that finishes what was begun.

use std::time::Duration;

use tenant_billing_core::{
    Error, OperatorError, Outcome, Policy,
    ids::TenantId,
    ports::Clock,
    request::FrozenRequest,
    state::{State, View},
};

use crate::{
    answers::{API, MISSING, response},
    fakes::{World, world},
    scene::{
        At, DETAILS, G, HOST, X, context, cus, in_doubt, minutes, now, request, row_in, tenant,
        unbound, view,
    },
};

/// Puts in so many tenants with a pending row that is due, `t00` first.
fn pending(world: &World, tenants: usize) {
    for i in 0..tenants {
        let tenant = TenantId::parse(&format!("t{i:02}")).expect("a tenant id");
        let request = FrozenRequest::freeze(&context().identity, &tenant, G, &DETAILS);
        let row = row_in(State::Pending(request));
        world.store.put(View { tenant, ..unbound(Some(row)) });
    }
}

#[tokio::test(start_paused = true)]
async fn recovery_finishes_what_is_due_and_begins_nothing() {
    let world = world(Policy::default());
    pending(&world, 3);
    let mut later = unbound(Some(row_in(State::Pending(request(G)))));
    later.row.iter_mut().for_each(|row| row.next_attempt_at = now() + minutes(1));
    world.store.put(later);
    let recovery = world.billing.recover_once().await.expect("the database is there");
    let mut tenants: Vec<_> = recovery.provisioned.iter().map(|it| it.tenant.as_str()).collect();
    tenants.sort_unstable();
    assert_eq!(tenants, ["t00", "t01", "t02"]);
    assert!(recovery.provisioned.iter().all(|it| it.outcome == Outcome::Created));
    assert_eq!((recovery.postponed, world.stripe.sent().len()), (vec![], 3));
    assert_eq!(recovery.backlog.now, world.clock.now());
    assert_eq!(world.tenant().bound, None, "its turn comes in a minute");
}

#[tokio::test(start_paused = true)]
async fn recovery_creates_a_customer_once_an_inquiry_has_proved_that_there_is_none() {
    let world = world(Policy::default());
    world.store.put(unbound(Some(row_in(in_doubt(now(), true)))));
    let recovery = world.billing.recover_once().await.expect("the database is there");
    assert_eq!((recovery.provisioned.len(), recovery.postponed), (1, vec![]));
    assert_eq!(world.stripe.sent(), [request(G + 1)]);
}

#[tokio::test(start_paused = true)]
async fn recovery_makes_one_inquiry_and_says_what_stood_in_the_way() {
    let table = [
        // The row has failed three times by then, so recovery comes back after 20 s.
        (503, "retry_later", Some(Duration::from_secs(20))),
        (403, "operator_must_act", None),
        (401, "operator_must_act", None),
    ];
    for (status, code, retry_after) in table {
        let world = world(Policy::default());
        world.store.put(unbound(Some(row_in(in_doubt(now(), true)))));
        world.stripe.says("events", [response(status, &[], API)]);
        let recovery = world.billing.recover_once().await.expect("the database is there");
        assert_eq!(recovery.provisioned, []);
        let [(_, error)] = &*recovery.postponed else { panic!("{:?}", recovery.postponed) };
        assert_eq!((error.code(), error.retry_after()), (code, retry_after), "{status}");
        assert!(error.to_string().contains(&format!("HTTP {status}")), "{error}");
        assert_eq!(world.tenant().row.map(|row| row.attempts), Some(3), "{status}");
    }
}

/// A Customer that Stripe does not know is no proof of anything, and a person has to find out why.
#[tokio::test(start_paused = true)]
async fn recovery_reports_a_customer_that_stripe_does_not_know_and_leaves_the_row_in_doubt() {
    let world = world(Policy::default());
    world.store.put(unbound(Some(row_in(in_doubt(now(), true)))));
    world.stripe.event(request(G).key.as_str(), X);
    world.stripe.says("customer cus_x", [response(404, &[], MISSING)]);
    let recovery = world.billing.recover_once().await.expect("the database is there");
    let unknown = Error::from(OperatorError::UnknownCustomer(cus(X)));
    assert_eq!((recovery.provisioned, recovery.postponed), (vec![], vec![(tenant(), unknown)]));
    let row = world.tenant().row.expect("a row");
    assert!(matches!(row.state, State::InDoubt { .. }), "{row:?}");
    assert_eq!(row.last_error.as_deref(), Some("Stripe does not know cus_x"));
    assert!(world.stripe.sent().is_empty());
}

/// What the host has bound itself is no work of the worker.
#[tokio::test(start_paused = true)]
async fn recovery_does_not_report_what_the_host_has_bound() {
    let world = world(Policy::default());
    let mut bound = view(At::InDoubt);
    bound.bound = Some(cus(HOST));
    world.store.put(bound);
    let recovery = world.billing.recover_once().await.expect("the database is there");
    assert_eq!((recovery.provisioned, recovery.postponed), (vec![], vec![]));
    assert_eq!(world.tenant().row.map(|row| row.state), Some(State::Provisioned(cus(HOST))));
}

/// The id was a row's and not a caller's, so no caller can correct it.
#[tokio::test(start_paused = true)]
async fn a_row_whose_tenant_no_longer_fits_the_database_is_an_operators_matter() {
    let world = world(Policy::default());
    pending(&world, 1);
    let invalid = tenant_billing_core::ids::Invalid::new("tenant_id", "is not a UUID");
    // The claim comes first.
    world.store.data().fails = Some((1, tenant_billing_core::ports::StoreError::Invalid(invalid)));
    let recovery = world.billing.recover_once().await.expect("the database is there");
    let [(_, error)] = &*recovery.postponed else { panic!("{:?}", recovery.postponed) };
    assert_eq!(error.cause(), "schema_mismatch");
    assert!(error.may_have_created());
}

#[tokio::test(start_paused = true)]
async fn a_slow_tenant_does_not_hold_up_another() {
    let world = world(Policy::default());
    pending(&world, 45);
    world.stripe.answer([response(429, &[("Retry-After", "8")], API)]);
    let recovery = world.billing.recover_once().await.expect("the database is there");
    let slow = world.stripe.sent()[0].key.parts().map(|parts| parts.tenant);
    let tenants: Vec<_> = recovery.provisioned.into_iter().map(|it| it.tenant).collect();
    assert_eq!((tenants.len(), tenants.last()), (45, slow.as_ref()), "{tenants:?}");
    // Twenty at once, and claimed by ten or more.
    let limits = world.store.data().limits.clone();
    assert!(limits[0] == 20 && limits.iter().all(|it| (10..=20).contains(it)), "{limits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_runs_until_it_is_told_to_stop_whatever_the_database_says() {
    let world = world(Policy::default());
    pending(&world, 1);
    world.store.data().no_claims = true;
    let stop = async {
        world.clock.sleep(Duration::from_secs(7)).await;
        assert!(world.stripe.sent().is_empty());
        world.store.data().no_claims = false;
        world.clock.sleep(Duration::from_secs(6)).await;
        assert_eq!(world.stripe.sent().len(), 1);
        pending(&world, 2);
        world.clock.sleep(Duration::from_secs(6)).await;
    };
    world.billing.run_recovery(stop).await;
    assert_eq!(world.stripe.sent().len(), 3);
    // Three rounds, with a pause between them.
    assert!((2..=12).contains(&world.store.data().limits.len()));
}
