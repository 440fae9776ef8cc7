//! Reads. Apart from [`history`], each function is one statement, so that everything it returns was
//! true at one moment.

use std::collections::HashMap;

use tenant_billing_core::{
    audit::{History, Surplus},
    ids::{CustomerId, Invalid, TenantId},
    ports::{Backlog, StoreError},
    request::Account,
    state::View,
};
use tokio_postgres::{Client, Row};

use super::{
    cells::SqlCells,
    connection::Lease,
    errors::failed,
    key::{Key, KeyType},
    layout::{Layout, WHOSE_CELLS},
    primary::{self, READ_ONLY},
    statement::Statement,
    table::Table,
};
use crate::{
    database::{Attention, Listing, UnusableKey},
    stored::{Cells, listing, name_tenant, state_and_customer},
};

/// What a lookup has found.
pub(super) struct Bound {
    /// The Customers. A tenant without one is not in the map.
    pub(super) customers: HashMap<Key, Result<CustomerId, StoreError>>,
    /// The account that the database belongs to, which may be none, if that was read along and there
    /// was a row to read it in.
    pub(super) account: Option<Option<Account>>,
}

/// The Customers that are bound to these tenants, and, if `whose`, the account that the database
/// belongs to: the only read of a call that finds one.
///
/// If `prepared`, the statement is prepared by name and stays so on the connection.
pub(super) async fn bound(
    lease: &Lease,
    layout: &Layout,
    keys: &[Key],
    prepared: bool,
    whose: bool,
) -> Result<Bound, StoreError> {
    let (mut uuids, mut texts, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        match key {
            Key::Uuid(key) => uuids.push(*key),
            Key::Text(key) => texts.push(key.clone()),
            Key::Integer(key) => numbers.push(*key),
        }
    }
    let sql = if whose { &layout.lookup_and_whose } else { &layout.lookup };
    let statement = Statement::new(sql.as_str());
    let (asked, statement) = match layout.key_type {
        KeyType::Uuid => (uuids.len(), statement.with(uuids)),
        KeyType::Text | KeyType::Char => (texts.len(), statement.with(texts)),
        KeyType::Integer => (numbers.len(), statement.with(numbers)),
    };
    if asked < keys.len() {
        let why = "the type of the tenants' keys has just changed";
        return Err(StoreError::Unavailable(why.into()));
    }
    let rows = match prepared {
        true => statement.rows_prepared(lease.object()).await?,
        false => statement.rows(lease).await?,
    };
    primary::check(rows.first())?;
    let account = rows.first().filter(|_| whose).map(|row| account_of(row, layout)).transpose()?;
    let customers = rows.iter().map(|row| customer_of(row, layout.key_type));
    Ok(Bound { customers: customers.collect::<Result<_, _>>()?, account })
}

/// The account in a row of [`Layout::lookup_and_whose`], if the layout is the one on record.
fn account_of(row: &Row, layout: &Layout) -> Result<Option<Account>, StoreError> {
    let cells = &mut SqlCells::from(row, WHOSE_CELLS);
    if cells.time()? != layout.recorded_at {
        return Err(StoreError::Unavailable(
            "another layout of the host's tables was recorded".into(),
        ));
    }
    cells.account()
}

/// A row of [`Layout::lookup`]. An unreadable Customer id concerns that tenant alone.
fn customer_of(
    row: &Row,
    kind: KeyType,
) -> Result<(Key, Result<CustomerId, StoreError>), StoreError> {
    let corrupt = |error: tokio_postgres::Error| StoreError::Corrupt(error.to_string());
    let key = key_of(row, 1, kind)?;
    let customer = CustomerId::parse(row.try_get(2).map_err(corrupt)?);
    let customer = customer.map_err(|invalid| {
        let corrupt = StoreError::Corrupt(invalid.to_string());
        key.tenant().map_or_else(StoreError::Invalid, |tenant| name_tenant(&tenant, corrupt))
    });
    Ok((key, customer))
}

