//! A Stripe over HTTP, a SQLite file, and the binary run against both.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use stripe_sandbox::Sandbox;
use tempfile::TempDir;
use tenant_billing::{
    SqliteStore, SystemClock,
    ids::TenantId,
    ports::{Clock, Store},
};
use tokio::runtime::Runtime;

/// Any well-formed key will do.
pub(crate) const KEY: &str = "sk_test_1";

/// Where a test takes place. When it ends, whatever else was tested, no tenant may have two
/// Customers.
pub(crate) struct Stage {
    pub(crate) runtime: Runtime,
    pub(crate) sandbox: Sandbox,
    directory: TempDir,
    clock: Arc<dyn Clock>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let sandbox = runtime.block_on(Sandbox::start()).unwrap();
        let directory = TempDir::new().unwrap();
        Self { runtime, sandbox, directory, clock: SystemClock::shared() }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("test.db")
    }

    /// The binary with these arguments, on this database and with this Stripe.
    pub(crate) fn binary(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenant-billing"));
        command
            .args(arguments)
            .env("DATABASE_URL", format!("sqlite:{}", self.database().display()))
            .env("STRIPE_SECRET_KEY", KEY)
            .env("STRIPE_API_BASE", self.sandbox.url())
            .env_remove("STRIPE_ACCOUNT")
            .env_remove("RUST_LOG");
        command
    }

    /// So many new tenants.
    pub(crate) fn tenants(&self, count: usize) -> Vec<String> {
        let id = |number: usize| format!("00000000-0000-4000-8000-{number:012x}");
        let tenants: Vec<String> = (0..count).map(id).collect();
        let mut arguments = vec!["tenant", "add"];
        arguments.extend(tenants.iter().map(String::as_str));
        let output = self.binary(&arguments).output().unwrap();
        assert_eq!(text(&output), (0, format!("added {count}\n"), String::new()));
        tenants
    }

    pub(crate) fn sleep(&self, time: Duration) {
        self.runtime.block_on(self.clock.sleep(time));
    }

    /// The live Customers in Stripe, by tenant.
    pub(crate) fn customers(&self) -> BTreeMap<String, Vec<String>> {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for customer in self.sandbox.customers().into_iter().filter(|it| !it.deleted) {
            all.entry(customer.metadata["tenantId"].clone()).or_default().push(customer.id);
        }
        all
    }

    /// Asserts that each Customer in Stripe is bound to its tenant, and none is there twice.
    pub(crate) fn assert_all_bound(&self) {
        let store = SqliteStore::open(self.database(), Arc::clone(&self.clock)).unwrap();
        for (tenant, customers) in self.customers() {
            let tenant = TenantId::parse(&tenant).unwrap();
            let bound = self.runtime.block_on(store.bound(&tenant)).unwrap();
            let bound: Vec<_> = bound.iter().map(|it| it.as_str().to_owned()).collect();
            assert_eq!(customers, bound, "{tenant}");
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let customers = self.customers();
            let ids: HashSet<_> = customers.values().flatten().collect();
            assert_eq!(ids.len(), customers.len(), "a tenant has two Customers");
        }
    }
}

/// Exit code, standard output, standard error.
pub(crate) fn text(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}
