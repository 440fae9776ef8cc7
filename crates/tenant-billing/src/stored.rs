//! A row of `customer_provisioning` as databases hold it: a column for whatever a state may know, null
//! in the others. What is read is judged here, the same for every store.

use jiff::Timestamp;
use tenant_billing_core::{
    answer::Refusal,
    audit::{AuditEvent, EventKind, NewEvent, Surplus, SurplusReason},
    ids::{AccountId, CustomerId, IdempotencyKey, Invalid, Mode, TenantId},
    ports::StoreError,
    request::{Account, FrozenRequest},
    state::{Candidate, Row, State, View},
};

/// The columns of [`StoredRow`], in the order in which stores read and write them.
macro_rules! row_columns {
    () => {
        "version, generation, state, account_id, mode, stripe_account, stripe_version, \
         idempotency_key, body, quiet_until, sent, refusal_code, refusal_param, refusal_message, \
         customer_id, opened_at, attempts, next_attempt_at, last_error"
    };
}
pub(crate) use row_columns;

/// The cells of a row. Times are in the database's own resolution.
#[derive(Debug, Clone)]
pub(crate) struct StoredRow {
    pub(crate) version: i64,
    pub(crate) generation: i64,
    pub(crate) state: String,
    pub(crate) account_id: Option<String>,
    pub(crate) mode: Option<String>,
    pub(crate) stripe_account: Option<String>,
    pub(crate) stripe_version: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) quiet_until: Option<Timestamp>,
    pub(crate) sent: Option<bool>,
    pub(crate) refusal_code: Option<String>,
    pub(crate) refusal_param: Option<String>,
    pub(crate) refusal_message: Option<String>,
    pub(crate) customer_id: Option<String>,
    pub(crate) opened_at: Timestamp,
    pub(crate) attempts: i64,
    pub(crate) next_attempt_at: Timestamp,
    pub(crate) last_error: Option<String>,
}

impl StoredRow {
    /// # Errors
    /// [`StoreError::Corrupt`] for a count beyond what a database holds.
    pub(crate) fn of(row: &Row) -> Result<Self, StoreError> {
        let Row { generation, version, state, opened_at, attempts, next_attempt_at, last_error } =
            row;
        let text = |text: &str| Some(text.to_owned());
        let request = state.request();
        let (quiet_until, sent) = match state {
            State::Suspect { quiet_until, sent, .. } => (Some(*quiet_until), Some(*sent)),
            _ => (None, None),
        };
        let refusal = match state {
            State::Rejected(_, refusal) => Some(refusal.clone()),
            _ => None,
        };
        let (refusal_code, refusal_param, refusal_message) = match refusal {
            Some(Refusal { code, param, message }) => (code, param, Some(message)),
            None => (None, None, None),
        };
        Ok(Self {
            version: number(*version)?,
            generation: number(*generation)?,
            state: state.name().to_owned(),
            account_id: request.and_then(|it| text(it.account.id.as_str())),
            mode: request.and_then(|it| text(it.account.mode.as_str())),
            stripe_account: request
                .and_then(|it| it.stripe_account.as_ref())
                .and_then(|it| text(it.as_str())),
            stripe_version: request.and_then(|it| text(&it.stripe_version)),
            idempotency_key: request.and_then(|it| text(it.key.as_str())),
            body: request.and_then(|it| text(&it.body)),
            quiet_until,
            sent,
            refusal_code,
            refusal_param,
            refusal_message,
            customer_id: match state {
                State::Settled(customer) => text(customer.as_str()),
                _ => None,
            },
            opened_at: *opened_at,
            attempts: i64::from(*attempts),
            next_attempt_at: *next_attempt_at,
            last_error: last_error.clone(),
        })
    }

