//! Answers saved under idempotency keys, for one account and mode.
//!
//! A record lives 24 hours from the key's first use, and then it is as if it had never been: the
//! same key is a new request. A key whose request is still being worked on is held apart, and wins
//! over whatever is saved, since its answer is not out yet.
//!
//! A created Customer is its own record: it holds its key, its form and its request, and here is only
//! the way from the key to it. All other answers are records of their own.

use std::collections::{HashSet, VecDeque};

use super::customers::Customers;
use super::hooks::Endpoint;
use super::index::Index;
use super::mutation::{Failure, Save};
use crate::ids;

/// Stripe says "at least 24 hours"; the sandbox prunes at once, which is the harder case.
pub(crate) const KEPT_MS: i64 = 24 * 3600 * 1000;

/// How often the records whose time is over are dropped.
const PRUNED_EVERY_MS: i64 = 3600 * 1000;

/// Marks a position that is a record's and not a Customer's.
const RECORD: u32 = 1 << 31;

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The Customer at this position, as it was created.
    Created(u32),
    /// The Customer at this position after so many edits.
    Updated { customer: u32, edits: u32 },
    /// The webhook endpoint at this position, as it was then.
    Endpoint { at: u32, endpoint: Box<Endpoint>, new: bool },
    /// A failure.
    Failed(Failure),
}

/// One saved answer.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) key: String,
    /// The path of the request.
    pub(crate) endpoint: String,
    /// A hash of its form.
    pub(crate) fingerprint: u64,
    pub(crate) first_used_ms: i64,
    /// The number of the request that was answered.
    pub(crate) request: u64,
    pub(crate) answer: Answer,
}

/// What the keys say about a request.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing: it is a new request.
    Nothing,
    /// A request with this key is being worked on.
    InFlight,
    /// There is an answer under this key.
    Saved(Record),
}

/// The saved answers and the keys in flight.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    index: Index,
    /// All records but Customers, oldest first.
    records: VecDeque<Record>,
    /// How many of them were pruned before the first one here.
    pruned: u32,
    pruned_ms: i64,
    in_flight: HashSet<String>,
}

impl Saved {
    /// Looks a key up. Whoever holds the key passes `held`, and does not find itself.
    pub(crate) fn find(&self, key: &str, now_ms: i64, held: bool, customers: &Customers) -> Found {
        if !held && self.in_flight.contains(key) {
            return Found::InFlight;
        }
        let records = self.index.find(ids::hash(key.as_bytes()), u32::MAX);
        let mut alive = records
            .filter_map(|at| self.record(at, customers))
            .filter(|record| record.key == key && now_ms - record.first_used_ms < KEPT_MS);
        alive.next().map_or(Found::Nothing, Found::Saved)
    }

    /// Marks a key as being worked on.
    pub(crate) fn hold(&mut self, key: &str) {
        self.in_flight.insert(key.to_owned());
    }

    /// Ends [`Saved::hold`].
    pub(crate) fn release(&mut self, key: &str) {
        self.in_flight.remove(key);
    }

    /// Saves a created Customer as the answer to its own request.
    pub(super) fn created(&mut self, key: &str, customer: u32) {
        self.index.insert(ids::hash(key.as_bytes()), customer);
    }

    /// Saves any other answer.
    pub(super) fn save(&mut self, save: &Save, request: u64, answer: Answer) {
        let Save { key, endpoint, fingerprint, first_used_ms } = save.clone();
        let at = RECORD | (self.pruned + self.records.len() as u32);
        self.index.insert(ids::hash(key.as_bytes()), at);
        self.records.push_back(Record {
            key,
            endpoint,
            fingerprint,
            first_used_ms,
            request,
            answer,
        });
    }

    /// Drops the records whose time is over, now and then.
    pub(super) fn prune(&mut self, now_ms: i64, customers: &Customers) {
        if now_ms - self.pruned_ms < PRUNED_EVERY_MS {
            return;
        }
        self.pruned_ms = now_ms;
        while self.records.front().is_some_and(|r| now_ms - r.first_used_ms >= KEPT_MS) {
            self.records.pop_front();
            self.pruned += 1;
        }
        let pruned = self.pruned;
        self.index.retain(|at| match at & RECORD {
            0 => now_ms - customers.first_used_ms(at) < KEPT_MS,
            _ => at & !RECORD >= pruned,
        });
    }

    fn record(&self, at: u32, customers: &Customers) -> Option<Record> {
        if at & RECORD != 0 {
            return self.records.get((at & !RECORD).checked_sub(self.pruned)? as usize).cloned();
        }
        let birth = customers.birth(at);
        Some(Record {
            key: birth.key?,
            endpoint: "/v1/customers".to_owned(),
            fingerprint: birth.form.fingerprint(),
            first_used_ms: birth.first_used_ms,
            request: birth.request,
            answer: Answer::Created(at),
        })
    }
}
