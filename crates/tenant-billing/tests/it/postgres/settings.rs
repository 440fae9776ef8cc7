//! Settings that look like a server in trouble and never mend by themselves: an operator is told
//! which, and how to undo it. And a pool whose connections are all busy.

use std::{sync::Arc, time::Duration};

use tenant_billing::{
    Database as _, PostgresStore, SystemClock,
    ids::TenantId,
    ports::{Store, StoreError},
};

use super::{
    outages::Hasty,
    pooler::Pooler,
    server::{Database, Server},
};

fn tenant() -> TenantId {
    TenantId::parse("00000000-0000-4000-8000-000000000001").unwrap()
}

fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url).unwrap()
}

/// A database that knows a tenant, and a superuser of the test's own, to be set up badly.
async fn with_role(run: impl AsyncFn(&Database, &str)) {
    let database = Database::fresh().await;
    let store = open(&database.url());
    store.migrate().await.unwrap();
    store.add_tenant(&tenant()).await.unwrap();
    let role = format!("set_up_{}", database.name());
    database.run(&format!("CREATE ROLE {role} LOGIN SUPERUSER")).await;
    run(&database, &role).await;
    // A setting of the database's may forbid everybody else to write.
    writing(&database, &format!("DROP ROLE {role}")).await;
}

/// Runs a statement also where transactions are read-only.
async fn writing(database: &Database, sql: &str) {
    let client = database.connect().await;
    client.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    client.batch_execute(sql).await.unwrap();
}

fn mismatch<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    let Err(StoreError::SchemaMismatch(why)) = answer else { panic!("{answer:?}") };
    why
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_timeout_that_is_too_short() {
    with_role(async |database, role| {
        let set = |value: &str| format!("ALTER ROLE {role} SET statement_timeout = '{value}'");
        database.run(&set("1ms")).await;
        let store = open(&database.url_of(role));
        for _ in 0..3 {
            let why = mismatch(store.bound(&tenant()).await);
            assert!(why.contains("statement_timeout is 1ms"), "{why}");
        }
        // One that is long enough to work with is no fault: something was slow for once.
        database.run(&set("1s")).await;
        let store = open(&database.url_of(role));
        assert!(store.view(&tenant(), &[]).await.unwrap().exists);
        let host = database.connect().await;
        host.batch_execute("BEGIN; LOCK TABLE tenant_config").await.unwrap();
        let slow = store.view(&tenant(), &[]).await;
        let Err(StoreError::Unavailable(why)) = slow else { panic!("{slow:?}") };
        assert!(why.contains("57014"), "{why}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_whose_transactions_are_read_only() {
    let setting = "default_transaction_read_only";
    for (owner, remedy) in [
        ("ROLE {role}", "run ALTER ROLE {role} RESET"),
        ("DATABASE {name}", "run ALTER DATABASE {name} RESET"),
        ("ROLE {role} IN DATABASE {name}", "run ALTER ROLE {role} IN DATABASE {name} RESET"),
        ("", "options of the database's URL"),
    ] {
        with_role(async |database, role| {
            let fill = |text: &str| text.replace("{role}", role).replace("{name}", database.name());
            let mut url = database.url_of(role);
            match owner {
                "" => url += &format!("&options=-c%20{setting}%3Don"),
                _ => database.run(&format!("ALTER {} SET {setting} = on", fill(owner))).await,
            }
            let store = open(&url);
            for why in [mismatch(store.bound(&tenant()).await), mismatch(store.migrate().await)] {
                assert!(why.contains(setting) && why.contains(&fill(remedy)), "{why}");
            }
            if !owner.is_empty() {
                let reset = format!("ALTER {} RESET {setting}", fill(owner));
                writing(database, &reset).await;
                assert!(store.view(&tenant(), &[]).await.unwrap().exists);
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_statement_mode() {
    let database = Database::fresh().await;
    let store = open(&database.url());
    store.migrate().await.unwrap();
    let pooler = Pooler::in_statement_mode(&Server::shared(), database.name()).await;
    let directory = pooler.directory().display();
    let store = open(&format!("postgres://postgres@/{}?host={directory}", database.name()));
    for _ in 0..2 {
        let why = mismatch(store.add_tenant(&tenant()).await);
        assert!(why.contains("statement mode") && why.contains("pool_mode"), "{why}");
    }
    let why = mismatch(store.migrate().await);
    assert!(why.contains("pool_mode"), "{why}");
}

/// A caller who finds all connections busy waits for one as long as a call may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_waits_for_a_connection() {
    let database = Database::fresh().await;
    let store = open(&database.url()).with_pool_size(1).unwrap();
    store.migrate().await.unwrap();
    store.add_tenant(&tenant()).await.unwrap();
    let host = database.connect().await;
    host.batch_execute("BEGIN; LOCK TABLE tenant_config").await.unwrap();
    let tenant = tenant();
    let (one, other, ()) =
        tokio::join!(store.view(&tenant, &[]), store.view(&tenant, &[]), async {
            SystemClock::shared().sleep(Duration::from_secs(6)).await;
            let ours = "SELECT count(*) FROM pg_stat_activity
                        WHERE application_name = 'tenant-billing' AND datname = current_database()";
            assert_eq!(database.cell(ours).await, "1", "the pool has room for one");
            host.batch_execute("COMMIT").await.unwrap();
        });
    assert!(one.unwrap().exists);
    assert!(other.unwrap().exists);
}

/// After a failure, the idle connections are closed as well: they lead to the same server, which
/// may be the primary no longer.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_after_a_failure() {
    let database = Database::fresh().await;
    let store = open(&database.url());
    store.migrate().await.unwrap();
    store.add_tenant(&tenant()).await.unwrap();
    let count = async |what: &str, expected: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tenant-billing'
             AND datname = current_database() AND {what}"
        );
        for _ in 0..500 {
            if database.cell(&sql).await == expected {
                return;
            }
            SystemClock::shared().sleep(Duration::from_millis(10)).await;
        }
        panic!("there are never {expected} with {what}");
    };
    // Two calls that wait at once have a connection each.
    let host = database.connect().await;
    host.batch_execute("BEGIN; LOCK TABLE tenant_config").await.unwrap();
    let tenant = tenant();
    let (one, other, ()) =
        tokio::join!(store.view(&tenant, &[]), store.view(&tenant, &[]), async {
            count("wait_event_type = 'Lock'", "2").await;
            host.batch_execute("COMMIT").await.unwrap();
        });
    assert!(one.is_ok() && other.is_ok());
    count("state = 'idle'", "2").await;
    host.batch_execute("BEGIN; LOCK TABLE tenant_config").await.unwrap();
    let hasty = store.clone().with_clock(Arc::new(Hasty(SystemClock::shared())));
    let failed = hasty.view(&tenant, &[]).await;
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    count("true", "0").await;
}

/// A server that accepts connections and is silent. Its timeouts are the clock's.
#[tokio::test(flavor = "multi_thread")]
async fn timeouts_are_those_of_the_clock_that_is_given() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u@{}/d", silent.local_addr().unwrap());
    // A call may take 12 s. The driver gives a connection up after 5 s, by the system's clock.
    let store = open(&url).with_clock(Arc::new(Hasty(SystemClock::shared())));
    let Err(StoreError::Unavailable(why)) = store.view(&tenant(), &[]).await else {
        panic!("nobody answers");
    };
    assert!(why.contains("did not answer in time"), "{why}");
}
