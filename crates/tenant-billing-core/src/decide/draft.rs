//! A decision that is being drawn up.

use jiff::Timestamp;

use crate::{
    audit::SurplusReason,
    error::{Problem, retry_soon},
    ids::CustomerId,
    provisioning::{Context, Decision},
    state::{Change, CustomerFacts, Row, View},
    timing::CONCLUSIVE_AFTER_GIVING_UP,
};

/// What is decided from, and what has been decided so far.
pub(super) struct Draft<'a> {
    pub(super) view: &'a View,
    pub(super) context: &'a Context,
    pub(super) change: Change,
    pub(super) problem: Option<Problem>,
}

/// A Customer, with what the database knows of it.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) id: &'a CustomerId,
    pub(super) facts: CustomerFacts,
}

impl<'a> Draft<'a> {
    pub(super) fn new(view: &'a View, context: &'a Context) -> Self {
        Self { view, context, change: Change::none(view), problem: None }
    }

    pub(super) fn decision(self) -> Decision {
        Decision { change: self.change, problem: self.problem }
    }

    /// These Customers with their facts. Where facts were not read, nothing is decided.
    pub(super) fn known(
        &mut self,
        customers: impl IntoIterator<Item = &'a CustomerId>,
    ) -> Option<Vec<Known<'a>>> {
        let facts = &self.view.facts;
        let known = customers.into_iter().map(|id| Some(Known { id, facts: *facts.get(id)? }));
        let known: Option<Vec<_>> = known.collect();
        if known.is_none() {
            self.problem = Some(retry_soon("the records of a Customer were not read"));
        }
        known
    }

    /// The row, if it still has this generation.
    pub(super) fn own(&self, generation: u64) -> Option<&'a Row> {
        self.view.row.as_ref().filter(|row| row.generation == generation)
    }

    /// Puts a Customer on record as surplus. What any tenant's column holds is in use, what is
    /// deleted needs nobody, and what an operator unbound is on record already.
    pub(super) fn surplus(&mut self, generation: u64, customer: Known<'_>, why: SurplusReason) {
        let CustomerFacts { deleted, bound_elsewhere, unbound_by_operator } = customer.facts;
        let bound_here = self.view.bound.as_ref() == Some(customer.id);
        if !(deleted || bound_elsewhere || unbound_by_operator || bound_here) {
            self.change.record_surplus(generation, customer.id, why);
        }
    }
}

impl Context {
    /// The earliest start of an inquiry whose finding nothing is proof.
    pub(super) fn conclusive_from(&self, of_row: Timestamp) -> Timestamp {
        let restored = self.restored_at.map(|at| at + CONCLUSIVE_AFTER_GIVING_UP);
        restored.map_or(of_row, |restored| restored.max(of_row))
    }

    /// This generation, or after a restore the first one that the lost history cannot have used:
    /// the restore's time in milliseconds is above any count from 1. (A restore at
    /// 2026-01-02T03:04:05Z gives generation 1767323045000.) A used key may have a failure or a
    /// deleted Customer behind it that no inquiry shows, and Stripe may forget it at any moment.
    pub(super) fn first_unused_generation(&self, generation: u64) -> u64 {
        let restored = self.restored_at.map_or(0, Timestamp::as_millisecond);
        generation.max(u64::try_from(restored).unwrap_or(0))
    }
}
