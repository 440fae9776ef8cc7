//! How the databases hold what the protocol knows, for every store alike.
//!
//! A row of `customer_provisioning` has a column for everything that any state knows, and a column
//! is null in the states that do not know it. Everything that a store reads is checked here: a
//! value that no version of this program writes is [`StoreError::Corrupt`].

pub(crate) mod listing;

use std::collections::BTreeMap;

use jiff::Timestamp;
use tenant_billing_core::{
    answer::{Rejection, looks_personal},
    audit::{AuditEvent, EventKind, NewEvent, Surplus, SurplusReason},
    ids::{AccountId, CustomerId, IdempotencyKey, InstallationId, Invalid, Mode, TenantId},
    ports::StoreError,
    request::{Account, FrozenRequest},
    state::{CustomerFacts, Row, State, View},
};

use crate::database::Entry;

/// The columns of [`StoredRow`], in the order in which stores read and write them.
macro_rules! row_columns {
    () => {
        "version, generation, state, account_id, mode, stripe_account, stripe_version, \
         idempotency_key, body, conclusive_from, sent, rejection_code, rejection_param, \
         rejection_message, customer_id, opened_at, attempts, next_attempt_at, last_error"
    };
}
pub(crate) use row_columns;

/// The cells of a row of `customer_provisioning`. Times have the database's resolution.
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
    pub(crate) conclusive_from: Option<Timestamp>,
    pub(crate) sent: Option<bool>,
    pub(crate) rejection_code: Option<String>,
    pub(crate) rejection_param: Option<String>,
    pub(crate) rejection_message: Option<String>,
    pub(crate) customer_id: Option<String>,
    pub(crate) opened_at: Timestamp,
    pub(crate) attempts: i64,
    pub(crate) next_attempt_at: Timestamp,
    pub(crate) last_error: Option<String>,
}

impl StoredRow {
    /// The cells that hold this row.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a count that is too large for the database.
    pub(crate) fn of(row: &Row) -> Result<Self, StoreError> {
        let Row { generation, version, state, opened_at, attempts, next_attempt_at, last_error } =
            row;
        let text = |text: &str| Some(text.to_owned());
        let request = state.request();
        let (mut conclusive_from, mut sent, mut rejection, mut customer_id) =
            (None, None, None, None);
        match state {
            State::Vacant | State::Pending(_) => {}
            State::InDoubt { request: _, conclusive_from: from, sent: was_sent } => {
                (conclusive_from, sent) = (Some(*from), Some(*was_sent));
            }
            State::Rejected(_, why) => rejection = Some(why.clone()),
            State::Provisioned(customer) => customer_id = text(customer.as_str()),
        }
        let (rejection_code, rejection_param, rejection_message) = match rejection {
            Some(Rejection { code, param, message }) => (code, param, Some(message)),
            None => (None, None, None),
        };
        Ok(Self {
            version: to_signed(*version)?,
            generation: to_signed(*generation)?,
            state: state.name().to_owned(),
            account_id: request.and_then(|it| text(it.account.id.as_str())),
            mode: request.and_then(|it| text(it.account.mode.as_str())),
            stripe_account: request
                .and_then(|it| it.stripe_account.as_ref())
                .and_then(|it| text(it.as_str())),
            stripe_version: request.and_then(|it| text(&it.stripe_version)),
            idempotency_key: request.and_then(|it| text(it.key.as_str())),
            body: request.and_then(|it| text(&it.body)),
            conclusive_from,
            sent,
            rejection_code,
            rejection_param,
            rejection_message,
            customer_id,
            opened_at: *opened_at,
            attempts: i64::from(*attempts),
            next_attempt_at: *next_attempt_at,
            last_error: last_error.clone(),
        })
    }

