//! The statements that read and write the host's column `tenant_config.stripe_customer_id`.
//!
//! The host may have triggers and rules on its table. One that refuses a write, swallows it, or
//! changes its value is told apart from another process that was faster, which is a conflict.

use futures_util::future::{try_join, try_join3};
use tenant_billing_core::{
    ids::CustomerId,
    ports::{Committed, StoreError},
    state::Column,
};
use tokio_postgres::{Client, Error, Row};

use super::{errors::refused, key::Key, layout::Layout, statement::Statement, table::Table};

/// Writes or checks the column. The outer error is the driver's, for [`failed_there`].
pub(super) async fn write(
    client: &Client,
    config: &Table,
    key: &Key,
    column: &Column,
) -> Result<Result<Committed, StoreError>, Error> {
    match column {
        Column::Keep => Ok(Ok(Committed::Yes)),
        Column::Holds(customer) => {
            let held = value(config, key, "").query(client).await?;
            Ok(Ok(if holds(&held, customer)? { Committed::Yes } else { Committed::Conflict }))
        }
        Column::Bind(customer) => {
            let (bind, value) = (bind(config, key, customer), value(config, key, ""));
            let (wrote, kept) = try_join(bind.query(client), value.query(client)).await?;
            if wrote.is_empty() {
                return Ok(Ok(Committed::Conflict));
            }
            // Until the transaction ends, nobody else writes the row that it wrote.
            let kept = holds(&kept, customer)?;
            Ok(if kept { Ok(Committed::Yes) } else { Err(changed(config, "the value to bind")) })
        }
        Column::Clear(customer) => {
            // Whoever would write a row that is locked waits for us.
            let (lock, value) = (value(config, key, LOCKED), value(config, key, ""));
            let clear = clear(config, key, customer);
            let reads = (lock.query(client), clear.query(client), value.query(client));
            let (before, _, after) = try_join3(reads.0, reads.1, reads.2).await?;
            let kept = holds(&before, customer)? && holds(&after, customer)?;
            Ok(if kept { Err(changed(config, "the null to set")) } else { Ok(Committed::Yes) })
        }
    }
}

/// Why a bind wrote nothing although the conditions of its change hold: another process may have
/// been faster. It tries again where nobody can come between. Whatever that writes, the caller must
/// roll back.
pub(super) async fn why_unbound(
    client: &Client,
    config: &Table,
    key: &Key,
    customer: &CustomerId,
) -> Result<Result<Committed, StoreError>, Error> {
    let before = value(config, key, LOCKED).query(client).await?;
    let wrote = bind(config, key, customer).query(client).await?;
    let after = value(config, key, LOCKED).query(client).await?;
    // A row that was not there could not be locked, and another process may have inserted it.
    let unchanged = before.len() == after.len();
    let is_null = held(&before)?.is_none() && held(&after)?.is_none();
    Ok(if wrote.is_empty() && unchanged && is_null {
        let what = if before.is_empty() { "the INSERT" } else { "the UPDATE" };
        Err(changed(config, what))
    } else {
        Ok(Committed::Conflict)
    })
}

/// What an error of a statement on the host's table means, or of the commit that follows.
pub(super) fn failed_there(layout: &Layout, error: Error) -> Result<Committed, StoreError> {
    if layout.is_race(&error) {
        return Ok(Committed::Conflict);
    }
    Err(refused(error, &layout.config.name, "stripe_customer_id"))
}

/// The refusal of a write that the server reported as done, or as not necessary.
fn changed(config: &Table, what: &str) -> StoreError {
    let table = &config.name;
    StoreError::Refused(format!(
        "{table}, column stripe_customer_id: a trigger or rule swallows or changes {what}; make it \
         leave this column alone"
    ))
}

/// Locks what a SELECT returns until the transaction ends.
const LOCKED: &str = " FOR NO KEY UPDATE";

/// Returns what the tenant's column holds, if the tenant has a row.
fn value(config: &Table, key: &Key, lock: &str) -> Statement {
    let mut sql = Statement::default();
    let (key, config) = (sql.bind_key(key), &config.name);
    sql.add(&format!(
        "SELECT stripe_customer_id::text FROM {config} WHERE tenant_id = {key}{lock}"
    ));
    sql
}

/// What the column holds according to what [`value`] returned.
fn held(rows: &[Row]) -> Result<Option<&str>, Error> {
    rows.first().map_or(Ok(None), |row| row.try_get(0))
}

/// Whether the column holds this Customer.
fn holds(rows: &[Row], customer: &CustomerId) -> Result<bool, Error> {
    Ok(held(rows)? == Some(customer.as_str()))
}

/// Sets the column if it is null, and inserts a row if there is none. It returns a row if it wrote.
/// (ON CONFLICT DO UPDATE is not used, since it would run the host's triggers for inserts on a row
/// that exists.)
fn bind(config: &Table, key: &Key, customer: &CustomerId) -> Statement {
    let mut sql = Statement::default();
    let (key, customer) = (sql.bind_key(key), sql.bind(customer.as_str().to_owned()));
    let mut columns = vec![("tenant_id", key), ("stripe_customer_id", customer)];
    columns.extend(config.new_id().map(|id| ("id", id.to_owned())));
    for name in ["created_at", "updated_at"] {
        columns.extend(config.now_for(name).map(|now| (name, now.to_owned())));
    }
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let set_updated_at = set_updated_at(config);
    sql.add(&format!(
        "WITH updated AS (
             UPDATE {config} SET stripe_customer_id = $2{set_updated_at}
             WHERE tenant_id = $1 AND stripe_customer_id IS NULL RETURNING 1),
         inserted AS (
             INSERT INTO {config} ({names}) SELECT {values}
             WHERE NOT EXISTS (SELECT 1 FROM {config} WHERE tenant_id = $1)
             ON CONFLICT (tenant_id) DO NOTHING RETURNING 1)
         SELECT 1 FROM updated UNION ALL SELECT 1 FROM inserted",
        config = config.name,
        names = names.join(", "),
        values = values.join(", "),
    ));
    sql
}

/// Sets the column to null if it holds this Customer.
fn clear(config: &Table, key: &Key, customer: &CustomerId) -> Statement {
    let mut sql = Statement::default();
    let (key, customer) = (sql.bind_key(key), sql.bind(customer.as_str().to_owned()));
    let (set_updated_at, config) = (set_updated_at(config), &config.name);
    sql.add(&format!(
        "UPDATE {config} SET stripe_customer_id = NULL{set_updated_at}
         WHERE tenant_id = {key} AND stripe_customer_id = {customer}"
    ));
    sql
}

/// The rest of a SET clause, which sets `updated_at` if the host's table has that column.
fn set_updated_at(config: &Table) -> String {
    config.now_for("updated_at").map_or_else(String::new, |now| format!(", updated_at = {now}"))
}
