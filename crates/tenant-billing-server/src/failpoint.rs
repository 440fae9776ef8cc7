//! Kills or stops the process at a named step, in a build for tests (feature `failpoints`).
//!
//! A step is the moment before or after the nth call of a method of a port: `before commit 2`. With
//! `TEST_STEPS=FILE`, each step that is reached is written to that file, one per line. With
//! `TEST_FAILPOINT=kill after create_customer 1`, or `stop …`, the process sends itself SIGKILL, or
//! SIGSTOP, at that step.

use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::Write as _,
    process::Command,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tenant_billing::{
    Afresh, Attention, Database, Listing, UnusableKey,
    answer::Answer,
    audit::{History, Surplus},
    ids::{AccountId, CustomerId, InstallationId, Mode, TenantId},
    ports::{Backlog, Binding, Clock, Committed, Registration, Store, StoreError, Stripe},
    request::{Account, FrozenRequest},
    state::{Change, View},
};

/// The same database, with a step before and after each call.
pub(crate) fn store(inner: Arc<dyn Database>) -> Arc<dyn Database> {
    Arc::new(Stepped(inner))
}

/// The same Stripe, with a step before and after each call.
pub(crate) fn stripe(inner: Arc<dyn Stripe>) -> Arc<dyn Stripe> {
    Arc::new(Stepped(inner))
}

struct Stepped<P: ?Sized>(Arc<P>);

/// Counts a step, writes it down, and sends the signal if it is the step for it.
fn reach(when: &str, call: &str) {
    static REACHED: OnceLock<Mutex<HashMap<String, u32>>> = OnceLock::new();
    let name = format!("{when} {call}");
    let count = {
        let mut reached = REACHED.get_or_init(Mutex::default).lock();
        let reached = reached.as_mut().unwrap_or_else(PoisonError::get_mut);
        let count = reached.entry(name.clone()).or_default();
        *count += 1;
        *count
    };
    let step = format!("{name} {count}");
    if let Some(file) = std::env::var_os("TEST_STEPS") {
        let file = OpenOptions::new().create(true).append(true).open(file);
        file.and_then(|mut file| writeln!(file, "{step}"))
            .expect("the file for steps can be written to");
    }
    let wanted = std::env::var("TEST_FAILPOINT").unwrap_or_default();
    for (how, signal) in [("kill", "-KILL"), ("stop", "-STOP")] {
        if wanted == format!("{how} {step}") {
            let id = std::process::id().to_string();
            let sent = Command::new("kill").args([signal, &id]).status();
            assert!(sent.is_ok_and(|it| it.success()), "the signal was sent");
        }
    }
}

/// Calls a method of the port between its two steps.
macro_rules! step {
    ($self:ident.$call:ident($($argument:expr),*)) => {{
        reach("before", stringify!($call));
        let done = $self.0.$call($($argument),*).await;
        reach("after", stringify!($call));
        done
    }};
}

#[async_trait]
impl Database for Stepped<dyn Database> {
    async fn migrate(&self) -> Result<(), StoreError> {
        step!(self.migrate())
    }

    async fn add_tenants(&self, tenants: &[TenantId]) -> Result<usize, StoreError> {
        step!(self.add_tenants(tenants))
    }

    async fn list(&self, what: Attention, limit: u32) -> Result<Listing, StoreError> {
        step!(self.list(what, limit))
    }

    async fn bound_after(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<Result<TenantId, UnusableKey>>, StoreError> {
        step!(self.bound_after(after, limit))
    }

    async fn ignore_installation(&self, other: &InstallationId) -> Result<bool, StoreError> {
        step!(self.ignore_installation(other))
    }

    async fn installation_moved(&self) -> Result<(), StoreError> {
        step!(self.installation_moved())
    }

    async fn start_afresh(&self, how: Afresh) -> Result<Registration, StoreError> {
        step!(self.start_afresh(how))
    }

    async fn count_bound(&self) -> Result<u64, StoreError> {
        step!(self.count_bound())
    }
}

#[async_trait]
impl Store for Stepped<dyn Database> {
    async fn binding(&self, tenant: &TenantId) -> Result<Option<Binding>, StoreError> {
        step!(self.binding(tenant))
    }

    async fn view(&self, tenant: &TenantId, customers: &[CustomerId]) -> Result<View, StoreError> {
        step!(self.view(tenant, customers))
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        step!(self.commit(change))
    }

    async fn record_deletion(&self, customer: &CustomerId) -> Result<(), StoreError> {
        step!(self.record_deletion(customer))
    }

    async fn registration(&self) -> Result<Registration, StoreError> {
        step!(self.registration())
    }

    async fn register(
        &self,
        installation: &InstallationId,
        account: &Account,
        key: Option<&str>,
    ) -> Result<Registration, StoreError> {
        step!(self.register(installation, account, key))
    }

    async fn ignored_installations(&self) -> Result<Vec<InstallationId>, StoreError> {
        step!(self.ignored_installations())
    }

    async fn claim(
        &self,
        only: Option<&TenantId>,
        hold: Duration,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        step!(self.claim(only, hold, limit))
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        step!(self.backlog())
    }

    async fn history(&self, tenant: &TenantId) -> Result<History, StoreError> {
        step!(self.history(tenant))
    }

    async fn surplus(&self, tenant: &TenantId) -> Result<Vec<Surplus>, StoreError> {
        step!(self.surplus(tenant))
    }
}

#[async_trait]
impl Stripe for Stepped<dyn Stripe> {
    fn clock(&self) -> Arc<dyn Clock> {
        self.0.clock()
    }

    fn mode(&self) -> Mode {
        self.0.mode()
    }

    fn fingerprint(&self, installation: &InstallationId, account: &Account) -> Option<String> {
        self.0.fingerprint(installation, account)
    }

    fn stripe_account(&self) -> Option<&AccountId> {
        self.0.stripe_account()
    }

    async fn account(&self) -> Answer {
        step!(self.account())
    }

    async fn create_customer(&self, request: &FrozenRequest, begin_by: Duration) -> Answer {
        step!(self.create_customer(request, begin_by))
    }

    async fn retrieve_customer(&self, customer: &CustomerId) -> Answer {
        step!(self.retrieve_customer(customer))
    }

    async fn list_customers(&self, email: &str, after: Option<&CustomerId>) -> Answer {
        step!(self.list_customers(email, after))
    }

    async fn search_customers(&self, query: &str, page: Option<&str>) -> Answer {
        step!(self.search_customers(query, page))
    }

    async fn list_created_events(&self, since: Timestamp, after: Option<&str>) -> Answer {
        step!(self.list_created_events(since, after))
    }
}
