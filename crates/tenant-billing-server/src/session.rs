//! What commands work with: the database, and billing over it once Stripe is needed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use stripe_sandbox::Sandbox;
use tenant_billing::{
    Billing, Policy, SystemClock,
    ids::Invalid,
    ports::{Clock, Store, Stripe},
};

use crate::{cli::Options, database::Database, exit::Failure, stripe::Target};

/// How long a command that is done waits for work that it began and nobody waits for any more.
const LINGER: Duration = Duration::from_secs(3);

/// An open database.
pub(crate) struct Session {
    /// The database.
    pub(crate) store: Arc<dyn Store>,
    /// The machine's clock.
    pub(crate) clock: Arc<dyn Clock>,
    beside: PathBuf,
}

/// Billing over a database and a Stripe.
pub(crate) struct Running {
    /// Billing.
    pub(crate) billing: Billing,
    sandbox: Option<Sandbox>,
}

impl Session {
    /// Opens the database. In a SQLite file, the tables are made if they are not there.
    ///
    /// # Errors
    /// If the URL or the database is not fit.
    pub(crate) async fn open(options: &Options) -> Result<Self, Failure> {
        let clock = SystemClock::shared();
        let database = Database::open(options, Arc::clone(&clock))?;
        if let Database::Sqlite(store, _) = &database {
            store.migrate().await?;
        }
        let beside = database.beside().to_owned();
        let store = database.store();
        #[cfg(feature = "failpoints")]
        let store = crate::failpoint::store(store);
        Ok(Self { store, clock, beside })
    }

    /// Where Stripe is, as far as settings say; calls nothing.
    ///
    /// # Errors
    /// As [`Target::of`].
    pub(crate) fn target(&self, options: &Options) -> Result<Target, Failure> {
        Target::of(options, &self.beside, &self.clock)
    }

    /// Billing over this database and that Stripe.
    ///
    /// # Errors
    /// As [`Target::connect`]; or if the restore is said to come yet.
    pub(crate) async fn connect(
        &self,
        target: Target,
        options: &Options,
    ) -> Result<Running, Failure> {
        if options.restored_at.is_some_and(|at| at > self.clock.now()) {
            return Err(Invalid::new("--restored-at", "is in the future").into());
        }
        let connection = target.connect(&*self.clock).await?;
        let policy = Policy {
            look_first: options.look_first,
            restored_at: options.restored_at,
            ..Policy::default()
        };
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let stripe: Arc<dyn Stripe> = Arc::new(connection.client);
        #[cfg(feature = "failpoints")]
        let stripe = crate::failpoint::stripe(stripe);
        let billing = Billing::with_policy(store, stripe, clock, policy);
        Ok(Running { billing, sandbox: connection.sandbox })
    }
}

impl Running {
    /// Waits, not for long, until nothing is under way, and stops the sandbox.
    pub(crate) async fn close(self) {
        // What is not done by then is on record, and for `recover`.
        let _ = self.billing.shutdown(LINGER).await;
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
    }
}
