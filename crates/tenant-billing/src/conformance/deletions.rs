//! What the record of a deletion changes, in whatever order it comes.

use tenant_billing_core::{
    audit::EventKind,
    ids::TenantId,
    ports::Store,
    state::{Row, State},
};

use super::bench::{
    Bench, Check, bind, conflicts, customer, open, ready, request, to, view, written,
};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("a deletion nulls the column and vacates the row", |b| Box::pin(bound(b))),
    ("a deletion that is recorded twice is one", |b| Box::pin(twice(b))),
    ("a deletion that is recorded before the Customer is bound prevents the bind", |b| {
        Box::pin(before(b))
    }),
    ("a deletion of a Customer that the host bound nulls the column", |b| Box::pin(hosts(b))),
    ("a deletion after the host nulled its column still vacates the row", |b| Box::pin(nulled(b))),
    ("a deletion leaves a pending row alone", |b| Box::pin(under_way(b))),
    ("a deletion of an older Customer leaves the newer one bound", |b| Box::pin(older(b))),
];

async fn provision(store: &dyn Store, tenant: &TenantId, id: &str) {
    let seen = view(store, tenant).await;
    if seen.row.is_none() {
        written(store, &open(&seen)).await;
    }
    written(store, &bind(&view(store, tenant).await, &customer(id))).await;
}

async fn row(store: &dyn Store, tenant: &TenantId) -> Row {
    view(store, tenant).await.row.expect("a row")
}

async fn bound(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    provision(&*store, &tenant, "a").await;
    let before = row(&*store, &tenant).await;
    store.record_deletion(&customer("a")).await.expect("records");
    let after = row(&*store, &tenant).await;
    assert_eq!(store.bound(&tenant).await, Ok(None));
    assert_eq!(after.state, State::Vacant);
    assert_eq!(after.generation, before.generation + 1);
    assert_eq!(after.version, before.version + 1);
    let history = store.history(&tenant).await.expect("reads");
    let last: Vec<_> = history.events.iter().rev().take(2).map(|it| it.event.kind).collect();
    assert_eq!(last, [EventKind::Vacated, EventKind::Cleared]);
}

async fn twice(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    provision(&*store, &tenant, "a").await;
    store.record_deletion(&customer("a")).await.expect("records");
    let once = bench.dump().await;
    store.record_deletion(&customer("a")).await.expect("records");
    assert_eq!(bench.dump().await, once);
}

async fn before(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    written(&*store, &open(&view(&*store, &tenant).await)).await;
    let ready_to_bind = bind(&view(&*store, &tenant).await, &customer("a"));
    store.record_deletion(&customer("a")).await.expect("records");
    conflicts(bench, &*store, &ready_to_bind).await;
}

async fn hosts(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    bench.set_column(&tenant, Some(&customer("host"))).await;
    store.record_deletion(&customer("host")).await.expect("records");
    assert_eq!(store.bound(&tenant).await, Ok(None));
    assert_eq!(view(&*store, &tenant).await.row, None);
}

async fn nulled(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    provision(&*store, &tenant, "a").await;
    bench.set_column(&tenant, None).await;
    store.record_deletion(&customer("a")).await.expect("records");
    assert_eq!(row(&*store, &tenant).await.state, State::Vacant);
}

async fn under_way(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    written(&*store, &open(&view(&*store, &tenant).await)).await;
    let pending = row(&*store, &tenant).await;
    bench.set_column(&tenant, Some(&customer("host"))).await;
    store.record_deletion(&customer("host")).await.expect("records");
    assert_eq!(store.bound(&tenant).await, Ok(None));
    assert_eq!(row(&*store, &tenant).await, pending);
}

async fn older(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    provision(&*store, &tenant, "a").await;
    store.record_deletion(&customer("a")).await.expect("records");
    let mut reopen = to(&view(&*store, &tenant).await, State::Pending(request(&tenant, 2)));
    if let Some(row) = &mut reopen.row {
        row.generation = 2;
    }
    written(&*store, &reopen).await;
    provision(&*store, &tenant, "b").await;
    let provisioned = row(&*store, &tenant).await;
    store.record_deletion(&customer("a")).await.expect("records");
    assert_eq!(store.bound(&tenant).await, Ok(Some(customer("b"))));
    assert_eq!(row(&*store, &tenant).await, provisioned);
}
