//! Events of one account and mode, kept for 30 days of sandbox time.
//!
//! An event holds no copy of its Customer, only which one and which version of it: the snapshot is
//! made when somebody reads it. That a Customer was created takes four bytes, since all else about it
//! is known to the Customer.

use std::collections::VecDeque;
use std::ops::Range;

use super::customers::Customers;

/// How long an event can be listed.
pub(crate) const KEPT_MS: i64 = 30 * 24 * 3600 * 1000;

/// Marks a word that stands for one of the other events.
const OTHER: u32 = 1 << 31;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// The request and its key are the Customer's own.
    Created,
    /// It has so many edits since.
    Updated {
        edits: u32,
    },
    Deleted,
}

/// An event of a Customer.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) at_ms: i64,
    /// The Customer's position.
    pub(crate) customer: u32,
    pub(crate) what: What,
    /// The number of the request that did it; none for what was done in the dashboard.
    pub(crate) request: Option<u64>,
    /// The idempotency key it was sent with.
    pub(crate) key: Option<String>,
}

impl What {
    /// Stripe's name for it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            What::Created => "customer.created",
            What::Updated { .. } => "customer.updated",
            What::Deleted => "customer.deleted",
        }
    }
}

/// The events, oldest first, by a position that pruning does not change.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// A Customer that was created, or [`OTHER`]: the next of the others.
    words: VecDeque<u32>,
    pruned: u32,
    others: VecDeque<Event>,
    others_pruned: u32,
}

impl Events {
    /// Adds the creation of a Customer; returns the event's position.
    pub(super) fn created(&mut self, customer: u32) -> u32 {
        self.words.push_back(customer);
        self.len() - 1
    }

    /// Adds what happened to a Customer later; returns the event's position.
    pub(super) fn push(&mut self, event: Event) -> u32 {
        let at = self.others_pruned + self.others.len() as u32;
        self.others.push_back(event);
        self.words.push_back(OTHER | at);
        self.len() - 1
    }

    /// The position that the next event will have.
    pub(crate) fn len(&self) -> u32 {
        self.pruned + self.words.len() as u32
    }

    /// The event at a position, unless it was pruned.
    pub(crate) fn at(&self, position: u32, customers: &Customers) -> Option<Event> {
        let word = *self.words.get(position.checked_sub(self.pruned)? as usize)?;
        if word & OTHER != 0 {
            return self.others.get(((word & !OTHER) - self.others_pruned) as usize).cloned();
        }
        let birth = customers.birth(word);
        let what = What::Created;
        let request = Some(birth.request);
        Some(Event { at_ms: birth.created_ms, customer: word, what, request, key: birth.key })
    }

    /// Stripe's name for what happened at a position.
    pub(crate) fn kind(&self, position: u32) -> &'static str {
        match self.other(position) {
            Some(event) => event.what.kind(),
            None => What::Created.kind(),
        }
    }

    fn other(&self, position: u32) -> Option<&Event> {
        let word = *self.words.get(position.checked_sub(self.pruned)? as usize)?;
        let at = (word & OTHER != 0).then_some(word & !OTHER)?;
        self.others.get((at - self.others_pruned) as usize)
    }

    fn at_ms(&self, offset: usize, customers: &Customers) -> i64 {
        match self.other(self.pruned + offset as u32) {
            Some(event) => event.at_ms,
            None => customers.created_ms(self.words[offset]),
        }
    }

    /// The positions of the events from the one time on and before the other.
    pub(crate) fn between(&self, ms: &Range<i64>, customers: &Customers) -> Range<u32> {
        let first_from = |wanted_ms: i64| {
            let (mut from, mut until) = (0, self.words.len());
            while from < until {
                let middle = from + (until - from) / 2;
                if self.at_ms(middle, customers) < wanted_ms {
                    from = middle + 1;
                } else {
                    until = middle;
                }
            }
            self.pruned + from as u32
        };
        let start = first_from(ms.start);
        start..first_from(ms.end).max(start)
    }

    /// Drops the events whose time is over.
    pub(super) fn prune(&mut self, now_ms: i64, customers: &Customers) {
        while !self.words.is_empty() && now_ms - self.at_ms(0, customers) >= KEPT_MS {
            if self.words.pop_front().is_some_and(|word| word & OTHER != 0) {
                self.others.pop_front();
                self.others_pruned += 1;
            }
            self.pruned += 1;
        }
    }
}
