//! The PostgreSQL store. It uses the database that holds the host's own tables, and any number of
//! processes may share it, behind a pooler or not, on a cluster that fails over or not.
//!
//! A read is one statement, except that a history is three. A write is one short READ COMMITTED
//! transaction, and none is open while Stripe is called. Times are the server's. If the server
//! fails, or the connection to it, the caller is told to retry, and the next call opens a new
//! connection.

mod cells;
mod column;
mod connection;
mod database;
mod diagnosis;
mod errors;
mod grants;
mod host;
mod installation;
mod key;
mod layout;
mod lookups;
mod names;
mod port;
mod primary;
mod read;
mod recorded;
mod requirements;
mod schema;
mod statement;
mod table;
mod tls;
mod url;
mod write;

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use deadpool_postgres::Pool;
use tenant_billing_core::{
    ids::Invalid,
    ports::{Binding, Clock, StoreError},
};

use self::{
    connection::{CALL_TIMEOUT, Connections, Lease, MIGRATION_TIMEOUT, with_timeout},
    diagnosis::explain,
    key::Key,
    layout::Layout,
    lookups::{Found, Lookups},
    names::Names,
    read::Bound,
    url::Target,
};
use crate::{recently::Recently, stored::uuid_of, system::SystemClock};

/// How many connections a pool of our own has, unless the host says otherwise.
const DEFAULT_POOL_SIZE: usize = 4;

/// A [`Store`](crate::ports::Store) in a PostgreSQL database, 14 or later. Cheap to clone.
///
/// Only [`PostgresStore::migrate`] creates or changes tables. Until it has run, everything else
/// fails with [`StoreError::SchemaMissing`].
#[derive(Clone)]
pub struct PostgresStore {
    connections: Connections,
    /// Where migrations connect to, if that is another address than for everything else.
    direct: Option<Arc<Target>>,
    names: Names,
    clock: Arc<dyn Clock>,
    /// The host's tables, once they have been read. A failed call forgets them.
    layout: Arc<Mutex<Option<Arc<Layout>>>>,
    lookups: Arc<Lookups>,
    /// Whose database it is. A failed call forgets that, too.
    recently: Arc<Recently>,
    /// Whether lookups are prepared by name.
    prepared: bool,
}

