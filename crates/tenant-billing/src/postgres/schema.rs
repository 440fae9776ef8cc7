//! The tables: ours, in a schema of their own; the host's only in an empty database.
//!
//! Migrations are only ever added, and run in one transaction behind one lock, so that any number of
//! processes may begin at once and a failure leaves nothing half done. A library was left aside:
//! refinery takes no lock, begins a transaction per step, keeps its count where a host's own refinery
//! may keep its, and has an older program refuse a newer schema, which would break a rolling deploy.

use tenant_billing_core::ports::StoreError;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    cells::SqlCells,
    errors::failed,
    layout::{Layout, Table, Tenants},
    statement::Statement,
};
use crate::stored::Cells;

/// Each brings the schema from the one before it to its own.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/postgres/0001_provisioning.sql")];
const HOST_TABLES: &str = include_str!("../../migrations/postgres/host.sql");

/// What they have made so far.
const OURS: [&str; 6] = [
    "installation",
    "stripe_account",
    "customer_provisioning",
    "billing_event",
    "deleted_customer",
    "surplus_customer",
];

/// The host's table that is made in an empty database.
pub(super) const TENANTS: &str = "tenants";
/// Stripe's ids have some 18 characters now, and may have 255.
const SHORTEST_ID: i32 = 32;

/// The newest schema that this program knows is its own number among programs.
const PROGRAM: i64 = MIGRATIONS.len() as i64;
/// The oldest program that may still use the schema that this one makes.
const OLDEST_PROGRAM: i64 = 1;

/// Another process that migrates is waited for; a host's transaction that holds what we need is not,
/// since everybody else would then wait for us.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '60s';
    SET LOCAL lock_timeout = '55s';
    SELECT pg_advisory_xact_lock(hashtextextended('tenant_billing migrate', 0));
    SET LOCAL lock_timeout = '5s';
    SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Whether this program may use the schema that is there.
pub(super) async fn check(client: &Client) -> Result<(), StoreError> {
    let sql = "SELECT (SELECT max(version) FROM tenant_billing.migration),
                      (SELECT oldest_program FROM tenant_billing.installation)";
    let rows = Statement::new(sql).rows(client).await?;
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

/// Brings the schema up to date.
pub(super) async fn migrate(
    client: &Client,
    tenants: &Tenants,
    installation: Uuid,
) -> Result<(), StoreError> {
    client.batch_execute(BEGIN).await.map_err(failed)?;
    let migrated = in_transaction(client, tenants, installation).await;
    let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(failed);
    migrated.and(ended)
}

async fn in_transaction(
    client: &Client,
    tenants: &Tenants,
    installation: Uuid,
) -> Result<(), StoreError> {
    if !exists(
        client,
        "NULLIF (current_setting('server_encoding') IN ('UTF8', 'SQL_ASCII'), false)",
    )
    .await?
    {
        let why = "the database's encoding is not UTF8, so it cannot hold what Stripe may say";
        return Err(StoreError::Unfit(why.into()));
    }
    make_host_tables(client, tenants).await?;
    fit(&Layout::read(client, tenants).await?)?;
    let done = version(client).await?;
    if done >= PROGRAM {
        return nothing_is_lost(client).await;
    }
    for (version, migration) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > done) {
        client.batch_execute(migration).await.map_err(failed)?;
        let sql = "INSERT INTO tenant_billing.migration (version, applied_at)
                   VALUES ($1, tenant_billing.clock())";
        Statement::new(sql).with(version).rows(client).await?;
    }
    let sql = "INSERT INTO tenant_billing.installation (id, oldest_program, created_at)
               VALUES ($1, $2, tenant_billing.clock())
               ON CONFLICT (only_row) DO UPDATE SET oldest_program = excluded.oldest_program";
    let statement = Statement::new(sql).with(installation.to_string()).with(OLDEST_PROGRAM);
    statement.rows(client).await.map(drop)
}

/// The schema's version, in a schema that is made if it is not there.
async fn version(client: &Client) -> Result<i64, StoreError> {
    if !exists(client, "to_regnamespace('tenant_billing')").await? {
        // Not IF NOT EXISTS: that asks for a right which nobody needs where a schema was made for us.
        client.batch_execute("CREATE SCHEMA tenant_billing").await.map_err(failed)?;
    }
    if !exists(client, "to_regclass('tenant_billing.migration')").await? {
        let sql = "CREATE TABLE tenant_billing.migration
                   (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL)";
        client.batch_execute(sql).await.map_err(failed)?;
    }
    let sql = "SELECT coalesce(max(version), 0) FROM tenant_billing.migration";
    let rows = Statement::new(sql).rows(client).await?;
    let version = rows.first().map(|row| row.try_get(0)).transpose().map_err(failed)?;
    Ok(version.unwrap_or(0))
}

