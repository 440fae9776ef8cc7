//! What the store can do beside the port.

use async_trait::async_trait;
use tenant_billing_core::{
    ids::{InstallationId, TenantId},
    ports::{Committed, Registration, Store as _, StoreError},
};

use super::{SqliteStore, canonical, installation, read, write};
use crate::database::{Afresh, Attention, Database, Listing, UnusableKey, not_our_own};

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

    async fn ignore_installation(&self, other: &InstallationId) -> Result<bool, StoreError> {
        not_our_own(other, &self.registration().await?)?;
        let other = other.clone();
        self.in_transaction(move |connection, now| {
            Ok((Committed::Yes, installation::ignore(connection, &other, now)?))
        })
        .await
    }

    async fn installation_moved(&self) -> Result<(), StoreError> {
        // A file is the same wherever it is.
        Ok(())
    }

    async fn start_afresh(&self, how: Afresh) -> Result<Registration, StoreError> {
        self.recently.forget();
        let id = self.random_uuid();
        self.in_transaction(move |connection, now| {
            installation::start_afresh(connection, how, &id, now)?;
            Ok((Committed::Yes, installation::registration(connection)?))
        })
        .await
    }

    async fn count_bound(&self) -> Result<u64, StoreError> {
        self.on_reader(|connection, _| installation::count_bound(connection)).await
    }

    async fn list(&self, what: Attention, limit: u32) -> Result<Listing, StoreError> {
        self.on_reader(move |connection, _| read::list(connection, what, limit)).await
    }

    async fn bound_after(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<Result<TenantId, UnusableKey>>, StoreError> {
        let after = after.map(canonical).transpose()?;
        self.on_reader(move |connection, _| read::bound_after(connection, after.as_ref(), limit))
            .await
    }
}
