//! Writes. Each function runs inside a READ COMMITTED transaction of its caller.
//!
//! A [`Change`] is a few statements, which are sent together. If one of them shows that a condition
//! does not hold, the caller rolls all of them back. Each statement sees what was committed
//! before it began. So the first statement may lock the id of a Customer: whoever binds a Customer
//! and whoever records its deletion take this lock before they look at what the other one writes.

use std::time::Duration;

use futures_util::future::{join3, try_join_all};
use tenant_billing_core::{
    audit::{NewEvent, SurplusReason},
    decide,
    ids::{CustomerId, Invalid, TenantId},
    ports::{Committed, StoreError},
    request::Account,
    state::{Change, Column},
    timing::MAX_DECISION_AGE,
};
use tokio_postgres::{Client, Error, Row};

use super::{
    column,
    connection::Lease,
    errors::{failed, refused},
    key::Key,
    layout::Layout,
    read,
    statement::Statement,
};
use crate::stored::{StoredRow, row_columns, to_signed};

/// Ends the transaction: it commits, or rolls back on a conflict. A constraint that the host
/// deferred until the commit may turn it into a conflict.
pub(super) async fn end(
    lease: &Lease,
    layout: &Layout,
    committed: Committed,
) -> Result<Committed, StoreError> {
    match lease.end(committed).await {
        Ok(()) => Ok(committed),
        Err(error) => column::failed_there(layout, error),
    }
}

/// Writes a change if all its conditions hold. On [`Committed::Conflict`] it may have written a
/// part of it, which the caller must roll back.
pub(super) async fn apply(
    client: &Client,
    layout: &Layout,
    change: &Change,
) -> Result<Committed, StoreError> {
    let key = layout.key_type.parse(&change.tenant)?;
    let (conditions, rest) = (conditional(layout, &key, change)?, records(change)?);
    let column = column::write(client, &layout.config, &key, &change.column);
    // They are sent in this order, without waiting for answers.
    let (conditions, column, rest) =
        join3(all(client, &conditions), column, all(client, &rest)).await;
    // The row's statement is the last one. It returns a row if the conditions hold.
    if conditions.map_err(failed)?.last().is_none_or(Vec::is_empty) {
        return Ok(Committed::Conflict);
    }
    let column = match (column, &change.column) {
        (Ok(Ok(Committed::Conflict)), Column::Bind(customer)) => {
            column::why_unbound(client, &layout.config, &key, customer).await
        }
        (column, _) => column,
    };
    match column {
        Ok(Ok(Committed::Yes)) => rest.map(|_| Committed::Yes).map_err(failed),
        Ok(not_written) => not_written,
        Err(error) => column::failed_there(layout, error),
    }
}

/// Sends these statements together, and reads the rows of each.
async fn all(client: &Client, statements: &[Statement]) -> Result<Vec<Vec<Row>>, Error> {
    try_join_all(statements.iter().map(|statement| statement.query(client))).await
}

/// The statements that must come before the column is written: the locks, and the row with the
/// conditions.
fn conditional(layout: &Layout, key: &Key, change: &Change) -> Result<Vec<Statement>, StoreError> {
    let mut locked: Vec<_> = change.surplus.iter().map(|(customer, _)| customer).collect();
    if let Column::Bind(customer) | Column::Holds(customer) = &change.column {
        locked.push(customer);
    }
    // Every transaction takes its locks in the same order, so that there is no deadlock.
    locked.sort_unstable_by_key(|customer| customer.as_str());
    locked.dedup();
    let mut statements: Vec<_> = locked.into_iter().map(lock).collect();
    statements.push(row(layout, key, change)?);
    Ok(statements)
}

/// The statements that write the records of a change: Customers that are surplus or no longer are,
/// and events.
fn records(change: &Change) -> Result<Vec<Statement>, StoreError> {
    let mut statements = Vec::new();
    if let Column::Bind(customer) | Column::Holds(customer) = &change.column {
        statements.push(resolve_surplus(customer));
    }
    if !change.surplus.is_empty() {
        statements.push(surplus(&change.tenant, &change.surplus));
    }
    if !change.events.is_empty() {
        statements.push(events(&change.tenant, &change.events)?);
    }
    Ok(statements)
}

