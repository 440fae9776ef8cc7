//! `migrate` never advises to create a table where Customers' ids may be kept already.

use tenant_billing::{
    PostgresStore,
    ids::TenantId,
    ports::{Store, StoreError},
};

use super::server::Database;

fn open(database: &Database, tenants: &str) -> PostgresStore {
    PostgresStore::open(&database.url()).unwrap().with_tenants_table(tenants).unwrap()
}

async fn refusal(database: &Database, store: &PostgresStore) -> String {
    let migrated = store.migrate().await;
    let Err(StoreError::SchemaMismatch(why)) = migrated else { panic!("{migrated:?}") };
    let ours = "SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_billing'";
    assert_eq!(database.cell(ours).await, "0");
    why
}

#[tokio::test(flavor = "multi_thread")]
async fn where_ids_may_be_kept_the_settings_are_named() {
    let config = |table: &str, tenant: &str, customer: &str| {
        format!(
            "TENANT_CONFIG_TABLE={table} TENANT_CONFIG_TENANT_COLUMN={tenant} \
             TENANT_CONFIG_CUSTOMER_COLUMN={customer}"
        )
    };
    let organizations = config("public.organizations", "id", "stripe_customer_id");
    for (tables, tenants, words) in [
        (
            "CREATE TABLE organizations (id bigserial PRIMARY KEY, stripe_customer_id text);
             INSERT INTO organizations (stripe_customer_id) VALUES ('cus_1')",
            "organizations",
            format!("set {organizations}"),
        ),
        // Whatever the tenants table is called.
        (
            "CREATE TABLE organizations (id bigserial PRIMARY KEY, stripe_customer_id text)",
            "tenants",
            format!("set TENANTS_TABLE=public.organizations {organizations}"),
        ),
        (
            "CREATE TABLE organizations (id bigserial PRIMARY KEY, stripe_customer_id text)",
            "none",
            format!("set TENANTS_TABLE=public.organizations {organizations}"),
        ),
        (
            "CREATE TABLE \"User\" (id text PRIMARY KEY, \"stripeCustomerId\" text)",
            "User",
            format!("set {}", config("public.\"User\"", "id", "\"stripeCustomerId\"")),
        ),
        (
            "CREATE TABLE orgs (id int PRIMARY KEY, \"STRIPE_CUSTOMER\" varchar(255))",
            "orgs",
            config("public.orgs", "id", "\"STRIPE_CUSTOMER\""),
        ),
        (
            "CREATE SCHEMA app; CREATE TABLE app.tenants (id uuid PRIMARY KEY);
             CREATE TABLE app.tenant_config (tenant_id uuid UNIQUE, stripe_customer_id text)",
            "app.tenants",
            format!("set {}", config("app.tenant_config", "tenant_id", "stripe_customer_id")),
        ),
        (
            "CREATE SCHEMA app; CREATE TABLE tenants (id uuid PRIMARY KEY);
             CREATE TABLE app.\"TenantConfig\" (\"tenantId\" uuid UNIQUE, customer text)",
            "tenants",
            "set TENANT_CONFIG_TABLE=app.\"TenantConfig\" \
             TENANT_CONFIG_TENANT_COLUMN=\"tenantId\""
                .into(),
        ),
        (
            "CREATE TABLE tenants (id uuid PRIMARY KEY);
             CREATE TABLE billing (owner uuid REFERENCES tenants (id), stripe_customer_id text)",
            "tenants",
            format!("set {}", config("public.billing", "owner", "stripe_customer_id")),
        ),
        // The two tables share their key.
        (
            "CREATE TABLE tenants (id uuid PRIMARY KEY);
             CREATE TABLE billing (id uuid PRIMARY KEY REFERENCES tenants (id),
                 stripe_customer_id text)",
            "tenants",
            format!("set {}", config("public.billing", "id", "stripe_customer_id")),
        ),
    ] {
        let database = Database::fresh().await;
        database.run(tables).await;
        let why = refusal(&database, &open(&database, tenants)).await;
        assert!(why.contains(&words), "{tables}: {why}");
        assert!(!why.contains("CREATE TABLE"), "{tables}: {why}");
        assert!(!why.contains('\n'), "{why}");
    }
}

