//! The database file of a run: made in memory's own file system where there is one, watched by
//! triggers, and with the hand of a host application in it.
//!
//! The triggers write down every change of the column and of the row, in order, together with the
//! newest event of the audit trail at that moment. So at the end it can be told of each change
//! whether its own transaction left the event that belongs to it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, config::DbConfig};
use tempfile::TempDir;
use tenant_billing::{
    Database as _, SqliteStore,
    ids::{AccountId, Mode, TenantId},
    ports::Clock,
    request::Account,
};

use crate::sim::beginning;

/// How many tenants there are.
pub(crate) const TENANTS: u8 = 2;

const WATCH: &str = "
    CREATE TABLE sim_host (only_row INTEGER PRIMARY KEY, writes INTEGER NOT NULL);
    INSERT INTO sim_host VALUES (1, 0);
    CREATE TABLE sim_column (id INTEGER PRIMARY KEY, tenant TEXT, was TEXT, now TEXT,
                             by_host INTEGER, event INTEGER, dead INTEGER);
    CREATE TABLE sim_row (id INTEGER PRIMARY KEY, tenant TEXT, was_version INTEGER, version INTEGER,
                          was_generation INTEGER, generation INTEGER, was_state TEXT, state TEXT,
                          by_host INTEGER, event INTEGER);
    CREATE TRIGGER sim_column_made AFTER INSERT ON tenant_config
    WHEN new.stripe_customer_id IS NOT NULL BEGIN
        INSERT INTO sim_column (tenant, now, by_host, event, dead) SELECT new.tenant_id,
            new.stripe_customer_id, writes, (SELECT coalesce(max(id), 0) FROM billing_event),
            EXISTS (SELECT 1 FROM deleted_customer WHERE customer_id = new.stripe_customer_id)
        FROM sim_host; END;
    CREATE TRIGGER sim_column_changed AFTER UPDATE ON tenant_config
    WHEN new.stripe_customer_id IS NOT old.stripe_customer_id BEGIN
        INSERT INTO sim_column (tenant, was, now, by_host, event, dead) SELECT new.tenant_id,
            old.stripe_customer_id, new.stripe_customer_id, writes,
            (SELECT coalesce(max(id), 0) FROM billing_event),
            EXISTS (SELECT 1 FROM deleted_customer WHERE customer_id = new.stripe_customer_id)
        FROM sim_host; END;
    CREATE TRIGGER sim_column_gone AFTER DELETE ON tenant_config
    WHEN old.stripe_customer_id IS NOT NULL BEGIN
        INSERT INTO sim_column (tenant, was, by_host, event) SELECT old.tenant_id,
            old.stripe_customer_id, writes, (SELECT coalesce(max(id), 0) FROM billing_event)
        FROM sim_host; END;
    CREATE TRIGGER sim_row_made AFTER INSERT ON customer_provisioning BEGIN
        INSERT INTO sim_row (tenant, version, generation, state, by_host, event) SELECT new.tenant_id,
            new.version, new.generation, new.state, writes,
            (SELECT coalesce(max(id), 0) FROM billing_event) FROM sim_host; END;
    CREATE TRIGGER sim_row_changed AFTER UPDATE ON customer_provisioning
    WHEN new.version <> old.version OR new.generation <> old.generation
      OR new.state <> old.state BEGIN
        INSERT INTO sim_row (tenant, was_version, version, was_generation, generation, was_state, state,
                             by_host, event)
        SELECT new.tenant_id, old.version, new.version, old.generation, new.generation, old.state,
            new.state, writes, (SELECT coalesce(max(id), 0) FROM billing_event) FROM sim_host; END;
    CREATE TRIGGER sim_row_gone AFTER DELETE ON customer_provisioning BEGIN
        INSERT INTO sim_row (tenant, was_version, was_generation, was_state, by_host, event)
        SELECT old.tenant_id, old.version, old.generation, old.state, writes,
            (SELECT coalesce(max(id), 0) FROM billing_event) FROM sim_host; END;
