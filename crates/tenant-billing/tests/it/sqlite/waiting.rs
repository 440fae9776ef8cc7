//! What happens while another connection holds the lock of the file.

use std::{fmt::Debug, future::Future, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use jiff::SignedDuration;
use rusqlite::Connection;
use tenant_billing::{
    Database, SqliteStore, SystemClock,
    conformance::Bench,
    ids::TenantId,
    ports::{Clock, Committed, Store, StoreError},
    state::Column,
};

use super::{SqliteBench, account, cus, decided, ready};

const MOMENT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn another_process_that_writes_is_waited_for() {
    let bench = SqliteBench::fresh();
    let store = bench.store();
    store.migrate().await.unwrap();
    let other = bench.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let tenant = bench.tenant(1);
    let adding = tokio::spawn(async move { store.add_tenant(&tenant).await });
    tokio::task::yield_now().await;
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(adding.await.unwrap(), Ok(true));
}

/// As many applications have it: a file without a write-ahead log, in which a writer keeps readers
/// out. One of the stores has read before, and has a connection for it.
async fn locked() -> ([SqliteStore; 2], TenantId, Connection, SqliteBench) {
    let (bench, store, tenant) = ready().await;
    drop(store);
    let other = bench.sql();
    other.pragma_update(None, "journal_mode", "DELETE").unwrap();
    let (warm, cold) = (bench.store(), bench.store());
    assert_eq!(warm.bound(&tenant).await, Ok(None));
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    ([warm, cold], tenant, other, bench)
}

/// One thread runs everything here, so a read that blocked it would stop the clock of the deadline.
#[tokio::test]
async fn a_read_of_a_locked_file_leaves_the_thread_to_others() {
    let (stores, tenant, _other, _bench) = locked().await;
    let clock = SystemClock::shared();
    let began = clock.uptime();
    for store in &stores {
        within(store.bound(&tenant)).await;
        within(store.view(&tenant, &[cus("cus_1")])).await;
        within(store.history(&tenant)).await;
        within(store.surplus(&tenant)).await;
        within(store.backlog()).await;
        within(store.register(&account(), None)).await;
        within(store.claim(None, Duration::ZERO, 1)).await;
        within(store.migrate()).await;
    }
    let took = clock.uptime() - began;
    assert!(took < Duration::from_secs(4), "{took:?}");
}

async fn within<T: Debug>(call: impl Future<Output = T>) {
    let deadline = SystemClock::shared();
    if let Either::Left((told, _)) = select(pin!(call), deadline.sleep(MOMENT)).await {
        panic!("it did not wait: {told:?}");
    }
}

#[tokio::test]
async fn a_read_waits_for_the_lock() {
    let ([store, _], tenant, other, _bench) = locked().await;
    let release = async {
        SystemClock::shared().sleep(4 * MOMENT).await;
        other.execute_batch("COMMIT").unwrap();
    };
    let asked = [cus("cus_1")];
    let (bound, view, history, ()) = tokio::join!(
        store.bound(&tenant),
        store.view(&tenant, &asked),
        store.history(&tenant),
        release
    );
    assert_eq!(bound, Ok(None));
    assert_eq!(view.map(|it| it.facts.len()), Ok(1));
    assert!(history.unwrap().exists);
}

/// The time of a write is the one after the wait: a decision may have become too old meanwhile.
#[tokio::test]
async fn a_write_reads_the_clock_after_it_has_waited() {
    let minute = SignedDuration::from_secs(61);
    let (bench, store, tenant) = ready().await;
    let bind = decided(&store, &tenant, Column::Bind(cus("cus_1"))).await;
    let told = while_locked(&bench, minute, store.commit(&bind)).await;
    assert_eq!(told, Ok(Committed::Conflict));

    assert_eq!(while_locked(&bench, minute, store.record_deletion(&cus("cus_2"))).await, Ok(()));
    let now = bench.clock.now().as_millisecond();
    let cell = |sql: &str| -> i64 { bench.sql().query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(cell("SELECT recorded_at FROM deleted_customer"), now);

    while_locked(&bench, minute, store.register(&account(), None)).await.unwrap();
    let now = bench.clock.now().as_millisecond();
    assert_eq!(cell("SELECT recorded_at FROM stripe_account"), now);

    let row = "INSERT INTO customer_provisioning (tenant_id, version, generation, state, account_id,
                   mode, stripe_version, idempotency_key, body, opened_at, attempts, next_attempt_at)
               VALUES (?1, 1, 1, 'pending', 'acct_1', 'test', 'v', 'k', 'b', 0, 0, 0)";
    bench.sql().execute(row, [tenant.as_str()]).unwrap();
    let hold = Duration::from_secs(5);
    let claimed = while_locked(&bench, minute, store.claim(None, hold, 1)).await;
    assert_eq!(claimed, Ok(vec![tenant]));
    let now = bench.clock.now().as_millisecond();
    assert_eq!(cell("SELECT next_attempt_at FROM customer_provisioning"), now + 5000);
}

#[tokio::test]
async fn a_migration_reads_the_clock_after_it_has_waited() {
    let bench = SqliteBench::fresh();
    bench.sql().pragma_update(None, "journal_mode", "WAL").unwrap();
    let store = bench.store();
    let day = SignedDuration::from_hours(24);
    assert_eq!(while_locked(&bench, day, store.migrate()).await, Ok(()));
    let sql = "SELECT created_at FROM installation";
    let created: i64 = bench.sql().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(created, bench.clock.now().as_millisecond());
}

/// Runs `call` while another connection holds the write lock; meanwhile, the clock goes on.
async fn while_locked<T>(
    bench: &SqliteBench,
    time: SignedDuration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let other = bench.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let release = async {
        SystemClock::shared().sleep(2 * MOMENT).await;
        bench.advance(time);
        other.execute_batch("COMMIT").unwrap();
    };
    tokio::join!(call, release).0
}
