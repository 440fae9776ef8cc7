//! Which database this is, which account it belongs to, and whose Customers are not its own.

use tenant_billing_core::{
    ids::InstallationId,
    ports::{Registration, StoreError},
    request::Account,
};
use tokio_postgres::Client;

use super::{
    cells::SqlCells,
    errors::{failed, refused},
    layout::Layout,
    statement::Statement,
};
use crate::{database::Afresh, stored::Cells};

/// What tells this database from a copy of it, so far as that can be told: the cluster's id and the
/// database's oid. (A physical copy has the same.) `None` if the role may not read it.
pub(super) async fn fingerprint(client: &Client) -> Result<Option<String>, StoreError> {
    let permitted = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')";
    if SqlCells::of(&Statement::new(permitted).row(client).await?).flag()? != Some(true) {
        return Ok(None);
    }
    let sql = "SELECT c.system_identifier || '/' || d.oid
               FROM pg_catalog.pg_control_system() AS c, pg_catalog.pg_database AS d
               WHERE d.datname = current_database()";
    SqlCells::of(&Statement::new(sql).row(client).await?).text()
}

/// Who this database is, by its own records.
pub(super) async fn registration(client: &Client) -> Result<Registration, StoreError> {
    let here = fingerprint(client).await?;
    let sql = "SELECT i.id, a.account_id, a.mode,
                      ARRAY (SELECT fingerprint FROM tenant_billing.stripe_key), i.fingerprint
               FROM tenant_billing.installation AS i
               LEFT JOIN tenant_billing.stripe_account AS a ON a.only_row";
    let rows = Statement::new(sql).rows(client).await?;
    let lost = || StoreError::Corrupt("table installation has lost its row".into());
    let cells = &mut SqlCells::of(rows.first().ok_or_else(lost)?);
    let installation = cells.parsed(InstallationId::parse)?.ok_or_else(lost)?;
    let (account, keys, recorded) = (cells.account()?, cells.texts()?, cells.text()?);
    let copied = here.is_some() && recorded.is_some() && here != recorded;
    Ok(Registration { installation, account, keys, copied })
}

/// Records the account unless one is on record. The caller reads back which one it is.
pub(super) async fn record_account(client: &Client, account: &Account) -> Result<(), StoreError> {
    let sql = "INSERT INTO tenant_billing.stripe_account (account_id, mode, recorded_at)
               VALUES ($1, $2, tenant_billing.clock()) ON CONFLICT DO NOTHING";
    let statement = Statement::new(sql).with(account.id.as_str().to_owned());
    statement.with(account.mode.as_str()).rows(client).await.map(drop)
}

/// Records that a key opens the account on record.
pub(super) async fn record_key(client: &Client, fingerprint: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO tenant_billing.stripe_key (fingerprint, recorded_at)
               VALUES ($1, tenant_billing.clock()) ON CONFLICT DO NOTHING";
    Statement::new(sql).with(fingerprint.to_owned()).rows(client).await.map(drop)
}

/// The installations that were declared to be other applications.
pub(super) async fn ignored(client: &Client) -> Result<Vec<InstallationId>, StoreError> {
    let sql = "SELECT id FROM tenant_billing.ignored_installation ORDER BY id";
    let lost = || StoreError::Corrupt("ignored_installation.id is missing".into());
    let rows = Statement::new(sql).rows(client).await?;
    let id = |row| SqlCells::of(row).parsed(InstallationId::parse)?.ok_or_else(lost);
    rows.iter().map(id).collect()
}

/// Records that an installation is another application; `false` if that was on record.
pub(super) async fn ignore(client: &Client, other: &InstallationId) -> Result<bool, StoreError> {
    let sql = "INSERT INTO tenant_billing.ignored_installation (id, recorded_at)
               VALUES ($1, tenant_billing.clock()) ON CONFLICT DO NOTHING RETURNING 1";
    let rows = Statement::new(sql).with(other.as_str().to_owned()).rows(client).await?;
    Ok(!rows.is_empty())
}

/// Records that the installation is in this database now.
pub(super) async fn moved(client: &Client) -> Result<(), StoreError> {
    let here = fingerprint(client).await?;
    let sql = "UPDATE tenant_billing.installation SET fingerprint = $1";
    Statement::new(sql).with(here).rows(client).await.map(drop)
}

