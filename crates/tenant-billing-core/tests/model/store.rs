//! A reference store: the conditions of a `Change`, and nothing else.
//!
//! A process that holds a view of a row that has moved since is told so at once: its change would find
//! another version there. That keeps versions out of the state, where they would grow for ever.

use crate::{
    concrete::{Seen, deletion},
    world::{Col, Db, Id, Pc, Plan, World, has},
};

impl Db {
    /// What one statement shows, with what is on record of `candidate`.
    pub(crate) fn view(&self, candidate: Option<Id>) -> Seen {
        let deleted = candidate.is_some_and(|id| has(self.told, id));
        Seen { row: self.row, bound: self.bound, trail: self.trail, deleted }
    }

    /// Writes a plan if its conditions hold. That the version is still the one it was decided from, and
    /// the decision no older than a minute, the caller has seen to.
    pub(crate) fn write(&mut self, plan: &Plan, swap: bool) -> bool {
        if swap && plan.was != self.row.is_some() {
            return false;
        }
        if plan.unbound_on && self.bound.is_some() {
            return false;
        }
        match plan.column {
            Col::Keep => {}
            Col::Bind(id) => {
                if self.bound.is_some() || has(self.told, id) {
                    return false;
                }
                self.bound = Some(id);
                self.surplus &= !(1 << id);
            }
            Col::Holds(id) => {
                if self.bound != Some(id) {
                    return false;
                }
                self.surplus &= !(1 << id);
            }
            Col::Clear(id) => self.bound = self.bound.filter(|bound| *bound != id),
        }
        // Surplus that is known to be deleted is resolved at once.
        self.surplus |= plan.surplus & !self.told;
        self.trail = self.trail.max(plan.trail);
        if plan.row.is_some() {
            self.row = plan.row;
        }
        true
    }
}

impl World {
    /// Puts a deletion on record, and writes what it makes of the tenant, in one transaction.
    pub(crate) fn record_deletion(&mut self, id: Id, swap: bool) {
        self.db.told |= 1 << id;
        self.db.surplus &= !(1 << id);
        let plan = deletion(self.db.view(None), id);
        assert!(self.db.write(&plan, true), "a row moved inside a transaction");
        if plan.row.is_some() {
            self.row_moved(swap);
        }
    }

    /// The row has another version now: whoever decided from the old one will be refused.
    pub(crate) fn row_moved(&mut self, swap: bool) {
        for pc in &mut self.procs {
            match pc {
                Pc::Commit { of: None, .. } if swap => *pc = Pc::Idle,
                Pc::Commit { of: Some(ev), .. } if swap => *pc = Pc::Write(*ev),
                Pc::Await { seen, .. } => *seen = false,
                _ => {}
            }
            pc.look(|look| look.stale = true);
        }
    }
}
