//! The database under test, and what every check begins with.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tenant_billing_core::{
    answer::Rejection,
    audit::{EventKind, NewEvent},
    ids::{AccountId, CustomerId, Email, InstallationId, Mode, TenantId},
    ports::{Clock, Committed, Store},
    request::{Account, CustomerDetails, FrozenRequest, Identity},
    state::{Change, Column, Row, State, View},
};

use crate::Database;

/// One fresh database under test, and the host application's hand in it.
#[async_trait]
pub trait Bench: Send + Sync {
    /// A store over this database, as another process would open it: not yet migrated by it.
    async fn open(&self) -> Arc<dyn Database>;
    /// A tenant id of the database's own spelling, another for each number.
    fn tenant(&self, number: u32) -> TenantId;
    /// Another spelling of the same tenant, if the database knows one.
    fn respelled(&self, tenant: &TenantId) -> Option<TenantId>;
    /// The host deletes a tenant.
    async fn remove_tenant(&self, tenant: &TenantId);
    /// The host writes its own column, and inserts the row of `tenant_config` if there is none.
    async fn set_column(&self, tenant: &TenantId, customer: Option<&CustomerId>);
    /// A botched restore deletes a tenant's row of `customer_provisioning`.
    async fn lose_row(&self, tenant: &TenantId);
    /// All that our tables hold, as text.
    async fn dump(&self) -> String;
    /// Moves the database's clock ahead.
    fn advance(&self, by: SignedDuration);
}

/// A clock that stands still until it is moved, for stores whose time is the machine's.
pub struct SteppedClock {
    now: Mutex<Timestamp>,
    random: Mutex<u64>,
}

impl SteppedClock {
    /// A clock that stands at this moment.
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(now), random: Mutex::new(0) })
    }

    /// Moves it ahead.
    pub fn advance(&self, by: SignedDuration) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

#[async_trait]
impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uptime(&self) -> Duration {
        self.now().duration_since(Timestamp::UNIX_EPOCH).unsigned_abs()
    }

    fn random(&self) -> u64 {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        *random += 1;
        *random
    }

    async fn sleep(&self, _: Duration) {
        tokio::task::yield_now().await;
    }
}

pub(super) type Check = for<'a> fn(&'a dyn Bench) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A store that is migrated, belongs to an account, and knows tenant 1.
pub(super) async fn ready(bench: &dyn Bench) -> (Arc<dyn Database>, TenantId) {
    let store = bench.open().await;
    store.migrate().await.expect("migrates");
    store.register(&account(), None).await.expect("identifies");
    let tenant = bench.tenant(1);
    assert!(store.add_tenant(&tenant).await.expect("adds a tenant"));
    (store, tenant)
}

pub(super) fn account() -> Account {
    Account { id: AccountId::parse("acct_one").expect("an id"), mode: Mode::Test }
}

pub(super) fn customer(name: &str) -> CustomerId {
    CustomerId::parse(&format!("cus_{name}")).expect("an id")
}

/// A request that holds `someone@example.com`.
pub(super) fn request(tenant: &TenantId, generation: u64) -> FrozenRequest {
    let identity = Identity {
        installation: InstallationId::parse("11111111-aaaa").expect("an id"),
        account: account(),
        stripe_account: Some(AccountId::parse("acct_connected").expect("an id")),
    };
    let details = CustomerDetails::new(Email::parse("someone@example.com").expect("an e-mail"));
    FrozenRequest::freeze(&identity, tenant, generation, &details)
}

pub(super) fn rejection() -> Rejection {
    let (code, param) = (Some("email_invalid".into()), Some("email".into()));
    Rejection { code, param, message: "Invalid e-mail address".into() }
}

/// A change of the row to `state`, decided from `view`.
pub(super) fn to(view: &View, state: State) -> Change {
    let mut change = Change::none(view);
    change.row = Some(Row {
        generation: view.row.as_ref().map_or(1, |row| row.generation),
        version: change.only_if.version.unwrap_or(0) + 1,
        state,
        opened_at: view.now,
        attempts: 0,
        next_attempt_at: view.now,
        last_error: None,
    });
    change
}

pub(super) fn open(view: &View) -> Change {
    let mut change = to(view, State::Pending(request(&view.tenant, 1)));
    change.only_if.needs_customer_in = Some(account());
    change.events.push(event(EventKind::Opened, None));
    change
}

pub(super) fn bind(view: &View, customer: &CustomerId) -> Change {
    let mut change = to(view, State::Provisioned(customer.clone()));
    change.column = Column::Bind(customer.clone());
    change.only_if.needs_customer_in = Some(account());
    change.events.push(event(EventKind::Created, Some(customer)));
    change
}

pub(super) fn event(kind: EventKind, customer: Option<&CustomerId>) -> NewEvent {
    let request_id = Some("req_1".to_owned());
    NewEvent { kind, generation: 1, customer: customer.cloned(), request_id, detail: "why".into() }
}

pub(super) async fn commit(store: &dyn Store, change: &Change) -> Committed {
    store.commit(change).await.expect("the database answers")
}

pub(super) async fn written(store: &dyn Store, change: &Change) {
    assert_eq!(commit(store, change).await, Committed::Yes, "{change:?}");
}

/// Asserts that a condition does not hold, and that nothing at all is written.
pub(super) async fn conflicts(bench: &dyn Bench, store: &dyn Store, change: &Change) {
    let before = bench.dump().await;
    assert_eq!(commit(store, change).await, Committed::Conflict, "{change:?}");
    assert_eq!(
        bench.dump().await,
        before,
        "a change that was not written left something: {change:?}"
    );
}

pub(super) async fn view(store: &dyn Store, tenant: &TenantId) -> View {
    store.view(tenant, &[]).await.expect("the database answers")
}
