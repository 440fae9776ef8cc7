//! A database and a Stripe in memory, with the failures that a test plans, and paused time.

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
use tenant_billing_core::{Billing, Error, Outcome, Policy, Problem, ports::Clock, state::View};
use tokio::time::Instant;

pub(crate) use self::{
    database::{Commit, FakeStore},
    stripe::{FakeStripe, event},
};
use crate::scene::{DETAILS, now, tenant};

/// So many reads without a pause between them mean that the loop spins.
const SPIN: u32 = 1000;

/// Billing over all of it, and the parts for the test to inspect.
pub(crate) struct World {
    pub(crate) billing: Billing,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) stripe: Arc<FakeStripe>,
    pub(crate) clock: Arc<PausedClock>,
}

pub(crate) fn world(policy: Policy) -> World {
    world_with(policy, FakeStripe::default())
}

/// The same with this Stripe.
pub(crate) fn world_with(policy: Policy, stripe: FakeStripe) -> World {
    let (store, stripe, clock) = ports(stripe);
    let (store, stripe) = (Arc::new(store), Arc::new(stripe));
    let billing =
        Billing::shared(Arc::<FakeStore>::clone(&store), Arc::<FakeStripe>::clone(&stripe), policy);
    World { billing, store, stripe, clock }
}

/// A database, this Stripe, and the clock that both go by.
pub(crate) fn ports(stripe: FakeStripe) -> (FakeStore, FakeStripe, Arc<PausedClock>) {
    let readings = Arc::new(AtomicU32::new(0));
    let clock = Arc::new(PausedClock::new(Arc::clone(&readings)));
    let store = FakeStore::new(Arc::clone(&clock), readings);
    (store, stripe.with_clock(Arc::clone(&clock)), clock)
}

/// How long a call waits.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The Customer's id, and how it came to be bound.
pub(crate) type Called = Result<(String, Outcome), Error>;

pub(crate) fn created(id: &str) -> Called {
    Ok((id.to_owned(), Outcome::Created))
}

/// Whether a caller is told to retry, and whether a Customer may exist.
pub(crate) fn retries<T>(told: &Result<T, Error>, may_have_created: bool) -> bool {
    told.as_ref().is_err_and(|error| {
        matches!(error.problem(), Problem::Retry { .. })
            && error.may_have_created() == may_have_created
    })
}

/// Whether a caller is told that Stripe has rejected the request, and no Customer exists.
pub(crate) fn rejected<T>(told: &Result<T, Error>) -> bool {
    told.as_ref().is_err_and(|error| {
        matches!(error.problem(), Problem::Rejected(_)) && !error.may_have_created()
    })
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

    /// The tenant as the database shows it, if anything was ever written of it.
    pub(crate) fn tenant_or_none(&self) -> Option<View> {
        self.store.data().tenants.get(&tenant()).cloned()
    }

    /// The tenant as the database shows it.
    pub(crate) fn tenant(&self) -> View {
        self.store.data().tenants[&tenant()].clone()
    }

    /// Lets other tasks run until so many creations have been sent; panics if that never happens.
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

/// tokio's paused time: it moves on to the next sleeper when no task has anything else to do.
pub(crate) struct PausedClock {
    start: Option<Instant>,
    readings: Arc<AtomicU32>,
}

impl PausedClock {
    #[expect(clippy::disallowed_methods, reason = "this is a Clock port, over paused time")]
    fn new(readings: Arc<AtomicU32>) -> Self {
        let start = tokio::runtime::Handle::try_current().ok();
        let start = start.map(|_| Instant::now());
        Self { start, readings }
    }
}

#[async_trait]
impl Clock for PausedClock {
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
