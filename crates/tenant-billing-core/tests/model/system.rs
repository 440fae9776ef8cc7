//! A configuration: who runs, what can go wrong, how far it is explored, and which rule is broken.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::{
    bridge::UNUSED,
    concrete::{self, Ask, Policy, Snapshot, Todo},
    stripe::Leaves,
    world::{
        BARE, Body, Col, Db, Ev, GOOD, Id, Minutes, OTHER, Pc, Plan, Req, Row, St, Stripe, World,
    },
};

/// What can go wrong. Each occurrence uses up one of the configuration's faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A process stops, and with it what it had in memory; its request never left.
    Crash,
    /// A process stops or gives up, and its request is executed all the same, some time or never.
    Orphan,
    /// A request is lost.
    RequestLost,
    /// A request is executed and its answer lost.
    AnswerLost,
    /// A 500 that Stripe does not store: nothing was done.
    Plain500,
    /// Something between says 500, and Stripe did the work and stored its success.
    Masked500,
    /// A 500 that Stripe stores.
    Stored500(Leaves),
    /// 401 and the like.
    Denied,
    /// An inquiry could not read everything.
    InquiryFails,
    /// A retrieve fails.
    RetrieveFails,
    /// Somebody deletes the Customer in Stripe.
    Deleted,
    /// The host sets its column to null.
    Nulled,
    /// Somebody deletes our row; the audit trail stays.
    RowLost,
    /// A backup is restored that holds nothing of the tenant.
    Restored,
}

pub(crate) const ALL: &[Fault] = &[
    Fault::Crash,
    Fault::Orphan,
    Fault::RequestLost,
    Fault::AnswerLost,
    Fault::Plain500,
    Fault::Masked500,
    Fault::Stored500(Leaves::Nothing),
    Fault::Stored500(Leaves::Shown),
    Fault::Stored500(Leaves::Late),
    Fault::Denied,
    Fault::InquiryFails,
    Fault::RetrieveFails,
    Fault::Deleted,
    Fault::Nulled,
    Fault::RowLost,
    Fault::Restored,
];
/// All that leave the database what it committed, or at least its trail.
pub(crate) const ANY: &[Fault] = ALL.split_at(ALL.len() - 1).0;

/// A break made by hand, around the shipped functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twist {
    None,
    /// A key that is 20 to 23 hours old is shown to `next` as one that may still be sent.
    NoGap,
    /// Each caller sends its own details, whatever was frozen.
    NotFrozen,
    /// The store writes whatever the row's version.
    NoSwap,
    /// A replayed answer is bound without a retrieve.
    TrustReplay,
    /// The worker leaves rows in doubt to callers.
    NoInquiriesByRecovery,
    /// After a restore, generations are counted on from what the backup shows.
    UsedKeys,
}

/// What is explored, and how far.
pub(crate) struct System {
    pub(crate) procs: usize,
    pub(crate) faults: u8,
    pub(crate) kinds: &'static [Fault],
    pub(crate) jumps: u8,
    pub(crate) clock: &'static [Minutes],
    /// The other caller gives no e-mail address.
    pub(crate) bare: bool,
    /// Stripe refuses the other caller's e-mail address.
    pub(crate) other_refused: bool,
    /// Another installation has a Customer of this tenant's name and e-mail address.
    pub(crate) foreign: bool,
    /// Stripe's webhook `customer.created` is delivered, at any time, any number of times.
    pub(crate) webhooks: bool,
    pub(crate) inquire_first: bool,
    /// After a restore, all know when it was.
    pub(crate) careful: bool,
    pub(crate) twist: Twist,
    /// Which process is which makes no difference. (In a story it does.)
    pub(crate) symmetric: bool,
    /// How often each kind of thing happened, over the whole exploration.
    pub(crate) tally: Tally,
    /// The longest continuation of any state.
    pub(crate) longest: AtomicU32,
}

#[derive(Default)]
pub(crate) struct Tally([AtomicU64; 24]);

