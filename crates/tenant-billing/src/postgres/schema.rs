//! The tables: ours, in a schema of their own, and the host's if the database is empty.
//!
//! Migrations are only ever added. All of them run in one transaction behind one lock, so any
//! number of processes may begin at once, and a failure leaves nothing half done. We do not use the
//! library refinery: it takes no lock, begins a transaction for each step, counts where a host's
//! own refinery may count too, and makes an older program refuse a newer schema, which would break
//! a rolling deploy.

use tenant_billing_core::ports::StoreError;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    cells::SqlCells,
    errors::{failed, names_nothing},
    host::HostTables,
    installation::fingerprint,
    layout::Layout,
    names::{Names, quoted},
    recorded::{self, Recorded},
    requirements,
    statement::Statement,
};
use crate::stored::Cells;

/// Each one brings the schema from the version before it to its own version.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/postgres/0001_provisioning.sql")];
const HOST_TABLES: &str = include_str!("../../migrations/postgres/host.sql");

/// The tables that the migrations create.
const OUR_TABLES: [&str; 9] = [
    "installation",
    "stripe_account",
    "stripe_key",
    "ignored_installation",
    "customer_provisioning",
    "billing_event",
    "deleted_customer",
    "surplus_customer",
    "host_layout",
];

/// The newest schema version that this program knows. It also numbers the program itself.
const PROGRAM: i64 = MIGRATIONS.len() as i64;
/// The oldest program that may use the schema that this program creates.
const OLDEST_PROGRAM: i64 = 1;

/// Begins the transaction of a migration. It waits up to 55 s for another process that migrates,
/// but only 5 s for a lock that the host holds, since other statements of the host's would wait
/// behind ours.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '60s';
    SET LOCAL lock_timeout = '55s';
    SELECT pg_advisory_xact_lock(hashtextextended('tenant_billing migrate', 0));
    SET LOCAL lock_timeout = '5s';
    SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Checks that this program may use the schema that the database has.
async fn check(client: &Client) -> Result<(), StoreError> {
    let sql = "SELECT (SELECT max(version) FROM tenant_billing.migration),
                      (SELECT oldest_program FROM tenant_billing.installation)";
    let rows = match Statement::new(sql).query(client).await {
        Err(error) if names_nothing(&error) => return Err(StoreError::SchemaMissing),
        rows => rows.map_err(failed)?,
    };
    let row = rows.first().ok_or(StoreError::SchemaMissing)?;
    let cells = &mut SqlCells::of(row);
    match (cells.integer()?, cells.integer()?) {
        (None, _) => Err(StoreError::SchemaMissing),
        (Some(version), _) if version < PROGRAM => Err(StoreError::SchemaTooOld),
        (Some(_), Some(oldest)) if oldest > PROGRAM => Err(StoreError::SchemaTooNew),
        (Some(_), Some(_)) => Ok(()),
        (Some(_), None) => Err(StoreError::Corrupt("table installation has lost its row".into())),
    }
}

/// Reads how the host's tables are named and typed, in a database whose schema this program may use.
///
/// # Errors
/// As [`check`]; and [`StoreError::SchemaMismatch`] if a table does not exist or hides rows, if the
/// tenants' keys have types that we do not support or that differ, or if another layout is on
/// record.
pub(super) async fn layout(client: &Client, names: &Names) -> Result<Layout, StoreError> {
    check(client).await?;
    let host = HostTables::find(client, names).await?;
    let recorded = Recorded::agreeing(client, names, &host).await?;
    if let Some((setting, name)) = host.lost(names) {
        let place = names.place();
        return Err(StoreError::SchemaMismatch(match recorded.renamed(setting) {
            Some(now) => format!(
                "there is no table {name} in {place}; the recorded one is called {now} now; set {}, \
                 or rename it back",
                recorded.settings()
            ),
            None => format!(
                "there is no table {name} in {place}, and there was one when the database was \
                 migrated; rename it back, or restore it"
            ),
        }));
    }
    let mut misfits = Vec::new();
    let key_type = requirements::keys(names, &host, &mut misfits);
    let layout = key_type.and_then(|key_type| Layout::of(host, key_type));
    let (Some(layout), []) = (layout, misfits.as_slice()) else {
        return Err(requirements::mismatch(&misfits));
    };
    let recorded_at = Some(recorded.check_keys(layout.key_type)?);
    Ok(Layout { recorded_at, ..layout })
}

