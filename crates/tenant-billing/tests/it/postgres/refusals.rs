//! What the host's own table refuses, swallows or changes, what a host renames or makes anew under
//! a running process, and what somebody takes away from our schema: the error says which.

use std::time::Duration;

use tenant_billing::{
    Database as _, PostgresStore, SystemClock,
    ids::{CustomerId, TenantId},
    ports::{Committed, Store, StoreError},
    state::{Change, Column},
};

use super::server::Database;

fn tenant(number: u32) -> TenantId {
    TenantId::parse(&format!("00000000-0000-4000-8000-{number:012}")).unwrap()
}

fn customer(name: &str) -> CustomerId {
    CustomerId::parse(&format!("cus_{name}")).unwrap()
}

fn open(database: &Database) -> PostgresStore {
    PostgresStore::open(&database.url()).unwrap()
}

/// A database that is migrated and knows tenants 1 and 2, and a store that has read its layout.
async fn ready() -> (Database, PostgresStore) {
    let database = Database::fresh().await;
    let store = open(&database);
    store.migrate().await.unwrap();
    store.add_tenants(&[tenant(1), tenant(2)]).await.unwrap();
    (database, store)
}

async fn write(store: &PostgresStore, column: Column) -> Result<Committed, StoreError> {
    let mut change = Change::none(&store.view(&tenant(1), &[]).await?);
    change.column = column;
    store.commit(&change).await
}

async fn bind(store: &PostgresStore) -> Result<Committed, StoreError> {
    write(store, Column::Bind(customer("ours"))).await
}

/// A trigger on the host's table, for each row, with this body.
fn trigger(when: &str, body: &str) -> String {
    format!(
        "CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN {body} END $$;
         CREATE TRIGGER meddle {when} ON public.tenant_config
             FOR EACH ROW EXECUTE FUNCTION public.meddle()"
    )
}

const WITH_ROW: &str = "INSERT INTO tenant_config (tenant_id) SELECT id FROM tenants;";

