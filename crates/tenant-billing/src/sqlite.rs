//! The SQLite store. It needs no server, and several processes may share the file.
//!
//! Reads run inline on the caller's thread, since handing one to another thread costs more than the
//! read itself. Only if the file is locked does a read wait for it on a blocking thread. Writes take turns on one connection, on a blocking thread. Each is one
//! `BEGIN IMMEDIATE` transaction, which is on disk (`synchronous=FULL`) when it returns. The
//! database's clock is the machine's, which all processes that use the file share.

mod cells;
mod column;
mod database;
mod errors;
mod host;
mod installation;
mod layout;
mod read;
mod schema;
mod statement;
mod write;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tenant_billing_core::{
    audit::{History, Surplus},
    ids::{CustomerId, InstallationId, Invalid, TenantId, uuid},
    ports::{Backlog, Binding, Clock, Committed, Registration, Store, StoreError},
    request::Account,
    state::{Change, View},
};

use self::errors::{LOCKED, failed, refused};
use crate::{recently::Recently, stored::uuid_of, system::SystemClock};

/// How long a statement waits for another process to finish writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many idle connections for reads are kept open. If more reads run at once, more connections
/// are opened, and closed afterwards.
const MAX_IDLE_READERS: usize = 8;
/// How many reads wait for a locked file at once. Further ones wait for these.
const MAX_WAITING_READS: usize = 8;
/// How often [`SqliteStore::turn_wal_on`] tries again, and the pause before each time.
const WAL_RETRIES: u32 = 50;
const WAL_PAUSE: Duration = Duration::from_millis(20);

/// A [`Store`] in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    readers: Mutex<Vec<Connection>>,
    /// Limits how many reads wait for a locked file at once, each on a thread of its own.
    waiting: Arc<tokio::sync::Semaphore>,
    writer: Arc<tokio::sync::Mutex<Connection>>,
    /// Whose database it is.
    recently: Recently,
}

