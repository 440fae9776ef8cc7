//! The conformance suite, on every kind of key that a host may have.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;
use tenant_billing::{
    PostgresStore,
    conformance::{self, Bench},
    ids::{CustomerId, TenantId},
};

use super::server::{Database, block};

/// A host's tables with keys of another type than ours.
const HOST: &str = "
    CREATE TABLE organizations (id TYPE PRIMARY KEY);
    CREATE TABLE tenant_config (
        id bigserial PRIMARY KEY,
        tenant_id TYPE NOT NULL UNIQUE REFERENCES organizations (id) ON DELETE CASCADE,
        stripe_customer_id text UNIQUE,
        created_at timestamp NOT NULL,
        updated_at timestamp NOT NULL
    );";

struct PostgresBench {
    database: Database,
    /// The host's own type of key, where the host has made the tables.
    key: Option<&'static str>,
}

impl PostgresBench {
    async fn fresh(key: Option<&'static str>) -> Self {
        let database = Database::fresh().await;
        if let Some(key) = key {
            database.run(&HOST.replace("TYPE", key)).await;
        }
        Self { database, key }
    }

    fn tenants(&self) -> &'static str {
        if self.key.is_some() { "organizations" } else { "tenants" }
    }
}

#[async_trait]
impl Bench for PostgresBench {
    async fn open(&self) -> Arc<dyn tenant_billing::Database> {
        let store = PostgresStore::open(&self.database.url()).unwrap();
        Arc::new(store.with_tenants_table(self.tenants()).unwrap())
    }

    fn tenant(&self, number: u32) -> TenantId {
        let text = match self.key {
            None => format!("abcdef00-0000-4000-8000-{number:012}"),
            Some("text") => format!("Org/{number}"),
            Some(_) => number.to_string(),
        };
        TenantId::parse(&text).unwrap()
    }

    fn respelled(&self, tenant: &TenantId) -> Option<TenantId> {
        let text = match self.key {
            None => format!("{{{}}}", tenant.as_str().to_uppercase()),
            Some("text") => return None,
            Some(_) => format!("00{tenant}"),
        };
        TenantId::parse(&text).ok()
    }

    async fn remove_tenant(&self, tenant: &TenantId) {
        self.database.run(&format!("DELETE FROM {} WHERE id = '{tenant}'", self.tenants())).await;
    }

    async fn set_column(&self, tenant: &TenantId, customer: Option<&CustomerId>) {
        let customer = customer.map_or("NULL".into(), |customer| format!("'{customer}'"));
        let sql = format!(
            "INSERT INTO tenant_config (tenant_id, stripe_customer_id, created_at, updated_at)
             VALUES ('{tenant}', {customer}, now(), now())
             ON CONFLICT (tenant_id) DO UPDATE
             SET stripe_customer_id = excluded.stripe_customer_id"
        );
        self.database.run(&sql).await;
    }

    async fn lose_row(&self, tenant: &TenantId) {
        let sql = format!("DELETE FROM customer_provisioning WHERE tenant_id = '{tenant}'");
        self.database.run(&sql).await;
    }

    async fn dump(&self) -> String {
        let mut text = String::new();
        for table in [
            "customer_provisioning",
            "billing_event",
            "deleted_customer",
            "surplus_customer",
            "stripe_account",
            "installation",
            "tenant_config",
        ] {
            for row in self.database.rows(&format!("TABLE {table}")).await {
                text.push_str(&format!("{table}: {row:?}\n"));
            }
        }
        text
    }

    fn advance(&self, by: SignedDuration) {
        block(self.database.advance(by.unsigned_abs()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms() {
    conformance::run(|| PostgresBench::fresh(None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms_with_text_keys() {
    conformance::run(|| PostgresBench::fresh(Some("text"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms_with_numbers_for_keys() {
    conformance::run(|| PostgresBench::fresh(Some("integer"))).await;
}
