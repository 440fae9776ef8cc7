//! Time, a restored backup, and one form for states that are the same.

use crate::world::{
    Db, EXECUTED_WITHIN, Ev, Failed, Inquiry, Key, Minutes, Pc, SHOWS_WITHIN, St, World,
};

impl Pc {
    /// The inquiry under way, if there is one, or the one whose findings are about to be written.
    pub(crate) fn inquiry(&mut self, then: impl FnOnce(&mut Inquiry)) {
        if let Self::Inquire(inquiry)
        | Self::Write(Ev::InquiryEnded { inquiry, .. })
        | Self::Commit { of: Some(Ev::InquiryEnded { inquiry, .. }), .. } = self
        {
            then(inquiry);
        }
    }
}

impl World {
    pub(crate) fn row(&self) -> Option<St> {
        self.db.row.map(|row| row.st)
    }

    /// Time passes, for the database and for Stripe alike: at least two minutes, so whatever was
    /// decided and not yet written is decided anew.
    pub(crate) fn pass(&mut self, by: Minutes) {
        if let Some(row) = &mut self.db.row {
            row.age += by;
            if let St::InDoubt { conclusive, .. } = &mut row.st {
                *conclusive -= by;
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
                Pc::Await { flying, current } => {
                    flying.age += by;
                    *current = false;
                    if flying.age > EXECUTED_WITHIN {
                        let (g, failed) = (flying.req.g, Failed::Retry);
                        *pc = Pc::Write(Ev::AnsweredWithoutCustomer { g, failed });
                    }
                }
                _ => {}
            }
            pc.inquiry(|inquiry| {
                inquiry.began += by;
                inquiry.since += by;
            });
        }
    }

    /// Every process stops, the database loses the tenant's whole history, and every process starts
    /// again.
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
        // A moment that has passed is the same for every inquiry that has begun since.
        let oldest = self.procs.iter_mut().fold(0, |mut oldest, pc| {
            pc.inquiry(|inquiry| oldest = oldest.max(inquiry.began));
            oldest
        });
        if let Some(St::InDoubt { conclusive, .. }) = self.db.row.as_mut().map(|row| &mut row.st) {
            *conclusive = (*conclusive).max(-oldest);
        }
    }
}
