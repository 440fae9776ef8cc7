//! What a view says of Customers, and what stops one from being bound.

use tenant_billing_core::{
    audit::SurplusReason,
    ids::{CustomerId, TenantId},
    ports::{Committed, Store},
    state::{Change, Column, CustomerFacts},
};

use super::bench::{Bench, Check, bind, commit, conflicts, customer, open, ready, view, written};
use crate::Database;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("a Customer known deleted or bound elsewhere is not bound", |b| Box::pin(unfit(b))),
    ("one view tells the facts of each Customer", |b| Box::pin(combinations(b))),
    ("a view tells nothing of a Customer that nobody asked about", |b| Box::pin(not_asked(b))),
    ("a Customer in a column is bound elsewhere for all tenants but one", |b| {
        Box::pin(whose_column(b))
    }),
    ("a Customer that the host moves is bound where its column says", |b| Box::pin(moved(b))),
    ("a Customer that another tenant's column holds is never bound", |b| Box::pin(taken(b))),
];

const NONE: CustomerFacts =
    CustomerFacts { deleted: false, bound_elsewhere: false, unbound_by_operator: false };

async fn facts(store: &dyn Store, tenant: &TenantId, id: &CustomerId) -> CustomerFacts {
    let view = store.view(tenant, std::slice::from_ref(id)).await.expect("reads");
    view.facts[id]
}

/// Another tenant than [`ready`]'s.
async fn another(bench: &dyn Bench, store: &dyn Database, number: u32) -> TenantId {
    let tenant = bench.tenant(number);
    store.add_tenant(&tenant).await.expect("adds");
    tenant
}

/// Puts a Customer on record as unbound by an operator.
async fn unbound(store: &dyn Store, tenant: &TenantId, id: &CustomerId) {
    let mut change = Change::none(&view(store, tenant).await);
    change.surplus.push((id.clone(), SurplusReason::Unbound));
    written(store, &change).await;
}

async fn unfit(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let other = another(bench, &*store, 2).await;
    bench.set_column(&other, Some(&customer("taken"))).await;
    store.record_deletion(&customer("dead")).await.expect("records");
    written(&*store, &open(&view(&*store, &tenant).await)).await;

    let check = async |id: &str| {
        let id = customer(id);
        let view = store.view(&tenant, std::slice::from_ref(&id)).await.expect("reads");
        (view.facts[&id], bind(&view, &id))
    };
    let (facts, change) = check("dead").await;
    assert_eq!(facts, CustomerFacts { deleted: true, ..NONE });
    conflicts(bench, &*store, &change).await;
    let (facts, change) = check("taken").await;
    assert_eq!(facts, CustomerFacts { bound_elsewhere: true, ..NONE });
    conflicts(bench, &*store, &change).await;
    let (facts, change) = check("fine").await;
    assert_eq!(facts, NONE);
    written(&*store, &change).await;
    unbound(&*store, &other, &customer("off")).await;
    assert_eq!(check("off").await.0, CustomerFacts { unbound_by_operator: true, ..NONE });
    // What is bound to this very tenant is not bound elsewhere.
    assert_eq!(check("fine").await.0, NONE);
}

/// Every combination, in one view: each Customer has its own facts and none of its neighbour's. (A
/// column may hold a Customer that is on record as deleted, since the host may write what it
/// likes.)
async fn combinations(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let mut expected = Vec::new();
    for number in 0..8_u32 {
        let id = customer(&format!("c{number}"));
        let facts = CustomerFacts {
            deleted: number & 1 != 0,
            bound_elsewhere: number & 2 != 0,
            unbound_by_operator: number & 4 != 0,
        };
        if facts.unbound_by_operator {
            unbound(&*store, &tenant, &id).await;
        }
        if facts.deleted {
            store.record_deletion(&id).await.expect("records");
        }
        if facts.bound_elsewhere {
            let other = another(bench, &*store, 10 + number).await;
            bench.set_column(&other, Some(&id)).await;
        }
        expected.push((id, facts));
    }
    // Surplus for another reason is no operator's wish, and says nothing here.
    let mut late = Change::none(&view(&*store, &tenant).await);
    late.surplus.push((customer("late"), SurplusReason::Late));
    written(&*store, &late).await;
    expected.push((customer("late"), NONE));
    // Ids that nobody has ever seen: one that is only longer than another one, and odd ones.
    for name in ["c", "c11", "C3", "nobody", "it's", "a\"b", "a,b", "{a}", "a\\b", "%"] {
        expected.push((customer(name), NONE));
    }
    for _ in 0..2 {
        let asked: Vec<_> = expected.iter().map(|(id, _)| id.clone()).collect();
        let view = store.view(&tenant, &asked).await.expect("reads");
        let found: Vec<_> = asked.iter().map(|id| (id.clone(), view.facts[id])).collect();
        assert_eq!(found, expected);
        assert_eq!(view.facts.len(), expected.len());
        // The order in which they are asked about makes no difference.
        expected.reverse();
    }
    let twice = [customer("c7"), customer("c7")];
    let view = store.view(&tenant, &twice).await.expect("reads");
    assert_eq!(view.facts.len(), 1);
    let all = CustomerFacts { deleted: true, bound_elsewhere: true, unbound_by_operator: true };
    assert_eq!(view.facts[&customer("c7")], all);
}

