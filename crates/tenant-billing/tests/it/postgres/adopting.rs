//! Databases that somebody else has made: what `migrate` says of them, and that it and everything
//! after it leave them as they are.

use std::time::Duration;

use stripe_sandbox::Sandbox;
use tenant_billing::{
    Billing, Database as _, Error, Outcome, PostgresStore, Problem, SecretKey, StripeClient,
    ids::{Email, TenantId},
    ports::StoreError,
    request::CustomerDetails,
};

use super::server::Database;

fn store(database: &Database) -> PostgresStore {
    PostgresStore::open(&database.url()).unwrap()
}

/// As Drizzle makes them, with a few rows.
const DRIZZLE: &str = r#"
    CREATE TABLE "tenants" (
        "id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
        "name" text NOT NULL,
        "created_at" timestamp DEFAULT now() NOT NULL
    );
    CREATE TABLE "tenant_config" (
        "id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
        "tenant_id" uuid NOT NULL,
        "stripe_customer_id" varchar(255),
        "plan" text DEFAULT 'free' NOT NULL,
        "settings" jsonb DEFAULT '{}' NOT NULL,
        "created_at" timestamp DEFAULT now() NOT NULL,
        "updated_at" timestamp DEFAULT now() NOT NULL,
        CONSTRAINT "tenant_config_tenant_id_unique" UNIQUE("tenant_id"),
        CONSTRAINT "tenant_config_stripe_customer_id_unique" UNIQUE("stripe_customer_id")
    );
    ALTER TABLE "tenant_config" ADD CONSTRAINT "tenant_config_tenant_id_tenants_id_fk"
        FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE cascade;
    INSERT INTO tenants (id, name)
        SELECT md5(n::text)::uuid, 'Tenant ' || n FROM generate_series(1, 3000) AS n;
    INSERT INTO tenant_config (tenant_id, stripe_customer_id, plan, created_at, updated_at)
        SELECT md5(n::text)::uuid, CASE WHEN n <= 1000 THEN 'cus_old' || n END, 'pro',
               timestamp '2020-01-01', timestamp '2020-01-01' FROM generate_series(1, 2000) AS n;"#;

/// As Rails makes them: numbers for keys, times without defaults, an index instead of a constraint.
const RAILS: &str = "
    CREATE TABLE organizations (
        id bigserial PRIMARY KEY,
        name character varying,
        created_at timestamp(6) without time zone NOT NULL,
        updated_at timestamp(6) without time zone NOT NULL
    );
    CREATE TABLE tenant_config (
        id bigserial PRIMARY KEY,
        tenant_id bigint NOT NULL,
        stripe_customer_id character varying,
        created_at timestamp(6) without time zone NOT NULL,
        updated_at timestamp(6) without time zone NOT NULL,
        CONSTRAINT fk_rails_1 FOREIGN KEY (tenant_id) REFERENCES organizations (id)
    );
    CREATE UNIQUE INDEX index_1 ON tenant_config USING btree (tenant_id);
    CREATE UNIQUE INDEX index_2 ON tenant_config USING btree (stripe_customer_id)
        WHERE stripe_customer_id IS NOT NULL;
    INSERT INTO organizations SELECT n, 'O', now(), now() FROM generate_series(1, 3000) AS n;
    INSERT INTO tenant_config (tenant_id, stripe_customer_id, created_at, updated_at)
        SELECT n, CASE WHEN n <= 1000 THEN 'cus_old' || n END,
               timestamp '2020-01-01', timestamp '2020-01-01' FROM generate_series(1, 2000) AS n;";

/// As Django makes them: text keys in a schema of their own, times with a zone, no default
/// anywhere.
const DJANGO: &str = "
    CREATE SCHEMA app;
    CREATE TABLE app.accounts_tenant (slug_is_elsewhere text, id varchar(64) NOT NULL PRIMARY KEY);
    CREATE TABLE app.tenant_config (
        id uuid NOT NULL PRIMARY KEY,
        tenant_id varchar(64) NOT NULL UNIQUE
            REFERENCES app.accounts_tenant (id) DEFERRABLE INITIALLY DEFERRED,
        stripe_customer_id varchar(255) NULL UNIQUE,
        created_at timestamp with time zone NOT NULL,
        updated_at timestamp with time zone NOT NULL
    );
    ALTER DATABASE THIS SET search_path = app;
    INSERT INTO app.accounts_tenant SELECT 'x', 'Org-' || n FROM generate_series(1, 3000) AS n;
    INSERT INTO app.tenant_config
        SELECT gen_random_uuid(), 'Org-' || n, CASE WHEN n <= 1000 THEN 'cus_old' || n END,
               timestamptz '2020-01-01Z', timestamptz '2020-01-01Z'
        FROM generate_series(1, 2000) AS n;";

