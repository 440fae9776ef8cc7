//! The layouts that docs/adopting.md begins with, as it writes them: each is made, migrated with its
//! settings, and used with no more than the printed grants.

use std::{collections::BTreeMap, process::Command};

use stripe_sandbox::Sandbox;
use tenant_billing::{
    Billing, Error, PostgresStore, Problem, SecretKey, StripeClient, ids::TenantId, ports::Store,
};

use super::server::Database;

const GUIDE: &str = include_str!("../../../../../docs/adopting.md");

/// A layout's tables, and its settings.
fn layout(heading: &str) -> (String, BTreeMap<String, String>) {
    let section = GUIDE.split("\n### ").find(|it| it.starts_with(&format!("{heading}\n")));
    let section = section.unwrap_or_else(|| panic!("the guide has no heading {heading}"));
    let block = |kind: &str| {
        let begin = section.split_once(&format!("\n```{kind}\n"));
        begin.map_or("", |(_, rest)| rest.split_once("\n```").unwrap().0)
    };
    let setting = |line: &str| {
        let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
        let quotes = if value.starts_with('\'') { '\'' } else { '"' };
        (name.to_owned(), value.trim_matches(quotes).to_owned())
    };
    (block("sql").to_owned(), block("sh").lines().map(setting).collect())
}

fn open(url: &str, settings: &BTreeMap<String, String>) -> PostgresStore {
    let given = settings.get("DATABASE_URL").map_or("$DATABASE_URL", String::as_str);
    let mut store = PostgresStore::open(&given.replace("$DATABASE_URL", url)).unwrap();
    for (setting, value) in settings {
        store = match setting.as_str() {
            "DATABASE_URL" => Ok(store),
            "TENANTS_TABLE" => store.with_tenants_table(value),
            "TENANT_CONFIG_TABLE" => store.with_tenant_config_table(value),
            "TENANT_CONFIG_TENANT_COLUMN" => store.with_tenant_column(value),
            "TENANT_CONFIG_CUSTOMER_COLUMN" => store.with_customer_column(value),
            other => panic!("there is no setting {other}"),
        }
        .unwrap();
    }
    store
}

/// Tenant `new` has no Customer, and tenant `old` has `cus_old`; `query` returns all Customers' ids.
async fn check(heading: &str, rows: &str, [new, old]: [&str; 2], query: &str) {
    let (tables, settings) = layout(heading);
    let database = Database::fresh().await;
    database.run(&format!("{tables} {rows}")).await;
    let owner = open(&database.url(), &settings);
    owner.migrate().await.unwrap_or_else(|error| panic!("{heading}: {error}"));
    let role = format!("humble_{}", database.name());
    database.run(&format!("CREATE ROLE {role} LOGIN")).await;
    database.run(&owner.grants(&role).await.unwrap()).await;

    let store = open(&database.url_of(&role), &settings);
    let sandbox = Sandbox::start().await.unwrap();
    let key = SecretKey::parse("sk_test_1").unwrap();
    let stripe = StripeClient::new(key).with_base(&sandbox.url()).unwrap();
    let billing = Billing::new(store.clone(), stripe);
    let ask =
        async |tenant: &str| billing.get_or_create_stripe_customer(tenant, "a@example.com").await;
    assert_eq!(ask(old).await.unwrap().as_str(), "cus_old", "{heading}");
    let first = ask(new).await.unwrap_or_else(|error| panic!("{heading}: {error}"));
    assert_eq!(database.cell(query).await, format!("{first}cus_old"), "{heading}");
    // Its Customer is deleted, and the next one takes its place.
    sandbox.delete_customer(first.as_str());
    billing.customer_deleted(&first).await.unwrap();
    assert_eq!(database.cell(query).await, "cus_old", "{heading}");
    let second = ask(new).await.unwrap();
    assert_eq!(store.bound(&TenantId::parse(new).unwrap()).await, Ok(Some(second)), "{heading}");
    let unknown = ask(&new.replace('1', "8")).await.map_err(Error::into_problem);
    match settings.get("TENANTS_TABLE").map(String::as_str) {
        Some("none") => assert!(unknown.is_ok(), "{heading}: {unknown:?}"),
        _ => assert!(matches!(unknown, Err(Problem::UnknownTenant(_))), "{heading}: {unknown:?}"),
    }
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_tenant_config() {
    let (new, old) =
        ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002");
    let rows = format!(
        "INSERT INTO tenants VALUES ('{new}', 'New'), ('{old}', 'Old');
         INSERT INTO tenant_config (tenant_id, stripe_customer_id) VALUES ('{old}', 'cus_old')"
    );
    let query = "SELECT string_agg(stripe_customer_id, '' ORDER BY tenant_id) FROM tenant_config";
    check("A table `tenant_config`", &rows, [new, old], query).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_on_organizations() {
    let rows = "INSERT INTO organizations (name, stripe_customer_id, updated_at)
                VALUES ('New', NULL, '2020-01-01'), ('Old', 'cus_old', '2020-01-01')";
    let query = "SELECT string_agg(stripe_customer_id, '' ORDER BY id) FROM organizations";
    check("A column on `organizations`", rows, ["1", "2"], query).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_on_users() {
    let rows = "INSERT INTO \"user\" (id, email, \"stripeCustomerId\", \"updatedAt\")
                VALUES ('u1', 'a@x.example', NULL, now()), ('u2', 'b@x.example', 'cus_old', now())";
    let query = "SELECT string_agg(\"stripeCustomerId\", '' ORDER BY id) FROM \"user\"";
    check("A column on `users`", rows, ["u1", "u2"], query).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prismas_quoted_names() {
    let rows = "INSERT INTO app.\"Organization\" VALUES ('org1', 'New'), ('org2', 'Old');
        INSERT INTO app.\"TenantConfig\" (id, \"organizationId\", \"stripeCustomerId\", \"updatedAt\")
        VALUES ('c2', 'org2', 'cus_old', now())";
    let query = "SELECT string_agg(\"stripeCustomerId\", '' ORDER BY \"organizationId\")
                 FROM app.\"TenantConfig\"";
    check("Prisma's quoted names", rows, ["org1", "org2"], query).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_of_tenants_at_all() {
    let rows = "INSERT INTO tenant_config VALUES ('t2', 'cus_old')";
    let query = "SELECT string_agg(stripe_customer_id, '' ORDER BY tenant_id) FROM tenant_config";
    check("No table of tenants at all", rows, ["t1", "t2"], query).await;
}

/// psql refuses Prisma's parameter, so the guide takes it away from the URL, wherever it is.
#[tokio::test(flavor = "multi_thread")]
async fn psql_without_prismas_parameter() {
    if Command::new("psql").arg("--version").output().is_err() {
        return;
    }
    let (_, psql) = GUIDE.split_once("--print-grants my_app |\n").unwrap();
    let (psql, _) = psql.split_once("\n```").unwrap();
    let runs = |command: &str, url: &str| {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", &format!("echo SELECT 1 | {command}")]);
        shell.env("DATABASE_URL", url).output().unwrap().status.success()
    };
    let database = Database::fresh().await;
    let url = database.url();
    let (server, host) = url.split_once('?').unwrap();
    for url in [
        format!("{url}&schema=app"),
        format!("{server}?schema=app&{host}"),
        format!("{server}?connect_timeout=9&schema=app&{host}"),
    ] {
        assert!(!runs("psql \"$DATABASE_URL\"", &url), "psql knows the parameter now");
        assert!(runs(psql, &url), "{psql}");
    }
    assert!(runs(psql, &url));
}