impl SqliteStore {
    /// Opens the file, or creates an empty one. [`SqliteStore::migrate`] creates the tables.
    ///
    /// # Errors
    /// [`StoreError::SchemaMismatch`] if the file cannot be opened or written to, and for a
    /// database in memory, which neither another connection nor the next process would see.
    /// [`StoreError::Unavailable`] if another connection locks the file for more than 5 seconds.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
            return Err(StoreError::SchemaMismatch(
                "a database in memory is lost with the process; give the path of a file".into(),
            ));
        }
        let writer = Arc::new(tokio::sync::Mutex::new(connect(&path, BUSY_TIMEOUT)?));
        let clock = SystemClock::shared();
        let waiting = Arc::new(tokio::sync::Semaphore::new(MAX_WAITING_READS));
        let (readers, recently) = (Mutex::default(), Recently::default());
        Ok(Self { path, clock, readers, waiting, writer, recently })
    }

    /// Uses this clock instead of the system's as the database's clock, for tests.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Creates our tables, or brings them up to date, and checks the host's. Any number of processes
    /// may do so at once.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.turn_wal_on().await?;
        let random = [self.clock.random(), self.clock.random()];
        self.in_transaction(move |connection, now| schema::migrate(connection, now, random)).await
    }

    /// Migrates unless our tables are up to date, which one read shows.
    ///
    /// # Errors
    /// As [`SqliteStore::migrate`].
    pub async fn migrate_if_needed(&self) -> Result<(), StoreError> {
        match self.on_reader(|connection, _| schema::is_current(connection)).await? {
            true => Ok(()),
            false => self.migrate().await,
        }
    }

    /// Runs `read` inline, or on a blocking thread if the file is locked.
    async fn on_reader<T: Send + 'static>(
        &self,
        read: impl Fn(&Connection, &dyn Clock) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.inline(&read) {
            Some(result) => result,
            // In a box, so that the future of a read that need not wait stays small.
            None => Box::pin(self.patiently(read)).await,
        }
    }

    /// Runs `read` inline, on a connection that nothing else uses meanwhile; `None` if the file is
    /// locked.
    fn inline<T>(
        &self,
        read: impl FnOnce(&Connection, &dyn Clock) -> Result<T, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match pooled.map_or_else(|| connect(&self.path, Duration::ZERO), Ok) {
            Ok(connection) => connection,
            Err(error) => return unless_locked(Err(error)),
        };
        let result = read(&connection, &*self.clock);
        let result = result.map_err(|error| schema::explain(&connection, error));
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < MAX_IDLE_READERS {
            readers.push(connection);
        }
        unless_locked(result)
    }

    /// Runs `read` on a blocking thread, on a connection that waits for the file's lock.
    async fn patiently<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, &dyn Clock) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // The semaphore is never closed. The thread keeps the permit even if the caller goes away.
        let permit = Arc::clone(&self.waiting).acquire_owned().await.ok();
        let (path, clock) = (self.path.clone(), Arc::clone(&self.clock));
        on_blocking_thread(move || {
            let _permit = permit;
            let connection = connect(&path, BUSY_TIMEOUT)?;
            let transaction = connection.unchecked_transaction().map_err(failed)?;
            // All waiting happens here, so that `read` reads the clock after it.
            transaction
                .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
                .map_err(failed)?;
            read(&transaction, &*clock).map_err(|error| schema::explain(&transaction, error))
        })
        .await
    }

    /// Runs `write` in one transaction on a blocking thread, with the time after all waiting for
    /// other callers and other processes. The transaction is committed if `write` returns
    /// [`Committed::Yes`], and otherwise rolled back.
    async fn in_transaction<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection, Timestamp) -> Result<(Committed, T), StoreError>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let mut connection = Arc::clone(&self.writer).lock_owned().await;
        let clock = Arc::clone(&self.clock);
        on_blocking_thread(move || {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(failed)?;
            let written = write(&transaction, now(&*clock));
            let (committed, result) =
                written.map_err(|error| schema::explain(&transaction, error))?;
            if committed == Committed::Yes {
                // Our tables leave nothing to be checked here, but a foreign key of the host's may.
                let refused = |error| refused("tenant_config", error, || Ok(()));
                transaction.commit().map_err(refused)?;
            }
            Ok(result)
        })
        .await
    }
}

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(StoreError::Unavailable("the work was interrupted".into())))
}

fn unless_locked<T>(result: Result<T, StoreError>) -> Option<Result<T, StoreError>> {
    match &result {
        Err(StoreError::Unavailable(why)) if why == LOCKED => None,
        _ => Some(result),
    }
}

/// The database's time: the machine's, in milliseconds.
fn now(clock: &dyn Clock) -> Timestamp {
    in_milliseconds(clock.now())
}

