//! The server restarts, fails over, stalls, or the way to it breaks: nothing is lost, nothing is
//! doubled, every error says that a retry helps, and the next call works without a restart of the
//! program.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use stripe_sandbox::Sandbox;
use tenant_billing::{
    Billing, Database as _, Error, PostgresStore, SecretKey, StripeClient, SystemClock,
    ids::{Email, TenantId},
    ports::{Clock, Store, StoreError},
    request::CustomerDetails,
};
use tokio::task::JoinSet;

use super::{
    pooler::Pooler,
    proxy::{Mood, Proxy},
    server::{Database, Server},
};

/// The machine's clock, but for patience: nobody waits for long here.
pub(super) struct Hasty(pub(super) Arc<dyn Clock>);

#[async_trait]
impl Clock for Hasty {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn uptime(&self) -> Duration {
        self.0.uptime()
    }

    fn random(&self) -> u64 {
        self.0.random() / 20
    }

    async fn sleep(&self, time: Duration) {
        self.0.sleep(time / 20).await;
    }
}

/// A process with its Stripe.
struct Process {
    sandbox: Sandbox,
    billing: Billing,
    store: PostgresStore,
}

impl Process {
    async fn on(url: &str) -> Self {
        Self::with_clock(url, SystemClock::shared()).await
    }

    async fn with_clock(url: &str, clock: Arc<dyn Clock>) -> Self {
        let sandbox = Sandbox::start().await.unwrap();
        let store = PostgresStore::open(url).unwrap().with_clock(Arc::clone(&clock));
        let key = SecretKey::parse("sk_test_1").unwrap();
        let stripe = StripeClient::new(key).with_clock(clock);
        let stripe = stripe.with_base(&sandbox.url()).unwrap();
        let billing = Billing::new(store.clone(), stripe);
        Self { sandbox, billing, store }
    }

    async fn tenants(&self, count: u32) -> Vec<TenantId> {
        let id = |number| format!("00000000-0000-4000-8000-{number:012}");
        let tenants: Vec<_> = (0..count).map(|it| TenantId::parse(&id(it)).unwrap()).collect();
        self.store.migrate().await.unwrap();
        assert_eq!(self.store.add_tenants(&tenants).await.unwrap(), tenants.len());
        tenants
    }

    /// Calls until it works out. Every error on the way must allow that.
    async fn insist(&self, tenant: &TenantId) -> String {
        let clock = SystemClock::shared();
        for _ in 0..500 {
            let patience = Duration::from_secs(5);
            match self.billing.get_or_create(tenant, &details(), patience).await {
                Ok(found) => return found.customer.as_str().to_owned(),
                Err(error) => assert_retryable(&error),
            }
            clock.sleep(Duration::from_millis(20)).await;
        }
        panic!("{tenant} never gets its Customer");
    }

    /// Each tenant has one live Customer, and it is the bound one.
    async fn assert_one_each(&self, database: &Database, tenants: usize) {
        let live: Vec<_> =
            self.sandbox.customers().into_iter().filter(|customer| !customer.deleted).collect();
        assert_eq!(live.len(), tenants, "Customers in Stripe");
        for customer in live {
            let sql = "SELECT stripe_customer_id FROM tenant_config WHERE tenant_id = ";
            let bound = database.cell(&format!("{sql} '{}'", customer.metadata["tenantId"])).await;
            assert_eq!(bound, customer.id);
        }
    }
}

fn details() -> CustomerDetails {
    CustomerDetails::new(Email::parse("owner@example.com").unwrap())
}

fn assert_retryable(error: &Error) {
    assert!(error.retry_after().is_some(), "{error:?}");
}

