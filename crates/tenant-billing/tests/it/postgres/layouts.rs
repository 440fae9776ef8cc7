//! Settings that say which tables and columns are used, and what is on record of them.

use stripe_sandbox::Sandbox;
use tenant_billing::{
    Billing, Database as _, PostgresStore, Problem, SecretKey, StripeClient, SystemClock,
    audit::SurplusReason,
    ids::TenantId,
    ports::{Committed, Store, StoreError},
    state::Change,
};

use super::server::Database;

pub(super) const TWO_KINDS: &str = "
    CREATE TABLE users (id bigint PRIMARY KEY, stripe_customer_id text UNIQUE);
    CREATE TABLE organizations (id bigint PRIMARY KEY, stripe_customer_id text UNIQUE);
    CREATE TABLE tenant_config (tenant_id bigint PRIMARY KEY, stripe_customer_id text UNIQUE,
        other_customer_id text UNIQUE);
    INSERT INTO users VALUES (1); INSERT INTO organizations VALUES (1);";

pub(super) fn open(database: &Database, tenants: &str) -> PostgresStore {
    PostgresStore::open(&database.url()).unwrap().with_tenants_table(tenants).unwrap()
}

/// A store whose tenants are the rows of this table, which holds the Customers' ids too.
pub(super) fn one_table(database: &Database, table: &str) -> PostgresStore {
    let store = open(database, table).with_tenant_config_table(table).unwrap();
    store.with_tenant_column("id").unwrap()
}

pub(super) async fn billing(store: &PostgresStore) -> (Sandbox, Billing) {
    let sandbox = Sandbox::start().await.unwrap();
    let key = SecretKey::parse("sk_test_1").unwrap();
    let stripe = StripeClient::new(key).with_base(&sandbox.url()).unwrap();
    (sandbox, Billing::new(store.clone(), stripe))
}

pub(super) fn one() -> TenantId {
    TenantId::parse("1").unwrap()
}

#[track_caller]
pub(super) fn mismatch<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    let Err(StoreError::SchemaMismatch(why)) = result else { panic!("{result:?}") };
    why
}

pub(super) async fn call(billing: &Billing) -> Result<String, tenant_billing::Error> {
    let made = billing.get_or_create_stripe_customer("1", "a@example.com").await?;
    Ok(made.as_str().to_owned())
}

/// User 1 and organization 1 do not get one Customer.
#[tokio::test(flavor = "multi_thread")]
async fn another_table_of_tenants_is_refused() {
    let database = Database::fresh().await;
    database.run(TWO_KINDS).await;
    let named =
        |tenants| open(&database, tenants).with_tenant_config_table("tenant_config").unwrap();
    let users = named("users");
    users.migrate().await.unwrap();
    // Nothing was begun yet, so the setting may still be corrected.
    let organizations = named("organizations");
    let why = mismatch(organizations.bound(&one()).await);
    let words = "TENANTS_TABLE is public.organizations, and was public.users";
    assert!(why.contains(words), "{why}");
    organizations.migrate().await.unwrap();
    assert_eq!(organizations.bound(&one()).await, Ok(None));
    users.migrate().await.unwrap();

    let (sandbox, billing_of_users) = billing(&named("users")).await;
    let made = call(&billing_of_users).await.unwrap();
    for (store, words) in [
        (named("organizations"), words),
        (named("none"), "TENANTS_TABLE is none, and was public.users"),
        (one_table(&database, "users"), "TENANT_CONFIG_TABLE is public.users, and was public.ten"),
        (
            named("users").with_customer_column("other_customer_id").unwrap(),
            "TENANT_CONFIG_CUSTOMER_COLUMN is other_customer_id, and was stripe_customer_id",
        ),
    ] {
        for refused in [
            store.bound(&one()).await.map(drop),
            store.view(&one(), &[]).await.map(drop),
            store.migrate().await,
        ] {
            let why = mismatch(refused);
            assert!(why.contains(words) && !why.contains('\n'), "{why}");
        }
    }
    assert_eq!(sandbox.customers().len(), 1);
    assert_eq!(call(&billing_of_users).await.unwrap(), made);
    // The way out: the same tenants are in another table now.
    database.run("INSERT INTO organizations SELECT 2").await;
    database.run("DELETE FROM tenant_billing.host_layout").await;
    let why = mismatch(named("organizations").bound(&one()).await);
    assert!(why.contains("no layout of the host's tables is on record"), "{why}");
    named("organizations").migrate().await.unwrap();
    assert!(named("organizations").bound(&one()).await.is_ok());
}