fn in_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// Opens a connection that waits so long for a lock, and creates the file if it does not exist.
fn connect(path: &Path, wait: Duration) -> Result<Connection, StoreError> {
    // Only one thread at a time uses a connection, so SQLite need not lock it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(wait).map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// The spelling in which SQLite holds a tenant: a UUID, lower-case and hyphenated.
fn canonical(tenant: &TenantId) -> Result<TenantId, StoreError> {
    let uuid = uuid(tenant.as_str())
        .ok_or_else(|| Invalid::new("tenant_id", "is not a UUID, which this database requires"))?;
    let mut text = uuid::Uuid::encode_buffer();
    let text: &str = uuid.hyphenated().encode_lower(&mut text);
    if text == tenant.as_str() { Ok(tenant.clone()) } else { Ok(TenantId::parse(text)?) }
}

#[async_trait]
impl Store for SqliteStore {
    async fn binding(&self, tenant: &TenantId) -> Result<Option<Binding>, StoreError> {
        let (tenant, began) = (canonical(tenant)?, self.clock.uptime());
        if let Some(account) = self.recently.seen(began) {
            let bound =
                self.on_reader(move |connection, _| read::bound(connection, &tenant)).await?;
            return Ok(bound.map(|customer| Binding { customer, account: Some(account) }));
        }
        let binding =
            self.on_reader(move |connection, _| read::binding(connection, &tenant)).await?;
        if let Some(Binding { account, .. }) = &binding {
            self.recently.saw(began, account.as_ref());
        }
        Ok(binding)
    }

    async fn view(&self, tenant: &TenantId, customers: &[CustomerId]) -> Result<View, StoreError> {
        let tenant = canonical(tenant)?;
        let inline =
            self.inline(|connection, clock| read::view(connection, &tenant, customers, now(clock)));
        if let Some(result) = inline {
            return result;
        }
        let customers = customers.to_vec();
        let read = move |connection: &Connection, clock: &dyn Clock| {
            read::view(connection, &tenant, &customers, now(clock))
        };
        Box::pin(self.patiently(read)).await
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        let (change, id) = (change.clone(), self.random_uuid());
        self.in_transaction(move |connection, now| {
            let committed = write::apply(connection, &change, now, &id)?;
            Ok((committed, committed))
        })
        .await
    }

    async fn record_deletion(&self, customer: &CustomerId) -> Result<(), StoreError> {
        let (customer, id) = (customer.clone(), self.random_uuid());
        self.in_transaction(move |connection, now| {
            write::record_deletion(connection, &customer, now, &id)?;
            Ok((Committed::Yes, ()))
        })
        .await
    }

    async fn registration(&self) -> Result<Registration, StoreError> {
        self.on_reader(|connection, _| installation::registration(connection)).await
    }

    async fn register(
        &self,
        installation: &InstallationId,
        account: &Account,
        key: Option<&str>,
    ) -> Result<Registration, StoreError> {
        let (ours, account, key) = (installation.clone(), account.clone(), key.map(str::to_owned));
        self.in_transaction(move |connection, now| {
            let now = installation::register(connection, &ours, &account, key.as_deref(), now)?;
            Ok((Committed::Yes, now))
        })
        .await
    }

    async fn ignored_installations(&self) -> Result<Vec<InstallationId>, StoreError> {
        self.on_reader(|connection, _| installation::ignored(connection)).await
    }

    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let only = only.map(canonical).transpose()?;
        // Without this read, an idle worker would take the file's only write lock every few
        // seconds.
        let next_due = self.on_reader(|connection, _| read::next_due(connection)).await?;
        if next_due.is_none_or(|due| due > now(&*self.clock)) {
            return Ok(Vec::new());
        }
        self.in_transaction(move |connection, now| {
            let claimed = write::claim(connection, only.as_ref(), now, hold, limit)?;
            Ok((Committed::Yes, claimed))
        })
        .await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.on_reader(|connection, clock| read::backlog(connection, now(clock))).await
    }

    async fn history(&self, tenant: &TenantId) -> Result<History, StoreError> {
        let tenant = canonical(tenant)?;
        self.on_reader(move |connection, clock| read::history(connection, &tenant, now(clock)))
            .await
    }

    async fn surplus(&self, tenant: &TenantId) -> Result<Vec<Surplus>, StoreError> {
        let tenant = canonical(tenant)?;
        self.on_reader(move |connection, _| read::surplus(connection, &tenant)).await
    }
}

impl SqliteStore {
    fn random_uuid(&self) -> String {
        uuid_of([self.clock.random(), self.clock.random()]).to_string()
    }

    /// Turns write-ahead logging on, which the file itself remembers. If two processes do so at the
    /// same moment, one of them fails whatever its busy timeout is, so it tries again.
    async fn turn_wal_on(&self) -> Result<(), StoreError> {
        let mut retries = 0;
        loop {
            let mut connection = Arc::clone(&self.writer).lock_owned().await;
            let turn = move || -> Result<(), StoreError> {
                let connection = &mut *connection;
                connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)
            };
            match on_blocking_thread(turn).await {
                Err(StoreError::Unavailable(_)) if retries < WAL_RETRIES => retries += 1,
                turned => return turned,
            }
            self.clock.sleep(WAL_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests;
