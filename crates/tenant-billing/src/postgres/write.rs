//! Writing: each function runs inside a READ COMMITTED transaction that its caller ends.
//!
//! A [`Change`] is a few statements, sent together; some of them must find or make a row, and where
//! one of those does not, the caller rolls all of them back. Each sees what was committed before it
//! began. So the first of them may be a lock on the id of a Customer: whoever binds one and whoever
//! records its deletion take it before they look at what the other one writes.

use std::time::Duration;

use futures_util::future::join_all;
use tenant_billing_core::{
    audit::{NewEvent, SurplusReason},
    ids::{CustomerId, Invalid, TenantId},
    ports::{Committed, StoreError},
    provisioning,
    request::Account,
    state::{Change, Column, DECISION_LASTS},
};
use tokio_postgres::Client;

use super::{
    errors::failed,
    key::Key,
    layout::{Layout, Table},
    read,
    statement::Statement,
};
use crate::stored::{StoredRow, number, row_columns};

/// One statement of a change, and whether it must return a row.
struct Part {
    statement: Statement,
    must: bool,
}

/// Writes a change if every condition of it holds. Else, what was written is to be rolled back.
pub(super) async fn apply(
    client: &Client,
    layout: &Layout,
    change: &Change,
) -> Result<Committed, StoreError> {
    let parts = parts(layout, change)?;
    let mut all_hold = true;
    let answers = join_all(parts.iter().map(|part| part.statement.query(client))).await;
    for (part, answer) in parts.iter().zip(answers) {
        match answer {
            Ok(rows) => all_hold &= !part.must || !rows.is_empty(),
            Err(error) if layout.is_race(&error) => return Ok(Committed::Conflict),
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(if all_hold { Committed::Yes } else { Committed::Conflict })
}

fn parts(layout: &Layout, change: &Change) -> Result<Vec<Part>, StoreError> {
    let key = layout.key.key(&change.tenant)?;
    let config = &layout.config;
    let mut parts = Vec::new();
    let mut part = |must, statement| parts.push(Part { statement, must });
    let mut locked: Vec<_> = change.surplus.iter().map(|(customer, _)| customer).collect();
    if let Column::Bind(customer) = &change.column {
        locked.push(customer);
    }
    // In one order, so that nobody waits in a ring.
    locked.sort_unstable_by_key(|customer| customer.as_str());
    locked.dedup();
    for customer in locked {
        part(false, lock(customer));
    }
    part(true, row(layout, &key, change)?);
    match &change.column {
        Column::Keep => {}
        Column::Bind(customer) => {
            part(true, bind(config, &key, customer));
            part(false, resolve_surplus(customer));
        }
        Column::Holds(customer) => {
            part(true, holds(config, &key, customer));
            part(false, resolve_surplus(customer));
        }
        Column::Clear(customer) => part(false, clear(config, &key, customer)),
    }
    if !change.surplus.is_empty() {
        part(false, surplus(&change.tenant, &change.surplus));
    }
    if !change.events.is_empty() {
        part(false, events(&change.tenant, &change.events)?);
    }
    Ok(parts)
}

/// For as long as the transaction lasts, what becomes of this Customer is for it to say.
fn lock(customer: &CustomerId) -> Statement {
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended('tenant_billing ' || $1, 0))";
    Statement::new(sql).with(text(customer))
}

/// Writes the row where it still has the version it was decided from, and everything else is as the
/// change asks for.
fn row(layout: &Layout, key: &Key, change: &Change) -> Result<Statement, StoreError> {
    const TABLE: &str = "tenant_billing.customer_provisioning";
    const COLUMNS: &str = row_columns!();
    let mut sql = Statement::default();
    let values =
        change.row.as_ref().map(|row| Ok::<_, StoreError>(bind_row(&mut sql, StoredRow::of(row)?)));
    let values = values.transpose()?;
    let tenant = sql.bind(text_of(&change.tenant));
    let was = change.was.map(number).transpose()?.map(|was| sql.bind(was));
    let fit = conditions(&mut sql, layout, key, change);
    sql.add(&match (values, was) {
        // Of two such rows in one breath, either key may be the one that meets first.
        (Some(values), None) => format!(
            "INSERT INTO {TABLE} ({COLUMNS}, tenant_id) SELECT {values}, {tenant} WHERE {fit}
             ON CONFLICT DO NOTHING RETURNING 1"
        ),
        (Some(values), Some(was)) => format!(
            "UPDATE {TABLE} SET ({COLUMNS}) = ROW ({values})
             WHERE tenant_id = {tenant} AND version = {was} AND {fit} RETURNING 1"
        ),
        (None, Some(was)) => format!(
            "SELECT 1 FROM {TABLE}
             WHERE tenant_id = {tenant} AND version = {was} AND {fit} FOR UPDATE"
        ),
        (None, None) => format!(
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM {TABLE} WHERE tenant_id = {tenant})
             AND {fit}"
        ),
    });
    Ok(sql)
}

