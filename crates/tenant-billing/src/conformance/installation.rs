//! Who a database is: its account, the keys that open it, other applications, and starting afresh.

use tenant_billing_core::{
    audit::{EventKind, SurplusReason},
    ids::{AccountId, InstallationId},
    ports::{Binding, Committed, Registration, StoreError},
    state::{Change, State},
};

use super::bench::{
    Bench, Check, account, bind, commit, customer, open, ready, rejection, request, to, view,
    written,
};
use crate::Afresh;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("who the database is", |b| Box::pin(registration(b))),
    ("a binding says whose it is", |b| Box::pin(bindings(b))),
    ("other applications are on record", |b| Box::pin(ignored(b))),
    ("a copy may keep its Customers", |b| Box::pin(starts_afresh(b, Afresh::CopyKeepingBindings))),
    ("a copy may forget its Customers", |b| {
        Box::pin(starts_afresh(b, Afresh::CopyForgettingBindings))
    }),
    ("a database may be given to another account", |b| {
        Box::pin(starts_afresh(b, Afresh::OtherAccount))
    }),
];

async fn registration(bench: &dyn Bench) {
    let store = bench.open().await;
    store.migrate().await.expect("migrates");
    let before = store.registration().await.expect("reads");
    assert_eq!((&before.account, before.copied), (&None, false));
    assert!(before.keys.is_empty());
    let told = store.register(&account(), Some("a")).await.expect("registers");
    assert_eq!(told, (before.installation.clone(), account()));
    store.register(&account(), Some("b")).await.expect("registers");
    store.register(&account(), Some("a")).await.expect("registers");
    // A key of another account opens that one, not ours.
    let mut other = account();
    other.id = AccountId::parse("acct_two").expect("an id");
    assert_eq!(store.register(&other, Some("c")).await.expect("registers"), told);
    let mut after = bench.open().await.registration().await.expect("reads");
    after.keys.sort();
    let keys = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(after, Registration { account: Some(account()), keys, ..before });
    store.installation_moved().await.expect("records it");
    assert!(!store.registration().await.expect("reads").copied);
}

async fn bindings(bench: &dyn Bench) {
    let store = bench.open().await;
    store.migrate().await.expect("migrates");
    let tenant = bench.tenant(1);
    store.add_tenant(&tenant).await.expect("adds a tenant");
    bench.set_column(&tenant, Some(&customer("a"))).await;
    let binding = |account| Ok(Some(Binding { customer: customer("a"), account }));
    assert_eq!(store.binding(&tenant).await, binding(None));
    store.register(&account(), None).await.expect("registers");
    assert_eq!(store.binding(&tenant).await, binding(Some(account())));
    assert_eq!(store.binding(&bench.tenant(2)).await, Ok(None));
    assert_eq!(store.count_bound().await, Ok(1));
}

async fn ignored(bench: &dyn Bench) {
    let (store, _) = ready(bench).await;
    let id = |text| InstallationId::parse(text).expect("an id");
    assert_eq!(store.ignored_installations().await, Ok(vec![]));
    for (other, new) in [("another-2", true), ("another-1", true), ("another-2", false)] {
        assert_eq!(store.ignore_installation(&id(other)).await, Ok(new), "{other}");
    }
    let ours = store.registration().await.expect("reads").installation;
    let told = store.ignore_installation(&ours).await;
    assert!(matches!(told, Err(StoreError::Invalid(it)) if it.field == "installation"));
    let all = bench.open().await.ignored_installations().await;
    assert_eq!(all, Ok(vec![id("another-1"), id("another-2")]));
}

