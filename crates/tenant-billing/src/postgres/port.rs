//! What the store can do: the port of the protocol, and what goes beside it.

use std::time::Duration;

use async_trait::async_trait;
use tenant_billing_core::{
    audit::{History, Surplus},
    ids::{CustomerId, InstallationId, TenantId},
    ports::{Backlog, Committed, Store, StoreError},
    request::Account,
    state::{Change, View},
};

use super::{PostgresStore, read, write};
use crate::database::Database;

/// How often recording a deletion is tried while its tenant's row keeps changing.
const DELETION_ATTEMPTS: usize = 10;

#[async_trait]
impl Store for PostgresStore {
    async fn bound(&self, tenant: &TenantId) -> Result<Option<CustomerId>, StoreError> {
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

    async fn identify(&self, account: &Account) -> Result<(InstallationId, Account), StoreError> {
        self.call(|lease, _| async move {
            let (installation, mut recorded) = read::identity(&lease).await?;
            if recorded.is_none() {
                lease.begin().await?;
                write::record_account(&lease, account).await?;
                lease.commit().await?;
                recorded = read::identity(&lease).await?.1;
            }
            let lost = || StoreError::Corrupt("table stripe_account has lost its row".into());
            Ok((installation, recorded.ok_or_else(lost)?))
        })
        .await
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

#[async_trait]
impl Database for PostgresStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        Self::migrate(self).await
    }

    async fn add_tenants(&self, tenants: &[TenantId]) -> Result<usize, StoreError> {
        self.call(|lease, layout| async move {
            let canonical = |tenant: &TenantId| layout.key_type.parse(tenant)?.tenant();
            let tenants = tenants.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
            lease.begin().await?;
            write::add_tenants(&lease, &layout, &tenants).await
        })
        .await
    }
}
