//! The tables: ours, and the host's if the file has none.
//!
//! Migrations are only ever added. All of them run in one write transaction, for which any other
//! process waits. We use no migration library: those for SQLite count in `user_version`, which
//! belongs to the host, or run each step in a transaction that two processes can both begin.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tenant_billing_core::ports::{Committed, StoreError};

use super::errors::failed;
use crate::stored::uuid_of;

/// Each one brings the schema from the version before it to its own version.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/sqlite/0001_provisioning.sql")];
const HOST_TABLES: &str = include_str!("../../migrations/sqlite/host.sql");

/// The tables that the migrations create.
const OUR_TABLES: [&str; 6] = [
    "installation",
    "stripe_account",
    "customer_provisioning",
    "billing_event",
    "deleted_customer",
    "surplus_customer",
];

/// The newest schema version that this program knows. It also numbers the program itself.
const PROGRAM: i64 = MIGRATIONS.len() as i64;
/// The oldest program that may use the schema that this program creates.
const OLDEST_PROGRAM: i64 = 1;

/// Whether the schema is up to date.
///
/// # Errors
/// [`StoreError::SchemaTooNew`] if this program is too old for it, and [`StoreError::Corrupt`] if a
/// part of it is lost.
pub(super) fn is_current(connection: &Connection) -> Result<bool, StoreError> {
    if version(connection)? < PROGRAM {
        return Ok(false);
    }
    if let Some(lost) = lost_table(connection)? {
        let why = format!("table {lost} is gone; restore it from a backup");
        return Err(StoreError::Corrupt(why));
    }
    let oldest = "SELECT oldest_program FROM installation";
    let oldest = connection.query_row(oldest, [], |row| row.get::<_, i64>(0)).optional();
    match oldest.map_err(failed)? {
        Some(oldest) if oldest > PROGRAM => Err(StoreError::SchemaTooNew),
        Some(_) => Ok(true),
        None => Err(StoreError::Corrupt("table installation has lost its row".into())),
    }
}

/// Brings the schema up to date, in the caller's transaction.
pub(super) fn migrate(
    connection: &Connection,
    now: Timestamp,
    random: [u64; 2],
) -> Result<(Committed, ()), StoreError> {
    if is_current(connection)? {
        return Ok((Committed::Yes, ()));
    }
    create_host_tables(connection)?;
    let done = version(connection)?;
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS tenant_billing_migration
             (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
        )
        .map_err(failed)?;
    for (version, migration) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > done) {
        connection.execute_batch(migration).map_err(failed)?;
        let record = "INSERT INTO tenant_billing_migration (version, applied_at) VALUES (?1, ?2)";
        connection.execute(record, params![version, now.as_millisecond()]).map_err(failed)?;
    }
    let installation = "INSERT INTO installation (only_row, id, oldest_program, created_at)
                        VALUES (1, ?1, ?2, ?3)
                        ON CONFLICT DO UPDATE SET oldest_program = excluded.oldest_program";
    connection
        .execute(
            installation,
            params![uuid_of(random).to_string(), OLDEST_PROGRAM, now.as_millisecond()],
        )
        .map_err(failed)?;
    Ok((Committed::Yes, ()))
}

/// The schema's version: the number of migrations that have run.
fn version(connection: &Connection) -> Result<i64, StoreError> {
    if !has_table(connection, "tenant_billing_migration")? {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM tenant_billing_migration";
    connection.query_row(newest, [], |row| row.get(0)).map_err(failed)
}

fn has_table(connection: &Connection, table: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1";
    let found = connection.query_row(sql, [table], |_| Ok(())).optional();
    found.map(|row| row.is_some()).map_err(failed)
}

/// One of our tables that somebody has dropped.
fn lost_table(connection: &Connection) -> Result<Option<&'static str>, StoreError> {
    for table in OUR_TABLES {
        if !has_table(connection, table)? {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// Creates the host's tables if there are none, and checks them.
fn create_host_tables(connection: &Connection) -> Result<(), StoreError> {
    match (has_table(connection, "tenants")?, has_table(connection, "tenant_config")?) {
        (true | false, false) => connection.execute_batch(HOST_TABLES).map_err(failed)?,
        (true, true) => {}
        (false, true) => {
            return Err(StoreError::SchemaMismatch(
                "there is a tenant_config, but no table tenants; create it, with a column id"
                    .into(),
            ));
        }
    }
    check_host_tables(connection)
}

/// Checks that the host's own tables meet our requirements.
fn check_host_tables(connection: &Connection) -> Result<(), StoreError> {
    let mismatch = |why: String| Err(StoreError::SchemaMismatch(why));
    let columns = |table: &str| -> Result<Vec<(String, bool)>, StoreError> {
        let sql = "SELECT name, \"notnull\" AND dflt_value IS NULL FROM pragma_table_info(?1)";
        let mut statement = connection.prepare(sql).map_err(failed)?;
        let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).map_err(failed)
    };
    if !columns("tenants")?.iter().any(|(name, _)| name == "id") {
        return mismatch("tenants has no column id; add it as the table's key".into());
    }
    let config = columns("tenant_config")?;
    for needed in ["id", "tenant_id", "stripe_customer_id", "updated_at"] {
        if !config.iter().any(|(name, _)| name == needed) {
            return mismatch(format!("tenant_config has no column {needed}; add it"));
        }
    }
    for (name, required) in &config {
        if *required && !["id", "tenant_id"].contains(&name.as_str()) {
            return mismatch(format!(
                "tenant_config.{name} is NOT NULL and has no default; give it one, or allow null"
            ));
        }
    }
    for column in ["tenant_id", "stripe_customer_id"] {
        let sql = "SELECT EXISTS (SELECT 1 FROM pragma_index_list('tenant_config') AS i
                   WHERE i.\"unique\" AND NOT i.partial AND
                   (SELECT group_concat(name) FROM pragma_index_info(i.name)) = ?1)";
        if !connection.query_row(sql, [column], |row| row.get(0)).map_err(failed)? {
            return mismatch(format!(
                "tenant_config.{column} is not UNIQUE; create a unique index on it"
            ));
        }
    }
    let odd = "SELECT quote(id) FROM tenants WHERE typeof(id) <> 'text' OR id <> lower(id)
               OR id NOT GLOB '????????-????-????-????-????????????' LIMIT 1";
    let odd = connection.query_row(odd, [], |row| row.get::<_, String>(0)).optional();
    if let Some(odd) = odd.map_err(failed)? {
        let odd: String = odd.chars().filter(|c| !c.is_control()).take(48).collect();
        return mismatch(format!(
            "tenants.id holds {odd}; each id must be a lower-case, hyphenated UUID"
        ));
    }
    Ok(())
}