    /// # Errors
    /// [`StoreError::Corrupt`] if no version of this program writes such a row.
    pub(crate) fn row(self) -> Result<Row, StoreError> {
        let state = self.state()?;
        Ok(Row {
            generation: count(self.generation)?,
            version: count(self.version)?,
            state,
            opened_at: self.opened_at,
            attempts: u32::try_from(self.attempts).map_err(|_| missing("attempts"))?,
            next_attempt_at: self.next_attempt_at,
            last_error: self.last_error,
        })
    }

    fn state(&self) -> Result<State, StoreError> {
        Ok(match self.state.as_str() {
            "vacant" => State::Vacant,
            "pending" => State::Pending(self.request()?),
            "suspect" => State::Suspect {
                request: self.request()?,
                quiet_until: self.quiet_until.ok_or_else(|| missing("quiet_until"))?,
                sent: self.sent.ok_or_else(|| missing("sent"))?,
            },
            "rejected" => {
                let message = self.refusal_message.clone();
                let message = message.ok_or_else(|| missing("refusal_message"))?;
                let (code, param) = (self.refusal_code.clone(), self.refusal_param.clone());
                State::Rejected(self.request()?, Refusal { code, param, message })
            }
            "settled" => {
                let customer = parsed(self.customer_id.as_deref(), CustomerId::parse)?;
                State::Settled(customer.ok_or_else(|| missing("customer_id"))?)
            }
            _ => return Err(missing("state")),
        })
    }

    fn request(&self) -> Result<FrozenRequest, StoreError> {
        let account = parsed(self.account_id.as_deref(), AccountId::parse)?;
        let mode = parsed(self.mode.as_deref(), Mode::parse)?;
        let account = account.zip(mode).map(|(id, mode)| Account { id, mode });
        let key = parsed(self.idempotency_key.as_deref(), IdempotencyKey::parse)?;
        Ok(FrozenRequest {
            account: account.ok_or_else(|| missing("account_id"))?,
            stripe_account: parsed(self.stripe_account.as_deref(), AccountId::parse)?,
            stripe_version: self.stripe_version.clone().ok_or_else(|| missing("stripe_version"))?,
            key: key.ok_or_else(|| missing("idempotency_key"))?,
            body: self.body.clone().ok_or_else(|| missing("body"))?,
        })
    }
}

/// The cells of a row that was read, one after the other.
pub(crate) trait Cells {
    fn integer(&mut self) -> Result<Option<i64>, StoreError>;
    fn flag(&mut self) -> Result<Option<bool>, StoreError>;
    fn text(&mut self) -> Result<Option<String>, StoreError>;
    fn time(&mut self) -> Result<Option<Timestamp>, StoreError>;

    fn holds(&mut self) -> Result<bool, StoreError> {
        self.flag()?.ok_or_else(|| missing("a flag"))
    }

    fn number(&mut self) -> Result<u64, StoreError> {
        count(self.integer()?.ok_or_else(|| missing("a number"))?)
    }

    fn words(&mut self) -> Result<String, StoreError> {
        self.text()?.ok_or_else(|| missing("a text"))
    }

    fn moment(&mut self) -> Result<Timestamp, StoreError> {
        self.time()?.ok_or_else(|| missing("a time"))
    }