/// Locks the id of a Customer until the transaction ends. Whoever binds it, records it as surplus
/// or records its deletion takes this lock first.
fn lock(customer: &CustomerId) -> Statement {
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended('tenant_billing ' || $1, 0))";
    Statement::new(sql).with(text(customer))
}

/// Writes the row, if it has a new one, and if the row still has the version that the change was
/// decided from and the other conditions hold; otherwise it returns no row.
fn row(layout: &Layout, key: &Key, change: &Change) -> Result<Statement, StoreError> {
    const TABLE: &str = "tenant_billing.customer_provisioning";
    const COLUMNS: &str = row_columns!();
    let mut sql = Statement::default();
    let values =
        change.row.as_ref().map(|row| Ok::<_, StoreError>(bind_row(&mut sql, StoredRow::of(row)?)));
    let values = values.transpose()?;
    let tenant = sql.bind(text_of(&change.tenant));
    let version = change.only_if.version.map(to_signed).transpose()?;
    let version = version.map(|version| sql.bind(version));
    let conditions = conditions(&mut sql, layout, key, change);
    sql.add(&match (values, version) {
        // If two processes insert such a row at once, either unique key may be the one to conflict.
        (Some(values), None) => format!(
            "INSERT INTO {TABLE} ({COLUMNS}, tenant_id) SELECT {values}, {tenant} WHERE {conditions}
             ON CONFLICT DO NOTHING RETURNING 1"
        ),
        (Some(values), Some(version)) => format!(
            "UPDATE {TABLE} SET ({COLUMNS}) = ROW ({values})
             WHERE tenant_id = {tenant} AND version = {version} AND {conditions} RETURNING 1"
        ),
        (None, Some(version)) => format!(
            "SELECT 1 FROM {TABLE}
             WHERE tenant_id = {tenant} AND version = {version} AND {conditions} FOR UPDATE"
        ),
        (None, None) => format!(
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM {TABLE} WHERE tenant_id = {tenant})
             AND {conditions}"
        ),
    });
    Ok(sql)
}

/// The placeholders of the row's columns, in the order of `row_columns`.
fn bind_row(sql: &mut Statement, row: StoredRow) -> String {
    [
        sql.bind(row.version),
        sql.bind(row.generation),
        sql.bind(row.state),
        sql.bind(row.account_id),
        sql.bind(row.mode),
        sql.bind(row.stripe_account),
        sql.bind(row.stripe_version),
        sql.bind(row.idempotency_key),
        sql.bind(row.body),
        sql.bind(row.conclusive_from),
        sql.bind(row.sent),
        sql.bind(row.rejection_code.map(without_nul)),
        sql.bind(row.rejection_param.map(without_nul)),
        sql.bind(row.rejection_message.map(without_nul)),
        sql.bind(row.customer_id),
        sql.bind(row.opened_at),
        sql.bind(row.attempts),
        sql.bind(row.next_attempt_at),
        sql.bind(row.last_error.map(without_nul)),
    ]
    .join(", ")
}

