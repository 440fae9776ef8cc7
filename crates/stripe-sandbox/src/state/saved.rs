//! The answers that are saved under idempotency keys, for one account and mode.
//!
//! A record lives 24 hours from the key's first use. After that the same key is a new request. The
//! answer to a creation needs no record of its own, because the Customer keeps its key, its form
//! and its request; all other answers are kept here. A key whose request is still being worked on
//! is held apart, and comes before anything saved, since its answer has not left yet.

use std::collections::{HashMap, HashSet};

use super::hooks::Endpoint;
use super::mutation::{Failure, Save};

/// How long an answer is kept. Stripe says "at least 24 hours"; the sandbox forgets at once, which
/// is the harder case for a client.
pub(crate) const KEPT_MS: i64 = 24 * 3600 * 1000;

/// How often the records that were kept long enough are dropped.
const PRUNED_EVERY_MS: i64 = 3600 * 1000;

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A version of the Customer at a position.
    Customer {
        at: u32,
        version: u32,
    },
    /// The webhook endpoint at a position, as it was then. A new one shows its secret.
    Endpoint {
        at: u32,
        endpoint: Box<Endpoint>,
        new: bool,
    },
    Failed(Failure),
}

/// An answer, and the request that it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) save: Save,
    /// The number of the request that was answered.
    pub(crate) request: u64,
    pub(crate) answer: Answer,
}

impl Record {
    /// Whether the record still counts.
    pub(super) fn is_alive(&self, now_ms: i64) -> bool {
        now_ms - self.save.first_used_ms < KEPT_MS
    }
}

/// The state of an idempotency key.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    /// A request with this key is being worked on.
    InFlight,
    Saved(Record),
}

/// The saved answers and the keys in flight.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    records: HashMap<String, Record>,
    pruned_ms: i64,
    in_flight: HashSet<String>,
}

impl Saved {
    /// The record under a key, if it still counts.
    pub(super) fn get(&self, key: &str, now_ms: i64) -> Option<&Record> {
        self.records.get(key).filter(|record| record.is_alive(now_ms))
    }

    /// Whether a request with this key is being worked on.
    pub(super) fn is_in_flight(&self, key: &str) -> bool {
        self.in_flight.contains(key)
    }

    /// Marks a key as being worked on.
    pub(crate) fn hold(&mut self, key: &str) {
        self.in_flight.insert(key.to_owned());
    }

    /// Ends [`Saved::hold`].
    pub(crate) fn release(&mut self, key: &str) {
        self.in_flight.remove(key);
    }

    pub(super) fn save(&mut self, save: &Save, request: u64, answer: Answer) {
        let record = Record { save: save.clone(), request, answer };
        self.records.insert(save.key.clone(), record);
    }

    /// Drops the records that were kept long enough, once an hour.
    pub(super) fn prune(&mut self, now_ms: i64) {
        if now_ms - self.pruned_ms >= PRUNED_EVERY_MS {
            self.pruned_ms = now_ms;
            self.records.retain(|_, record| record.is_alive(now_ms));
        }
    }
}