    /// What a cell says, if it says anything. One that is not what its column is for is the
    /// database's fault, not the caller's.
    fn parsed<T>(
        &mut self,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Result<Option<T>, StoreError> {
        parsed(self.text()?.as_deref(), parse)
    }

    fn account(&mut self) -> Result<Option<Account>, StoreError> {
        let (id, mode) = (self.parsed(AccountId::parse)?, self.parsed(Mode::parse)?);
        Ok(id.zip(mode).map(|(id, mode)| Account { id, mode }))
    }

    /// The columns of [`StoredRow`], if there is a row.
    fn provisioning(&mut self) -> Result<Option<Row>, StoreError> {
        let Some(version) = self.integer()? else {
            return Ok(None);
        };
        let stored = StoredRow {
            version,
            generation: self.integer()?.ok_or_else(|| missing("generation"))?,
            state: self.words()?,
            account_id: self.text()?,
            mode: self.text()?,
            stripe_account: self.text()?,
            stripe_version: self.text()?,
            idempotency_key: self.text()?,
            body: self.text()?,
            quiet_until: self.time()?,
            sent: self.flag()?,
            refusal_code: self.text()?,
            refusal_param: self.text()?,
            refusal_message: self.text()?,
            customer_id: self.text()?,
            opened_at: self.moment()?,
            attempts: self.integer()?.ok_or_else(|| missing("attempts"))?,
            next_attempt_at: self.moment()?,
            last_error: self.text()?,
        };
        stored.row().map(Some)
    }

    /// What a store reads of a tenant: `exists, stripe_customer_id, account_id, mode`, then of the
    /// candidate whether it is deleted, bound elsewhere and unbound, then the lost generation and the row.
    fn view(&mut self, tenant: &TenantId, now: Timestamp) -> Result<View, StoreError> {
        let exists = self.holds()?;
        let bound = self.parsed(CustomerId::parse)?;
        let account = self.account()?;
        let candidate = Candidate {
            deleted: self.holds()?,
            bound_elsewhere: self.holds()?,
            unbound: self.holds()?,
        };
        let lost_generation = self.integer()?.map_or(Ok(0), count)?;
        let row = self.provisioning()?;
        let tenant = tenant.clone();
        Ok(View { tenant, now, exists, bound, row, lost_generation, account, candidate })
    }

    /// An event of the trail: `at, kind, generation, customer_id, request_id, detail`.
    fn event(&mut self) -> Result<AuditEvent, StoreError> {
        let at = self.moment()?;
        let kind = EventKind::parse(&self.words()?);
        let kind = kind
            .ok_or_else(|| StoreError::Corrupt("billing_event.kind of another program".into()))?;
        let event = NewEvent {
            kind,
            generation: self.number()?,
            customer: self.parsed(CustomerId::parse)?,
            request_id: self.text()?,
            detail: self.words()?,
        };
        Ok(AuditEvent { at, event })
    }

    /// A surplus Customer: `customer_id, reason, found_at, resolved_at`.
    fn surplus(&mut self) -> Result<Surplus, StoreError> {
        let customer = self.parsed(CustomerId::parse)?.ok_or_else(|| missing("customer_id"))?;
        let reason = SurplusReason::parse(&self.words()?).ok_or_else(|| missing("reason"))?;
        Ok(Surplus { customer, reason, found_at: self.moment()?, resolved_at: self.time()? })
    }
}

pub(crate) fn parsed<T>(
    text: Option<&str>,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Option<T>, StoreError> {
    text.map(parse).transpose().map_err(|invalid| StoreError::Corrupt(invalid.to_string()))
}

/// What a history says of where the row is.
pub(crate) fn standing(row: Option<Row>) -> Option<(&'static str, Option<CustomerId>)> {
    row.map(|row| match row.state {
        State::Settled(customer) => ("settled", Some(customer)),
        state => (state.name(), None),
    })
}

/// Names the tenant whose row is not what it must be.
pub(crate) fn about(tenant: &TenantId, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(why) => StoreError::Corrupt(format!("tenant {tenant}: {why}")),
        error => error,
    }
}

fn missing(column: &str) -> StoreError {
    StoreError::Corrupt(format!("{column} is not what this state asks for"))
}

/// A count, as databases hold it.
pub(crate) fn number(count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(|_| StoreError::Corrupt("a count beyond 63 bits".into()))
}

/// The count that a database holds: never less than none.
fn count(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Corrupt("a count below zero".into()))
}

/// A random (version 4) UUID of these bits.
pub(crate) fn uuid_of([high, low]: [u64; 2]) -> uuid::Uuid {
    let bytes = u128::from(high) << 64 | u128::from(low);
    uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid()
}

#[cfg(test)]
mod tests;
