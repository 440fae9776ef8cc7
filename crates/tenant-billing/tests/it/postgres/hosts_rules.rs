//! What a host's own database does of itself: policies, triggers, deferred keys, collations,
//! domains, sequences. None of it may lead to a second Customer, or to one that is lost.

use std::time::Duration;

use stripe_sandbox::Sandbox;
use tenant_billing::{
    Billing, Database as _, Error, OperatorError, PostgresStore, Problem, SecretKey, StripeClient,
    SystemClock,
    audit::SurplusReason,
    ids::{CustomerId, TenantId},
    ports::{Committed, Store, StoreError},
    state::Change,
};
use tokio::task::JoinHandle;

use super::server::Database;

fn store(url: &str) -> PostgresStore {
    PostgresStore::open(url).unwrap()
}

async fn billing(store: &PostgresStore) -> (Sandbox, Billing) {
    let sandbox = Sandbox::start().await.unwrap();
    let key = SecretKey::parse("sk_test_1").unwrap();
    let stripe = StripeClient::new(key).with_base(&sandbox.url()).unwrap();
    (sandbox, Billing::new(store.clone(), stripe))
}

fn tenant(number: u32) -> TenantId {
    TenantId::parse(&format!("00000000-0000-4000-8000-{number:012}")).unwrap()
}

async fn call(billing: &Billing, number: u32) -> Result<CustomerId, Error> {
    billing.get_or_create_stripe_customer(tenant(number).as_str(), "a@example.com").await
}

async fn wait(milliseconds: u64) {
    SystemClock::shared().sleep(Duration::from_millis(milliseconds)).await;
}

/// A database that is migrated, and knows tenants 1 and 2.
async fn ready() -> (Database, PostgresStore) {
    let database = Database::fresh().await;
    let store = store(&database.url());
    store.migrate().await.unwrap();
    store.add_tenants(&[tenant(1), tenant(2)]).await.unwrap();
    (database, store)
}

/// A role with the printed grants and no more.
async fn humble(database: &Database, owner: &PostgresStore) -> (String, PostgresStore) {
    let role = format!("humble_{}", database.name());
    database.run(&format!("CREATE ROLE {role} LOGIN")).await;
    database.run(&owner.grants(&role).await.unwrap()).await;
    let humble = store(&database.url_of(&role));
    (role, humble)
}

async fn forget(database: &Database, role: &str) {
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// What row-level security hides is not "none": whether it is there from the start, or comes later.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_policy_hides() {
    for from_the_start in [true, false] {
        let (database, owner) = ready().await;
        let (role, humble) = humble(&database, &owner).await;
        if !from_the_start {
            assert_eq!(humble.bound(&tenant(1)).await, Ok(None));
        }
        let hide = format!(
            "INSERT INTO tenant_config (tenant_id, stripe_customer_id) VALUES ('{}', 'cus_host');
             ALTER TABLE tenant_config ENABLE ROW LEVEL SECURITY",
            tenant(1)
        );
        database.run(&hide).await;
        let (sandbox, billing) = billing(&humble).await;
        let error = call(&billing, 1).await.unwrap_err();
        assert!(error.to_string().contains("row-level security"), "{error}");
        assert_eq!(sandbox.counters().customers_created, 0, "it has a Customer already");
        forget(&database, &role).await;
    }
}

/// The bind is held up by a trigger, and the Customer's deletion is recorded meanwhile: one waits
/// for the other, so the tenant does not end up with what is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_is_deleted_while_it_is_bound() {
    let (database, store) = ready().await;
    let (sandbox, billing) = billing(&store).await;
    let calling = begin_to_bind(&database, &billing).await;
    let made = CustomerId::parse(&sandbox.customers()[0].id).unwrap();
    sandbox.delete_customer(made.as_str());
    billing.customer_deleted(&made).await.unwrap();
    calling.await.unwrap().unwrap();
    assert_eq!(store.bound(&tenant(1)).await, Ok(None));
    assert_ne!(call(&billing, 1).await.unwrap(), made);
}