impl Tally {
    pub(crate) fn count(&self, what: usize) {
        self.0[what].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, what: usize) -> u64 {
        self.0[what].load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A call begins (or goes on after a wait): read, decide.
    Begin(usize, Ask),
    /// A webhook `customer.created` begins.
    Hook(usize, Id),
    Commit(usize),
    /// Stripe executes the request, and the answer arrives.
    Answer(usize),
    /// Stripe says that the key is in use.
    InUse(usize),
    Retrieve(usize),
    /// Every source is read; `behind`: without what is less than an hour old.
    Read {
        p: usize,
        behind: bool,
    },
    /// Read the database again, and decide what to write.
    Decide(usize),
    /// Something goes wrong with what this process is at.
    Fault(usize, Fault),
    /// A request is executed whose sender is gone.
    Orphan(usize),
    OrphanFails(usize, Leaves),
    /// What a stored failure left behind shows.
    Surfaces,
    Deleted(Id),
    /// The webhook `customer.deleted`.
    DeletionTold(Id),
    Nulled,
    RowLost,
    Restored,
    Forgets(u8),
    Passes(Minutes),
}

impl System {
    pub(crate) fn swap(&self) -> bool {
        self.twist != Twist::NoSwap
    }

    pub(crate) fn start(&self) -> World {
        let mut stripe = Stripe::default();
        if self.foreign {
            stripe.make(Req { g: 0, body: GOOD }, true);
        }
        World {
            db: Db::default(),
            stripe,
            procs: vec![Pc::Idle; self.procs],
            orphans: Vec::new(),
            restored: None,
            jumps: self.jumps,
            faults: self.faults,
            bound_dead: false,
        }
    }

    pub(crate) fn policy(&self, world: &World) -> Policy {
        Policy {
            inquire_first: self.inquire_first,
            restored: world.restored.filter(|_| self.careful),
        }
    }

    /// The shipped decision, or the broken one.
    pub(crate) fn next(&self, world: &World, ask: Ask) -> Todo {
        let mut seen = world.db.view(0);
        if self.twist == Twist::NoGap
            && let Some(row) = &mut seen.row
            && (20 * 60..23 * 60).contains(&row.age)
        {
            row.age = 20 * 60 - 1;
        }
        match (concrete::next(seen, ask, self.policy(world)), ask) {
            (Todo::Send(req), Ask::Caller(body)) if self.twist == Twist::NotFrozen => {
                Todo::Send(Req { body, ..req })
            }
            (Todo::Inquire(_), Ask::Worker) if self.twist == Twist::NoInquiriesByRecovery => {
                Todo::Idle
            }
            (Todo::Commit(plan), _) => Todo::Commit(self.numbered(plan, seen)),
            (todo, _) => todo,
        }
    }

    /// The shipped outcome, or the broken one.
    pub(crate) fn plan(&self, world: &World, seen: Snapshot, ev: Ev) -> Plan {
        self.numbered(concrete::after(seen, ev, self.policy(world)), seen)
    }

    /// Broken, it counts on from what the database shows, whatever a restore has lost.
    fn numbered(&self, plan: Plan, seen: Snapshot) -> Plan {
        if self.twist != Twist::UsedKeys {
            return plan;
        }
        let before = seen.row.map_or((0, St::Vacant), |row| (row.g, row.st));
        plan.with_generation(match before {
            (0, _) => 1,
            (g, St::Rejected(_) | St::InDoubt { sent: true, .. }) => g + 1,
            (g, _) => g,
        })
    }

    /// The caller beside the one whose address Stripe accepts.
    pub(crate) fn other(&self) -> Body {
        if self.bare { BARE } else { OTHER }
    }

    pub(crate) fn refuses(&self, body: Body) -> bool {
        body == OTHER && self.other_refused
    }
}

impl Plan {
    /// The same, where it opens a generation that was never used, under another key.
    fn with_generation(mut self, g: u8) -> Self {
        if let Some(Row { st: St::Pending(req) | St::InDoubt { req, .. }, g: of_row, .. }) =
            &mut self.row
            && *of_row >= UNUSED
        {
            (*of_row, req.g, self.trail) = (g, g, g);
        }
        self
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.row.is_none() && self.column == Col::Keep && self.surplus == 0 && self.trail == 0
    }
}
