//! What the protocol needs of the world: a database, Stripe, and time with chance.
//!
//! Small object-safe traits, so that no generic parameter crosses a crate and a host may bring its
//! own. A new store implements [`Store`] and runs the conformance suite of `tenant-billing`.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    answer::Answer,
    audit::{History, Surplus},
    ids::{AccountId, CustomerId, InstallationId, Invalid, Mode, TenantId},
    request::{Account, FrozenRequest},
    state::{Change, View},
};

/// The database.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes the tables, or brings them up to date; any number of processes may do so at once.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    async fn migrate(&self) -> Result<(), StoreError>;

    /// The one read on the way of a tenant that has its Customer.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn bound(&self, tenant: &TenantId) -> Result<Option<CustomerId>, StoreError>;

    /// Everything about a tenant in one statement, by the database's clock on the primary; with what
    /// is known of `candidate`, if one is given.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn view(
        &self,
        tenant: &TenantId,
        candidate: Option<&CustomerId>,
    ) -> Result<View, StoreError>;

    /// Writes `change` in one transaction if all its conditions hold, else nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] also where the commit's own outcome is unknown.
    async fn commit(&self, change: &Change) -> Result<Committed, StoreError>;

    /// Records that a Customer was deleted in Stripe and, in the same transaction, writes what
    /// [`after`](crate::provisioning::after) makes of that for every tenant that holds or held it.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn record_deletion(&self, customer: &CustomerId) -> Result<(), StoreError>;

    /// The database's own id, and the account that it belongs to: `account` if none was recorded yet.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn identify(&self, account: &Account) -> Result<(InstallationId, Account), StoreError>;

    /// Moves `next_attempt_at` of due rows `hold` ahead and returns whose they are: all that are due
    /// up to `limit`, or `only` that of one tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError>;

    /// What recovery has left to do.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn backlog(&self) -> Result<Backlog, StoreError>;

    /// All that is on record of a tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn history(&self, tenant: &TenantId) -> Result<History, StoreError>;

    /// The surplus Customers on record of a tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn surplus(&self, tenant: &TenantId) -> Result<Vec<Surplus>, StoreError>;

    /// Registers tenants in the tenants table, all or none; how many were not there yet.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn add_tenants(&self, tenants: &[TenantId]) -> Result<usize, StoreError>;

    /// Registers a tenant in the tenants table; `false` if it was there.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn add_tenant(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        Ok(self.add_tenants(std::slice::from_ref(tenant)).await? == 1)
    }
}

/// What became of a [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is written.
    Yes,
    /// A condition did not hold; nothing is written. Read again, and decide again.
    Conflict,
}

/// How many rows are pending or suspect, and when the first of them is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Rows that are neither settled nor at rest.
    pub rows: u64,
    /// When the first of them is due.
    pub next_due: Option<Timestamp>,
    /// The database's clock.
    pub now: Timestamp,
}

/// Why the database could not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is busy, is full, or a commit's outcome is unknown.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Our tables are not there.
    #[error("the tables of tenant-billing are missing; run `tenant-billing migrate`")]
    SchemaMissing,
    /// Our tables are of an older program.
    #[error("the database's schema is older than this program; run `tenant-billing migrate`")]
    SchemaTooOld,
    /// Our tables are of a program that this one is too old for.
    #[error("the database's schema is of a newer tenant-billing; upgrade this program")]
    SchemaTooNew,
    /// The database, or the host's tables in it, are not what they must be.
    #[error("the database is not fit: {0}")]
    Unfit(String),
    /// A row says what no version of this program writes.
    #[error("the database holds what it must not: {0}")]
    Corrupt(String),
    /// The store does not take a tenant id of this form.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Stripe's API, one request a call. Nothing here retries or follows a redirect.
#[async_trait]
pub trait Stripe: Send + Sync + 'static {
    /// The mode of the key in use.
    fn mode(&self) -> Mode;

    /// The account that was declared for `Stripe-Account`, if any.
    fn stripe_account(&self) -> Option<&AccountId>;

    /// `GET /v1/account`.
    async fn account(&self) -> Answer;

    /// `POST /v1/customers`, exactly as frozen. Fails without an answer if its body has not begun to
    /// leave when [`Clock::uptime`] passes `begin_by`.
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

    /// A number that nobody foresees.
    fn random(&self) -> u64;

    /// Waits.
    async fn sleep(&self, time: Duration);
}
