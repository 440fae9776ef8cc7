//! Stripe as the protocol assumes it to be: keys, what they created, and what an inquiry can read.

use crate::world::{
    BARE, Customer, Found, INDEXED_WITHIN, Id, Ids, Inquiry, Key, Req, Stripe, has,
};

/// What became of a request for a Customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Fresh(Id),
    Replay(Id),
    Rejected,
    StoredFailure,
    Mismatched,
}

/// How a failure that Stripe stores leaves the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Leaves {
    Nothing,
    /// A Customer, at once.
    Shown,
    /// Perhaps a Customer, within ten minutes.
    Late,
}

impl Stripe {
    /// Executes a request: replays its key, or does the work.
    pub(crate) fn execute(&mut self, req: Req, refused: bool) -> Answer {
        match self.remembered(req) {
            Some(answer) => answer,
            None if refused => Answer::Rejected,
            None => {
                let id = self.make(req, false);
                self.keys[usize::from(req.g)] = Key::Made(id);
                Answer::Fresh(id)
            }
        }
    }

    /// Executes a request for the first time, fails in the middle, and stores the failure.
    pub(crate) fn fail(&mut self, req: Req, leaves: Leaves) {
        self.keys[usize::from(req.g)] = Key::Failed { body: req.body, age: 0 };
        match leaves {
            Leaves::Nothing => {}
            Leaves::Shown => drop(self.make(req, false)),
            Leaves::Late => self.late = Some((req, 0)),
        }
    }

    /// What the key answers, if Stripe knows it.
    pub(crate) fn remembered(&self, req: Req) -> Option<Answer> {
        let (body, answer) = match self.keys[usize::from(req.g)] {
            Key::Unknown => return None,
            Key::Made(id) => (self.customers[usize::from(id)].req.body, Answer::Replay(id)),
            Key::Failed { body, .. } => (body, Answer::StoredFailure),
        };
        Some(if body == req.body { answer } else { Answer::Mismatched })
    }

    pub(crate) fn make(&mut self, req: Req, foreign: bool) -> Id {
        let id = u8::try_from(self.customers.len()).expect("few Customers");
        assert!(id < 8, "more Customers than the model can tell apart");
        self.customers.push(Customer { req, age: 0, dead: false, foreign });
        id
    }

    pub(crate) fn dead(&self, id: Id) -> bool {
        self.customers[usize::from(id)].dead
    }

    /// Live Customers that we made.
    pub(crate) fn ours(&self) -> Ids {
        self.set(|it| !it.dead && !it.foreign)
    }

    fn set(&self, which: impl Fn(&Customer) -> bool) -> Ids {
        (0..8).zip(&self.customers).fold(0, |set, (id, it)| set | Ids::from(which(it)) << id)
    }

    /// Every source read once, each hit retrieved: what is found, and which hits turned out
    /// deleted.
    /// `behind`: events and search do not show yet what is less than an hour old.
    pub(crate) fn read(&self, inquiry: &Inquiry, on_record: Ids, behind: bool) -> (Found, Ids) {
        let indexed = |it: &Customer| !behind || it.age >= INDEXED_WITHIN;
        let hits = self.set(|it| {
            let in_events = !it.foreign && indexed(it) && it.age <= inquiry.since;
            let listed = inquiry.req.body != BARE && it.req.body == inquiry.req.body;
            let in_list = !it.dead && listed;
            in_events || in_list || indexed(it)
        }) | on_record;
        let (ours, dead) = (hits & self.ours(), hits & self.set(|it| it.dead));
        // In test mode a Customer of another installation is passed over.
        (if ours == 0 { Found::Nothing } else { Found::Ours(ours) }, dead)
    }

    /// Whether it matters that events and search are behind.
    pub(crate) fn can_be_behind(&self) -> bool {
        self.customers.iter().any(|it| it.age < INDEXED_WITHIN)
    }

    pub(crate) fn is_foreign(&self, id: Id) -> bool {
        has(self.set(|it| it.foreign), id)
    }
}
