//! How fast new tenants are: `cargo bench -p tenant-billing --features sqlite --bench cold`.
//!
//! All tenants are new and ask at the same moment. Beside it runs the least that anybody can do who
//! creates a Customer and remembers it: one commit to SQLite for each, and no call to Stripe at
//! all.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use stripe_sandbox::Sandbox;
use tenant_billing::{
    Billing, Database, SecretKey, SqliteStore, StripeClient,
    ids::{Email, TenantId},
    request::CustomerDetails,
};
use tokio::task::JoinSet;

const TENANTS: u32 = 2_000;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (ours, requests) = runtime.block_on(ours());
    let least = least();
    let each = |took: Duration| took / TENANTS;
    println!("{TENANTS} new tenants at once, one SQLite file:");
    println!("  one bare commit each                 {:>10.2?} each", each(least));
    println!(
        "  get_or_create_stripe_customer        {:>10.2?} each   {:.2} of the bare commits' speed",
        each(ours),
        least.as_secs_f64() / ours.as_secs_f64()
    );
    println!(
        "  Stripe requests a tenant             {:.3}",
        f64::from(requests) / f64::from(TENANTS)
    );
}

async fn ours() -> (Duration, u32) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(dir.path().join("cold.db")).expect("a database");
    store.migrate().await.expect("tables");
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        let tenant = format!("00000000-0000-4000-8000-{number:012}");
        let tenant = TenantId::parse(&tenant).expect("an id");
        store.add_tenant(&tenant).await.expect("adds");
        tenants.push(tenant);
    }
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let key = SecretKey::parse("sk_test_1").expect("a key");
    let stripe = StripeClient::new(key).with_base(&sandbox.url()).expect("a URL");
    let billing = Billing::new(store, stripe);
    let details = CustomerDetails::new(Email::parse("a@example.com").expect("an e-mail"));

    let began = now();
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
    let requests = sandbox.requests().len();
    (took, u32::try_from(requests).unwrap_or(u32::MAX))
}

fn least() -> Duration {
    let dir = tempfile::tempdir().expect("a directory");
    let file = Connection::open(dir.path().join("least.db")).expect("a database");
    file.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    file.pragma_update(None, "synchronous", "FULL").expect("FULL");
    file.execute_batch("CREATE TABLE customer (tenant TEXT PRIMARY KEY, id TEXT)")
        .expect("a table");
    let began = now();
    for number in 0..TENANTS {
        let sql = "INSERT INTO customer VALUES (?1, ?2)";
        let mut insert = file.prepare_cached(sql).expect("a statement");
        insert.execute((number, format!("cus_{number:014}"))).expect("commits");
    }
    began.elapsed()
}