/// An SQL condition: the time, the database, the tenant, its column, the account and the Customer meet the
/// change's conditions.
fn conditions(sql: &mut Statement, layout: &Layout, key: &Key, change: &Change) -> String {
    let config = &layout.config.name;
    let key = sql.bind_key(key);
    let valid_until = sql.bind(change.only_if.decided_at + MAX_DECISION_AGE);
    let installation = sql.bind(change.only_if.installation.as_str().to_owned());
    let mut condition = format!(
        "tenant_billing.clock() <= {valid_until}
         AND EXISTS (SELECT 1 FROM tenant_billing.installation WHERE id = {installation})"
    );
    if let Some(Account { id, mode }) = &change.only_if.needs_customer_in {
        if let Some(tenants) = &layout.tenants {
            condition += &format!(" AND EXISTS (SELECT 1 FROM {} WHERE id = {key})", tenants.name);
        }
        let (id, mode) = (sql.bind(id.as_str().to_owned()), sql.bind(mode.as_str()));
        condition += &format!(
            " AND NOT EXISTS (SELECT 1 FROM {config}
                              WHERE tenant_id = {key} AND stripe_customer_id IS NOT NULL)
              AND EXISTS (SELECT 1 FROM tenant_billing.stripe_account
                          WHERE account_id = {id} AND mode = {mode})"
        );
    }
    if let Column::Bind(customer) = &change.column {
        let customer = sql.bind(text(customer));
        condition += &format!(
            " AND NOT EXISTS (SELECT 1 FROM tenant_billing.deleted_customer
                              WHERE customer_id = {customer})
              AND NOT EXISTS (SELECT 1 FROM {config}
                              WHERE stripe_customer_id = {customer} AND tenant_id <> {key})"
        );
    }
    condition
}

/// Resolves the surplus record of a Customer, if there is an open one.
fn resolve_surplus(customer: &CustomerId) -> Statement {
    let sql = "UPDATE tenant_billing.surplus_customer SET resolved_at = tenant_billing.clock()
               WHERE customer_id = $1 AND resolved_at IS NULL";
    Statement::new(sql).with(text(customer))
}

/// Records Customers as surplus. A record that an operator's unbinding made stays as it is.
fn surplus(tenant: &TenantId, found: &[(CustomerId, SurplusReason)]) -> Statement {
    let (customers, reasons): (Vec<_>, Vec<_>) =
        found.iter().map(|(customer, reason)| (text(customer), reason.as_str())).unzip();
    // If a Customer is in the list twice, its last reason counts.
    let sql = "
        INSERT INTO tenant_billing.surplus_customer AS s
            (customer_id, tenant_id, reason, found_at, resolved_at)
        SELECT DISTINCT ON (f.customer_id)
               f.customer_id, $1, f.reason, tenant_billing.clock(), d.recorded_at
        FROM unnest($2, $3) WITH ORDINALITY AS f (customer_id, reason, place)
        LEFT JOIN tenant_billing.deleted_customer AS d ON d.customer_id = f.customer_id
        ORDER BY f.customer_id, f.place DESC
        ON CONFLICT (customer_id) DO UPDATE
        SET reason = excluded.reason, resolved_at = excluded.resolved_at
        WHERE s.reason <> 'unbound'";
    Statement::new(sql).with(text_of(tenant)).with(customers).with(reasons)
}

/// Adds events to the audit trail.
fn events(tenant: &TenantId, events: &[NewEvent]) -> Result<Statement, StoreError> {
    let sql = "
        INSERT INTO tenant_billing.billing_event
            (tenant_id, at, kind, generation, customer_id, request_id, detail)
        SELECT $1, tenant_billing.clock(), kind, generation, customer_id, request_id, detail
        FROM unnest($2, $3, $4, $5, $6) WITH ORDINALITY
             AS e (kind, generation, customer_id, request_id, detail, place)
        ORDER BY place";
    let all = || events.iter();
    let generations = all().map(|it| to_signed(it.generation)).collect::<Result<Vec<_>, _>>()?;
    Ok(Statement::new(sql)
        .with(text_of(tenant))
        .with(all().map(|it| it.kind.as_str()).collect::<Vec<_>>())
        .with(generations)
        .with(all().map(|it| it.customer.as_ref().map(text)).collect::<Vec<_>>())
        .with(all().map(|it| it.request_id.clone().map(without_nul)).collect::<Vec<_>>())
        .with(all().map(|it| without_nul(it.detail.clone())).collect::<Vec<_>>()))
}