/// The values of the row's columns.
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
        sql.bind(row.quiet_until),
        sql.bind(row.sent),
        sql.bind(row.refusal_code.map(without_nul)),
        sql.bind(row.refusal_param.map(without_nul)),
        sql.bind(row.refusal_message.map(without_nul)),
        sql.bind(row.customer_id),
        sql.bind(row.opened_at),
        sql.bind(row.attempts),
        sql.bind(row.next_attempt_at),
        sql.bind(row.last_error.map(without_nul)),
    ]
    .join(", ")
}

/// Whether the time, the tenant, its column, the account and the Customer are what is asked for.
fn conditions(sql: &mut Statement, layout: &Layout, key: &Key, change: &Change) -> String {
    let config = &layout.config.name;
    let (key, freshest) = (sql.bind_key(key), sql.bind(change.decided_at + DECISION_LASTS));
    let mut fit = format!("tenant_billing.clock() <= {freshest}");
    if let Some(Account { id, mode }) = &change.unbound_on {
        if let Some(tenants) = &layout.tenants {
            fit += &format!(" AND EXISTS (SELECT 1 FROM {} WHERE id = {key})", tenants.name);
        }
        let (id, mode) = (sql.bind(id.as_str().to_owned()), sql.bind(mode.as_str()));
        fit += &format!(
            " AND NOT EXISTS (SELECT 1 FROM {config}
                              WHERE tenant_id = {key} AND stripe_customer_id IS NOT NULL)
              AND EXISTS (SELECT 1 FROM tenant_billing.stripe_account
                          WHERE account_id = {id} AND mode = {mode})"
        );
    }
    if let Column::Bind(customer) = &change.column {
        let customer = sql.bind(text(customer));
        fit += &format!(
            " AND NOT EXISTS (SELECT 1 FROM tenant_billing.deleted_customer
                              WHERE customer_id = {customer})
              AND NOT EXISTS (SELECT 1 FROM {config}
                              WHERE stripe_customer_id = {customer} AND tenant_id <> {key})"
        );
    }
    fit
}

/// Fills the column where it is null, in a row that is made if there is none. (Not by ON CONFLICT DO
/// UPDATE: that does to a row that is there whatever the host does to a new one, its triggers and rules.)
fn bind(config: &Table, key: &Key, customer: &CustomerId) -> Statement {
    let mut sql = Statement::default();
    let (key, customer) = (sql.bind_key(key), sql.bind(text(customer)));
    let mut columns = vec![("tenant_id", key), ("stripe_customer_id", customer)];
    columns.extend(config.new_id().map(|id| ("id", id.to_owned())));
    for name in ["created_at", "updated_at"] {
        columns.extend(config.clock_for(name).map(|now| (name, now.to_owned())));
    }
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let also = updated_at(config);
    sql.add(&format!(
        "WITH filled AS (
             UPDATE {config} SET stripe_customer_id = $2{also}
             WHERE tenant_id = $1 AND stripe_customer_id IS NULL RETURNING 1),
         made AS (
             INSERT INTO {config} ({names}) SELECT {values}
             WHERE NOT EXISTS (SELECT 1 FROM {config} WHERE tenant_id = $1)
             ON CONFLICT (tenant_id) DO NOTHING RETURNING 1)
         SELECT 1 FROM filled UNION ALL SELECT 1 FROM made",
        config = config.name,
        names = names.join(", "),
        values = values.join(", "),
    ));
    sql
}

fn holds(config: &Table, key: &Key, customer: &CustomerId) -> Statement {
    let mut sql = Statement::default();
    let (key, customer) = (sql.bind_key(key), sql.bind(text(customer)));
    let config = &config.name;
    sql.add(&format!(
        "SELECT 1 FROM {config} WHERE tenant_id = {key} AND stripe_customer_id = {customer}"
    ));
    sql
}

fn clear(config: &Table, key: &Key, customer: &CustomerId) -> Statement {
    let mut sql = Statement::default();
    let (key, customer) = (sql.bind_key(key), sql.bind(text(customer)));
    let (also, config) = (updated_at(config), &config.name);
    sql.add(&format!(
        "UPDATE {config} SET stripe_customer_id = NULL{also}
         WHERE tenant_id = {key} AND stripe_customer_id = {customer}"
    ));
    sql
}

/// What a changed row says of when it was changed.
fn updated_at(config: &Table) -> String {
    config.clock_for("updated_at").map_or_else(String::new, |now| format!(", updated_at = {now}"))
}

