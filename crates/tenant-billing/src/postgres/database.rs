//! What the store can do beside the port.

use std::{iter, time::Duration};

use async_trait::async_trait;
use tenant_billing_core::{
    ids::{InstallationId, TenantId},
    ports::{Registration, Store as _, StoreError},
};
use tokio_postgres::config::Host;

use super::{PostgresStore, installation, read, write};
use crate::{
    database::{Afresh, Attention, Database, Listing, UnusableKey, not_our_own},
    stored::uuid_of,
};

/// How long starting afresh may take, which writes a few rows for each tenant.
const AFRESH_TIMEOUT: Duration = Duration::from_secs(3600);

/// The port where a URL names none, which a message need not name either.
const POSTGRES_PORT: u16 = 5432;

impl PostgresStore {
    /// Which database this is, for messages: its name, its hosts and their ports (unless that is 5432),
    /// and nothing else of the URL.
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
        // There is one port for all hosts, or one for each.
        let ports = config.get_ports().iter().cycle().chain(iter::repeat(&POSTGRES_PORT));
        let hosts = hosts.into_iter().zip(ports).map(|(host, port)| match *port {
            POSTGRES_PORT => host,
            port if host.contains(':') => format!("[{host}]:{port}"),
            port => format!("{host}:{port}"),
        });
        let hosts: Vec<_> = hosts.collect();
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
    ) -> Result<Vec<Result<TenantId, UnusableKey>>, StoreError> {
        self.call(|lease, layout| async move {
            let after = after.map(|tenant| layout.key_type.parse(tenant)).transpose()?;
            read::bound_after(&lease, &layout, after, limit).await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two servers on one machine, a message names the right one.
    #[tokio::test]
    async fn a_place_names_a_port_of_ones_own() {
        for (url, expected) in [
            ("postgres://u:secret@db.example/app", "app on db.example"),
            ("postgres://u:secret@db.example:5432/app", "app on db.example"),
            ("postgres://u:secret@db.example:6432/app", "app on db.example:6432"),
            ("postgres://u@a.example:5433,b.example/app", "app on a.example:5433, b.example"),
            (
                "postgres://u@/?host=a.example,b.example&port=5433",
                "u on a.example:5433, b.example:5433",
            ),
            ("postgres://u@[::1]:5433/app", "app on [::1]:5433"),
        ] {
            let place = PostgresStore::open(url).unwrap().place();
            assert_eq!(place, format!("the database {expected}"));
        }
    }
}