/// Whether the store has just begun or has known the table for long.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_hosts_table_refuses_is_named() {
    let raises = trigger(
        "BEFORE INSERT",
        "RAISE EXCEPTION 'no plan for owner@example.com, who has none'; RETURN NEW;",
    );
    let table = "public.tenant_config";
    let cases: [(&str, &[&str]); 9] = [
        ("ALTER TABLE tenant_config ADD plan text NOT NULL", &[table, "column plan", "no value"]),
        (
            "ALTER TABLE tenant_config ADD CONSTRAINT old CHECK (stripe_customer_id LIKE 'old%')",
            &[table, "constraint old", "a CHECK", "(23514)"],
        ),
        (
            "ALTER TABLE tenant_config ALTER stripe_customer_id TYPE varchar(4)",
            &[table, "column stripe_customer_id", "too long for its", "(22001)"],
        ),
        (
            "ALTER TABLE tenant_config DROP stripe_customer_id;
             ALTER TABLE tenant_config ADD stripe_customer_id text GENERATED ALWAYS AS ('x') STORED",
            &[table, "column stripe_customer_id", "generated", "(428C9)"],
        ),
        (&raises, &[table, "trigger", "no plan for […] who has none (P0001)"]),
        (
            "CREATE TABLE public.plans (id integer PRIMARY KEY);
             ALTER TABLE tenant_config ADD plan integer DEFAULT 7 CONSTRAINT plan
                 REFERENCES public.plans DEFERRABLE INITIALLY DEFERRED",
            &[table, "constraint plan", "leads to no row", "(23503)"],
        ),
        (
            "ALTER TABLE tenant_config ADD slug text NOT NULL DEFAULT '' CONSTRAINT slug UNIQUE;
             INSERT INTO tenant_config (tenant_id) SELECT id FROM tenants OFFSET 1",
            &[table, "constraint slug", "the same value", "(23505)"],
        ),
        (
            "CREATE RULE meddle AS ON INSERT TO tenant_config DO INSTEAD NOTHING",
            &[table, "column stripe_customer_id", "(0A000)"],
        ),
        (
            "ALTER TABLE tenants ADD plan text NOT NULL",
            &["public.tenants", "column plan", "(23502)"],
        ),
    ];
    for (sql, words) in cases {
        let (database, known) = ready().await;
        if sql.contains("tenants ADD") {
            database.run("DELETE FROM tenants").await;
        }
        database.run(sql).await;
        for store in [open(&database), known] {
            let mut refused = Ok(Committed::Yes);
            for _ in 0..2 {
                refused = match sql.contains("tenants ADD") {
                    true => store.add_tenant(&tenant(3)).await.map(|_| Committed::Yes),
                    false => bind(&store).await,
                };
                // A store that knew the table as it was reads it again.
                if !matches!(refused, Err(StoreError::Unavailable(_))) {
                    break;
                }
            }
            let Err(StoreError::Refused(why)) = refused else { panic!("{sql}: {refused:?}") };
            assert!(words.iter().all(|word| why.contains(word)), "{sql}: {why}");
            assert!(!why.contains('@'), "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_was_revoked_is_named_with_the_grants() {
    let (database, owner) = ready().await;
    let role = format!("humble_{}", database.name());
    database.run(&format!("CREATE ROLE {role} LOGIN; {WITH_ROW}")).await;
    database.run(&owner.grants(&role).await.unwrap()).await;
    let humble = PostgresStore::open(&database.url_of(&role)).unwrap();
    assert!(humble.view(&tenant(1), &[]).await.unwrap().exists);
    let revoke = "REVOKE UPDATE (stripe_customer_id, updated_at), INSERT";
    database.run(&format!("{revoke} ON tenant_config FROM {role}")).await;
    let refused = bind(&humble).await;
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    let Err(StoreError::Refused(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("tenant_config") && why.contains("(42501)"), "{why}");
    assert!(why.contains("lacks a right") && why.contains("--print-grants"), "{why}");
}

/// The server reports no error, and yet the column does not hold what was written.
#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_swallows_or_changes_a_bind() {
    let changes = "NEW.stripe_customer_id := 'cus_other'; RETURN NEW;";
    let reverts = "UPDATE public.tenant_config SET stripe_customer_id = NULL
                   WHERE id = NEW.id AND stripe_customer_id IS NOT NULL; RETURN NULL;";
    for (before, when, body) in [
        ("", "BEFORE INSERT", "RETURN NULL;"),
        (WITH_ROW, "BEFORE UPDATE", "RETURN NULL;"),
        ("", "BEFORE INSERT", changes),
        (WITH_ROW, "BEFORE UPDATE", changes),
        ("", "AFTER INSERT", reverts),
        (WITH_ROW, "AFTER UPDATE", reverts),
    ] {
        let (database, store) = ready().await;
        database.run(&format!("{before} {}", trigger(when, body))).await;
        let refused = bind(&store).await;
        let Err(StoreError::Refused(why)) = refused else { panic!("{when} {body}: {refused:?}") };
        assert!(why.contains("public.tenant_config") && why.contains("swallows"), "{why}");
        assert_eq!(store.bound(&tenant(1)).await, Ok(None), "nothing is written");
        database.run("DROP TRIGGER meddle ON tenant_config").await;
        assert_eq!(bind(&store).await, Ok(Committed::Yes));
    }
}

/// A deletion is not on record as long as the column holds the Customer.
#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_or_rule_that_keeps_a_deleted_customer() {
    for meddle in [
        &trigger("BEFORE UPDATE", "RETURN NULL;"),
        &trigger("BEFORE UPDATE", "RETURN OLD;"),
        "CREATE RULE meddle AS ON UPDATE TO tenant_config DO INSTEAD NOTHING",
    ] {
        let (database, store) = ready().await;
        assert_eq!(bind(&store).await, Ok(Committed::Yes));
        database.run(meddle).await;
        let refused = store.record_deletion(&customer("ours")).await;
        let Err(StoreError::Refused(why)) = refused else { panic!("{meddle}: {refused:?}") };
        assert!(why.contains("public.tenant_config") && why.contains("swallows"), "{why}");
        assert_eq!(store.bound(&tenant(1)).await, Ok(Some(customer("ours"))));
        assert_eq!(database.cell("SELECT count(*) FROM deleted_customer").await, "0");
        let kind = if meddle.contains("RULE") { "RULE" } else { "TRIGGER" };
        database.run(&format!("DROP {kind} meddle ON tenant_config")).await;
        assert_eq!(store.record_deletion(&customer("ours")).await, Ok(()));
        assert_eq!(store.bound(&tenant(1)).await, Ok(None));
    }
}

/// The host writes the same row in a transaction that it commits while ours waits for it. That is
/// no refusal.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_faster_is_a_conflict() {
    let set = |value| format!("UPDATE tenant_config SET stripe_customer_id = {value}");
    let (ours, other, insert) = (set("'cus_ours'"), set("'cus_other'"), WITH_ROW.to_owned());
    let null = set("NULL");
    let (bind, clear) = (Column::Bind(customer("ours")), Column::Clear(customer("ours")));
    let one = "WHERE tenant_id::text LIKE '%1'";
    for (before, host, column, expected) in [
        (String::new(), insert.clone(), &bind, Committed::Conflict),
        (insert.clone(), format!("{other} {one}"), &bind, Committed::Conflict),
        (
            insert.clone(),
            "DELETE FROM tenant_config; INSERT INTO tenant_config (tenant_id) SELECT id FROM tenants"
                .into(),
            &bind,
            Committed::Conflict,
        ),
        (format!("{insert} {ours} {one}"), format!("{other} {one}"), &clear, Committed::Yes),
        (format!("{insert} {ours} {one}"), format!("{null} {one}"), &clear, Committed::Yes),
    ] {
        let (database, store) = ready().await;
        database.run(&before).await;
        let client = database.connect().await;
        client.batch_execute(&format!("BEGIN; {host}")).await.unwrap();
        let writing = write(&store, column.clone());
        let (written, ()) = tokio::join!(writing, async {
            wait_for_a_lock(&database).await;
            client.batch_execute("COMMIT").await.unwrap();
        });
        assert_eq!(written, Ok(expected), "{before} {host}");
    }
}

