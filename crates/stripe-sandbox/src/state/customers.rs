//! The Customers of one account and mode, in the order of their creation.
//!
//! A Customer is kept as what made it: when, by which request, under which idempotency key, from which
//! form. Nothing is kept of what follows from that: its id is its position in disguise, its answer, its
//! event and its object are made again when somebody asks. What happened to it later lies apart, since
//! to most Customers nothing does.

use std::collections::HashMap;
use std::ops::Range;

use super::archive::Archive;
use super::details::Details;
use crate::form::Form;

/// How a Customer came about.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) created_ms: i64,
    /// The number of the request.
    pub(crate) request: u64,
    /// When the request's key was first used, which is when the request came.
    pub(crate) first_used_ms: i64,
    pub(crate) key: Option<String>,
    pub(crate) form: Form,
}

/// A later change.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) at_ms: i64,
    pub(crate) form: Form,
}

/// What happened to a Customer since.
#[derive(Debug, Default)]
struct Later {
    edits: Vec<Edit>,
    deleted_ms: Option<i64>,
}

/// All Customers, live and deleted.
#[derive(Debug, Default)]
pub(crate) struct Customers {
    births: Archive<3>,
    later: HashMap<u32, Later>,
}

impl Customers {
    /// How many there ever were: the position of the next one.
    pub(crate) fn len(&self) -> u32 {
        self.births.len() as u32
    }

    /// Adds one.
    pub(super) fn push(&mut self, birth: &Birth) {
        u32::try_from(self.births.len() + 1).expect("fewer than 4 billion Customers");
        let numbers =
            [birth.created_ms, birth.request as i64, birth.created_ms - birth.first_used_ms];
        // No key and an empty one are told apart by what precedes the form.
        let key = birth.key.as_deref().map_or(["", ""], |key| ["k", key]);
        let form = birth.form.iter().flat_map(|(name, value)| [name, value]);
        self.births.push(numbers, key.into_iter().chain(form));
    }

    /// How a Customer came about.
    pub(crate) fn birth(&self, position: u32) -> Birth {
        let ([created_ms, request, waited], mut texts) = self.births.get(position as usize);
        let has_key = texts.next().is_some_and(|mark| !mark.is_empty());
        let key = texts.next().filter(|_| has_key);
        let form = std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect();
        let first_used_ms = created_ms - waited;
        Birth { created_ms, request: request as u64, first_used_ms, key, form }
    }

    pub(crate) fn created_ms(&self, position: u32) -> i64 {
        self.births.numbers(position as usize)[0]
    }

    /// When the key of the request that created it was first used.
    pub(crate) fn first_used_ms(&self, position: u32) -> i64 {
        let [created_ms, _, waited] = self.births.numbers(position as usize);
        created_ms - waited
    }

    /// When it was deleted.
    pub(crate) fn deleted_ms(&self, position: u32) -> Option<i64> {
        self.later.get(&position)?.deleted_ms
    }

    fn edits(&self, position: u32) -> &[Edit] {
        self.later.get(&position).map_or(&[], |later| &later.edits)
    }

    /// How many edits it has.
    pub(crate) fn edit_count(&self, position: u32) -> u32 {
        self.edits(position).len() as u32
    }

    /// As it is now, or was when it was deleted.
    pub(crate) fn current(&self, position: u32) -> Details {
        self.version(position, self.edits(position).len())
    }

    /// As it was after so many edits; 0 is as it was created.
    pub(crate) fn version(&self, position: u32, edits: usize) -> Details {
        let mut details = Details::default();
        details.apply(&self.birth(position).form);
        for edit in self.edits(position).iter().take(edits) {
            details.apply(&edit.form);
        }
        details
    }

    /// As something that is behind until `horizon_ms` sees it: not yet or no more (`None`), or live.
    pub(crate) fn seen_at(&self, position: u32, horizon_ms: i64) -> Option<Details> {
        let gone = self.deleted_ms(position).is_some_and(|at| at <= horizon_ms);
        if gone || self.created_ms(position) > horizon_ms {
            return None;
        }
        let edits = self.edits(position).iter().take_while(|edit| edit.at_ms <= horizon_ms);
        Some(self.version(position, edits.count()))
    }

    /// Adds an edit; returns how many it has now.
    pub(super) fn edit(&mut self, position: u32, edit: Edit) -> u32 {
        let later = self.later.entry(position).or_default();
        later.edits.push(edit);
        later.edits.len() as u32
    }

    pub(super) fn delete(&mut self, position: u32, at_ms: i64) {
        self.later.entry(position).or_default().deleted_ms = Some(at_ms);
    }

    /// The positions of the Customers created from the one time on and before the other.
    pub(crate) fn between(&self, ms: &Range<i64>) -> Range<u32> {
        let first_from = |at_ms: i64| {
            let (mut from, mut until) = (0, self.len());
            while from < until {
                let middle = from + (until - from) / 2;
                if self.created_ms(middle) < at_ms { from = middle + 1 } else { until = middle }
            }
            from
        };
        let start = first_from(ms.start);
        start..first_from(ms.end).max(start)
    }
}
