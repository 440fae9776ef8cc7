//! Writes. Each function runs inside a `BEGIN IMMEDIATE` transaction of its caller, so nobody else
//! writes meanwhile.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tenant_billing_core::{
    audit::NewEvent,
    decide,
    ids::{CustomerId, TenantId},
    ports::{Committed, StoreError},
    state::{Change, Column},
    timing::MAX_DECISION_AGE,
};

use super::{column, errors::failed, read, statement};
use crate::stored::{StoredRow, row_columns, to_signed, to_unsigned};

/// The latest time that our tables hold, which is in the year 9000.
const LATEST: i64 = 221_845_392_000_000;

/// Writes a change if all its conditions hold. On [`Committed::Conflict`] it may have written a
/// part of it, which the caller must roll back.
pub(super) fn apply(
    connection: &Connection,
    change: &Change,
    now: Timestamp,
    new_id: &str,
) -> Result<Committed, StoreError> {
    let tenant = &change.tenant;
    let all_hold = now.duration_since(change.only_if.decided_at) <= MAX_DECISION_AGE
        && conditions_hold(connection, change)?
        && write_row(connection, change)?
        && write_column(connection, tenant, &change.column, now, new_id)?;
    if !all_hold {
        return Ok(Committed::Conflict);
    }
    for (customer, reason) in &change.surplus {
        let sql = "
            INSERT INTO surplus_customer (customer_id, tenant_id, reason, found_at, resolved_at)
            VALUES (?1, ?2, ?3, ?4,
                (SELECT recorded_at FROM deleted_customer WHERE customer_id = ?1))
            ON CONFLICT DO UPDATE SET reason = excluded.reason, resolved_at = excluded.resolved_at
            WHERE reason <> 'unbound'";
        let now = now.as_millisecond();
        execute(
            connection,
            sql,
            params![customer.as_str(), tenant.as_str(), reason.as_str(), now],
        )?;
    }
    for event in &change.events {
        write_event(connection, tenant, event, now)?;
    }
    Ok(Committed::Yes)
}

/// Records that a Customer was deleted, and writes what [`decide::deletion`] says for every tenant
/// that holds or held it.
pub(super) fn record_deletion(
    connection: &Connection,
    customer: &CustomerId,
    now: Timestamp,
    new_id: &str,
) -> Result<(), StoreError> {
    let (id, at) = (customer.as_str(), now.as_millisecond());
    let sql = "INSERT INTO deleted_customer (customer_id, recorded_at) VALUES (?1, ?2)
               ON CONFLICT DO NOTHING";
    execute(connection, sql, params![id, at])?;
    resolve_surplus(connection, customer, now)?;
    let sql = "SELECT tenant_id FROM tenant_config WHERE stripe_customer_id = ?1
               UNION SELECT tenant_id FROM customer_provisioning WHERE customer_id = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let tenants = statement.query_map([id], |row| row.get::<_, String>(0));
    let tenants: Vec<String> = tenants.and_then(Iterator::collect).map_err(failed)?;
    for tenant in tenants {
        let view = read::view(connection, &TenantId::parse(&tenant)?, &[], now)?;
        let change = decide::deletion(&view, customer);
        if apply(connection, &change, now, new_id)? == Committed::Conflict {
            return Err(StoreError::Unavailable("a row changed inside a transaction".into()));
        }
    }
    Ok(())
}

/// Moves `next_attempt_at` of due rows to `hold` from now, and returns their tenants.
pub(super) fn claim(
    connection: &Connection,
    only: Option<&TenantId>,
    now: Timestamp,
    hold: Duration,
    limit: u32,
) -> Result<Vec<TenantId>, StoreError> {
    let sql = "
        UPDATE customer_provisioning SET next_attempt_at = ?2 WHERE tenant_id IN (
            SELECT tenant_id FROM customer_provisioning
            WHERE state IN ('pending', 'in_doubt') AND next_attempt_at <= ?1
              AND (?3 IS NULL OR tenant_id = ?3)
            ORDER BY next_attempt_at LIMIT ?4)
        RETURNING tenant_id";
    let hold = i64::try_from(hold.as_millis()).unwrap_or(i64::MAX);
    let now = now.as_millisecond();
    let until = now.saturating_add(hold).min(LATEST);
    let only = only.map(TenantId::as_str);
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let claimed =
        statement.query_map(params![now, until, only, limit], |row| row.get::<_, String>(0));
    let claimed: Vec<String> = claimed.and_then(Iterator::collect).map_err(failed)?;
    Ok(claimed.iter().map(|id| TenantId::parse(id)).collect::<Result<_, _>>()?)
}

/// Registers tenants, and returns how many were new.
pub(super) fn add_tenants(
    connection: &Connection,
    tenants: &[TenantId],
) -> Result<usize, StoreError> {
    let mut new = 0;
    for tenant in tenants {
        new += usize::from(column::add_tenant(connection, tenant.as_str())?);
    }
    Ok(new)
}

