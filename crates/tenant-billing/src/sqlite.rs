//! The SQLite store. It needs no server, and several processes may share the file.
//!
//! Reads run inline on the caller's thread, since handing one to another thread costs more than the
//! read itself. Writes take turns on one connection, on a blocking thread. Each is one
//! `BEGIN IMMEDIATE` transaction, which is on disk (`synchronous=FULL`) when it returns. The
//! database's clock is the machine's, which all processes that use the file share.

mod cells;
mod errors;
mod read;
mod schema;
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
    ids::{CustomerId, InstallationId, Invalid, TenantId},
    ports::{Backlog, Clock, Committed, Store, StoreError},
    request::Account,
    state::{Change, View},
};

use self::errors::failed;
use crate::{database::Database, stored::uuid_of, system::SystemClock};

/// How long a statement waits for another process to finish writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many idle connections for reads are kept open. If more reads run at once, more connections
/// are opened, and closed afterwards.
const MAX_IDLE_READERS: usize = 8;
/// How often [`SqliteStore::turn_wal_on`] tries again, and the pause before each time.
const WAL_RETRIES: u32 = 50;
const WAL_PAUSE: Duration = Duration::from_millis(20);

/// A [`Store`] in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    readers: Mutex<Vec<Connection>>,
    writer: Arc<tokio::sync::Mutex<Connection>>,
}

impl SqliteStore {
    /// Opens the file, or creates an empty one. [`SqliteStore::migrate`] creates the tables.
    ///
    /// # Errors
    /// [`StoreError::SchemaMismatch`] if the file cannot be opened or written to, and for a
    /// database in memory, which neither another connection nor the next process would see.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
            return Err(StoreError::SchemaMismatch(
                "a database in memory is lost with the process; give the path of a file".into(),
            ));
        }
        let writer = Arc::new(tokio::sync::Mutex::new(connect(&path)?));
        let clock = SystemClock::shared();
        Ok(Self { path, clock, readers: Mutex::default(), writer })
    }

    /// Uses this clock instead of the system's as the database's clock, for tests.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Creates our tables, or brings them up to date. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        if self.on_reader(schema::is_current)? {
            return Ok(());
        }
        self.turn_wal_on().await?;
        let (now, random) = (self.now(), [self.clock.random(), self.clock.random()]);
        self.in_transaction(move |connection| schema::migrate(connection, now, random)).await
    }

    /// The database's time: the machine's, in milliseconds.
    fn now(&self) -> Timestamp {
        in_milliseconds(self.clock.now())
    }

    /// Runs `read` inline, on a connection that nothing else uses meanwhile.
    fn on_reader<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => connect(&self.path)?,
        };
        let result = read(&connection);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < MAX_IDLE_READERS {
            readers.push(connection);
        }
        result
    }

    /// Runs `write` in one transaction on a blocking thread. The transaction is committed if
    /// `write` returns [`Committed::Yes`], and otherwise rolled back.
    async fn in_transaction<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<(Committed, T), StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut connection = Arc::clone(&self.writer).lock_owned().await;
        let work = move || {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(failed)?;
            let (committed, result) = write(&transaction)?;
            if committed == Committed::Yes {
                transaction.commit().map_err(failed)?;
            }
            Ok(result)
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|_| Err(StoreError::Unavailable("a write was interrupted".into())))
    }
}

fn in_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// Opens a connection, and creates the file if it does not exist.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    // Only one thread at a time uses a connection, so SQLite need not lock it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// The spelling in which SQLite holds a tenant: a UUID, lower-case and hyphenated.
fn canonical(tenant: &TenantId) -> Result<TenantId, StoreError> {
    let uuid = uuid::Uuid::try_parse(tenant.as_str())
        .map_err(|_| Invalid::new("tenant_id", "is not a UUID, which this database requires"))?;
    let mut text = uuid::Uuid::encode_buffer();
    let text: &str = uuid.hyphenated().encode_lower(&mut text);
    if text == tenant.as_str() { Ok(tenant.clone()) } else { Ok(TenantId::parse(text)?) }
}

