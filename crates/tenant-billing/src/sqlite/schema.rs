//! Our tables.
//!
//! Migrations are only ever added. All of them run in one write transaction, for which any other
//! process waits. We use no migration library: those for SQLite count in `user_version`, which
//! belongs to the host, or run each step in a transaction that two processes can both begin.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tenant_billing_core::ports::{Committed, StoreError};

use super::{
    errors::{failed, names_what_is_missing},
    host,
    layout::{self, has_table},
};
use crate::stored::uuid_of;

/// Each one brings the schema from the version before it to its own version.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/sqlite/0001_provisioning.sql")];

/// The tables that the migrations create.
const OUR_TABLES: [&str; 8] = [
    "installation",
    "stripe_account",
    "stripe_key",
    "ignored_installation",
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
    let current = is_current(connection)?;
    host::create_or_check(connection, now)?;
    if current {
        return Ok((Committed::Yes, ()));
    }
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

/// Says whose table or column is missing, after a statement has named one that does not exist.
pub(super) fn explain(connection: &Connection, error: StoreError) -> StoreError {
    match error {
        StoreError::SchemaMismatch(text) if names_what_is_missing(&text) => {
            whose_is_missing(connection).err().unwrap_or(StoreError::SchemaMismatch(text))
        }
        error => error,
    }
}

fn whose_is_missing(connection: &Connection) -> Result<(), StoreError> {
    let version = version(connection)?;
    if version == 0 {
        return Err(StoreError::SchemaMissing);
    }
    layout::check(connection)?;
    if version < PROGRAM {
        return Err(StoreError::SchemaTooOld);
    }
    is_current(connection).map(drop)
}

/// The schema's version: the number of migrations that have run.
fn version(connection: &Connection) -> Result<i64, StoreError> {
    if !has_table(connection, "tenant_billing_migration")? {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM tenant_billing_migration";
    connection.query_row(newest, [], |row| row.get(0)).map_err(failed)
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
