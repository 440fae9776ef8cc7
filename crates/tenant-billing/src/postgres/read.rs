//! Reading: each function is one statement, so that what it returns was true at one moment.

use std::collections::HashMap;

use tenant_billing_core::{
    audit::{History, Surplus},
    ids::{CustomerId, InstallationId, TenantId},
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
    layout::{Layout, Table},
    statement::Statement,
};
use crate::stored::{Cells, about, standing};

/// Whether a server takes no writes: it is a standby, or fenced off.
const READ_ONLY: &str = "current_setting('transaction_read_only') = 'on'";

/// A read that came from a server which does not take writes tells of the past.
fn on_primary(row: Option<&Row>, at: usize) -> Result<(), StoreError> {
    match row.map(|row| row.try_get(at)) {
        Some(Ok(true)) => {
            let why = "this server is read-only; the primary is another one now";
            Err(StoreError::Unavailable(why.into()))
        }
        Some(Err(error)) => Err(StoreError::Corrupt(error.to_string())),
        Some(Ok(false)) | None => Ok(()),
    }
}

/// The one read on the way of bound tenants: many at once. Who has none is not among the answers.
///
/// `prepared` says whether its statement may stay prepared on the connection.
pub(super) async fn bound(
    lease: &Lease,
    layout: &Layout,
    keys: &[Key],
    prepared: bool,
) -> Result<HashMap<Key, Result<CustomerId, StoreError>>, StoreError> {
    let (mut uuids, mut texts, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        match key {
            Key::Uuid(key) => uuids.push(*key),
            Key::Text(key) => texts.push(key.clone()),
            Key::Integer(key) => numbers.push(*key),
        }
    }
    let statement = Statement::new(layout.lookup.as_str());
    let statement = match layout.key {
        KeyType::Uuid => statement.with(uuids),
        KeyType::Text => statement.with(texts),
        KeyType::Integer => statement.with(numbers),
    };
    let rows = match prepared {
        true => statement.rows_prepared(lease).await?,
        false => statement.rows(lease).await?,
    };
    on_primary(rows.first(), 0)?;
    rows.iter().map(|row| customer_of(row, layout.key)).collect()
}

/// The statement of [`bound`], for one parameter: an array of keys.
pub(super) fn lookup(config: &Table, key: KeyType) -> String {
    let (config, native) = (&config.name, key.sql());
    format!(
        "SELECT {READ_ONLY}, tenant_id::{native}, stripe_customer_id::text FROM {config}
         WHERE tenant_id = ANY ($1::{native}[]) AND stripe_customer_id IS NOT NULL"
    )
}

fn customer_of(
    row: &Row,
    kind: KeyType,
) -> Result<(Key, Result<CustomerId, StoreError>), StoreError> {
    let corrupt = |error: tokio_postgres::Error| StoreError::Corrupt(error.to_string());
    let key = match kind {
        KeyType::Uuid => row.try_get(1).map(Key::Uuid),
        KeyType::Text => row.try_get(1).map(Key::Text),
        KeyType::Integer => row.try_get(1).map(Key::Integer),
    };
    let key = key.map_err(corrupt)?;
    let customer = CustomerId::parse(row.try_get(2).map_err(corrupt)?);
    let customer = customer.map_err(|invalid| {
        let corrupt = StoreError::Corrupt(invalid.to_string());
        key.tenant().map_or_else(StoreError::Invalid, |tenant| about(&tenant, corrupt))
    });
    Ok((key, customer))
}

