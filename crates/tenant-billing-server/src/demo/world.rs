//! What surrounds each of the three programs: a database, a simulated Stripe, and processes that
//! can be killed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use stripe_sandbox::{Config, Sandbox};
use tenant_billing::ports::Clock;
use tokio::runtime::{Builder, Runtime};

use super::{
    app::App,
    clock::DemoClock,
    ours::Ours,
    plan::Plan,
    rivals::{self, Database, KeyAndColumn, Naive},
};
use crate::{causes, failure::Failure};

/// One of the three programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// It reads the id, creates a Customer if there is none, and saves its id.
    Naive,
    /// It does the same with an idempotency key and a unique column.
    KeyAndColumn,
    /// It uses this software.
    Ours,
}

/// A program's database and Stripe, which outlive its processes.
pub(super) struct World {
    pub(super) program: Program,
    pub(super) sandbox: Sandbox,
    pub(super) file: PathBuf,
    pub(super) clock: Arc<DemoClock>,
}

/// A running program. A tokio runtime stands for the operating system's process.
pub(super) struct Process {
    pub(super) runtime: Runtime,
    pub(super) app: Arc<dyn App>,
}

impl Program {
    /// All three, in the order of the table.
    pub(super) const ALL: [Self; 3] = [Self::Naive, Self::KeyAndColumn, Self::Ours];

    /// Its name, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Naive => "ten naive lines",
            Self::KeyAndColumn => "key + unique column",
            Self::Ours => "tenant-billing",
        }
    }

    /// The name of its database file.
    fn file(self) -> &'static str {
        match self {
            Self::Naive => "naive.db",
            Self::KeyAndColumn => "key-and-column.db",
            Self::Ours => "tenant-billing.db",
        }
    }
}

impl World {
    /// Creates the database and starts the simulated Stripe.
    ///
    /// # Errors
    /// If the disk is full, or no port is free.
    pub(super) async fn new(
        program: Program,
        plan: &Plan,
        directory: &Path,
    ) -> Result<Self, Failure> {
        let clock = DemoClock::new(plan.seed);
        let config = Config { seed: plan.seed, ..Config::default() };
        let sandbox = Sandbox::start_with(config).await.map_err(|error| {
            let message = format!("the simulated Stripe cannot start: {error}");
            Failure::new(causes::MACHINE, message)
        })?;
        let file = directory.join(program.file());
        match program {
            Program::Naive | Program::KeyAndColumn => Database::create(&file, &plan.tenants)?,
            Program::Ours => Ours::create(&file, &plan.tenants, clock.clone()).await?,
        }
        Ok(Self { program, sandbox, file, clock })
    }

    /// Starts the program.
    ///
    /// # Errors
    /// If it cannot start.
    pub(super) fn start(&self) -> Result<Process, Failure> {
        let runtime = runtime()?;
        let clock: Arc<dyn Clock> = self.clock.clone();
        let (file, url) = (self.file.as_path(), self.sandbox.url());
        let entered = runtime.enter();
        let app: Arc<dyn App> = match self.program {
            Program::Naive => {
                let (database, stripe) = rivals::parts(file, &url, clock)?;
                Arc::new(Naive { database, stripe })
            }
            Program::KeyAndColumn => {
                let (database, stripe) = rivals::parts(file, &url, clock)?;
                Arc::new(KeyAndColumn { database, stripe })
            }
            Program::Ours => Arc::new(Ours::start(file, &url, clock)?),
        };
        drop(entered);
        Ok(Process { runtime, app })
    }
}

impl Process {
    /// Ends the process like `kill -9`: no work goes on.
    pub(super) fn kill(self) {
        self.runtime.shutdown_background();
    }
}

/// A runtime of two threads. Each process gets one, and all simulated Stripes share one.
///
/// # Errors
/// If the machine cannot start another thread.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| {
        let message = format!("this process cannot start an event loop: {error}");
        Failure::new(causes::MACHINE, message)
    })
}
