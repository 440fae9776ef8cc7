//! Questions to the shipped functions.
//!
//! Each different question is put to the real function once, and its answer is kept. That is sound
//! because the functions are pure. `bridge` translates both.

use std::cell::RefCell;

use tenant_billing_core::{decide, provisioning::Asker};

use crate::{
    bridge::{Bridge, DETAILS, TEN_SECONDS, context, cus},
    fast_map::FastMap,
    world::{Body, Ev, Id, Ids, Inquiry, Minutes, Plan, Req, Row},
};

/// The policy, and what it knows of a restore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Policy {
    pub(crate) inquire_first: bool,
    pub(crate) restored: Option<Minutes>,
}

/// What one statement shows of the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Snapshot {
    pub(crate) row: Option<Row>,
    pub(crate) bound: Option<Id>,
    pub(crate) trail: u8,
    /// The Customers that it was asked about, and which of them are on record as deleted.
    pub(crate) asked: Ids,
    pub(crate) deleted: Ids,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    Caller(Body),
    Worker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Todo {
    Done(Id),
    Commit(Plan),
    Send(Req),
    Inquire(Inquiry),
    Retrieve(Id),
    GiveUp,
    RetryAt(Minutes),
    Idle,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    Next(Ask),
    After(Ev),
    Deletion(Id),
}

#[derive(Clone, Copy)]
enum Reply {
    Todo(Todo),
    Plan(Plan),
}

thread_local! {
    static KNOWN: RefCell<FastMap<(Snapshot, Policy, Question), Reply>> = RefCell::default();
}

/// The answer of `decide::next`.
pub(crate) fn next(view: Snapshot, ask: Ask, policy: Policy) -> Todo {
    match recall(view, policy, Question::Next(ask)) {
        Reply::Todo(todo) => todo,
        Reply::Plan(_) => unreachable!("next answers with a step"),
    }
}

/// The change that `decide::after` decides after an observation.
pub(crate) fn after(view: Snapshot, ev: Ev, policy: Policy) -> Plan {
    plan(view, policy, Question::After(ev))
}

/// The change that `decide::deletion` decides for the tenant.
pub(crate) fn deletion(view: Snapshot, id: Id) -> Plan {
    plan(view, Policy::default(), Question::Deletion(id))
}

fn plan(view: Snapshot, policy: Policy, question: Question) -> Plan {
    match recall(view, policy, question) {
        Reply::Plan(plan) => plan,
        Reply::Todo(_) => unreachable!("after answers with a change"),
    }
}

fn recall(view: Snapshot, policy: Policy, question: Question) -> Reply {
    KNOWN.with_borrow_mut(|known| {
        *known.entry((view, policy, question)).or_insert_with(|| put(view, policy, question))
    })
}

fn put(view: Snapshot, policy: Policy, question: Question) -> Reply {
    let bridge = Bridge::of(policy);
    let (view, context) = (bridge.view(view), context(policy));
    match question {
        Question::Next(ask) => {
            let asker = match ask {
                Ask::Caller(body) => Asker::Caller(&DETAILS[usize::from(body)], TEN_SECONDS),
                Ask::Worker => Asker::Worker,
            };
            Reply::Todo(bridge.todo(&view, decide::next(&view, asker, &context)))
        }
        Question::After(ev) => {
            let decision = decide::after(&view, &bridge.observation(ev), &context);
            Reply::Plan(bridge.small(&view, &decision.change))
        }
        Question::Deletion(id) => {
            Reply::Plan(bridge.small(&view, &decide::deletion(&view, &cus(id))))
        }
    }
}
