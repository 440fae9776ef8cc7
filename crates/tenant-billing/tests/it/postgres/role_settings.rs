//! Settings of a role or of a database, none of which changes what we mean.

use std::time::Duration;

use super::server::Database;
use stripe_sandbox::{Fault, Rule, Sandbox};
use tenant_billing::{
    Billing, Database as _, PostgresStore, SecretKey, StripeClient,
    ids::{Email, TenantId},
    ports::{Store, StoreError},
    request::CustomerDetails,
};

const SETTINGS: [&str; 19] = [
    "quote_all_identifiers = on",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "search_path = app",
    "row_security = off",
    "default_transaction_isolation = serializable",
    "default_transaction_deferrable = on",
    "datestyle = 'German, DMY'",
    "timezone = 'Asia/Kathmandu'",
    "intervalstyle = sql_standard",
    "bytea_output = escape",
    "xmloption = document",
    "transform_null_equals = on",
    "array_nulls = off",
    "lc_messages = 'C.UTF-8'",
    "client_encoding = LATIN1",
    "session_replication_role = replica",
    "synchronous_commit = off",
    "extra_float_digits = -15",
];

/// A host's tables outside of `public`, with keys of every type, times of both, and CHECKs.
fn tables(key: &str, time: &str) -> String {
    format!(
        "CREATE TABLE app.\"Tenants\" (id {key} PRIMARY KEY);
         CREATE TABLE app.tenant_config (id varchar(36) PRIMARY KEY,
             tenant_id {key} NOT NULL UNIQUE REFERENCES app.\"Tenants\" (id),
             stripe_customer_id varchar(255) CHECK (stripe_customer_id ~ E'^cus_\\\\w+$'),
             plan text NOT NULL DEFAULT E'a\\\\b' CHECK (plan = E'a\\\\b'),
             updated_at {time} NOT NULL);
         CREATE UNIQUE INDEX ON app.tenant_config (stripe_customer_id)
             WHERE stripe_customer_id IS NOT NULL;"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_role_change_nothing() {
    for (key, time, tenant) in [
        ("uuid", "timestamptz", "00000000-0000-4000-8000-000000000001"),
        ("text", "timestamp", "a\\'b"),
        ("varchar(64)", "timestamp", "x"),
        ("smallint", "timestamptz", "7"),
        ("integer", "timestamptz", "7"),
        ("bigint", "timestamptz", "7"),
    ] {
        let database = Database::fresh().await;
        let role = format!("odd_{}", database.name());
        let name = database.name();
        database
            .run(&format!(
                "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {name} TO {role};
                 CREATE SCHEMA app AUTHORIZATION {role}; SET ROLE {role}; {}",
                tables(key, time)
            ))
            .await;
        for setting in SETTINGS {
            database.run(&format!("ALTER ROLE {role} IN DATABASE {name} SET {setting}")).await;
        }
        let store = PostgresStore::open(&database.url_of(&role)).unwrap();
        let store = store.with_tenants_table("Tenants").unwrap();
        assert_eq!(store.migrate().await, Ok(()), "{key}");
        goes_round(&store, &database, &TenantId::parse(tenant).unwrap()).await;
        let times = "SELECT updated_at::timestamp - clock() AT TIME ZONE 'UTC'
                            BETWEEN '-1 minute' AND '1 minute' FROM app.tenant_config";
        assert_eq!(database.cell(&format!("SET timezone = 'UTC'; {times}")).await, "t", "{key}");
        database.run(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
    }
}

/// A database in which a schema's name only begins like one of PostgreSQL's own is not empty.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_only_looks_empty() {
    let database = Database::fresh().await;
    let setting = "standard_conforming_strings = off";
    database.run("CREATE SCHEMA pgboss; CREATE TABLE pgboss.job (id bigint)").await;
    database.run(&format!("ALTER DATABASE {} SET {setting}", database.name())).await;
    let migrated = PostgresStore::open(&database.url()).unwrap().migrate().await;
    let Err(StoreError::SchemaMismatch(why)) = migrated else { panic!("{migrated:?}") };
    assert!(why.contains("neither tenants nor tenant_config"), "{why}");
}

/// A tenant gets its Customer, it is deleted, and another takes its place; a creation that nobody
/// answers is claimed and finished; and history has it all.
async fn goes_round(store: &PostgresStore, database: &Database, tenant: &TenantId) {
    let sandbox = Sandbox::start().await.unwrap();
    let key = SecretKey::parse("sk_test_1").unwrap();
    let stripe = StripeClient::new(key).with_base(&sandbox.url()).unwrap();
    let billing = Billing::new(store.clone(), stripe);
    assert_eq!(store.add_tenant(tenant).await, Ok(true));
    let ask = || billing.get_or_create_stripe_customer(tenant.as_str(), "a@example.com");
    let first = ask().await.unwrap();
    sandbox.delete_customer(first.as_str());
    billing.customer_deleted(&first).await.unwrap();
    assert_eq!(billing.lookup(tenant).await, Ok(None));
    sandbox.arm(Rule::new(Fault::RequestLost).method("POST").always());
    let details = CustomerDetails::new(Email::parse("a@example.com").unwrap());
    let open = "SELECT count(*) FROM customer_provisioning WHERE state IN ('pending', 'in_doubt')";
    for _ in 0..30 {
        assert!(billing.get_or_create(tenant, &details, Duration::from_secs(1)).await.is_err());
        if database.cell(open).await != "0" {
            break;
        }
    }
    // The call may go on for a while after it has answered, and claim its row itself.
    let (hold, mut claimed) = (Duration::from_secs(60), vec![]);
    for _ in 0..10 {
        database.advance(Duration::from_secs(3600)).await;
        claimed = store.claim(None, hold, 10).await.unwrap();
        if !claimed.is_empty() {
            break;
        }
    }
    assert_eq!(claimed, std::slice::from_ref(tenant));
    assert_eq!(store.claim(Some(tenant), hold, 10).await, Ok(vec![]));
    sandbox.disarm();
    let second = ask().await.unwrap();
    assert_ne!(first, second);
    assert_eq!(store.bound(tenant).await, Ok(Some(second.clone())));
    let history = billing.history(tenant).await.unwrap();
    assert_eq!((&history.tenant, history.bound), (tenant, Some(second)));
    assert!(history.events.len() >= 5, "{:?}", history.events);
}

/// Migrations take the way past a pooler, if one is named, and nothing else does.
#[tokio::test(flavor = "multi_thread")]
async fn migrations_take_the_direct_way() {
    let database = Database::fresh().await;
    let nowhere = "postgres://nobody@/nothing?host=/nonexistent";
    let direct = PostgresStore::open(nowhere).unwrap().with_direct_url(&database.url()).unwrap();
    assert_eq!(direct.migrate().await, Ok(()));
    let tenant = TenantId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    assert!(matches!(direct.bound(&tenant).await, Err(StoreError::Unavailable(_))));
    let store = PostgresStore::open(&database.url()).unwrap().with_direct_url(nowhere).unwrap();
    assert_eq!(store.bound(&tenant).await, Ok(None));
    assert!(matches!(store.migrate().await, Err(StoreError::Unavailable(_))));
}
