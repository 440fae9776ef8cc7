//! A whole small world: a database, a sandbox, and processes of this software between them.
//!
//! When it is dropped it asserts the promise, so that no test can forget to: no tenant has two live
//! Customers that we made, and each live one is bound to its tenant or on record as surplus.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use stripe_sandbox::{CustomerRecord, Fault, Rule, Sandbox, When};
use tenant_billing::{
    Billing, Database, Error, Policy, SecretKey, StripeClient, SystemClock, TenantCustomer,
    audit::{EventKind, Reason},
    ids::{CustomerId, Email, TenantId},
    ports::Clock,
    request::CustomerDetails,
};
use tokio::task::JoinHandle;

use crate::postgres::server::block;

/// A database, and the hand of a host and of time in it.
#[async_trait]
pub(crate) trait Host: Send + Sync + Sized {
    async fn make() -> Self;
    /// As another process would open it.
    fn store(&self, clock: Arc<dyn Clock>) -> Arc<dyn Database>;
    /// Runs statements. Those that name our tables name no schema.
    async fn sql(&self, sql: &str);
    /// What the only cell of the only row says.
    async fn holds(&self, sql: &str) -> bool;
    /// Lets its clock go ahead, unless that is the machine's.
    async fn pass(&self, time: SignedDuration);
    /// Statements that take the trail's protection away.
    const UNGUARD_TRAIL: &str;
}

/// The machine's clock, which a test may set ahead, and dice that make every back-off short.
struct TestClock {
    machine: Arc<dyn Clock>,
    ahead_ms: AtomicI64,
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.ahead_ms.load(Ordering::SeqCst));
        self.machine.now() + ahead
    }

    fn uptime(&self) -> Duration {
        self.machine.uptime()
    }

    fn random(&self) -> u64 {
        self.machine.random() / 50
    }

    async fn sleep(&self, time: Duration) {
        self.machine.sleep(time).await;
    }
}

pub(crate) struct World<H: Host> {
    host: H,
    clock: Arc<TestClock>,
    pub(crate) sandbox: Sandbox,
    /// What a test has put into Stripe itself, or expects to be left over.
    pub(crate) not_ours: Vec<String>,
}

impl<H: Host> World<H> {
    pub(crate) async fn new() -> Self {
        let machine = SystemClock::shared();
        let clock = Arc::new(TestClock { machine, ahead_ms: AtomicI64::new(0) });
        let sandbox = Sandbox::start().await.unwrap();
        let world = Self { host: H::make().await, clock, sandbox, not_ours: Vec::new() };
        world.store().migrate().await.unwrap();
        world
    }

    pub(crate) fn store(&self) -> Arc<dyn Database> {
        self.host.store(self.clock.clone())
    }

    pub(crate) fn stripe(&self, key: &str) -> StripeClient {
        let key = SecretKey::parse(key).unwrap();
        StripeClient::new(key)
            .with_clock(self.clock.clone())
            .with_base(&self.sandbox.url())
            .unwrap()
    }

    /// As another process would have it.
    pub(crate) fn billing(&self) -> Billing {
        self.billing_with("sk_test_1", Policy::default())
    }

    pub(crate) fn inquire_first(&self) -> Billing {
        self.billing_with("sk_test_1", Policy { inquire_first: true, ..Policy::default() })
    }

    pub(crate) fn billing_with(&self, key: &str, policy: Policy) -> Billing {
        Billing::shared(self.store(), Arc::new(self.stripe(key)), policy)
    }

    pub(crate) async fn tenant(&self, number: u32) -> TenantId {
        let tenant = TenantId::parse(&format!("00000000-0000-4000-8000-{number:012}")).unwrap();
        self.store().add_tenant(&tenant).await.unwrap();
        tenant
    }