#[async_trait]
impl Store for SqliteStore {
    async fn bound(&self, tenant: &TenantId) -> Result<Option<CustomerId>, StoreError> {
        let tenant = canonical(tenant)?;
        self.on_reader(|connection| read::bound(connection, &tenant))
    }

    async fn view(&self, tenant: &TenantId, customers: &[CustomerId]) -> Result<View, StoreError> {
        let (tenant, now) = (canonical(tenant)?, self.now());
        self.on_reader(|connection| read::view(connection, &tenant, customers, now))
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        let (change, id) = (change.clone(), self.random_uuid());
        let clock = Arc::clone(&self.clock);
        self.in_transaction(move |connection| {
            // The time is read here, after all waiting for other callers and other processes.
            let now = in_milliseconds(clock.now());
            let committed = write::apply(connection, &change, now, &id)?;
            Ok((committed, committed))
        })
        .await
    }

    async fn record_deletion(&self, customer: &CustomerId) -> Result<(), StoreError> {
        let (customer, now, id) = (customer.clone(), self.now(), self.random_uuid());
        self.in_transaction(move |connection| {
            write::record_deletion(connection, &customer, now, &id)?;
            Ok((Committed::Yes, ()))
        })
        .await
    }

    async fn identify(&self, account: &Account) -> Result<(InstallationId, Account), StoreError> {
        let installation = self.on_reader(read::installation)?;
        if let Some(recorded) = self.on_reader(read::recorded_account)? {
            return Ok((installation, recorded));
        }
        let (account, now) = (account.clone(), self.now());
        let write = move |connection: &Connection| {
            write::record_account(connection, &account, now)?;
            let lost = || StoreError::Corrupt("table stripe_account has lost its row".into());
            let recorded = read::recorded_account(connection)?.ok_or_else(lost)?;
            Ok((Committed::Yes, recorded))
        };
        Ok((installation, self.in_transaction(write).await?))
    }

    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let only = only.map(canonical).transpose()?;
        let now = self.now();
        // Without this read, an idle worker would take the file's only write lock every few
        // seconds.
        if self.on_reader(read::next_due)?.is_none_or(|due| due > now) {
            return Ok(Vec::new());
        }
        self.in_transaction(move |connection| {
            let claimed = write::claim(connection, only.as_ref(), now, hold, limit)?;
            Ok((Committed::Yes, claimed))
        })
        .await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let now = self.now();
        self.on_reader(|connection| read::backlog(connection, now))
    }

    async fn history(&self, tenant: &TenantId) -> Result<History, StoreError> {
        let (tenant, now) = (canonical(tenant)?, self.now());
        self.on_reader(|connection| read::history(connection, &tenant, now))
    }

    async fn surplus(&self, tenant: &TenantId) -> Result<Vec<Surplus>, StoreError> {
        let tenant = canonical(tenant)?;
        self.on_reader(|connection| read::surplus(connection, &tenant))
    }
}

#[async_trait]
impl Database for SqliteStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        Self::migrate(self).await
    }

    async fn add_tenants(&self, tenants: &[TenantId]) -> Result<usize, StoreError> {
        let tenants = tenants.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
        self.in_transaction(move |connection| {
            Ok((Committed::Yes, write::add_tenants(connection, &tenants)?))
        })
        .await
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
            let turned = tokio::task::spawn_blocking(turn).await;
            let interrupted = || StoreError::Unavailable("a write was interrupted".into());
            match turned.unwrap_or_else(|_| Err(interrupted())) {
                Err(StoreError::Unavailable(_)) if retries < WAL_RETRIES => retries += 1,
                turned => return turned,
            }
            self.clock.sleep(WAL_PAUSE).await;
        }
    }
}