/// Whether the database, the tenant, its column, the account and the Customer meet the change's conditions.
fn conditions_hold(connection: &Connection, change: &Change) -> Result<bool, StoreError> {
    let tenant = change.tenant.as_str();
    let sql = "SELECT EXISTS (SELECT 1 FROM installation WHERE id = ?1)";
    if !is_true(connection, sql, [change.only_if.installation.as_str()])? {
        return Ok(false);
    }
    if let Some(account) = &change.only_if.needs_customer_in {
        let sql = "SELECT EXISTS (SELECT 1 FROM tenants WHERE id = ?1)
               AND NOT EXISTS (SELECT 1 FROM tenant_config
                               WHERE tenant_id = ?1 AND stripe_customer_id IS NOT NULL)
               AND EXISTS (SELECT 1 FROM stripe_account WHERE account_id = ?2 AND mode = ?3)";
        if !is_true(connection, sql, params![tenant, account.id.as_str(), account.mode.as_str()])? {
            return Ok(false);
        }
    }
    if let Column::Bind(customer) = &change.column {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM deleted_customer WHERE customer_id = ?2)
                      AND NOT EXISTS (SELECT 1 FROM tenant_config
                                      WHERE stripe_customer_id = ?2 AND tenant_id <> ?1)";
        return is_true(connection, sql, params![tenant, customer.as_str()]);
    }
    Ok(true)
}

/// Writes the row, if it has a new one, and if it still has the version that the change was decided
/// from; `false` if it has another version.
fn write_row(connection: &Connection, change: &Change) -> Result<bool, StoreError> {
    let tenant = change.tenant.as_str();
    let Some(row) = &change.row else {
        let sql = "SELECT version FROM customer_provisioning WHERE tenant_id = ?1";
        let version = connection
            .query_row(sql, [tenant], |row| row.get::<_, i64>(0))
            .optional()
            .map_err(failed)?;
        return Ok(version.map(to_unsigned).transpose()? == change.only_if.version);
    };
    // The parameters are the 19 columns, the tenant, and the version that the row must still have.
    let sql = match change.only_if.version {
        None => concat!(
            "INSERT INTO customer_provisioning (",
            row_columns!(),
            ", tenant_id) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
             ?16, ?17, ?18, ?19, ?20 WHERE ?21 IS NULL ON CONFLICT (tenant_id) DO NOTHING"
        ),
        Some(_) => concat!(
            "UPDATE customer_provisioning SET (",
            row_columns!(),
            ") = (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
             ?19) WHERE tenant_id = ?20 AND version = ?21"
        ),
    };
    let row = StoredRow::of(row)?;
    let values = params![
        row.version,
        row.generation,
        row.state,
        row.account_id,
        row.mode,
        row.stripe_account,
        row.stripe_version,
        row.idempotency_key,
        row.body,
        row.conclusive_from.map(Timestamp::as_millisecond),
        row.sent,
        row.rejection_code,
        row.rejection_param,
        row.rejection_message,
        row.customer_id,
        row.opened_at.as_millisecond(),
        row.attempts,
        row.next_attempt_at.as_millisecond(),
        row.last_error,
        tenant,
        change.only_if.version.map(to_signed).transpose()?,
    ];
    Ok(execute(connection, sql, values)? == 1)
}

/// Writes the host's column; `false` if a condition of [`Column`] does not hold.
fn write_column(
    connection: &Connection,
    tenant: &TenantId,
    column: &Column,
    now: Timestamp,
    new_id: &str,
) -> Result<bool, StoreError> {
    let tenant = tenant.as_str();
    match column {
        Column::Keep => Ok(true),
        Column::Bind(customer) => {
            resolve_surplus(connection, customer, now)?;
            column::bind(connection, tenant, customer.as_str(), now, new_id)
        }
        Column::Holds(customer) => {
            resolve_surplus(connection, customer, now)?;
            let sql = "SELECT EXISTS (SELECT 1 FROM tenant_config
                                      WHERE tenant_id = ?1 AND stripe_customer_id = ?2)";
            is_true(connection, sql, params![tenant, customer.as_str()])
        }
        Column::Clear(customer) => {
            column::clear(connection, tenant, customer.as_str(), now)?;
            Ok(true)
        }
    }
}

/// Resolves the surplus record of a Customer, if there is an open one.
fn resolve_surplus(
    connection: &Connection,
    customer: &CustomerId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE surplus_customer SET resolved_at = ?2
               WHERE customer_id = ?1 AND resolved_at IS NULL";
    execute(connection, sql, params![customer.as_str(), now.as_millisecond()]).map(drop)
}

fn write_event(
    connection: &Connection,
    tenant: &TenantId,
    event: &NewEvent,
    now: Timestamp,
) -> Result<(), StoreError> {
    let NewEvent { kind, generation, customer, request_id, detail } = event;
    let sql = "INSERT INTO billing_event
                   (tenant_id, at, kind, generation, customer_id, request_id, detail)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let customer = customer.as_ref().map(CustomerId::as_str);
    let (at, generation) = (now.as_millisecond(), to_signed(*generation)?);
    let values =
        params![tenant.as_str(), at, kind.as_str(), generation, customer, request_id, detail];
    execute(connection, sql, values).map(drop)
}

/// Executes a write on our own tables, and returns how many rows it has changed.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    statement::execute(connection, sql, values).map_err(failed)
}

/// The answer of a statement that returns one boolean.
fn is_true(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<bool, StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(values, |row| row.get(0)))
        .map_err(failed)
}
