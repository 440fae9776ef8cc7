//! What the store can do beside the port.

use std::time::Duration;

use async_trait::async_trait;
use tenant_billing_core::{
    ids::{InstallationId, TenantId},
    ports::{Registration, Store as _, StoreError},
};
use tokio_postgres::config::Host;

use super::{PostgresStore, installation, read, write};
use crate::{
    database::{Afresh, Attention, Database, Listing, not_our_own},
    stored::uuid_of,
};

/// How long starting afresh may take, which writes a few rows for each tenant.
const AFRESH_TIMEOUT: Duration = Duration::from_secs(3600);

impl PostgresStore {
    /// Which database this is, for messages: its name and its hosts, and nothing else of the URL.
    pub fn place(&self) -> String {
        let Some(target) = &self.connections.target else {
            return "the database of the application's own pool".to_owned();
        };
        let config = &target.config;
        let hosts = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(directory) => directory.display().to_string(),
        });
        let addresses = config.get_hostaddrs().iter().map(ToString::to_string);
        let mut hosts: Vec<_> = hosts.collect();
        if hosts.is_empty() {
            hosts.extend(addresses);
        }
        // Without a name, PostgreSQL takes the user's.
        let name = config.get_dbname().or(config.get_user()).unwrap_or("of the user's name");
        format!("the database {name} on {}", hosts.join(", "))
    }

    /// Whether [`PostgresStore::migrate`] has made the tenants table, so that nobody else registers
    /// tenants there in a way of their own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn made_tenants(&self) -> Result<bool, StoreError> {
        self.call(|lease, layout| async move {
            match &layout.tenants {
                Some(table) => read::is_ours(&lease, table).await,
                None => Ok(false),
            }
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

    async fn ignore_installation(&self, other: &InstallationId) -> Result<bool, StoreError> {
        not_our_own(other, &self.registration().await?)?;
        self.call(|lease, _| async move {
            lease.begin().await?;
            let new = installation::ignore(&lease, other).await?;
            lease.commit().await?;
            Ok(new)
        })
        .await
    }

    async fn installation_moved(&self) -> Result<(), StoreError> {
        self.call(|lease, _| async move { installation::moved(&lease).await }).await
    }

    async fn start_afresh(&self, how: Afresh) -> Result<Registration, StoreError> {
        let id = &uuid_of([self.clock.random(), self.clock.random()]).to_string();
        self.recently.forget();
        self.call_within(AFRESH_TIMEOUT, |lease, layout| async move {
            lease.begin().await?;
            let now = installation::start_afresh(&lease, &layout, how, id).await?;
            lease.commit().await?;
            Ok(now)
        })
        .await
    }

    async fn count_bound(&self) -> Result<u64, StoreError> {
        self.call(|lease, layout| async move { installation::count_bound(&lease, &layout).await })
            .await
    }

    async fn list(&self, what: Attention, limit: u32) -> Result<Listing, StoreError> {
        self.call(|lease, _| async move { read::list(&lease, what, limit).await }).await
    }

    async fn bound_after(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        self.call(|lease, layout| async move {
            let after = after.map(|tenant| layout.key_type.parse(tenant)).transpose()?;
            read::bound_after(&lease, &layout, after.as_ref(), limit).await
        })
        .await
    }
}
