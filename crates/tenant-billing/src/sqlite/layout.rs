//! Which tables and columns the file has, and what the host's lack.

use rusqlite::{Connection, OptionalExtension};
use tenant_billing_core::ports::StoreError;

use super::errors::failed;

/// Whether there is a table or a view of this name, which is in lower case.
pub(super) fn has_table(connection: &Connection, table: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND lower(name) = ?1";
    let found = connection.query_row(sql, [table], |_| Ok(())).optional();
    found.map(|row| row.is_some()).map_err(failed)
}

/// Checks that the host's tables have what our statements name.
///
/// # Errors
/// [`StoreError::SchemaMismatch`], which names everything that is missing.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    told(&misfits(connection)?)
}

pub(super) fn told(misfits: &[String]) -> Result<(), StoreError> {
    match misfits {
        [] => Ok(()),
        [misfit] => Err(StoreError::SchemaMismatch(misfit.clone())),
        misfits => Err(StoreError::SchemaMismatch(
            misfits.iter().map(|misfit| format!("\n- {misfit}")).collect(),
        )),
    }
}

/// A column as SQLite describes it.
pub(super) struct Described {
    pub(super) name: String,
    /// It is NOT NULL and has no default.
    required: bool,
    generated: bool,
}

/// What is wrong with the host's tables, whatever rows they hold.
pub(super) fn misfits(connection: &Connection) -> Result<Vec<String>, StoreError> {
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
pub(super) fn described(
    connection: &Connection,
    table: &str,
) -> Result<Vec<Described>, StoreError> {
    let sql = "SELECT lower(name), \"notnull\" AND dflt_value IS NULL AND hidden = 0, hidden > 1
               FROM pragma_table_xinfo(?1)";
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let rows = statement.query_map([table], |row| {
        Ok(Described { name: row.get(0)?, required: row.get(1)?, generated: row.get(2)? })
    });
    rows.and_then(Iterator::collect).map_err(failed)
}