/// Another layout is recorded while a process runs that knows the first one: it begins nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_layout_that_is_recorded_anew_while_a_process_runs() {
    let database = Database::fresh().await;
    database.run(TWO_KINDS).await;
    let named =
        |tenants| open(&database, tenants).with_tenant_config_table("tenant_config").unwrap();
    let users = named("users");
    users.migrate().await.unwrap();
    let (sandbox, billing) = billing(&users).await;
    assert_eq!(billing.lookup(&one()).await, Ok(None));
    let decided = Change::none(&users.view(&one(), &[]).await.unwrap());
    named("organizations").migrate().await.unwrap();
    assert_eq!(users.commit(&decided).await, Ok(Committed::Conflict));
    let mut said = call(&billing).await.unwrap_err();
    if said.code() == "retry_later" {
        said = call(&billing).await.unwrap_err();
    }
    assert_eq!(said.cause(), "schema_mismatch", "{said}");
    let rows = "SELECT count(*) FROM customer_provisioning";
    assert_eq!((sandbox.customers().len(), database.cell(rows).await.as_str()), (0, "0"));
}

/// What a host may do with its tables, and what it may not.
#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_renamed_moved_or_made_anew() {
    let database = Database::fresh().await;
    database.run(TWO_KINDS).await;
    let store = one_table(&database, "organizations");
    store.migrate().await.unwrap();
    let (_sandbox, billing) = billing(&store).await;
    let made = call(&billing).await.unwrap();
    let bound = async |store: &PostgresStore| {
        store.bound(&one()).await.map(|it| it.map(|it| it.as_str().to_owned()))
    };

    database.run("ALTER TABLE organizations RENAME TO companies").await;
    let why = mismatch(bound(&one_table(&database, "organizations")).await);
    let words = "there is no table organizations in this role's search_path; the recorded one is \
                 called public.companies now; set TENANTS_TABLE=public.companies \
                 TENANT_CONFIG_TABLE=public.companies TENANT_CONFIG_TENANT_COLUMN=id \
                 TENANT_CONFIG_CUSTOMER_COLUMN=stripe_customer_id, or rename it back";
    assert_eq!(why, words);
    let companies = one_table(&database, "companies");
    assert_eq!(bound(&companies).await, Ok(Some(made.clone())));
    companies.migrate().await.unwrap();

    let column = "ALTER TABLE companies RENAME stripe_customer_id TO customer";
    database.run(column).await;
    let renamed = one_table(&database, "companies").with_customer_column("customer").unwrap();
    assert_eq!(bound(&renamed).await, Ok(Some(made.clone())));
    renamed.migrate().await.unwrap();

    database.run("CREATE SCHEMA app; ALTER TABLE companies SET SCHEMA app").await;
    let moved = one_table(&database, "app.companies").with_customer_column("customer").unwrap();
    assert_eq!(bound(&moved).await, Ok(Some(made.clone())));
    moved.migrate().await.unwrap();

    let anew = "CREATE TABLE app.fresh (LIKE app.companies INCLUDING ALL);
                INSERT INTO app.fresh TABLE app.companies;
                DROP TABLE app.companies; ALTER TABLE app.fresh RENAME TO companies";
    database.run(anew).await;
    let fresh = one_table(&database, "app.companies").with_customer_column("customer").unwrap();
    assert_eq!(bound(&fresh).await, Ok(Some(made.clone())));
    fresh.migrate().await.unwrap();

    // The search_path leads to another table of that name.
    database
        .run(&format!(
            "CREATE TABLE companies (LIKE app.companies INCLUDING ALL);
             ALTER DATABASE {} SET search_path = public, app",
            database.name()
        ))
        .await;
    let other = one_table(&database, "companies").with_customer_column("customer").unwrap();
    let why = mismatch(bound(&other).await);
    assert!(why.contains("TENANTS_TABLE is public.companies, and was app.companies"), "{why}");
    mismatch(other.migrate().await);
    assert_eq!(bound(&fresh).await, Ok(Some(made)));
}

