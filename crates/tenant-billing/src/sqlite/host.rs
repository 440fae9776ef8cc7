//! The host's tables: created if the file has none, and otherwise checked.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use tenant_billing_core::ports::StoreError;

use super::{column, errors::failed, schema::has_table};
use crate::stored::uuid_of;

const TABLES: &str = include_str!("../../migrations/sqlite/host.sql");

/// Creates the host's tables if there is no `tenant_config`, and checks them.
///
/// # Errors
/// [`StoreError::SchemaMismatch`], which names everything that does not fit.
pub(super) fn create_or_check(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    if !has_table(connection, "tenant_config")? {
        connection.execute_batch(TABLES).map_err(failed)?;
    }
    let mut misfits = layout(connection)?;
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
            break;
        }
    }
    told(&misfits)
}

/// Checks that the host's tables have what our statements name.
///
/// # Errors
/// [`StoreError::SchemaMismatch`], which names everything that is missing.
pub(super) fn check_layout(connection: &Connection) -> Result<(), StoreError> {
    told(&layout(connection)?)
}

fn told(misfits: &[String]) -> Result<(), StoreError> {
    match misfits {
        [] => Ok(()),
        [misfit] => Err(StoreError::SchemaMismatch(misfit.clone())),
        misfits => Err(StoreError::SchemaMismatch(
            misfits.iter().map(|misfit| format!("\n- {misfit}")).collect(),
        )),
    }
}

/// A column as SQLite describes it.
struct Described {
    name: String,
    /// It is NOT NULL and has no default.
    required: bool,
    generated: bool,
}

/// What is wrong with the host's tables, whatever rows they hold.
fn layout(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut misfits = Vec::new();
    let columns = |table: &str, needed: &[&str], misfits: &mut Vec<String>| {
        if !has_table(connection, table)? {
            let needed = needed.join(", ");
            misfits
                .push(format!("there is no table {table}; create it, with the columns {needed}"));
            return Ok(Vec::new());
        }
        let columns = described(connection, table)?;
        for needed in needed {
            match columns.iter().find(|it| it.name == *needed) {
                None => misfits.push(format!("{table} has no column {needed}; add it")),
                Some(column) if column.generated && table == "tenant_config" => {
                    misfits.push(format!(
                        "{table}.{needed} is a generated column, which cannot be written; make it \
                         an ordinary one"
                    ));
                }
                Some(_) => {}
            }
        }
        Ok::<_, StoreError>(columns)
    };
    columns("tenants", &["id"], &mut misfits)?;
    let needed = ["id", "tenant_id", "stripe_customer_id", "updated_at"];
    let config = columns("tenant_config", &needed, &mut misfits)?;
    for Described { name, .. } in config.iter().filter(|it| it.required) {
        if !["id", "tenant_id"].contains(&name.as_str()) {
            misfits.push(format!(
                "tenant_config.{name} is NOT NULL and has no default; give it one, or allow null"
            ));
        }
    }
    for column in ["tenant_id", "stripe_customer_id"] {
        let sql = "SELECT EXISTS (SELECT 1 FROM pragma_index_list('tenant_config') AS i
                   WHERE i.\"unique\" AND NOT i.partial AND
                   (SELECT group_concat(lower(name)) FROM pragma_index_info(i.name)) = ?1)";
        let exists = config.iter().any(|it| it.name == column);
        if exists && !connection.query_row(sql, [column], |row| row.get(0)).map_err(failed)? {
            misfits
                .push(format!("tenant_config.{column} is not UNIQUE; create a unique index on it"));
        }
    }
    Ok(misfits)
}

/// The columns of a table, with their names in lower case, since SQLite does not tell cases apart.
fn described(connection: &Connection, table: &str) -> Result<Vec<Described>, StoreError> {
    let sql = "SELECT lower(name), \"notnull\" AND dflt_value IS NULL AND hidden = 0, hidden > 1
               FROM pragma_table_xinfo(?1)";
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let rows = statement.query_map([table], |row| {
        Ok(Described { name: row.get(0)?, required: row.get(1)?, generated: row.get(2)? })
    });
    rows.and_then(Iterator::collect).map_err(failed)
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
        let odd: String = odd.chars().filter(|c| !c.is_control()).take(48).collect();
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