/// How many tenants have a Customer bound to them.
pub(super) async fn count_bound(client: &Client, layout: &Layout) -> Result<u64, StoreError> {
    let config = &layout.config.name;
    let sql = format!("SELECT count(*) FROM {config} WHERE stripe_customer_id IS NOT NULL");
    SqlCells::of(&Statement::new(sql).row(client).await?).required_count()
}

/// Gives the database a new id, in a transaction of the caller's.
pub(super) async fn start_afresh(
    client: &Client,
    layout: &Layout,
    how: Afresh,
    id: &str,
) -> Result<(), StoreError> {
    // Every change is conditional on the installation's id, so whoever is about to write one waits
    // here, and then finds another id.
    let lock = "LOCK TABLE tenant_billing.installation IN ACCESS EXCLUSIVE MODE";
    client.batch_execute(lock).await.map_err(failed)?;
    if how.forgets_bindings() {
        forget_bindings(client, layout, how).await?;
    }
    let sql = "
        WITH given_up AS (
            UPDATE tenant_billing.customer_provisioning
            SET version = version + 1, generation = generation + 1, state = 'vacant',
                account_id = NULL, mode = NULL, stripe_account = NULL, stripe_version = NULL,
                idempotency_key = NULL, body = NULL, conclusive_from = NULL, sent = NULL,
                rejection_code = NULL, rejection_param = NULL, rejection_message = NULL,
                customer_id = NULL, attempts = 0, last_error = NULL
            WHERE state <> 'vacant' AND ($1 OR state <> 'provisioned')
            RETURNING tenant_id, generation)
        INSERT INTO tenant_billing.billing_event (tenant_id, at, kind, generation, detail)
        SELECT tenant_id, tenant_billing.clock(), 'vacated', generation, $2 FROM given_up";
    let statement = Statement::new(sql).with(how.forgets_bindings()).with(how.detail());
    statement.rows(client).await?;
    let sql = "UPDATE tenant_billing.surplus_customer SET resolved_at = tenant_billing.clock()
               WHERE resolved_at IS NULL";
    Statement::new(sql).rows(client).await?;
    client.batch_execute("DELETE FROM tenant_billing.stripe_key").await.map_err(failed)?;
    if how.forgets_account() {
        let sql = "DELETE FROM tenant_billing.stripe_account";
        client.batch_execute(sql).await.map_err(failed)?;
    } else {
        // The original goes on as another application.
        let original = registration(client).await?.installation;
        ignore(client, &original).await?;
    }
    let here = fingerprint(client).await?;
    let sql = "UPDATE tenant_billing.installation SET id = $1, fingerprint = $2";
    Statement::new(sql).with(id.to_owned()).with(here).rows(client).await.map(drop)
}

/// Sets the host's column to null everywhere.
async fn forget_bindings(client: &Client, layout: &Layout, how: Afresh) -> Result<(), StoreError> {
    let config = &layout.config.name;
    let sql = format!(
        "INSERT INTO tenant_billing.billing_event
             (tenant_id, at, kind, generation, customer_id, detail)
         SELECT c.tenant_id::text, tenant_billing.clock(), 'cleared', coalesce(p.generation, 0),
                c.stripe_customer_id, $1
         FROM {config} AS c
         LEFT JOIN tenant_billing.customer_provisioning AS p ON p.tenant_id = c.tenant_id::text
         WHERE c.stripe_customer_id IS NOT NULL"
    );
    Statement::new(sql).with(how.detail()).rows(client).await?;
    let sql = format!(
        "UPDATE {config} SET stripe_customer_id = NULL WHERE stripe_customer_id IS NOT NULL"
    );
    let refused = |error| refused(error, config, "stripe_customer_id");
    Statement::new(sql).query(client).await.map_err(refused)?;
    match count_bound(client, layout).await? {
        0 => Ok(()),
        left => Err(StoreError::Refused(format!(
            "{left} rows of table {config} still hold a Customer after their column \
             stripe_customer_id was set to null; look for a trigger or a rule on the table"
        ))),
    }
}
