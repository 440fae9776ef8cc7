//! What this crate's stores can do beside the port [`Store`]: create their tables, register tenants,
//! say which application's database this is, and show an operator what is in it.
//!
//! The protocol needs none of that, so the port has none of it.

use async_trait::async_trait;
use jiff::Timestamp;
use tenant_billing_core::{
    ids::{CustomerId, InstallationId, Invalid, TenantId},
    ports::{Registration, Store, StoreError},
};

/// What an operator may have to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// Tenants whose request may have created a Customer, which an inquiry has to find.
    InDoubt,
    /// Tenants whose request is being sent, or will be.
    Pending,
    /// Tenants whose request Stripe refuses for good.
    Rejected,
    /// Customers in Stripe that must not exist, one entry each.
    Surplus,
}

impl Attention {
    /// `in_doubt`, `pending`, `rejected` or `surplus`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InDoubt => "in_doubt",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Surplus => "surplus",
        }
    }
}

/// The oldest entries of one kind, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// At most as many as were asked for, the oldest first.
    pub entries: Vec<Entry>,
    /// How many there are in all.
    pub total: u64,
}

/// A key of the host's own to which a Customer is bound, and which no call accepts as a tenant id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tenant id {key:?} {why}")]
pub struct UnusableKey {
    /// The key, shortened to 200 characters.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

/// A tenant, or a surplus Customer, that an operator may have to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The tenant, in the database's spelling.
    pub tenant: TenantId,
    /// When the request was frozen, or the surplus Customer found.
    pub since: Timestamp,
    /// When recovery takes it up next; `None` if only a caller or an operator can go on.
    pub due: Option<Timestamp>,
    /// What went wrong last, or what Stripe said, or why the Customer is surplus. Without personal
    /// data.
    pub why: Option<String>,
    /// The surplus Customer.
    pub customer: Option<CustomerId>,
}

/// Why a database starts afresh, and with which Customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afresh {
    /// It is to belong to another Stripe account or mode, where none of its Customers exist: every
    /// binding is forgotten, and the next call records the account.
    OtherAccount,
    /// It is a copy that lives beside its original, on the same account, with the original's
    /// Customers: both hand out the same ones.
    CopyKeepingBindings,
    /// It is a copy that lives beside its original, on the same account, and each of its tenants is
    /// to get a Customer of its own.
    CopyForgettingBindings,
}

impl Afresh {
    pub(crate) fn forgets_bindings(self) -> bool {
        match self {
            Self::OtherAccount | Self::CopyForgettingBindings => true,
            Self::CopyKeepingBindings => false,
        }
    }

    pub(crate) fn forgets_account(self) -> bool {
        self == Self::OtherAccount
    }

    /// What the audit trail says of each tenant.
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::OtherAccount => "the database was given to another account or mode",
            Self::CopyKeepingBindings | Self::CopyForgettingBindings => {
                "the database is a copy, and was given an installation id of its own"
            }
        }
    }
}

/// # Errors
/// [`Invalid`] for field `installation` if `other` is this database's own id.
pub(crate) fn not_our_own(other: &InstallationId, ours: &Registration) -> Result<(), Invalid> {
    match *other == ours.installation {
        true => Err(Invalid::new("installation", "is this database's own id")),
        false => Ok(()),
    }
}

/// A store whose tables this crate creates.
#[async_trait]
pub trait Database: Store {
    /// Creates our tables, or brings them up to date. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    async fn migrate(&self) -> Result<(), StoreError>;

    /// Records that an installation is another application, so that its Customers, for tenants that
    /// happen to have the same ids, are passed over; `false` if that was on record.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for field `installation` if it is this database's own; [`StoreError`].
    async fn ignore_installation(&self, other: &InstallationId) -> Result<bool, StoreError>;

    /// Records that this database is the one that its records were made in, moved here: the other
    /// one is used no more.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    async fn installation_moved(&self) -> Result<(), StoreError>;

    /// Gives this database a new installation id, since what its records say is not its own. Work
    /// that is under way is given up, and surplus Customers are left to the original. The audit trail
    /// stays. No other process may use the database meanwhile.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    async fn start_afresh(&self, how: Afresh) -> Result<Registration, StoreError>;

    /// How many tenants have a Customer bound to them.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn count_bound(&self) -> Result<u64, StoreError>;

    /// Registers tenants in the tenants table, all or none, and returns how many were new.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    async fn add_tenants(&self, tenants: &[TenantId]) -> Result<usize, StoreError>;

    /// What an operator may have to look at, at most `limit` entries.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn list(&self, what: Attention, limit: u32) -> Result<Listing, StoreError>;

    /// The tenants to which a Customer is bound, at most `limit` of them, in the order of the
    /// column's keys, from the one that comes after `after`. Between them are the keys of the host's
    /// that are no tenant id. A page without a tenant is the last.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn bound_after(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<Result<TenantId, UnusableKey>>, StoreError>;

    /// Registers a tenant in the tenants table; `false` if it was registered before.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    async fn add_tenant(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        Ok(self.add_tenants(std::slice::from_ref(tenant)).await? == 1)
    }
}
