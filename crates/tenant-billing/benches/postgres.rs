//! How fast it is on PostgreSQL: `scripts/with-postgres.sh cargo bench -p tenant-billing --bench
//! postgres`.
//!
//! Warm lookups run in turns with `pgbench -M prepared`, PostgreSQL's own and leanest client, which
//! sends the same query over as many connections as there are callers; what is printed is the
//! ratio. New tenants are counted in what they cost: requests to Stripe and transactions that
//! write. The server waits for its disk here, as in production.

use std::{
    env,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use stripe_sandbox::Sandbox;
use tenant_billing::{
    Billing, Database, FakeStripe, PostgresStore, SecretKey, StripeClient,
    ids::{Email, Mode, TenantId},
    ports::Store as _,
    request::{Account, CustomerDetails},
    tokio_postgres::{self, Client, NoTls},
};
use tokio::task::JoinSet;

const TENANTS: usize = 100_000;
const NEW_TENANTS: usize = 2_000;
const ROUNDS: u32 = 3;
const ROUND: Duration = Duration::from_secs(4);

/// The keys, scattered over the index; and the script that looks one of them up.
const KEY_SQL: &str = "SELECT md5(n::text)::uuid FROM generate_series(1, 100000) AS n";
const SCRIPT: &str = "\\set n random(1, 100000)\n\
    SELECT stripe_customer_id FROM tenant_config WHERE tenant_id = md5(:n::text)::uuid;\n";

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::main]
async fn main() {
    let url = env::var("TEST_POSTGRES_URL").expect("run it with scripts/with-postgres.sh");
    let client = connect(&url).await;
    for sql in [
        "ALTER SYSTEM SET fsync = on",
        "ALTER SYSTEM SET full_page_writes = on",
        "SELECT pg_reload_conf()",
        "CREATE DATABASE bench",
    ] {
        client.batch_execute(sql).await.expect(sql);
    }
    let url = url.replace("/postgres?", "/bench?");
    let client = connect(&url).await;
    let store = PostgresStore::open(&url).expect("a database");
    store.migrate().await.expect("tables");
    // As in production, each read also shows whose database it is.
    let account = Account { id: "acct_sandbox".parse().expect("an account"), mode: Mode::Test };
    store.register(&account, None).await.expect("an account on record");
    let fill = format!(
        "INSERT INTO tenants (id) {KEY_SQL};
         INSERT INTO tenant_config (tenant_id, stripe_customer_id)
         SELECT id, 'cus_' || left(id::text, 14) FROM tenants;
         VACUUM ANALYZE"
    );
    for sql in fill.split(';') {
        client.batch_execute(sql).await.expect(sql);
    }
    warm(&url, &client).await;
    cold(&url, &client, &store).await;
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a server");
    tokio::spawn(connection);
    client
}

async fn warm(url: &str, client: &Client) {
    let ids = client.query(KEY_SQL, &[]).await.expect("keys");
    let ids: Arc<Vec<String>> =
        Arc::new(ids.iter().map(|row| row.get::<_, uuid::Uuid>(0).to_string()).collect());
    let billing = |parameter: &str| {
        let store = PostgresStore::open(&format!("{url}{parameter}")).expect("a database");
        Billing::new(store, FakeStripe::new())
    };
    let plain = billing("");
    let prepared = billing("&prepared_statements=true");

    println!("{TENANTS} bound tenants, a pool of 4 connections, lookups a second:");
    println!("  callers   pgbench -M prepared   get_or_create…     with prepared_statements=true");
    for callers in [1, 16, 64] {
        let (mut theirs, mut ours, mut named) = (0.0, 0.0, 0.0);
        for _ in 0..ROUNDS {
            theirs += pgbench(url, callers) / f64::from(ROUNDS);
            ours += lookups(&plain, &ids, callers).await / f64::from(ROUNDS);
            named += lookups(&prepared, &ids, callers).await / f64::from(ROUNDS);
        }
        let of = |figure: f64| format!("{figure:.0} ({:.2})", figure / theirs);
        println!("  {callers:>7}   {theirs:>19.0}   {:>15}   {:>26}", of(ours), of(named));
    }
}

