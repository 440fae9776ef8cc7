//! What a change may write, and what must stop it.

use std::sync::Arc;

use jiff::SignedDuration;
use tenant_billing_core::{
    audit::SurplusReason,
    ids::{AccountId, InstallationId},
    ports::{Committed, StoreError},
    state::{Change, Column, State},
};
use tokio::{sync::Barrier, task::JoinSet};

use super::bench::{
    Bench, Check, account, bind, commit, conflicts, customer, open, ready, rejection, request, to,
    view, written,
};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("migrating twice, and by two at once, makes one schema", |b| Box::pin(migrate(b))),
    ("without tables every call says that they are missing", |b| Box::pin(no_schema(b))),
    ("an unknown tenant does not exist, and opens nothing", |b| Box::pin(unknown_tenant(b))),
    ("another spelling of a tenant is the same tenant", |b| Box::pin(spellings(b))),
    ("every state is read back as it was written", |b| Box::pin(states(b))),
    ("a change needs the version that it was decided from", |b| Box::pin(versions(b))),
    ("a change that was decided more than a minute ago is not written", |b| {
        Box::pin(old_decisions(b))
    }),
    ("a change that was decided from tables made anew since is not written", |b| {
        Box::pin(other_tables(b))
    }),
    ("of many processes that open a row at once one wins", |b| Box::pin(opening_at_once(b))),
    ("binding sets the column, and inserts a missing row", |b| Box::pin(binding(b))),
    ("binding needs a null column, the tenant and the account", |b| Box::pin(guards(b))),
    ("clearing touches only the Customer that it names", |b| Box::pin(clearing(b))),
    ("surplus is recorded, and resolved by binding", |b| Box::pin(surplus(b))),
    ("personal data is gone once the row is provisioned", |b| Box::pin(forgetting(b))),
    ("a row that was lost is known by its audit trail", |b| Box::pin(lost_row(b))),
    ("the audit trail keeps every event in order", |b| Box::pin(trail(b))),
    ("the first account wins, and is read back", |b| Box::pin(accounts(b))),
    ("of two accounts that are recorded at once all are told the same", |b| {
        Box::pin(two_accounts_at_once(b))
    }),
];

async fn migrate(bench: &dyn Bench) {
    let (one, two) = (bench.open().await, bench.open().await);
    let (first, second) = tokio::join!(one.migrate(), two.migrate());
    assert_eq!((first, second), (Ok(()), Ok(())));
    assert_eq!(one.migrate().await, Ok(()));
    let ours = one.register(&account(), None).await.expect("identifies");
    assert_eq!(two.register(&account(), None).await.expect("identifies"), ours);
}

async fn no_schema(bench: &dyn Bench) {
    let (store, tenant) = (bench.open().await, bench.tenant(1));
    let missing = || StoreError::SchemaMissing;
    assert_eq!(store.bound(&tenant).await, Err(missing()));
    assert_eq!(store.view(&tenant, &[]).await, Err(missing()));
    assert_eq!(store.register(&account(), None).await, Err(missing()));
    assert_eq!(store.backlog().await, Err(missing()));
}

async fn unknown_tenant(bench: &dyn Bench) {
    let (store, _) = ready(bench).await;
    let seen = view(&*store, &bench.tenant(2)).await;
    assert!(!seen.exists && seen.bound.is_none() && seen.row.is_none());
    conflicts(bench, &*store, &open(&seen)).await;
    assert_eq!(store.bound(&bench.tenant(2)).await, Ok(None));
}

async fn spellings(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let Some(respelled) = bench.respelled(&tenant) else {
        return;
    };
    assert_ne!(respelled, tenant);
    assert_eq!(view(&*store, &respelled).await.tenant, tenant);
    written(&*store, &open(&view(&*store, &respelled).await)).await;
    written(&*store, &bind(&view(&*store, &respelled).await, &customer("a"))).await;
    assert_eq!(store.bound(&respelled).await, Ok(Some(customer("a"))));
    assert_eq!(store.add_tenant(&respelled).await, Ok(false));
}

async fn states(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let ask = request(&tenant, 1);
    let mut seen = view(&*store, &tenant).await;
    let conclusive_from = seen.now + SignedDuration::from_mins(70);
    let states = [
        State::Pending(ask.clone()),
        State::InDoubt { request: ask.clone(), conclusive_from, sent: true },
        State::InDoubt { request: ask.clone(), conclusive_from, sent: false },
        State::Rejected(ask, rejection()),
        State::Provisioned(customer("a")),
        State::Vacant,
    ];
    for (attempts, state) in (0..).zip(states) {
        let mut change = to(&seen, state);
        if let Some(row) = &mut change.row {
            row.attempts = attempts;
            row.generation += u64::from(attempts);
            row.last_error = (attempts % 2 == 0).then(|| "HTTP 500".into());
            row.next_attempt_at += SignedDuration::from_secs(attempts.into());
        }
        written(&*store, &change).await;
        seen = view(&*store, &tenant).await;
        assert_eq!(seen.row, change.row);
        assert_eq!(seen.account, Some(account()));
    }
}