async fn not_asked(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let other = another(bench, &*store, 2).await;
    bench.set_column(&other, Some(&customer("taken"))).await;
    store.record_deletion(&customer("dead")).await.expect("records");
    let view = view(&*store, &tenant).await;
    assert!(view.facts.is_empty() && view.exists && view.bound.is_none(), "{view:?}");
    // The tenant itself need not exist, and need not have a row or a column.
    let asked = [customer("dead"), customer("taken"), customer("unknown")];
    let view = store.view(&bench.tenant(3), &asked).await.expect("reads");
    assert!(!view.exists);
    let found = asked.each_ref().map(|id| view.facts[id]);
    let deleted = CustomerFacts { deleted: true, ..NONE };
    assert_eq!(found, [deleted, CustomerFacts { bound_elsewhere: true, ..NONE }, NONE]);
}

async fn whose_column(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let other = another(bench, &*store, 2).await;
    let id = customer("a");
    bench.set_column(&tenant, Some(&id)).await;
    assert_eq!(facts(&*store, &tenant, &id).await, NONE);
    let elsewhere = CustomerFacts { bound_elsewhere: true, ..NONE };
    assert_eq!(facts(&*store, &other, &id).await, elsewhere);
    if let Some(respelled) = bench.respelled(&tenant) {
        assert_eq!(facts(&*store, &respelled, &id).await, NONE, "the same tenant");
    }
    bench.set_column(&tenant, None).await;
    assert_eq!(facts(&*store, &other, &id).await, NONE);
}

/// The host moves a Customer from one tenant's column into another's.
async fn moved(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let other = another(bench, &*store, 2).await;
    let id = customer("a");
    written(&*store, &open(&view(&*store, &tenant).await)).await;
    written(&*store, &bind(&view(&*store, &tenant).await, &id)).await;
    bench.set_column(&tenant, None).await;
    bench.set_column(&other, Some(&id)).await;

    assert_eq!(store.bound(&tenant).await, Ok(None));
    assert_eq!(store.bound(&other).await, Ok(Some(id.clone())));
    let elsewhere = CustomerFacts { bound_elsewhere: true, ..NONE };
    assert_eq!(facts(&*store, &tenant, &id).await, elsewhere);
    assert_eq!(facts(&*store, &other, &id).await, NONE);
    // It is neither bound back, nor does its old tenant's column hold it.
    conflicts(bench, &*store, &bind(&view(&*store, &tenant).await, &id)).await;
    let mut holds = Change::none(&view(&*store, &tenant).await);
    holds.column = Column::Holds(id.clone());
    conflicts(bench, &*store, &holds).await;
    // Clearing the old tenant's column leaves the new one's alone.
    let mut clear = Change::none(&view(&*store, &tenant).await);
    clear.column = Column::Clear(id.clone());
    written(&*store, &clear).await;
    assert_eq!(store.bound(&other).await, Ok(Some(id.clone())));
    // A deletion nulls the column that holds it now, and vacates the row that led to it.
    store.record_deletion(&id).await.expect("records");
    assert_eq!(store.bound(&other).await, Ok(None));
    let row = view(&*store, &tenant).await.row.expect("a row");
    assert_eq!(row.state, tenant_billing_core::state::State::Vacant);
}

/// Also if it came there after the view that the change was decided from.
async fn taken(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let other = another(bench, &*store, 2).await;
    let id = customer("a");
    written(&*store, &open(&view(&*store, &tenant).await)).await;
    let before = store.view(&tenant, std::slice::from_ref(&id)).await.expect("reads");
    assert_eq!(before.facts[&id], NONE);
    let decided = bind(&before, &id);
    bench.set_column(&other, Some(&id)).await;
    conflicts(bench, &*store, &decided).await;
    bench.set_column(&other, None).await;
    assert_eq!(commit(&*store, &decided).await, Committed::Yes);
    assert_eq!(store.bound(&tenant).await, Ok(Some(id)));
}
