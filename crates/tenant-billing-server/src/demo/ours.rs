//! Our contender: the library as anybody would embed it, its recovery worker included.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use tenant_billing::{
    Billing, SecretKey, SqliteStore, StripeClient,
    audit::History,
    ids::TenantId,
    ports::{Clock, Store},
};

use super::app::App;
use crate::exit::Failure;

/// `Billing` over a SQLite file and Stripe over HTTP.
pub(super) struct Ours {
    billing: Billing,
}

impl Ours {
    /// Makes the file, with these tenants in it.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn create(
        file: &Path,
        tenants: &[String],
        clock: Arc<dyn Clock>,
    ) -> Result<(), Failure> {
        let store = SqliteStore::open(file, clock)?;
        store.migrate().await?;
        for tenant in tenants {
            store.add_tenant(&TenantId::parse(tenant)?).await?;
        }
        Ok(())
    }

    /// Starts it, as a program does when it starts.
    ///
    /// # Errors
    /// What the store says.
    pub(super) fn start(file: &Path, url: &str, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let store = Arc::new(SqliteStore::open(file, Arc::clone(&clock))?);
        let key = SecretKey::parse("sk_test_sandbox")?;
        let stripe = Arc::new(StripeClient::new(key, Arc::clone(&clock)).with_base(url)?);
        let billing = Billing::new(store, stripe, clock);
        let worker = billing.clone();
        tokio::spawn(async move { worker.run_recovery(std::future::pending()).await });
        Ok(Self { billing })
    }

    /// All that is on record of a tenant.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn history(
        file: &Path,
        tenant: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<History, Failure> {
        let store = SqliteStore::open(file, clock)?;
        Ok(store.history(&TenantId::parse(tenant)?).await?)
    }
}

#[async_trait]
impl App for Ours {
    async fn customer_of(&self, tenant: &str, email: &str) -> Result<String, String> {
        let customer = self.billing.get_or_create_stripe_customer(tenant, email).await;
        customer.map(|id| id.as_str().to_owned()).map_err(|error| error.to_string())
    }

    async fn work_by_itself(&self) {
        // The worker does the same every few seconds; in a day that is skipped it does not get to it.
        if let Err(error) = self.billing.recover_once().await {
            tracing::warn!(%error, "recovery in the demo");
        }
    }
}
