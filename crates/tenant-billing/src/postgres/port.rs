//! The port of the protocol.

use std::time::Duration;

use async_trait::async_trait;
use tenant_billing_core::{
    audit::{History, Surplus},
    ids::{CustomerId, InstallationId, TenantId},
    ports::{Backlog, Binding, Committed, Registration, Store, StoreError},
    request::Account,
    state::{Change, View},
};

use super::{PostgresStore, installation, read, write};

/// How often recording a deletion is tried while its tenant's row keeps changing.
const DELETION_ATTEMPTS: usize = 10;

#[async_trait]
impl Store for PostgresStore {
    async fn binding(&self, tenant: &TenantId) -> Result<Option<Binding>, StoreError> {
        let key = self.layout().await?.key_type.parse(tenant)?;
        let store = self.clone();
        self.lookups.find(key, move |keys| store.clone().look_up(keys)).await
    }

    async fn view(&self, tenant: &TenantId, customers: &[CustomerId]) -> Result<View, StoreError> {
        self.call(|lease, layout| async move {
            read::view(&lease, &layout, &layout.key_type.parse(tenant)?, customers).await
        })
        .await
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        self.call(|lease, layout| async move {
            lease.begin().await?;
            let committed = write::apply(&lease, &layout, change).await?;
            write::end(&lease, &layout, committed).await
        })
        .await
    }

    async fn record_deletion(&self, customer: &CustomerId) -> Result<(), StoreError> {
        for _ in 0..DELETION_ATTEMPTS {
            let recorded = self.call(|lease, layout| async move {
                lease.begin().await?;
                let recorded = write::record_deletion(&lease, &layout, customer).await?;
                write::end(&lease, &layout, recorded).await
            });
            if recorded.await? == Committed::Yes {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("the tenant of a deleted Customer keeps changing".into()))
    }

    async fn registration(&self) -> Result<Registration, StoreError> {
        self.call(|lease, _| async move { installation::registration(&lease).await }).await
    }

    async fn register(
        &self,
        installation: &InstallationId,
        account: &Account,
        key: Option<&str>,
    ) -> Result<Registration, StoreError> {
        self.call(|lease, _| async move {
            lease.begin().await?;
            let now = installation::register(&lease, installation, account, key).await?;
            lease.commit().await?;
            Ok(now)
        })
        .await
    }

    async fn ignored_installations(&self) -> Result<Vec<InstallationId>, StoreError> {
        self.call(|lease, _| async move { installation::ignored(&lease).await }).await
    }

    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        self.call(|lease, layout| async move {
            let only = only.map(|tenant| layout.key_type.parse(tenant)?.tenant()).transpose()?;
            lease.begin().await?;
            let claimed = write::claim(&lease, only.as_ref(), hold, limit).await?;
            lease.commit().await?;
            Ok(claimed)
        })
        .await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.call(|lease, _| async move { read::backlog(&lease).await }).await
    }

    async fn history(&self, tenant: &TenantId) -> Result<History, StoreError> {
        self.call(|lease, layout| async move {
            read::history(&lease, &layout, &layout.key_type.parse(tenant)?).await
        })
        .await
    }

    async fn surplus(&self, tenant: &TenantId) -> Result<Vec<Surplus>, StoreError> {
        self.call(|lease, layout| async move {
            let tenant = layout.key_type.parse(tenant)?.tenant()?;
            read::surplus(&lease, &tenant).await
        })
        .await
    }
}
