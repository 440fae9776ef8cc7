//! How webhooks are delivered at present: held back or not, and with which chances.

use std::sync::Mutex;

use serde::Serialize;
use tokio::sync::Notify;

use crate::lock::locked;

/// Chances that deliveries come twice, or late and so out of order.
///
/// ```
/// use stripe_sandbox::WebhookChaos;
///
/// let chaos = WebhookChaos::new(7).duplicates(0.5).delays(0.3, 2_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[must_use]
pub struct WebhookChaos {
    pub(crate) seed: u64,
    pub(crate) duplicate: f64,
    pub(crate) delay: f64,
    pub(crate) max_delay_ms: u64,
}

impl WebhookChaos {
    /// Chances that are all 0 yet.
    pub fn new(seed: u64) -> WebhookChaos {
        WebhookChaos { seed, duplicate: 0.0, delay: 0.0, max_delay_ms: 0 }
    }

    /// Sets how likely a delivery is to come twice, from 0 to 1. The second time comes after
    /// others.
    pub fn duplicates(mut self, probability: f64) -> WebhookChaos {
        self.duplicate = probability;
        self
    }

    /// Sets how likely a first attempt is to come late, from 0 to 1, and by at most how many
    /// milliseconds of sandbox time.
    pub fn delays(mut self, probability: f64, max_delay_ms: u64) -> WebhookChaos {
        self.delay = probability;
        self.max_delay_ms = max_delay_ms;
        self
    }
}

/// The order in which a flush sends deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookOrder {
    /// As the events happened.
    AsMade,
    /// The last one first.
    Reversed,
    /// In an order that depends on this seed.
    Shuffled(u64),
}

/// The settings of the courier, and a bell to wake it.
#[derive(Debug, Default)]
pub(crate) struct Courier {
    settings: Mutex<Settings>,
    pub(super) news: Notify,
}

/// How deliveries are made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settings {
    pub(crate) held: bool,
    pub(crate) chaos: Option<WebhookChaos>,
}

impl Courier {
    pub(crate) fn settings(&self) -> Settings {
        *locked(&self.settings)
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut locked(&self.settings));
        self.wake();
    }

    /// Tells the courier that there may be something to deliver.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }
}
