//! What the protocol needs of the world: a database, Stripe, and a clock with a source of chance.
//!
//! The ports are small object-safe traits, so that no generic parameter crosses a crate and a host
//! may bring its own. A new store implements [`Store`] and runs the conformance suite of
//! `tenant-billing`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    answer::Answer,
    audit::{History, Surplus},
    ids::{AccountId, CustomerId, InstallationId, Invalid, Mode, TenantId},
    request::{Account, FrozenRequest},
    state::{Change, View},
};

/// The database. Every method may fail with a [`StoreError`], and then nothing is changed, except
/// where a method says otherwise.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The Customer that is bound to a tenant, and the account that the database belongs to: the one
    /// read of a call that finds one.
    async fn binding(&self, tenant: &TenantId) -> Result<Option<Binding>, StoreError>;

    /// The Customer that is bound to a tenant, for a caller who calls no Stripe.
    async fn bound(&self, tenant: &TenantId) -> Result<Option<CustomerId>, StoreError> {
        Ok(self.binding(tenant).await?.map(|binding| binding.customer))
    }

    /// Everything about a tenant, and the facts of these Customers, in one statement, by the
    /// database's clock on the primary.
    async fn view(&self, tenant: &TenantId, customers: &[CustomerId]) -> Result<View, StoreError>;

    /// Writes `change` in one transaction if all its conditions hold, and otherwise nothing. On
    /// [`StoreError::Unavailable`] the outcome of the commit may be unknown.
    async fn commit(&self, change: &Change) -> Result<Committed, StoreError>;

    /// Records that a Customer was deleted in Stripe and writes, in the same transaction, what
    /// [`deletion`](crate::decide::deletion) says for every tenant that holds or held it.
    async fn record_deletion(&self, customer: &CustomerId) -> Result<(), StoreError>;

    /// Who this database is, by its own records.
    async fn registration(&self) -> Result<Registration, StoreError>;

    /// Records that the database belongs to this account, unless it belongs to one already, and that
    /// the key of this fingerprint opens it. Returns the database's own id, and the account on
    /// record.
    async fn register(
        &self,
        account: &Account,
        key: Option<&str>,
    ) -> Result<(InstallationId, Account), StoreError>;

    /// The installations that an operator has declared to be other applications.
    async fn ignored_installations(&self) -> Result<Vec<InstallationId>, StoreError>;

    /// Moves `next_attempt_at` of due rows to `hold` from now and returns their tenants: up to
    /// `limit` of all tenants, or `only` one of them.
    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError>;

    /// What recovery has left to do.
    async fn backlog(&self) -> Result<Backlog, StoreError>;

    /// All that is on record of a tenant.
    async fn history(&self, tenant: &TenantId) -> Result<History, StoreError>;

    /// The surplus Customers on record of a tenant.
    async fn surplus(&self, tenant: &TenantId) -> Result<Vec<Surplus>, StoreError>;
}

/// A Customer that is bound to a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The Customer.
    pub customer: CustomerId,
    /// The account and mode that the database belongs to, once that is recorded. The Customer is
    /// theirs.
    pub account: Option<Account>,
}

/// Who a database is, by its own records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The database's own id.
    pub installation: InstallationId,
    /// The account that it belongs to, once that is recorded.
    pub account: Option<Account>,
    /// The fingerprints of the keys that are known to open that account.
    pub keys: Vec<String>,
    /// Whether its records were made in another database: this one is a copy, or was moved.
    pub copied: bool,
}

/// Whether a [`Change`] was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is written.
    Yes,
    /// A condition did not hold, so nothing is written. The caller reads again and decides again.
    Conflict,
}

/// What recovery has left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// How many rows are pending or in doubt.
    pub rows: u64,
    /// When the first of them is due.
    pub next_due: Option<Timestamp>,
    /// The database's clock.
    pub now: Timestamp,
}

/// Why the database could not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is busy or full, or the outcome of a commit is unknown.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Our tables do not exist.
    #[error("the tables of tenant-billing are missing; run its migrations")]
    SchemaMissing,
    /// Our tables were made by an older program.
    #[error("the database's schema is older than this program; run its migrations")]
    SchemaTooOld,
    /// Our tables were made by a program that this one is too old for.
    #[error("the database's schema is of a newer tenant-billing; upgrade this program")]
    SchemaTooNew,
    /// The database, or the host's tables in it, do not meet our requirements.
    #[error("the database does not meet the requirements: {0}")]
    SchemaMismatch(String),
    /// No TLS connection to the database can be made as its URL demands: a certificate or a key of
    /// one side, or a file that the URL names. The text says which, and what to do.
    #[error("no TLS connection to the database: {0}")]
    Tls(String),
    /// The host's own tables, or a trigger or rule on them, refuse a write or swallow it. The text
    /// names the table, and the column or constraint where the database says it.
    #[error("the host's own table refuses what must be written: {0}")]
    Refused(String),
    /// A row holds what no version of this program writes.
    #[error("the database holds what no version of tenant-billing writes: {0}")]
    Corrupt(String),
    /// The store does not accept a tenant id of this form.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Stripe's API, one request a call. Nothing here retries or follows a redirect.
#[async_trait]
pub trait Stripe: Send + Sync + 'static {
    /// The clock that `begin_by` of [`Stripe::create_customer`] is measured on. The whole of
    /// [`Billing`](crate::Billing) uses it.
    fn clock(&self) -> Arc<dyn Clock>;

    /// The mode of the key in use.
    fn mode(&self) -> Mode;

    /// The account that was declared for `Stripe-Account`, if any.
    fn stripe_account(&self) -> Option<&AccountId>;

    /// A keyed hash of all that decides which account requests act on (the key, the base URL, the
    /// declared account), from which none of them can be told. A database remembers which account it
    /// opened, so that a process which starts for one call need not ask. `None`: it asks each time.
    fn fingerprint(&self, installation: &InstallationId) -> Option<String>;

    /// `GET /v1/account`.
    async fn account(&self) -> Answer;

    /// `POST /v1/customers`, exactly as frozen. Fails without an answer if its body has not begun
    /// to leave when [`Clock::uptime`] passes `begin_by`.
    async fn create_customer(&self, request: &FrozenRequest, begin_by: Duration) -> Answer;

    /// `GET /v1/customers/{id}`.
    async fn retrieve_customer(&self, customer: &CustomerId) -> Answer;

    /// `GET /v1/customers?email=…`, a page of 100 that starts after `after`.
    async fn list_customers(&self, email: &str, after: Option<&CustomerId>) -> Answer;

    /// `GET /v1/customers/search?query=…`, a page of 100.
    async fn search_customers(&self, query: &str, page: Option<&str>) -> Answer;

    /// `GET /v1/events?type=customer.created`, a page of 100 created at or after `since`.
    async fn list_created_events(&self, since: Timestamp, after: Option<&str>) -> Answer;
}

/// Time and chance, the two things that would make a run unrepeatable.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment, never set back, counting on while the machine is suspended.
    fn uptime(&self) -> Duration;

    /// A random number.
    fn random(&self) -> u64;

    /// Waits.
    async fn sleep(&self, time: Duration);
}
