//! The log of requests, and the counters.

use std::collections::BTreeMap;

use crate::report::{Counters, RequestRecord};
use crate::state::Records;

/// The number of requests that the log keeps.
const LOGGED: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct Log {
    requests: Records<RequestRecord>,
    pub(crate) counters: Counters,
}

impl Log {
    /// Notes a request to an endpoint that has ended.
    pub(crate) fn note(&mut self, endpoint: &str, request: &RequestRecord) {
        let counters = &mut self.counters;
        counters.requests += 1;
        count(&mut counters.by_endpoint, endpoint);
        match request.outcome.as_str() {
            "replayed" => counters.replays += 1,
            "conflict" => counters.conflicts += 1,
            "limited" => counters.rate_limited += 1,
            _ => {}
        }
        if let Some(kind) = &request.fault {
            count(&mut counters.faults, kind);
        }
        self.requests.push(request);
        self.requests.drop_all_but(LOGGED);
    }

    /// The last requests, at most `most` of them, in the order in which they ended.
    pub(crate) fn last(&self, most: usize) -> Vec<RequestRecord> {
        let end = self.requests.len();
        let from = end.saturating_sub(most.min(LOGGED)).max(self.requests.start());
        (from..end).map(|at| self.requests.get(at)).collect()
    }
}

fn count(counters: &mut BTreeMap<String, u64>, name: &str) {
    match counters.get_mut(name) {
        Some(counter) => *counter += 1,
        None => drop(counters.insert(name.to_owned(), 1)),
    }
}