/// The tenants' own table is updated, never inserted into, whatever else it requires.
#[tokio::test(flavor = "multi_thread")]
async fn the_tenants_table_is_only_updated() {
    let database = Database::fresh().await;
    database
        .run(
            "CREATE TABLE organizations (
                 id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
                 stripe_customer_id text UNIQUE, updated_at timestamptz NOT NULL,
                 CHECK (name <> '' OR stripe_customer_id IS NULL));
             INSERT INTO organizations (name, updated_at) VALUES ('One', '2020-01-01Z');
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE 'somebody inserts'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON organizations
                 FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
        )
        .await;
    let store = one_table(&database, "organizations");
    store.migrate().await.unwrap();
    let (sandbox, billing) = billing(&store).await;
    let made = call(&billing).await.unwrap();
    let row = "SELECT stripe_customer_id, updated_at > now() - interval '1 minute'
               FROM organizations";
    assert_eq!(database.rows(row).await, [[made.as_str(), "t"]]);
    let unknown = billing.get_or_create_stripe_customer("2", "a@example.com").await.unwrap_err();
    assert!(matches!(unknown.problem(), Problem::UnknownTenant(_)), "{unknown}");
    let Err(StoreError::Refused(why)) = store.add_tenant(&TenantId::parse("2").unwrap()).await
    else {
        panic!("it needs more than its id")
    };
    assert!(why.contains("public.organizations"), "{why}");
    assert_eq!(sandbox.customers().len(), 1);
    let grants = store.grants("app").await.unwrap();
    let line = "GRANT SELECT (id, stripe_customer_id), UPDATE (stripe_customer_id, updated_at) ON \
                public.organizations TO \"app\";";
    assert!(grants.contains(line), "{grants}");
    assert_eq!(grants.matches("public.organizations").count(), 2, "{grants}");

    // A CHECK that refuses a Customer's id in a row that is there is still named.
    database.run("DROP SCHEMA tenant_billing CASCADE").await;
    database
        .run(
            "UPDATE organizations SET stripe_customer_id = NULL;
              ALTER TABLE organizations ADD CONSTRAINT odd CHECK (stripe_customer_id ~ '^acct_')",
        )
        .await;
    let why = mismatch(one_table(&database, "organizations").migrate().await);
    assert!(why.contains("the CHECK constraint odd of public.organizations"), "{why}");
}

/// The host deletes a tenant while its Customer is on its way: nobody calls that a trigger.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_deleted_while_its_row_is_written() {
    let database = Database::fresh().await;
    database.run(TWO_KINDS).await;
    let store = one_table(&database, "organizations");
    store.migrate().await.unwrap();
    let (_sandbox, billing) = billing(&store).await;
    let client = database.connect().await;
    // The row is locked, so the bind waits until the deletion is committed.
    client.batch_execute("BEGIN; SELECT FROM organizations FOR UPDATE").await.unwrap();
    let calling = tokio::spawn(async move { call(&billing).await });
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while database.cell(waiting).await == "0" {
        SystemClock::shared().sleep(std::time::Duration::from_millis(5)).await;
    }
    client.batch_execute("DELETE FROM organizations; COMMIT").await.unwrap();
    let error = calling.await.unwrap().unwrap_err();
    assert!(error.code() == "unknown_tenant" && error.may_have_created(), "{error:?}");
    let surplus = store.surplus(&one()).await.unwrap();
    assert_eq!(surplus[0].reason, SurplusReason::TenantGone);
}

/// Prisma's parameter says where tables are looked for, whatever a session's search_path is.
#[tokio::test(flavor = "multi_thread")]
async fn the_schema_of_the_url() {
    let database = Database::fresh().await;
    let tables = "CREATE TABLE tenants (id text PRIMARY KEY);
                  CREATE TABLE tenant_config (tenant_id text PRIMARY KEY, stripe_customer_id text UNIQUE)";
    database
        .run(&format!(
            "{tables}; CREATE SCHEMA \"My App\"; SET search_path = \"My App\"; {tables};
                       INSERT INTO tenants VALUES ('1')"
        ))
        .await;
    let url = database.url() + "&schema=My%20App";
    let store = PostgresStore::open(&url).unwrap();
    store.migrate().await.unwrap();
    let (_sandbox, billing) = billing(&store).await;
    let made = call(&billing).await.unwrap();
    let held = "SELECT stripe_customer_id FROM \"My App\".tenant_config";
    assert_eq!(database.cell(held).await, made);
    let elsewhere = PostgresStore::open(&database.url()).unwrap();
    let why = mismatch(elsewhere.bound(&one()).await);
    assert!(why.contains("TENANTS_TABLE is public.tenants, and was \"My App\".tenants"), "{why}");
    // Migrations must not go to another schema.
    let direct = |query: &str| {
        let store = PostgresStore::open(&url).unwrap();
        store.with_direct_url(&(database.url() + query)).map(drop)
    };
    assert_eq!(direct(""), Ok(()));
    assert_eq!(direct("&schema=My%20App"), Ok(()));
    let Err(StoreError::Invalid(invalid)) = direct("&schema=public") else { panic!("it differs") };
    assert_eq!(invalid.field, "database_direct_url");

    // Another application's tables, which the search_path leads to, are not mixed with these.
    database.run("CREATE SCHEMA other; CREATE TABLE other.tenants (id text PRIMARY KEY)").await;
    let mixed = PostgresStore::open(&(database.url() + "&schema=other")).unwrap();
    let why = mismatch(mixed.migrate().await);
    assert!(why.starts_with("there is no tenant_config, but "), "{why}");
    database.run("DROP SCHEMA \"My App\", tenant_billing CASCADE; DROP TABLE tenant_config").await;
    let nowhere = PostgresStore::open(&(database.url() + "&schema=no")).unwrap();
    let why = mismatch(nowhere.migrate().await);
    assert!(why.contains("there is neither tenants nor tenant_config in the schema no;"), "{why}");

    let empty = Database::fresh().await;
    let store = PostgresStore::open(&(empty.url() + "&schema=app")).unwrap();
    store.migrate().await.unwrap();
    assert_eq!(empty.cell("SELECT count(*) FROM app.tenant_config").await, "0");
    assert_eq!(empty.cell("SELECT to_regclass('public.tenants')").await, "NULL");
}

