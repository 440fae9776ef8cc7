//! What a command works with: the open database, and billing on it as soon as Stripe is needed.

use std::{panic::resume_unwind, path::PathBuf, sync::Arc, time::Duration};

use stripe_sandbox::Sandbox;
use tenant_billing::{
    Billing, Database, Policy, SystemClock, Unmarked,
    ids::{Invalid, MetadataKey},
    ports::{Clock, Stripe},
};

use tokio::task::spawn_blocking;

use crate::{cli::Options, database::Opened, failure::Failure, stripe::Target};

/// How long a command that is done or told to stop waits for work that it began.
pub(crate) const LINGER: Duration = Duration::from_secs(3);

/// An open database.
pub(crate) struct Session {
    /// The database.
    pub(crate) store: Arc<dyn Database>,
    /// The machine's clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// The path from which the sandbox's state file gets its name.
    beside: PathBuf,
    policy: Policy,
    /// Which database it is, in words without a secret.
    pub(crate) place: String,
}

/// Billing on a database and a Stripe.
pub(crate) struct Running {
    /// Billing.
    pub(crate) billing: Billing,
    sandbox: Option<Sandbox>,
}

impl Session {
    /// Opens the database. In a SQLite file, it creates the tables if they do not exist.
    ///
    /// # Errors
    /// If the URL is invalid, or the database cannot be used.
    pub(crate) async fn open(options: &Options) -> Result<Self, Failure> {
        let policy = policy(options)?;
        // A file that somebody has locked must not hold up this thread, which has a deadline to keep.
        let settings = options.clone();
        let opened = spawn_blocking(move || Opened::open(&settings)).await;
        let opened = opened.unwrap_or_else(|panic| resume_unwind(panic.into_panic()))?;
        if let Opened::Sqlite(store, _) = &opened {
            store.migrate_if_needed().await?;
        }
        let (beside, place) = (opened.beside().to_owned(), opened.place());
        let store = opened.into_store();
        #[cfg(feature = "failpoints")]
        let store = crate::failpoint::store(store);
        Ok(Self { store, clock: SystemClock::shared(), beside, policy, place })
    }

    /// Which Stripe the settings name. Calls nothing.
    ///
    /// # Errors
    /// See [`Target::read`]; also if `--restored-at` is in the future.
    pub(crate) fn target(&self, options: &Options) -> Result<Target, Failure> {
        if options.restored_at.is_some_and(|at| at > self.clock.now()) {
            return Err(Invalid::new("--restored-at", "is in the future").into());
        }
        Target::read(options, &self.beside)
    }

    /// Billing on this database and that Stripe.
    ///
    /// # Errors
    /// See [`Target::connect`].
    pub(crate) async fn connect(&self, target: Target) -> Result<Running, Failure> {
        let connection = target.connect(&*self.clock).await?;
        let store = Arc::clone(&self.store);
        let stripe: Arc<dyn Stripe> = Arc::new(connection.client);
        #[cfg(feature = "failpoints")]
        let stripe = crate::failpoint::stripe(stripe);
        let billing = Billing::shared(store, stripe, self.policy.clone());
        Ok(Running { billing, sandbox: connection.sandbox })
    }
}

/// The policy that the settings say.
fn policy(options: &Options) -> Result<Policy, Invalid> {
    let keys = options.tenant_metadata_key.iter().map(|key| MetadataKey::parse(key));
    Ok(Policy {
        inquire_first: options.inquire_first,
        restored_at: options.restored_at,
        unmarked: options.unmarked.as_deref().map(Unmarked::parse).transpose()?,
        tenant_metadata_keys: keys.collect::<Result<_, _>>()?,
        ..Policy::default()
    })
}

impl Running {
    /// Waits at most this long until nothing is under way, and stops the sandbox.
    pub(crate) async fn close(self, within: Duration) {
        // What is not done by then is recorded, and `recover` completes it.
        let _ = self.billing.shutdown(within).await;
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
    }
}