";

/// A migrated database with its tenants, as a file's bytes.
struct Template {
    bytes: Vec<u8>,
}

pub(crate) struct Host {
    dir: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) sql: Connection,
    backup: Vec<u8>,
    files: u32,
}

impl Host {
    pub(crate) fn new(live: bool) -> Self {
        static TEMPLATES: [OnceLock<Template>; 2] = [OnceLock::new(), OnceLock::new()];
        let template = TEMPLATES[usize::from(live)].get_or_init(|| Template::make(live));
        let dir = directory();
        let path = dir.path().join("0.db");
        let sql = place(&path, &template.bytes);
        Self { dir, path, sql, backup: template.bytes.clone(), files: 1 }
    }

    /// The database of another application, with the same tenants.
    pub(crate) fn second(live: bool) -> Self {
        let host = Self::new(live);
        host.writes("UPDATE installation SET id = 'second-0001'");
        host
    }

    /// The database as it is now, in a file of its own.
    pub(crate) fn copy(&self) -> Self {
        let dir = directory();
        let path = dir.path().join("copy.db");
        let into = format!("VACUUM INTO '{}'", path.display());
        self.sql.execute_batch(&into).expect("a copy");
        let bytes = fs::read(&path).expect("a copy");
        let path = dir.path().join("0.db");
        let sql = place(&path, &bytes);
        Self { dir, path, sql, backup: bytes, files: 1 }
    }

    pub(crate) fn installation(&self) -> String {
        self.cell("SELECT id FROM installation").expect("an installation")
    }

    /// Writes as the host, which the watching triggers are told.
    pub(crate) fn writes(&self, sql: &str) {
        let sql = format!(
            "BEGIN IMMEDIATE; UPDATE sim_host SET writes = 1; {sql};
             UPDATE sim_host SET writes = 0; COMMIT"
        );
        self.sql.execute_batch(&sql).expect("the host may write");
    }

    /// The only cell of the first row.
    pub(crate) fn cell<T: rusqlite::types::FromSql>(&self, sql: &str) -> Option<T> {
        let cell = self.sql.query_row(sql, [], |row| row.get(0)).optional();
        cell.expect("a statement that runs").flatten()
    }

    pub(crate) fn holds(&self, sql: &str) -> bool {
        self.cell::<i64>(&format!("SELECT EXISTS ({sql})")) == Some(1)
    }

    pub(crate) fn column(&self, tenant: &TenantId) -> Option<String> {
        let sql = "SELECT stripe_customer_id FROM tenant_config WHERE tenant_id";
        self.cell(&format!("{sql} = '{tenant}'"))
    }

    /// Whether a Customer of the tenant may exist, or come to exist, as far as the database says.
    pub(crate) fn is_begun(&self, tenant: &TenantId) -> bool {
        let of = format!("WHERE tenant_id = '{tenant}'");
        let row = format!("SELECT state FROM customer_provisioning {of}");
        // Of a row that was lost, the trail tells.
        let lost = format!("SELECT 'lost' FROM billing_event {of} AND generation > 0 LIMIT 1");
        let state = self.cell::<String>(&format!("SELECT coalesce(({row}), ({lost}))"));
        state.is_some_and(|it| it != "vacant" && it != "rejected")
    }

    /// A connection that another process may ask which Customers the host's columns hold.
    pub(crate) fn columns(&self) -> Columns {
        Columns(Mutex::new(Connection::open(&self.path).expect("a database")))
    }

    pub(crate) fn exists(&self, tenant: &TenantId) -> bool {
        self.holds(&format!("SELECT 1 FROM tenants WHERE id = '{tenant}'"))
    }

    pub(crate) fn back_up(&mut self) {
        let copy = self.dir.path().join(format!("backup-{}.db", self.files));
        self.files += 1;
        let into = format!("VACUUM INTO '{}'", copy.display());
        self.sql.execute_batch(&into).expect("a backup");
        self.backup = fs::read(copy).expect("a backup");
    }

