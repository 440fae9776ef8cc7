//! A database that remembers while the test lasts.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::SignedDuration;
use tenant_billing_core::{
    audit::{History, Surplus, SurplusReason},
    decide::deletion,
    ids::{CustomerId, InstallationId, TenantId},
    ports::{Backlog, Binding, Clock, Committed, Registration, Store, StoreError},
    request::Account,
    state::{Change, Column, CustomerFacts, View},
};

use super::{PausedClock, SPIN, lock};
use crate::scene::{INSTALLATION, now, tenant, unbound};

/// What happens at a call of `commit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    Succeeds,
    /// Nothing is written, and the database is unavailable.
    Fails,
    /// It is written, but the answer is that the database is unavailable.
    OutcomeUnknown,
    /// Another process was faster.
    Conflicts,
    /// Nothing is written, and nobody was faster.
    KeepsNothing,
    /// The Customer that is about to be bound is recorded as deleted first.
    CustomerDeletedMeanwhile,
}

#[derive(Default)]
pub(crate) struct Data {
    pub(crate) tenants: BTreeMap<TenantId, View>,
    pub(crate) surplus: Vec<Surplus>,
    pub(crate) planned: VecDeque<Commit>,
    /// Another process always holds the row.
    pub(crate) held_by_another: bool,
    /// Its own id, once our tables were made anew.
    pub(crate) installation: Option<InstallationId>,
    /// The account that it belongs to; `None`: the first one that asks.
    pub(crate) account: Option<Account>,
    /// The fingerprints of keys that open it.
    pub(crate) keys: Vec<String>,
    /// Whether it was copied or moved.
    pub(crate) copied: bool,
    /// The installations that are other applications.
    pub(crate) ignored: Vec<InstallationId>,
    /// What is on record of every tenant, if the test says so.
    pub(crate) history: Option<History>,
    /// How long every read takes.
    pub(crate) slow: Duration,
    /// Every change that was written.
    pub(crate) written: Vec<Change>,
    /// Whether every claim fails.
    pub(crate) no_claims: bool,
    /// How many rows each claim asked for.
    pub(crate) limits: Vec<u32>,
    /// The call, counted from 0, that fails with this error; and how many there were.
    pub(crate) fails: Option<(usize, StoreError)>,
    pub(crate) calls: usize,
    /// The Customers that are on record as deleted.
    pub(crate) deleted: Vec<CustomerId>,
}

pub(crate) struct FakeStore {
    clock: Arc<PausedClock>,
    readings: Arc<AtomicU32>,
    data: Mutex<Data>,
}

impl FakeStore {
    pub(super) fn new(clock: Arc<PausedClock>, readings: Arc<AtomicU32>) -> Self {
        Self { clock, readings, data: Mutex::default() }
    }