/// The bind is held up by a trigger, and the host does something meanwhile, which it commits.
async fn while_binding(
    database: &Database,
    billing: &Billing,
    host: &str,
) -> Result<CustomerId, Error> {
    let calling = begin_to_bind(database, billing).await;
    let client = database.connect().await;
    client.batch_execute(&format!("BEGIN; {host}")).await.unwrap();
    wait(700).await;
    client.batch_execute("COMMIT").await.unwrap();
    calling.await.unwrap()
}

/// A call for tenant 1 whose bind takes half a second, and has begun.
async fn begin_to_bind(
    database: &Database,
    billing: &Billing,
) -> JoinHandle<Result<CustomerId, Error>> {
    let slow = "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;
                CREATE TRIGGER slow BEFORE INSERT ON public.tenant_config
                    FOR EACH ROW WHEN (current_setting('application_name') = 'tenant-billing')
                    EXECUTE FUNCTION public.slow()";
    database.run(slow).await;
    let billing = billing.clone();
    let calling = tokio::spawn(async move { call(&billing, 1).await });
    let sleeping = "SELECT count(*) FROM pg_stat_activity
                    WHERE wait_event = 'PgSleep' AND datname = current_database()";
    while database.cell(sleeping).await == "0" {
        wait(2).await;
    }
    calling
}

/// A foreign key that is checked at the commit, as all of Django's are.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_deleted_under_a_deferred_key() {
    let (database, store) = ready().await;
    let deferred = "ALTER TABLE tenant_config DROP CONSTRAINT tenant_config_tenant_id_fkey;
                    ALTER TABLE tenant_config ADD FOREIGN KEY (tenant_id) REFERENCES tenants (id)
                        DEFERRABLE INITIALLY DEFERRED";
    database.run(deferred).await;
    let (sandbox, billing) = billing(&store).await;
    let delete = format!("DELETE FROM tenants WHERE id = '{}'", tenant(1));
    let error = while_binding(&database, &billing, &delete).await.unwrap_err();
    assert!(error.code() == "unknown_tenant" && error.may_have_created(), "{error:?}");
    let surplus = store.surplus(&tenant(1)).await.unwrap();
    assert_eq!(surplus.len(), 1);
    assert_eq!(surplus[0].reason, SurplusReason::TenantGone);
    assert_eq!(sandbox.counters().customers_created, 1);
}

/// A unique key that is checked at the commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_is_bound_elsewhere_under_a_deferred_key() {
    let (database, store) = ready().await;
    let deferred = "ALTER TABLE tenant_config DROP CONSTRAINT tenant_config_stripe_customer_id_key;
         ALTER TABLE tenant_config ADD UNIQUE (stripe_customer_id) DEFERRABLE INITIALLY DEFERRED";
    database.run(deferred).await;
    store.migrate().await.unwrap();
    let (_sandbox, billing) = billing(&store).await;
    let ours = call(&billing, 1).await.unwrap();
    database.run("DELETE FROM tenant_config").await;
    let taken = format!(
        "INSERT INTO tenant_config (tenant_id, stripe_customer_id) VALUES ('{}', '{ours}')",
        tenant(2)
    );
    let error = while_binding(&database, &billing, &taken).await.unwrap_err();
    assert_eq!(error.problem(), &Problem::Operator(OperatorError::BoundElsewhere(ours)));
}

/// A key that has nothing to do with us is not somebody who was faster: it never mends by itself.
#[tokio::test(flavor = "multi_thread")]
async fn another_unique_key_is_an_operators_matter() {
    let (database, store) = ready().await;
    database.run("ALTER TABLE tenant_config ADD slug text UNIQUE NOT NULL DEFAULT ''").await;
    let (sandbox, billing) = billing(&store).await;
    call(&billing, 1).await.unwrap();
    let error = call(&billing, 2).await.unwrap_err();
    assert!(error.to_string().contains("slug"), "{error}");
    assert!(matches!(error.problem(), Problem::Operator(OperatorError::Store(_))), "{error:?}");
    // Once that is mended, the Customer that was made is bound.
    database.run("ALTER TABLE tenant_config DROP slug").await;
    call(&billing, 2).await.unwrap();
    assert_eq!(sandbox.counters().customers_created, 2);
}