/// What is no place of ids is not taken for one.
#[tokio::test(flavor = "multi_thread")]
async fn where_no_ids_are_kept_the_table_is_advised() {
    for tables in [
        "CREATE TABLE tenants (id uuid PRIMARY KEY)",
        "CREATE TABLE tenants (id uuid PRIMARY KEY, is_stripe_customer boolean, customer text)",
        "CREATE TABLE tenants (id uuid PRIMARY KEY, stripe text);
         CREATE VIEW seen AS SELECT id, stripe AS stripe_customer_id FROM tenants",
    ] {
        let database = Database::fresh().await;
        database.run(tables).await;
        let why = refusal(&database, &open(&database, "tenants")).await;
        assert!(why.contains("add it to your own schema") && why.contains("CREATE TABLE"), "{why}");
    }
}

/// The settings that are named work as they are written.
#[tokio::test(flavor = "multi_thread")]
async fn the_settings_that_are_named_work() {
    let database = Database::fresh().await;
    let tables = "CREATE TABLE \"User\" (id text PRIMARY KEY, \"stripeCustomerId\" text UNIQUE);
                  INSERT INTO \"User\" VALUES ('u1', 'cus_1')";
    database.run(tables).await;
    let why = refusal(&database, &open(&database, "tenants")).await;
    let value = |setting: &str| {
        let (_, rest) = why.split_once(&format!("{setting}=")).unwrap();
        rest.split([' ', ';']).next().unwrap().to_owned()
    };
    let store = open(&database, &value("TENANTS_TABLE"));
    let store = store.with_tenant_config_table(&value("TENANT_CONFIG_TABLE")).unwrap();
    let store = store.with_tenant_column(&value("TENANT_CONFIG_TENANT_COLUMN")).unwrap();
    let store = store.with_customer_column(&value("TENANT_CONFIG_CUSTOMER_COLUMN")).unwrap();
    store.migrate().await.unwrap();
    let bound = store.bound(&TenantId::parse("u1").unwrap()).await.unwrap();
    assert_eq!(bound.unwrap().as_str(), "cus_1");
}

/// The table exists, but ids that it lacks are elsewhere: the statement that is named takes them
/// along, or the operator says that they are other Customers.
#[tokio::test(flavor = "multi_thread")]
async fn ids_that_the_table_lacks() {
    let tables = "CREATE TABLE organizations (id bigserial PRIMARY KEY, stripe_customer_id text);
        CREATE TABLE tenant_config (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            tenant_id bigint NOT NULL UNIQUE REFERENCES organizations (id),
            stripe_customer_id text UNIQUE);
        INSERT INTO organizations (stripe_customer_id)
            VALUES ('cus_1'), ('cus_2'), (NULL), ('cus_4'), ('');
        INSERT INTO tenant_config (tenant_id, stripe_customer_id)
            VALUES (1, NULL), (2, 'cus_new'), (3, NULL)";
    let database = Database::fresh().await;
    database.run(tables).await;
    let store = open(&database, "organizations");
    let why = refusal(&database, &store).await;
    assert!(why.contains("public.organizations.stripe_customer_id holds ids"), "{why}");
    let named = store.clone().with_tenant_config_table("public.tenant_config").unwrap();
    named.migrate().await.unwrap();
    database.run("DROP SCHEMA tenant_billing CASCADE").await;
    let (_, insert) = why.split_once("(INSERT").unwrap();
    let (insert, _) = insert.split_once("), or, if these are").unwrap();
    database
        .run(&format!(
            "UPDATE organizations SET stripe_customer_id = NULL
                           WHERE stripe_customer_id = ''; INSERT{insert}"
        ))
        .await;
    store.migrate().await.unwrap();
    let held = "SELECT string_agg(tenant_id || stripe_customer_id, ' ' ORDER BY tenant_id)
                FROM tenant_config";
    assert_eq!(database.cell(held).await, "1cus_1 2cus_new 4cus_4");
}