impl PostgresStore {
    /// The database at `url`: `postgres://user:password@host:port/database?parameters`. Several
    /// hosts are separated by commas. The store connects when it is first used.
    ///
    /// The parameters are libpq's. `sslmode` may be anything up to `verify-full`, with
    /// `sslrootcert` (a PEM file, or `system`); `sslcert` and `sslkey` name the client's own
    /// certificate. Those that demand more than is done here, such as `sslcrl`, are refused, and
    /// unknown ones are ignored with a warning. Nothing that the URL does not name is read: no
    /// variable of libpq's, and no file in `~/.postgresql`. `schema=app`, which is Prisma's, names
    /// the only schema in which the host's tables are looked for, unless a setting names theirs. Of
    /// several hosts, the primary is used. `prepared_statements=true` makes lookups faster. Set it
    /// only if no pooler is in front: behind one, another program's statement may have the same
    /// name.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for field `database_url`, whose reason never repeats the URL;
    /// [`StoreError::Tls`], with the file's name, if a certificate or key that the URL names cannot
    /// be used.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let target = Target::parse(url, "database_url")?;
        let connections = connection::pool(&target, DEFAULT_POOL_SIZE)?;
        let store = Self::from_pool(connections.pool.clone());
        let names = Names { schema: target.schema, ..store.names };
        Ok(Self { connections, names, prepared: target.prepared, ..store })
    }

    /// The database of a host's own pool, whose connections must lead to the primary. (If they use
    /// TLS, a read that takes too long is not cancelled on the server, since only the pool has the
    /// TLS setup that this needs.)
    pub fn from_pool(pool: Pool) -> Self {
        let clock = SystemClock::shared();
        let (names, layout, lookups) = (Names::default(), Arc::default(), Arc::default());
        let connections = Connections::of(pool);
        let (direct, recently, prepared) = (None, Arc::default(), false);
        Self { connections, direct, names, clock, layout, lookups, recently, prepared }
    }

    /// Creates our tables, or brings them up to date. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`StoreError`], and nothing is changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let installation = uuid_of([self.clock.random(), self.clock.random()]);
        let connections = match &self.direct {
            Some(target) => connection::pool(target, 1)?,
            None => self.connections.clone(),
        };
        let migration = async {
            let lease = connections.lease().await?;
            schema::migrate(&lease, &self.names, installation).await?;
            lease.give_back();
            Ok(())
        };
        with_timeout(&*self.clock, MIGRATION_TIMEOUT, async {
            match migration.await {
                Ok(()) => Ok(()),
                Err(error) => Err(explain(&connections, &self.names, None, error).await),
            }
        })
        .await
    }

    /// Takes timeouts and random numbers from this clock instead of the system's, for tests. (The
    /// times in the database are the server's.)
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Limits the pool to this many connections, instead of 4. A call that finds all of them busy
    /// waits for one, as long as a call may take at all, which is 12 s.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for field `pool_size` if it is 0, and as [`PostgresStore::open`].
    pub fn with_pool_size(mut self, size: usize) -> Result<Self, StoreError> {
        if size == 0 {
            return Err(Invalid::new("pool_size", "is 0; use 1 or more").into());
        }
        match &self.connections.target {
            // A pool that shrinks would not take back the room of connections not yet made.
            Some(target) => self.connections = connection::pool(target, size)?,
            None => self.connections.pool.resize(size),
        }
        Ok(self)
    }

    /// Uses this URL for migrations. It must lead to the same database without a pooler in front.
    ///
    /// # Errors
    /// As [`PostgresStore::open`], for field `database_direct_url`.
    pub fn with_direct_url(mut self, url: &str) -> Result<Self, StoreError> {
        let target = Target::parse(url, "database_direct_url")?;
        if target.schema.is_some() && target.schema != self.names.schema {
            let why = "names another schema than database_url";
            return Err(Invalid::new("database_direct_url", why).into());
        }
        self.direct = Some(target.into());
        Ok(self)
    }

    /// Uses this table (`organizations`, or `app."Organization"`) as the tenants table, instead of
    /// `tenants`. With the name `none`, no table is used, and every tenant exists.
    ///
    /// A name in double quotes is meant to the letter. Another one is first taken in lower case,
    /// as PostgreSQL reads it, and then to the letter. Without a schema, a table is looked for in
    /// the schema that the URL names (`?schema=app`), or in the `search_path` if it names none.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for field `tenants_table` if it is not a table's name.
    pub fn with_tenants_table(self, name: &str) -> Result<Self, StoreError> {
        Ok(self.named(Names::parse_tenants(name)?, |names, tenants| names.tenants = tenants))
    }

    /// Uses this table for the Customers' ids, instead of `tenant_config`. It may be the tenants
    /// table itself; then rows are updated and never inserted.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for field `tenant_config_table` if it is not a table's name.
    pub fn with_tenant_config_table(self, name: &str) -> Result<Self, StoreError> {
        Ok(self.named(Names::parse_config(name)?, |names, config| {
            (names.config, names.config_is_named) = (config, true);
        }))
    }

    /// Uses this column of that table for the tenants' ids, instead of `tenant_id`. If that table
    /// is the tenants table, this column is its key; the key of another tenants table is `id`.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for field `tenant_config_tenant_column` if it is not a column's
    /// name.
    pub fn with_tenant_column(self, name: &str) -> Result<Self, StoreError> {
        let column = Names::parse_column("tenant_config_tenant_column", name)?;
        Ok(self.named(column, |names, column| names.tenant_column = column))
    }

    /// Uses this column of that table for the Customers' ids, instead of `stripe_customer_id`.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for field `tenant_config_customer_column` if it is not a column's
    /// name.
    pub fn with_customer_column(self, name: &str) -> Result<Self, StoreError> {
        let column = Names::parse_column("tenant_config_customer_column", name)?;
        Ok(self.named(column, |names, column| names.customer_column = column))
    }

    /// A store with another name, which must not share what was read of the tables named before.
    fn named<T>(mut self, name: T, set: impl FnOnce(&mut Names, T)) -> Self {
        set(&mut self.names, name);
        Self { layout: Arc::default(), lookups: Arc::default(), recently: Arc::default(), ..self }
    }

    /// The GRANT statements for a role of this name that may do everything but migrate, and nothing
    /// more.
    ///
    /// # Errors
    /// [`StoreError`]. Before the first migration it is [`StoreError::SchemaMissing`].
    pub async fn grants(&self, role: &str) -> Result<String, StoreError> {
        let layout = self.layout().await?;
        Ok(grants::statements(&layout, role))
    }

    /// Does `work` with a connection and the host's tables, and with a timeout. If it fails, the
    /// layout is forgotten, since it may have changed.
    async fn call<T, F>(
        &self,
        work: impl FnOnce(Arc<Lease>, Arc<Layout>) -> F + Send,
    ) -> Result<T, StoreError>
    where
        T: Send,
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        self.call_within(CALL_TIMEOUT, work).await
    }

    /// The same with a timeout of its own.
    async fn call_within<T, F>(
        &self,
        timeout: Duration,
        work: impl FnOnce(Arc<Lease>, Arc<Layout>) -> F + Send,
    ) -> Result<T, StoreError>
    where
        T: Send,
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let done = with_timeout(&*self.clock, timeout, async {
            let mut used = None;
            let attempt = async {
                let lease = Arc::new(self.connections.lease().await?);
                let layout = self.layout_by(&lease).await?;
                used = Some(Arc::clone(&layout));
                let done = work(Arc::clone(&lease), layout).await?;
                // The work, which has ended, had the other one.
                if let Some(lease) = Arc::into_inner(lease) {
                    lease.give_back();
                }
                Ok(done)
            };
            match attempt.await {
                Ok(done) => Ok(done),
                Err(error) => {
                    let used = used.as_deref();
                    Err(explain(&self.connections, &self.names, used, error).await)
                }
            }
        });
        let done = done.await;
        match &done {
            Ok(_) | Err(StoreError::Invalid(_)) => return done,
            // The pool's idle connections lead to the same server, so they are closed.
            Err(StoreError::Unavailable(_)) => {
                self.connections.pool.retain(|_, _| false);
            }
            Err(
                StoreError::SchemaMissing
                | StoreError::SchemaTooOld
                | StoreError::SchemaTooNew
                | StoreError::SchemaMismatch(_)
                | StoreError::Tls(_)
                | StoreError::Refused(_)
                | StoreError::Corrupt(_),
            ) => {}
        }
        *self.known_layout() = None;
        self.recently.forget();
        done
    }

    fn known_layout(&self) -> MutexGuard<'_, Option<Arc<Layout>>> {
        self.layout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host's tables, in a database whose schema this program may use. They are read over this
    /// connection unless they are known.
    async fn layout_by(&self, lease: &Lease) -> Result<Arc<Layout>, StoreError> {
        let known = self.known_layout().clone();
        if let Some(layout) = known {
            return Ok(layout);
        }
        let layout = Arc::new(schema::layout(lease, &self.names).await?);
        *self.known_layout() = Some(Arc::clone(&layout));
        Ok(layout)
    }

    /// The host's tables. The first call reads them from the database.
    async fn layout(&self) -> Result<Arc<Layout>, StoreError> {
        let known = self.known_layout().clone();
        match known {
            Some(layout) => Ok(layout),
            None => self.call(|_, layout| async move { Ok(layout) }).await,
        }
    }

    /// Looks up the Customers of many tenants at once.
    async fn look_up(self, keys: Vec<Key>) -> Vec<Found> {
        let (asked, prepared, began) = (&keys, self.prepared, self.clock.uptime());
        let seen = self.recently.seen(began);
        let whose = seen.is_none();
        let read = self.call(|lease, layout| async move {
            read::bound(&lease, &layout, asked, prepared, whose).await
        });
        let read = read.await.map(|Bound { customers, account }| {
            let account = match account {
                Some(account) => {
                    self.recently.saw(began, account.as_ref());
                    account
                }
                None => seen,
            };
            (customers, account)
        });
        let of = |key: &Key| {
            let (customers, account) = read.as_ref().map_err(Clone::clone)?;
            let customer = customers.get(key).cloned().transpose()?;
            Ok(customer.map(|customer| Binding { customer, account: account.clone() }))
        };
        keys.iter().map(of).collect()
    }
}
