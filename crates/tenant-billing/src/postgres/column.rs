//! The statements that read and write the host's column of the Customers' ids.
//!
//! The host may have triggers and rules on its table. One that refuses a write, swallows it, or
//! changes its value is told apart from another process that was faster, which is a conflict.

use futures_util::future::{try_join, try_join3};
use tenant_billing_core::{
    ids::CustomerId,
    ports::{Committed, StoreError},
    state::Column as Write,
};
use tokio_postgres::{Client, Error, Row};

use super::{
    errors::refused,
    key::Key,
    layout::Layout,
    statement::Statement,
    table::{Column, Role},
};

/// Writes or checks the column. The outer error is the driver's, for [`failed_there`].
pub(super) async fn write(
    client: &Client,
    layout: &Layout,
    key: &Key,
    column: &Write,
) -> Result<Result<Committed, StoreError>, Error> {
    match column {
        Write::Keep => Ok(Ok(Committed::Yes)),
        Write::Holds(customer) => {
            let held = value(layout, key, "").query(client).await?;
            Ok(Ok(if holds(&held, customer)? { Committed::Yes } else { Committed::Conflict }))
        }
        Write::Bind(customer) => {
            let (bind, value) = (bind(layout, key, customer), value(layout, key, ""));
            let (wrote, kept) = try_join(bind.query(client), value.query(client)).await?;
            if wrote.is_empty() {
                return Ok(Ok(Committed::Conflict));
            }
            // Until the transaction ends, nobody else writes the row that it wrote.
            let kept = holds(&kept, customer)?;
            Ok(if kept { Ok(Committed::Yes) } else { Err(changed(layout, "the value to bind")) })
        }
        Write::Clear(customer) => {
            // Whoever would write a row that is locked waits for us.
            let (lock, value) = (value(layout, key, LOCKED), value(layout, key, ""));
            let clear = clear(layout, key, customer);
            let reads = (lock.query(client), clear.query(client), value.query(client));
            let (before, _, after) = try_join3(reads.0, reads.1, reads.2).await?;
            let kept = holds(&before, customer)? && holds(&after, customer)?;
            Ok(if kept { Err(changed(layout, "the null to set")) } else { Ok(Committed::Yes) })
        }
    }
}

/// Why a bind wrote nothing although the conditions of its change hold: another process may have
/// been faster. It tries again where nobody can come between. Whatever that writes, the caller must
/// roll back.
pub(super) async fn why_unbound(
    client: &Client,
    layout: &Layout,
    key: &Key,
    customer: &CustomerId,
) -> Result<Result<Committed, StoreError>, Error> {
    let before = value(layout, key, LOCKED).query(client).await?;
    let wrote = bind(layout, key, customer).query(client).await?;
    let after = value(layout, key, LOCKED).query(client).await?;
    // A row that was not there could not be locked, and another process may have inserted it.
    let unchanged = before.len() == after.len();
    let is_null = held(&before)?.is_none() && held(&after)?.is_none();
    // The host has just deleted the tenant.
    let is_gone = layout.are_one && before.is_empty();
    Ok(if wrote.is_empty() && unchanged && is_null && !is_gone {
        let what = if before.is_empty() { "the INSERT" } else { "the UPDATE" };
        Err(changed(layout, what))
    } else {
        Ok(Committed::Conflict)
    })
}

/// What an error of a statement on the host's table means, or of the commit that follows.
pub(super) fn failed_there(layout: &Layout, error: Error) -> Result<Committed, StoreError> {
    if layout.is_race(&error) {
        return Ok(Committed::Conflict);
    }
    Err(refused(error, &layout.config.name, &layout.customer.name))
}

/// The refusal of a write that the server reported as done, or as not necessary.
fn changed(layout: &Layout, what: &str) -> StoreError {
    let (table, column) = (&layout.config.name, &layout.customer.name);
    StoreError::Refused(format!(
        "{table}, column {column}: a trigger or rule swallows or changes {what}; make it leave \
         this column alone"
    ))
}

/// Locks what a SELECT returns until the transaction ends.
const LOCKED: &str = " FOR NO KEY UPDATE";