/// A tenant's key in this cell.
fn key_of(row: &Row, cell: usize, kind: KeyType) -> Result<Key, StoreError> {
    let key = match kind {
        KeyType::Uuid => row.try_get(cell).map(Key::Uuid),
        KeyType::Text | KeyType::Char => row.try_get(cell).map(Key::Text),
        KeyType::Integer => row.try_get(cell).map(Key::Integer),
    };
    key.map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Everything about a tenant, and the facts of these Customers.
pub(super) async fn view(
    client: &Client,
    layout: &Layout,
    key: &Key,
    customers: &[CustomerId],
) -> Result<View, StoreError> {
    let mut statement = Statement::default();
    let asked = statement.bind_key(key, layout.key_type);
    let (config, id, customer) =
        (&layout.config.name, &layout.tenant.quoted, &layout.customer.quoted);
    let (mut policies, mut renewed) = (Vec::new(), Vec::new());
    for table in layout.tables() {
        let name = statement.bind(table.name.clone());
        policies.push(format!("row_security_active({}::oid)", table.oid));
        renewed.push(format!("to_regclass({name})::oid IS DISTINCT FROM {}::oid", table.oid));
    }
    let recorded_at = statement.bind(layout.recorded_at);
    renewed.push(format!(
        "(SELECT recorded_at FROM tenant_billing.host_layout) IS DISTINCT FROM {recorded_at}"
    ));
    let (hides_rows, renewed) = (policies.join(" OR "), renewed.join(" OR "));
    let (exists, tenants) = match layout.tenants() {
        None => ("true".to_owned(), String::new()),
        Some(_) if layout.are_one => (format!("c.{id} IS NOT NULL"), String::new()),
        Some((table, key)) => (
            format!("t.{key} IS NOT NULL"),
            format!("LEFT JOIN {table} AS t ON t.{key} = asked.id"),
        ),
    };
    // Those of the Customers that a table holds. If there are no Customers to ask about, the
    // statement is planned without these three subqueries.
    let ids: Vec<_> = customers.iter().map(|it| it.as_str().to_owned()).collect();
    let ids = (!ids.is_empty()).then(|| statement.bind(ids));
    let held_by = |table: &str, column: &str, and: &str| match &ids {
        None => "NULL::text[]".to_owned(),
        Some(ids) => format!(
            "ARRAY (SELECT it.id FROM unnest({ids}) AS it (id)
                    WHERE EXISTS (SELECT 1 FROM {table} AS held
                                  WHERE held.{column} = it.id{and}))"
        ),
    };
    let deleted = held_by("tenant_billing.deleted_customer", "customer_id", "");
    let elsewhere = held_by(config, customer, &format!(" AND held.{id} <> asked.id"));
    let unbound =
        held_by("tenant_billing.surplus_customer", "customer_id", " AND held.reason = 'unbound'");
    // The tables of one row are read in subqueries: joins with them make the planner expect a million
    // rows where nobody has analyzed the tables yet, and compile the statement for half a second.
    // After the first two, the cells are in the order that `Cells::view` reads.
    statement.add(&format!(
        "SELECT {READ_ONLY}, asked.now, {exists}, c.{customer}::text,
                (SELECT account_id FROM tenant_billing.stripe_account),
                (SELECT mode FROM tenant_billing.stripe_account),
                (SELECT id FROM tenant_billing.installation),
                {deleted}, {elsewhere}, {unbound},
                CASE WHEN p.version IS NULL THEN
                    (SELECT max(generation) FROM tenant_billing.billing_event
                     WHERE tenant_id = asked.name) END,
                p.version, p.generation, p.state, p.account_id, p.mode, p.stripe_account,
                p.stripe_version, p.idempotency_key, p.body, p.conclusive_from, p.sent,
                p.rejection_code, p.rejection_param, p.rejection_message, p.customer_id,
                p.opened_at, p.attempts, p.next_attempt_at, p.last_error,
                {hides_rows} AS hides_rows, {renewed} AS renewed
         FROM (SELECT {asked} AS id, {asked}::text AS name,
                      tenant_billing.clock() AS now) AS asked
         {tenants}
         LEFT JOIN {config} AS c ON c.{id} = asked.id
         LEFT JOIN tenant_billing.customer_provisioning AS p ON p.tenant_id = asked.name"
    ));
    let rows = statement.rows(client).await?;
    primary::check(rows.first())?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::Corrupt("the view of a tenant has no row".into()))?;
    if row.try_get("renewed").map_err(failed)? {
        // What we know of a table, such as its policies, was of the one that had its name before; or
        // a migration has recorded another layout.
        let why = "the host's tables have just changed";
        return Err(StoreError::Unavailable(why.into()));
    }
    if row.try_get("hides_rows").map_err(failed)? {
        let why = "row-level security hides rows of the host's tables from this role; give it \
                   BYPASSRLS";
        return Err(StoreError::SchemaMismatch(why.into()));
    }
    let tenant = key.tenant()?;
    let cells = &mut SqlCells::of(row);
    let _read_only = cells.flag()?;
    let now = cells.required_time()?;
    let uuid_keys = layout.key_type == KeyType::Uuid;
    cells.view(&tenant, uuid_keys, customers, now).map_err(|error| name_tenant(&tenant, error))
}