async fn wait_for_a_lock(database: &Database) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while database.cell(waiting).await == "0" {
        SystemClock::shared().sleep(Duration::from_millis(2)).await;
    }
}

async fn claim(store: &PostgresStore) -> Result<(), StoreError> {
    store.claim(None, Duration::from_secs(60), 10).await.map(drop)
}

/// Every call of a process that has known the tables for long says what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_renamed_is_named() {
    let no_column = |table, column| format!("public.{table} has no column {column}");
    for (rename, back, words) in [
        (
            "ALTER TABLE tenant_config RENAME stripe_customer_id TO x",
            "ALTER TABLE tenant_config RENAME x TO stripe_customer_id",
            no_column("tenant_config", "stripe_customer_id"),
        ),
        (
            "ALTER TABLE tenant_config RENAME tenant_id TO x",
            "ALTER TABLE tenant_config RENAME x TO tenant_id",
            no_column("tenant_config", "tenant_id"),
        ),
        (
            "ALTER TABLE tenants RENAME id TO x",
            "ALTER TABLE tenants RENAME x TO id",
            no_column("tenants", "id"),
        ),
        (
            "ALTER TABLE tenant_config RENAME TO x",
            "ALTER TABLE x RENAME TO tenant_config",
            "there is no table tenant_config".into(),
        ),
        (
            "ALTER TABLE tenants RENAME TO x",
            "ALTER TABLE x RENAME TO tenants",
            "there is no table tenants".into(),
        ),
    ] {
        let (database, _) = ready().await;
        let stores = [0; 6].map(|_| open(&database));
        for store in &stores {
            assert_eq!(store.bound(&tenant(1)).await, Ok(None));
        }
        let mut change = Change::none(&stores[0].view(&tenant(1), &[]).await.unwrap());
        change.column = Column::Clear(customer("ours"));
        database.run(rename).await;
        let mut answers = vec![
            stores[0].view(&tenant(1), &[]).await.map(drop),
            stores[1].history(&tenant(1)).await.map(drop),
        ];
        if rename.contains("tenant_config") {
            // These do not read the table of tenants.
            answers.push(stores[2].bound(&tenant(1)).await.map(drop));
            answers.push(stores[3].commit(&change).await.map(drop));
            answers.push(stores[4].record_deletion(&customer("ours")).await);
        } else {
            answers.push(stores[2].add_tenants(&[tenant(3)]).await.map(drop));
        }
        // This needs none of the host's tables.
        assert_eq!(claim(&stores[5]).await, Ok(()));
        for (number, answer) in answers.into_iter().enumerate() {
            let Err(StoreError::SchemaMismatch(why)) = answer else {
                panic!("{rename}: {number}: {answer:?}")
            };
            assert!(why.contains(&words), "{rename}: {number}: {why}");
        }
        database.run(back).await;
        for store in &stores {
            assert!(store.view(&tenant(1), &[]).await.unwrap().exists);
        }
    }
}

