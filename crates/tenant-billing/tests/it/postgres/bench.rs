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

/// The Customers' ids in a column of the tenants table, and names in camel case.
const ONE_TABLE: &str = "
    CREATE TABLE \"Organization\" (id bigint PRIMARY KEY, \"stripeCustomerId\" text UNIQUE,
        \"updatedAt\" timestamp NOT NULL DEFAULT now());";

struct PostgresBench {
    database: Database,
    host: Host,
}

/// Who has made the tables.
#[derive(Clone, Copy, PartialEq)]
enum Host {
    Ours,
    /// A host whose keys are of this type.
    Keys(&'static str),
    OneTable,
}

impl PostgresBench {
    async fn fresh(host: Host) -> Self {
        let database = Database::fresh().await;
        match host {
            Host::Ours => {}
            Host::Keys(key) => database.run(&HOST.replace("TYPE", key)).await,
            Host::OneTable => database.run(ONE_TABLE).await,
        }
        Self { database, host }
    }

    fn tenants(&self) -> &'static str {
        match self.host {
            Host::Ours => "tenants",
            Host::Keys(_) => "organizations",
            Host::OneTable => "\"Organization\"",
        }
    }
}

#[async_trait]
impl Bench for PostgresBench {
    async fn open(&self) -> Arc<dyn tenant_billing::Database> {
        let store = PostgresStore::open(&self.database.url()).unwrap();
        let store = store.with_tenants_table(self.tenants()).unwrap();
        if self.host != Host::OneTable {
            return Arc::new(store);
        }
        let store = store.with_tenant_config_table("Organization").unwrap();
        let store = store.with_tenant_column("id").unwrap();
        Arc::new(store.with_customer_column("stripeCustomerId").unwrap())
    }

    fn tenant(&self, number: u32) -> TenantId {
        let text = match self.host {
            Host::Ours => format!("abcdef00-0000-4000-8000-{number:012}"),
            Host::Keys("text" | "char(20)") => format!("Org/{number}"),
            Host::Keys(_) | Host::OneTable => number.to_string(),
        };
        TenantId::parse(&text).unwrap()
    }

    fn respelled(&self, tenant: &TenantId) -> Option<TenantId> {
        let text = match self.host {
            Host::Ours => format!("{{{}}}", tenant.as_str().to_uppercase()),
            Host::Keys("text" | "char(20)") => return None,
            Host::Keys(_) | Host::OneTable => format!("00{tenant}"),
        };
        TenantId::parse(&text).ok()
    }

    async fn remove_tenant(&self, tenant: &TenantId) {
        self.database.run(&format!("DELETE FROM {} WHERE id = '{tenant}'", self.tenants())).await;
    }

    async fn set_column(&self, tenant: &TenantId, customer: Option<&CustomerId>) {
        let customer = customer.map_or("NULL".into(), |customer| format!("'{customer}'"));
        let sql = match self.host {
            Host::OneTable => format!(
                "INSERT INTO \"Organization\" (id, \"stripeCustomerId\") VALUES ('{tenant}', {customer})
                 ON CONFLICT (id) DO UPDATE
                 SET \"stripeCustomerId\" = excluded.\"stripeCustomerId\""
            ),
            Host::Ours | Host::Keys(_) => format!(
                "INSERT INTO tenant_config (tenant_id, stripe_customer_id, created_at, updated_at)
                 VALUES ('{tenant}', {customer}, now(), now())
                 ON CONFLICT (tenant_id) DO UPDATE
                 SET stripe_customer_id = excluded.stripe_customer_id"
            ),
        };
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
            if self.host == Host::OneTable { self.tenants() } else { "tenant_config" },
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

async fn conforms(host: Host) {
    conformance::run(|| PostgresBench::fresh(host)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms() {
    conforms(Host::Ours).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms_with_text_keys() {
    conforms(Host::Keys("text")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms_with_padded_keys() {
    conforms(Host::Keys("char(20)")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms_with_numbers_for_keys() {
    conforms(Host::Keys("integer")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms_with_numerics_for_keys() {
    conforms(Host::Keys("numeric(20, 0)")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms_with_one_table() {
    conforms(Host::OneTable).await;
}
