//! What the store can do beside the port.

use async_trait::async_trait;
use tenant_billing_core::{
    ids::TenantId,
    ports::{Committed, StoreError},
};

use super::{SqliteStore, canonical, read, write};
use crate::database::{Attention, Database, Listing};

#[async_trait]
impl Database for SqliteStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        Self::migrate(self).await
    }

    async fn add_tenants(&self, tenants: &[TenantId]) -> Result<usize, StoreError> {
        let tenants = tenants.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
        self.in_transaction(move |connection, _| {
            Ok((Committed::Yes, write::add_tenants(connection, &tenants)?))
        })
        .await
    }

    async fn list(&self, what: Attention, limit: u32) -> Result<Listing, StoreError> {
        self.on_reader(move |connection, _| read::list(connection, what, limit)).await
    }

    async fn bound_after(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let after = after.map(canonical).transpose()?;
        self.on_reader(move |connection, _| read::bound_after(connection, after.as_ref(), limit))
            .await
    }
}
