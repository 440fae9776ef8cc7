//! The events of one account and mode, kept for 30 days of sandbox time.
//!
//! An event is only kept as the Customer it is about and the version that the Customer then had.
//! All else is known to the Customer: when the change was made, by which request and under which
//! key. The snapshot that an event shows is made when somebody reads it.

use std::collections::VecDeque;
use std::ops::Range;

use super::customers::{Customers, between};

/// How long an event can be listed.
pub(crate) const KEPT_MS: i64 = 30 * 24 * 3600 * 1000;

#[derive(Debug)]
pub(crate) struct Event {
    /// Stripe's name for the change.
    pub(crate) kind: &'static str,
    pub(crate) at_ms: i64,
    pub(crate) customer: u32,
    /// The version that the change led to.
    pub(crate) version: u32,
    /// The number of the request that made the change. A change in the dashboard has none.
    pub(crate) request: Option<u64>,
    pub(crate) key: Option<String>,
}

/// The events, oldest first. Pruning does not change an event's position.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Each event's Customer and version.
    events: VecDeque<(u32, u32)>,
    pruned: u32,
}

impl Events {
    /// Adds an event, and returns its position.
    pub(super) fn push(&mut self, customer: u32, version: u32) -> u32 {
        self.events.push_back((customer, version));
        self.len() - 1
    }

    /// The position that the next event will have.
    pub(crate) fn len(&self) -> u32 {
        self.pruned + self.events.len() as u32
    }

    /// The event at a position, unless it was pruned.
    pub(crate) fn at(&self, position: u32, customers: &Customers) -> Option<Event> {
        let (customer, version) = *self.events.get(position.checked_sub(self.pruned)? as usize)?;
        if version == 0 {
            let birth = customers.birth(customer);
            let (kind, at_ms) = ("customer.created", birth.created_ms);
            let request = Some(birth.request);
            return Some(Event { kind, at_ms, customer, version, request, key: birth.key });
        }
        let later = customers.later(customer).get(version as usize - 1)?.clone();
        let kind = if later.form.is_some() { "customer.updated" } else { "customer.deleted" };
        let (at_ms, request, key) = (later.at_ms, later.request, later.key);
        Some(Event { kind, at_ms, customer, version, request, key })
    }

    fn at_ms(&self, position: u32, customers: &Customers) -> i64 {
        self.at(position, customers).map_or(i64::MIN, |event| event.at_ms)
    }

    /// The positions of the events within a range of times.
    pub(crate) fn between(&self, ms: &Range<i64>, customers: &Customers) -> Range<u32> {
        between(self.pruned..self.len(), ms, |at| self.at_ms(at, customers))
    }

    /// Drops the events that were kept long enough.
    pub(super) fn prune(&mut self, now_ms: i64, customers: &Customers) {
        while !self.events.is_empty() && now_ms - self.at_ms(self.pruned, customers) >= KEPT_MS {
            self.events.pop_front();
            self.pruned += 1;
        }
    }
}
