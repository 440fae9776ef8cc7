//! The worker that finishes what was begun.

use std::time::Duration;

use tenant_billing_core::{
    Advice, Outcome, Policy,
    ids::TenantId,
    ports::Clock,
    request::FrozenRequest,
    state::{State, View},
};

use crate::{
    answers::{API, response},
    fakes::{World, world},
    scene::{
        At, DETAILS, G, HOST, cus, minutes, now, request, row_in, site, suspect, unbound, view,
    },
};

/// So many tenants with a pending row that is due, `t00` first.
fn pending(world: &World, tenants: usize) {
    for i in 0..tenants {
        let tenant = TenantId::parse(&format!("t{i:02}")).expect("a tenant id");
        let request = FrozenRequest::freeze(&site().origin, &tenant, G, &DETAILS);
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
    let mut tenants: Vec<_> = recovery.settled.iter().map(|it| it.tenant.as_str()).collect();
    tenants.sort_unstable();
    assert_eq!(tenants, ["t00", "t01", "t02"]);
    assert!(recovery.settled.iter().all(|it| it.outcome == Outcome::Created));
    assert_eq!((recovery.postponed, world.stripe.sent().len()), (vec![], 3));
    assert_eq!(recovery.backlog.now, world.clock.now());
    assert_eq!(world.tenant().bound, None, "its turn comes in a minute");
}

#[tokio::test(start_paused = true)]
async fn recovery_creates_what_a_look_has_shown_to_be_missing() {
    let world = world(Policy::default());
    world.store.put(unbound(Some(row_in(suspect(now(), true)))));
    let recovery = world.billing.recover_once().await.expect("the database is there");
    assert_eq!((recovery.settled.len(), recovery.postponed), (1, vec![]));
    assert_eq!(world.stripe.sent(), [request(G + 1)]);
}

#[tokio::test(start_paused = true)]
async fn recovery_looks_once_and_says_what_is_missing() {
    for (status, advice) in
        [(503, Advice::TryAgain(Duration::from_secs(1))), (403, Advice::CallOperator)]
    {
        let world = world(Policy::default());
        world.store.put(unbound(Some(row_in(suspect(now(), true)))));
        world.stripe.says("events", [response(status, &[], API)]);
        let recovery = world.billing.recover_once().await.expect("the database is there");
        assert_eq!(recovery.settled, []);
        let [(_, error)] = &*recovery.postponed else { panic!("{:?}", recovery.postponed) };
        assert_eq!(error.advice(), advice, "{status}");
        assert!(error.to_string().contains(&format!("HTTP {status}")), "{error}");
        assert_eq!(world.tenant().row.map(|row| row.attempts), Some(3), "{status}");
    }
}

/// It is not for the worker to say that it provided what the host bound itself.
#[tokio::test(start_paused = true)]
async fn recovery_takes_no_credit_for_what_the_host_bound() {
    let world = world(Policy::default());
    let mut bound = view(At::Suspect);
    bound.bound = Some(cus(HOST));
    world.store.put(bound);
    let recovery = world.billing.recover_once().await.expect("the database is there");
    assert_eq!((recovery.settled, recovery.postponed), (vec![], vec![]));
    assert_eq!(world.tenant().row.map(|row| row.state), Some(State::Settled(cus(HOST))));
}

#[tokio::test(start_paused = true)]
async fn a_slow_tenant_holds_up_no_other() {
    let world = world(Policy::default());
    pending(&world, 45);
    world.stripe.answer([response(429, &[("Retry-After", "8")], API)]);
    let recovery = world.billing.recover_once().await.expect("the database is there");
    let slow = world.stripe.sent()[0].key.parts().map(|parts| parts.tenant);
    let tenants: Vec<_> = recovery.settled.into_iter().map(|it| it.tenant).collect();
    assert_eq!((tenants.len(), tenants.last()), (45, slow.as_ref()), "{tenants:?}");
    // Twenty at once, and asked for by the ten or more.
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