/// Records that a Customer was deleted, and writes what [`decide::deletion`] says for every tenant
/// that holds or held it.
pub(super) async fn record_deletion(
    client: &Client,
    layout: &Layout,
    customer: &CustomerId,
) -> Result<Committed, StoreError> {
    lock(customer).rows(client).await?;
    let sql = "INSERT INTO tenant_billing.deleted_customer (customer_id, recorded_at)
               VALUES ($1, tenant_billing.clock()) ON CONFLICT DO NOTHING";
    Statement::new(sql).with(text(customer)).rows(client).await?;
    resolve_surplus(customer).rows(client).await?;
    let sql = format!(
        "SELECT tenant_id::text FROM {} WHERE stripe_customer_id = $1
         UNION SELECT tenant_id FROM tenant_billing.customer_provisioning WHERE customer_id = $1",
        layout.config.name
    );
    for tenant in tenants(&Statement::new(sql).with(text(customer)).rows(client).await?)? {
        // The id comes from a row, not from a caller.
        let key = layout.key_type.parse(&tenant);
        let key = key.map_err(|invalid| {
            StoreError::SchemaMismatch(format!("the row of tenant {tenant}: {invalid}"))
        })?;
        let view = read::view(client, layout, &key, &[]).await?;
        let change = decide::deletion(&view, customer);
        if apply(client, layout, &change).await? == Committed::Conflict {
            return Ok(Committed::Conflict);
        }
    }
    Ok(Committed::Yes)
}

/// Moves `next_attempt_at` of due rows to `hold` from now, and returns their tenants. It skips rows
/// that another process has locked.
pub(super) async fn claim(
    client: &Client,
    only: Option<&TenantId>,
    hold: Duration,
    limit: u32,
) -> Result<Vec<TenantId>, StoreError> {
    let sql = "
        WITH due AS MATERIALIZED (
            SELECT p.tenant_id, it.now
            FROM (SELECT tenant_billing.clock() AS now) AS it,
                 tenant_billing.customer_provisioning AS p
            WHERE p.state IN ('pending', 'in_doubt') AND p.next_attempt_at <= it.now
              AND ($1::text IS NULL OR p.tenant_id = $1)
            ORDER BY p.next_attempt_at LIMIT $2 FOR UPDATE OF p SKIP LOCKED)
        UPDATE tenant_billing.customer_provisioning AS p
        SET next_attempt_at = due.now + make_interval(secs => $3)
        FROM due WHERE p.tenant_id = due.tenant_id RETURNING p.tenant_id";
    let statement = Statement::new(sql).with(only.map(text_of)).with(i64::from(limit));
    tenants(&statement.with(hold.as_secs_f64()).rows(client).await?)
}

/// Registers tenants, commits, and returns how many were new.
pub(super) async fn add_tenants(
    lease: &Lease,
    layout: &Layout,
    tenants: &[TenantId],
) -> Result<usize, StoreError> {
    let Some(table) = &layout.tenants else {
        let why = "is none, so every tenant exists and none can be registered";
        return Err(Invalid::new("tenants_table", why).into());
    };
    let names: Vec<String> = tenants.iter().map(text_of).collect();
    let (table, native) = (&table.name, layout.key_type.sql());
    let sql = format!(
        "INSERT INTO {table} (id) SELECT DISTINCT id::{native} FROM unnest($1) AS it (id)
         ON CONFLICT (id) DO NOTHING RETURNING 1"
    );
    let refused = |error| refused(error, table, "id");
    let added = Statement::new(sql).with(names).query(lease).await.map_err(refused)?;
    lease.end(Committed::Yes).await.map_err(refused)?;
    Ok(added.len())
}

/// The tenants in the first column of these rows.
fn tenants(rows: &[Row]) -> Result<Vec<TenantId>, StoreError> {
    let tenant = |row: &Row| {
        let name = row.try_get(0).map_err(failed)?;
        TenantId::parse(name).map_err(|invalid| StoreError::Corrupt(invalid.to_string()))
    };
    rows.iter().map(tenant).collect()
}

fn text(customer: &CustomerId) -> String {
    customer.as_str().to_owned()
}

fn text_of(tenant: &TenantId) -> String {
    tenant.as_str().to_owned()
}

/// A text without NUL characters, which PostgreSQL cannot hold and a text from Stripe may have.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
}
