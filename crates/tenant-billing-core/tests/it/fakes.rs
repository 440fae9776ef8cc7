//! A database and a Stripe in memory, with the bad days that a test orders.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tenant_billing_core::{
    Billing, Policy,
    answer::Answer,
    audit::{History, Surplus, SurplusReason},
    ids::{AccountId, CustomerId, InstallationId, Mode, TenantId},
    ports::{Backlog, Clock, Committed, Store, StoreError, Stripe},
    provisioning::deletion,
    request::{Account, FrozenRequest},
    state::{Change, Column, View},
};
use tokio::time::Instant;

use crate::{
    answers::response,
    scene::{INSTALLATION, TENANT, now, ours, unbound},
};

/// So many readings with no pause between them are a spin.
const SPIN: u32 = 1000;

/// All of it, and what the test may look at.
pub(crate) struct World {
    pub(crate) billing: Billing,
    pub(crate) store: Arc<Memory>,
    pub(crate) stripe: Arc<Script>,
}

pub(crate) fn world(policy: Policy) -> World {
    let readings = Arc::new(AtomicU32::new(0));
    let clock = Arc::new(Paused::new(Arc::clone(&readings)));
    let store = Arc::new(Memory { clock: Arc::clone(&clock), readings, data: Mutex::default() });
    let stripe = Arc::new(Script { clock: Some(Arc::clone(&clock)), ..Script::default() });
    let (db, api) = (Arc::clone(&store), Arc::clone(&stripe));
    World { billing: Billing::with_policy(db, api, clock, policy), store, stripe }
}

/// tokio's paused time: whoever sleeps is woken when nobody has anything else to do.
pub(crate) struct Paused {
    start: Option<Instant>,
    readings: Arc<AtomicU32>,
}

impl Paused {
    #[expect(clippy::disallowed_methods, reason = "this is a Clock port, over paused time")]
    fn new(readings: Arc<AtomicU32>) -> Self {
        let start = tokio::runtime::Handle::try_current().ok();
        let start = start.map(|_| Instant::now());
        Self { start, readings }
    }
}

#[async_trait]
impl Clock for Paused {
    fn now(&self) -> Timestamp {
        now() + SignedDuration::try_from(self.uptime()).expect("a short test")
    }

    #[expect(clippy::disallowed_methods, reason = "this is a Clock port, over paused time")]
    fn uptime(&self) -> Duration {
        self.start.map_or(Duration::ZERO, |start| Instant::now() - start)
    }

    fn random(&self) -> u64 {
        u64::MAX
    }

    #[expect(clippy::disallowed_methods, reason = "this is a Clock port, over paused time")]
    async fn sleep(&self, time: Duration) {
        self.readings.store(0, Ordering::SeqCst);
        tokio::time::sleep(time).await;
    }
}

/// What a store does on its bad days, one order per call of `commit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Day {
    Good,
    /// Nothing is written.
    Away,
    /// It is written, and nobody is told.
    Unknown,
}

#[derive(Default)]
pub(crate) struct Data {
    pub(crate) tenants: BTreeMap<TenantId, View>,
    pub(crate) surplus: Vec<Surplus>,
    pub(crate) commits: VecDeque<Day>,
    /// Somebody else always has the row.
    pub(crate) claimed: bool,
    deleted: Vec<CustomerId>,
}

pub(crate) struct Memory {
    clock: Arc<Paused>,
    readings: Arc<AtomicU32>,
    data: Mutex<Data>,
}

impl Memory {
    pub(crate) fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
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
        Committed::Yes
    }
}

