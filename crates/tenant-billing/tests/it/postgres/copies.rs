//! A copy of a database is told from its original, as far as PostgreSQL can tell.

use std::{sync::Arc, time::Duration};

use tenant_billing::{
    Afresh, Billing, Database as _, FakeStripe, PostgresStore, SystemClock, conformance,
    ids::{Mode, TenantId},
    ports::Store as _,
    request::Account,
};

use super::server::Database;

async fn is_a_copy(database: &Database) -> bool {
    let store = PostgresStore::open(&database.url()).unwrap();
    store.registration().await.unwrap().copied
}

#[tokio::test]
async fn a_database_made_from_a_template_is_a_copy_until_somebody_says_what_it_is() {
    let original = Database::fresh().await;
    let store = PostgresStore::open(&original.url()).unwrap();
    store.migrate().await.unwrap();
    let id = store.registration().await.unwrap().installation;
    drop(store);
    for moved in [true, false] {
        let copy = original.copied().await;
        assert!(is_a_copy(&copy).await && !is_a_copy(&original).await);
        // To migrate again says nothing of whose it is.
        let store = PostgresStore::open(&copy.url()).unwrap();
        store.migrate().await.unwrap();
        assert!(is_a_copy(&copy).await);
        match moved {
            true => store.installation_moved().await.unwrap(),
            false => drop(store.start_afresh(Afresh::CopyKeepingBindings).await.unwrap()),
        }
        assert!(!is_a_copy(&copy).await && !is_a_copy(&original).await);
        let now = store.registration().await.unwrap().installation;
        assert_eq!(now == id, moved);
    }
    // A database that is renamed is the same one.
    let (name, renamed) = (original.name(), format!("{}_renamed", original.name()));
    let rename = |from: &str, to: &str| format!("ALTER DATABASE {from} RENAME TO {to}");
    let beside = Database::fresh().await;
    beside.run(&rename(name, &renamed)).await;
    let url = original.url().replace(name, &renamed);
    let store = PostgresStore::open(&url).unwrap();
    let copied = store.registration().await.unwrap().copied;
    drop(store);
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{renamed}'"
    );
    beside.run(&end).await;
    beside.run(&rename(&renamed, name)).await;
    assert!(!copied);
}

/// A provider may keep the function from its customers. Then a copy is not noticed.
#[tokio::test]
async fn a_role_that_may_not_read_the_fingerprint_does_without() {
    let original = Database::fresh().await;
    let revoke = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC";
    original.run(revoke).await;
    let role = format!("{}_role", original.name());
    original
        .run(&format!(
            "CREATE ROLE {role} LOGIN; ALTER DATABASE {} OWNER TO {role}",
            original.name()
        ))
        .await;
    original.run(&format!("GRANT ALL ON SCHEMA public TO {role}")).await;
    let store = PostgresStore::open(&original.url_of(&role)).unwrap();
    store.migrate().await.unwrap();
    assert!(!store.registration().await.unwrap().copied);
    store.installation_moved().await.unwrap();
    assert_eq!(original.cell("SELECT fingerprint FROM installation").await, "NULL");
    drop(store);
    let copy = original.copied().await;
    assert!(!is_a_copy(&copy).await);
    drop(copy);
    original
        .run(&format!(
            "REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"
        ))
        .await;
}

/// A lookup reads whose database it is only once a second, and never in a statement of its own.
#[tokio::test]
async fn a_process_that_lives_on_notices_within_a_second_whose_database_it_is() {
    let database = Database::fresh().await;
    let store = PostgresStore::open(&database.url()).unwrap();
    store.migrate().await.unwrap();
    let account = |id: &str, mode| Account { id: id.parse().unwrap(), mode };
    conformance::register(&store, &account("acct_fake", Mode::Test), None).await.unwrap();
    let tenant = TenantId::parse("7c9e6679-7425-40de-944b-e07fc1f90ae7").unwrap();
    store.add_tenant(&tenant).await.unwrap();
    let bind = format!(
        "INSERT INTO tenant_config (tenant_id, stripe_customer_id) VALUES ('{tenant}', 'cus_1')"
    );
    database.run(&bind).await;
    let billing = Billing::shared(Arc::new(store), Arc::new(FakeStripe::new()), Default::default());
    assert!(billing.lookup(&tenant).await.unwrap().is_some());
    let clock = SystemClock::shared();
    for (change, cause) in [
        ("UPDATE stripe_account SET mode = 'live'", Some("wrong_account")),
        ("UPDATE stripe_account SET mode = 'test'", None),
        (
            "UPDATE host_layout SET config_table = 'public.tenants', recorded_at = clock()",
            Some("schema_mismatch"),
        ),
    ] {
        database.run(change).await;
        clock.sleep(Duration::from_millis(1050)).await;
        let mut looked_up = billing.lookup(&tenant).await.map_err(|error| error.cause());
        if looked_up == Err("retry_later") {
            looked_up = billing.lookup(&tenant).await.map_err(|error| error.cause());
        }
        assert_eq!(looked_up.err(), cause, "{change}");
    }
}
