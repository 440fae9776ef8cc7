//! The shipped SQLite store on a real file, with the bad days that a run orders around it.
//!
//! The store writes on a blocking thread. The simulation's one thread waits for it on the spot, so
//! that a write is over before anything else moves, and a run is the same every time.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tenant_billing::{
    OperatorError, SqliteStore,
    audit::{History, Surplus, SurplusReason},
    ids::{CustomerId, InstallationId, TenantId},
    ports::{Backlog, Binding, Committed, Registration, Store, StoreError},
    request::Account,
    state::{Change, Column, State, View},
};

use crate::{
    host::Columns,
    ops::{At, Fault, Ill},
    sim::{Gate, Seen, Sim},
};

/// How long a call takes, in milliseconds.
const TAKES: (u64, u64) = (1, 4);

pub(crate) struct SimStore {
    pub(crate) sim: Arc<Sim>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) inner: SqliteStore,
    pub(crate) columns: Columns,
    /// The file is a copy, and no operator has said so yet. (The store itself cannot tell.)
    pub(crate) copied: bool,
}

impl SimStore {
    async fn call<T>(
        &self,
        at: At,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = self.gate.enter(&self.sim, at, TAKES).await;
        let ill = match fault {
            Some(Fault::Database { done: false }) => Some(Ill::Unavailable),
            Some(Fault::Store(ill)) => Some(ill),
            _ => self.sim.ill(at),
        };
        let result = match ill.and_then(Ill::error) {
            Some(error) => Err(self.told(error)),
            None => at_once(work),
        };
        self.gate.leave(&self.sim, fault).await;
        match fault {
            Some(Fault::Database { done: true }) => Err(self.told(away())),
            _ => result,
        }
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("the simulated database does not answer".into())
}

impl Ill {
    /// The error of a call that meets with it, whatever the call is.
    fn error(self) -> Option<StoreError> {
        let why = || "the simulated database is ill".into();
        Some(match self {
            Self::Unavailable => away(),
            Self::SchemaMissing => StoreError::SchemaMissing,
            Self::SchemaTooOld => StoreError::SchemaTooOld,
            Self::SchemaTooNew => StoreError::SchemaTooNew,
            Self::SchemaMismatch => StoreError::SchemaMismatch(why()),
            Self::Refused => StoreError::Refused(why()),
            Self::Corrupt => StoreError::Corrupt(why()),
            Self::BindRefused | Self::BindSwallowed => return None,
        })
    }
}

impl SimStore {
    fn told(&self, error: StoreError) -> StoreError {
        self.sim.tell(self.gate.number, OperatorError::Store(error.clone()).name());
        error
    }

    /// What a trigger of the host's makes of a change, if it is against it.
    fn trigger(&self, change: &Change) -> Option<Result<Committed, StoreError>> {
        let ill = self.sim.ill(At::Write).filter(|_| matches!(change.column, Column::Bind(_)))?;
        let refused = StoreError::Refused("the simulated trigger".into());
        match ill {
            Ill::BindRefused => Some(Err(self.told(refused))),
            Ill::BindSwallowed => {
                self.told(refused);
                Some(Ok(Committed::Conflict))
            }
            _ => None,
        }
    }

    /// When our tables were made anew, as of now.
    fn tables(&self) -> Option<Timestamp> {
        self.sim.state().remade.as_ref().map(|it| it.0)
    }

    /// The process knows now what was so when the tables were these.
    fn has_seen(&self, tenant: &TenantId, begun: bool, tables: Option<Timestamp>) {
        let (at, process, tenant) = (self.sim.now(), self.gate.number, tenant.to_string());
        let mut state = self.sim.state();
        state.seen.push(Seen { at, process, tenant, tables, begun });
    }

    /// Nothing else moves between a view and this, so it was true of that very moment. Where a
    /// process reads a tenant twice within a millisecond, what counts is what the columns held both
    /// times.
    fn remember_held(&self, tenant: &TenantId, now: Timestamp) {
        let held = self.columns.held();
        let mut state = self.sim.state();
        let at = (self.gate.number, tenant.to_string(), now);
        let both = state.held.get(&at).map(|before| before & &held);
        state.held.insert(at, both.unwrap_or(held));
    }

