//! Connections: lent out, and taken back only from work that came to its end.
//!
//! A call that was cancelled, timed out or failed leaves a connection in a state that nobody knows, so
//! that connection is closed, and the server rolls back what was open on it.

use std::{
    future::Future,
    ops::Deref,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::future::{Either, select};
use tenant_billing_core::ports::{Clock, Committed, StoreError};
use tokio::runtime::Handle;
use tokio_postgres::{Client, Error, NoTls, Statement, types::Type};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    errors::{failed, no_connection},
    layout::Layout,
    tls,
    url::Target,
};

/// How long a caller waits for a connection of the pool, and for one that is being made.
const POOL_WAIT: Duration = Duration::from_secs(5);
/// How long a call to the store takes at the most. The server gives up its own part before.
pub(super) const LONGEST_CALL: Duration = Duration::from_secs(12);
/// The same for a migration.
pub(super) const LONGEST_MIGRATION: Duration = Duration::from_secs(90);

/// The server's own limits, so that nothing is done long after its caller has given up, and a paused
/// process holds no lock. And where somebody has told the server to forget what it committed, not this.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL lock_timeout = '5s';
    SET LOCAL statement_timeout = '8s';
    SET LOCAL idle_in_transaction_session_timeout = '15s';
    SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// A pool of so many connections.
pub(super) fn pool(target: &Target, size: usize) -> Result<Connections, StoreError> {
    let tls = tls::connector(target)?;
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(target.config.clone(), tls.clone(), config);
    let pool = Pool::builder(manager)
        .max_size(size)
        .wait_timeout(Some(POOL_WAIT))
        // Each of several hosts has the driver's own time to answer.
        .create_timeout(Some(LONGEST_CALL))
        .recycle_timeout(Some(POOL_WAIT))
        .runtime(Runtime::Tokio1)
        .build();
    let pool = pool.map_err(|error| StoreError::Unfit(error.to_string()))?;
    Ok(Connections { pool, tls: Some(tls) })
}

/// Where connections come from.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) pool: Pool,
    /// What makes them secure, unless the pool is the host's and only it knows.
    pub(super) tls: Option<MakeRustlsConnect>,
}

impl Connections {
    pub(super) async fn lease(&self) -> Result<Lease, StoreError> {
        let object = self.pool.get().await.map_err(no_connection)?;
        let (object, tls) = (Some(object), self.tls.clone());
        Ok(Lease { object, in_transaction: AtomicBool::new(false), tls })
    }
}

/// A connection on loan.
pub(super) struct Lease {
    object: Option<Object>,
    in_transaction: AtomicBool,
    tls: Option<MakeRustlsConnect>,
}

impl Lease {
    /// To be called when all that was begun on it is over.
    pub(super) fn give_back(mut self) {
        drop(self.object.take());
    }

    /// A statement that this connection remembers by name.
    pub(super) async fn prepared(&self, sql: &str, types: &[Type]) -> Result<Statement, Error> {
        self.object().prepare_typed_cached(sql, types).await
    }

    fn object(&self) -> &Object {
        self.object.as_ref().expect("a lease holds its connection until it is given back")
    }

    pub(super) async fn begin(&self) -> Result<(), StoreError> {
        self.in_transaction.store(true, Ordering::Relaxed);
        self.batch_execute(BEGIN).await.map_err(failed)
    }

    /// Ends the transaction, as what was done in it deserves. What a host has put off until the commit
    /// (a deferred foreign or unique key) may yet say that somebody was faster.
    pub(super) async fn end(
        &self,
        layout: &Layout,
        committed: Committed,
    ) -> Result<Committed, StoreError> {
        let how = match committed {
            Committed::Yes => "COMMIT",
            Committed::Conflict => "ROLLBACK",
        };
        match self.batch_execute(how).await {
            Ok(()) => Ok(committed),
            Err(error) if layout.is_race(&error) => Ok(Committed::Conflict),
            Err(error) => Err(failed(error)),
        }
    }

    /// Commits what has no conditions.
    pub(super) async fn done(&self) -> Result<(), StoreError> {
        self.batch_execute("COMMIT").await.map_err(failed)
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
        // A read that nobody waits for any more would go on waiting for a lock, with others after it.
        // Never a transaction: it has limits of its own, and a COMMIT that waits for a standby would be
        // cut short, and say that it was done.
        if !self.in_transaction.load(Ordering::Relaxed)
            && let Ok(runtime) = Handle::try_current()
        {
            let (cancel, tls) = (object.cancel_token(), self.tls.take());
            runtime.spawn(async move {
                // If the server cannot be asked to, it cannot serve either.
                let _ = match tls {
                    Some(tls) => cancel.cancel_query(tls).await,
                    None => cancel.cancel_query(NoTls).await,
                };
            });
        }
        // Out of the pool, and closed.
        drop(Object::take(object));
    }
}

/// Does `work` unless it takes longer than that; then nobody knows whether it was done.
pub(super) async fn in_time<T>(
    clock: &dyn Clock,
    longest: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match select(pin!(work), clock.sleep(longest)).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => Err(StoreError::Unavailable("PostgreSQL does not answer".into())),
    }
}
