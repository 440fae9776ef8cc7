//! The SQLite store: nothing to install, and several processes may share the file.
//!
//! Point reads run inline on the caller's thread, since handing one to another thread costs more
//! than the read itself. Writes take turns on one connection, on a blocking thread, each in one
//! `BEGIN IMMEDIATE` transaction that is on disk (`synchronous=FULL`) when it returns. The database's
//! clock is the machine's, which all processes on a file share.

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
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use tenant_billing_core::{
    audit::{History, Surplus},
    ids::{CustomerId, InstallationId, TenantId},
    ports::{Backlog, Clock, Committed, Store, StoreError},
    request::Account,
    state::{Change, View},
};

use crate::stored::uuid_of;

/// How long a statement waits for another process to finish writing.
const BUSY: Duration = Duration::from_secs(5);
/// Reading connections kept open; more are opened when more read at once, and closed again.
const READERS: usize = 8;

/// A [`Store`] in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    readers: Mutex<Vec<Connection>>,
    writer: Arc<tokio::sync::Mutex<Connection>>,
}

impl SqliteStore {
    /// Opens the file, or makes an empty one. [`Store::migrate`] makes the tables.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] if the file cannot be opened or written to, and for a database in memory,
    /// which neither another connection nor the next process would see.
    pub fn open(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
            return Err(StoreError::Unfit("a database must be a file".into()));
        }
        let writer = Arc::new(tokio::sync::Mutex::new(connect(&path)?));
        Ok(Self { path, clock, readers: Mutex::default(), writer })
    }

    /// The machine's clock, in the database's resolution.
    fn now(&self) -> Timestamp {
        in_milliseconds(self.clock.now())
    }

    /// Reads inline, on a connection of its own.
    fn reading<T>(
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
        if readers.len() < READERS {
            readers.push(connection);
        }
        result
    }

    /// Writes in one transaction on a blocking thread. `write` says whether to keep what it did.
    async fn writing<T: Send + 'static>(
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
        done.unwrap_or_else(|_| Err(StoreError::Unavailable("a write was cut off".into())))
    }
}

fn in_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    // Each connection is used by one thread at a time, so SQLite need not lock it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// What a SQLite error means to the protocol. Its text never holds a bound value.
fn failed(error: rusqlite::Error) -> StoreError {
    let text = error.to_string();
    if text.contains("no such table") {
        return StoreError::SchemaMissing;
    }
    if text.contains("no such column") || text.contains("has no column") {
        return StoreError::SchemaTooOld;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::Corrupt(text),
        Some(ErrorCode::SystemIoFailure) => {
            StoreError::Unavailable(format!("{text}; is the disk full, or the file on none?"))
        }
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => StoreError::Corrupt(text),
        // These do not mend by themselves: a path, a permission.
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::Unfit(text)
        }
        _ => StoreError::Unavailable(text),
    }
}

/// SQLite's own spelling of a tenant: a UUID, lower-case and hyphenated.
fn canonical(tenant: &TenantId) -> Result<TenantId, StoreError> {
    use tenant_billing_core::ids::Invalid;
    let uuid = uuid::Uuid::try_parse(tenant.as_str())
        .map_err(|_| Invalid::new("tenant_id", "is not a UUID, which this database asks for"))?;
    let mut text = uuid::Uuid::encode_buffer();
    let text: &str = uuid.hyphenated().encode_lower(&mut text);
    if text == tenant.as_str() { Ok(tenant.clone()) } else { Ok(TenantId::parse(text)?) }
}

#[async_trait]
impl Store for SqliteStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        if self.reading(schema::is_current)? {
            return Ok(());
        }
        self.turn_wal_on().await?;
        let (now, random) = (self.now(), [self.clock.random(), self.clock.random()]);
        self.writing(move |connection| schema::migrate(connection, now, random)).await
    }

    async fn bound(&self, tenant: &TenantId) -> Result<Option<CustomerId>, StoreError> {
        let tenant = canonical(tenant)?;
        self.reading(|connection| read::bound(connection, &tenant))
    }

    async fn view(
        &self,
        tenant: &TenantId,
        candidate: Option<&CustomerId>,
    ) -> Result<View, StoreError> {
        let (tenant, now) = (canonical(tenant)?, self.now());
        self.reading(|connection| read::view(connection, &tenant, candidate, now))
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        let (change, id) = (change.clone(), self.random_uuid());
        let clock = Arc::clone(&self.clock);
        self.writing(move |connection| {
            // Read here, where no queue and no other process is waited for any more.
            let now = in_milliseconds(clock.now());
            let committed = write::apply(connection, &change, now, &id)?;
            Ok((committed, committed))
        })
        .await
    }

    async fn record_deletion(&self, customer: &CustomerId) -> Result<(), StoreError> {
        let (customer, now, id) = (customer.clone(), self.now(), self.random_uuid());
        self.writing(move |connection| {
            write::record_deletion(connection, &customer, now, &id)?;
            Ok((Committed::Yes, ()))
        })
        .await
    }

    async fn identify(&self, account: &Account) -> Result<(InstallationId, Account), StoreError> {
        let installation = self.reading(read::installation)?;
        if let Some(recorded) = self.reading(read::recorded_account)? {
            return Ok((installation, recorded));
        }
        let (account, now) = (account.clone(), self.now());
        let write = move |connection: &Connection| {
            write::record_account(connection, &account, now)?;
            Ok((Committed::Yes, read::recorded_account(connection)?.unwrap_or(account)))
        };
        Ok((installation, self.writing(write).await?))
    }

    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let only = only.map(canonical).transpose()?;
        let now = self.now();
        // An idle worker must not take the file's one write lock every few seconds.
        if self.reading(read::next_due)?.is_none_or(|due| due > now) {
            return Ok(Vec::new());
        }
        self.writing(move |connection| {
            let claimed = write::claim(connection, only.as_ref(), now, hold, limit)?;
            Ok((Committed::Yes, claimed))
        })
        .await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let now = self.now();
        self.reading(|connection| read::backlog(connection, now))
    }

    async fn history(&self, tenant: &TenantId) -> Result<History, StoreError> {
        let (tenant, now) = (canonical(tenant)?, self.now());
        self.reading(|connection| read::history(connection, &tenant, now))
    }

    async fn surplus(&self, tenant: &TenantId) -> Result<Vec<Surplus>, StoreError> {
        let tenant = canonical(tenant)?;
        self.reading(|connection| read::surplus(connection, &tenant))
    }

    async fn add_tenants(&self, tenants: &[TenantId]) -> Result<usize, StoreError> {
        let tenants = tenants.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
        self.writing(move |connection| {
            Ok((Committed::Yes, write::add_tenants(connection, &tenants)?))
        })
        .await
    }
}

impl SqliteStore {
    fn random_uuid(&self) -> String {
        uuid_of([self.clock.random(), self.clock.random()]).to_string()
    }

    /// Write-ahead logging is kept in the file itself, but two processes that turn it on at the same
    /// moment get in each other's way whatever the busy timeout, so the loser asks again.
    async fn turn_wal_on(&self) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            let mut connection = Arc::clone(&self.writer).lock_owned().await;
            let turn = move || -> Result<(), StoreError> {
                let connection = &mut *connection;
                connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)
            };
            let turned = tokio::task::spawn_blocking(turn).await;
            match turned.unwrap_or_else(|_| Err(StoreError::Unavailable("cut off".into()))) {
                Err(StoreError::Unavailable(_)) if tries < 50 => tries += 1,
                turned => return turned,
            }
            self.clock.sleep(Duration::from_millis(20)).await;
        }
    }
}
