//! The log of requests, and the counters.
//!
//! The log is read rarely and written with every request, a hundred thousand long: it is kept packed,
//! like the Customers.

use std::collections::BTreeMap;

use crate::fault::FaultKind;
use crate::ids;
use crate::report::{Counters, RequestRecord};
use crate::state::Archive;
use crate::state::mutation::Scope;

/// The log keeps so many requests.
const LOGGED: usize = 100_000;

/// How a request ended, but for what a fault or a limit made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Replayed,
    Conflict,
    /// One of the sandbox's own limits refused it.
    Limited,
    /// The fault took the answer's place.
    Struck,
    /// The sandbox ended first.
    Stopped,
}

const OUTCOMES: [Outcome; 6] = [
    Outcome::Answered,
    Outcome::Replayed,
    Outcome::Conflict,
    Outcome::Limited,
    Outcome::Struck,
    Outcome::Stopped,
];

/// A request that ended.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) endpoint: &'static str,
    pub(crate) number: u64,
    pub(crate) came_ms: i64,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) scope: Option<&'a Scope>,
    pub(crate) key: Option<&'a str>,
    pub(crate) status: Option<u16>,
    pub(crate) outcome: Outcome,
    pub(crate) fault: Option<FaultKind>,
}

/// The log and the counters.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: Archive<5>,
    pub(crate) counters: Counters,
}

impl Log {
    /// Notes a request that ended.
    pub(crate) fn note(&mut self, entry: &Entry<'_>) {
        let counters = &mut self.counters;
        counters.requests += 1;
        *count(&mut counters.by_endpoint, entry.endpoint) += 1;
        match entry.outcome {
            Outcome::Replayed => counters.replays += 1,
            Outcome::Conflict => counters.conflicts += 1,
            Outcome::Limited => counters.rate_limited += 1,
            _ => {}
        }
        if let Some(kind) = entry.fault {
            *count(&mut counters.faults, kind.name()) += 1;
        }
        let fault = FaultKind::ALL.iter().position(|kind| Some(*kind) == entry.fault);
        let numbers = [
            entry.number as i64,
            entry.came_ms,
            entry.status.map_or(-1, i64::from),
            OUTCOMES.iter().position(|outcome| *outcome == entry.outcome).unwrap_or(0) as i64,
            fault.map_or(-1, |at| at as i64),
        ];
        let (account, mode) = match entry.scope {
            None => ("", ""),
            Some(scope) => (&*scope.account, if scope.livemode { "live" } else { "test" }),
        };
        // Without a key, and with an empty one, are the same here: an empty one was never a key.
        let texts = [entry.method, entry.path, account, mode, entry.key.unwrap_or_default()];
        self.entries.push(numbers, texts);
        self.entries.drop_all_but(LOGGED);
    }

    /// The last requests, at most `most` of them, in the order they ended.
    pub(crate) fn last(&self, most: usize, base: u64) -> Vec<RequestRecord> {
        let (start, end) = (self.entries.start(), self.entries.len());
        let from = end.saturating_sub(most.min(LOGGED)).max(start);
        (from..end).map(|at| self.record(at, base)).collect()
    }

    fn record(&self, at: usize, base: u64) -> RequestRecord {
        let ([number, came_ms, status, outcome, fault], mut texts) = self.entries.get(at);
        let fault = usize::try_from(fault).ok().and_then(|at| FaultKind::ALL.get(at));
        let fault = fault.map(|kind| kind.name());
        let mut text = || texts.next().unwrap_or_default();
        let (method, path, account, mode, key) = (text(), text(), text(), text(), text());
        let outcome = match OUTCOMES[outcome as usize] {
            Outcome::Answered => "answered",
            Outcome::Replayed => "replayed",
            Outcome::Conflict => "conflict",
            Outcome::Limited => "limited",
            Outcome::Struck => fault.unwrap_or("stopped"),
            Outcome::Stopped => "stopped",
        };
        RequestRecord {
            id: ids::REQUEST.id(base, number as u64),
            at: came_ms.div_euclid(1000),
            method,
            path,
            account: Some(account).filter(|account| !account.is_empty()),
            livemode: Some(mode).filter(|mode| !mode.is_empty()).map(|mode| mode == "live"),
            idempotency_key: Some(key).filter(|key| !key.is_empty()),
            status: u16::try_from(status).ok(),
            outcome: outcome.to_owned(),
            fault: fault.map(str::to_owned),
        }
    }
}

fn count<'a>(counters: &'a mut BTreeMap<String, u64>, name: &str) -> &'a mut u64 {
    if !counters.contains_key(name) {
        counters.insert(name.to_owned(), 0);
    }
    counters.get_mut(name).expect("just inserted")
}
