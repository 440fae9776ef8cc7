//! Which database this is, which account it belongs to, and whose Customers are not its own.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use tenant_billing_core::{
    ids::InstallationId,
    ports::{Registration, StoreError},
    request::Account,
};

use super::{cells::SqlCells, column, errors::failed, write::execute};
use crate::{
    database::Afresh,
    stored::{Cells, to_unsigned},
};

/// Who this database is, by its own records. (A file has nothing that tells it from a copy.)
pub(super) fn registration(connection: &Connection) -> Result<Registration, StoreError> {
    let sql = "SELECT i.id, a.account_id, a.mode,
                      (SELECT json_group_array(fingerprint) FROM stripe_key)
               FROM installation AS i LEFT JOIN stripe_account AS a ON a.only_row = 1";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let lost = || StoreError::Corrupt("table installation has lost its row".into());
    let cells = &mut SqlCells::of(rows.next().map_err(failed)?.ok_or_else(lost)?);
    let installation = cells.parsed(InstallationId::parse)?.ok_or_else(lost)?;
    let (account, keys) = (cells.account()?, cells.texts()?);
    Ok(Registration { installation, account, keys, copied: false })
}

/// Records the account unless one is on record, and that the key opens it; nothing if this is another
/// installation by now. Reads back what is on record.
pub(super) fn register(
    connection: &Connection,
    installation: &InstallationId,
    account: &Account,
    key: Option<&str>,
    now: Timestamp,
) -> Result<Registration, StoreError> {
    let sql = "INSERT INTO stripe_account (only_row, account_id, mode, recorded_at)
               SELECT 1, ?1, ?2, ?3 FROM installation WHERE id = ?4 ON CONFLICT DO NOTHING";
    let (id, mode, at) = (account.id.as_str(), account.mode.as_str(), now.as_millisecond());
    execute(connection, sql, params![id, mode, at, installation.as_str()])?;
    let now = registration(connection)?;
    if let Some(key) = key
        && now.installation == *installation
        && now.account.as_ref() == Some(account)
    {
        let sql = "INSERT INTO stripe_key (fingerprint, recorded_at) VALUES (?1, ?2)
                   ON CONFLICT DO NOTHING";
        execute(connection, sql, params![key, at])?;
    }
    Ok(now)
}

/// The installations that were declared to be other applications.
pub(super) fn ignored(connection: &Connection) -> Result<Vec<InstallationId>, StoreError> {
    let sql = "SELECT id FROM ignored_installation ORDER BY id";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut ignored = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        ignored.extend(SqlCells::of(row).parsed(InstallationId::parse)?);
    }
    Ok(ignored)
}

/// Records that an installation is another application; `false` if that was on record. Whoever has
/// waited for that may go on at once.
pub(super) fn ignore(
    connection: &Connection,
    other: &InstallationId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO ignored_installation (id, recorded_at) VALUES (?1, ?2)
               ON CONFLICT DO NOTHING";
    let now = now.as_millisecond();
    let added = execute(connection, sql, params![other.as_str(), now])?;
    let sql = "UPDATE customer_provisioning SET next_attempt_at = min(next_attempt_at, ?1)
               WHERE state = 'in_doubt'";
    execute(connection, sql, params![now])?;
    Ok(added == 1)
}

/// How many tenants have a Customer bound to them.
pub(super) fn count_bound(connection: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM tenant_config WHERE stripe_customer_id IS NOT NULL";
    to_unsigned(connection.query_row(sql, [], |row| row.get(0)).map_err(failed)?)
}

/// Gives the database a new id, in a transaction of the caller's.
pub(super) fn start_afresh(
    connection: &Connection,
    how: Afresh,
    id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (at, detail, forgets) = (now.as_millisecond(), how.detail(), how.forgets_bindings());
    if how == Afresh::CopyForgettingBindings {
        leave_to_the_original(connection, now)?;
    }
    if forgets {
        let sql = "
            INSERT INTO billing_event (tenant_id, at, kind, generation, customer_id, detail)
            SELECT c.tenant_id, ?1, 'cleared', coalesce(p.generation, 0), c.stripe_customer_id, ?2
            FROM tenant_config AS c
            LEFT JOIN customer_provisioning AS p ON p.tenant_id = c.tenant_id
            WHERE c.stripe_customer_id IS NOT NULL";
        execute(connection, sql, params![at, detail])?;
        column::clear_all(connection, now)?;
    }
    let given_up = "state <> 'vacant' AND (?1 OR state <> 'provisioned')";
    let sql = format!(
        "INSERT INTO billing_event (tenant_id, at, kind, generation, detail)
         SELECT tenant_id, ?2, 'vacated', generation + 1, ?3
         FROM customer_provisioning WHERE {given_up}"
    );
    execute(connection, &sql, params![forgets, at, detail])?;
    let sql = format!(
        "UPDATE customer_provisioning
         SET version = version + 1, generation = generation + 1, state = 'vacant',
             account_id = NULL, mode = NULL, stripe_account = NULL, stripe_version = NULL,
             idempotency_key = NULL, body = NULL, conclusive_from = NULL, sent = NULL,
             rejection_code = NULL, rejection_param = NULL, rejection_message = NULL,
             customer_id = NULL, attempts = 0, last_error = NULL
         WHERE {given_up}"
    );
    execute(connection, &sql, params![forgets])?;
    let sql = "UPDATE surplus_customer SET resolved_at = ?1 WHERE resolved_at IS NULL";
    execute(connection, sql, params![at])?;
    execute(connection, "DELETE FROM stripe_key", [])?;
    if how.forgets_account() {
        execute(connection, "DELETE FROM stripe_account", [])?;
    } else {
        // The original goes on as another application.
        ignore(connection, &registration(connection)?.installation, now)?;
    }
    execute(connection, "UPDATE installation SET id = ?1", params![id]).map(drop)
}

/// Puts every Customer that is known here on record as one that is never to be adopted here again. An
/// inquiry would otherwise take those that have no mark for ours: they name our tenants.
fn leave_to_the_original(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let sql = "
        INSERT INTO surplus_customer (customer_id, tenant_id, reason, found_at, resolved_at)
        SELECT customer_id, min(tenant_id), 'unbound', ?1, ?1
        FROM (SELECT stripe_customer_id AS customer_id, tenant_id FROM tenant_config
              UNION SELECT customer_id, tenant_id FROM customer_provisioning
              UNION SELECT customer_id, tenant_id FROM surplus_customer)
        WHERE customer_id IS NOT NULL GROUP BY customer_id
        ON CONFLICT (customer_id) DO UPDATE SET reason = 'unbound'";
    execute(connection, sql, params![now.as_millisecond()]).map(drop)
}