/// Transactions per second.
fn pgbench(url: &str, callers: usize) -> f64 {
    let script = env::temp_dir().join(format!("tenant-billing-bench-{}.sql", std::process::id()));
    std::fs::write(&script, SCRIPT).expect("a file");
    let program = env::var("TEST_POSTGRES_BIN").expect("a directory") + "/pgbench";
    let (clients, seconds) = (callers.to_string(), ROUND.as_secs().to_string());
    let threads = callers.min(2).to_string();
    let output = Command::new(program)
        .args(["-n", "-M", "prepared", "-c", &clients, "-j", &threads, "-T", &seconds, "-f"])
        .args([script.as_os_str(), url.as_ref()])
        .output()
        .expect("pgbench, which comes with PostgreSQL");
    let _ = std::fs::remove_file(script);
    let text = String::from_utf8_lossy(&output.stdout);
    let figure = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let figure = figure.and_then(|line| line.split(' ').next()?.parse().ok());
    figure.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Lookups per second.
async fn lookups(billing: &Billing, ids: &Arc<Vec<String>>, callers: usize) -> f64 {
    let began = now();
    let mut calls = JoinSet::new();
    for caller in 0..callers {
        let (billing, ids) = (billing.clone(), Arc::clone(ids));
        calls.spawn(async move {
            let (mut at, mut count) = (caller * 7919, 0.0);
            while now() < began + ROUND {
                at = (at + 104_729) % ids.len();
                let found = billing.get_or_create_stripe_customer(&ids[at], "a@example.com").await;
                found.expect("is bound");
                count += 1.0;
            }
            count
        });
    }
    let counts: f64 = calls.join_all().await.into_iter().sum();
    counts / began.elapsed().as_secs_f64()
}

async fn cold(url: &str, client: &Client, store: &PostgresStore) {
    let id = |number| TenantId::parse(&format!("00000000-0000-4000-8000-{number:012}"));
    let tenants: Vec<_> = (0..NEW_TENANTS).map(|it| id(it).expect("an id")).collect();
    store.add_tenants(&tenants).await.expect("adds");
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let key = SecretKey::parse("sk_test_1").expect("a key");
    let stripe = StripeClient::new(key).with_base(&sandbox.url()).expect("a URL");
    let store = PostgresStore::open(url).expect("a database");
    let billing = Billing::new(store, stripe);
    let details = CustomerDetails::new(Email::parse("a@example.com").expect("an e-mail"));

    let least = least(client).await;
    let (before, began) = (written(client).await, now());
    let mut calls = JoinSet::new();
    for tenant in tenants {
        let (billing, details) = (billing.clone(), details.clone());
        calls.spawn(async move {
            let minute = Duration::from_secs(60);
            billing.get_or_create(&tenant, &details, minute).await.expect("a Customer");
        });
    }
    calls.join_all().await;
    let took = began.elapsed();
    let of = |count: f64| count / NEW_TENANTS as f64;
    println!("{NEW_TENANTS} new tenants at once, the same pool:");
    println!("  two bare commits, one after the other      {least:>8.2?}");
    println!(
        "  a call, answered by the sandbox            {:>8.2?}   {:.2} of that speed",
        took / NEW_TENANTS as u32,
        least.as_secs_f64() * NEW_TENANTS as f64 / took.as_secs_f64()
    );
    println!("  Stripe requests a call   {:.3}", of(sandbox.requests().len() as f64));
    println!("  commits a call           {:.3}", of(written(client).await - before));
}

/// How many transactions have written so far.
async fn written(client: &Client) -> f64 {
    let sql = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text";
    let row = client.query_one(sql, &[]).await.expect("a count");
    row.get::<_, &str>(0).parse().expect("a number")
}

/// The least that anybody can do who records an intention and its result.
async fn least(client: &Client) -> Duration {
    let sql = "CREATE TABLE least (tenant bigint PRIMARY KEY, customer text)";
    client.batch_execute(sql).await.expect(sql);
    let insert = client.prepare("INSERT INTO least VALUES ($1)").await.expect("a statement");
    let update = "UPDATE least SET customer = 'cus_1' WHERE tenant = $1";
    let update = client.prepare(update).await.expect("a statement");
    let began = now();
    let count = 500;
    for tenant in 0..count {
        client.execute(&insert, &[&i64::from(tenant)]).await.expect("inserts");
        client.execute(&update, &[&i64::from(tenant)]).await.expect("updates");
    }
    began.elapsed() / count
}