/// A copy of Stripe's Customers that lags behind, and a trigger that raises a code which looks as if
/// it would pass.
#[tokio::test(flavor = "multi_thread")]
async fn what_looks_like_a_race_or_passing_is_the_hosts_own_matter() {
    for (rule, words, back) in [
        (
            "CREATE TABLE mirror (id varchar(255) PRIMARY KEY);
             ALTER TABLE tenant_config ADD CONSTRAINT mirrored
                 FOREIGN KEY (stripe_customer_id) REFERENCES mirror",
            "constraint mirrored",
            "ALTER TABLE tenant_config DROP CONSTRAINT mirrored",
        ),
        (
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE 'ask bob@example.com' USING ERRCODE = '55000'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON public.tenant_config
                 FOR EACH ROW EXECUTE FUNCTION public.refuse()",
            "ask […] (55000)",
            "DROP TRIGGER refuse ON tenant_config",
        ),
    ] {
        let (database, store) = ready().await;
        let (sandbox, billing) = billing(&store).await;
        database.run(rule).await;
        let error = call(&billing, 1).await.unwrap_err();
        assert_eq!(error.cause(), "write_refused", "{error}");
        let said = error.to_string();
        assert!(said.contains(words) && said.contains("waits to be bound"), "{said}");
        database.run(back).await;
        call(&billing, 1).await.unwrap();
        assert_eq!(sandbox.counters().customers_created, 1);
    }
}

/// A row that is there is changed, not inserted: what a host does with new rows is not done to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_there_is_not_inserted() {
    for rule in [
        "CREATE FUNCTION public.welcome() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO public.welcomed VALUES (NEW.tenant_id); RETURN NEW; END $$;
         CREATE TRIGGER welcome BEFORE INSERT ON public.tenant_config
             FOR EACH ROW EXECUTE FUNCTION public.welcome()",
        "ALTER TABLE tenant_config ADD COLUMN owner text;
         UPDATE tenant_config SET owner = 'someone';
         ALTER TABLE tenant_config ADD CHECK (owner IS NOT NULL)",
    ] {
        let (database, store) = ready().await;
        database.run("INSERT INTO tenant_config (tenant_id) SELECT id FROM tenants").await;
        database.run(&format!("CREATE TABLE public.welcomed (tenant_id uuid); {rule}")).await;
        let (_sandbox, billing) = billing(&store).await;
        call(&billing, 1).await.unwrap();
        assert_eq!(database.cell("SELECT count(*) FROM public.welcomed").await, "0");
    }
}

/// The grants are enough where ids come from a sequence, and where nobody may execute new
/// functions.
#[tokio::test(flavor = "multi_thread")]
async fn grants_for_sequences_and_functions() {
    for prepare in [
        "CREATE TABLE tenants (id uuid PRIMARY KEY);
         CREATE TABLE tenant_config (id bigserial PRIMARY KEY,
             tenant_id uuid NOT NULL UNIQUE REFERENCES tenants (id),
             stripe_customer_id varchar(255) UNIQUE)",
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
    ] {
        let database = Database::fresh().await;
        database.run(prepare).await;
        let owner = store(&database.url());
        owner.migrate().await.unwrap();
        owner.add_tenant(&tenant(1)).await.unwrap();
        let (role, humble) = humble(&database, &owner).await;
        let (_sandbox, billing) = billing(&humble).await;
        let called = call(&billing, 1).await;
        forget(&database, &role).await;
        called.unwrap_or_else(|error| panic!("{prepare}: {error}"));
    }
}