/// Tenant 1 is provisioned and bound, 2 is pending, 3 is rejected, 4 was bound by the host alone, and
/// 5 is vacant.
async fn starts_afresh(bench: &dyn Bench, how: Afresh) {
    let (store, bound) = ready(bench).await;
    store.register(&account(), Some("a")).await.expect("registers");
    let [pending, rejected, host, vacant] = [2, 3, 4, 5].map(|number| bench.tenant(number));
    for tenant in [&pending, &rejected, &host, &vacant] {
        store.add_tenant(tenant).await.expect("adds a tenant");
    }
    written(&*store, &open(&view(&*store, &bound).await)).await;
    let mut change = bind(&view(&*store, &bound).await, &customer("a"));
    change.surplus.push((customer("late"), SurplusReason::Late));
    change.surplus.push((customer("unbound"), SurplusReason::Unbound));
    written(&*store, &change).await;
    written(&*store, &open(&view(&*store, &pending).await)).await;
    let refused = State::Rejected(request(&rejected, 1), rejection());
    written(&*store, &to(&view(&*store, &rejected).await, refused)).await;
    written(&*store, &to(&view(&*store, &vacant).await, State::Vacant)).await;
    bench.set_column(&host, Some(&customer("host"))).await;
    let (before, original) = (view(&*store, &pending).await, store.registration().await);
    let original = original.expect("reads").installation;

    let now = store.start_afresh(how).await.expect("starts afresh");
    assert_ne!(now.installation, original);
    assert_eq!(store.registration().await.as_ref(), Ok(&now));
    assert!(now.keys.is_empty() && !now.copied);
    let copy = how != Afresh::OtherAccount;
    assert_eq!(now.account, copy.then(account));
    let others = store.ignored_installations().await.expect("reads");
    assert_eq!(others, copy.then_some(original).as_slice());

    // What was decided of the old database is written no more.
    assert_eq!(commit(&*store, &Change::none(&before)).await, Committed::Conflict);

    let keeps = how == Afresh::CopyKeepingBindings;
    for (tenant, id, row, generation) in [
        (&bound, Some("a"), "provisioned", 1),
        (&pending, None, "pending", 1),
        (&rejected, None, "rejected", 1),
        (&vacant, None, "vacant", 1),
    ] {
        let now = view(&*store, tenant).await;
        let row_now = now.row.expect("rows are never deleted");
        let stays = row == "vacant" || (row == "provisioned" && keeps);
        let name = if stays { row } else { "vacant" };
        assert_eq!(row_now.state.name(), name, "{row}");
        assert_eq!(row_now.generation, generation + u64::from(!stays), "{row}");
        assert_eq!(now.bound, id.filter(|_| keeps).map(customer), "{row}");
        let history = store.history(tenant).await.expect("reads");
        let last = history.events.last().map(|it| (it.event.kind, it.event.generation));
        if !stays {
            assert_eq!(last, Some((EventKind::Vacated, row_now.generation)), "{row}");
        }
    }
    let of_host = view(&*store, &host).await;
    assert_eq!(of_host.bound, keeps.then(|| customer("host")));
    let cleared = store.history(&host).await.expect("reads").events;
    let cleared = cleared.into_iter().map(|it| (it.event.kind, it.event.customer));
    let expected = (!keeps).then_some((EventKind::Cleared, Some(customer("host"))));
    assert_eq!(cleared.collect::<Vec<_>>(), Vec::from_iter(expected));
    // What is too many is the original's matter, and what an operator unbound stays unbound.
    let surplus = store.surplus(&bound).await.expect("reads");
    assert!(surplus.len() == 2 && surplus.iter().all(|it| it.resolved_at.is_some()));
    let facts = store.view(&bound, &[customer("unbound")]).await.expect("reads").facts;
    assert!(facts[&customer("unbound")].unbound_by_operator);
    assert_eq!(store.count_bound().await, Ok(if keeps { 2 } else { 0 }));
    // The next creation has a key of its own.
    store.register(&account(), None).await.expect("registers");
    let next = view(&*store, &pending).await;
    let mut change = to(&next, State::Pending(request(&pending, 2)));
    change.only_if.needs_customer_in = Some(account());
    written(&*store, &change).await;
}