/// Nobody sees a unique index through a view, so the table behind it is named.
#[tokio::test(flavor = "multi_thread")]
async fn views() {
    let database = Database::fresh().await;
    let views = "CREATE VIEW config AS SELECT * FROM tenant_config;
                 CREATE VIEW living AS SELECT id FROM users WHERE id > 0;
                 CREATE VIEW companies AS SELECT * FROM organizations";
    database.run(&format!("{TWO_KINDS} {views}")).await;
    let why = mismatch(
        open(&database, "living").with_tenant_config_table("config").unwrap().migrate().await,
    );
    assert!(why.starts_with("public.config is not a table"), "{why}");
    assert!(why.contains("set TENANT_CONFIG_TABLE=tenant_config,"), "{why}");
    let why = mismatch(one_table(&database, "companies").migrate().await);
    assert!(why.contains("public.companies is not a table"), "{why}");
    assert!(why.contains("set TENANT_CONFIG_TABLE=organizations,"), "{why}");

    // Where a view of the table says who is a tenant, a row that is inserted would be a new one.
    let more = "CREATE VIEW active AS SELECT * FROM organizations WHERE id > 0;
                CREATE VIEW active_too AS SELECT active.id FROM active JOIN users USING (id)";
    database.run(more).await;
    for view in ["active", "active_too"] {
        let store = open(&database, view).with_tenant_config_table("organizations").unwrap();
        let why = mismatch(store.with_tenant_column("id").unwrap().migrate().await);
        assert!(
            why.starts_with(&format!("public.{view} is a view of public.organizations")),
            "{why}"
        );
        assert!(why.contains("set TENANTS_TABLE=public.organizations, or else"), "{why}");
    }

    // A view may say who is a tenant.
    let store = open(&database, "living").with_tenant_config_table("tenant_config").unwrap();
    store.migrate().await.unwrap();
    let (_sandbox, billing) = billing(&store).await;
    call(&billing).await.unwrap();
    assert!(!store.view(&TenantId::parse("-1").unwrap(), &[]).await.unwrap().exists);
}

/// A mistake in a setting is named, with what the table has.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_name_nothing() {
    let database = Database::fresh().await;
    database.run(TWO_KINDS).await;
    let config = |table: &str| open(&database, "users").with_tenant_config_table(table).unwrap();
    let check = async |store: PostgresStore, words: &str| {
        let why = mismatch(store.migrate().await);
        assert!(why.contains(words), "{why}");
        assert!(!why.contains("CREATE TABLE"), "{why}");
    };
    check(config("users"), "public.users has no column tenant_id").await;
    check(config("users"), "name another one in TENANT_CONFIG_TENANT_COLUMN").await;
    let wrong = config("tenant_config").with_customer_column("Cus").unwrap();
    check(wrong, "has no column Cus; add it, as varchar(255) UNIQUE, or name another one in").await;
    let both = config("users").with_tenant_column("stripe_customer_id").unwrap();
    check(both, "stripe_customer_id of public.users cannot hold both").await;
    // The rows of a table that makes its own keys are tenants.
    database
        .run("CREATE TABLE made (id bigserial PRIMARY KEY, stripe_customer_id text UNIQUE)")
        .await;
    let made = open(&database, "none").with_tenant_config_table("made").unwrap();
    check(made.with_tenant_column("id").unwrap(), "name public.made as the tenants table").await;
}
