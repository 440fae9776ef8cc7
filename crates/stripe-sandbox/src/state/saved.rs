//! Answers saved under idempotency keys, for one account and mode.
//!
//! A record lives 24 hours from the key's first use, and then it is as if it had never been: the
//! same key is a new request. A key whose request is still being worked on is held apart, and wins
//! over whatever is saved, since its answer is not out yet.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::index::Index;
use super::mutation::Save;
use crate::ids;

/// Stripe says "at least 24 hours"; the sandbox prunes at once, which is the harder case.
pub(crate) const KEPT_MS: i64 = 24 * 3600 * 1000;

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The Customer created at this position, as it was created.
    Created(u32),
    /// A failure, with its status and body.
    Failed { status: u16, body: Box<str>, request: Box<str> },
}

/// One saved answer.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: Arc<str>,
    pub(crate) endpoint: Arc<str>,
    pub(crate) parameters: u64,
    pub(crate) first_used_ms: i64,
    pub(crate) answer: Answer,
}

/// What the keys say about a request.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// Nothing: it is a new request.
    Nothing,
    /// A request with this key is being worked on.
    InFlight,
    /// There is an answer under this key.
    Saved(&'a Record),
}

/// The saved answers and the keys in flight.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    records: VecDeque<Record>,
    /// How many records were pruned before the first one here.
    pruned: u32,
    index: Index,
    in_flight: HashSet<Box<str>>,
}

impl Saved {
    /// Looks a key up. Whoever holds the key passes `held`, and does not find itself.
    pub(crate) fn find(&self, key: &str, now_ms: i64, held: bool) -> Found<'_> {
        if !held && self.in_flight.contains(key) {
            return Found::InFlight;
        }
        let newest = self.positions(key).filter_map(|at| self.record(at)).find(|r| *r.key == *key);
        match newest {
            Some(record) if now_ms - record.first_used_ms < KEPT_MS => Found::Saved(record),
            _ => Found::Nothing,
        }
    }

    /// Marks a key as being worked on.
    pub(crate) fn hold(&mut self, key: &str) {
        self.in_flight.insert(key.into());
    }

    /// Ends [`Saved::hold`].
    pub(crate) fn release(&mut self, key: &str) {
        self.in_flight.remove(key);
    }

    /// Saves an answer, and drops the records whose time is over.
    pub(crate) fn save(&mut self, save: &Save, key: Arc<str>, answer: Answer, now_ms: i64) {
        // Nearly every request goes to the same endpoint: its name is kept once.
        let endpoint = match self.records.back() {
            Some(last) if *last.endpoint == *save.endpoint => Arc::clone(&last.endpoint),
            _ => Arc::from(save.endpoint.as_str()),
        };
        let position = self.pruned + self.records.len() as u32;
        self.index.insert(ids::hash(key.as_bytes()), position);
        let Save { parameters, first_used_ms, .. } = *save;
        self.records.push_back(Record { key, endpoint, parameters, first_used_ms, answer });
        self.prune(now_ms);
    }

    /// Drops the records whose time is over.
    pub(crate) fn prune(&mut self, now_ms: i64) {
        while self.records.front().is_some_and(|r| now_ms - r.first_used_ms >= KEPT_MS) {
            self.records.pop_front();
            self.pruned += 1;
        }
        if self.index.len() > 2 * self.records.len() + 1024 {
            self.index = Index::default();
            for (offset, record) in self.records.iter().enumerate() {
                let position = self.pruned + offset as u32;
                self.index.insert(ids::hash(record.key.as_bytes()), position);
            }
        }
    }

    fn positions(&self, key: &str) -> impl Iterator<Item = u32> + '_ {
        self.index.find(ids::hash(key.as_bytes()))
    }

    fn record(&self, position: u32) -> Option<&Record> {
        self.records.get(position.checked_sub(self.pruned)? as usize)
    }
}