#[async_trait]
impl Store for Memory {
    async fn migrate(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn bound(&self, tenant: &TenantId) -> Result<Option<CustomerId>, StoreError> {
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
        let mut view = self.read(tenant);
        if let Some(candidate) = candidate {
            let data = self.data();
            view.candidate.deleted = data.deleted.contains(candidate);
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
        Ok((InstallationId::parse(INSTALLATION)?, account.clone()))
    }

    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        _limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let now = self.clock.now();
        let mut data = self.data();
        let mut claimed = Vec::new();
        if data.claimed {
            return Ok(claimed);
        }
        for (tenant, view) in &mut data.tenants {
            let wanted = only.is_none_or(|only| only == tenant);
            if let Some(row) = view.row.as_mut().filter(|row| wanted && row.next_attempt_at <= now)
                && ["pending", "suspect"].contains(&row.state.name())
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
        Ok(History {
            tenant: view.tenant,
            exists: view.exists,
            bound: view.bound,
            state: None,
            events: Vec::new(),
            surplus: self.data().surplus.clone(),
        })
    }

    async fn surplus(&self, _tenant: &TenantId) -> Result<Vec<Surplus>, StoreError> {
        Ok(self.data().surplus.clone())
    }

    async fn add_tenants(&self, _tenants: &[TenantId]) -> Result<usize, StoreError> {
        Ok(0)
    }
}

/// Stripe: creations are answered in the order that the test wrote down, then with new Customers.
#[derive(Default)]
pub(crate) struct Script {
    answers: Mutex<VecDeque<Answer>>,
    created: Mutex<Vec<FrozenRequest>>,
    events: Mutex<String>,
    takes: Mutex<Duration>,
    clock: Option<Arc<Paused>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Script {
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.answers).extend(answers);
    }

    /// How long every creation takes from now on.
    pub(crate) fn takes(&self, time: Duration) {
        *lock(&self.takes) = time;
    }

    /// Every creation that was sent.
    pub(crate) fn sent(&self) -> Vec<FrozenRequest> {
        lock(&self.created).clone()
    }

    /// The one event that can be listed: this key made that Customer.
    pub(crate) fn event(&self, key: &str, customer: &str) {
        *lock(&self.events) = format!(
            r#"{{"id":"evt_1","data":{{"object":{{"id":"{customer}"}}}},
                "request":{{"idempotency_key":"{key}"}}}}"#
        );
    }
}

#[async_trait]
impl Stripe for Script {
    fn mode(&self) -> Mode {
        Mode::Live
    }

    fn stripe_account(&self) -> Option<&AccountId> {
        None
    }

    async fn account(&self) -> Answer {
        response(200, &[], &format!(r#"{{"id":"{}"}}"#, ours().id))
    }

    async fn create_customer(&self, request: &FrozenRequest, _begin_by: Duration) -> Answer {
        let sent = {
            let mut created = lock(&self.created);
            created.push(request.clone());
            created.len()
        };
        // Others get on while this is on its way.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let takes = *lock(&self.takes);
        if let Some(clock) = self.clock.as_ref().filter(|_| !takes.is_zero()) {
            clock.sleep(takes).await;
        }
        let fresh = response(200, &[], &format!(r#"{{"id":"cus_new{sent}"}}"#));
        lock(&self.answers).pop_front().unwrap_or(fresh)
    }

    async fn retrieve_customer(&self, customer: &CustomerId) -> Answer {
        let body = format!(
            r#"{{"id":"{customer}","created":1,"email":"a@b.c","metadata":{{"tenantId":"{TENANT}"}}}}"#
        );
        response(200, &[], &body)
    }

    async fn list_customers(&self, _email: &str, _after: Option<&CustomerId>) -> Answer {
        response(200, &[], r#"{"data":[],"has_more":false}"#)
    }

    async fn search_customers(&self, _query: &str, _page: Option<&str>) -> Answer {
        response(200, &[], r#"{"data":[],"has_more":false}"#)
    }

    async fn list_created_events(&self, _since: Timestamp, _after: Option<&str>) -> Answer {
        let events = lock(&self.events).clone();
        response(200, &[], &format!(r#"{{"data":[{events}],"has_more":false}}"#))
    }
}