/// What would call two spellings one tenant, or has limits that are not to be seen at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_migrate_sees_behind_a_type() {
    let good = "CREATE TABLE tenants (id text PRIMARY KEY);
         CREATE TABLE tenant_config (tenant_id text PRIMARY KEY REFERENCES tenants (id),
             stripe_customer_id varchar(255) UNIQUE, plan text)";
    let folding = "CREATE COLLATION folding
                   (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";
    for (before, from, to, words) in [
        (folding, "id text", "id text COLLATE folding", "several spellings equal"),
        ("CREATE DOMAIN short AS varchar(10);", "varchar(255)", "short", "too short"),
        ("CREATE DOMAIN kind AS text NOT NULL;", "plan text", "plan kind", "plan is NOT NULL"),
    ] {
        let database = Database::fresh().await;
        database.run(&format!("{before} {}", good.replace(from, to))).await;
        let Err(StoreError::SchemaMismatch(why)) = store(&database.url()).migrate().await else {
            panic!("{to} is no good")
        };
        assert!(why.contains(words), "{why}");
    }
}

/// A Customer that is put on record as surplus while its deletion is recorded does not stay there.
#[tokio::test(flavor = "multi_thread")]
async fn a_surplus_customer_that_is_deleted_at_the_same_moment() {
    let (database, store) = ready().await;
    let customer = CustomerId::parse("cus_late").unwrap();
    let slow = "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_sleep(0.7); RETURN NULL; END $$;
                CREATE TRIGGER slow AFTER INSERT ON tenant_billing.surplus_customer
                    FOR EACH STATEMENT EXECUTE FUNCTION public.slow()";
    database.run(slow).await;
    let mut change = Change::none(&store.view(&tenant(1), &[]).await.unwrap());
    change.surplus.push((customer.clone(), SurplusReason::Late));
    let (committed, recorded) = tokio::join!(store.commit(&change), async {
        wait(300).await;
        store.record_deletion(&customer).await
    });
    assert_eq!((committed, recorded), (Ok(Committed::Yes), Ok(())));
    assert!(store.surplus(&tenant(1)).await.unwrap()[0].resolved_at.is_some());
}

/// A host that changes its keys' type under a running process.
#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_changes() {
    let (database, store) = ready().await;
    assert_eq!(store.bound(&tenant(1)).await, Ok(None));
    // One whose lookups are prepared by name on its connections.
    let url = database.url() + "&prepared_statements=true";
    let named = PostgresStore::open(&url).unwrap();
    let bind = format!(
        "INSERT INTO tenant_config (tenant_id, stripe_customer_id) VALUES ('{}', 'cus_1')",
        tenant(1)
    );
    database.run(&bind).await;
    let bound = Ok(Some(CustomerId::parse("cus_1").unwrap()));
    for _ in 0..10 {
        let (one, two) = (tenant(1), tenant(2));
        let found = tokio::join!(named.bound(&one), named.bound(&two), named.bound(&one));
        assert_eq!(found, (bound.clone(), Ok(None), bound.clone()));
    }
    let change = "ALTER TABLE tenant_config DROP CONSTRAINT tenant_config_tenant_id_fkey;
                  ALTER TABLE tenant_config ALTER tenant_id TYPE text;
                  ALTER TABLE tenants ALTER id DROP DEFAULT, ALTER id TYPE text";
    database.run(change).await;
    // Until a migration has seen that every tenant on record keeps its id, nothing works.
    for store in [&store, &named] {
        let refused = store.view(&tenant(1), &[]).await;
        let Err(StoreError::SchemaMismatch(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("keys are text now, and were uuid"), "{why}");
    }
    store.migrate().await.unwrap();
    assert!(store.view(&tenant(1), &[]).await.unwrap().exists);
    assert_eq!(named.bound(&tenant(1)).await, bound);
}

/// A clone with another table of tenants is refused, and the original still reads its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_with_another_table_of_tenants() {
    let (database, store) = ready().await;
    database.run("CREATE TABLE elsewhere AS SELECT id FROM tenants LIMIT 0").await;
    database.run("ALTER TABLE tenant_config DROP CONSTRAINT tenant_config_tenant_id_fkey").await;
    assert!(store.view(&tenant(1), &[]).await.unwrap().exists);
    let other = store.clone().with_tenants_table("elsewhere").unwrap();
    let refused = other.view(&tenant(1), &[]).await;
    let Err(StoreError::SchemaMismatch(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("public.elsewhere, and was public.tenants"), "{why}");
    assert!(store.view(&tenant(1), &[]).await.unwrap().exists);
}
