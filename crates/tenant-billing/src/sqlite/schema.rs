//! The tables: ours, and the host's where there are none.
//!
//! Migrations are only ever added, and run in one write transaction that any other process waits
//! for. A library for this was left aside: the ones for SQLite keep their count in `user_version`,
//! which belongs to the host, or run each step in a transaction that two processes can both begin.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tenant_billing_core::ports::{Committed, StoreError};

use super::failed;
use crate::stored::uuid_of;

/// Each brings the schema from the one before it to its own.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/sqlite/0001_provisioning.sql")];
const HOST_TABLES: &str = include_str!("../../migrations/sqlite/host.sql");

/// What they have made so far.
const OURS: [&str; 6] = [
    "installation",
    "stripe_account",
    "customer_provisioning",
    "billing_event",
    "deleted_customer",
    "surplus_customer",
];

/// The newest schema that this program knows is its own number among programs.
const PROGRAM: i64 = MIGRATIONS.len() as i64;
/// The oldest program that may still use the schema that this one makes.
const OLDEST_PROGRAM: i64 = 1;

/// Whether nothing is left to migrate.
pub(super) fn is_current(connection: &Connection) -> Result<bool, StoreError> {
    match version(connection)? {
        0 => Ok(false),
        version if version < PROGRAM => Ok(false),
        _ => {
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
    make_host_tables(connection)?;
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

/// One of our tables that the migrations made and somebody dropped.
fn lost_table(connection: &Connection) -> Result<Option<&'static str>, StoreError> {
    for table in OURS {
        if !has_table(connection, table)? {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

fn make_host_tables(connection: &Connection) -> Result<(), StoreError> {
    match (has_table(connection, "tenants")?, has_table(connection, "tenant_config")?) {
        (_, false) => connection.execute_batch(HOST_TABLES).map_err(failed)?,
        (true, true) => {}
        (false, true) => {
            return Err(StoreError::Unfit("there is a tenant_config, but no table tenants".into()));
        }
    }
    check_host_tables(connection)
}

/// What the host's own tables must be for ours to work beside them.
fn check_host_tables(connection: &Connection) -> Result<(), StoreError> {
    let unfit = |why: String| Err(StoreError::Unfit(why));
    let columns = |table: &str| -> Result<Vec<(String, bool)>, StoreError> {
        let sql = "SELECT name, \"notnull\" AND dflt_value IS NULL FROM pragma_table_info(?1)";
        let mut statement = connection.prepare(sql).map_err(failed)?;
        let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).map_err(failed)
    };
    if !columns("tenants")?.iter().any(|(name, _)| name == "id") {
        return unfit("tenants has no column id".into());
    }
    let config = columns("tenant_config")?;
    for needed in ["id", "tenant_id", "stripe_customer_id", "updated_at"] {
        if !config.iter().any(|(name, _)| name == needed) {
            return unfit(format!("tenant_config has no column {needed}"));
        }
    }
    for (name, demanded) in &config {
        if *demanded && !["id", "tenant_id"].contains(&name.as_str()) {
            return unfit(format!("tenant_config.{name} is NOT NULL and has no default"));
        }
    }
    for column in ["tenant_id", "stripe_customer_id"] {
        let sql = "SELECT EXISTS (SELECT 1 FROM pragma_index_list('tenant_config') AS i
                   WHERE i.\"unique\" AND NOT i.partial AND
                   (SELECT group_concat(name) FROM pragma_index_info(i.name)) = ?1)";
        if !connection.query_row(sql, [column], |row| row.get(0)).map_err(failed)? {
            return unfit(format!("tenant_config.{column} is not UNIQUE"));
        }
    }
    let odd = "SELECT quote(id) FROM tenants WHERE typeof(id) <> 'text' OR id <> lower(id)
               OR id NOT GLOB '????????-????-????-????-????????????' LIMIT 1";
    let odd = connection.query_row(odd, [], |row| row.get::<_, String>(0)).optional();
    if let Some(odd) = odd.map_err(failed)? {
        let odd: String = odd.chars().filter(|c| !c.is_control()).take(48).collect();
        return unfit(format!("tenants.id holds {odd}, which is no lower-case, hyphenated UUID"));
    }
    Ok(())
}