/// What recovery has left to do.
pub(super) async fn backlog(client: &Client) -> Result<Backlog, StoreError> {
    let sql = "SELECT count(*), min(next_attempt_at), tenant_billing.clock()
               FROM tenant_billing.customer_provisioning WHERE state IN ('pending', 'in_doubt')";
    let row = Statement::new(sql).row(client).await?;
    let cells = &mut SqlCells::of(&row);
    Ok(Backlog {
        rows: cells.required_count()?,
        next_due: cells.time()?,
        now: cells.required_time()?,
    })
}

/// Whether we have made this table, which its comment says.
pub(super) async fn is_ours(client: &Client, table: &Table) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT coalesce(obj_description({}::oid, 'pg_class') = 'made by tenant-billing', false)",
        table.oid
    );
    let rows = Statement::new(sql).rows(client).await?;
    let cell = rows.first().map(|row| SqlCells::of(row).required_flag());
    cell.unwrap_or(Ok(false))
}

/// What an operator may have to look at.
pub(super) async fn list(
    client: &Client,
    what: Attention,
    limit: u32,
) -> Result<Listing, StoreError> {
    let sql = listing::sql(what, "tenant_billing.", limit);
    let rows = Statement::new(sql).rows(client).await?;
    listing::of(rows.iter().map(|row| SqlCells::of(row).entry()))
}

/// See [`Database::bound_after`](crate::Database::bound_after).
pub(super) async fn bound_after(
    client: &Client,
    layout: &Layout,
    mut after: Option<Key>,
    limit: u32,
) -> Result<Vec<Result<TenantId, UnusableKey>>, StoreError> {
    let (config, tenant, customer) =
        (&layout.config.name, &layout.tenant.quoted, &layout.customer.quoted);
    let read_as = layout.key_type.read_as();
    let mut page = Vec::new();
    loop {
        let mut statement = Statement::default();
        let from = after.as_ref().map_or_else(String::new, |key| {
            format!("AND {tenant} > {}", statement.bind_key(key, layout.key_type))
        });
        statement.add(&format!(
            "SELECT {tenant}::{read_as} FROM {config}
             WHERE {customer} IS NOT NULL {from} ORDER BY {tenant} LIMIT {limit}"
        ));
        let rows = statement.rows(client).await?;
        let key = |row| key_of(row, 0, layout.key_type);
        let keys = rows.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        page.extend(keys.iter().map(|key| {
            let shortened = || key.spelled().chars().take(200).collect();
            key.tenant()
                .map_err(|Invalid { reason: why, .. }| UnusableKey { key: shortened(), why })
        }));
        if let Some(last) = page.iter().rposition(Result::is_ok) {
            // The next page begins after this tenant.
            page.truncate(last + 1);
            return Ok(page);
        }
        if keys.is_empty() {
            return Ok(page);
        }
        after = keys.into_iter().next_back();
    }
}

/// All that is on record of a tenant.
pub(super) async fn history(
    client: &Client,
    layout: &Layout,
    key: &Key,
) -> Result<History, StoreError> {
    let view = view(client, layout, key, &[]).await?;
    let tenant = view.tenant.as_str().to_owned();
    let sql = "SELECT at, kind, generation, customer_id, request_id, detail
               FROM tenant_billing.billing_event WHERE tenant_id = $1 ORDER BY id";
    let rows = Statement::new(sql).with(tenant).rows(client).await?;
    let events = rows.iter().map(|row| SqlCells::of(row).event()).collect::<Result<_, _>>()?;
    let surplus = surplus(client, &view.tenant).await?;
    let View { tenant, exists, bound, row, .. } = view;
    Ok(History { tenant, exists, bound, state: state_and_customer(row), events, surplus })
}

/// The surplus Customers on record of a tenant.
pub(super) async fn surplus(
    client: &Client,
    tenant: &TenantId,
) -> Result<Vec<Surplus>, StoreError> {
    let tenant = tenant.as_str().to_owned();
    let sql = "SELECT customer_id, reason, found_at, resolved_at
               FROM tenant_billing.surplus_customer
               WHERE tenant_id = $1 ORDER BY found_at, customer_id";
    let rows = Statement::new(sql).with(tenant).rows(client).await?;
    rows.iter().map(|row| SqlCells::of(row).surplus()).collect()
}
