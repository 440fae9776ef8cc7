//! Types of keys that are not uuid, text or bigint, and keys whose type the host changes.

use std::time::Duration;

use stripe_sandbox::{Fault, Rule, Sandbox};
use tenant_billing::{
    Billing, PostgresStore, SecretKey, StripeClient, SystemClock,
    ids::{CustomerId, Email, TenantId},
    ports::{Store, StoreError},
    request::CustomerDetails,
};

use super::server::Database;

fn tables(key: &str) -> String {
    format!(
        "CREATE TABLE tenants (id {key} PRIMARY KEY);
         CREATE TABLE tenant_config (tenant_id {key} PRIMARY KEY REFERENCES tenants (id),
             stripe_customer_id text UNIQUE);"
    )
}

fn open(database: &Database) -> PostgresStore {
    PostgresStore::open(&database.url()).unwrap()
}

async fn billing(store: &PostgresStore) -> (Sandbox, Billing) {
    let sandbox = Sandbox::start().await.unwrap();
    let key = SecretKey::parse("sk_test_1").unwrap();
    let stripe = StripeClient::new(key).with_base(&sandbox.url()).unwrap();
    (sandbox, Billing::new(store.clone(), stripe))
}

fn mismatch<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    let Err(StoreError::SchemaMismatch(why)) = result else { panic!("{result:?}") };
    why
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_these_types_are_refused_in_true_words() {
    for (key, words) in [
        ("numeric", "is numeric and may have decimals"),
        ("numeric(10, 2)", "is numeric and may have decimals"),
        ("double precision", "is double precision; tenants' ids can be uuid, text"),
        ("inet", "is inet; tenants' ids can be"),
    ] {
        let database = Database::fresh().await;
        database.run(&tables(key)).await;
        let why = mismatch(open(&database).migrate().await);
        assert!(why.contains(words) && !why.contains("a number"), "{key}: {why}");
    }
    let database = Database::fresh().await;
    let client = database.connect().await;
    if client.batch_execute("CREATE EXTENSION citext").await.is_ok() {
        database.run(&tables("citext")).await;
        let why = mismatch(open(&database).migrate().await);
        assert!(why.contains("ids that differ in case are one tenant"), "{why}");
    }
}

/// The server pads the one, and writes the other with 64 bits or more. Each is found by its index.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_these_types_have_one_spelling() {
    for (key, id, other, unlike) in [
        ("char(36)", "acme", "acme ", "Acme"),
        ("numeric(20, 0)", "7", "007", "70"),
        ("numeric(5)", "7", "+7", "-7"),
    ] {
        let database = Database::fresh().await;
        let rows = format!("INSERT INTO tenants VALUES ('{id}')");
        database.run(&format!("{} {rows}", tables(key))).await;
        let store = open(&database);
        store.migrate().await.unwrap();
        let (sandbox, billing) = billing(&store).await;
        let ask = async |id: &str| billing.get_or_create_stripe_customer(id, "a@example.com").await;
        let made = ask(id).await.unwrap();
        assert_eq!(ask(id).await, Ok(made.clone()));
        if let Ok(other) = TenantId::parse(other) {
            assert_eq!(store.bound(&other).await, Ok(Some(made.clone())), "{key}");
        }
        let row = "SELECT tenant_id FROM customer_provisioning";
        assert_eq!(database.cell(row).await, id, "{key}");
        assert!(ask(unlike).await.is_err(), "{key}");
        assert_eq!(sandbox.customers().len(), 1);
        store.record_deletion(&made).await.unwrap();
        assert_eq!(store.bound(&TenantId::parse(id).unwrap()).await, Ok(None), "{key}");
        let sql = if key.starts_with("char") { "bpchar" } else { "bigint" };
        let plan = database
            .rows(&format!(
                "SET enable_seqscan = off;
                 EXPLAIN SELECT 1 FROM tenant_config WHERE tenant_id = ANY ('{{7}}'::{sql}[])"
            ))
            .await;
        let plan = plan.concat().concat();
        assert!(plan.contains("Index Cond") || plan.contains("Index Only Scan"), "{key}: {plan}");
    }
}

/// A tenant of 64 bits is not one of 20 digits.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_too_long_is_said_to_be() {
    let database = Database::fresh().await;
    database.run(&tables("numeric(20, 0)")).await;
    let store = open(&database);
    store.migrate().await.unwrap();
    let tenant = TenantId::parse("99999999999999999999").unwrap();
    let Err(StoreError::Invalid(invalid)) = store.bound(&tenant).await else { panic!("too long") };
    assert!(invalid.reason.contains("whole number of up to 64 bits"), "{invalid}");
}

/// Begins a creation whose answer is lost, so that the tenant's row is pending.
async fn leave_pending(billing: &Billing, sandbox: &Sandbox, tenant: &str) {
    sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").always());
    let details = CustomerDetails::new(Email::parse("a@example.com").unwrap());
    let tenant = TenantId::parse(tenant).unwrap();
    let called = billing.get_or_create(&tenant, &details, Duration::from_secs(1)).await;
    assert_eq!(called.unwrap_err().code(), "retry_later");
    // The work goes on for a while after the call.
    SystemClock::shared().sleep(Duration::from_secs(2)).await;
    sandbox.disarm();
}

/// A row whose id is no key of this database, whoever has written it, is an operator's matter.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_id_is_no_key() {
    let database = Database::fresh().await;
    database.run(&format!("{} INSERT INTO tenants VALUES (7)", tables("bigint"))).await;
    let store = open(&database);
    store.migrate().await.unwrap();
    let (sandbox, billing) = billing(&store).await;
    leave_pending(&billing, &sandbox, "7").await;
    database.run("UPDATE customer_provisioning SET tenant_id = 'acme'").await;
    database.advance(Duration::from_secs(3600)).await;
    let recovery = billing.recover_once().await.unwrap();
    let (tenant, error) = &recovery.postponed[0];
    assert_eq!((tenant.as_str(), error.cause()), ("acme", "schema_mismatch"));
    let words = "the row of tenant acme was written when the tenants' keys were of another type";
    assert!(error.to_string().contains(words), "{error}");
}