async fn versions(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let blank = view(&*store, &tenant).await;
    let mut none_there = Change::none(&blank);
    none_there.only_if.version = Some(1);
    none_there.surplus.push((customer("s"), SurplusReason::Late));
    conflicts(bench, &*store, &none_there).await;
    written(&*store, &open(&blank)).await;
    conflicts(bench, &*store, &open(&blank)).await;
    let first = view(&*store, &tenant).await;
    written(&*store, &to(&first, State::Rejected(request(&tenant, 1), rejection()))).await;
    conflicts(bench, &*store, &bind(&first, &customer("a"))).await;
    let mut late = Change::none(&first);
    late.surplus.push((customer("s"), SurplusReason::Late));
    conflicts(bench, &*store, &late).await;
}

async fn old_decisions(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let decided = open(&view(&*store, &tenant).await);
    bench.advance(SignedDuration::from_secs(61));
    conflicts(bench, &*store, &decided).await;
    let decided = open(&view(&*store, &tenant).await);
    // Less than a minute, since a database's own clock goes on by itself.
    bench.advance(SignedDuration::from_secs(50));
    written(&*store, &decided).await;
}

async fn other_tables(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let mut decided = open(&view(&*store, &tenant).await);
    let ours = decided.only_if.installation.clone();
    decided.only_if.installation = InstallationId::parse("22222222-bbbb").expect("an id");
    conflicts(bench, &*store, &decided).await;
    decided.only_if.installation = ours;
    written(&*store, &decided).await;
}

/// Many times, since two writes can interleave in many ways.
async fn opening_at_once(bench: &dyn Bench) {
    let (store, _) = ready(bench).await;
    let mut stores = vec![Arc::clone(&store)];
    for _ in 1..8 {
        stores.push(bench.open().await);
    }
    for number in 2..=40 {
        let tenant = bench.tenant(number);
        assert!(store.add_tenant(&tenant).await.expect("adds a tenant"));
        let change = open(&view(&*store, &tenant).await);
        let mut all = JoinSet::new();
        for store in stores.iter().cloned() {
            let change = change.clone();
            all.spawn(async move { commit(&*store, &change).await });
        }
        let won = all.join_all().await.into_iter().filter(|it| *it == Committed::Yes).count();
        assert_eq!(won, 1, "{tenant}");
    }
}

async fn binding(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let other = bench.tenant(2);
    store.add_tenant(&other).await.expect("adds");
    bench.set_column(&other, None).await;
    for (tenant, id) in [(&tenant, customer("a")), (&other, customer("b"))] {
        written(&*store, &open(&view(&*store, tenant).await)).await;
        written(&*store, &bind(&view(&*store, tenant).await, &id)).await;
        assert_eq!(store.bound(tenant).await, Ok(Some(id.clone())));
        let mut more = Change::none(&view(&*store, tenant).await);
        more.column = Column::Holds(id.clone());
        written(&*store, &more).await;
        for column in [Column::Holds(customer("another")), Column::Bind(customer("another"))] {
            more.column = column;
            conflicts(bench, &*store, &more).await;
        }
        let seen = view(&*store, tenant).await;
        assert_eq!(seen.bound, Some(id.clone()));
        assert_eq!(seen.row.map(|row| row.state), Some(State::Provisioned(id)));
    }
}

async fn guards(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    written(&*store, &open(&view(&*store, &tenant).await)).await;
    let ours = bind(&view(&*store, &tenant).await, &customer("a"));

    let mut foreign = ours.clone();
    let id = AccountId::parse("acct_two").expect("an id");
    foreign.only_if.needs_customer_in.as_mut().expect("a guard").id = id;
    conflicts(bench, &*store, &foreign).await;

    bench.set_column(&tenant, Some(&customer("host"))).await;
    conflicts(bench, &*store, &ours).await;
    bench.set_column(&tenant, None).await;
    bench.remove_tenant(&tenant).await;
    conflicts(bench, &*store, &ours).await;
    store.add_tenant(&tenant).await.expect("adds");
    written(&*store, &ours).await;
}