async fn exists(client: &Client, found: &str) -> Result<bool, StoreError> {
    let rows = Statement::new(format!("SELECT {found} IS NOT NULL")).rows(client).await?;
    let found = rows.first().map(|row| row.try_get(0)).transpose().map_err(failed)?;
    Ok(found.unwrap_or(false))
}

/// A schema that is up to date has all its tables, unless somebody dropped one.
async fn nothing_is_lost(client: &Client) -> Result<(), StoreError> {
    for table in OURS {
        if !exists(client, &format!("to_regclass('tenant_billing.{table}')")).await? {
            let why = format!("table tenant_billing.{table} is gone; restore it from a backup");
            return Err(StoreError::Corrupt(why));
        }
    }
    check(client).await
}

async fn make_host_tables(client: &Client, tenants: &Tenants) -> Result<(), StoreError> {
    let unfit = |why: String| Err(StoreError::Unfit(why));
    let config = Table::find(client, "tenant_config").await?;
    let Tenants::Table(name) = tenants else {
        return match config {
            Some(_) => Ok(()),
            None => unfit("TENANTS_TABLE is none, and there is no tenant_config either".into()),
        };
    };
    match (Table::find(client, name).await?, config) {
        (Some(_), Some(_)) => Ok(()),
        (None, Some(config)) => unfit(format!(
            "there is {}, but no table {name}; set TENANTS_TABLE to the table that holds your \
             tenants, or to `none`",
            config.name
        )),
        (Some(tenants), None) => unfit(format!(
            "there is {table}, but no tenant_config; add it to your own schema, so that your schema \
             tool knows it: CREATE TABLE tenant_config (id uuid PRIMARY KEY DEFAULT \
             gen_random_uuid(), tenant_id {kind} NOT NULL UNIQUE REFERENCES {table} (id) ON DELETE \
             CASCADE, stripe_customer_id varchar(255) UNIQUE, created_at timestamptz NOT NULL \
             DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now())",
            table = tenants.name,
            kind = tenants.needed("id")?.base_type,
        )),
        (None, None) if name == TENANTS && is_empty(client).await? => {
            client.batch_execute(HOST_TABLES).await.map_err(failed)
        }
        (None, None) => unfit(format!(
            "there is neither {name} nor tenant_config where this user's search_path looks; \
             they are made only in an empty database, and with the name tenants"
        )),
    }
}

/// Whether nobody has a table here, extensions apart.
async fn is_empty(client: &Client) -> Result<bool, StoreError> {
    let sql = "NULLIF (EXISTS (
        SELECT 1 FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname <> 'information_schema'
          AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'tenant_billing'
          AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS d
                          WHERE d.objid = c.oid AND d.deptype = 'e')), true)";
    exists(client, sql).await
}

/// What the host's own tables must be for ours to work beside them.
fn fit(layout: &Layout) -> Result<(), StoreError> {
    let (config, table) = (&layout.config, &layout.config.name);
    let unfit = |why: String| Err(StoreError::Unfit(why));
    let customer = config.needed("stripe_customer_id")?;
    if !matches!(customer.base_type.as_str(), "text" | "character varying") {
        return unfit(format!("{table}.stripe_customer_id is {}, not text", customer.base_type));
    }
    if customer.max_length.is_some_and(|length| length < SHORTEST_ID) {
        return unfit(format!(
            "{table}.stripe_customer_id is too short for a Customer's id; make it varchar(255)"
        ));
    }
    if customer.not_null {
        return unfit(format!("{table}.stripe_customer_id is NOT NULL"));
    }
    if !customer.unique_where_not_null {
        return unfit(format!("{table}.stripe_customer_id is not UNIQUE"));
    }
    let tenant = config.needed("tenant_id")?;
    if !tenant.unique {
        return unfit(format!("{table}.tenant_id is not UNIQUE"));
    }
    for column in &config.columns {
        let filled = match column.name.as_str() {
            "tenant_id" | "stripe_customer_id" => true,
            "id" => config.new_id().is_some(),
            name @ ("created_at" | "updated_at") => config.clock_for(name).is_some(),
            _ => false,
        };
        if column.not_null && !column.has_default && !filled {
            return unfit(format!("{table}.{} is NOT NULL and has no default", column.name));
        }
    }
    Ok(())
}
