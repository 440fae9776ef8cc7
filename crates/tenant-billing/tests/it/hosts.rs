//! The databases that the protocol's stories are played on.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::SignedDuration;
use rusqlite::Connection;
use tempfile::TempDir;
use tenant_billing::{PostgresStore, SqliteStore, ports::Clock};

use crate::{postgres::server::Database, world::Host};

/// A file.
pub(crate) struct Sqlite {
    dir: TempDir,
}

impl Sqlite {
    fn path(&self) -> PathBuf {
        self.dir.path().join("world.db")
    }

    fn connect(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        connection
    }
}

#[async_trait]
impl Host for Sqlite {
    async fn make() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn store(&self, clock: Arc<dyn Clock>) -> Arc<dyn tenant_billing::Database> {
        Arc::new(SqliteStore::open(self.path()).unwrap().with_clock(clock))
    }

    async fn sql(&self, sql: &str) {
        self.connect().execute_batch(sql).unwrap();
    }

    async fn holds(&self, sql: &str) -> bool {
        self.connect().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    async fn pass(&self, _: SignedDuration) {
        // Its clock is the one that its store was given.
    }

    const UNGUARD_TRAIL: &str = "DROP TRIGGER IF EXISTS billing_event_is_never_deleted";
}

/// A server.
pub(crate) struct Postgres {
    database: Database,
}

#[async_trait]
impl Host for Postgres {
    async fn make() -> Self {
        Self { database: Database::fresh().await }
    }

    fn store(&self, clock: Arc<dyn Clock>) -> Arc<dyn tenant_billing::Database> {
        Arc::new(PostgresStore::open(&self.database.url()).unwrap().with_clock(clock))
    }

    async fn sql(&self, sql: &str) {
        self.database.run(sql).await;
    }

    async fn holds(&self, sql: &str) -> bool {
        self.database.cell(sql).await == "t"
    }

    async fn pass(&self, time: SignedDuration) {
        self.database.advance(time.unsigned_abs()).await;
    }

    const UNGUARD_TRAIL: &str =
        "ALTER TABLE billing_event DISABLE TRIGGER billing_event_is_append_only";
}
