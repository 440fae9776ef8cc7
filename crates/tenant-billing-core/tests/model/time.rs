//! Time, a restored backup, and one way to write each state down.

use crate::world::{
    Db, EXECUTED_WITHIN, Ev, Failed, Key, Looking, Minutes, Pc, SHOWS_WITHIN, St, World,
};

impl Pc {
    /// The look under way, if there is one, or its findings at hand.
    pub(crate) fn look(&mut self, then: impl FnOnce(&mut Looking)) {
        if let Self::Look(look)
        | Self::Write(Ev::Looked { look, .. })
        | Self::Commit { of: Some(Ev::Looked { look, .. }), .. } = self
        {
            then(look);
        }
    }
}

impl World {
    pub(crate) fn row(&self) -> Option<St> {
        self.db.row.map(|row| row.st)
    }

    /// Time passes, for the database and for Stripe alike: at least two minutes, so whatever was decided
    /// and not yet written is decided anew.
    pub(crate) fn pass(&mut self, by: Minutes) {
        if let Some(row) = &mut self.db.row {
            row.age += by;
            if let St::Suspect { quiet, .. } = &mut row.st {
                *quiet -= by;
            }
        }
        self.restored = self.restored.map(|ago| ago + by);
        for customer in &mut self.stripe.customers {
            customer.age += by;
        }
        for key in &mut self.stripe.keys {
            if let Key::Failed { age, .. } = key {
                *age += by;
            }
        }
        self.stripe.late = self.stripe.late.map(|(req, age)| (req, age + by));
        self.stripe.late = self.stripe.late.filter(|(_, age)| *age <= SHOWS_WITHIN);
        for orphan in &mut self.orphans {
            orphan.age += by;
        }
        self.orphans.retain(|it| it.age <= EXECUTED_WITHIN);
        for pc in &mut self.procs {
            match pc {
                Pc::Commit { of: None, .. } => *pc = Pc::Idle,
                Pc::Commit { of: Some(ev), .. } => *pc = Pc::Write(*ev),
                Pc::Await { flying, seen } => {
                    flying.age += by;
                    *seen = false;
                    if flying.age > EXECUTED_WITHIN {
                        let (g, failed) = (flying.req.g, Failed::Again);
                        *pc = Pc::Write(Ev::Answered { g, failed });
                    }
                }
                _ => {}
            }
            pc.look(|look| {
                look.began += by;
                look.since += by;
            });
        }
    }

    /// Everybody stops, the database forgets the tenant's whole history, and everybody starts again.
    pub(crate) fn restore(&mut self) {
        for pc in &mut self.procs {
            if let Pc::Await { flying, .. } = pc {
                self.orphans.push(*flying);
            }
            *pc = Pc::Idle;
        }
        self.db = Db::default();
        self.restored = Some(0);
        self.pass(2);
    }

    /// One of the many ways to write the same state down.
    pub(crate) fn tidy(&mut self, symmetric: bool) {
        if symmetric {
            self.procs.sort_unstable();
        }
        self.orphans.sort_unstable();
        // A quiet time that is over counts for every look that has begun since.
        let oldest = self.procs.iter_mut().fold(0, |mut oldest, pc| {
            pc.look(|look| oldest = oldest.max(look.began));
            oldest
        });
        if let Some(St::Suspect { quiet, .. }) = self.db.row.as_mut().map(|row| &mut row.st) {
            *quiet = (*quiet).max(-oldest);
        }
    }
}
