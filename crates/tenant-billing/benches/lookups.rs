//! How fast a bound tenant is: `cargo bench -p tenant-billing --features sqlite`.
//!
//! Each contender runs beside the one it is compared with, in turns, over the same file of 100,000
//! tenants; what is printed is the ratio, since absolute figures depend on the machine.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension};
use tenant_billing::{
    Billing, FakeStripe, SqliteStore,
    ids::{Mode, TenantId},
    ports::Store as _,
    request::Account,
};

const TENANTS: u64 = 100_000;
const ROUNDS: usize = 20;
const CALLS: u64 = 20_000;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    black_box(work());
    began.elapsed()
}

fn tenant(number: u64) -> String {
    // Scattered over the whole index, as UUIDs are.
    let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("{:08x}-0000-4000-8000-{:012x}", scattered >> 32, number)
}

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("bench.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let store = SqliteStore::open(&path).expect("a database");
    runtime.block_on(store.migrate()).expect("tables");
    // As in production, each read also shows whose database it is.
    let account = Account { id: "acct_bench".parse().expect("an account"), mode: Mode::Test };
    runtime.block_on(store.register(&account, None)).expect("an account on record");
    let ids: Vec<String> = (0..TENANTS).map(tenant).collect();
    fill(&path, &ids);

    let billing = Billing::new(store, FakeStripe::new());
    let direct = Connection::open(&path).expect("a connection");
    let order: Vec<&str> = (0..CALLS).map(|n| &*ids[(n * 7919 % TENANTS) as usize]).collect();

    let mut took = [Duration::ZERO; 3];
    for _ in 0..ROUNDS {
        took[0] += time(|| {
            let sql = "SELECT stripe_customer_id FROM tenant_config WHERE tenant_id = ?1";
            for id in &order {
                let mut statement = direct.prepare_cached(sql).expect("a statement");
                let found = statement.query_row([id], |row| row.get::<_, String>(0)).optional();
                black_box(found.expect("reads").expect("is bound"));
            }
        });
        took[1] += time(|| {
            runtime.block_on(async {
                for id in &order {
                    let tenant = TenantId::parse(id).expect("an id");
                    black_box(billing.lookup(&tenant).await.expect("reads").expect("is bound"));
                }
            });
        });
        took[2] += time(|| {
            runtime.block_on(async {
                for id in &order {
                    let found = billing.get_or_create_stripe_customer(id, "a@example.com").await;
                    black_box(found.expect("is bound"));
                }
            });
        });
    }
    let names = ["rusqlite, prepared, directly", "lookup", "get_or_create_stripe_customer"];
    println!("one caller, {TENANTS} bound tenants in one SQLite file:");
    for (name, time) in names.iter().zip(took) {
        let each = time / u32::try_from(CALLS).unwrap_or(1) / ROUNDS as u32;
        let ratio = took[0].as_secs_f64() / time.as_secs_f64();
        println!("  {name:32} {each:>10.2?} each   {ratio:.2} of rusqlite");
    }
}

fn fill(path: &std::path::Path, ids: &[String]) {
    let mut connection = Connection::open(path).expect("a connection");
    let transaction = connection.transaction().expect("a transaction");
    for (number, id) in ids.iter().enumerate() {
        let customer = format!("cus_{number:014}");
        transaction.execute("INSERT INTO tenants (id) VALUES (?1)", [id]).expect("inserts");
        let sql =
            "INSERT INTO tenant_config (id, tenant_id, stripe_customer_id) VALUES (?1, ?1, ?2)";
        transaction.execute(sql, [id, &customer]).expect("inserts");
    }
    transaction.commit().expect("commits");
}
