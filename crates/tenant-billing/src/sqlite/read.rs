//! Reading: each function is one statement, so that what it returns was true at one moment.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use tenant_billing_core::{
    audit::{History, Surplus},
    ids::{CustomerId, InstallationId, TenantId},
    ports::{Backlog, StoreError},
    request::Account,
    state::View,
};

use super::failed;
use crate::stored::{Cells, about, parsed, standing};

/// The one read on the way of a bound tenant.
pub(super) fn bound(
    connection: &Connection,
    tenant: &TenantId,
) -> Result<Option<CustomerId>, StoreError> {
    let sql = "SELECT stripe_customer_id FROM tenant_config WHERE tenant_id = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let found = statement.query_row([tenant.as_str()], |row| {
        Ok(parsed(row.get_ref(0)?.as_str_or_null()?, CustomerId::parse))
    });
    let found = found.optional().map_err(failed)?.unwrap_or(Ok(None));
    found.map_err(|error| about(tenant, error))
}

/// Everything about a tenant.
pub(super) fn view(
    connection: &Connection,
    tenant: &TenantId,
    candidate: Option<&CustomerId>,
    now: Timestamp,
) -> Result<View, StoreError> {
    let sql = "
        SELECT t.id IS NOT NULL, c.stripe_customer_id, a.account_id, a.mode,
               EXISTS (SELECT 1 FROM deleted_customer WHERE customer_id = ?2),
               EXISTS (SELECT 1 FROM tenant_config
                       WHERE stripe_customer_id = ?2 AND tenant_id <> ?1),
               EXISTS (SELECT 1 FROM surplus_customer
                       WHERE customer_id = ?2 AND reason = 'unbound'),
               CASE WHEN p.version IS NULL THEN
                   (SELECT max(generation) FROM billing_event WHERE tenant_id = ?1) END,
               p.version, p.generation, p.state, p.account_id, p.mode, p.stripe_account,
               p.stripe_version, p.idempotency_key, p.body, p.quiet_until, p.sent,
               p.refusal_code, p.refusal_param, p.refusal_message, p.customer_id,
               p.opened_at, p.attempts, p.next_attempt_at, p.last_error
        FROM (SELECT ?1 AS id) AS asked
        LEFT JOIN tenants AS t ON t.id = asked.id
        LEFT JOIN tenant_config AS c ON c.tenant_id = asked.id
        LEFT JOIN customer_provisioning AS p ON p.tenant_id = asked.id
        LEFT JOIN stripe_account AS a ON a.only_row = 1";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement
        .query(params![tenant.as_str(), candidate.map(CustomerId::as_str)])
        .map_err(failed)?;
    let row = rows.next().map_err(failed)?;
    let row = row.ok_or_else(|| StoreError::Corrupt("a view without a row".into()))?;
    SqlCells { row, at: 0 }.view(tenant, now).map_err(|error| about(tenant, error))
}

/// This database's own id.
pub(super) fn installation(connection: &Connection) -> Result<InstallationId, StoreError> {
    let sql = "SELECT id FROM installation";
    let id = connection.query_row(sql, [], |row| row.get::<_, String>(0)).optional();
    let id = parsed(id.map_err(failed)?.as_deref(), InstallationId::parse)?;
    id.ok_or_else(|| StoreError::Corrupt("table installation has lost its row".into()))
}

/// The account that this database belongs to, once recorded.
pub(super) fn recorded_account(connection: &Connection) -> Result<Option<Account>, StoreError> {
    let mut statement =
        connection.prepare("SELECT account_id, mode FROM stripe_account").map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    match rows.next().map_err(failed)? {
        Some(row) => SqlCells { row, at: 0 }.account(),
        None => Ok(None),
    }
}

/// When the first row is due.
pub(super) fn next_due(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT min(next_attempt_at) FROM customer_provisioning
               WHERE state IN ('pending', 'suspect')";
    let due: Option<i64> = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(failed)?;
    due.map(time).transpose()
}

/// What is left for recovery.
pub(super) fn backlog(connection: &Connection, now: Timestamp) -> Result<Backlog, StoreError> {
    let sql = "SELECT count(*), min(next_attempt_at) FROM customer_provisioning
               WHERE state IN ('pending', 'suspect')";
    let (rows, due): (i64, Option<i64>) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    Ok(Backlog { rows: rows.unsigned_abs(), next_due: due.map(time).transpose()?, now })
}

/// All that is on record of a tenant.
pub(super) fn history(
    connection: &Connection,
    tenant: &TenantId,
    now: Timestamp,
) -> Result<History, StoreError> {
    let view = view(connection, tenant, None, now)?;
    let state = standing(view.row);
    let sql = "SELECT at, kind, generation, customer_id, request_id, detail
               FROM billing_event WHERE tenant_id = ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query([tenant.as_str()]).map_err(failed)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        events.push(SqlCells { row, at: 0 }.event()?);
    }
    let (exists, bound) = (view.exists, view.bound);
    let surplus = surplus(connection, tenant)?;
    Ok(History { tenant: tenant.clone(), exists, bound, state, events, surplus })
}

/// The surplus Customers of a tenant.
pub(super) fn surplus(
    connection: &Connection,
    tenant: &TenantId,
) -> Result<Vec<Surplus>, StoreError> {
    let sql = "SELECT customer_id, reason, found_at, resolved_at FROM surplus_customer
               WHERE tenant_id = ?1 ORDER BY found_at, customer_id";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query([tenant.as_str()]).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        found.push(SqlCells { row, at: 0 }.surplus()?);
    }
    Ok(found)
}

struct SqlCells<'a, 'stmt> {
    row: &'a SqlRow<'stmt>,
    at: usize,
}

impl SqlCells<'_, '_> {
    fn next<T: rusqlite::types::FromSql>(&mut self) -> Result<Option<T>, StoreError> {
        self.at += 1;
        self.row.get(self.at - 1).map_err(|error| StoreError::Corrupt(error.to_string()))
    }
}

impl Cells for SqlCells<'_, '_> {
    fn integer(&mut self) -> Result<Option<i64>, StoreError> {
        self.next()
    }

    fn flag(&mut self) -> Result<Option<bool>, StoreError> {
        self.next()
    }

    fn text(&mut self) -> Result<Option<String>, StoreError> {
        self.next()
    }

    fn time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.next()?.map(time).transpose()
    }
}

fn time(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds)
        .map_err(|_| StoreError::Corrupt("a time beyond the year 9999".into()))
}
