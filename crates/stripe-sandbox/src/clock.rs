//! The clock: the only file that reads the machine's time and its randomness.
//!
//! Sandbox time is real time plus an offset that only grows. Everything with an age follows it: the
//! `created` stamps, the 24 hours of an idempotency key, the 30 days of an event, the lag of
//! search. So a test lives through a day by adding to the offset instead of waiting for it. The
//! `delay` fault waits in real time, since it is there to try the caller's own timeouts.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sandbox time: the real clock plus an offset.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_ms: AtomicI64,
}

impl Clock {
    /// Milliseconds since the Unix epoch, in sandbox time.
    pub(crate) fn now_ms(&self) -> i64 {
        real_ms().saturating_add(self.offset_ms())
    }

    /// How far sandbox time is ahead of real time, in milliseconds.
    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::SeqCst)
    }

    /// Puts sandbox time `offset_ms` ahead of real time.
    pub(crate) fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::SeqCst);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox's own clock: a delay fault really waits"
)]
pub(crate) async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}

/// A seed that no other sandbox has, for a sandbox that was not given one.
#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox's own clock: the seed of an unseeded one"
)]
pub(crate) fn fresh_seed() -> u64 {
    // RandomState is keyed from the system's randomness; the time separates two seeds of one
    // thread.
    std::hash::RandomState::new().hash_one(SystemTime::now())
}

/// Seconds since the Unix epoch, in real time.
pub(crate) fn real_seconds() -> i64 {
    real_ms().div_euclid(1000)
}

#[expect(clippy::disallowed_methods, reason = "the sandbox's own clock")]
fn real_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
