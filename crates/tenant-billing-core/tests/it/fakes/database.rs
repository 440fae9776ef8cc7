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
    ids::{CustomerId, InstallationId, TenantId},
    ports::{Backlog, Clock, Committed, Store, StoreError},
    provisioning::deletion,
    request::Account,
    state::{Change, Column, View},
};

use super::{Paused, SPIN, lock};
use crate::scene::{INSTALLATION, now, unbound};

/// What a store does on its bad days, one order per call of `commit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Day {
    Good,
    /// Nothing is written.
    Away,
    /// It is written, and nobody is told.
    Unknown,
    /// Somebody else was faster, it says.
    Conflict,
    /// The Customer that is to be bound is deleted at this moment.
    Deleted,
}

#[derive(Default)]
pub(crate) struct Data {
    pub(crate) tenants: BTreeMap<TenantId, View>,
    pub(crate) surplus: Vec<Surplus>,
    pub(crate) commits: VecDeque<Day>,
    /// Somebody else always has the row.
    pub(crate) claimed: bool,
    /// The account that it belongs to, if that is not the first that asks.
    pub(crate) account: Option<Account>,
    /// What is on record of any tenant.
    pub(crate) history: Option<History>,
    /// How long every reading takes.
    pub(crate) slow: Duration,
    /// What was written.
    pub(crate) written: Vec<Change>,
    /// Rows cannot be claimed.
    pub(crate) no_claims: bool,
    /// How many rows each claim asked for.
    pub(crate) limits: Vec<u32>,
    pub(crate) deleted: Vec<CustomerId>,
}

pub(crate) struct Memory {
    clock: Arc<Paused>,
    readings: Arc<AtomicU32>,
    data: Mutex<Data>,
}

impl Memory {
    pub(super) fn new(clock: Arc<Paused>, readings: Arc<AtomicU32>) -> Self {
        Self { clock, readings, data: Mutex::default() }
    }

    pub(crate) fn data(&self) -> MutexGuard<'_, Data> {
        lock(&self.data)
    }

    /// The next commits.
    pub(crate) fn order(&self, days: impl IntoIterator<Item = Day>) {
        self.data().commits.extend(days);
    }

    pub(crate) fn put(&self, view: View) {
        self.data().tenants.insert(view.tenant.clone(), view);
    }

    fn read(&self, tenant: &TenantId) -> View {
        let known = self.data().tenants.get(tenant).cloned();
        View {
            tenant: tenant.clone(),
            now: self.clock.now(),
            ..known.unwrap_or_else(|| unbound(None))
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
        let guarded = change.unbound_on.is_none() || (view.exists && view.bound.is_none());
        let was = view.row.as_ref().map(|row| row.version);
        let mut data = self.data();
        let dead = matches!(&change.column, Column::Bind(it) if data.deleted.contains(it));
        if dead || !guarded || was != change.was {
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
impl Store for Memory {
    async fn migrate(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn bound(&self, tenant: &TenantId) -> Result<Option<CustomerId>, StoreError> {
        self.slowly().await;
        Ok(self.read(tenant).bound)
    }

    async fn view(
        &self,
        tenant: &TenantId,
        candidate: Option<&CustomerId>,
    ) -> Result<View, StoreError> {
        let readings = self.readings.fetch_add(1, Ordering::SeqCst);
        assert!(readings < SPIN, "the loop spins");
        tokio::task::yield_now().await;
        self.slowly().await;
        let mut view = self.read(tenant);
        if let Some(candidate) = candidate {
            let data = self.data();
            view.candidate.deleted = data.deleted.contains(candidate);
            view.candidate.bound_elsewhere = data
                .tenants
                .values()
                .any(|it| it.tenant != *tenant && it.bound.as_ref() == Some(candidate));
            view.candidate.unbound = data
                .surplus
                .iter()
                .any(|it| it.customer == *candidate && it.reason == SurplusReason::Unbound);
        }
        Ok(view)
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        let day = self.data().commits.pop_front().unwrap_or(Day::Good);
        let away = StoreError::Unavailable("connection reset".into());
        match day {
            Day::Good => Ok(self.write(change)),
            Day::Away => Err(away),
            Day::Unknown => {
                self.write(change);
                Err(away)
            }
            Day::Conflict => Ok(Committed::Conflict),
            Day::Deleted => {
                if let Column::Bind(customer) = &change.column {
                    self.data().deleted.push(customer.clone());
                }
                Ok(self.write(change))
            }
        }
    }

    async fn record_deletion(&self, customer: &CustomerId) -> Result<(), StoreError> {
        self.data().deleted.push(customer.clone());
        let tenants: Vec<_> = self.data().tenants.keys().cloned().collect();
        for tenant in tenants {
            self.write(&deletion(&self.read(&tenant), customer));
        }
        Ok(())
    }

    async fn identify(&self, account: &Account) -> Result<(InstallationId, Account), StoreError> {
        let recorded = self.data().account.clone();
        Ok((InstallationId::parse(INSTALLATION)?, recorded.unwrap_or_else(|| account.clone())))
    }

    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let now = self.clock.now();
        let mut data = self.data();
        if data.no_claims {
            return Err(StoreError::Unavailable("connection reset".into()));
        }
        data.limits.push(limit);
        let mut claimed = Vec::new();
        if data.claimed {
            return Ok(claimed);
        }
        for (tenant, view) in &mut data.tenants {
            let wanted = only.is_none_or(|only| only == tenant);
            if let Some(row) = view.row.as_mut().filter(|row| wanted && row.next_attempt_at <= now)
                && ["pending", "suspect"].contains(&row.state.name())
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
        Ok(self.data().surplus.clone())
    }

    async fn add_tenants(&self, tenants: &[TenantId]) -> Result<usize, StoreError> {
        let mut data = self.data();
        let before = data.tenants.len();
        for tenant in tenants {
            let view = View { tenant: tenant.clone(), ..unbound(None) };
            data.tenants.entry(tenant.clone()).or_insert(view);
        }
        Ok(data.tenants.len() - before)
    }
}