/// Returns what the tenant's column holds, if the tenant has a row.
fn value(layout: &Layout, key: &Key, lock: &str) -> Statement {
    let mut sql = Statement::default();
    let key = sql.bind_key(key, layout.key_type);
    let (table, tenant, customer) =
        (&layout.config.name, &layout.tenant.quoted, &layout.customer.quoted);
    sql.add(&format!("SELECT {customer}::text FROM {table} WHERE {tenant} = {key}{lock}"));
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

/// Sets the column if it is null, and inserts a row if there is none, unless the table is that of
/// the tenants. It returns a row if it wrote. (ON CONFLICT DO UPDATE is not used, since it would run
/// the host's triggers for inserts on a row that exists.)
fn bind(layout: &Layout, key: &Key, id: &CustomerId) -> Statement {
    let mut sql = Statement::default();
    let (key, id) = (sql.bind_key(key, layout.key_type), sql.bind(id.as_str().to_owned()));
    let (table, tenant, customer) =
        (&layout.config.name, &layout.tenant.quoted, &layout.customer.quoted);
    let set_updated_at = set_updated_at(layout);
    let update = format!(
        "UPDATE {table} SET {customer} = {id}{set_updated_at}
         WHERE {tenant} = {key} AND {customer} IS NULL RETURNING 1"
    );
    if layout.are_one {
        sql.add(&update);
        return sql;
    }
    let value = |column: &Column| match column.role {
        Role::Tenant => Some(key.as_str()),
        Role::Customer => Some(id.as_str()),
        Role::Id | Role::CreatedAt | Role::UpdatedAt | Role::None => column.written(),
    };
    let columns = layout.config.columns.iter();
    let (names, values): (Vec<_>, Vec<_>) =
        columns.filter_map(|it| Some((it.quoted.as_str(), value(it)?))).unzip();
    sql.add(&format!(
        "WITH updated AS ({update}),
         inserted AS (
             INSERT INTO {table} ({names}) SELECT {values}
             WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {tenant} = {key})
             ON CONFLICT ({tenant}) DO NOTHING RETURNING 1)
         SELECT 1 FROM updated UNION ALL SELECT 1 FROM inserted",
        names = names.join(", "),
        values = values.join(", "),
    ));
    sql
}

/// Sets the column to null if it holds this Customer.
fn clear(layout: &Layout, key: &Key, id: &CustomerId) -> Statement {
    let mut sql = Statement::default();
    let (key, id) = (sql.bind_key(key, layout.key_type), sql.bind(id.as_str().to_owned()));
    let (table, tenant, customer) =
        (&layout.config.name, &layout.tenant.quoted, &layout.customer.quoted);
    let set_updated_at = set_updated_at(layout);
    sql.add(&format!(
        "UPDATE {table} SET {customer} = NULL{set_updated_at}
         WHERE {tenant} = {key} AND {customer} = {id}"
    ));
    sql
}

/// An SQL query: the Customers in the column as `customer_id`, with their tenants as `tenant_id`.
pub(super) fn all_bound(layout: &Layout) -> String {
    let (table, tenant, customer) =
        (&layout.config.name, &layout.tenant.quoted, &layout.customer.quoted);
    let read_as = layout.key_type.read_as();
    format!(
        "SELECT {customer}::text AS customer_id, {tenant}::{read_as}::text AS tenant_id
         FROM {table} WHERE {customer} IS NOT NULL"
    )
}

/// Sets the column to null in every row.
pub(super) async fn clear_all(client: &Client, layout: &Layout) -> Result<(), StoreError> {
    let (table, customer) = (&layout.config.name, &layout.customer.quoted);
    let set_updated_at = set_updated_at(layout);
    let sql = format!(
        "UPDATE {table} SET {customer} = NULL{set_updated_at} WHERE {customer} IS NOT NULL"
    );
    let refused = |error| refused(error, &layout.config.name, &layout.customer.name);
    Statement::new(sql).query(client).await.map(drop).map_err(refused)
}

/// The rest of a SET clause, which sets the time of the row's last change if the host's table has a
/// column for it.
fn set_updated_at(layout: &Layout) -> String {
    let columns = layout.config.columns.iter().filter(|it| it.role == Role::UpdatedAt);
    let set = columns.filter_map(|it| Some(format!(", {} = {}", it.quoted, it.written()?)));
    set.collect()
}