fn through(directory: &std::path::Path, database: &Database) -> String {
    format!("postgres://postgres@/{}?host={}", database.name(), directory.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_and_comes_back_under_load() {
    let server = Server::start("");
    let database = server.database().await;
    let process = Arc::new(Process::on(&database.url()).await);
    let tenants = process.tenants(300).await;
    let mut calls = JoinSet::new();
    for tenant in tenants.clone() {
        let process = Arc::clone(&process);
        calls.spawn(async move { process.insist(&tenant).await });
    }
    let server = Arc::new(server);
    for mode in ["immediate", "fast"] {
        let before = process.sandbox.counters().customers_created;
        while process.sandbox.counters().customers_created < before + 50 {
            tokio::task::yield_now().await;
        }
        let server = Arc::clone(&server);
        let crashing = tokio::task::spawn_blocking(move || {
            server.down(mode);
            server.up();
        });
        crashing.await.unwrap();
    }
    calls.join_all().await;
    process.assert_one_each(&database, 300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_in_the_middle_of_a_commit() {
    // The commits of a first call: the account is recorded, the request is opened, the Customer
    // bound.
    for number in 1..=3 {
        for mood in [Mood::CutBeforeCommit(number), Mood::CutAfterCommit(number)] {
            let database = Database::fresh().await;
            let proxy = Proxy::to(&Server::shared());
            let process = Process::on(&through(proxy.directory(), &database)).await;
            let tenants = process.tenants(1).await;
            proxy.set(mood);
            let customer = process.insist(&tenants[0]).await;
            assert_eq!(proxy.mood(), Mood::Fair, "{mood:?} has struck");
            assert_eq!(process.insist(&tenants[0]).await, customer, "{mood:?}");
            process.assert_one_each(&database, 1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer() {
    let database = Database::fresh().await;
    let proxy = Proxy::to(&Server::shared());
    let clock = Arc::new(Hasty(SystemClock::shared()));
    let process = Process::with_clock(&through(proxy.directory(), &database), clock).await;
    let tenants = process.tenants(3).await;
    let first = process.insist(&tenants[0]).await;
    proxy.set(Mood::Stalled);
    let (bound, unbound) = (&tenants[0], &tenants[1]);
    for tenant in [bound, unbound] {
        assert_retryable(&process.billing.lookup(tenant).await.unwrap_err());
    }
    // A caller's own patience counts, whatever the store's is.
    let patience = SystemClock::shared();
    let call = process.billing.get_or_create(bound, &details(), Duration::from_millis(50)).await;
    let error = call.unwrap_err();
    assert_retryable(&error);
    assert!(patience.uptime() < Duration::from_millis(500), "{error}");
    let (one, other) = tokio::join!(process.insist(bound), async {
        SystemClock::shared().sleep(Duration::from_millis(300)).await;
        proxy.set(Mood::Fair);
        process.insist(unbound).await
    });
    assert_eq!(one, first);
    assert_ne!(other, first);
    process.assert_one_each(&database, 2).await;
}

/// The primary's machine is lost, and its standby takes over.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_fails_over() {
    let primary = Server::start("");
    let standby = primary.standby();
    let database = primary.database().await;
    let hosts = format!("{},{}", standby.directory().display(), primary.directory().display());
    let url = format!("postgres://postgres@/{}?host={hosts}", database.name());
    let process = Process::on(&url).await;
    let tenants = process.tenants(20).await;
    // The standby is named first, and takes no writes, so it is the primary that is used.
    let first = process.insist(&tenants[0]).await;
    let behind = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()";
    while database.cell(behind).await != "1" {
        tokio::task::yield_now().await;
    }
    primary.down("immediate");
    assert_retryable(&process.billing.lookup(&tenants[0]).await.unwrap_err());
    standby.promote();
    assert_eq!(process.insist(&tenants[0]).await, first);
    for tenant in &tenants {
        process.insist(tenant).await;
    }
    process.assert_one_each(&standby.has(&database), 20).await;
}

/// A server that is fenced off takes no writes, and what it says may be of the past.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_turns_read_only() {
    let server = Server::start("");
    let database = server.database().await;
    let process = Process::on(&database.url()).await;
    let tenants = process.tenants(2).await;
    let first = process.insist(&tenants[0]).await;
    let lookups = PostgresStore::open(&database.url()).unwrap();
    assert!(lookups.bound(&tenants[0]).await.unwrap().is_some());
    server.config("default_transaction_read_only = on");
    // A session that is there already hears of it in its own time. A lookup does not believe it any
    // longer either.
    let mut looked_up = lookups.bound(&tenants[0]).await;
    for _ in 0..100 {
        if looked_up.is_ok() {
            SystemClock::shared().sleep(Duration::from_millis(20)).await;
            looked_up = lookups.bound(&tenants[0]).await;
        }
    }
    assert!(matches!(looked_up, Err(StoreError::Unavailable(_))), "{looked_up:?}");
    let mut view = process.store.view(&tenants[0], &[]).await;
    for _ in 0..100 {
        if view.is_ok() {
            SystemClock::shared().sleep(Duration::from_millis(20)).await;
            view = process.store.view(&tenants[0], &[]).await;
        }
    }
    assert!(matches!(view, Err(StoreError::Unavailable(_))), "{view:?}");
    let call = process.billing.get_or_create_stripe_customer(tenants[1].as_str(), "a@example.com");
    assert_retryable(&call.await.unwrap_err());
    assert_eq!(process.sandbox.counters().customers_created, 1);
    server.config("default_transaction_read_only = off");
    assert_eq!(process.insist(&tenants[0]).await, first);
    process.insist(&tenants[1]).await;
    process.assert_one_each(&database, 2).await;
}

/// With migrations going past it or through it.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_pooler_in_front() {
    for (parameter, past) in [("", false), ("&pgbouncer=true", true)] {
        let database = Database::fresh().await;
        let pooler = Pooler::before(&Server::shared(), database.name(), 3).await;
        let url = through(pooler.directory(), &database) + parameter;
        let mut process = Process::on(&url).await;
        if past {
            process.store = process.store.with_direct_url(&database.url()).unwrap();
        }
        behind_a_pooler(process, &database).await;
    }
}

async fn behind_a_pooler(process: Process, database: &Database) {
    let tenants = process.tenants(50).await;
    let process = Arc::new(process);
    for _ in 0..2 {
        let mut calls = JoinSet::new();
        for tenant in tenants.iter().cycle().take(400) {
            let (process, tenant) = (Arc::clone(&process), tenant.clone());
            calls.spawn(async move {
                let patience = Duration::from_secs(10);
                process.billing.get_or_create(&tenant, &details(), patience).await.unwrap()
            });
        }
        let answers = calls.join_all().await;
        let deleted = answers[0].customer.clone();
        process.sandbox.delete_customer(deleted.as_str());
        process.billing.customer_deleted(&deleted).await.unwrap();
        assert_ne!(process.insist(&answers[0].tenant).await, deleted.as_str());
    }
    process.assert_one_each(database, 50).await;
}

/// A host that keeps a row of its own locked is waited for, and loses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_holds_a_lock() {
    let database = Database::fresh().await;
    let process = Process::on(&database.url()).await;
    let tenants = process.tenants(1).await;
    database.run("INSERT INTO tenant_config (tenant_id) SELECT id FROM tenants").await;
    let host = database.connect().await;
    host.batch_execute("BEGIN; UPDATE tenant_config SET updated_at = now()").await.unwrap();
    let (customer, ()) = tokio::join!(process.insist(&tenants[0]), async {
        while process.sandbox.counters().customers_created == 0 {
            tokio::task::yield_now().await;
        }
        // Longer than our own transaction waits for a lock.
        SystemClock::shared().sleep(Duration::from_secs(6)).await;
        host.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(process.insist(&tenants[0]).await, customer);
    process.assert_one_each(&database, 1).await;
}

/// Readers who gave up leave nothing on the server that goes on waiting.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_locked_for_long() {
    let database = Database::fresh().await;
    let clock = Arc::new(Hasty(SystemClock::shared()));
    let process = Process::with_clock(&database.url(), clock).await;
    let tenants = process.tenants(1).await;
    let host = database.connect().await;
    host.batch_execute("BEGIN; LOCK TABLE tenant_config").await.unwrap();
    for _ in 0..5 {
        let views = (0..4).map(|_| process.store.view(&tenants[0], &[]));
        for view in futures_util::future::join_all(views).await {
            assert!(matches!(view, Err(StoreError::Unavailable(_))), "{view:?}");
        }
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                   AND datname = current_database()";
    for _ in 0..100 {
        if database.cell(waiting).await == "0" {
            break;
        }
        SystemClock::shared().sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(database.cell(waiting).await, "0");
    host.batch_execute("COMMIT").await.unwrap();
    process.insist(&tenants[0]).await;
}

/// A runtime that ends with lookups under way comes to its end.
#[test]
fn a_runtime_that_is_shut_down_in_the_middle_of_lookups() {
    use tokio::runtime::Builder;
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let (say, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = builder.enable_all().build().unwrap();
            let database = runtime.block_on(Database::fresh());
            runtime.block_on(async {
                let process = Process::on(&database.url()).await;
                let tenants = process.tenants(1).await;
                let host = database.connect().await;
                host.batch_execute("BEGIN; LOCK TABLE tenant_config").await.unwrap();
                for _ in 0..10 {
                    let (store, tenant) = (process.store.clone(), tenants[0].clone());
                    tokio::spawn(async move { store.bound(&tenant).await });
                }
                SystemClock::shared().sleep(Duration::from_millis(200)).await;
            });
            // As at the end of `#[tokio::main]`.
            drop(runtime);
            say.send(()).unwrap();
        });
        assert!(said.recv_timeout(Duration::from_secs(20)).is_ok(), "it hangs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_exhausted_makes_nobody_wait_forever() {
    let database = Database::fresh().await;
    let clock = Arc::new(Hasty(SystemClock::shared()));
    let process = Process::with_clock(&database.url(), clock).await;
    let tenants = process.tenants(1).await;
    let one = process.store.clone().with_pool_size(1).unwrap();
    // Somebody has locked the table, and every reader waits.
    let host = database.connect().await;
    host.batch_execute("BEGIN; LOCK TABLE tenant_config").await.unwrap();
    let waiting: Vec<_> = (0..5).map(|_| one.view(&tenants[0], &[])).collect();
    for result in futures_util::future::join_all(waiting).await {
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    }
    host.batch_execute("COMMIT").await.unwrap();
    assert!(one.view(&tenants[0], &[]).await.is_ok());
    assert!(matches!(one.with_pool_size(0), Err(StoreError::Invalid(_))));
}
