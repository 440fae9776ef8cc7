//! How due rows are divided among workers.

use std::time::Duration;

use jiff::SignedDuration;
use tenant_billing_core::{ids::TenantId, ports::Store, state::State};

use super::bench::{Bench, Check, bind, customer, open, ready, request, to, view, written};
use crate::Database;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("only rows that are due are claimed, the oldest first", |b| Box::pin(due(b))),
    ("a claimed row is claimed by nobody else until the claim is over", |b| Box::pin(held(b))),
    ("two workers that claim at once divide the rows", |b| Box::pin(shared(b))),
    ("a claim changes nothing that a change depends on", |b| Box::pin(harmless(b))),
    ("the backlog counts the rows that are pending or in doubt", |b| Box::pin(backlog(b))),
];

const HOLD: Duration = Duration::from_secs(60);

/// Tenants 1 to `count`, pending, each due a second after the one before it.
async fn pending(bench: &dyn Bench, store: &dyn Database, count: u32) -> Vec<TenantId> {
    let mut tenants = Vec::new();
    for number in 1..=count {
        let tenant = bench.tenant(number);
        store.add_tenant(&tenant).await.expect("adds");
        let mut change = open(&view(store, &tenant).await);
        if let Some(row) = &mut change.row {
            row.next_attempt_at += SignedDuration::from_secs(number.into());
        }
        written(store, &change).await;
        tenants.push(tenant);
    }
    tenants
}

async fn claim(store: &dyn Store, limit: u32) -> Vec<TenantId> {
    let mut claimed = store.claim(None, HOLD, limit).await.expect("claims");
    claimed.sort();
    claimed
}

async fn due(bench: &dyn Bench) {
    let (store, _) = ready(bench).await;
    let tenants = pending(bench, &*store, 5).await;
    assert!(claim(&*store, 10).await.is_empty());
    bench.advance(SignedDuration::from_secs(3));
    assert_eq!(claim(&*store, 2).await, tenants[..2]);
    assert_eq!(claim(&*store, 2).await, tenants[2..3]);
    assert!(claim(&*store, 2).await.is_empty());
}

async fn held(bench: &dyn Bench) {
    let (store, _) = ready(bench).await;
    let tenants = pending(bench, &*store, 2).await;
    bench.advance(SignedDuration::from_secs(2));
    let one = |tenant| store.claim(Some(tenant), HOLD, 1);
    assert_eq!(one(&tenants[0]).await, Ok(vec![tenants[0].clone()]));
    assert_eq!(one(&tenants[0]).await, Ok(vec![]));
    assert_eq!(claim(&*store, 10).await, tenants[1..]);
    bench.advance(SignedDuration::from_secs(60));
    assert_eq!(claim(&*store, 10).await, tenants);
}

async fn shared(bench: &dyn Bench) {
    let (store, _) = ready(bench).await;
    let other = bench.open().await;
    let mut tenants = pending(bench, &*store, 10).await;
    tenants.sort();
    bench.advance(SignedDuration::from_secs(60));
    let (mut mine, theirs) = tokio::join!(claim(&*store, 5), claim(&*other, 5));
    mine.extend(theirs);
    mine.sort();
    assert_eq!(mine, tenants);
}

async fn harmless(bench: &dyn Bench) {
    let (store, _) = ready(bench).await;
    let tenants = pending(bench, &*store, 1).await;
    let before = view(&*store, &tenants[0]).await;
    bench.advance(SignedDuration::from_secs(1));
    assert_eq!(claim(&*store, 1).await, tenants);
    written(&*store, &bind(&before, &customer("a"))).await;
    assert!(claim(&*store, 1).await.is_empty());
}

async fn backlog(bench: &dyn Bench) {
    let (store, _) = ready(bench).await;
    assert_eq!(store.backlog().await.expect("reads").rows, 0);
    let tenants = pending(bench, &*store, 3).await;
    let seen = view(&*store, &tenants[0]).await;
    let conclusive_from = seen.now + SignedDuration::from_mins(70);
    let ask = request(&tenants[0], 1);
    let mut change = to(&seen, State::InDoubt { request: ask, conclusive_from, sent: true });
    if let Some(row) = &mut change.row {
        row.next_attempt_at = conclusive_from;
    }
    written(&*store, &change).await;
    written(&*store, &bind(&view(&*store, &tenants[1]).await, &customer("a"))).await;
    let backlog = store.backlog().await.expect("reads");
    assert_eq!(backlog.rows, 2);
    let last = view(store.as_ref(), &tenants[2]).await.row.expect("a row");
    assert_eq!(backlog.next_due, Some(last.next_attempt_at));
}
