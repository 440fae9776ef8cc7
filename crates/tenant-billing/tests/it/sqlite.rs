//! The SQLite store: the conformance suite, and what only SQLite can get wrong.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, types::Value};
use tempfile::TempDir;
use tenant_billing::{
    Database, SqliteStore,
    conformance::{self, Bench, SteppedClock},
    ids::{CustomerId, TenantId},
    ports::{Store, StoreError},
};

use crate::rows;

struct SqliteBench {
    dir: TempDir,
    clock: Arc<SteppedClock>,
}

impl SqliteBench {
    fn fresh() -> Self {
        let began = Timestamp::from_second(1_800_000_000).unwrap();
        Self { dir: TempDir::new().unwrap(), clock: SteppedClock::at(began) }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("test.db")
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(self.path()).unwrap().with_clock(self.clock.clone())
    }

    fn sql(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        connection
    }
}

#[async_trait]
impl Bench for SqliteBench {
    async fn open(&self) -> Arc<dyn Database> {
        Arc::new(self.store())
    }

    fn tenant(&self, number: u32) -> TenantId {
        TenantId::parse(&format!("abcdef00-0000-4000-8000-{number:012}")).unwrap()
    }

    fn respelled(&self, tenant: &TenantId) -> Option<TenantId> {
        TenantId::parse(&format!("{{{}}}", tenant.as_str().to_uppercase())).ok()
    }

    async fn remove_tenant(&self, tenant: &TenantId) {
        self.sql().execute("DELETE FROM tenants WHERE id = ?1", [tenant.as_str()]).unwrap();
    }

    async fn set_column(&self, tenant: &TenantId, customer: Option<&CustomerId>) {
        let sql = "INSERT INTO tenant_config (id, tenant_id, stripe_customer_id) VALUES (?1, ?1, ?2)
                   ON CONFLICT (tenant_id) DO UPDATE SET stripe_customer_id = excluded.stripe_customer_id";
        self.sql().execute(sql, (tenant.as_str(), customer.map(CustomerId::as_str))).unwrap();
    }

    async fn lose_row(&self, tenant: &TenantId) {
        let sql = "DELETE FROM customer_provisioning WHERE tenant_id = ?1";
        self.sql().execute(sql, [tenant.as_str()]).unwrap();
    }