fn resolve_surplus(customer: &CustomerId) -> Statement {
    let sql = "UPDATE tenant_billing.surplus_customer SET resolved_at = tenant_billing.clock()
               WHERE customer_id = $1 AND resolved_at IS NULL";
    Statement::new(sql).with(text(customer))
}

fn surplus(tenant: &TenantId, found: &[(CustomerId, SurplusReason)]) -> Statement {
    let (customers, reasons): (Vec<_>, Vec<_>) =
        found.iter().map(|(customer, reason)| (text(customer), reason.as_str())).unzip();
    // Told twice in one breath, it is the last that counts.
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

fn events(tenant: &TenantId, events: &[NewEvent]) -> Result<Statement, StoreError> {
    let sql = "
        INSERT INTO tenant_billing.billing_event
            (tenant_id, at, kind, generation, customer_id, request_id, detail)
        SELECT $1, tenant_billing.clock(), kind, generation, customer_id, request_id, detail
        FROM unnest($2, $3, $4, $5, $6) WITH ORDINALITY
             AS e (kind, generation, customer_id, request_id, detail, place)
        ORDER BY place";
    let all = || events.iter();
    let generations = all().map(|it| number(it.generation)).collect::<Result<Vec<_>, _>>()?;
    Ok(Statement::new(sql)
        .with(text_of(tenant))
        .with(all().map(|it| it.kind.as_str()).collect::<Vec<_>>())
        .with(generations)
        .with(all().map(|it| it.customer.as_ref().map(text)).collect::<Vec<_>>())
        .with(all().map(|it| it.request_id.clone().map(without_nul)).collect::<Vec<_>>())
        .with(all().map(|it| without_nul(it.detail.clone())).collect::<Vec<_>>()))
}

/// Puts a deletion on record, and writes what it makes of every tenant that holds the Customer.
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
        let view = read::view(client, layout, &layout.key.key(&tenant)?, None).await?;
        let change = provisioning::deletion(&view, customer);
        if apply(client, layout, &change).await? == Committed::Conflict {
            return Ok(Committed::Conflict);
        }
    }
    Ok(Committed::Yes)
}

/// The first account wins; who came second reads back whose it is.
pub(super) async fn record_account(client: &Client, account: &Account) -> Result<(), StoreError> {
    let sql = "INSERT INTO tenant_billing.stripe_account (account_id, mode, recorded_at)
               VALUES ($1, $2, tenant_billing.clock()) ON CONFLICT DO NOTHING";
    let statement = Statement::new(sql).with(account.id.as_str().to_owned());
    statement.with(account.mode.as_str()).rows(client).await.map(drop)
}

/// Takes due rows for a while, and waits for nobody who is at one of them.
pub(super) async fn claim(
    client: &Client,
    only: Option<&TenantId>,
    hold: Duration,
    limit: u32,
) -> Result<Vec<TenantId>, StoreError> {
    let sql = "
        WITH due AS MATERIALIZED (
            SELECT p.tenant_id, it.now
            FROM (SELECT tenant_billing.clock() AS now) AS it, tenant_billing.customer_provisioning AS p
            WHERE p.state IN ('pending', 'suspect') AND p.next_attempt_at <= it.now
              AND ($1::text IS NULL OR p.tenant_id = $1)
            ORDER BY p.next_attempt_at LIMIT $2 FOR UPDATE OF p SKIP LOCKED)
        UPDATE tenant_billing.customer_provisioning AS p
        SET next_attempt_at = due.now + make_interval(secs => $3)
        FROM due WHERE p.tenant_id = due.tenant_id RETURNING p.tenant_id";
    let statement = Statement::new(sql).with(only.map(text_of)).with(i64::from(limit));
    tenants(&statement.with(hold.as_secs_f64()).rows(client).await?)
}

/// Registers tenants; how many were not there yet.
pub(super) async fn add_tenants(
    client: &Client,
    layout: &Layout,
    tenants: &[TenantId],
) -> Result<usize, StoreError> {
    let Some(table) = &layout.tenants else {
        let why = "no table of tenants is consulted here, so every tenant is known";
        return Err(Invalid::new("TENANTS_TABLE", why).into());
    };
    let names: Vec<String> = tenants.iter().map(text_of).collect();
    let (table, native) = (&table.name, layout.key.sql());
    let sql = format!(
        "INSERT INTO {table} (id) SELECT DISTINCT id::{native} FROM unnest($1) AS it (id)
         ON CONFLICT (id) DO NOTHING RETURNING 1"
    );
    Ok(Statement::new(sql).with(names).rows(client).await?.len())
}

fn tenants(rows: &[tokio_postgres::Row]) -> Result<Vec<TenantId>, StoreError> {
    let tenant = |row: &tokio_postgres::Row| {
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

/// PostgreSQL's texts hold every character but this one, and what Stripe says may have it.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
}
