//! The PostgreSQL store: the database that the host's own tables are in, shared by any number of
//! processes, behind a pooler or not, on a cluster that fails over.
//!
//! Reads are one statement each; writes are one short READ COMMITTED transaction each, and none is open
//! while Stripe is called. Times are the server's. Whatever goes wrong on the way to the server, or with
//! it, is "try again later", and the next call begins on a connection of its own.

mod cells;
mod connection;
mod errors;
mod grants;
mod key;
mod layout;
mod lookups;
mod read;
mod schema;
mod statement;
mod tls;
mod url;
mod write;

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use deadpool_postgres::Pool;
use tenant_billing_core::{
    audit::{History, Surplus},
    ids::{CustomerId, InstallationId, Invalid, TenantId},
    ports::{Backlog, Clock, Committed, Store, StoreError},
    request::Account,
    state::{Change, View},
};

use self::{
    connection::{Connections, LONGEST_CALL, LONGEST_MIGRATION, Lease, in_time},
    key::Key,
    layout::{Layout, Tenants},
    lookups::{Found, Lookups},
    url::Target,
};
use crate::stored::uuid_of;

/// Connections in a pool of our own.
const POOL_SIZE: usize = 4;
/// How often a deletion is decided anew because its tenant has moved on meanwhile.
const ATTEMPTS: usize = 10;

/// A [`Store`] in a PostgreSQL database, 14 or later. Cheap to clone.
///
/// [`Store::migrate`] alone makes or changes tables. Everything else says
/// [`StoreError::SchemaMissing`] until that was done.
#[derive(Clone)]
pub struct PostgresStore {
    connections: Connections,
    /// Where a pooler is in the way, the server itself: for migrations.
    direct: Option<Arc<Target>>,
    tenants: Tenants,
    clock: Arc<dyn Clock>,
    layout: Arc<Mutex<Option<Arc<Layout>>>>,
    lookups: Arc<Lookups>,
    /// Whether the lookup is prepared by name.
    prepared: bool,
}