/// A schema that is dropped, older, or lacks something, under a process that has known it for long.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_took_from_our_schema_is_named() {
    let lost = "ALTER TABLE customer_provisioning DROP last_error";
    for (sql, expected, word) in [
        ("DROP SCHEMA tenant_billing CASCADE", StoreError::SchemaMissing, ""),
        (
            &format!("{lost}; UPDATE migration SET version = 0"),
            StoreError::SchemaTooOld,
            "older than this program",
        ),
        (lost, StoreError::SchemaMismatch(String::new()), "last_error"),
        ("DROP TABLE stripe_account", StoreError::Corrupt(String::new()), "stripe_account"),
    ] {
        let (database, store) = ready().await;
        assert!(store.view(&tenant(1), &[]).await.unwrap().exists);
        database.run(sql).await;
        for _ in 0..2 {
            let error = store.view(&tenant(1), &[]).await.unwrap_err();
            let same = std::mem::discriminant(&error) == std::mem::discriminant(&expected);
            assert!(same && error.to_string().contains(word), "{sql}: {error:?}");
        }
        if expected == StoreError::SchemaMissing {
            assert_eq!(claim(&store).await, Err(StoreError::SchemaMissing));
            open(&database).migrate().await.unwrap();
            assert!(store.view(&tenant(1), &[]).await.unwrap().exists);
            assert_eq!(claim(&store).await, Ok(()));
        }
    }
}

/// Tables that are dropped and made anew have the old names, but not what was known of the old
/// ones: rows of the new ones are hidden from this role.
#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_made_anew_are_read_again() {
    let (database, owner) = ready().await;
    let role = format!("humble_{}", database.name());
    database.run(&format!("CREATE ROLE {role} LOGIN")).await;
    let grants = owner.grants(&role).await.unwrap();
    database.run(&grants).await;
    let humble = PostgresStore::open(&database.url_of(&role)).unwrap();
    assert!(humble.view(&tenant(1), &[]).await.unwrap().exists);
    let anew = "CREATE TABLE fresh (LIKE tenant_config INCLUDING ALL);
                DROP TABLE tenant_config; ALTER TABLE fresh RENAME TO tenant_config;
                INSERT INTO tenant_config (tenant_id, stripe_customer_id)
                SELECT id, 'cus_host' FROM tenants LIMIT 1;
                ALTER TABLE tenant_config ENABLE ROW LEVEL SECURITY";
    database.run(anew).await;
    database.run(&grants).await;
    let first = humble.view(&tenant(1), &[]).await;
    let second = humble.view(&tenant(1), &[]).await;
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    assert!(matches!(first, Err(StoreError::Unavailable(_))), "{first:?}");
    let Err(StoreError::SchemaMismatch(why)) = second else { panic!("{second:?}") };
    assert!(why.contains("row-level security"), "{why}");
}

/// The audit trail is written with what it tells of, or neither is.
#[tokio::test(flavor = "multi_thread")]
async fn a_trail_that_cannot_be_written_leaves_row_and_column_as_they_were() {
    use tenant_billing::audit::{EventKind, NewEvent};
    let (database, store) = ready().await;
    database.run("ALTER TABLE billing_event ADD CHECK (detail <> 'refused')").await;
    let mut change = Change::none(&store.view(&tenant(1), &[]).await.unwrap());
    change.column = Column::Bind(customer("ours"));
    let event = NewEvent {
        kind: EventKind::Created,
        generation: 1,
        customer: Some(customer("ours")),
        request_id: None,
        detail: "refused".into(),
    };
    change.events = vec![event];
    let committed = store.commit(&change).await;
    assert!(matches!(committed, Err(StoreError::Corrupt(_))), "{committed:?}");
    assert_eq!(store.bound(&tenant(1)).await, Ok(None), "the column is as it was");
    assert_eq!(database.cell("SELECT count(*) FROM billing_event").await, "0");
    change.events[0].detail = "fine".into();
    assert_eq!(store.commit(&change).await, Ok(Committed::Yes));
}

/// The statement itself makes sure of it, also where the host has dropped its unique index.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_of_another_tenants_is_not_bound_without_a_unique_index_either() {
    let (database, store) = ready().await;
    let sql = format!(
        "INSERT INTO tenant_config (tenant_id, stripe_customer_id) VALUES ('{}', 'cus_ours');
         ALTER TABLE tenant_config DROP CONSTRAINT tenant_config_stripe_customer_id_key",
        tenant(2)
    );
    database.run(&sql).await;
    assert_eq!(bind(&store).await, Ok(Committed::Conflict));
    assert_eq!(store.bound(&tenant(1)).await, Ok(None));
}
