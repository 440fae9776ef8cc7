//! Reading: each function is one statement, so that what it returns was true at one moment.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use tenant_billing_core::{
    answer::Refusal,
    audit::{AuditEvent, EventKind, History, NewEvent, Surplus, SurplusReason},
    ids::{AccountId, CustomerId, IdempotencyKey, InstallationId, Invalid, Mode, TenantId},
    ports::{Backlog, StoreError},
    request::{Account, FrozenRequest},
    state::{Candidate, Row, State, View},
};

use super::failed;

/// The one read on the way of a bound tenant.
pub(super) fn bound(
    connection: &Connection,
    tenant: &TenantId,
) -> Result<Option<CustomerId>, StoreError> {
    let sql = "SELECT stripe_customer_id FROM tenant_config WHERE tenant_id = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let found = statement.query_row([tenant.as_str()], |row| {
        Ok(row.get_ref(0)?.as_str_or_null()?.map(CustomerId::parse))
    });
    found
        .optional()
        .map_err(failed)?
        .flatten()
        .transpose()
        .map_err(|invalid| about(tenant, corrupt(invalid)))
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
    read_view(row, tenant, now).map_err(|error| about(tenant, error))
}

fn read_view(row: &SqlRow<'_>, tenant: &TenantId, now: Timestamp) -> Result<View, StoreError> {
    let mut cells = Cells { row, at: 0 };
    let exists = cells.next()?;
    let bound = cells.parsed(CustomerId::parse)?;
    let account = cells.account()?;
    let candidate = Candidate {
        deleted: cells.next()?,
        bound_elsewhere: cells.next()?,
        unbound: cells.next()?,
    };
    let lost_generation = cells.next::<Option<i64>>()?.map_or(0, i64::unsigned_abs);
    let row = cells.provisioning()?;
    let tenant = tenant.clone();
    Ok(View { tenant, now, exists, bound, row, lost_generation, account, candidate })
}

/// Names the tenant whose row is not what it must be.
fn about(tenant: &TenantId, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(why) => StoreError::Corrupt(format!("tenant {tenant}: {why}")),
        error => error,
    }
}

/// This database's own id.
pub(super) fn installation(connection: &Connection) -> Result<InstallationId, StoreError> {
    let sql = "SELECT id FROM installation";
    let id = connection.query_row(sql, [], |row| row.get::<_, String>(0)).optional();
    let id = id.map_err(failed)?.ok_or_else(|| missing("the row of table installation"))?;
    InstallationId::parse(&id).map_err(corrupt)
}

/// The account that this database belongs to, once recorded.
pub(super) fn account(connection: &Connection) -> Result<Option<Account>, StoreError> {
    let mut statement =
        connection.prepare("SELECT account_id, mode FROM stripe_account").map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    match rows.next().map_err(failed)? {
        Some(row) => Cells { row, at: 0 }.account(),
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
    let state = view.row.map(|row| match row.state {
        State::Settled(customer) => ("settled", Some(customer)),
        state => (state.name(), None),
    });
    let sql = "SELECT at, kind, generation, customer_id, request_id, detail
               FROM billing_event WHERE tenant_id = ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query([tenant.as_str()]).map_err(failed)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let mut cells = Cells { row, at: 0 };
        let at = cells.time()?;
        let kind: String = cells.next()?;
        let kind = EventKind::parse(&kind)
            .ok_or_else(|| StoreError::Corrupt("billing_event.kind of another program".into()))?;
        let event = NewEvent {
            kind,
            generation: cells.number()?,
            customer: cells.parsed(CustomerId::parse)?,
            request_id: cells.text()?,
            detail: cells.next()?,
        };
        events.push(AuditEvent { at, event });
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
        let mut cells = Cells { row, at: 0 };
        let customer = cells.parsed(CustomerId::parse)?.ok_or_else(|| missing("customer_id"))?;
        let reason: String = cells.next()?;
        let reason = SurplusReason::parse(&reason).ok_or_else(|| missing("reason"))?;
        let found_at = cells.time()?;
        let resolved_at = cells.next::<Option<i64>>()?.map(time).transpose()?;
        found.push(Surplus { customer, reason, found_at, resolved_at });
    }
    Ok(found)
}

/// The cells of a row, one after the other.
struct Cells<'a, 'stmt> {
    row: &'a SqlRow<'stmt>,
    at: usize,
}

impl Cells<'_, '_> {
    fn next<T: rusqlite::types::FromSql>(&mut self) -> Result<T, StoreError> {
        self.at += 1;
        self.row.get(self.at - 1).map_err(|error| StoreError::Corrupt(error.to_string()))
    }

    fn text(&mut self) -> Result<Option<String>, StoreError> {
        self.next()
    }

    fn number(&mut self) -> Result<u64, StoreError> {
        self.next::<i64>().map(i64::unsigned_abs)
    }

    fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.next().and_then(time)
    }

    fn parsed<T>(
        &mut self,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Result<Option<T>, StoreError> {
        self.text()?.map(|text| parse(&text)).transpose().map_err(corrupt)
    }

    fn account(&mut self) -> Result<Option<Account>, StoreError> {
        let (id, mode) = (self.parsed(AccountId::parse)?, self.parsed(Mode::parse)?);
        Ok(id.zip(mode).map(|(id, mode)| Account { id, mode }))
    }

    /// The columns of `customer_provisioning` in the order of [`view`].
    fn provisioning(&mut self) -> Result<Option<Row>, StoreError> {
        let Some(version) = self.next::<Option<i64>>()? else {
            return Ok(None);
        };
        let generation = self.number()?;
        let name: String = self.next()?;
        let account = self.account()?;
        let stripe_account = self.parsed(AccountId::parse)?;
        let stripe_version = self.text()?;
        let key = self.parsed(IdempotencyKey::parse)?;
        let body = self.text()?;
        let request = match (account, stripe_version, key, body) {
            (Some(account), Some(stripe_version), Some(key), Some(body)) => {
                Ok(FrozenRequest { account, stripe_account, stripe_version, key, body })
            }
            _ => Err(missing("body")),
        };
        let quiet_until = self.next::<Option<i64>>()?.map(time).transpose()?;
        let sent: Option<bool> = self.next()?;
        let (code, param) = (self.text()?, self.text()?);
        let message = self.text()?;
        let customer = self.parsed(CustomerId::parse)?;
        let state = match name.as_str() {
            "vacant" => State::Vacant,
            "pending" => State::Pending(request?),
            "suspect" => State::Suspect {
                request: request?,
                quiet_until: quiet_until.ok_or_else(|| missing("quiet_until"))?,
                sent: sent.ok_or_else(|| missing("sent"))?,
            },
            "rejected" => {
                let message = message.ok_or_else(|| missing("refusal_message"))?;
                State::Rejected(request?, Refusal { code, param, message })
            }
            "settled" => State::Settled(customer.ok_or_else(|| missing("customer_id"))?),
            _ => return Err(missing("state")),
        };
        Ok(Some(Row {
            generation,
            version: version.unsigned_abs(),
            state,
            opened_at: self.time()?,
            attempts: self.next()?,
            next_attempt_at: self.time()?,
            last_error: self.text()?,
        }))
    }
}

fn time(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| missing("a time"))
}

fn corrupt(invalid: Invalid) -> StoreError {
    StoreError::Corrupt(invalid.to_string())
}

fn missing(column: &str) -> StoreError {
    StoreError::Corrupt(format!("{column} is not what this state asks for"))
}