impl PostgresStore {
    /// The database at `url`: `postgres://user:password@host:port/database?parameters`, several hosts
    /// with commas between. Connects when it is first used.
    ///
    /// Parameters are libpq's; `sslmode` may be anything up to `verify-full`, with `sslrootcert` (a PEM
    /// file, or `system`). Unknown ones are ignored with a warning. Of several hosts it is always the
    /// primary that is used. `prepared_statements=true` makes lookups faster where no pooler is in
    /// front; behind one, other programs' statements might answer to the same name.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for field `DATABASE_URL`, which never repeats it;
    /// [`StoreError::Unfit`] if the certificates that it asks for cannot be read.
    pub fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let target = Target::parse(url, "DATABASE_URL")?;
        let connections = connection::pool(&target, POOL_SIZE)?;
        let store = Self::from_pool(connections.pool.clone(), clock);
        Ok(Self { connections, prepared: target.prepared, ..store })
    }

    /// The database that a host's own pool leads to. Its connections must lead to the primary. (Over TLS,
    /// a read that takes too long cannot be cancelled on the server, since only the pool knows how.)
    pub fn from_pool(pool: Pool, clock: Arc<dyn Clock>) -> Self {
        let tenants = Tenants::Table(schema::TENANTS.into());
        let (layout, lookups) = (Arc::default(), Arc::default());
        let connections = Connections { pool, tls: None };
        Self { connections, direct: None, tenants, clock, layout, lookups, prepared: false }
    }

    /// With so many connections at the most (4 unless said). A call that finds them all busy waits 5 s.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for field `DATABASE_POOL_SIZE` if it is 0.
    pub fn with_pool_size(self, size: usize) -> Result<Self, StoreError> {
        if size == 0 {
            return Err(Invalid::new("DATABASE_POOL_SIZE", "is 0").into());
        }
        self.connections.pool.resize(size);
        Ok(self)
    }

    /// Migrates over this URL, which leads to the server itself where a pooler is in the way.
    ///
    /// # Errors
    /// As [`PostgresStore::open`], for field `DATABASE_DIRECT_URL`.
    pub fn with_direct_url(mut self, url: &str) -> Result<Self, StoreError> {
        self.direct = Some(Target::parse(url, "DATABASE_DIRECT_URL")?.into());
        Ok(self)
    }

    /// Looks for tenants in this table (`organizations`, `app.organizations`) instead of `tenants`; with
    /// `none`, in no table: then every tenant exists.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for field `TENANTS_TABLE` if it is no name.
    pub fn with_tenants_table(mut self, name: &str) -> Result<Self, StoreError> {
        self.tenants = Tenants::parse(name)?;
        // A clone that looks elsewhere remembers, and shares, nothing of this one.
        (self.layout, self.lookups) = (Arc::default(), Arc::default());
        Ok(self)
    }

    /// The GRANTs that a least-privileged role of this name needs, which does everything but migrate.
    ///
    /// # Errors
    /// [`StoreError`], also before the first migration.
    pub async fn grants(&self, role: &str) -> Result<String, StoreError> {
        let layout = self.layout().await?;
        Ok(grants::statements(&layout, role))
    }

    /// Does `work` in time. If it fails, what is remembered of this database is forgotten.
    async fn guarded<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let done = in_time(&*self.clock, LONGEST_CALL, work).await;
        match &done {
            Ok(_) | Err(StoreError::Invalid(_)) => return done,
            // What lies idle in the pool leads to the same server.
            Err(StoreError::Unavailable(_)) => {
                self.connections.pool.retain(|_, _| false);
            }
            Err(_) => {}
        }
        *self.remembered() = None;
        done
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Option<Arc<Layout>>> {
        self.layout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to a database whose schema this program may use.
    async fn ready(&self) -> Result<(Lease, Arc<Layout>), StoreError> {
        let lease = self.connections.lease().await?;
        let remembered = self.remembered().clone();
        let layout = match remembered {
            Some(layout) => layout,
            None => {
                schema::check(&lease).await?;
                let layout = Arc::new(Layout::read(&lease, &self.tenants).await?);
                *self.remembered() = Some(Arc::clone(&layout));
                layout
            }
        };
        Ok((lease, layout))
    }

    /// What is known of the host's tables, for which the database must have been seen once.
    async fn layout(&self) -> Result<Arc<Layout>, StoreError> {
        let remembered = self.remembered().clone();
        match remembered {
            Some(layout) => Ok(layout),
            None => {
                self.guarded(async {
                    let (lease, layout) = self.ready().await?;
                    lease.give_back();
                    Ok(layout)
                })
                .await
            }
        }
    }

    /// Looks up many tenants at once.
    async fn find(self, keys: Vec<Key>) -> Vec<Found> {
        let read = self.guarded(async {
            let (lease, layout) = self.ready().await?;
            let found = read::bound(&lease, &layout, &keys, self.prepared).await?;
            lease.give_back();
            Ok(found)
        });
        let read: Result<HashMap<Key, Result<CustomerId, StoreError>>, _> = read.await;
        let of = |key: &Key| match &read {
            Ok(found) => found.get(key).cloned().transpose(),
            Err(error) => Err(error.clone()),
        };
        keys.iter().map(of).collect()
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        let installation = uuid_of([self.clock.random(), self.clock.random()]);
        let connections = match &self.direct {
            Some(target) => connection::pool(target, 1)?,
            None => self.connections.clone(),
        };
        in_time(&*self.clock, LONGEST_MIGRATION, async {
            let lease = connections.lease().await?;
            schema::migrate(&lease, &self.tenants, installation).await?;
            lease.give_back();
            Ok(())
        })
        .await
    }

    async fn bound(&self, tenant: &TenantId) -> Result<Option<CustomerId>, StoreError> {
        let key = self.layout().await?.key.key(tenant)?;
        let store = self.clone();
        self.lookups.find(key, move |keys| store.clone().find(keys)).await
    }

    async fn view(
        &self,
        tenant: &TenantId,
        candidate: Option<&CustomerId>,
    ) -> Result<View, StoreError> {
        self.guarded(async {
            let (lease, layout) = self.ready().await?;
            let view = read::view(&lease, &layout, &layout.key.key(tenant)?, candidate).await?;
            lease.give_back();
            Ok(view)
        })
        .await
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        self.guarded(async {
            let (lease, layout) = self.ready().await?;
            lease.begin().await?;
            let committed = write::apply(&lease, &layout, change).await?;
            let committed = lease.end(&layout, committed).await?;
            lease.give_back();
            Ok(committed)
        })
        .await
    }

    async fn record_deletion(&self, customer: &CustomerId) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let recorded = self.guarded(async {
                let (lease, layout) = self.ready().await?;
                lease.begin().await?;
                let recorded = write::record_deletion(&lease, &layout, customer).await?;
                let recorded = lease.end(&layout, recorded).await?;
                lease.give_back();
                Ok(recorded)
            });
            if recorded.await? == Committed::Yes {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("the tenant of a deleted Customer is contended".into()))
    }

    async fn identify(&self, account: &Account) -> Result<(InstallationId, Account), StoreError> {
        self.guarded(async {
            let (lease, _) = self.ready().await?;
            let (installation, mut recorded) = read::identity(&lease).await?;
            if recorded.is_none() {
                lease.begin().await?;
                write::record_account(&lease, account).await?;
                lease.done().await?;
                recorded = read::identity(&lease).await?.1;
            }
            lease.give_back();
            let lost = || StoreError::Corrupt("table stripe_account has lost its row".into());
            Ok((installation, recorded.ok_or_else(lost)?))
        })
        .await
    }

    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        self.guarded(async {
            let (lease, layout) = self.ready().await?;
            let only = only.map(|tenant| layout.key.key(tenant)?.tenant()).transpose()?;
            lease.begin().await?;
            let claimed = write::claim(&lease, only.as_ref(), hold, limit).await?;
            lease.done().await?;
            lease.give_back();
            Ok(claimed)
        })
        .await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.guarded(async {
            let (lease, _) = self.ready().await?;
            let backlog = read::backlog(&lease).await?;
            lease.give_back();
            Ok(backlog)
        })
        .await
    }

    async fn history(&self, tenant: &TenantId) -> Result<History, StoreError> {
        self.guarded(async {
            let (lease, layout) = self.ready().await?;
            let history = read::history(&lease, &layout, &layout.key.key(tenant)?).await?;
            lease.give_back();
            Ok(history)
        })
        .await
    }

    async fn surplus(&self, tenant: &TenantId) -> Result<Vec<Surplus>, StoreError> {
        self.guarded(async {
            let (lease, layout) = self.ready().await?;
            let tenant = layout.key.key(tenant)?.tenant()?;
            let surplus = read::surplus(&lease, &tenant).await?;
            lease.give_back();
            Ok(surplus)
        })
        .await
    }

    async fn add_tenants(&self, tenants: &[TenantId]) -> Result<usize, StoreError> {
        self.guarded(async {
            let (lease, layout) = self.ready().await?;
            let canonical = |tenant: &TenantId| layout.key.key(tenant)?.tenant();
            let tenants = tenants.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
            lease.begin().await?;
            let added = write::add_tenants(&lease, &layout, &tenants).await?;
            lease.done().await?;
            lease.give_back();
            Ok(added)
        })
        .await
    }
}
