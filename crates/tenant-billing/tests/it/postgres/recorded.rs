//! What is on record of the host's tables, and when it counts.

use tenant_billing::{PostgresStore, ports::Store};

use super::{
    layouts::{TWO_KINDS, billing, call, mismatch, one, one_table, open},
    server::Database,
};

/// What a restore from a dump does: the same record is in a table of another oid.
const RESTORE: &str = "
    ALTER TABLE tenant_billing.host_layout RENAME TO dumped;
    CREATE TABLE tenant_billing.host_layout (LIKE tenant_billing.dumped INCLUDING ALL);
    INSERT INTO tenant_billing.host_layout TABLE tenant_billing.dumped;
    DROP TABLE tenant_billing.dumped;";

/// After a restore from a dump, a recorded oid may be another table's.
#[tokio::test(flavor = "multi_thread")]
async fn oids_after_a_restore() {
    let database = Database::fresh().await;
    database.run(TWO_KINDS).await;
    let store = one_table(&database, "organizations");
    store.migrate().await.unwrap();
    let (_sandbox, billing) = billing(&store).await;
    let made = call(&billing).await.unwrap();
    // Another table of the host's has the recorded oid.
    let coincide = "UPDATE tenant_billing.host_layout SET tenants_oid = 'users'::regclass::oid,
                                                          config_oid = 'users'::regclass::oid;";
    database.run(&format!("{RESTORE} {coincide}")).await;
    let bound = async |table: &str| {
        let bound = one_table(&database, table).bound(&one()).await;
        bound.map(|it| it.map(|it| it.as_str().to_owned()))
    };
    assert_eq!(bound("organizations").await, Ok(Some(made.clone())));
    database.run("ALTER TABLE organizations RENAME TO companies").await;
    let why = mismatch(bound("organizations").await);
    assert!(why.ends_with("was migrated; rename it back, or restore it"), "{why}");
    let words = "TENANTS_TABLE is public.users, and was public.organizations";
    let why = mismatch(bound("users").await);
    assert!(why.contains(words), "{why}");
    let why = mismatch(one_table(&database, "users").migrate().await);
    assert!(why.contains(words), "{why}");
    // A migration makes the oids count again.
    database.run("ALTER TABLE companies RENAME TO organizations").await;
    one_table(&database, "organizations").migrate().await.unwrap();
    database.run("ALTER TABLE organizations RENAME TO companies").await;
    assert_eq!(bound("companies").await, Ok(Some(made)));
    // What is no table is not named as one.
    let index = "UPDATE tenant_billing.host_layout SET tenants_oid = 'users_pkey'::regclass::oid";
    database.run(index).await;
    let why = mismatch(bound("organizations").await);
    assert!(!why.contains("users_pkey"), "{why}");
}

/// In a table that was made anew, a recorded number may be another column's.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_columns_in_another_table() {
    let database = Database::fresh().await;
    database.run(TWO_KINDS).await;
    let store = one_table(&database, "organizations");
    store.migrate().await.unwrap();
    let (_sandbox, billing) = billing(&store).await;
    call(&billing).await.unwrap();
    let anew = "DROP TABLE organizations;
                CREATE TABLE organizations (id bigint PRIMARY KEY, other text UNIQUE)";
    database.run(anew).await;
    let other = one_table(&database, "organizations").with_customer_column("other").unwrap();
    let why = mismatch(other.bound(&one()).await);
    let words = "TENANT_CONFIG_CUSTOMER_COLUMN is other, and was stripe_customer_id";
    assert!(why.contains(words), "{why}");
}

/// Wherever a process lacks a setting, all recorded ones are named, and work as they are written.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_the_settings() {
    let default = |database: &Database| PostgresStore::open(&database.url()).unwrap();
    let database = Database::fresh().await;
    let tables = "CREATE TABLE tenant_config (tenant_id bigint PRIMARY KEY,
                                              stripe_customer_id text UNIQUE)";
    database.run(tables).await;
    open(&database, "none").migrate().await.unwrap();
    let why = mismatch(default(&database).bound(&one()).await);
    assert!(why.contains("TENANTS_TABLE is tenants, and was none;"), "{why}");
    let settings = "use the recorded settings: TENANTS_TABLE=none \
                    TENANT_CONFIG_TABLE=public.tenant_config \
                    TENANT_CONFIG_TENANT_COLUMN=tenant_id \
                    TENANT_CONFIG_CUSTOMER_COLUMN=stripe_customer_id. If";
    assert!(why.contains(settings), "{why}");

    let database = Database::fresh().await;
    let tables = "CREATE TABLE \"User\" (id bigint PRIMARY KEY, \"stripeId\" text UNIQUE)";
    database.run(tables).await;
    let user = || one_table(&database, "User");
    user().with_customer_column("stripeId").unwrap().migrate().await.unwrap();
    let settings = "TENANTS_TABLE=public.\"User\" TENANT_CONFIG_TABLE=public.\"User\" \
                    TENANT_CONFIG_TENANT_COLUMN=id TENANT_CONFIG_CUSTOMER_COLUMN=\"stripeId\". If";
    for (store, words) in [
        (default(&database), "TENANTS_TABLE is tenants, and was public.\"User\"; TENANT_CONFIG"),
        (open(&database, "User"), "TENANT_CONFIG_TABLE is tenant_config, and was public.\"User\""),
        (user(), "TENANT_CONFIG_CUSTOMER_COLUMN is stripe_customer_id, and was stripeId;"),
        (
            user().with_tenant_column("tenant_id").unwrap(),
            "TENANT_CONFIG_TENANT_COLUMN is tenant_id, and was id; TENANT_CONFIG_CUSTOMER_COLUMN",
        ),
    ] {
        let why = mismatch(store.bound(&one()).await);
        assert!(why.contains(words) && why.contains(settings), "{why}");
    }
    // A table that was renamed is named as it is called now.
    database.run("ALTER TABLE \"User\" RENAME TO people").await;
    let why = mismatch(default(&database).bound(&one()).await);
    assert!(
        why.contains("TENANTS_TABLE=public.people TENANT_CONFIG_TABLE=public.people "),
        "{why}"
    );
}
