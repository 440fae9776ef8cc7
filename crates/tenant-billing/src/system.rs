//! The one place that reads the machine's clock and randomness.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use jiff::Timestamp;
use tenant_billing_core::ports::Clock;

/// The machine's own time and randomness.
#[derive(Debug)]
pub struct SystemClock {
    started: boot_time::Instant,
}

impl SystemClock {
    /// The clock, ready to be handed to a store, a Stripe client and [`Billing`](crate::Billing).
    #[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self { started: boot_time::Instant::now() })
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    #[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
    fn uptime(&self) -> Duration {
        boot_time::Instant::now().duration_since(self.started)
    }

    #[expect(clippy::disallowed_methods, reason = "this file owns chance")]
    fn random(&self) -> u64 {
        // An operating system that cannot give a random number cannot be trusted with anything else.
        getrandom::u64().expect("the operating system gives random numbers")
    }

    #[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
