//! What `migrate` says of a database that a host has made.

use tenant_billing::{
    Database as _,
    ids::{CustomerId, TenantId},
    ports::{Store, StoreError},
};

use super::SqliteBench;

const TENANTS: &str = "CREATE TABLE tenants (id TEXT PRIMARY KEY, name TEXT, created_at TEXT);";
const CONFIG: &str = "CREATE TABLE tenant_config (id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL UNIQUE REFERENCES tenants (id) ON DELETE CASCADE,
    stripe_customer_id TEXT UNIQUE, plan TEXT NOT NULL DEFAULT 'free', created_at TEXT,
    updated_at TEXT);";
const ID: &str = "abcdef00-0000-4000-8000-000000000001";

/// What `migrate` says of a database that a host has made, and that it changes nothing of it.
#[tokio::test]
async fn a_hosts_own_tables_are_checked_and_left_alone() {
    let (good, id) = (format!("{TENANTS}{CONFIG}"), ID);
    let cases = [
        (good.clone(), None),
        (TENANTS.to_owned(), None),
        (CONFIG.to_owned(), Some("no table tenants")),
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

/// All of it in one run, each with what to do about it.
#[tokio::test]
async fn every_misfit_is_named_at_once() {
    let config = CONFIG
        .replace("stripe_customer_id TEXT UNIQUE", "stripe_customer_id TEXT")
        .replace(" DEFAULT 'free'", "")
        .replace("updated_at", "changed_at");
    let tenants = format!("{TENANTS} INSERT INTO tenants (id) VALUES ('acme');");
    assert_eq!(
        refused(&format!("{tenants}{config}")).await,
        "\n- tenant_config has no column updated_at; add it\
         \n- tenant_config.plan is NOT NULL and has no default; give it one, or allow null\
         \n- tenant_config.stripe_customer_id is not UNIQUE; create a unique index on it\
         \n- tenants.id holds 'acme'; each id must be a lower-case, hyphenated UUID"
    );
    assert_eq!(
        refused("CREATE TABLE tenant_config (id TEXT, tenant_id TEXT UNIQUE)").await,
        "\n- there is no table tenants; create it, with the columns id\
         \n- tenant_config has no column stripe_customer_id; add it\
         \n- tenant_config has no column updated_at; add it"
    );
    let keyed = TENANTS.replace("(id ", "(key ");
    let config = CONFIG.replace("REFERENCES tenants (id) ON DELETE CASCADE", "");
    assert_eq!(refused(&format!("{keyed}{config}")).await, "tenants has no column id; add it");
}

/// What no look at the columns can tell: that a Customer could never be bound, or never cleared.
#[tokio::test]
async fn a_trial_finds_what_could_never_be_written() {
    let trigger = |event: &str, does: &str| {
        format!(
            "{TENANTS}{CONFIG} CREATE TRIGGER guard {event} ON tenant_config BEGIN {does}; END;"
        )
    };
    let old_row = format!(
        "INSERT INTO tenants (id, name) VALUES ('{ID}', 'Acme');
         INSERT INTO tenant_config (id, tenant_id) VALUES ('c', '{ID}');"
    );
    for (schema, words) in [
        (
            format!(
                "{TENANTS}{}",
                CONFIG
                    .replace("TEXT UNIQUE,", "TEXT UNIQUE CHECK (length(stripe_customer_id) < 9),")
            ),
            "CHECK constraint failed: length(stripe_customer_id) < 9",
        ),
        (
            format!(
                "{TENANTS}{}",
                CONFIG.replace(
                    "customer_id TEXT UNIQUE",
                    "customer_id TEXT NOT NULL DEFAULT '' UNIQUE"
                )
            ),
            "NOT NULL constraint failed: tenant_config.stripe_customer_id",
        ),
        (
            format!(
                "{TENANTS}{}",
                CONFIG.replace("(id TEXT PRIMARY KEY", "(id INTEGER PRIMARY KEY")
            ),
            "tenant_config: datatype mismatch",
        ),
        (
            format!(
                "{TENANTS}{}",
                CONFIG.replace("customer_id TEXT UNIQUE", "customer_id TEXT AS (plan) UNIQUE")
            ),
            "tenant_config.stripe_customer_id is a generated column",
        ),
        (
            format!(
                "{TENANTS}{}",
                CONFIG.replace("TEXT UNIQUE,", "TEXT UNIQUE ON CONFLICT IGNORE,")
            )
            .replace(
                "plan TEXT NOT NULL DEFAULT 'free'",
                "plan TEXT NOT NULL ON CONFLICT IGNORE DEFAULT NULL",
            ),
            "swallows the write",
        ),
        (
            trigger("BEFORE INSERT", "SELECT RAISE(ABORT, 'ask bob@example.com first')"),
            "a trigger on tenant_config says: ask […] first",
        ),
        (
            trigger("BEFORE INSERT", "SELECT RAISE(ROLLBACK, 'no')"),
            "a trigger on tenant_config says: no",
        ),
        (trigger("BEFORE INSERT", "SELECT RAISE(IGNORE)"), "swallows the write"),
        (
            trigger("AFTER INSERT", "INSERT INTO audit VALUES (1)"),
            "tenant_config: no such table: main.audit",
        ),
        (
            trigger("BEFORE UPDATE", "SELECT RAISE(ABORT, 'frozen')") + &old_row,
            "a trigger on tenant_config says: frozen",
        ),
        (trigger("BEFORE UPDATE", "SELECT RAISE(IGNORE)") + &old_row, "swallows the write"),
        (
            trigger(
                "AFTER UPDATE",
                "UPDATE tenant_config SET stripe_customer_id = 'cus_mine' WHERE id = new.id",
            ) + &old_row,
            "does not keep the Customer",
        ),
    ] {
        let why = refused(&schema).await;
        assert!(why.contains(words), "{schema}: {why}");
        assert!(!why.contains('@'), "{why}");
    }
}

/// A trigger may well ask for a tenant that exists, and the trial leaves nothing behind.
#[tokio::test]
async fn a_trial_is_fair_and_leaves_nothing() {
    let guard = "CREATE TRIGGER guard BEFORE INSERT ON tenant_config
                 WHEN NOT EXISTS (SELECT 1 FROM tenants WHERE id = new.tenant_id)
                 BEGIN SELECT RAISE(ABORT, 'no such tenant'); END;
                 CREATE TABLE heard (what TEXT);
                 CREATE TRIGGER ears AFTER INSERT ON tenant_config
                 BEGIN INSERT INTO heard VALUES (new.id); END;";
    let named = TENANTS.replace("name TEXT", "name TEXT NOT NULL");
    let one = format!("INSERT INTO tenants (id, name) VALUES ('{ID}', 'Acme');");
    for schema in [
        format!("{TENANTS}{CONFIG}{guard}"),
        format!("{named}{CONFIG}{guard}"),
        format!("{named}{CONFIG}{guard}{one}"),
        format!("{named}{CONFIG}"),
    ] {
        let bench = SqliteBench::fresh();
        bench.sql().execute_batch(&schema).unwrap();
        assert_eq!(bench.store().migrate().await, Ok(()), "{schema}");
        let sql = bench.sql();
        let count = |table: &str| -> i64 {
            sql.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count("tenant_config"), 0, "{schema}");
        assert_eq!(count("tenants"), schema.matches("'Acme'").count() as i64, "{schema}");
        if schema.contains("heard") {
            assert_eq!(count("heard"), 0, "{schema}");
        }
    }
}

async fn refused(schema: &str) -> String {
    let bench = SqliteBench::fresh();
    bench.sql().execute_batch(schema).unwrap();
    match bench.store().migrate().await {
        Err(StoreError::SchemaMismatch(why)) => why,
        result => panic!("{schema}: {result:?}"),
    }
}

/// Whoever asks for it is told what has become of the host's tables since; a program that opens the
/// file for a moment is not held up by that.
#[tokio::test]
async fn a_migrated_database_is_checked_again_if_that_is_asked_for() {
    let bench = SqliteBench::fresh();
    bench.store().migrate().await.unwrap();
    assert_eq!(bench.store().migrate().await, Ok(()));
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON tenant_config
                   BEGIN SELECT RAISE(ABORT, 'no more'); END";
    bench.sql().execute_batch(trigger).unwrap();
    let tenant = TenantId::parse(ID).unwrap();
    bench.store().add_tenant(&tenant).await.unwrap();
    let Err(StoreError::SchemaMismatch(why)) = bench.store().migrate().await else {
        panic!("no Customer can be bound");
    };
    assert!(why.contains("no more"), "{why}");
    assert_eq!(bench.store().migrate_if_needed().await, Ok(()));
}

/// Nothing may be written once the transaction is gone.
#[tokio::test]
async fn a_trigger_on_tenants_that_ends_the_transaction_is_told() {
    let trigger =
        "CREATE TRIGGER no BEFORE INSERT ON tenants BEGIN SELECT RAISE(ROLLBACK, 'no'); END;";
    let bench = SqliteBench::fresh();
    bench.sql().execute_batch(&format!("{TENANTS}{CONFIG}{trigger}")).unwrap();
    for _ in 0..2 {
        let Err(StoreError::SchemaMismatch(why)) = bench.store().migrate().await else {
            panic!("the trigger ends every transaction");
        };
        assert!(why.contains("a trigger on tenants ends the transaction"), "{why}");
    }
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'installation'";
    assert_eq!(bench.sql().query_row(sql, [], |row| row.get::<_, i64>(0)), Ok(0));
}
