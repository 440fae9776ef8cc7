//! The clock of the demo: it can skip time, and its random numbers come from the seed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tenant_billing::{SystemClock, ports::Clock};

/// The machine's clock plus the time that was skipped.
pub(super) struct DemoClock {
    machine: Arc<dyn Clock>,
    skipped_seconds: AtomicI64,
    drawn: AtomicU64,
}

impl DemoClock {
    /// A clock that has not skipped any time yet.
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            machine: SystemClock::shared(),
            skipped_seconds: AtomicI64::new(0),
            drawn: AtomicU64::new(mix(seed)),
        })
    }

    /// Skips this much time.
    pub(super) fn skip(&self, time: Duration) {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        self.skipped_seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for DemoClock {
    fn now(&self) -> Timestamp {
        let skipped = SignedDuration::from_secs(self.skipped_seconds.load(Ordering::SeqCst));
        self.machine.now() + skipped
    }

    fn uptime(&self) -> Duration {
        self.machine.uptime()
    }

    fn random(&self) -> u64 {
        mix(self.drawn.fetch_add(1, Ordering::SeqCst))
    }

    async fn sleep(&self, time: Duration) {
        self.machine.sleep(time).await;
    }
}

/// SplitMix64: well-scattered numbers from a counter.
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
