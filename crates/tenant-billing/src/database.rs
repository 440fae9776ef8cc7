//! What this crate's stores can do beside the port [`Store`]: create their tables, register
//! tenants, and show an operator what is in them.
//!
//! The protocol needs none of that, so the port has none of it.

use async_trait::async_trait;
use jiff::Timestamp;
use tenant_billing_core::{
    ids::{CustomerId, TenantId},
    ports::{Store, StoreError},
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

/// A store whose tables this crate creates.
#[async_trait]
pub trait Database: Store {
    /// Creates our tables, or brings them up to date. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    async fn migrate(&self) -> Result<(), StoreError>;

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
    /// column's keys, from the one that comes after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn bound_after(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError>;

    /// Registers a tenant in the tenants table; `false` if it was registered before.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    async fn add_tenant(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        Ok(self.add_tenants(std::slice::from_ref(tenant)).await? == 1)
    }
}
