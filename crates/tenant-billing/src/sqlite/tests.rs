use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn store() -> (SqliteStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (SqliteStore::open(dir.path().join("a.db")).unwrap(), dir)
}

fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> T {
    connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

/// A commit that has returned survives a power cut. No test from outside can cut the power.
#[test]
fn every_connection_waits_for_the_disk() {
    let (store, _dir) = store();
    let reader = connect(&store.path, Duration::ZERO).unwrap();
    for connection in [&*store.writer.blocking_lock(), &reader] {
        assert_eq!(pragma::<i64>(connection, "synchronous"), 2, "2 is FULL");
    }
}

/// Each read opens a connection while the others are in use, and most of them are closed again.
#[test]
fn few_idle_readers_are_kept() {
    fn reads_at_once(store: &SqliteStore, number: usize) {
        if number > 0 {
            let read = |_: &Connection, _: &dyn Clock| {
                reads_at_once(store, number - 1);
                Ok(())
            };
            assert_eq!(store.inline(read), Some(Ok(())));
        }
    }
    let (store, _dir) = store();
    for (number, idle) in [(1, 1), (3, 3), (MAX_IDLE_READERS + 2, MAX_IDLE_READERS)] {
        reads_at_once(&store, number);
        assert_eq!(store.readers.lock().unwrap().len(), idle, "{number} at once");
    }
}

/// Counts how often somebody sleeps, and lets nobody wait.
#[derive(Default)]
struct Pauses(AtomicU32);

#[async_trait]
impl Clock for Pauses {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self) -> u64 {
        0
    }

    async fn sleep(&self, time: Duration) {
        assert_eq!(time, WAL_PAUSE);
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn turning_the_log_on_is_tried_again_and_then_given_up() {
    let (store, _dir) = store();
    let clock = Arc::new(Pauses::default());
    let store = store.with_clock(clock.clone());
    let other = connect(&store.path, Duration::ZERO).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(store.turn_wal_on().await, Err(StoreError::Unavailable(LOCKED.into())));
    assert_eq!(clock.0.load(Ordering::Relaxed), WAL_RETRIES);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(store.turn_wal_on().await, Ok(()));
    assert_eq!(
        pragma::<String>(&connect(&store.path, Duration::ZERO).unwrap(), "journal_mode"),
        "wal"
    );
}