struct Host {
    schema: &'static str,
    tenants: &'static str,
    config: &'static str,
    /// A tenant that is bound, one with a row, one without, and one that does not exist.
    ids: [&'static str; 4],
}

const HOSTS: [Host; 3] = [
    Host {
        schema: DRIZZLE,
        tenants: "tenants",
        config: "tenant_config",
        ids: [
            "98f13708-2101-94c4-7568-7be6106a3b84",
            "cfa53013-58b9-fcbe-7aa4-5b1ceea088c6",
            "f7696a9b-362a-c5a5-1c3d-c8f098b73923",
            "00000000-0000-4000-8000-000000000000",
        ],
    },
    Host {
        schema: RAILS,
        tenants: "organizations",
        config: "tenant_config",
        ids: ["20", "1500", "2500", "9999"],
    },
    Host {
        schema: DJANGO,
        tenants: "app.accounts_tenant",
        config: "app.tenant_config",
        ids: ["Org-20", "Org-1500", "Org-2500", "Org-9999"],
    },
];

/// The catalogs' word for everything that is the host's, and all of its rows.
async fn everything(database: &Database, host: &Host) -> Vec<Vec<String>> {
    let catalog = "
        SELECT n.nspname, c.relname, c.relkind, c.relacl::text, c.relchecks, c.relhastriggers,
               a.attname, a.atttypid, a.attnotnull, a.atthasdef,
               (SELECT string_agg(pg_get_constraintdef(oid), ',' ORDER BY conname)
                FROM pg_constraint WHERE conrelid = c.oid)
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_attribute AS a ON a.attrelid = c.oid
        WHERE n.nspname IN ('public', 'app') AND a.attnum > 0 ORDER BY 1, 2, 7";
    let mut all = database.rows(catalog).await;
    all.extend(database.rows(&format!("SELECT xmin, * FROM {} ORDER BY id", host.tenants)).await);
    let rows = format!("SELECT xmin, * FROM {} ORDER BY tenant_id", host.config);
    all.extend(database.rows(&rows).await);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_database_is_left_as_it_is() {
    for host in HOSTS {
        let database = Database::fresh().await;
        database.run(&host.schema.replace("THIS", database.name())).await;
        let far = format!("ALTER DATABASE {} SET timezone = 'Asia/Tokyo'", database.name());
        database.run(&far).await;
        let before = everything(&database, &host).await;
        let store = store(&database).with_tenants_table(host.tenants).unwrap();
        // Whoever lets others read their tables is not waited for.
        let busy = database.connect().await;
        let (tenants, config) = (host.tenants, host.config);
        let lock = format!("BEGIN; LOCK TABLE {tenants}, {config} IN EXCLUSIVE MODE");
        busy.batch_execute(&lock).await.unwrap();
        store.migrate().await.unwrap();
        busy.batch_execute("COMMIT").await.unwrap();
        assert_eq!(everything(&database, &host).await, before);

        let sandbox = Sandbox::start().await.unwrap();
        let key = SecretKey::parse("sk_test_1").unwrap();
        let stripe = StripeClient::new(key).with_base(&sandbox.url()).unwrap();
        let billing = Billing::new(store.clone(), stripe);
        let [bound, null, missing, unknown] = host.ids.map(|id| TenantId::parse(id).unwrap());
        let details = CustomerDetails::new(Email::parse("a@example.com").unwrap());
        let call = |tenant| billing.get_or_create(tenant, &details, Duration::from_secs(10));
        let existing = call(&bound).await.unwrap();
        assert_eq!(
            (existing.customer.as_str(), existing.outcome),
            ("cus_old20", Outcome::Existing)
        );
        assert_eq!(sandbox.requests().len(), 0, "an existing id costs no request");
        assert_eq!(everything(&database, &host).await, before);

        for tenant in [&null, &missing] {
            let made = call(tenant).await.unwrap();
            assert_eq!((&made.tenant, made.outcome), (tenant, Outcome::Created));
            let column = format!(
                "SELECT stripe_customer_id FROM {} WHERE tenant_id = '{tenant}'",
                host.config
            );
            assert_eq!(database.cell(&column).await, made.customer.as_str());
        }
        // One column and its row's time, and one row more; the times are now, in UTC.
        let tenants = format!(
            "SELECT count(*), count(*) FILTER (WHERE stripe_customer_id IS NOT NULL),
            count(*) FILTER (WHERE updated_at BETWEEN
                (now() AT TIME ZONE 'UTC') - interval '1 minute' AND (now() AT TIME ZONE 'UTC'))
            FROM {}",
            host.config
        );
        let sql = format!("SET timezone = 'UTC'; {tenants}");
        assert_eq!(database.rows(&sql).await, [["2001", "1002", "2"]]);
        let after = everything(&database, &host).await;
        let changed: Vec<_> = before.iter().filter(|row| !after.contains(row)).collect();
        assert_eq!(changed.len(), 1, "only the row with a null is another one now");
        assert_eq!(after.len(), before.len() + 1);

        assert_eq!(
            billing.lookup(&unknown).await.map_err(Error::into_problem),
            Err(Problem::UnknownTenant(unknown.clone()))
        );
        let wrong = store.clone().with_tenants_table("none").unwrap().migrate().await;
        let Err(StoreError::SchemaMismatch(why)) = wrong else { panic!("{wrong:?}") };
        assert!(why.contains("references") && why.contains("as the tenants table"), "{why}");
    }
}

/// What `migrate` must say, each with a change to a schema that it would take; and that it then
/// leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_said() {
    let good = "CREATE TABLE tenants (id uuid PRIMARY KEY);
        CREATE TABLE tenant_config (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            tenant_id uuid NOT NULL UNIQUE REFERENCES tenants (id),
            stripe_customer_id varchar(255) UNIQUE, plan text NOT NULL DEFAULT 'free');";
    let check = async |schema: &str, tenants: &str, words: Option<&str>| {
        let database = Database::fresh().await;
        database.run(schema).await;
        let store = store(&database).with_tenants_table(tenants).unwrap();
        let ours = "SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_billing'";
        match (store.migrate().await, words) {
            (Ok(()), None) => assert_eq!(database.cell(ours).await, "1"),
            (Err(StoreError::SchemaMismatch(why)), Some(words)) => {
                assert!(why.contains(words), "{schema}: {why}");
                assert_eq!(database.cell(ours).await, "0", "{schema}");
            }
            (result, _) => panic!("{schema}: {result:?}"),
        }
    };
    check(good, "tenants", None).await;
    check("", "tenants", None).await;
    // Whether `tenant_config` has what it must.
    for (from, to, words) in [
        ("NOT NULL UNIQUE REFERENCES", "NOT NULL REFERENCES", "tenant_id is not UNIQUE"),
        ("NOT NULL UNIQUE", "NOT NULL UNIQUE DEFERRABLE", "tenant_id is not UNIQUE"),
        ("varchar(255) UNIQUE", "varchar(255)", "stripe_customer_id is not UNIQUE"),
        ("varchar(255) UNIQUE", "varchar(255) UNIQUE NOT NULL", "stripe_customer_id is NOT NULL"),
        ("varchar(255) UNIQUE", "varchar(20) UNIQUE", "too short"),
        ("varchar(255) UNIQUE", "bigint UNIQUE", "stripe_customer_id is bigint"),
        ("stripe_customer_id", "customer", "no column stripe_customer_id"),
        (" DEFAULT 'free'", "", "plan is NOT NULL and has no default"),
        (
            "id uuid PRIMARY KEY DEFAULT gen_random_uuid()",
            "id bigint PRIMARY KEY",
            "config.id is NOT",
        ),
        ("uuid NOT NULL UNIQUE REFERENCES tenants (id)", "text NOT NULL UNIQUE", "is text"),
        ("uuid NOT NULL UNIQUE REFERENCES tenants (id)", "inet NOT NULL UNIQUE", "is inet"),
    ] {
        assert!(good.contains(from), "{from}");
        check(&good.replace(from, to), "tenants", Some(words)).await;
    }
    // Whether tenants are where they are said to be.
    let parts = good.split_inclusive(";").collect::<Vec<_>>();
    let alone = parts[1].replace("REFERENCES tenants (id)", "");
    check(&alone, "tenants", Some("but no table tenants")).await;
    check(&alone, "none", None).await;
    check(parts[0], "tenants", Some("CREATE TABLE tenant_config")).await;
    check("CREATE TABLE orders (id int)", "tenants", Some("neither tenants nor")).await;
    check("", "organizations", Some("neither organizations nor")).await;
    check("", "none", Some("no tenant_config either")).await;
    let other = format!("CREATE TABLE organizations (id uuid PRIMARY KEY); {good}");
    check(&other, "organizations", Some("references tenants")).await;
    let quoted = good.replace("tenants", "\"Tenant\"");
    check(&quoted, "Tenant", None).await;
}

/// Without a table of tenants, whoever is asked for exists.
#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_live_nowhere() {
    let database = Database::fresh().await;
    database
        .run(
            "CREATE TABLE tenant_config (tenant_id text PRIMARY KEY,
             stripe_customer_id text UNIQUE)",
        )
        .await;
    let store = store(&database).with_tenants_table("none").unwrap();
    store.migrate().await.unwrap();
    let sandbox = Sandbox::start().await.unwrap();
    let key = SecretKey::parse("sk_test_1").unwrap();
    let stripe = StripeClient::new(key).with_base(&sandbox.url()).unwrap();
    let billing = Billing::new(store.clone(), stripe);
    let made = billing.get_or_create_stripe_customer("anybody", "a@example.com").await.unwrap();
    let row = database.rows("TABLE tenant_config").await;
    assert_eq!(row, [["anybody", made.as_str()]]);
    let added = store.add_tenant(&TenantId::parse("x").unwrap()).await;
    assert!(matches!(added, Err(StoreError::Invalid(it)) if it.field == "tenants_table"));
}
