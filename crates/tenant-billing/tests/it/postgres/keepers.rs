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
        // What a column holds tells more than such a name.
        (
            "CREATE TABLE users (id bigserial PRIMARY KEY, stripe_status text, stripe_id text);
             INSERT INTO users (stripe_status, stripe_id) VALUES ('active', 'cus_1')",
            "users",
            format!("set {}", config("public.users", "id", "stripe_id")),
        ),
        (
            "CREATE TABLE users (id bigserial PRIMARY KEY, billing_customer_id text);
             INSERT INTO users (billing_customer_id) VALUES (NULL), ('cus_1')",
            "users",
            format!("set {}", config("public.users", "id", "billing_customer_id")),
        ),
        (
            "CREATE TABLE users (id bigserial PRIMARY KEY);
             CREATE TABLE pay_customers (owner_id bigint REFERENCES users (id), processor text,
                 processor_id text);
             INSERT INTO users DEFAULT VALUES; INSERT INTO pay_customers VALUES (1, 'stripe', 'cus_1')",
            "users",
            format!("set {}", config("public.pay_customers", "owner_id", "processor_id")),
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
        "CREATE TABLE tenants (id uuid PRIMARY KEY, customer_id int, customer_name text);
         INSERT INTO tenants VALUES (gen_random_uuid(), 1, 'customs');
         CREATE TABLE subscriptions (id int PRIMARY KEY, stripe_id text);
         INSERT INTO subscriptions VALUES (1, 'sub_1')",
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
    let tables = "CREATE TABLE organizations (id bigserial PRIMARY KEY);
        CREATE TABLE accounts (\"tenantId\" bigint, stripe_id text);
        CREATE TABLE tenant_config (id uuid PRIMARY KEY,
            tenant_id bigint NOT NULL UNIQUE REFERENCES organizations (id),
            stripe_customer_id text UNIQUE, created_at timestamptz NOT NULL,
            updated_at timestamp NOT NULL, note text NOT NULL DEFAULT '');
        INSERT INTO organizations SELECT generate_series(1, 6);
        INSERT INTO accounts VALUES (1, 'cus_1'), (2, 'cus_2'), (3, NULL), (4, 'cus_4'), (4, 'cus_5'),
            (5, ''), (6, 'acct_6'), (NULL, 'cus_7'), (8, 'cus_8');
        INSERT INTO tenant_config SELECT gen_random_uuid(), tenant, customer, now(), now()
            FROM (VALUES (1, NULL), (2, 'cus_new'), (3, NULL)) AS it (tenant, customer)";
    let database = Database::fresh().await;
    database.run(tables).await;
    let store = open(&database, "organizations");
    let why = refusal(&database, &store).await;
    assert!(
        why.contains("public.accounts.stripe_id holds ids of Customers whose tenants"),
        "{why}"
    );
    looked(&database, &store).await;
    let (_, insert) = why.split_once("(INSERT").unwrap();
    let (insert, _) = insert.split_once("), or, if these are").unwrap();
    database.run(&format!("INSERT{insert}")).await;
    let held = "SELECT string_agg(tenant_id || stripe_customer_id, ' ' ORDER BY tenant_id)
                FROM tenant_config";
    assert_eq!(database.cell(held).await, "1cus_1 2cus_new 4cus_4");
    store.migrate().await.unwrap();
}

/// The operator says that another place was looked at, by naming the table.
async fn looked(database: &Database, store: &PostgresStore) {
    let named = store.clone().with_tenant_config_table("public.tenant_config").unwrap();
    named.migrate().await.unwrap();
    database.run("DROP SCHEMA tenant_billing CASCADE").await;
}

/// Where nobody can tell whether the table lacks ids, the operator has to look.
#[tokio::test(flavor = "multi_thread")]
async fn ids_of_which_that_cannot_be_decided() {
    let config =
        "CREATE TABLE tenants (id bigint PRIMARY KEY); INSERT INTO tenants VALUES (1), (2);
        CREATE TABLE tenant_config (tenant_id bigint PRIMARY KEY, stripe_customer_id text UNIQUE);
        INSERT INTO tenant_config VALUES (2, 'cus_2');";
    for (tables, tenants, table, why_not) in [
        (
            "CREATE TABLE users (id bigint PRIMARY KEY, stripe_id text);
             INSERT INTO users VALUES (1, 'cus_1'), (2, 'cus_2')",
            "none",
            "public.users",
            "no column of public.users seems to hold the tenants' ids",
        ),
        (
            "CREATE TABLE stripe_customers (owner text, customer_id text);
             INSERT INTO stripe_customers VALUES (1, 'cus_1'), (2, 'cus_2')",
            "tenants",
            "public.stripe_customers",
            "no column of public.stripe_customers seems to hold the tenants' ids",
        ),
        (
            "CREATE TABLE accounts (tenant_id text, stripe_cus_id text);
             INSERT INTO accounts VALUES ('one', 'cus_1'), ('2', 'cus_2')",
            "tenants",
            "public.accounts",
            "tenant_id could not be compared with public.tenant_config.tenant_id within 2 seconds",
        ),
    ] {
        let database = Database::fresh().await;
        database.run(&format!("{config} {tables}")).await;
        let store = open(&database, tenants);
        let why = refusal(&database, &store).await;
        assert!(why.starts_with(table) && why.contains(why_not), "{why}");
        assert!(why.contains("set TENANT_CONFIG_TABLE=public.tenant_config, which says"), "{why}");
        looked(&database, &store).await;
        // A table that has all of the ids lacks none.
        database.run("INSERT INTO tenant_config VALUES (1, 'cus_1')").await;
        store.migrate().await.unwrap();
    }
}

/// What takes too long is not taken to hold no ids.
#[tokio::test(flavor = "multi_thread")]
async fn ids_that_cannot_be_read_in_time() {
    let database = Database::fresh().await;
    let tables = "CREATE TABLE tenants (id bigint PRIMARY KEY);
        CREATE TABLE users (tenant_id bigint REFERENCES tenants (id), stripe_id text)";
    database.run(tables).await;
    let store = open(&database, "tenants");
    let locked = database.connect().await;
    locked.batch_execute("BEGIN; LOCK TABLE users").await.unwrap();
    let why = refusal(&database, &store).await;
    assert!(why.contains("public.users.stripe_id looks like") && !why.contains("CREATE"), "{why}");
    let config = "CREATE TABLE tenant_config (tenant_id bigint PRIMARY KEY,
                                              stripe_customer_id text UNIQUE)";
    database.run(config).await;
    let why = refusal(&database, &store).await;
    assert!(why.contains("public.users.stripe_id may hold") && why.contains("2 seconds"), "{why}");
    looked(&database, &store).await;
    locked.batch_execute("ROLLBACK").await.unwrap();
    store.migrate().await.unwrap();
}
