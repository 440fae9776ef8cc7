//! Our own tables: what they refuse, who may do what with them, and how programs of several
//! versions share them.

use tenant_billing::{
    Billing, Database as _, PostgresStore, SecretKey, StripeClient,
    ids::TenantId,
    ports::{Store, StoreError},
};

use super::server::Database;
use crate::{rows, world::reason};

async fn migrated() -> (Database, PostgresStore) {
    let database = Database::fresh().await;
    let store = PostgresStore::open(&database.url()).unwrap();
    store.migrate().await.unwrap();
    (database, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn illegal_rows_cannot_be_written() {
    let (database, _) = migrated().await;
    for (row, legal) in rows::all() {
        let insert = rows::insert(&row, "'2026-01-01Z'", "false");
        if legal {
            database.run(&format!("{insert}; DELETE FROM customer_provisioning")).await;
        } else {
            let path = "SET search_path = tenant_billing";
            let error = database.fails(&format!("{path}; {insert}")).await;
            assert!(error.contains("violates check constraint"), "{row:?}: {error}");
        }
    }
    for time in ["'infinity'", "'-infinity'", "'9001-01-01Z'", "'1960-01-01Z'"] {
        let insert = rows::insert(&Vec::new(), time, "false");
        let error = database.fails(&format!("SET search_path = tenant_billing; {insert}")).await;
        assert!(error.contains("violates check constraint"), "{time}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_cannot_be_rewritten() {
    let (database, _) = migrated().await;
    for change in ["UPDATE %s SET detail = 'x'", "DELETE FROM %s", "TRUNCATE %s"] {
        let error = database.fails(&change.replace("%s", "tenant_billing.billing_event")).await;
        assert!(error.contains("append-only"), "{change}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_processes_migrate_at_once() {
    let database = Database::fresh().await;
    let migrations = (0..8).map(|_| {
        let store = PostgresStore::open(&database.url()).unwrap();
        async move { store.migrate().await }
    });
    for migrated in futures_util::future::join_all(migrations).await {
        assert_eq!(migrated, Ok(()));
    }
    assert_eq!(database.cell("SELECT count(*) FROM installation").await, "1");
}

/// A rolling deploy: what a later release may add does not keep this one from working.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_program_works_on_a_newer_schema_until_it_is_told_not_to() {
    let (database, store) = migrated().await;
    database
        .run(
            "INSERT INTO migration VALUES (1000, now());
             CREATE TABLE tenant_billing.of_the_future (id bigint);
             ALTER TABLE customer_provisioning ADD COLUMN priority bigint NOT NULL DEFAULT 0;
             ALTER TABLE billing_event ADD COLUMN actor text;
             ALTER TABLE deleted_customer ADD COLUMN told_by text;
             ALTER TABLE surplus_customer ADD COLUMN note text;
             ALTER TABLE stripe_account ADD COLUMN name text;
             ALTER TABLE installation ADD COLUMN name text",
        )
        .await;
    for store in [store, PostgresStore::open(&database.url()).unwrap()] {
        store.migrate().await.unwrap();
        goes_round(&store).await;
    }
    database.run("UPDATE installation SET oldest_program = 1000").await;
    let store = PostgresStore::open(&database.url()).unwrap();
    let tenant = TenantId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    assert_eq!(store.bound(&tenant).await, Err(StoreError::SchemaTooNew));
    assert_eq!(store.migrate().await, Err(StoreError::SchemaTooNew));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_program_says_that_the_schema_is_older() {
    let (database, _) = migrated().await;
    database.run("UPDATE migration SET version = 0").await;
    let store = PostgresStore::open(&database.url()).unwrap();
    let tenant = TenantId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    assert_eq!(store.bound(&tenant).await, Err(StoreError::SchemaTooOld));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_dropped_is_named() {
    let (database, store) = migrated().await;
    database.run("DROP TABLE surplus_customer").await;
    let Err(StoreError::Corrupt(why)) = store.migrate().await else { panic!("it is gone") };
    assert!(why.contains("surplus_customer"), "{why}");
}

/// With the printed grants, and no other, a role does everything; without them it is told.
#[tokio::test(flavor = "multi_thread")]
async fn the_printed_grants_are_enough_and_none_too_many() {
    let (database, store) = migrated().await;
    let role = format!("App \"{}\"", database.name());
    let quoted = role.replace('"', "\"\"");
    database.run(&format!("CREATE ROLE \"{quoted}\" LOGIN")).await;
    let encoded = role.replace(' ', "%20").replace('"', "%22");
    let url = database.url_of(&encoded);
    let humble = PostgresStore::open(&url).unwrap();
    let tenant = TenantId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    let Err(StoreError::SchemaMismatch(why)) = humble.bound(&tenant).await else {
        panic!("it may not")
    };
    assert!(why.contains("--print-grants"), "{why}");

    let grants = store.grants(&role).await.unwrap();
    database.run(&grants).await;
    store.add_tenant(&tenant).await.unwrap();
    goes_round(&humble).await;
    assert_eq!(humble.migrate().await, Ok(()), "there is nothing to migrate");
    let Err(StoreError::Refused(why)) = humble.add_tenant(&tenant).await else {
        panic!("tenants are the host's")
    };
    assert!(why.contains("public.tenants") && why.contains("--print-grants"), "{why}");
    // The comment says what `tenant add` needs beside that.
    let more = grants.lines().find_map(|line| line.strip_prefix("-- GRANT")).unwrap();
    database.run(&format!("GRANT{more}")).await;
    assert_eq!(humble.add_tenant(&tenant).await, Ok(false));

    // Without any one of them, something does not work.
    for line in grants.lines().filter(|line| line.starts_with("GRANT")) {
        let revoke = line.replacen("GRANT", "REVOKE", 1).replace(" TO ", " FROM ");
        if revoke.contains("ON SCHEMA public") || revoke.contains(" ON FUNCTION ") {
            continue; // PostgreSQL lets everybody use it, unless told otherwise.
        }
        database.run(&revoke).await;
        let fresh = PostgresStore::open(&url).unwrap();
        let tried = tokio::spawn(async move { goes_round(&fresh).await });
        assert!(tried.await.is_err(), "{line} is not needed");
        database.run(&grants).await;
    }
    goes_round(&humble).await;
    database.run(&format!("DROP OWNED BY \"{quoted}\"; DROP ROLE \"{quoted}\"")).await;
}

/// A tenant gets its Customer, it is deleted, and another takes its place; recovery and history
/// work.
async fn goes_round(store: &PostgresStore) {
    let sandbox = stripe_sandbox::Sandbox::start().await.unwrap();
    let key = SecretKey::parse("sk_test_1").unwrap();
    let stripe = StripeClient::new(key).with_base(&sandbox.url()).unwrap();
    let billing = Billing::new(store.clone(), stripe);
    let tenant = TenantId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    // Whoever goes round first registers it; a humble role finds it there.
    if billing.lookup(&tenant).await.is_err() {
        store.add_tenant(&tenant).await.unwrap();
    }
    let ask = || billing.get_or_create_stripe_customer(tenant.as_str(), "a@example.com");
    if let Some(older) = billing.lookup(&tenant).await.unwrap() {
        billing.customer_deleted(&older).await.unwrap();
    }
    let first = ask().await.unwrap();
    // An inquiry reads it.
    assert_eq!(store.ignored_installations().await, Ok(vec![]));
    billing.unbind(&tenant, &first, &reason()).await.unwrap();
    let second = ask().await.unwrap();
    assert_ne!(first, second);
    sandbox.delete_customer(second.as_str());
    billing.customer_deleted(&second).await.unwrap();
    let third = ask().await.unwrap();
    assert_eq!(billing.lookup(&tenant).await.unwrap(), Some(third));
    assert_eq!(billing.recover_once().await.unwrap().backlog.rows, 0);
    assert!(billing.history(&tenant).await.unwrap().events.len() >= 8);
}

/// What a host has told the server to do by default does not weaken what we rely upon.
#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_settings_do_not_weaken_a_commit() {
    let (database, store) = migrated().await;
    let tenant = TenantId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    store.add_tenant(&tenant).await.unwrap();
    for setting in [
        "synchronous_commit = off",
        "default_transaction_isolation = serializable",
        "search_path = pg_catalog, public",
        "timezone = 'Asia/Kathmandu'",
        "datestyle = 'German, DMY'",
        "standard_conforming_strings = off",
    ] {
        database.run(&format!("ALTER DATABASE {} SET {setting}", database.name())).await;
    }
    // What a transaction of ours was told is seen where it writes.
    database
        .run(
            "CREATE TABLE seen (commits text, isolation text);
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO public.seen VALUES (current_setting('synchronous_commit'),
                                                 current_setting('transaction_isolation'));
                 RETURN NULL; END $$;
             CREATE TRIGGER see AFTER INSERT OR UPDATE ON tenant_billing.customer_provisioning
                 FOR EACH STATEMENT EXECUTE FUNCTION see()",
        )
        .await;
    goes_round(&PostgresStore::open(&database.url()).unwrap()).await;
    assert_eq!(database.rows("SELECT DISTINCT * FROM seen").await, [["on", "read committed"]]);
}
