//! A reference store: the conditions of a `Change`, and nothing else.
//!
//! A process whose view shows a row that has changed since learns of it at once, since its change
//! would find another version. That keeps versions out of the state, where they would grow for
//! ever.

use crate::{
    concrete::{Snapshot, deletion},
    world::{Col, Db, Id, Ids, Pc, Plan, World, has},
};

impl Db {
    /// What one statement shows, with what is on record of the Customers `asked` about.
    pub(crate) fn view(&self, asked: Ids) -> Snapshot {
        let deleted = self.known_deleted & asked;
        Snapshot { row: self.row, bound: self.bound, trail: self.trail, asked, deleted }
    }

    /// Writes a plan if its conditions hold. That the version is still the one it was decided from,
    /// and the decision no older than a minute, the caller has seen to.
    pub(crate) fn write(&mut self, plan: &Plan, swap: bool) -> bool {
        if swap && plan.was != self.row.is_some() {
            return false;
        }
        if plan.needs_null && self.bound.is_some() {
            return false;
        }
        match plan.column {
            Col::Keep => {}
            Col::Bind(id) => {
                if self.bound.is_some() || has(self.known_deleted, id) {
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
        self.surplus |= plan.surplus & !self.known_deleted;
        self.trail = self.trail.max(plan.trail);
        if plan.row.is_some() {
            self.row = plan.row;
        }
        true
    }
}

impl World {
    /// Puts a deletion on record, and writes what is decided for the tenant, in one transaction.
    pub(crate) fn record_deletion(&mut self, id: Id, swap: bool) {
        self.db.known_deleted |= 1 << id;
        self.db.surplus &= !(1 << id);
        let plan = deletion(self.db.view(0), id);
        assert!(self.db.write(&plan, true), "a row moved inside a transaction");
        if plan.row.is_some() {
            self.row_moved(swap);
        }
    }

    /// The row has another version now, so a change that was decided from the old one is not
    /// written.
    pub(crate) fn row_moved(&mut self, swap: bool) {
        for pc in &mut self.procs {
            match pc {
                Pc::Commit { of: None, .. } if swap => *pc = Pc::Idle,
                Pc::Commit { of: Some(ev), .. } if swap => *pc = Pc::Write(*ev),
                Pc::Await { current, .. } => *current = false,
                _ => {}
            }
            pc.inquiry(|inquiry| inquiry.stale = true);
        }
    }
}