    /// Waits for real, for what goes on elsewhere.
    pub(crate) async fn wait(&self, time: Duration) {
        self.clock.machine.sleep(time).await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time passes, for Stripe and for the database.
    pub(crate) async fn pass(&self, time: Duration) {
        let ahead = SignedDuration::try_from(time).unwrap();
        let ms = i64::try_from(ahead.as_millis()).unwrap();
        self.clock.ahead_ms.fetch_add(ms, Ordering::SeqCst);
        self.host.pass(ahead).await;
        self.sandbox.advance(time);
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.host.sql(sql).await;
    }

    /// The row is lost, and with it, as a restored backup has it, all that it left behind.
    pub(crate) async fn forget(&self) {
        let lost = "DELETE FROM billing_event; DELETE FROM customer_provisioning;
                    DELETE FROM tenant_config";
        self.sql(&format!("{}; {lost}", H::UNGUARD_TRAIL)).await;
    }

    /// Arms a fault for the next creations.
    pub(crate) fn fault(&self, fault: Fault, times: u64) {
        self.sandbox.arm(Rule::new(fault).method("POST").path("/v1/customers").times(times));
    }

    /// A call by a process that never sees an answer and is gone: what it made.
    pub(crate) async fn created_unseen(&self, tenant: &TenantId) -> CustomerRecord {
        let billing = self.billing();
        self.sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").always());
        let error = brief(&billing, tenant).await.unwrap_err();
        assert!(error.retry_after().is_some() && error.may_have_created(), "{error:?}");
        assert!(billing.shutdown(Duration::from_secs(5)).await);
        self.sandbox.disarm();
        self.live()[0].clone()
    }

    /// A call under way: the Customer exists, and its answer comes a moment later.
    pub(crate) async fn under_way(
        &self,
        billing: &Billing,
        tenant: &TenantId,
    ) -> JoinHandle<Result<TenantCustomer, Error>> {
        self.fault(Fault::Delay { ms: 300, when: When::After }, 1);
        let (billing, tenant) = (billing.clone(), tenant.clone());
        let pending = tokio::spawn(async move { call(&billing, &tenant).await });
        while self.live().is_empty() {
            tokio::task::yield_now().await;
        }
        pending
    }

    pub(crate) fn live(&self) -> Vec<CustomerRecord> {
        self.sandbox.customers().into_iter().filter(|it| !it.deleted).collect()
    }

    pub(crate) fn creations(&self) -> usize {
        let requests = self.sandbox.requests();
        requests.iter().filter(|it| it.method == "POST" && it.path == "/v1/customers").count()
    }

    pub(crate) async fn state(&self, tenant: &TenantId) -> &'static str {
        let row = self.store().view(tenant, &[]).await.unwrap().row;
        row.map_or("no row", |row| row.state.name())
    }

    pub(crate) async fn kinds(&self, tenant: &TenantId) -> Vec<EventKind> {
        let history = self.store().history(tenant).await.unwrap();
        history.events.iter().map(|it| it.event.kind).collect()
    }

    /// Recovers until nothing remains, letting the time pass that it asks for.
    pub(crate) async fn recover_all(&self, billing: &Billing) {
        for _ in 0..100 {
            let backlog = billing.recover_once().await.unwrap().backlog;
            let Some(due) = backlog.next_due else { return };
            let wait = due.duration_since(backlog.now) + SignedDuration::from_millis(1);
            self.pass(Duration::try_from(wait.max(SignedDuration::ZERO)).unwrap()).await;
        }
        panic!("recovery does not come to an end");
    }
}

impl<H: Host> Drop for World<H> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            block(self.keeps_the_promise());
        }
    }
}

impl<H: Host> World<H> {
    async fn keeps_the_promise(&self) {
        let mut made: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for customer in self.live().into_iter().filter(|it| !self.not_ours.contains(&it.id)) {
            let (id, tenant) = (&customer.id, customer.metadata.get("tenantId"));
            let tenant = tenant.expect("ours names its tenant");
            made.entry(tenant.clone()).or_default().push(id.clone());
            let known = format!(
                "SELECT EXISTS (SELECT 1 FROM tenant_config
                                WHERE stripe_customer_id = '{id}' AND tenant_id = '{tenant}')
                     OR EXISTS (SELECT 1 FROM surplus_customer WHERE customer_id = '{id}'
                                AND tenant_id = '{tenant}' AND resolved_at IS NULL)"
            );
            let words = "is neither bound nor on record as surplus";
            assert!(self.host.holds(&known).await, "{id} of {tenant} {words}");
        }
        for (tenant, customers) in made {
            assert!(customers.len() == 1, "{tenant} has {customers:?}");
        }
    }
}

pub(crate) fn details(email: &str) -> CustomerDetails {
    CustomerDetails::new(Email::parse(email).unwrap())
}

pub(crate) fn reason() -> Reason {
    Reason::parse("they pay in another currency").unwrap()
}

pub(crate) fn id(text: &str) -> CustomerId {
    CustomerId::parse(text).unwrap()
}

/// The usual call, with a deadline that a test can wait for.
pub(crate) async fn call(billing: &Billing, tenant: &TenantId) -> Result<TenantCustomer, Error> {
    billing.get_or_create(tenant, &details("owner@example.com"), Duration::from_secs(5)).await
}

/// A call that is not patient, for what cannot work out anyway.
pub(crate) async fn brief(billing: &Billing, tenant: &TenantId) -> Result<TenantCustomer, Error> {
    billing.get_or_create(tenant, &details("owner@example.com"), Duration::from_millis(300)).await
}
