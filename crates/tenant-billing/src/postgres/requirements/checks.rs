//! Whether a CHECK of the host's, of the table of the Customers' ids or of a domain, refuses such an
//! id.
//!
//! Nothing is written to the host's table to find that out, since its triggers would run. Instead,
//! each CHECK is evaluated as an expression: over a new row as we would insert it, and over rows
//! without a Customer as we would update them. What we cannot evaluate counts as fitting: if it
//! does not fit after all, the write is refused, and its error says why.

use tenant_billing_core::ports::StoreError;
use tokio_postgres::{Client, Error, Row};

use super::super::{
    errors::failed,
    host::HostTables,
    statement::Statement,
    table::{Column, Role, Table},
};
use crate::stored::without_personal_words;

/// A Customer's id, as Stripe's documentation shows one.
const CUSTOMER: &str = "cus_NffrFeUfNV2Hib";

/// A column of that table.
struct Cell {
    name: String,
    role: Role,
    /// The name as an SQL identifier.
    quoted: String,
    /// The number by which a CHECK refers to it.
    number: i16,
    /// An SQL expression: what it would hold in a row that we insert, if that is known.
    inserted: Option<String>,
    /// An SQL expression: what it would hold in a row that we update, if that is known.
    updated: Option<String>,
    /// What we write to it ourselves, in words.
    ours: Option<&'static str>,
}

/// A CHECK of that table.
struct Check {
    name: String,
    expression: String,
    /// The numbers of the columns that it uses.
    columns: Vec<i16>,
}

/// Adds each CHECK that refuses what we write to the misfits.
pub(super) async fn evaluate(
    client: &Client,
    host: &HostTables,
    config: &Table,
    keys_fit: bool,
    misfits: &mut Vec<String>,
) -> Result<(), StoreError> {
    let table = &config.name;
    let are_one = host.are_one();
    // Some tenant, for what is said of its id; there is no such row if there is no tenant yet.
    let source = host.tenants.as_ref().unwrap_or(config);
    let tenant = source.role(Role::Tenant).map_or_else(String::new, |id| {
        format!(" FROM (SELECT {} AS id FROM {} LIMIT 1) AS tenant", id.quoted, source.name)
    });
    let from = |uses_tenant: bool| if uses_tenant { tenant.as_str() } else { "" };
    let Some(customer) = config.role(Role::Customer).map(|it| &it.quoted) else { return Ok(()) };
    let mut cells = cells(client, config, keys_fit).await?;
    for cell in &mut cells {
        let (Some(value), Some(what)) = (&cell.inserted, cell.ours) else { continue };
        let from = from(cell.role == Role::Tenant);
        let sql = format!("SELECT 1 FROM (SELECT {value} AS it{from}) AS cell WHERE it IS NULL");
        if let Err(server) = has_rows(client, &sql).await? {
            misfits.push(format!(
                "the type of {table}.{} refuses {what}: {server}; change the type or its CHECK",
                cell.name
            ));
            // The table's own CHECKs cannot be asked about it.
            (cell.inserted, cell.updated) = (None, None);
        }
    }
    if changes_rows(client, config).await? {
        return Ok(());
    }
    for Check { name, expression, columns } in check_constraints(client, config).await? {
        let used = columns.iter().map(|it| cells.iter().find(|cell| cell.number == *it));
        // A CHECK of a whole row, or of a system column, uses what is none of the cells.
        let Some(used) = used.collect::<Option<Vec<_>>>() else { continue };
        let row = |value: fn(&Cell) -> Option<&String>| {
            let values = used.iter().map(|it| Some(format!("{} AS {}", value(it)?, it.quoted)));
            values.collect::<Option<Vec<_>>>().map(|values| values.join(", "))
        };
        let from = from(used.iter().any(|cell| cell.role == Role::Tenant));
        let inserted = row(|cell| cell.inserted.as_ref()).filter(|_| !are_one);
        let inserted = inserted.map(|row| format!("SELECT {row}{from}"));
        let updated = row(|cell| cell.updated.as_ref())
            .map(|row| format!("SELECT {row} FROM {table} WHERE {customer} IS NULL LIMIT 1000"));
        for (rows, what) in [
            (inserted, "a new row of a tenant's id, a Customer's id and defaults"),
            (updated, "a Customer's id in a row that is there already"),
        ] {
            let Some(rows) = rows else { continue };
            let sql = format!("SELECT 1 FROM ({rows}) AS it WHERE NOT ({expression}) LIMIT 1");
            let refuses = match has_rows(client, &sql).await? {
                Ok(Some(false) | None) => continue,
                Ok(Some(true)) => "refuses".to_owned(),
                Err(server) => format!("fails (\"{server}\") for"),
            };
            misfits.push(format!(
                "the CHECK constraint {name} of {table}, which is {expression}, {refuses} {what}, \
                 such as {CUSTOMER}; change the constraint so that it allows that"
            ));
            break;
        }
    }
    Ok(())
}

/// Whether a trigger may change what is written before the table's CHECKs see it.
async fn changes_rows(client: &Client, config: &Table) -> Result<bool, StoreError> {
    // In `tgtype`, 1 stands for "for each row", and 2 for "before".
    let sql = format!(
        "SELECT 1 FROM pg_catalog.pg_trigger
         WHERE tgrelid = {}::oid AND NOT tgisinternal AND tgtype & 3 = 3 LIMIT 1",
        config.oid
    );
    Ok(!Statement::new(sql).rows(client).await?.is_empty())
}