/// Everything about a tenant.
pub(super) async fn view(
    client: &Client,
    layout: &Layout,
    key: &Key,
    candidate: Option<&CustomerId>,
) -> Result<View, StoreError> {
    let candidate = candidate.map(|it| it.as_str().to_owned());
    let mut statement = Statement::default();
    let (key_at, candidate) = (statement.bind_key(key), statement.bind(candidate));
    let (config, native) = (&layout.config.name, layout.key.sql());
    let tables = [Some(&layout.config), layout.tenants.as_ref()].into_iter().flatten();
    let hidden: Vec<_> = tables.map(|it| format!("row_security_active({}::oid)", it.oid)).collect();
    let hidden = hidden.join(" OR ");
    let (exists, tenants) = match &layout.tenants {
        None => ("true", String::new()),
        Some(table) => {
            ("t.id IS NOT NULL", format!("LEFT JOIN {} AS t ON t.id = asked.id", table.name))
        }
    };
    statement.add(&format!(
        "SELECT {READ_ONLY}, asked.now, {exists}, c.stripe_customer_id::text,
                a.account_id, a.mode,
                EXISTS (SELECT 1 FROM tenant_billing.deleted_customer
                        WHERE customer_id = {candidate}),
                EXISTS (SELECT 1 FROM {config}
                        WHERE stripe_customer_id = {candidate} AND tenant_id <> asked.id),
                EXISTS (SELECT 1 FROM tenant_billing.surplus_customer
                        WHERE customer_id = {candidate} AND reason = 'unbound'),
                CASE WHEN p.version IS NULL THEN
                    (SELECT max(generation) FROM tenant_billing.billing_event
                     WHERE tenant_id = asked.name) END,
                p.version, p.generation, p.state, p.account_id, p.mode, p.stripe_account,
                p.stripe_version, p.idempotency_key, p.body, p.quiet_until, p.sent,
                p.refusal_code, p.refusal_param, p.refusal_message, p.customer_id,
                p.opened_at, p.attempts, p.next_attempt_at, p.last_error, {hidden} AS hidden
         FROM (SELECT {key_at}::{native} AS id, {key_at}::{native}::text AS name,
                      tenant_billing.clock() AS now) AS asked
         {tenants}
         LEFT JOIN {config} AS c ON c.tenant_id = asked.id
         LEFT JOIN tenant_billing.customer_provisioning AS p ON p.tenant_id = asked.name
         LEFT JOIN tenant_billing.stripe_account AS a ON a.only_row"
    ));
    let rows = statement.rows(client).await?;
    on_primary(rows.first(), 0)?;
    let row = rows.first().ok_or_else(|| StoreError::Corrupt("a view without a row".into()))?;
    if row.try_get("hidden").map_err(failed)? {
        let why = "row-level security hides rows of the host's tables from this role";
        return Err(StoreError::Unfit(why.into()));
    }
    let tenant = key.tenant()?;
    let cells = &mut SqlCells::of(row);
    let _read_only = cells.flag()?;
    let now = cells.moment()?;
    cells.view(&tenant, now).map_err(|error| about(&tenant, error))
}

/// This database's own id, and the account that it belongs to, once recorded.
pub(super) async fn identity(
    client: &Client,
) -> Result<(InstallationId, Option<Account>), StoreError> {
    let sql = "SELECT i.id, a.account_id, a.mode FROM tenant_billing.installation AS i
               LEFT JOIN tenant_billing.stripe_account AS a ON a.only_row";
    let rows = Statement::new(sql).rows(client).await?;
    let lost = || StoreError::Corrupt("table installation has lost its row".into());
    let cells = &mut SqlCells::of(rows.first().ok_or_else(lost)?);
    let installation = cells.parsed(InstallationId::parse)?.ok_or_else(lost)?;
    Ok((installation, cells.account()?))
}

/// What is left for recovery.
pub(super) async fn backlog(client: &Client) -> Result<Backlog, StoreError> {
    let sql = "SELECT count(*), min(next_attempt_at), tenant_billing.clock()
               FROM tenant_billing.customer_provisioning WHERE state IN ('pending', 'suspect')";
    let rows = Statement::new(sql).rows(client).await?;
    let row = rows.first().ok_or_else(|| StoreError::Corrupt("a count without a row".into()))?;
    let cells = &mut SqlCells::of(row);
    Ok(Backlog { rows: cells.number()?, next_due: cells.time()?, now: cells.moment()? })
}

/// All that is on record of a tenant.
pub(super) async fn history(
    client: &Client,
    layout: &Layout,
    key: &Key,
) -> Result<History, StoreError> {
    let view = view(client, layout, key, None).await?;
    let tenant = view.tenant.as_str().to_owned();
    let sql = "SELECT at, kind, generation, customer_id, request_id, detail
               FROM tenant_billing.billing_event WHERE tenant_id = $1 ORDER BY id";
    let rows = Statement::new(sql).with(tenant).rows(client).await?;
    let events = rows.iter().map(|row| SqlCells::of(row).event()).collect::<Result<_, _>>()?;
    let surplus = surplus(client, &view.tenant).await?;
    let View { tenant, exists, bound, row, .. } = view;
    Ok(History { tenant, exists, bound, state: standing(row), events, surplus })
}

/// The surplus Customers of a tenant.
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
