//! The surroundings of a test: a simulated Stripe over HTTP, a database, and the program.

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
    PostgresStore, SqliteStore, SystemClock,
    ids::TenantId,
    ports::{Clock, Store},
};
use tokio::runtime::Runtime;

use crate::server::Database;

/// A secret key. The sandbox accepts any well-formed one.
pub(crate) const KEY: &str = "sk_test_1";

/// The surroundings of a test. When it is dropped, it asserts that no tenant has two Customers.
pub(crate) struct Stage {
    pub(crate) runtime: Runtime,
    pub(crate) sandbox: Sandbox,
    directory: TempDir,
    /// The database on a server; without one, the database is the file in the directory.
    server: Option<Database>,
    clock: Arc<dyn Clock>,
}

impl Stage {
    /// A stage with a SQLite file.
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let sandbox = runtime.block_on(Sandbox::start()).unwrap();
        let directory = TempDir::new().unwrap();
        Self { runtime, sandbox, directory, server: None, clock: SystemClock::shared() }
    }

    /// A stage with a database on a PostgreSQL server, not migrated yet.
    pub(crate) fn on_empty_server() -> Self {
        let mut stage = Self::new();
        stage.server = Some(stage.runtime.block_on(Database::fresh()));
        stage
    }

    /// A stage with a migrated database on a PostgreSQL server.
    pub(crate) fn on_server() -> Self {
        let stage = Self::on_empty_server();
        let output = stage.binary(&["migrate"]).output().unwrap();
        let message = "the database is up to date\n".to_owned();
        assert_eq!(text(&output), (0, message, String::new()));
        stage
    }

    /// A stage on each kind of database, migrated.
    pub(crate) fn of_each_kind() -> [Self; 2] {
        [Self::new(), Self::on_server()]
    }

    /// Runs the program with these arguments: exit code, standard output, standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        text(&self.binary(arguments).output().unwrap())
    }

    /// The database on the server.
    pub(crate) fn server(&self) -> &Database {
        self.server.as_ref().expect("this stage is on a server")
    }

    /// A file beside the database.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The SQLite file.
    pub(crate) fn database(&self) -> PathBuf {
        self.file("test.db")
    }

    pub(crate) fn url(&self) -> String {
        match &self.server {
            Some(database) => database.url(),
            None => format!("sqlite:{}", self.database().display()),
        }
    }

    /// The program with these arguments, this database and this Stripe.
    pub(crate) fn binary(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenant-billing"));
        command
            .args(arguments)
            .env("DATABASE_URL", self.url())
            .env("STRIPE_SECRET_KEY", KEY)
            .env("STRIPE_API_BASE", self.sandbox.url())
            .env_remove("DATABASE_DIRECT_URL")
            .env_remove("DATABASE_POOL_SIZE")
            .env_remove("TENANTS_TABLE")
            .env_remove("TENANT_CONFIG_TABLE")
            .env_remove("TENANT_CONFIG_TENANT_COLUMN")
            .env_remove("TENANT_CONFIG_CUSTOMER_COLUMN")
            .env_remove("STRIPE_ACCOUNT")
            .env_remove("RUST_LOG");
        command
    }

    /// Registers this many tenants.
    pub(crate) fn tenants(&self, count: usize) -> Vec<String> {
        let id = |number: usize| format!("00000000-0000-4000-8000-{number:012x}");
        let tenants: Vec<String> = (0..count).map(id).collect();
        let list = self.file("tenants");
        std::fs::write(&list, tenants.join("\n")).unwrap();
        let list = std::fs::File::open(list).unwrap();
        let output = self.binary(&["tenant", "add", "-"]).stdin(list).output().unwrap();
        assert_eq!(text(&output), (0, format!("added {count}\n"), String::new()));
        tenants
    }

    /// Lets this many hours pass, in the database on the server and at Stripe.
    #[cfg(feature = "failpoints")]
    pub(crate) fn hours_pass(&self, hours: u64) {
        let time = Duration::from_secs(hours * 3600);
        self.runtime.block_on(self.server().advance(time));
        self.sandbox.advance(time);
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

    /// Asserts that each tenant with a Customer in Stripe has exactly one, and that it is bound.
    pub(crate) fn assert_all_bound(&self) {
        let store = open(&self.url());
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

/// Opens the database at this URL.
pub(crate) fn open(url: &str) -> Arc<dyn Store> {
    match url.strip_prefix("sqlite:") {
        Some(file) => Arc::new(SqliteStore::open(file).unwrap()),
        None => Arc::new(PostgresStore::open(url).unwrap()),
    }
}

/// Exit code, standard output, standard error.
pub(crate) fn text(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}
