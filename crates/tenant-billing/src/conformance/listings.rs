//! What an operator is shown, without knowing a tenant's id.

use jiff::SignedDuration;
use tenant_billing_core::{audit::SurplusReason, ids::TenantId, state::State};

use super::bench::{Bench, Check, bind, customer, ready, rejection, request, to, view, written};
use crate::{Attention, Database};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("a listing shows the oldest entries and counts all", |b| Box::pin(listed(b))),
    ("the tenants that have a Customer come page by page", |b| Box::pin(paged(b))),
];

/// The tenants of this kind, the oldest first; and how many there are.
async fn list(store: &dyn Database, what: Attention, limit: u32) -> (Vec<TenantId>, u64) {
    let listing = store.list(what, limit).await.expect("lists");
    (listing.entries.into_iter().map(|it| it.tenant).collect(), listing.total)
}

async fn listed(bench: &dyn Bench) {
    let (store, _) = ready(bench).await;
    let kinds = [Attention::InDoubt, Attention::Pending, Attention::Rejected, Attention::Surplus];
    for what in kinds {
        assert_eq!(list(&*store, what, 10).await, (vec![], 0), "{what:?}");
    }
    let mut tenants = Vec::new();
    // Later numbers are opened earlier.
    for number in 1..=6 {
        let tenant = bench.tenant(number);
        store.add_tenant(&tenant).await.expect("adds");
        let seen = view(&*store, &tenant).await;
        let ask = request(&tenant, 1);
        let state = match number {
            1 | 2 => State::Pending(ask),
            3 | 4 => State::InDoubt { request: ask, conclusive_from: seen.now, sent: true },
            _ => State::Rejected(ask, rejection()),
        };
        let mut change = to(&seen, state);
        if let Some(row) = &mut change.row {
            row.opened_at -= SignedDuration::from_secs(number.into());
            row.next_attempt_at += SignedDuration::from_secs(number.into());
            row.last_error = Some(format!("error {number}"));
        }
        written(&*store, &change).await;
        tenants.push((tenant, change.row.expect("a row")));
    }
    for (what, at, why) in [
        (Attention::Pending, 0, "error 2"),
        (Attention::InDoubt, 2, "error 4"),
        (Attention::Rejected, 4, &*rejection().message),
    ] {
        let both = vec![tenants[at + 1].0.clone(), tenants[at].0.clone()];
        assert_eq!(list(&*store, what, 2).await, (both.clone(), 2), "{what:?}");
        assert_eq!(list(&*store, what, 1).await, (both[..1].to_vec(), 2), "{what:?}");
        let entry = store.list(what, 1).await.expect("lists").entries.remove(0);
        let row = &tenants[at + 1].1;
        let due = (what != Attention::Rejected).then_some(row.next_attempt_at);
        assert_eq!((entry.since, entry.due), (row.opened_at, due), "{what:?}");
        assert_eq!((entry.why.as_deref(), entry.customer), (Some(why), None));
    }
    let seen = view(&*store, &tenants[0].0).await;
    let mut change = to(&seen, State::Vacant);
    change.surplus = ["b", "a"].map(|name| (customer(name), SurplusReason::Late)).into();
    written(&*store, &change).await;
    let listing = store.list(Attention::Surplus, 10).await.expect("lists");
    let found: Vec<_> =
        listing.entries.iter().map(|it| (&it.tenant, it.customer.clone())).collect();
    let tenant = &tenants[0].0;
    assert_eq!(found, [(tenant, Some(customer("a"))), (tenant, Some(customer("b")))]);
    let first = &listing.entries[0];
    assert_eq!((first.why.as_deref(), first.due, listing.total), (Some("late"), None, 2));
    // One that is bound after all, and one that is deleted, need nobody.
    written(&*store, &bind(&view(&*store, tenant).await, &customer("a"))).await;
    store.record_deletion(&customer("b")).await.expect("records");
    assert_eq!(list(&*store, Attention::Surplus, 10).await, (vec![], 0));
}

async fn paged(bench: &dyn Bench) {
    let (store, _) = ready(bench).await;
    assert_eq!(store.bound_after(None, 10).await, Ok(vec![]));
    let mut bound = Vec::new();
    for number in 1..=12 {
        let tenant = bench.tenant(number);
        store.add_tenant(&tenant).await.expect("adds");
        // A row with a null column, too.
        let customer = (number % 4 != 0).then(|| customer(&format!("c{number}")));
        bench.set_column(&tenant, customer.as_ref()).await;
        bound.extend(customer.map(|_| tenant));
    }
    let usable = async |after: Option<&TenantId>, limit| -> Vec<TenantId> {
        let page = store.bound_after(after, limit).await.expect("reads");
        page.into_iter().map(|it| it.expect("a tenant id")).collect()
    };
    let mut seen: Vec<TenantId> = Vec::new();
    loop {
        let page = usable(seen.last(), 2).await;
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        seen.extend(page);
    }
    assert_eq!(usable(None, 100).await, seen, "the pages are the whole, in one order");
    seen.sort();
    bound.sort();
    assert_eq!(seen, bound);
}
