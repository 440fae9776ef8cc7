//! The host's column `tenant_config.stripe_customer_id`: the only thing of the host's that we
//! write, apart from the tenants that an operator adds.
//!
//! The host's constraints and triggers may refuse a write, swallow it, or write something else. So
//! each write is read back in its transaction, in which nobody else can write.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params, types::Value};
use tenant_billing_core::ports::StoreError;

use super::{
    errors::{failed, refused},
    layout, statement,
};

/// Writes a Customer into a tenant's column; `false` if the column is not null.
pub(super) fn bind(
    connection: &Connection,
    tenant: &str,
    customer: &str,
    now: Timestamp,
    new_id: &str,
) -> Result<bool, StoreError> {
    if held(connection, tenant)? != Value::Null {
        return Ok(false);
    }
    let sql = "
        INSERT INTO tenant_config (id, tenant_id, stripe_customer_id) VALUES (?1, ?2, ?3)
        ON CONFLICT (tenant_id) DO UPDATE SET
            stripe_customer_id = excluded.stripe_customer_id,
            updated_at = strftime('%Y-%m-%d %H:%M:%S', ?4 / 1000, 'unixepoch')
        WHERE stripe_customer_id IS NULL";
    let values = params![new_id, tenant, customer, now.as_millisecond()];
    execute(connection, "tenant_config", sql, values)?;
    let refused = |why: &str| Err(StoreError::Refused(why.into()));
    match held(connection, tenant)? {
        Value::Text(held) if held == customer => Ok(true),
        Value::Null => refused(
            "tenant_config swallows the write: stripe_customer_id is still null after it; look for \
             a trigger with RAISE(IGNORE), or for ON CONFLICT IGNORE in the table",
        ),
        _ => refused(
            "tenant_config.stripe_customer_id does not keep the Customer that is written to it; \
             look for a trigger on tenant_config that writes another value",
        ),
    }
}

/// Sets the column of every tenant to null.
pub(super) fn clear_all(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let sql = "
        UPDATE tenant_config SET stripe_customer_id = NULL,
            updated_at = strftime('%Y-%m-%d %H:%M:%S', ?1 / 1000, 'unixepoch')
        WHERE stripe_customer_id IS NOT NULL";
    execute(connection, "tenant_config", sql, params![now.as_millisecond()])?;
    let left = "SELECT count(*) FROM tenant_config WHERE stripe_customer_id IS NOT NULL";
    match connection.query_row(left, [], |row| row.get::<_, i64>(0)).map_err(failed)? {
        0 => Ok(()),
        left => Err(StoreError::Refused(format!(
            "{left} rows of tenant_config still hold a Customer after stripe_customer_id was set to \
             null; look for a trigger on tenant_config"
        ))),
    }
}

/// Sets a tenant's column to null if it holds this Customer.
pub(super) fn clear(
    connection: &Connection,
    tenant: &str,
    customer: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "
        UPDATE tenant_config SET stripe_customer_id = NULL,
            updated_at = strftime('%Y-%m-%d %H:%M:%S', ?3 / 1000, 'unixepoch')
        WHERE tenant_id = ?1 AND stripe_customer_id = ?2";
    execute(connection, "tenant_config", sql, params![tenant, customer, now.as_millisecond()])?;
    match held(connection, tenant)? {
        Value::Text(held) if held == customer => Err(StoreError::Refused(
            "tenant_config.stripe_customer_id still holds the Customer after it was set to \
             null; look for a trigger on tenant_config that prevents it"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// Registers a tenant; `false` if it was registered already.
pub(super) fn add_tenant(connection: &Connection, tenant: &str) -> Result<bool, StoreError> {
    let sql = "INSERT INTO tenants (id) VALUES (?1) ON CONFLICT (id) DO NOTHING";
    Ok(execute(connection, "tenants", sql, [tenant])? == 1)
}

/// What the column holds. It is null also where there is no row.
fn held(connection: &Connection, tenant: &str) -> Result<Value, StoreError> {
    let sql = "SELECT stripe_customer_id FROM tenant_config WHERE tenant_id = ?1";
    let held = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([tenant], |row| row.get(0)).optional());
    held.map(|held| held.unwrap_or(Value::Null)).map_err(failed)
}

/// Executes a write to one of the host's tables.
fn execute(
    connection: &Connection,
    table: &str,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    let executed = statement::execute(connection, sql, values);
    executed.map_err(|error| refused(table, error, || layout::check(connection)))
}
