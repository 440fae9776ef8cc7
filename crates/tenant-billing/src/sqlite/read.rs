//! Reads. Apart from [`history`], each function is one statement, so that everything it returns was
//! true at one moment.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tenant_billing_core::{
    audit::{History, Surplus},
    ids::{AccountId, CustomerId, Mode, TenantId},
    ports::{Backlog, Binding, StoreError},
    request::Account,
    state::View,
};

use super::{
    cells::{SqlCells, time},
    errors::failed,
};
use crate::{
    database::{Attention, Listing, UnusableKey},
    stored::{Cells, listing, name_tenant, parsed, state_and_customer, to_unsigned},
};

/// The Customer that is bound to a tenant: the only read of a call that finds one.
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
    found.map_err(|error| name_tenant(tenant, error))
}

/// The Customer that is bound to a tenant, and the account that the database belongs to, in
/// one statement.
pub(super) fn binding(
    connection: &Connection,
    tenant: &TenantId,
) -> Result<Option<Binding>, StoreError> {
    let sql = "SELECT c.stripe_customer_id, a.account_id, a.mode
               FROM tenant_config AS c LEFT JOIN stripe_account AS a ON a.only_row = 1
               WHERE c.tenant_id = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    // Without a copy of each text, since this is what every call does.
    let found = statement.query_row([tenant.as_str()], |row| {
        let customer = parsed(row.get_ref(0)?.as_str_or_null()?, CustomerId::parse);
        let id = parsed(row.get_ref(1)?.as_str_or_null()?, AccountId::parse);
        let mode = parsed(row.get_ref(2)?.as_str_or_null()?, Mode::parse);
        Ok((customer, id, mode))
    });
    let Some((customer, id, mode)) = found.optional().map_err(failed)? else {
        return Ok(None);
    };
    let account = id?.zip(mode?).map(|(id, mode)| Account { id, mode });
    let customer = customer.map_err(|error| name_tenant(tenant, error))?;
    Ok(customer.map(|customer| Binding { customer, account }))
}

/// Everything about a tenant, and the facts of these Customers.
pub(super) fn view(
    connection: &Connection,
    tenant: &TenantId,
    customers: &[CustomerId],
    now: Timestamp,
) -> Result<View, StoreError> {
    // The cells are in the order that `Cells::view` reads.
    let sql = "
        SELECT t.id IS NOT NULL, c.stripe_customer_id, a.account_id, a.mode, i.id,
               (SELECT json_group_array(customer_id) FROM deleted_customer
                WHERE customer_id IN (SELECT value FROM json_each(?2))),
               (SELECT json_group_array(stripe_customer_id) FROM tenant_config
                WHERE stripe_customer_id IN (SELECT value FROM json_each(?2))
                  AND tenant_id <> ?1),
               (SELECT json_group_array(customer_id) FROM surplus_customer
                WHERE customer_id IN (SELECT value FROM json_each(?2)) AND reason = 'unbound'),
               CASE WHEN p.version IS NULL THEN
                   (SELECT max(generation) FROM billing_event WHERE tenant_id = ?1) END,
               p.version, p.generation, p.state, p.account_id, p.mode, p.stripe_account,
               p.stripe_version, p.idempotency_key, p.body, p.conclusive_from, p.sent,
               p.rejection_code, p.rejection_param, p.rejection_message, p.customer_id,
               p.opened_at, p.attempts, p.next_attempt_at, p.last_error
        FROM (SELECT ?1 AS id) AS asked
        LEFT JOIN tenants AS t ON t.id = asked.id
        LEFT JOIN tenant_config AS c ON c.tenant_id = asked.id
        LEFT JOIN customer_provisioning AS p ON p.tenant_id = asked.id
        LEFT JOIN stripe_account AS a ON a.only_row = 1
        LEFT JOIN installation AS i ON i.only_row = 1";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let asked: Vec<_> = customers.iter().map(CustomerId::as_str).collect();
    let mut rows = statement
        .query(params![tenant.as_str(), serde_json::json!(asked).to_string()])
        .map_err(failed)?;
    let row = rows.next().map_err(failed)?;
    let row = row.ok_or_else(|| StoreError::Corrupt("the view of a tenant has no row".into()))?;
    SqlCells::of(row).view(tenant, true, customers, now).map_err(|error| name_tenant(tenant, error))
}

/// When the first row that recovery must take up is due.
pub(super) fn next_due(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT min(next_attempt_at) FROM customer_provisioning
               WHERE state IN ('pending', 'in_doubt')";
    let due: Option<i64> = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(failed)?;
    due.map(time).transpose()
}

/// What recovery has left to do.
pub(super) fn backlog(connection: &Connection, now: Timestamp) -> Result<Backlog, StoreError> {
    let sql = "SELECT count(*), min(next_attempt_at) FROM customer_provisioning
               WHERE state IN ('pending', 'in_doubt')";
    let (rows, due): (i64, Option<i64>) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    Ok(Backlog { rows: to_unsigned(rows)?, next_due: due.map(time).transpose()?, now })
}

/// What an operator may have to look at.
pub(super) fn list(
    connection: &Connection,
    what: Attention,
    limit: u32,
) -> Result<Listing, StoreError> {
    let mut statement = connection.prepare(&listing::sql(what, "", limit)).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        entries.push(SqlCells::of(row).entry());
    }
    listing::of(entries.into_iter())
}

/// See [`Database::bound_after`](crate::Database::bound_after). Our own table holds no other keys.
pub(super) fn bound_after(
    connection: &Connection,
    after: Option<&TenantId>,
    limit: u32,
) -> Result<Vec<Result<TenantId, UnusableKey>>, StoreError> {
    let sql = "SELECT tenant_id FROM tenant_config
               WHERE stripe_customer_id IS NOT NULL AND tenant_id > ?1 ORDER BY tenant_id LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let after = after.map_or("", TenantId::as_str);
    let mut rows = statement.query(params![after, limit]).map_err(failed)?;
    let mut tenants = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        tenants.extend(SqlCells::of(row).parsed(TenantId::parse)?.map(Ok));
    }
    Ok(tenants)
}

/// All that is on record of a tenant.
pub(super) fn history(
    connection: &Connection,
    tenant: &TenantId,
    now: Timestamp,
) -> Result<History, StoreError> {
    let view = view(connection, tenant, &[], now)?;
    let state = state_and_customer(view.row);
    let sql = "SELECT at, kind, generation, customer_id, request_id, detail
               FROM billing_event WHERE tenant_id = ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query([tenant.as_str()]).map_err(failed)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        events.push(SqlCells::of(row).event()?);
    }
    let (exists, bound) = (view.exists, view.bound);
    let surplus = surplus(connection, tenant)?;
    Ok(History { tenant: tenant.clone(), exists, bound, state, events, surplus })
}

/// The surplus Customers on record of a tenant.
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
        found.push(SqlCells::of(row).surplus()?);
    }
    Ok(found)
}
