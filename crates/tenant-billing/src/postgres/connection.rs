//! Connections, which a call borrows from the pool and gives back only if it has succeeded.
//!
//! A call that was cancelled, timed out or failed leaves its connection in an unknown state. So
//! that connection is closed, and the server rolls back its open transaction.

use std::{
    future::Future,
    ops::Deref,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::future::{Either, select};
use tenant_billing_core::ports::{Clock, Committed, StoreError};
use tokio::{runtime::Handle, sync::Mutex};
use tokio_postgres::{Client, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    errors::{failed, no_connection},
    tls,
    url::Target,
};

/// The longest time that a call to the store takes, waiting for a connection included. The server's own limits are shorter.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(12);
/// The longest time that a migration takes.
pub(super) const MIGRATION_TIMEOUT: Duration = Duration::from_secs(90);

/// Begins a transaction with limits on the server, so that it does nothing long after the caller
/// has given up, and a paused process keeps no lock. Where the server is set up to confirm commits
/// before they are on disk, this transaction is excepted.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL lock_timeout = '5s';
    SET LOCAL statement_timeout = '8s';
    SET LOCAL idle_in_transaction_session_timeout = '15s';
    SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// A pool of at most `size` connections.
pub(super) fn pool(target: &Target, size: usize) -> Result<Connections, StoreError> {
    let tls = tls::connector(target)?;
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(target.config.clone(), tls.clone(), config);
    let pool = Pool::builder(manager)
        .max_size(size)
        // Of several hosts, each one may take as long as the driver's connect timeout.
        .create_timeout(Some(CALL_TIMEOUT))
        .runtime(Runtime::Tokio1)
        .build();
    let pool = pool.map_err(|error| StoreError::SchemaMismatch(error.to_string()))?;
    let (tls, target) = (Some(tls), Some(Arc::new(target.clone())));
    Ok(Connections { pool, tls, target, diagnosing: Arc::default() })
}

/// The pool that connections are borrowed from.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) pool: Pool,
    /// The TLS setup of the pool's connections, which cancelling a statement needs too. It is
    /// `None` for a pool of the host's, which keeps it to itself.
    pub(super) tls: Option<MakeRustlsConnect>,
    /// Where the pool's connections lead to. It is `None` for a pool of the host's.
    pub(super) target: Option<Arc<Target>>,
    /// Held by whoever opens a connection beside the pool, to find out why it has none.
    pub(super) diagnosing: Arc<Mutex<()>>,
}

impl Connections {
    /// A pool of the host's.
    pub(super) fn of(pool: Pool) -> Self {
        Self { pool, tls: None, target: None, diagnosing: Arc::default() }
    }

    /// Borrows a connection.
    pub(super) async fn lease(&self) -> Result<Lease, StoreError> {
        let object = self.pool.get().await.map_err(no_connection)?;
        let (object, tls) = (Some(object), self.tls.clone());
        Ok(Lease { object, in_transaction: AtomicBool::new(false), tls })
    }
}

/// A borrowed connection. It is closed unless it is given back.
pub(super) struct Lease {
    object: Option<Object>,
    in_transaction: AtomicBool,
    tls: Option<MakeRustlsConnect>,
}

impl Lease {
    /// Gives the connection back to the pool, once everything that was begun on it has ended.
    pub(super) fn give_back(mut self) {
        drop(self.object.take());
    }

    /// The pool's own view of the connection, which remembers prepared statements.
    pub(super) fn object(&self) -> &Object {
        self.object.as_ref().expect("a lease holds its connection until it is given back")
    }

    /// Begins a transaction.
    pub(super) async fn begin(&self) -> Result<(), StoreError> {
        self.in_transaction.store(true, Ordering::Relaxed);
        self.batch_execute(BEGIN).await.map_err(failed)
    }

    /// Commits the transaction, or rolls it back on [`Committed::Conflict`]. The error is the
    /// driver's: a constraint that the host deferred until the commit may fail here.
    pub(super) async fn end(&self, committed: Committed) -> Result<(), Error> {
        self.batch_execute(match committed {
            Committed::Yes => "COMMIT",
            Committed::Conflict => "ROLLBACK",
        })
        .await
    }

    /// Commits a transaction that has no conditions.
    pub(super) async fn commit(&self) -> Result<(), StoreError> {
        self.end(Committed::Yes).await.map_err(failed)
    }
}

impl Deref for Lease {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.object()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        // A read is cancelled on the server. Without that, it might go on waiting for a lock, and
        // other statements behind it, although its caller is gone. A transaction is never
        // cancelled: it has limits of its own, and a COMMIT that waits for a standby would stop
        // waiting and report success.
        if !self.in_transaction.load(Ordering::Relaxed)
            && let Ok(runtime) = Handle::try_current()
        {
            let (cancel, tls) = (object.cancel_token(), self.tls.take());
            runtime.spawn(async move {
                // If the server cannot be reached to cancel the read, there is nothing else to do.
                let _ = match tls {
                    Some(tls) => cancel.cancel_query(tls).await,
                    None => cancel.cancel_query(NoTls).await,
                };
            });
        }
        // The connection is taken out of the pool and closed.
        drop(Object::take(object));
    }
}

/// Does `work`, and gives up after `timeout`. It is then unknown whether the work was done.
pub(super) async fn with_timeout<T>(
    clock: &dyn Clock,
    timeout: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match select(pin!(work), clock.sleep(timeout)).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => {
            let why = "PostgreSQL did not answer in time, or all connections of the pool are busy";
            Err(StoreError::Unavailable(why.into()))
        }
    }
}