/// The columns of that table.
async fn cells(client: &Client, config: &Table, keys_fit: bool) -> Result<Vec<Cell>, StoreError> {
    // A default that calls a volatile function, such as nextval, is not evaluated: that may change
    // something, and the value would be another one the next time.
    let sql = format!(
        "SELECT a.attnum, a.attname::text AS name, format('%I', a.attname) AS quoted,
                format_type(a.atttypid, a.atttypmod) AS full_type,
                CASE WHEN a.attidentity <> '' OR a.attgenerated <> '' THEN NULL
                     WHEN d.adbin IS NULL
                     THEN CASE WHEN NOT a.attnotnull AND NOT t.typnotnull AND t.typdefault IS NULL
                               THEN 'NULL' END
                     WHEN strpos(d.adbin::text, 'NEXTVALUEEXPR') = 0 AND NOT EXISTS (
                         SELECT 1 FROM regexp_matches(d.adbin::text, 'funcid ([0-9]+)', 'g')
                                  AS called (groups)
                         JOIN pg_catalog.pg_proc AS p ON p.oid = called.groups[1]::oid
                         WHERE p.provolatile = 'v')
                     THEN pg_get_expr(d.adbin, d.adrelid) END AS default_value
         FROM pg_catalog.pg_attribute AS a
         JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
         LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attrelid = {}::oid AND a.attnum > 0 AND NOT a.attisdropped",
        config.oid
    );
    let rows = Statement::new(sql).rows(client).await?;
    let cell = |row: &Row| {
        let name: String = row.try_get("name")?;
        let quoted: String = row.try_get("quoted")?;
        let (kind, default): (String, Option<String>) =
            (row.try_get("full_type")?, row.try_get("default_value")?);
        let of_kind = |value: String| format!("CAST({value} AS {kind})");
        let column = config.column(&name);
        let role = column.map_or(Role::None, |it| it.role);
        let written = column.and_then(|it| written(it, keys_fit));
        let (ours, inserted) = match written {
            Some((what, value)) => (Some(what), Some(of_kind(value))),
            None if matches!(role, Role::Tenant | Role::Customer) => (None, None),
            None => (None, default.map(of_kind)),
        };
        let updated = match role {
            Role::Customer => inserted.clone(),
            Role::UpdatedAt if ours.is_some() => inserted.clone(),
            // It may be generated from what we change.
            _ if column.is_some_and(|it| it.generated) => None,
            _ => Some(quoted.clone()),
        };
        Ok(Cell { name, role, quoted, number: row.try_get("attnum")?, inserted, updated, ours })
    };
    rows.iter().map(cell).collect::<Result<_, Error>>().map_err(failed)
}

/// What we write to a column of a new row, in words and as SQL, if we write to it and can.
fn written(column: &Column, keys_fit: bool) -> Option<(&'static str, String)> {
    // Before the first migration, there is no clock of ours.
    let value = |what| {
        let value = column.written()?.replace("tenant_billing.clock()", "clock_timestamp()");
        Some((what, value))
    };
    match column.role {
        _ if column.generated => None,
        Role::Tenant if keys_fit => Some(("a tenant's id", "tenant.id".into())),
        Role::Customer if column.is_text() => {
            Some(("a Customer's id, such as cus_NffrFeUfNV2Hib", format!("'{CUSTOMER}'")))
        }
        Role::Id => value("a UUID"),
        Role::CreatedAt | Role::UpdatedAt => value("the current time"),
        Role::Tenant | Role::Customer | Role::None => None,
    }
}

/// The CHECKs of that table.
async fn check_constraints(client: &Client, config: &Table) -> Result<Vec<Check>, StoreError> {
    // PostgreSQL 18 has constraints that are not enforced; older ones have no such column.
    let sql = format!(
        "SELECT format('%I', k.conname) AS name, pg_get_expr(k.conbin, k.conrelid) AS expression,
                coalesce(k.conkey, '{{}}') AS columns
         FROM pg_catalog.pg_constraint AS k
         WHERE k.conrelid = {}::oid AND k.contype = 'c'
           AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
         ORDER BY k.conname",
        config.oid
    );
    let rows = Statement::new(sql).rows(client).await?;
    let check = |row: &Row| {
        Ok(Check {
            name: row.try_get("name")?,
            expression: row.try_get("expression")?,
            columns: row.try_get("columns")?,
        })
    };
    rows.iter().map(check).collect::<Result<_, Error>>().map_err(failed)
}

/// Whether a query has rows, or else what the server says has failed. It is not known if this role
/// may not run the query, if it cannot be written this way, or if it takes too long. Whatever the
/// query does is undone.
pub(super) async fn has_rows(
    client: &Client,
    sql: &str,
) -> Result<Result<Option<bool>, String>, StoreError> {
    // A large table is not read from end to end, since the host's own migrations would wait for us.
    let begin = "SAVEPOINT tenant_billing_check; SET LOCAL statement_timeout = '2s'";
    client.batch_execute(begin).await.map_err(failed)?;
    let answer = Statement::new(sql).query(client).await;
    let back = "ROLLBACK TO tenant_billing_check; RELEASE tenant_billing_check";
    let undone = client.batch_execute(back).await.map_err(failed);
    let error = match answer {
        Ok(rows) => return undone.map(|()| Ok(Some(!rows.is_empty()))),
        Err(error) => error,
    };
    // Class 42 is a right that this role lacks, or a query that cannot be written this way. 57014 is
    // the timeout above. Neither says anything of the CHECK.
    if error.code().is_some_and(|code| code.code().starts_with("42") || code.code() == "57014") {
        return undone.map(|()| Ok(None));
    }
    let text = error.as_db_error().map(|said| without_personal_words(said.message()));
    match (failed(error), text) {
        (StoreError::SchemaMismatch(_), Some(text)) => undone.map(|()| Err(text)),
        (other, _) => Err(other),
    }
}
