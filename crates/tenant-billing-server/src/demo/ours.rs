//! Our program: it embeds the library as any host would, with the recovery worker.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use tenant_billing::{
    Billing, Database, SecretKey, SqliteStore, StripeClient,
    audit::History,
    ids::TenantId,
    ports::{Clock, Store},
};

use super::app::App;
use crate::failure::Failure;

/// `Billing` over a SQLite file and Stripe over HTTP.
pub(super) struct Ours {
    billing: Billing,
}

impl Ours {
    /// Creates the database file with these tenants in it.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn create(
        file: &Path,
        tenants: &[String],
        clock: Arc<dyn Clock>,
    ) -> Result<(), Failure> {
        let store = SqliteStore::open(file)?.with_clock(clock);
        store.migrate().await?;
        let tenants: Result<Vec<_>, _> = tenants.iter().map(|id| TenantId::parse(id)).collect();
        store.add_tenants(&tenants?).await?;
        Ok(())
    }

    /// Starts billing and its recovery worker.
    ///
    /// # Errors
    /// If the store cannot be opened.
    pub(super) fn start(file: &Path, url: &str, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let store = SqliteStore::open(file)?.with_clock(Arc::clone(&clock));
        let key = SecretKey::parse("sk_test_sandbox")?;
        let stripe = StripeClient::new(key).with_clock(clock).with_base(url)?;
        let billing = Billing::new(store, stripe);
        let worker = billing.clone();
        tokio::spawn(async move { worker.run_recovery(std::future::pending()).await });
        Ok(Self { billing })
    }

    /// A tenant's history.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn history(
        file: &Path,
        tenant: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<History, Failure> {
        let store = SqliteStore::open(file)?.with_clock(clock);
        Ok(store.history(&TenantId::parse(tenant)?).await?)
    }
}

#[async_trait]
impl App for Ours {
    async fn customer_of(&self, tenant: &str, email: &str) -> Result<String, String> {
        let customer = self.billing.get_or_create_stripe_customer(tenant, email).await;
        customer.map(|id| id.as_str().to_owned()).map_err(|error| error.to_string())
    }

    async fn background_work(&self) {
        // The worker does this every few seconds, but not while the demo skips a day.
        if let Err(error) = self.billing.recover_once().await {
            tracing::warn!(%error, "recovery failed in the demo");
        }
    }
}