    /// The row that these cells hold.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if no version of this program writes such cells.
    pub(crate) fn row(self) -> Result<Row, StoreError> {
        let state = self.state()?;
        Ok(Row {
            generation: to_unsigned(self.generation)?,
            version: to_unsigned(self.version)?,
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
            "in_doubt" => State::InDoubt {
                request: self.request()?,
                conclusive_from: self.conclusive_from.ok_or_else(|| missing("conclusive_from"))?,
                sent: self.sent.ok_or_else(|| missing("sent"))?,
            },
            "rejected" => {
                let message = self.rejection_message.clone();
                let message = message.ok_or_else(|| missing("rejection_message"))?;
                let (code, param) = (self.rejection_code.clone(), self.rejection_param.clone());
                State::Rejected(self.request()?, Rejection { code, param, message })
            }
            "provisioned" => {
                let customer = parsed(self.customer_id.as_deref(), CustomerId::parse)?;
                State::Provisioned(customer.ok_or_else(|| missing("customer_id"))?)
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

/// Reads the cells of a row from left to right. Each call reads the next one; `None` is a null.
///
/// A store implements the first five methods, and the others are built on them.
pub(crate) trait Cells {
    fn integer(&mut self) -> Result<Option<i64>, StoreError>;
    fn flag(&mut self) -> Result<Option<bool>, StoreError>;
    fn text(&mut self) -> Result<Option<String>, StoreError>;
    fn time(&mut self) -> Result<Option<Timestamp>, StoreError>;
    /// A list of texts, which is empty if the cell is null.
    fn texts(&mut self) -> Result<Vec<String>, StoreError>;

    fn required_flag(&mut self) -> Result<bool, StoreError> {
        self.flag()?.ok_or_else(|| missing("a flag"))
    }

    fn required_count(&mut self) -> Result<u64, StoreError> {
        to_unsigned(self.integer()?.ok_or_else(|| missing("a number"))?)
    }

    fn required_text(&mut self) -> Result<String, StoreError> {
        self.text()?.ok_or_else(|| missing("a text"))
    }

    fn required_time(&mut self) -> Result<Timestamp, StoreError> {
        self.time()?.ok_or_else(|| missing("a time"))
    }

    /// A text that `parse` understands. One that it does not understand is the database's fault,
    /// not the caller's.
    fn parsed<T>(
        &mut self,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Result<Option<T>, StoreError> {
        parsed(self.text()?.as_deref(), parse)
    }

    fn account(&mut self) -> Result<Option<Account>, StoreError> {
        let (id, mode) = (self.parsed(AccountId::parse)?, self.parsed(Mode::parse)?);
        match (id, mode) {
            (Some(id), Some(mode)) => Ok(Some(Account { id, mode })),
            (None, None) => Ok(None),
            _ => Err(StoreError::Corrupt("an account's id or mode is missing".into())),
        }
    }

    /// A tenant's row of `customer_provisioning`, from the columns of [`StoredRow`]. There is no
    /// row if its version is null.
    fn provisioning_row(&mut self) -> Result<Option<Row>, StoreError> {
        let Some(version) = self.integer()? else {
            return Ok(None);
        };
        let stored = StoredRow {
            version,
            generation: self.integer()?.ok_or_else(|| missing("generation"))?,
            state: self.required_text()?,
            account_id: self.text()?,
            mode: self.text()?,
            stripe_account: self.text()?,
            stripe_version: self.text()?,
            idempotency_key: self.text()?,
            body: self.text()?,
            conclusive_from: self.time()?,
            sent: self.flag()?,
            rejection_code: self.text()?,
            rejection_param: self.text()?,
            rejection_message: self.text()?,
            customer_id: self.text()?,
            opened_at: self.required_time()?,
            attempts: self.integer()?.ok_or_else(|| missing("attempts"))?,
            next_attempt_at: self.required_time()?,
            last_error: self.text()?,
        };
        stored.row().map(Some)
    }

    /// A tenant's view. The cells are `exists, stripe_customer_id, account_id, mode, installation`; then three
    /// lists, of the `customers` that are deleted, that are bound elsewhere and that an operator
    /// has unbound; then the lost generation, and the columns of [`StoredRow`].
    fn view(
        &mut self,
        tenant: &TenantId,
        uuid_keys: bool,
        customers: &[CustomerId],
        now: Timestamp,
    ) -> Result<View, StoreError> {
        let exists = self.required_flag()?;
        let bound = self.parsed(CustomerId::parse)?;
        let account = self.account()?;
        let installation = self.parsed(InstallationId::parse)?;
        let installation = installation
            .ok_or_else(|| StoreError::Corrupt("table installation has lost its row".into()))?;
        let (deleted, elsewhere, unbound) = (self.texts()?, self.texts()?, self.texts()?);
        let facts = |id: &CustomerId| {
            let is_in = |ids: &[String]| ids.iter().any(|it| it == id.as_str());
            CustomerFacts {
                deleted: is_in(&deleted),
                bound_elsewhere: is_in(&elsewhere),
                unbound_by_operator: is_in(&unbound),
            }
        };
        let facts: BTreeMap<_, _> = customers.iter().map(|id| (id.clone(), facts(id))).collect();
        let lost_generation = self.integer()?.map_or(Ok(0), to_unsigned)?;
        let row = self.provisioning_row()?;
        let tenant = tenant.clone();
        Ok(View {
            tenant,
            uuid_keys,
            now,
            exists,
            bound,
            row,
            lost_generation,
            installation,
            account,
            facts,
        })
    }

    /// An entry of a listing, and how many there are. The cells are `total, tenant_id, since, due,
    /// why, customer_id`.
    fn entry(&mut self) -> Result<(u64, Entry), StoreError> {
        let total = self.required_count()?;
        let tenant = self.parsed(TenantId::parse)?.ok_or_else(|| missing("tenant_id"))?;
        let (since, due) = (self.required_time()?, self.time()?);
        let (why, customer) = (self.text()?, self.parsed(CustomerId::parse)?);
        Ok((total, Entry { tenant, since, due, why, customer }))
    }

    /// An event of the audit trail. The cells are `at, kind, generation, customer_id, request_id,
    /// detail`.
    fn event(&mut self) -> Result<AuditEvent, StoreError> {
        let at = self.required_time()?;
        let kind = EventKind::parse(&self.required_text()?);
        let kind = kind
            .ok_or_else(|| StoreError::Corrupt("billing_event.kind is not a known kind".into()))?;
        let event = NewEvent {
            kind,
            generation: self.required_count()?,
            customer: self.parsed(CustomerId::parse)?,
            request_id: self.text()?,
            detail: self.required_text()?,
        };
        Ok(AuditEvent { at, event })
    }

    /// A surplus Customer. The cells are `customer_id, reason, found_at, resolved_at`.
    fn surplus(&mut self) -> Result<Surplus, StoreError> {
        let customer = self.parsed(CustomerId::parse)?.ok_or_else(|| missing("customer_id"))?;
        let reason =
            SurplusReason::parse(&self.required_text()?).ok_or_else(|| missing("reason"))?;
        Ok(Surplus { customer, reason, found_at: self.required_time()?, resolved_at: self.time()? })
    }
}

/// A text from the database, parsed. If `parse` fails, the database is [`StoreError::Corrupt`].
pub(crate) fn parsed<T>(
    text: Option<&str>,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Option<T>, StoreError> {
    text.map(parse).transpose().map_err(|invalid| StoreError::Corrupt(invalid.to_string()))
}

/// The name of the row's state, and the Customer that the row is provisioned with, for a
/// [`History`](tenant_billing_core::audit::History).
pub(crate) fn state_and_customer(row: Option<Row>) -> Option<(&'static str, Option<CustomerId>)> {
    let row = row?;
    let name = row.state.name();
    match row.state {
        State::Provisioned(customer) => Some((name, Some(customer))),
        State::Vacant | State::Pending(_) | State::InDoubt { .. } | State::Rejected(..) => {
            Some((name, None))
        }
    }
}

/// Adds the tenant's id to an error about one of its rows.
pub(crate) fn name_tenant(tenant: &TenantId, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(why) => StoreError::Corrupt(format!("tenant {tenant}: {why}")),
        error => error,
    }
}

/// A text of the host's (what its trigger raises, say) without words that may hold an e-mail address
/// or a key, without control characters, and not too long.
pub(crate) fn without_personal_words(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if looks_personal(word) { "[…]" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(500).collect()
}

fn missing(column: &str) -> StoreError {
    StoreError::Corrupt(format!("{column} is missing, or is not a possible value"))
}

/// A count as a database holds it, with a sign.
pub(crate) fn to_signed(count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(|_| StoreError::Corrupt("a count does not fit in 63 bits".into()))
}

/// The count that a database holds. It must not be negative.
pub(crate) fn to_unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Corrupt("a count is negative".into()))
}

/// A version 4 UUID from these random bits.
pub(crate) fn uuid_of([high, low]: [u64; 2]) -> uuid::Uuid {
    let bytes = u128::from(high) << 64 | u128::from(low);
    uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid()
}

#[cfg(test)]
mod tests;
