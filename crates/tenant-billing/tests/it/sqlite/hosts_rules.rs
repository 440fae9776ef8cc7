//! The host's own table refuses a write, swallows it, or writes something else.

use tenant_billing::{
    Database,
    conformance::Bench,
    ports::{Committed, Store, StoreError},
    state::Column,
};

use super::{cus, decided, ready};

/// Binds after the host has changed its tables, and says how that was refused.
async fn refused(change: &str) -> StoreError {
    let (bench, store, tenant) = ready().await;
    let bind = decided(&store, &tenant, Column::Bind(cus("cus_1"))).await;
    bench.sql().execute_batch(change).unwrap();
    let error = store.commit(&bind).await.unwrap_err();
    assert_eq!(written(&bench), 0, "{change}");
    error
}

fn written(bench: &super::SqliteBench) -> i64 {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'tenant_config' AND EXISTS
               (SELECT 1 FROM pragma_table_info('tenant_config') WHERE name = 'stripe_customer_id')";
    let sql = match bench.sql().query_row(sql, [], |row| row.get(0)).unwrap() {
        0 => "SELECT 0",
        _ => "SELECT count(*) FROM tenant_config WHERE stripe_customer_id IS NOT NULL",
    };
    bench.sql().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn trigger(event: &str, does: &str) -> String {
    format!("CREATE TRIGGER guard {event} ON tenant_config BEGIN {does}; END")
}

/// The host's table, made anew with another column.
fn remade(column: &str) -> String {
    format!(
        "DROP TABLE tenant_config;
         CREATE TABLE tenant_config (id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL UNIQUE,
             {column}, updated_at TEXT)"
    )
}

#[tokio::test]
async fn a_refusal_names_the_table_and_the_cause() {
    for (change, expected) in [
        (
            remade("stripe_customer_id TEXT UNIQUE, plan TEXT NOT NULL"),
            "tenant_config: NOT NULL constraint failed: tenant_config.plan",
        ),
        (
            remade("stripe_customer_id TEXT UNIQUE CHECK (stripe_customer_id LIKE 'c_%@%')"),
            "tenant_config: CHECK constraint failed: stripe_customer_id LIKE […]",
        ),
        (
            remade("stripe_customer_id TEXT UNIQUE CONSTRAINT at_night CHECK (id = 'x')"),
            "tenant_config: CHECK constraint failed: at_night",
        ),
        (
            remade("stripe_customer_id TEXT UNIQUE, plan TEXT REFERENCES plans (id) DEFAULT 'x'"),
            "tenant_config: no such table: main.plans",
        ),
        (
            "CREATE TABLE plans (id TEXT PRIMARY KEY);".to_owned()
                + &remade(
                    "stripe_customer_id TEXT UNIQUE, plan TEXT DEFAULT 'x'
                     REFERENCES plans (id) DEFERRABLE INITIALLY DEFERRED",
                ),
            "tenant_config: FOREIGN KEY constraint failed",
        ),
        (
            trigger(
                "BEFORE INSERT",
                "SELECT RAISE(ABORT, 'ann@example.com, or <bob@b.c>: no such table')",
            ),
            "a trigger on tenant_config says: […] or […] no such table",
        ),
        (
            trigger("AFTER INSERT", "SELECT RAISE(ROLLBACK, 'closed')"),
            "a trigger on tenant_config says: closed",
        ),
        (
            trigger("AFTER INSERT", "INSERT INTO audit VALUES (new.id)"),
            "tenant_config: no such table: main.audit",
        ),
    ] {
        assert_eq!(refused(&change).await, StoreError::Refused(expected.into()), "{change}");
    }
}

#[tokio::test]
async fn a_table_that_has_changed_since_is_named() {
    for (change, expected) in [
        (
            "DROP TABLE tenant_config".to_owned(),
            "there is no table tenant_config; create it, with the columns id, tenant_id, \
             stripe_customer_id, updated_at",
        ),
        (
            "ALTER TABLE tenant_config RENAME COLUMN stripe_customer_id TO customer".to_owned(),
            "tenant_config has no column stripe_customer_id; add it",
        ),
        (
            "ALTER TABLE tenant_config RENAME COLUMN updated_at TO changed_at".to_owned(),
            "tenant_config has no column updated_at; add it",
        ),
        (
            remade("stripe_customer_id TEXT AS (NULL) UNIQUE"),
            "tenant_config.stripe_customer_id is a generated column, which cannot be written; make \
             it an ordinary one",
        ),
        (
            remade("stripe_customer_id TEXT UNIQUE")
                .replace("tenant_id TEXT NOT NULL UNIQUE", "tenant_id TEXT"),
            "tenant_config.tenant_id is not UNIQUE; create a unique index on it",
        ),
    ] {
        assert_eq!(refused(&change).await, StoreError::SchemaMismatch(expected.into()), "{change}");
    }
}

#[tokio::test]
async fn a_write_that_a_trigger_swallows_or_changes_is_refused() {
    let update =
        |to: &str| format!("UPDATE tenant_config SET stripe_customer_id = {to} WHERE id = new.id");
    for (change, words) in [
        (trigger("BEFORE INSERT", "SELECT RAISE(IGNORE)"), "swallows the write"),
        (trigger("AFTER INSERT", &update("NULL")), "swallows the write"),
        (trigger("AFTER INSERT", "DELETE FROM tenant_config"), "swallows the write"),
        (trigger("AFTER INSERT", &update("'cus_mine'")), "does not keep the Customer"),
        (trigger("AFTER INSERT", &update("upper(new.stripe_customer_id)")), "does not keep"),
    ] {
        let StoreError::Refused(why) = refused(&change).await else { panic!("{change}") };
        assert!(why.contains(words) && why.contains("tenant_config"), "{change}: {why}");
    }
}

/// The same with a row that is there.
#[tokio::test]
async fn an_update_that_is_swallowed_is_refused_and_one_that_comes_too_late_is_a_conflict() {
    let (bench, store, tenant) = ready().await;
    let sql = bench.sql();
    sql.execute("INSERT INTO tenant_config (id, tenant_id) VALUES ('c', ?1)", [tenant.as_str()])
        .unwrap();
    let bind = decided(&store, &tenant, Column::Bind(cus("cus_1"))).await;
    sql.execute_batch(&trigger("BEFORE UPDATE", "SELECT RAISE(IGNORE)")).unwrap();
    let told = store.commit(&bind).await;
    assert!(matches!(&told, Err(StoreError::Refused(why)) if why.contains("swallows")), "{told:?}");
    sql.execute_batch(
        "DROP TRIGGER guard; UPDATE tenant_config SET stripe_customer_id = 'cus_host'",
    )
    .unwrap();
    assert_eq!(store.commit(&bind).await, Ok(Committed::Conflict));
}

/// A recorded deletion never passes for done while the column still holds the Customer.
#[tokio::test]
async fn a_column_that_cannot_be_cleared_is_said_so() {
    for (does, words) in [
        ("SELECT RAISE(IGNORE)", "still holds the Customer"),
        ("SELECT RAISE(ABORT, 'keep it')", "a trigger on tenant_config says: keep it"),
    ] {
        let (bench, store, tenant) = ready().await;
        let bind = decided(&store, &tenant, Column::Bind(cus("cus_1"))).await;
        assert_eq!(store.commit(&bind).await, Ok(Committed::Yes));
        bench.sql().execute_batch(&trigger("BEFORE UPDATE", does)).unwrap();
        let told = store.record_deletion(&cus("cus_1")).await;
        assert!(matches!(&told, Err(StoreError::Refused(why)) if why.contains(words)), "{told:?}");
        assert_eq!(store.bound(&tenant).await, Ok(Some(cus("cus_1"))));
        bench.sql().execute_batch("DROP TRIGGER guard").unwrap();
        assert_eq!(store.record_deletion(&cus("cus_1")).await, Ok(()));
        assert_eq!(store.bound(&tenant).await, Ok(None));
    }
}

#[tokio::test]
async fn a_tenant_that_the_hosts_table_refuses_is_said_so() {
    let (bench, store, _) = ready().await;
    bench
        .sql()
        .execute_batch(
            "CREATE TRIGGER guard BEFORE INSERT ON tenants BEGIN SELECT RAISE(ABORT, 'full'); END",
        )
        .unwrap();
    let told = store.add_tenant(&bench.tenant(9)).await;
    assert_eq!(told, Err(StoreError::Refused("a trigger on tenants says: full".into())));
}