/// Brings the schema up to date.
pub(super) async fn migrate(
    client: &Client,
    names: &Names,
    installation: Uuid,
) -> Result<(), StoreError> {
    client.batch_execute(BEGIN).await.map_err(failed)?;
    let migrated = run_migrations(client, names, installation).await;
    let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(failed);
    migrated.and(ended)
}

/// Creates and checks the host's tables, runs the migrations that have not run yet, and records the
/// layout.
async fn run_migrations(
    client: &Client,
    names: &Names,
    installation: Uuid,
) -> Result<(), StoreError> {
    let encodings = "current_setting('server_encoding') IN ('UTF8', 'SQL_ASCII')";
    if !is_true(client, encodings).await? {
        let why = "the database's encoding cannot hold every text from Stripe; use a database with \
                   the encoding UTF8";
        return Err(StoreError::SchemaMismatch(why.into()));
    }
    create_host_tables(client, names).await?;
    let layout = requirements::check(client, names).await?;
    migrate_ours(client, installation).await?;
    recorded::record(client, names, &layout).await
}

/// Runs the migrations that have not run yet.
async fn migrate_ours(client: &Client, installation: Uuid) -> Result<(), StoreError> {
    let done = version(client).await?;
    if done >= PROGRAM {
        return check_our_tables(client).await;
    }
    for (version, migration) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > done) {
        client.batch_execute(migration).await.map_err(failed)?;
        let sql = "INSERT INTO tenant_billing.migration (version, applied_at)
                   VALUES ($1, tenant_billing.clock())";
        Statement::new(sql).with(version).rows(client).await?;
    }
    let here = fingerprint(client).await?;
    let sql =
        "INSERT INTO tenant_billing.installation (id, fingerprint, oldest_program, created_at)
               VALUES ($1, $2, $3, tenant_billing.clock())
               ON CONFLICT (only_row) DO UPDATE SET oldest_program = excluded.oldest_program";
    let statement = Statement::new(sql).with(installation.to_string()).with(here);
    statement.with(OLDEST_PROGRAM).rows(client).await.map(drop)
}

/// The number of migrations that have run. It creates the schema and the table that count them.
async fn version(client: &Client) -> Result<i64, StoreError> {
    if !is_true(client, "to_regnamespace('tenant_billing') IS NOT NULL").await? {
        // IF NOT EXISTS would need the right to create schemas even if the schema exists.
        client.batch_execute("CREATE SCHEMA tenant_billing").await.map_err(failed)?;
    }
    if !is_true(client, "to_regclass('tenant_billing.migration') IS NOT NULL").await? {
        let sql = "CREATE TABLE tenant_billing.migration
                   (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL)";
        client.batch_execute(sql).await.map_err(failed)?;
    }
    let sql = "SELECT coalesce(max(version), 0) FROM tenant_billing.migration";
    Statement::new(sql).row(client).await?.try_get(0).map_err(failed)
}

/// Whether a condition holds.
async fn is_true(client: &Client, condition: &str) -> Result<bool, StoreError> {
    let row = Statement::new(format!("SELECT {condition}")).row(client).await?;
    row.try_get(0).map_err(failed)
}

/// Checks that nobody has dropped a table of a schema that is up to date.
async fn check_our_tables(client: &Client) -> Result<(), StoreError> {
    for table in OUR_TABLES {
        let exists = format!("to_regclass('tenant_billing.{table}') IS NOT NULL");
        if !is_true(client, &exists).await? {
            let why = format!("table tenant_billing.{table} is gone; restore it from a backup");
            return Err(StoreError::Corrupt(why));
        }
    }
    check(client).await
}

/// Creates the host's tables if the database is empty.
async fn create_host_tables(client: &Client, names: &Names) -> Result<(), StoreError> {
    let host = HostTables::find(client, names).await?;
    let missing = host.tenants.is_none() && host.config.is_none();
    if !(names.are_ours_to_make() && missing && is_empty(client).await?) {
        return Ok(());
    }
    if let Some(schema) = &names.schema {
        let schema = quoted(&schema.text);
        let path =
            format!("CREATE SCHEMA IF NOT EXISTS {schema}; SET LOCAL search_path = {schema}");
        client.batch_execute(&path).await.map_err(failed)?;
    }
    client.batch_execute(HOST_TABLES).await.map_err(failed)
}

/// Whether the database has no tables but those of extensions and ours.
async fn is_empty(client: &Client) -> Result<bool, StoreError> {
    let sql = "NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname <> 'information_schema'
          AND left(n.nspname, 3) <> 'pg_' AND n.nspname <> 'tenant_billing'
          AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS d
                          WHERE d.objid = c.oid AND d.deptype = 'e'))";
    is_true(client, sql).await
}