async fn clearing(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    bench.set_column(&tenant, Some(&customer("host"))).await;
    let mut other = Change::none(&view(&*store, &tenant).await);
    other.column = Column::Clear(customer("a"));
    written(&*store, &other).await;
    assert_eq!(store.bound(&tenant).await, Ok(Some(customer("host"))));
    other.column = Column::Clear(customer("host"));
    written(&*store, &other).await;
    assert_eq!(store.bound(&tenant).await, Ok(None));
}

async fn surplus(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    written(&*store, &open(&view(&*store, &tenant).await)).await;
    let mut found = Change::none(&view(&*store, &tenant).await);
    found.surplus.push((customer("a"), SurplusReason::Late));
    found.surplus.push((customer("b"), SurplusReason::Duplicate));
    written(&*store, &found).await;
    // Recorded again, it has the newer reason; but one that an operator unbound stays unbound.
    for reason in [SurplusReason::Unbound, SurplusReason::Late] {
        found.surplus = vec![(customer("b"), reason)];
        written(&*store, &found).await;
    }
    let on_record = async || {
        let surplus = store.surplus(&tenant).await.expect("reads");
        surplus
            .into_iter()
            .map(|it| (it.customer, it.reason, it.resolved_at.is_some()))
            .collect::<Vec<_>>()
    };
    let (a, b) = (customer("a"), customer("b"));
    let (late, unbound) = (SurplusReason::Late, SurplusReason::Unbound);
    assert_eq!(on_record().await, [(a.clone(), late, false), (b.clone(), unbound, false)]);
    written(&*store, &bind(&view(&*store, &tenant).await, &a)).await;
    assert_eq!(on_record().await, [(a.clone(), late, true), (b.clone(), unbound, false)]);
    store.record_deletion(&b).await.expect("records");
    assert_eq!(on_record().await, [(a, late, true), (b, unbound, true)]);
}

async fn forgetting(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    written(&*store, &open(&view(&*store, &tenant).await)).await;
    assert!(bench.dump().await.contains("someone%40example.com"));
    written(&*store, &bind(&view(&*store, &tenant).await, &customer("a"))).await;
    assert!(!bench.dump().await.contains("someone"));
}

async fn lost_row(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    assert_eq!(view(&*store, &tenant).await.lost_generation, 0);
    let mut third = open(&view(&*store, &tenant).await);
    third.events.iter_mut().for_each(|event| event.generation = 3);
    written(&*store, &third).await;
    assert_eq!(view(&*store, &tenant).await.lost_generation, 0, "nothing is lost");
    bench.lose_row(&tenant).await;
    let seen = view(&*store, &tenant).await;
    assert_eq!((seen.row, seen.lost_generation), (None, 3));
}

async fn trail(bench: &dyn Bench) {
    let (store, tenant) = ready(bench).await;
    let opened = open(&view(&*store, &tenant).await);
    written(&*store, &opened).await;
    bench.advance(SignedDuration::from_secs(1));
    let bound = bind(&view(&*store, &tenant).await, &customer("a"));
    written(&*store, &bound).await;
    bench.remove_tenant(&tenant).await;
    let history = store.history(&tenant).await.expect("reads");
    let events: Vec<_> = history.events.iter().map(|it| it.event.clone()).collect();
    assert_eq!(events, [opened.events, bound.events].concat());
    assert!(history.events[0].at < history.events[1].at);
    assert_eq!((history.exists, history.bound), (false, None));
    assert_eq!(history.state, Some(("provisioned", Some(customer("a")))));
    let stranger = store.history(&bench.tenant(2)).await.expect("reads");
    assert!(stranger.events.is_empty() && stranger.state.is_none() && !stranger.exists);
}

async fn accounts(bench: &dyn Bench) {
    let (store, _) = ready(bench).await;
    let mut other = account();
    other.id = AccountId::parse("acct_two").expect("an id");
    let (_, recorded) = store.register(&other, None).await.expect("identifies");
    assert_eq!(recorded, account());
}

/// Each of many processes records its own account, as the first one that ever ran.
async fn two_accounts_at_once(bench: &dyn Bench) {
    let store = bench.open().await;
    store.migrate().await.expect("migrates");
    let mut all = JoinSet::new();
    let begin = Arc::new(Barrier::new(16));
    for number in 0..16 {
        let (store, begin) = (bench.open().await, Arc::clone(&begin));
        let mut mine = account();
        if number % 2 == 1 {
            mine.id = AccountId::parse("acct_two").expect("an id");
        }
        all.spawn(async move {
            // It is connected by now, so that all of them come at once.
            store.backlog().await.expect("reads");
            begin.wait().await;
            store.register(&mine, None).await.expect("identifies")
        });
    }
    let told = all.join_all().await;
    assert!(told.iter().all(|it| *it == told[0]), "{told:?}");
    assert_eq!(store.register(&account(), None).await.expect("identifies"), told[0]);
}