    pub(crate) fn data(&self) -> MutexGuard<'_, Data> {
        lock(&self.data)
    }

    /// Plans the next commits. Later ones succeed.
    pub(crate) fn plan_commits(&self, commits: impl IntoIterator<Item = Commit>) {
        self.data().planned.extend(commits);
    }

    pub(crate) fn put(&self, view: View) {
        self.data().tenants.insert(view.tenant.clone(), view);
    }

    fn installation(&self) -> InstallationId {
        let anew = self.data().installation.clone();
        anew.unwrap_or_else(|| InstallationId::parse(INSTALLATION).expect("an installation id"))
    }

    fn read(&self, tenant: &TenantId) -> View {
        let stored = self.data().tenants.get(tenant).cloned();
        View {
            tenant: tenant.clone(),
            now: self.clock.now(),
            installation: self.installation(),
            ..stored.unwrap_or_else(|| unbound(None))
        }
    }

    /// Fails if this call is the one that was planned to.
    fn planned_failure(&self) -> Result<(), StoreError> {
        let mut data = self.data();
        let call = data.calls;
        data.calls += 1;
        match &data.fails {
            Some((planned, error)) if *planned == call => Err(error.clone()),
            _ => Ok(()),
        }
    }

    async fn slowly(&self) {
        let slow = self.data().slow;
        if !slow.is_zero() {
            self.clock.sleep(slow).await;
        }
    }

    fn write(&self, change: &Change) -> Committed {
        let view = self.read(&change.tenant);
        let conditions = &change.only_if;
        let null = view.exists && view.bound.is_none();
        let version = view.row.as_ref().map(|row| row.version);
        let mut data = self.data();
        let dead = matches!(&change.column, Column::Bind(it) if data.deleted.contains(it));
        let wrong = conditions.needs_customer_in.is_some() && !null
            || conditions
                .needs_customer_in
                .as_ref()
                .is_some_and(|it| view.account.as_ref() != Some(it));
        let another = conditions.installation != view.installation;
        if dead || wrong || another || version != conditions.version {
            return Committed::Conflict;
        }
        if let Column::Bind(customer) = &change.column {
            data.surplus.retain(|it| it.customer != *customer);
        }
        // The last reason counts, as in the store for SQLite.
        for (customer, reason) in &change.surplus {
            data.surplus.retain(|it| it.customer != *customer);
            data.surplus.push(Surplus {
                customer: customer.clone(),
                reason: *reason,
                found_at: now(),
                resolved_at: None,
            });
        }
        data.tenants.insert(change.tenant.clone(), view.changed(change.clone()));
        data.written.push(change.clone());
        Committed::Yes
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn binding(&self, tenant: &TenantId) -> Result<Option<Binding>, StoreError> {
        self.slowly().await;
        self.planned_failure()?;
        let View { bound, account, .. } = self.read(tenant);
        Ok(bound.map(|customer| Binding { customer, account }))
    }

    async fn view(&self, tenant: &TenantId, customers: &[CustomerId]) -> Result<View, StoreError> {
        let readings = self.readings.fetch_add(1, Ordering::SeqCst);
        assert!(readings < SPIN, "the loop spins");
        tokio::task::yield_now().await;
        self.slowly().await;
        self.planned_failure()?;
        let mut view = self.read(tenant);
        let data = self.data();
        let facts = |id: &CustomerId| CustomerFacts {
            deleted: data.deleted.contains(id),
            bound_elsewhere: data
                .tenants
                .values()
                .any(|it| it.tenant != *tenant && it.bound.as_ref() == Some(id)),
            unbound_by_operator: data
                .surplus
                .iter()
                .any(|it| it.customer == *id && it.reason == SurplusReason::Unbound),
        };
        view.facts = customers.iter().map(|id| (id.clone(), facts(id))).collect();
        Ok(view)
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        self.planned_failure()?;
        let planned = self.data().planned.pop_front().unwrap_or(Commit::Succeeds);
        let unavailable = StoreError::Unavailable("connection reset".into());
        match planned {
            Commit::Succeeds => Ok(self.write(change)),
            Commit::Fails => Err(unavailable),
            Commit::OutcomeUnknown => {
                self.write(change);
                Err(unavailable)
            }
            Commit::Conflicts => {
                let mut view = self.read(&change.tenant);
                match &mut view.row {
                    Some(row) => row.attempts += 1,
                    None => panic!("the other process has opened a row"),
                }
                self.put(view);
                Ok(Committed::Conflict)
            }
            Commit::KeepsNothing => Ok(Committed::Conflict),
            Commit::CustomerDeletedMeanwhile => {
                if let Column::Bind(customer) = &change.column {
                    self.data().deleted.push(customer.clone());
                }
                Ok(self.write(change))
            }
        }
    }

    async fn record_deletion(&self, customer: &CustomerId) -> Result<(), StoreError> {
        self.planned_failure()?;
        self.data().deleted.push(customer.clone());
        let tenants: Vec<_> = self.data().tenants.keys().cloned().collect();
        for tenant in tenants {
            self.write(&deletion(&self.read(&tenant), customer));
        }
        Ok(())
    }

    async fn registration(&self) -> Result<Registration, StoreError> {
        self.planned_failure()?;
        let (installation, of_the_tenant) = (self.installation(), self.read(&tenant()).account);
        let data = self.data();
        let (account, keys) = (data.account.clone().or(of_the_tenant), data.keys.clone());
        Ok(Registration { installation, account, keys, copied: data.copied })
    }

    async fn ignored_installations(&self) -> Result<Vec<InstallationId>, StoreError> {
        self.planned_failure()?;
        Ok(self.data().ignored.clone())
    }

    async fn register(
        &self,
        account: &Account,
        key: Option<&str>,
    ) -> Result<(InstallationId, Account), StoreError> {
        self.planned_failure()?;
        self.data().keys.extend(key.map(str::to_owned));
        let recorded = self.data().account.clone();
        for view in self.data().tenants.values_mut() {
            view.account.get_or_insert_with(|| account.clone());
        }
        Ok((self.installation(), recorded.unwrap_or_else(|| account.clone())))
    }

    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        self.planned_failure()?;
        let now = self.clock.now();
        let mut data = self.data();
        if data.no_claims {
            return Err(StoreError::Unavailable("connection reset".into()));
        }
        data.limits.push(limit);
        let mut claimed = Vec::new();
        if data.held_by_another {
            return Ok(claimed);
        }
        for (tenant, view) in &mut data.tenants {
            let wanted = only.is_none_or(|only| only == tenant);
            if let Some(row) = view.row.as_mut().filter(|row| wanted && row.next_attempt_at <= now)
                && ["pending", "in_doubt"].contains(&row.state.name())
                && u32::try_from(claimed.len()).is_ok_and(|claimed| claimed < limit)
            {
                row.next_attempt_at = now + SignedDuration::try_from(hold).expect("short");
                claimed.push(tenant.clone());
            }
        }
        Ok(claimed)
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let (rows, next_due, now) = (0, None, self.clock.now());
        Ok(Backlog { rows, next_due, now })
    }

    async fn history(&self, tenant: &TenantId) -> Result<History, StoreError> {
        let view = self.read(tenant);
        let surplus = self.data().surplus.clone();
        let (state, events) = (None, Vec::new());
        let (tenant, exists, bound) = (view.tenant, view.exists, view.bound);
        let plain = History { tenant, exists, bound, state, events, surplus };
        Ok(self.data().history.clone().unwrap_or(plain))
    }

    async fn surplus(&self, _tenant: &TenantId) -> Result<Vec<Surplus>, StoreError> {
        self.planned_failure()?;
        Ok(self.data().surplus.clone())
    }
}
