//! The Customers of one account and mode, in the order of their creation.
//!
//! A Customer is kept as its birth, which says when it was created, by which request, under which
//! idempotency key and from which form, and as the list of its later changes. Its id, its answer,
//! its events and its object follow from these, and are made when somebody asks for them. Most
//! Customers never change, so the changes are kept apart from the births.

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::records::Records;
use crate::form::Form;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Birth {
    #[serde(rename = "c")]
    pub(crate) created_ms: i64,
    #[serde(rename = "r")]
    pub(crate) request: u64,
    /// How long the request had waited, with its key in flight.
    #[serde(rename = "w")]
    pub(crate) waited_ms: i64,
    #[serde(rename = "k")]
    pub(crate) key: Option<String>,
    #[serde(rename = "p")]
    pub(crate) form: Form,
}

/// A change of a Customer after its creation.
#[derive(Debug, Clone)]
pub(crate) struct Later {
    pub(crate) at_ms: i64,
    /// The form of an update. A deletion has none, and is always the last change.
    pub(crate) form: Option<Form>,
    /// The number of the request. A change in the dashboard has none.
    pub(crate) request: Option<u64>,
    pub(crate) key: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Customers {
    births: Records<Birth>,
    later: HashMap<u32, Vec<Later>>,
}

impl Customers {
    /// The number of Customers there ever were, which is the position of the next one.
    pub(crate) fn len(&self) -> u32 {
        self.births.len() as u32
    }

    /// Adds a Customer, and returns its position.
    pub(super) fn push(&mut self, birth: &Birth) -> u32 {
        let at =
            u32::try_from(self.births.len()).expect("there are fewer than 4 billion Customers");
        self.births.push(birth);
        at
    }

    pub(crate) fn birth(&self, position: u32) -> Birth {
        self.births.get(position as usize)
    }

    pub(crate) fn later(&self, position: u32) -> &[Later] {
        self.later.get(&position).map_or(&[], Vec::as_slice)
    }

    /// The number of a Customer's newest version. Version 0 is the Customer as it was created.
    pub(crate) fn newest(&self, position: u32) -> u32 {
        self.later(position).len() as u32
    }

    /// When a Customer was deleted, if it was.
    pub(crate) fn deleted_ms(&self, position: u32) -> Option<i64> {
        self.later(position).last().filter(|last| last.form.is_none()).map(|last| last.at_ms)
    }

    /// A Customer as it is now, or as it was when it was deleted.
    pub(crate) fn current(&self, position: u32) -> Version {
        self.version(position, self.newest(position))
    }

    /// A Customer after so many changes.
    pub(crate) fn version(&self, position: u32, number: u32) -> Version {
        let Birth { created_ms, form, .. } = self.birth(position);
        let mut details = Form::default();
        details.apply(&form);
        for form in
            self.later(position).iter().take(number as usize).filter_map(|l| l.form.as_ref())
        {
            details.apply(form);
        }
        Version { position, created_ms, details }
    }

    /// A Customer as a reader sees it who is behind until `horizon_ms`. There is none if it was not
    /// created yet, or was deleted already.
    pub(crate) fn seen_at(&self, position: u32, horizon_ms: i64) -> Option<Version> {
        if self.deleted_ms(position).is_some_and(|at| at <= horizon_ms) {
            return None;
        }
        let changes = self.later(position).iter().take_while(|later| later.at_ms <= horizon_ms);
        let seen = self.version(position, changes.count() as u32);
        (seen.created_ms <= horizon_ms).then_some(seen)
    }

    /// Adds a change of a Customer, and returns the number of the version that it leads to.
    pub(super) fn change(&mut self, position: u32, later: Later) -> u32 {
        let changes = self.later.entry(position).or_default();
        changes.push(later);
        changes.len() as u32
    }

    /// The positions of the Customers that were created within a range of times.
    pub(crate) fn between(&self, ms: &Range<i64>) -> Range<u32> {
        between(0..self.len(), ms, |at| self.birth(at).created_ms)
    }
}

#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) position: u32,
    pub(crate) created_ms: i64,
    pub(crate) details: Form,
}

/// The positions whose times lie within a range, where times never decrease with the position.
pub(super) fn between(
    positions: Range<u32>,
    ms: &Range<i64>,
    time: impl Fn(u32) -> i64,
) -> Range<u32> {
    let first_from = |wanted_ms: i64| {
        let Range { mut start, mut end } = positions;
        // The usual bounds leave everything open, and need no look at any record.
        if wanted_ms == i64::MIN || wanted_ms == i64::MAX {
            return if wanted_ms == i64::MIN { start } else { end };
        }
        while start < end {
            let middle = start + (end - start) / 2;
            if time(middle) < wanted_ms { start = middle + 1 } else { end = middle }
        }
        start
    };
    let start = first_from(ms.start);
    start..first_from(ms.end).max(start)
}
