//! What the three programs have in common: they are asked for a tenant's Customer, and they die.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use stripe_sandbox::{Config, Sandbox};
use tenant_billing::ports::Clock;
use tokio::runtime::{Builder, Runtime};

use super::{
    clock::DemoClock,
    ours::Ours,
    plan::Plan,
    rivals::{self, Careful, Database, Everyone},
};
use crate::exit::Failure;

/// A program that knows its tenants' Customers.
#[async_trait]
pub(super) trait App: Send + Sync + 'static {
    /// `get_or_create_stripe_customer(tenant_id, user_email)`.
    async fn customer_of(&self, tenant: &str, email: &str) -> Result<String, String>;

    /// What it does by itself when nobody asks.
    async fn work_by_itself(&self) {}
}

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    /// Read, create, save.
    Everyone,
    /// The same with an idempotency key and a unique column.
    Careful,
    /// This software.
    Ours,
}

/// A contender's surroundings: a database, and a Stripe of its own that outlive its processes.
pub(super) struct World {
    pub(super) contender: Contender,
    pub(super) sandbox: Sandbox,
    pub(super) file: PathBuf,
    pub(super) clock: Arc<DemoClock>,
}

/// A running program: a tokio runtime stands for the operating system's process.
pub(super) struct Process {
    pub(super) runtime: Runtime,
    pub(super) app: Arc<dyn App>,
}

impl Contender {
    /// All three, in the order of the table.
    pub(super) const ALL: [Self; 3] = [Self::Everyone, Self::Careful, Self::Ours];

    /// Its name on the progress bar and of its file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Everyone => "everyone",
            Self::Careful => "careful",
            Self::Ours => "ours",
        }
    }
}

impl World {
    /// Makes the database and starts the Stripe.
    ///
    /// # Errors
    /// If there is no room for the one or no port for the other.
    pub(super) async fn new(
        contender: Contender,
        plan: &Plan,
        directory: &Path,
    ) -> Result<Self, Failure> {
        let clock = DemoClock::new(plan.seed);
        let config = Config { seed: plan.seed, ..Config::default() };
        let sandbox = Sandbox::start_with(config).await.map_err(|error| {
            let words = format!("the sandbox does not start: {error}");
            Failure::operator(words, "see whether a port of 127.0.0.1 can be listened on")
        })?;
        let file = directory.join(format!("{}.db", contender.name()));
        match contender {
            Contender::Everyone | Contender::Careful => Database::create(&file, &plan.tenants)?,
            Contender::Ours => Ours::create(&file, &plan.tenants, clock.clone()).await?,
        }
        Ok(Self { contender, sandbox, file, clock })
    }

    /// Starts the program.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn start(&self) -> Result<Process, Failure> {
        let runtime = runtime()?;
        let clock: Arc<dyn Clock> = self.clock.clone();
        let (file, url) = (self.file.as_path(), self.sandbox.url());
        let inside = runtime.enter();
        let app: Arc<dyn App> = match self.contender {
            Contender::Everyone => {
                let (database, stripe) = rivals::parts(file, &url, clock)?;
                Arc::new(Everyone { database, stripe })
            }
            Contender::Careful => {
                let (database, stripe) = rivals::parts(file, &url, clock)?;
                Arc::new(Careful { database, stripe })
            }
            Contender::Ours => Arc::new(Ours::start(file, &url, clock)?),
        };
        drop(inside);
        Ok(Process { runtime, app })
    }
}

impl Process {
    /// As `kill -9`: whatever it was doing, it does not get any further.
    pub(super) fn kill(self) {
        self.runtime.shutdown_background();
    }
}

/// A runtime of two threads, for each process alike and for the Stripes.
///
/// # Errors
/// If the machine has no threads to give.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| {
        let words = format!("this process gets no event loop: {error}");
        Failure::operator(words, "see the machine's limits on processes and open files")
    })
}
