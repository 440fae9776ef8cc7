//! A database and a Stripe in memory, with the bad days that a test orders, and paused time.

mod database;
mod stripe;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tenant_billing_core::{Billing, Error, Outcome, Policy, ports::Clock, state::View};
use tokio::time::Instant;

pub(crate) use self::{
    database::{Day, Memory},
    stripe::{Script, event},
};
use crate::scene::{DETAILS, now, tenant};

/// So many readings with no pause between them are a spin.
const SPIN: u32 = 1000;

/// All of it, and what the test may look at.
pub(crate) struct World {
    pub(crate) billing: Billing,
    pub(crate) store: Arc<Memory>,
    pub(crate) stripe: Arc<Script>,
    pub(crate) clock: Arc<Paused>,
}

pub(crate) fn world(policy: Policy) -> World {
    world_with(policy, Script::default())
}

/// The same with a Stripe that is set up otherwise.
pub(crate) fn world_with(policy: Policy, stripe: Script) -> World {
    let readings = Arc::new(AtomicU32::new(0));
    let clock = Arc::new(Paused::new(Arc::clone(&readings)));
    let store = Arc::new(Memory::new(Arc::clone(&clock), readings));
    let stripe = Arc::new(stripe.by(Arc::clone(&clock)));
    let (db, api, time) = (Arc::clone(&store), Arc::clone(&stripe), Arc::clone(&clock));
    World { billing: Billing::with_policy(db, api, time, policy), store, stripe, clock }
}

/// How long a call waits.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The Customer's id, and how it came to be there.
pub(crate) type Called = Result<(String, Outcome), Error>;

pub(crate) fn created(id: &str) -> Called {
    Ok((id.to_owned(), Outcome::Created))
}

impl World {
    pub(crate) async fn call(&self) -> Called {
        self.call_within(DEADLINE).await
    }

    pub(crate) async fn call_within(&self, deadline: Duration) -> Called {
        let tenant = tenant();
        let call = self.billing.get_or_create(&tenant, &DETAILS, deadline);
        call.await.map(|it| (it.customer.to_string(), it.outcome))
    }

    /// The tenant as the database has it.
    pub(crate) fn tenant(&self) -> View {
        self.store.data().tenants[&tenant()].clone()
    }

    /// Lets the others get on until so many creations have been sent, or long enough have not.
    pub(crate) async fn sent(&self, creations: usize) {
        for _ in 0..SPIN {
            if self.stripe.sent().len() >= creations {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("creation {creations} was not sent");
    }
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