    /// A Customer that any tenant's column holds when an observation is decided is never put on
    /// record as surplus by that decision. (What was recorded before the host moved the Customer
    /// may stay; and an operator who unbinds a Customer takes it out of its column with the same
    /// change.)
    fn none_held_is_surplus(&self, change: &Change) {
        let at = (self.gate.number, change.tenant.to_string(), change.only_if.decided_at);
        let held = self.sim.state().held.get(&at).cloned();
        let Some(held) = held else {
            return self.sim.broken(format!("a change was decided from no view: {change:?}"));
        };
        for (customer, reason) in &change.surplus {
            if *reason != SurplusReason::Unbound && held.contains(customer.as_str()) {
                let what = format!("{customer} was put on record as surplus ({reason})");
                self.sim.broken(format!("{what}, and a tenant's column held it"));
            }
        }
    }
}

/// Waits for `work` on this thread, letting no other task in.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    // tokio would let a task that has done much wait for others, which do not get on meanwhile.
    let mut work = pin!(tokio::task::unconstrained(work));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

#[async_trait]
impl Store for SimStore {
    async fn binding(&self, tenant: &TenantId) -> Result<Option<Binding>, StoreError> {
        self.call(At::Read, self.inner.binding(tenant)).await
    }

    async fn view(&self, tenant: &TenantId, customers: &[CustomerId]) -> Result<View, StoreError> {
        let mut tables = self.tables();
        let view = async {
            tables = self.tables();
            let view = self.inner.view(tenant, customers).await;
            let at = (self.gate.number, tenant.to_string());
            self.sim.state().views.insert(at, self.sim.now());
            if let Ok(View { bound, row, now, .. }) = &view {
                self.remember_held(tenant, *now);
                self.sim.trace(|| {
                    let row = row.as_ref().map(|it| (it.state.name(), it.generation, it.version));
                    format!("p{} reads {} {row:?} {bound:?}", self.gate.process, last(tenant))
                });
            }
            view
        };
        let view = self.call(At::Read, view).await?;
        let begun = view.row.as_ref().is_some_and(|it| is_begun(&it.state));
        self.has_seen(&view.tenant, begun, tables);
        Ok(view)
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        let mut tables = self.tables();
        let commit = async {
            tables = self.tables();
            let committed = match self.trigger(change) {
                Some(refusal) => refusal,
                None => self.inner.commit(change).await,
            };
            if committed == Ok(Committed::Yes) {
                self.none_held_is_surplus(change);
                let remade = self.sim.state().remade.clone();
                let remade = remade.filter(|_| !self.gate.is_of_the_second());
                if remade.is_some_and(|it| it.0 > change.only_if.decided_at) {
                    let what = "what the lost tables showed decides a change of the new ones";
                    self.sim.broken(what.to_owned());
                }
            }
            self.sim.trace(|| {
                let row = change.row.as_ref();
                let row = row.map(|it| (it.state.name(), it.generation, it.version));
                let (process, tenant) = (self.gate.process, last(&change.tenant));
                format!("p{process} writes {tenant} {row:?} {:?}: {committed:?}", change.column)
            });
            committed
        };
        let committed = self.call(At::Write, commit).await;
        match (&committed, &change.row) {
            (Ok(Committed::Yes), Some(row)) => {
                self.has_seen(&change.tenant, is_begun(&row.state), tables);
            }
            (Ok(_), _) => {}
            // It may be written all the same.
            (Err(_), _) => self.has_seen(&change.tenant, true, tables),
        }
        committed
    }

    async fn record_deletion(&self, customer: &CustomerId) -> Result<(), StoreError> {
        let record = async {
            self.sim.trace(|| format!("p{} records {customer} as deleted", self.gate.process));
            self.inner.record_deletion(customer).await
        };
        self.call(At::Write, record).await
    }

    async fn registration(&self) -> Result<Registration, StoreError> {
        let registration = self.call(At::Read, self.inner.registration()).await?;
        Ok(Registration { copied: self.copied, ..registration })
    }

    async fn register(
        &self,
        installation: &InstallationId,
        account: &Account,
        key: Option<&str>,
    ) -> Result<Registration, StoreError> {
        self.call(At::Write, self.inner.register(installation, account, key)).await
    }

    async fn ignored_installations(&self) -> Result<Vec<InstallationId>, StoreError> {
        self.call(At::Read, self.inner.ignored_installations()).await
    }

    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        self.call(At::Write, self.inner.claim(only, hold, limit)).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.call(At::Read, self.inner.backlog()).await
    }

    async fn history(&self, tenant: &TenantId) -> Result<History, StoreError> {
        self.call(At::Read, self.inner.history(tenant)).await
    }

    async fn surplus(&self, tenant: &TenantId) -> Result<Vec<Surplus>, StoreError> {
        self.call(At::Read, self.inner.surplus(tenant)).await
    }
}

/// Whether a Customer may exist, or come to exist, of a row in this state.
fn is_begun(state: &State) -> bool {
    matches!(state, State::Pending(_) | State::InDoubt { .. } | State::Provisioned(_))
}

/// A tenant, short enough for a line of the record.
pub(crate) fn last(tenant: &TenantId) -> &str {
    &tenant.as_str()[35..]
}