/// The keys become another type while a row is pending: that is an operator's matter, in `recover`
/// too, for a process that has just begun and for one that has known the tables for long.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_become_another_type_while_a_row_is_pending() {
    let database = Database::fresh().await;
    database.run(&format!("{} INSERT INTO tenants VALUES (7), (8)", tables("bigint"))).await;
    let store = open(&database);
    store.migrate().await.unwrap();
    let (sandbox, billing) = billing(&store).await;
    let ask = async |id: &str| billing.get_or_create_stripe_customer(id, "a@example.com").await;
    ask("8").await.unwrap();
    leave_pending(&billing, &sandbox, "7").await;

    let drop = "ALTER TABLE tenant_config DROP CONSTRAINT tenant_config_tenant_id_fkey;";
    let to_uuid = "lpad(%s::text, 32, '0')::uuid";
    let change = |kind: &str, using: &str| {
        let using = |column| using.replace("%s", column);
        format!(
            "ALTER TABLE tenant_config ALTER tenant_id TYPE {kind} USING {};
             ALTER TABLE tenants ALTER id TYPE {kind} USING {}",
            using("tenant_id"),
            using("id")
        )
    };
    database.run(&format!("{drop} {}", change("uuid", to_uuid))).await;
    database.advance(Duration::from_secs(3600)).await;
    let words = "keys are uuid now, and were a whole number when this database was migrated";
    let fresh = Billing::new(open(&database), stripe(&sandbox));
    for billing in [&fresh, &billing] {
        let said = match billing.recover_once().await {
            Err(error) => error,
            Ok(recovery) => recovery.postponed[0].1.clone(),
        };
        assert_eq!((said.code(), said.cause()), ("operator_must_act", "schema_mismatch"), "{said}");
        assert!(said.to_string().contains(words), "{said}");
        database.advance(Duration::from_secs(3600)).await;
    }
    let why = mismatch(open(&database).migrate().await);
    assert!(why.contains("2 of the tenants on record, such as 7,"), "{why}");
    assert!(why.contains("work on 1 of them is not finished"), "{why}");

    // As the guide says: back, finish, and change the keys with what is on record of them.
    database.run(&change("bigint", "ltrim(replace(%s::text, '-', ''), '0')::bigint")).await;
    database.advance(Duration::from_secs(3600)).await;
    let recovery = open(&database);
    let recovery = Billing::new(recovery, stripe(&sandbox)).recover_once().await.unwrap();
    assert_eq!(recovery.backlog.rows, 0, "{recovery:?}");
    let rename = to_uuid.replace("%s", "tenant_id");
    database
        .run(&format!(
            "{}; UPDATE customer_provisioning SET tenant_id = ({rename})::text",
            change("uuid", to_uuid)
        ))
        .await;
    open(&database).migrate().await.unwrap();
    let billing = Billing::new(open(&database), stripe(&sandbox));
    let customers: Vec<_> = sandbox.customers().iter().map(|it| it.id.clone()).collect();
    assert_eq!(customers.len(), 2);
    for number in [7, 8] {
        let tenant = format!("00000000-0000-0000-0000-{number:012}");
        let found = billing.get_or_create_stripe_customer(&tenant, "a@example.com").await.unwrap();
        assert!(customers.contains(&found.as_str().to_owned()));
        // The row is still known: a column that the host nulls leads to the same Customer.
        database
            .run(&format!(
                "UPDATE tenant_config SET stripe_customer_id = NULL
                               WHERE tenant_id = '{tenant}'"
            ))
            .await;
        let again = billing.get_or_create_stripe_customer(&tenant, "a@example.com").await;
        assert_eq!(again, Ok(found));
    }
    assert_eq!(sandbox.customers().len(), 2);
}

fn stripe(sandbox: &Sandbox) -> StripeClient {
    let key = SecretKey::parse("sk_test_1").unwrap();
    StripeClient::new(key).with_base(&sandbox.url()).unwrap()
}

/// Texts that become UUIDs: a row that is spelled in capitals would no longer be found.
#[tokio::test(flavor = "multi_thread")]
async fn texts_that_become_uuids() {
    let lower = "abcdef00-0000-4000-8000-000000000001";
    for (id, accepted) in [(lower.to_owned(), true), (lower.to_uppercase(), false)] {
        let database = Database::fresh().await;
        database.run(&format!("{} INSERT INTO tenants VALUES ('{id}')", tables("text"))).await;
        let store = open(&database);
        store.migrate().await.unwrap();
        let (_sandbox, billing) = billing(&store).await;
        let made: CustomerId =
            billing.get_or_create_stripe_customer(&id, "a@example.com").await.unwrap();
        database
            .run(
                "ALTER TABLE tenant_config DROP CONSTRAINT tenant_config_tenant_id_fkey;
                 ALTER TABLE tenant_config ALTER tenant_id TYPE uuid USING tenant_id::uuid;
                 ALTER TABLE tenants ALTER id TYPE uuid USING id::uuid",
            )
            .await;
        let migrated = open(&database).migrate().await;
        if accepted {
            assert_eq!(migrated, Ok(()));
            let tenant = TenantId::parse(&id).unwrap();
            assert_eq!(open(&database).bound(&tenant).await, Ok(Some(made)));
        } else {
            let why = mismatch(migrated);
            assert!(why.contains("1 of the tenants on record, such as ABCDEF00"), "{why}");
        }
    }
}
