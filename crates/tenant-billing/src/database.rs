//! What this crate's stores can do beside the port [`Store`]: create their tables, and register
//! tenants.
//!
//! The protocol needs neither, so the port has neither.

use async_trait::async_trait;
use tenant_billing_core::{
    ids::TenantId,
    ports::{Store, StoreError},
};

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

    /// Registers a tenant in the tenants table; `false` if it was registered before.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    async fn add_tenant(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        Ok(self.add_tenants(std::slice::from_ref(tenant)).await? == 1)
    }
}
