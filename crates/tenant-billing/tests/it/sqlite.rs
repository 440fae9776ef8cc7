//! The SQLite store: the conformance suite, and what only SQLite can get wrong.

mod hosts_rules;
mod migrating;
mod waiting;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, types::Value};
use tempfile::TempDir;
use tenant_billing::{
    Database, SqliteStore,
    conformance::{self, Bench, SteppedClock},
    ids::{AccountId, CustomerId, Mode, TenantId},
    ports::{Store, StoreError},
    request::Account,
    state::{Change, Column},
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

/// A migrated database with one tenant.
async fn ready() -> (SqliteBench, SqliteStore, TenantId) {
    let bench = SqliteBench::fresh();
    let store = bench.store();
    store.migrate().await.unwrap();
    let tenant = bench.tenant(1);
    store.add_tenant(&tenant).await.unwrap();
    (bench, store, tenant)
}

fn cus(id: &str) -> CustomerId {
    CustomerId::parse(id).unwrap()
}

/// Decides now on this column, and on nothing else.
async fn decided(store: &SqliteStore, tenant: &TenantId, column: Column) -> Change {
    let view = store.view(tenant, &[]).await.unwrap();
    Change { column, ..Change::none(&view) }
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
async fn an_account_without_its_mode_is_not_taken_for_none() {
    let (bench, store, tenant) = ready().await;
    bench
        .sql()
        .execute_batch(
            "DROP TABLE stripe_account;
             CREATE TABLE stripe_account (only_row, account_id, mode, recorded_at);
             INSERT INTO stripe_account VALUES (1, 'acct_1', NULL, 0)",
        )
        .unwrap();
    let seen = store.view(&tenant, &[]).await.map(drop);
    assert!(matches!(seen, Err(StoreError::Corrupt(_))), "{seen:?}");
}

/// A hold that is too long for a time is not taken for none, which would let every worker claim the
/// same tenant again and again.
#[tokio::test]
async fn the_longest_hold_lasts() {
    let (bench, store, tenant) = ready().await;
    let row = "INSERT INTO customer_provisioning (tenant_id, version, generation, state, account_id,
                   mode, stripe_version, idempotency_key, body, opened_at, attempts, next_attempt_at)
               VALUES (?1, 1, 1, 'pending', 'acct_1', 'test', 'v', 'k', 'b', 0, 0, 0)";
    bench.sql().execute(row, [tenant.as_str()]).unwrap();
    assert_eq!(store.claim(None, Duration::MAX, 9).await, Ok(vec![tenant]));
    bench.advance(SignedDuration::from_hours(24 * 365 * 1000));
    assert_eq!(store.claim(None, Duration::MAX, 9).await, Ok(vec![]));
}

/// An error that cannot pass by itself would be retried for ever if it were called unavailable.
#[tokio::test]
async fn what_cannot_pass_by_itself_is_not_called_unavailable() {
    let (bench, store, tenant) = ready().await;
    let sql = bench.sql();
    // A cell of another type, which the driver refuses to read.
    let damage =
        "DROP TABLE installation; CREATE TABLE installation (only_row, id, oldest_program);
                  INSERT INTO installation VALUES (1, x'00ff', 1)";
    sql.execute_batch(damage).unwrap();
    let told = store.register(&account(), None).await.map(drop);
    assert!(matches!(told, Err(StoreError::Corrupt(_))), "{told:?}");
    // A statement that these tables do not understand.
    let damage = "DROP TABLE surplus_customer;
                  CREATE VIEW surplus_customer AS SELECT no_such_function(1) AS customer_id,
                      1 AS tenant_id, 1 AS reason, 1 AS found_at, 1 AS resolved_at";
    sql.execute_batch(damage).unwrap();
    let told = store.surplus(&tenant).await.map(drop);
    let Err(StoreError::SchemaMismatch(why)) = told else { panic!("{told:?}") };
    assert_eq!(why, "no such function: no_such_function");
}

/// What is missing may be ours, and then it is not the host's, and the other way round.
#[tokio::test]
async fn what_is_missing_is_named() {
    for (damage, expected) in [
        (
            "DROP TABLE tenant_config",
            mismatch(
                "there is no table tenant_config; create it, with the columns id, tenant_id, stripe_customer_id, updated_at",
            ),
        ),
        (
            "DROP TRIGGER tenant_config_goes_with_its_tenant; ALTER TABLE tenants RENAME TO customers",
            mismatch("there is no table tenants; create it, with the columns id"),
        ),
        (
            "ALTER TABLE tenant_config RENAME COLUMN stripe_customer_id TO customer",
            mismatch("tenant_config has no column stripe_customer_id; add it"),
        ),
        (
            "DROP TABLE deleted_customer",
            StoreError::Corrupt("table deleted_customer is gone; restore it from a backup".into()),
        ),
        (
            "ALTER TABLE customer_provisioning RENAME COLUMN last_error TO why",
            mismatch("no such column: p.last_error"),
        ),
        (
            "DROP TABLE tenant_billing_migration; DROP TABLE customer_provisioning",
            StoreError::SchemaMissing,
        ),
        (
            "DELETE FROM tenant_billing_migration; DROP TABLE customer_provisioning",
            StoreError::SchemaMissing,
        ),
    ] {
        let (bench, store, tenant) = ready().await;
        bench.sql().execute_batch(damage).unwrap();
        assert_eq!(store.view(&tenant, &[]).await.map(drop), Err(expected), "{damage}");
    }
}

fn mismatch(why: &str) -> StoreError {
    StoreError::SchemaMismatch(why.into())
}

fn account() -> Account {
    Account { id: AccountId::parse("acct_1").unwrap(), mode: Mode::Test }
}