    async fn dump(&self) -> String {
        let sql = self.sql();
        let mut text = String::new();
        for table in [
            "customer_provisioning",
            "billing_event",
            "deleted_customer",
            "surplus_customer",
            "stripe_account",
            "installation",
            "tenant_config",
        ] {
            let mut statement = sql.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let cells: Vec<Value> = (0..columns).map(|at| row.get(at).unwrap()).collect();
                text.push_str(&format!("{table}: {cells:?}\n"));
            }
        }
        text
    }

    fn advance(&self, by: SignedDuration) {
        self.clock.advance(by);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() {
    conformance::run(|| async { SqliteBench::fresh() }).await;
}

#[tokio::test]
async fn illegal_rows_cannot_be_written() {
    let bench = SqliteBench::fresh();
    bench.store().migrate().await.unwrap();
    let sql = bench.sql();
    for (row, legal) in rows::all() {
        let inserted = sql.execute_batch(&rows::insert(&row, "5", "0"));
        match (inserted, legal) {
            (Ok(()), true) => sql.execute_batch("DELETE FROM customer_provisioning").unwrap(),
            (Err(error), false) => {
                assert!(error.to_string().contains("constraint failed"), "{row:?}: {error}");
            }
            (inserted, _) => panic!("{row:?}: {inserted:?}"),
        }
    }
}

#[tokio::test]
async fn the_trail_cannot_be_rewritten() {
    let bench = SqliteBench::fresh();
    bench.store().migrate().await.unwrap();
    let sql = bench.sql();
    let event = "INSERT INTO billing_event (tenant_id, at, kind, generation, detail)
                 VALUES ('t', 0, 'opened', 1, '')";
    sql.execute(event, []).unwrap();
    for change in ["UPDATE billing_event SET detail = 'x'", "DELETE FROM billing_event"] {
        let error = sql.execute(change, []).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{change}: {error}");
    }
}

/// What `migrate` says of a database that a host has made, and that it changes nothing of it.
#[tokio::test]
async fn a_hosts_own_tables_are_checked_and_left_alone() {
    let tenants = "CREATE TABLE tenants (id TEXT PRIMARY KEY, name TEXT, created_at TEXT);";
    let config = "CREATE TABLE tenant_config (id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL UNIQUE
        REFERENCES tenants (id) ON DELETE CASCADE, stripe_customer_id TEXT UNIQUE,
        plan TEXT NOT NULL DEFAULT 'free', created_at TEXT, updated_at TEXT);";
    let good = format!("{tenants}{config}");
    let id = "abcdef00-0000-4000-8000-000000000001";
    let cases = [
        (good.clone(), None),
        (tenants.to_owned(), None),
        (config.to_owned(), Some("no table tenants")),
        (good.replace("tenant_id TEXT NOT NULL UNIQUE", "tenant_id TEXT"), Some("tenant_id is not UNIQUE")),
        (good.replace("customer_id TEXT UNIQUE", "customer_id TEXT"), Some("stripe_customer_id is not UNIQUE")),
        (good.replace("updated_at", "changed_at"), Some("no column updated_at")),
        (good.replace(" DEFAULT 'free'", ""), Some("plan is NOT NULL and has no default")),
        (format!("{good} INSERT INTO tenants (id) VALUES (upper('{id}'));"), Some("lower-case, hyphenated UUID")),
        (format!("{good} INSERT INTO tenants (id) VALUES ('acme');"), Some("lower-case, hyphenated UUID")),
        (format!("{good} INSERT INTO tenants (id, name) VALUES ('{id}', 'Acme');
                  INSERT INTO tenant_config VALUES ('c', '{id}', 'cus_old', 'pro', 'then', 'then');"), None),
    ];
    for (schema, refused) in cases {
        let bench = SqliteBench::fresh();
        bench.sql().execute_batch(&schema).unwrap();
        let before = host_schema(&bench);
        match (bench.store().migrate().await, refused) {
            (Ok(()), None) => {}
            (Err(StoreError::SchemaMismatch(why)), Some(words)) => {
                assert!(why.contains(words), "{schema}: {why}");
                let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'installation'";
                let ours: i64 = bench.sql().query_row(sql, [], |row| row.get(0)).unwrap();
                assert_eq!(ours, 0, "a refused migration left something: {schema}");
            }
            (result, _) => panic!("{schema}: {result:?}"),
        }
        for (table, sql) in before {
            assert!(host_schema(&bench).contains(&(table, sql)), "{schema}");
        }
        if schema.contains("cus_old") {
            let tenant = TenantId::parse(id).unwrap();
            let bound = bench.store().bound(&tenant).await.unwrap();
            assert_eq!(bound, Some(CustomerId::parse("cus_old").unwrap()));
        }
    }
}

fn host_schema(bench: &SqliteBench) -> Vec<(String, String)> {
    let sql = bench.sql();
    let mut statement = sql
        .prepare("SELECT name, sql FROM sqlite_schema WHERE name IN ('tenants', 'tenant_config')")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_newer_schema_is_used_only_where_it_says_so() {
    let bench = SqliteBench::fresh();
    bench.store().migrate().await.unwrap();
    let sql = bench.sql();
    sql.execute("INSERT INTO tenant_billing_migration VALUES (1000, 0)", []).unwrap();
    assert_eq!(bench.store().migrate().await, Ok(()), "a rolling deploy: old and new side by side");
    sql.execute("UPDATE installation SET oldest_program = 1000", []).unwrap();
    assert_eq!(bench.store().migrate().await, Err(StoreError::SchemaTooNew));
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_said_so() {
    let dir = TempDir::new().unwrap();
    for path in ["", ":memory:"] {
        let opened = SqliteStore::open(path);
        assert!(matches!(opened, Err(StoreError::SchemaMismatch(_))), "{path:?}");
    }
    let missing = SqliteStore::open(dir.path().join("no/such/dir.db"));
    assert!(matches!(missing, Err(StoreError::SchemaMismatch(_))));
    let rubbish = dir.path().join("rubbish");
    std::fs::write(&rubbish, vec![7; 8192]).unwrap();
    let migrated = match SqliteStore::open(&rubbish) {
        Ok(store) => store.migrate().await,
        Err(error) => Err(error),
    };
    assert!(matches!(migrated, Err(StoreError::Corrupt(_))), "{migrated:?}");
}

#[tokio::test]
async fn a_column_that_holds_no_customer_id_is_an_operators_matter() {
    let bench = SqliteBench::fresh();
    let store = bench.store();
    store.migrate().await.unwrap();
    let tenant = bench.tenant(1);
    store.add_tenant(&tenant).await.unwrap();
    let sql = "INSERT INTO tenant_config (id, tenant_id, stripe_customer_id) VALUES ('c', ?1, '')";
    bench.sql().execute(sql, [tenant.as_str()]).unwrap();
    for result in [store.bound(&tenant).await.map(drop), store.view(&tenant, &[]).await.map(drop)] {
        let Err(StoreError::Corrupt(why)) = result else { panic!("{result:?}") };
        assert!(why.contains("stripe_customer_id"), "{why}");
    }
}

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