    /// Our tables are as they are after their first migration, of another installation. The host's
    /// stay, and what the watching triggers saw before counts as the host's doing.
    pub(crate) fn remake(&self) -> String {
        let triggers = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        self.sql.set_db_config(triggers, false).expect("a setting");
        let remake = "BEGIN IMMEDIATE;
            DELETE FROM customer_provisioning; DELETE FROM billing_event;
            DELETE FROM deleted_customer; DELETE FROM surplus_customer; DELETE FROM stripe_account;
            DELETE FROM ignored_installation;
            UPDATE installation SET id = 'remade-' || printf('%04d', 1 + substr(id, 8, 4));
            UPDATE sim_row SET by_host = 1; UPDATE sim_column SET by_host = 1; COMMIT";
        self.sql.execute_batch(remake).expect("a migration");
        self.sql.set_db_config(triggers, true).expect("a setting");
        self.installation()
    }

    /// The backup takes the database's place, in a new file: whoever has the old one open is dead.
    pub(crate) fn restore(&mut self) {
        self.path = self.dir.path().join(format!("{}.db", self.files));
        self.files += 1;
        self.sql = place(&self.path, &self.backup);
    }
}

/// Reads what all of the host's columns hold, past the store that is under test.
pub(crate) struct Columns(Mutex<Connection>);

impl Columns {
    pub(crate) fn held(&self) -> BTreeSet<String> {
        let sql =
            "SELECT stripe_customer_id FROM tenant_config WHERE stripe_customer_id IS NOT NULL";
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement = connection.prepare_cached(sql).expect("a statement");
        let held = statement.query_map([], |row| row.get(0));
        held.and_then(Iterator::collect).expect("the columns")
    }
}

fn place(path: &Path, bytes: &[u8]) -> Connection {
    fs::write(path, bytes).expect("a database file");
    let sql = Connection::open(path).expect("a database");
    sql.pragma_update(None, "foreign_keys", true).expect("a pragma");
    // What the store itself writes stays as it ships; this is the harness's own hand.
    sql.pragma_update(None, "synchronous", "OFF").expect("a pragma");
    sql
}

/// In memory where the system has a place for that: thousands of databases are made and dropped.
fn directory() -> TempDir {
    let ram = Path::new("/dev/shm");
    let made = if ram.is_dir() { TempDir::new_in(ram) } else { TempDir::new() };
    made.or_else(|_| TempDir::new()).expect("a directory")
}

impl Template {
    fn make(live: bool) -> Self {
        let dir = directory();
        let path = dir.path().join("template.db");
        let clock = Arc::new(Still(AtomicU64::new(1)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let store = SqliteStore::open(&path).expect("a store").with_clock(clock);
            store.migrate().await.expect("a migration");
            let tenants: Vec<_> = (0..TENANTS).map(tenant).collect();
            store.add_tenants(&tenants).await.expect("tenants");
            // The first run of this software has recorded whose database it is.
            let id = AccountId::parse("acct_ours").expect("an account");
            let mode = if live { Mode::Live } else { Mode::Test };
            tenant_billing::conformance::register(&store, &Account { id, mode }, None)
                .await
                .expect("an account");
        });
        let sql = Connection::open(&path).expect("a database");
        sql.execute_batch(WATCH).expect("triggers that watch");
        sql.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
        drop(sql);
        Self { bytes: fs::read(&path).expect("a database") }
    }
}

pub(crate) fn tenant(number: u8) -> TenantId {
    let number = number % TENANTS;
    TenantId::parse(&format!("abcdef00-0000-4000-8000-{number:012}")).expect("a tenant id")
}

/// A clock for making the template, which is the same every time.
struct Still(AtomicU64);

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        beginning()
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    async fn sleep(&self, _: Duration) {}
}
