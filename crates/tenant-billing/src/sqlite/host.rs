//! The host's tables: created if the file has none, and otherwise checked.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use tenant_billing_core::ports::StoreError;

use super::{
    column,
    errors::failed,
    layout::{described, has_table, misfits, told},
};
use crate::stored::{uuid_of, without_personal_words};

const TABLES: &str = include_str!("../../migrations/sqlite/host.sql");

/// Creates the host's tables if there is no `tenant_config`, and checks them.
///
/// # Errors
/// [`StoreError::SchemaMismatch`], which names everything that does not fit.
pub(super) fn create_or_check(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    if !has_table(connection, "tenant_config")? {
        connection.execute_batch(TABLES).map_err(failed)?;
    }
    let mut misfits = misfits(connection)?;
    let fits = misfits.is_empty();
    misfits.extend(odd_tenant(connection)?);
    for write in [try_new_row, try_old_row] {
        match trial(connection, |connection| write(connection, now)) {
            Ok(()) => {}
            // The layout has told the same, and what to do about it.
            Err(StoreError::SchemaMismatch(_)) if !fits => {}
            Err(StoreError::Refused(why)) if !fits && why.contains("NOT NULL constraint") => {}
            Err(StoreError::Refused(why) | StoreError::SchemaMismatch(why)) => {
                let misfit = format!("a trial of what will be written was refused: {why}");
                if !misfits.contains(&misfit) {
                    misfits.push(misfit);
                }
            }
            Err(error) => return Err(error),
        }
        // A trigger can end the whole transaction, and what follows would then be written for good.
        if connection.is_autocommit() {
            if misfits.is_empty() {
                let why = "a trigger on tenants ends the transaction of whoever writes; make it \
                           RAISE(ABORT, …)";
                misfits.push(why.into());
            }
            break;
        }
    }
    told(&misfits)
}

/// Says of a tenant whose id is no UUID, or is spelled in another way than ours, if there is one.
fn odd_tenant(connection: &Connection) -> Result<Option<String>, StoreError> {
    if !has_table(connection, "tenants")?
        || !described(connection, "tenants")?.iter().any(|it| it.name == "id")
    {
        return Ok(None);
    }
    let odd = "SELECT quote(id) FROM tenants WHERE typeof(id) <> 'text' OR id <> lower(id)
               OR id NOT GLOB '????????-????-????-????-????????????' LIMIT 1";
    let odd = connection.query_row(odd, [], |row| row.get::<_, String>(0)).optional();
    Ok(odd.map_err(failed)?.map(|odd| {
        let odd: String = without_personal_words(&odd).chars().take(48).collect();
        format!("tenants.id holds {odd}; each id must be a lower-case, hyphenated UUID")
    }))
}

/// Runs a trial of writes, and takes them back.
fn trial(
    connection: &Connection,
    write: impl FnOnce(&Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    // Foreign keys would be checked at the end of the transaction, before which all is taken back.
    connection.execute_batch("PRAGMA defer_foreign_keys = ON; SAVEPOINT trial").map_err(failed)?;
    let written = write(connection);
    if !connection.is_autocommit() {
        let back = "ROLLBACK TO trial; RELEASE trial; PRAGMA defer_foreign_keys = OFF";
        connection.execute_batch(back).map_err(failed)?;
    }
    written
}

/// Binds and unbinds a Customer of a tenant that has no row in `tenant_config`. If there is no such
/// tenant, a new one will do, unless a trigger could rightly ask for one that exists.
fn try_new_row(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let sql = "SELECT CAST(id AS TEXT) FROM tenants
               WHERE id NOT IN (SELECT tenant_id FROM tenant_config WHERE tenant_id IS NOT NULL)
               LIMIT 1";
    if let Some(tenant) = first(connection, sql)? {
        return try_binding(connection, &tenant, now);
    }
    let tenant = fresh(connection)?;
    let triggers = "SELECT name FROM sqlite_schema
                    WHERE type = 'trigger' AND lower(tbl_name) = 'tenant_config' LIMIT 1";
    let added = column::add_tenant(connection, &tenant);
    if connection.is_autocommit() || (added.is_err() && first(connection, triggers)?.is_some()) {
        return Ok(());
    }
    try_binding(connection, &tenant, now)
}

/// The same of a tenant whose row in `tenant_config` has no Customer yet, if there is one.
fn try_old_row(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let sql = "SELECT CAST(tenant_id AS TEXT) FROM tenant_config
               WHERE stripe_customer_id IS NULL AND tenant_id IS NOT NULL LIMIT 1";
    match first(connection, sql)? {
        Some(tenant) => try_binding(connection, &tenant, now),
        None => Ok(()),
    }
}

fn try_binding(connection: &Connection, tenant: &str, now: Timestamp) -> Result<(), StoreError> {
    let id = fresh(connection)?;
    let customer = format!("cus_{}", id.replace('-', "").get(..14).unwrap_or_default());
    column::bind(connection, tenant, &customer, now, &id)?;
    column::clear(connection, tenant, &customer, now)
}

fn first(connection: &Connection, sql: &str) -> Result<Option<String>, StoreError> {
    connection.query_row(sql, [], |row| row.get(0)).optional().map_err(failed)
}

fn fresh(connection: &Connection) -> Result<String, StoreError> {
    let random = connection.query_row("SELECT random(), random()", [], |row| {
        Ok([row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()])
    });
    Ok(uuid_of(random.map_err(failed)?).to_string())
}
