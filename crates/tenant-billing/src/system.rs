//! The system clock: the only file that reads the machine's time and randomness.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use jiff::Timestamp;
use tenant_billing_core::ports::Clock;

/// The machine's time and randomness.
#[derive(Debug)]
pub struct SystemClock {
    started: boot_time::Instant,
}

impl SystemClock {
    /// A clock that stores and Stripe clients can share.
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

    #[expect(clippy::disallowed_methods, reason = "this file owns the randomness")]
    fn random(&self) -> u64 {
        // Without random numbers from the operating system, TLS would not work either.
        getrandom::u64().expect("the operating system gives random numbers")
    }

    #[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
