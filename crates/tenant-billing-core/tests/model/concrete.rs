//! The bridge to the shipped functions: real values out of the small ones, and small ones back.
//!
//! Each different question is put to the real function once and its answer remembered, which is sound
//! because the functions are pure. Every answer is translated back into a real value and compared: what
//! the small values leave out is exactly what [`blank`] names, and anything else that was lost panics.

use std::{cell::RefCell, sync::LazyLock};

use jiff::{SignedDuration, Timestamp};
use tenant_billing_core::{
    answer::{Customer, Failure, Refusal},
    audit::SurplusReason,
    ids::{AccountId, CustomerId, Email, InstallationId, Mode, TenantId},
    provisioning::{self, Asker, Event, Findings, How, Look, Site, Step},
    request::{Account, CustomerDetails, FrozenRequest, Origin},
    state::{self, Candidate, Change, Column, State, View},
};

use crate::{
    memory::Memory,
    world::{Body, Col, Ev, Failed, Found, Id, Ids, Looking, Minutes, Plan, Req, Row, St, has},
};

/// The policy, and what it knows of a restore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Policy {
    pub(crate) look_first: bool,
    pub(crate) restored: Option<Minutes>,
}

/// What one statement shows of the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) row: Option<Row>,
    pub(crate) bound: Option<Id>,
    pub(crate) trail: u8,
    /// The Customer asked about is known to be deleted.
    pub(crate) deleted: bool,
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
    Look(Looking),
    Retrieve(Id),
    Refused,
    Later(Minutes),
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
    static MEMORY: RefCell<Memory<(Seen, Policy, Question), Reply>> = RefCell::default();
}

/// What `provisioning::next` says.
pub(crate) fn next(seen: Seen, ask: Ask, policy: Policy) -> Todo {
    match recall(seen, policy, Question::Next(ask)) {
        Reply::Todo(todo) => todo,
        Reply::Plan(_) => unreachable!("next answers with a step"),
    }
}

/// What `provisioning::after` makes of an event.
pub(crate) fn after(seen: Seen, ev: Ev, policy: Policy) -> Plan {
    plan(seen, policy, Question::After(ev))
}

/// What `provisioning::deletion` makes of the tenant.
pub(crate) fn deletion(seen: Seen, id: Id) -> Plan {
    plan(seen, Policy::default(), Question::Deletion(id))
}

fn plan(seen: Seen, policy: Policy, question: Question) -> Plan {
    match recall(seen, policy, question) {
        Reply::Plan(plan) => plan,
        Reply::Todo(_) => unreachable!("after answers with a change"),
    }
}

fn recall(seen: Seen, policy: Policy, question: Question) -> Reply {
    MEMORY.with_borrow_mut(|memory| {
        *memory.entry((seen, policy, question)).or_insert_with(|| put(seen, policy, question))
    })
}

fn put(seen: Seen, policy: Policy, question: Question) -> Reply {
    let bridge = Bridge::of(policy);
    let (view, site) = (bridge.view(seen), site(policy));
    match question {
        Question::Next(ask) => {
            let asker = match ask {
                Ask::Caller(body) => Asker::Caller(&DETAILS[usize::from(body)], TEN_SECONDS),
                Ask::Worker => Asker::Worker,
            };
            Reply::Todo(bridge.todo(&view, provisioning::next(&view, asker, &site)))
        }
        Question::After(ev) => {
            let outcome = provisioning::after(&view, &bridge.event(ev), &site);
            Reply::Plan(bridge.small(&view, &outcome.change))
        }
        Question::Deletion(id) => {
            Reply::Plan(bridge.small(&view, &provisioning::deletion(&view, &cus(id))))
        }
    }
}

const TEN_SECONDS: SignedDuration = SignedDuration::from_secs(10);
/// The version of every row that is there; a look with another one is stale.
const VERSION: u64 = 7;

static NOW: LazyLock<Timestamp> =
    LazyLock::new(|| "2026-11-20T12:00:00Z".parse().expect("a timestamp"));
static TENANT: LazyLock<TenantId> = LazyLock::new(|| TenantId::parse("t-1").expect("a tenant"));
static DETAILS: LazyLock<[CustomerDetails; 2]> = LazyLock::new(|| {
    ["jane.doe@example.com", "richard.roe@example.org"]
        .map(|email| CustomerDetails::new(Email::parse(email).expect("an address")))
});
static ORIGIN: LazyLock<Origin> = LazyLock::new(|| Origin {
    installation: InstallationId::parse("0123456789abcdef").expect("an installation"),
    account: Account { id: AccountId::parse("acct_ours").expect("an account"), mode: Mode::Test },
    stripe_account: None,
});

fn at(minutes: Minutes) -> Timestamp {
    *NOW + SignedDuration::from_mins(i64::from(minutes))
}

fn minutes(at: Timestamp) -> Minutes {
    let seconds = at.duration_since(*NOW).as_secs();
    assert_eq!((seconds % 60, at.subsec_nanosecond()), (0, 0), "a time between two minutes");
    Minutes::try_from(seconds / 60).expect("a time within reach")
}

fn cus(id: Id) -> CustomerId {
    CustomerId::parse(&format!("cus_{id}")).expect("a Customer id")
}

fn id(customer: &CustomerId) -> Id {
    let id = customer.as_str().strip_prefix("cus_").and_then(|id| id.parse().ok());
    id.expect("a Customer of the model")
}

fn site(policy: Policy) -> Site {
    let restored_at = policy.restored.map(|ago| at(-ago));
    Site { origin: ORIGIN.clone(), look_first: policy.look_first, restored_at }
}

fn refusal() -> Refusal {
    let param = Some("email".into());
    Refusal { code: Some("email_invalid".into()), param, message: "no".into() }
}

/// What the model leaves out of a row: its pacing (every row is always due) and its words.
fn blank(row: state::Row) -> state::Row {
    state::Row { attempts: 0, next_attempt_at: *NOW, last_error: None, ..row }
}

pub(crate) fn ids(set: Ids) -> impl Iterator<Item = Id> {
    (0..8).filter(move |id| has(set, *id))
}

fn customer(id: Id) -> Customer {
    let body = format!(r#"{{"id":"cus_{id}","object":"customer","created":{id}}}"#);
    Customer::parse(body.as_bytes()).expect("a Customer")
}

/// From this one on, the model's generations are those that are opened after a restore. In no configuration
/// with one does a tenant get so far before it.
pub(crate) const UNUSED: u8 = 5;

/// Both ways between the values of one question and the real ones.
struct Bridge {
    /// What [`UNUSED`] stands for.
    unused: u64,
}

impl Bridge {
    fn of(policy: Policy) -> Self {
        let restored = policy.restored.map(|ago| at(-ago).as_millisecond());
        let unused = restored.map(|it| it.try_into().expect("after 1970"));
        Self { unused: unused.unwrap_or(UNUSED.into()) }
    }

    fn generation(&self, g: u8) -> u64 {
        match g.checked_sub(UNUSED) {
            Some(since) => self.unused + u64::from(since),
            None => u64::from(g),
        }
    }

    /// A generation as the model counts it.
    fn small_generation(&self, generation: u64) -> u8 {
        let small = match generation.checked_sub(self.unused) {
            Some(since) => since + u64::from(UNUSED),
            None => generation,
        };
        u8::try_from(small).expect("few generations")
    }

    fn frozen(&self, req: Req) -> FrozenRequest {
        FrozenRequest::freeze(
            &ORIGIN,
            &TENANT,
            self.generation(req.g),
            &DETAILS[usize::from(req.body)],
        )
    }

    fn req(&self, request: &FrozenRequest) -> Req {
        let g = self.small_generation(request.key.parts().expect("a key of ours").generation);
        let details = request.details().expect("details");
        let body = DETAILS.iter().position(|it| *it == details).expect("a caller of the model");
        let req = Req { g, body: u8::try_from(body).expect("few callers") };
        assert_eq!(self.frozen(req), *request, "a request is lost in translation");
        req
    }

    fn row(&self, row: Row, version: u64) -> state::Row {
        let state = match row.st {
            St::Vacant => State::Vacant,
            St::Pending(req) => State::Pending(self.frozen(req)),
            St::Suspect { req, quiet, sent } => {
                State::Suspect { request: self.frozen(req), quiet_until: at(quiet), sent }
            }
            St::Rejected(req) => State::Rejected(self.frozen(req), refusal()),
            St::Settled(id) => State::Settled(cus(id)),
        };
        blank(state::Row {
            generation: self.generation(row.g),
            version,
            state,
            opened_at: at(-row.age),
            attempts: 0,
            next_attempt_at: *NOW,
            last_error: None,
        })
    }

    fn view(&self, seen: Seen) -> View {
        View {
            tenant: TENANT.clone(),
            now: *NOW,
            exists: true,
            bound: seen.bound.map(cus),
            row: seen.row.map(|it| self.row(it, VERSION)),
            lost_generation: if seen.row.is_none() { self.generation(seen.trail) } else { 0 },
            account: Some(ORIGIN.account.clone()),
            candidate: Candidate { deleted: seen.deleted, ..Candidate::default() },
        }
    }

    fn small_row(&self, row: &state::Row) -> Row {
        let st = match &row.state {
            State::Vacant => St::Vacant,
            State::Pending(request) => St::Pending(self.req(request)),
            State::Suspect { request, quiet_until, sent } => {
                St::Suspect { req: self.req(request), quiet: minutes(*quiet_until), sent: *sent }
            }
            State::Rejected(request, why) => {
                assert_eq!(*why, refusal(), "another refusal");
                St::Rejected(self.req(request))
            }
            State::Settled(customer) => St::Settled(id(customer)),
        };
        Row { g: self.small_generation(row.generation), age: -minutes(row.opened_at), st }
    }

    /// The small form of a change, proven to hold all of it but pacing, words, and reasons of surplus.
    fn small(&self, view: &View, change: &Change) -> Plan {
        let plan = Plan {
            was: change.was.is_some(),
            row: change.row.as_ref().map(|row| self.small_row(row)),
            column: match &change.column {
                Column::Keep => Col::Keep,
                Column::Bind(customer) => Col::Bind(id(customer)),
                Column::Holds(customer) => Col::Holds(id(customer)),
                Column::Clear(customer) => Col::Clear(id(customer)),
            },
            unbound_on: change.unbound_on.is_some(),
            surplus: change.surplus.iter().fold(0, |set, (customer, _)| set | 1 << id(customer)),
            trail: self.small_generation(
                change.events.iter().map(|it| it.generation).max().unwrap_or_default(),
            ),
        };
        let mut surplus: Vec<_> =
            change.surplus.iter().map(|(it, _)| (it.clone(), SurplusReason::Late)).collect();
        surplus.sort_by(|(a, _), (b, _)| a.cmp(b));
        let row = change.row.clone().map(blank);
        let real = Change { row, surplus, events: Vec::new(), ..change.clone() };
        assert_eq!(self.large(view, plan), real, "a change is lost in translation");
        plan
    }

    fn large(&self, view: &View, plan: Plan) -> Change {
        let version = if plan.was { VERSION + 1 } else { 1 };
        Change {
            was: plan.was.then_some(VERSION),
            row: plan.row.map(|it| self.row(it, version)),
            column: match plan.column {
                Col::Keep => Column::Keep,
                Col::Bind(id) => Column::Bind(cus(id)),
                Col::Holds(id) => Column::Holds(cus(id)),
                Col::Clear(id) => Column::Clear(cus(id)),
            },
            unbound_on: plan.unbound_on.then(|| ORIGIN.account.clone()),
            surplus: ids(plan.surplus).map(|it| (cus(it), SurplusReason::Late)).collect(),
            ..Change::none(view)
        }
    }

    fn todo(&self, view: &View, step: Step) -> Todo {
        use provisioning::Stop;
        match step {
            Step::Done(customer) => Todo::Done(id(&customer)),
            Step::Commit(change) => Todo::Commit(self.small(view, &change)),
            Step::Send(request) => Todo::Send(self.req(&request)),
            Step::Look(look) => {
                let g = view.row.as_ref().map_or(0, |row| row.generation);
                let small = Looking {
                    g: self.small_generation(g),
                    stale: look.version != VERSION,
                    began: -minutes(look.began),
                    since: -minutes(look.events_since),
                    needs_search: look.needs_search,
                    req: self.req(&look.request),
                };
                assert_eq!(self.large_look(small), look, "a look is lost in translation");
                Todo::Look(small)
            }
            Step::Retrieve(customer) => Todo::Retrieve(id(&customer)),
            Step::Stop(Stop::Refused(why)) => {
                assert_eq!(why, refusal(), "another refusal");
                Todo::Refused
            }
            Step::Stop(Stop::Later(when) | Stop::Busy(when)) => Todo::Later(minutes(when)),
            Step::Stop(Stop::Idle) => Todo::Idle,
            Step::Stop(stop) => {
                unreachable!("{stop:?}: the tenant exists, and the account is right")
            }
        }
    }

    fn large_look(&self, look: Looking) -> Look {
        Look {
            version: if look.stale { VERSION - 1 } else { VERSION },
            began: at(-look.began),
            events_since: at(-look.since),
            needs_search: look.needs_search,
            request: self.frozen(look.req),
        }
    }

    fn event(&self, ev: Ev) -> Event {
        match ev {
            Ev::Answered { g, failed } => Event::Answered {
                generation: self.generation(g),
                failure: match failed {
                    Failed::Refused => Failure::Refused(refusal()),
                    Failed::Spent => Failure::Spent,
                    Failed::Mismatched => Failure::Mismatched,
                    Failed::Again => Failure::Again(None),
                    Failed::Operator => Failure::Operator,
                },
                words: "an answer".into(),
            },
            Ev::Live { g, id, req, dead: _ } => Event::Live {
                generation: self.generation(g),
                customer: cus(id),
                request: Some(self.frozen(req)),
                how: How::Created,
            },
            Ev::Dead { g, id } => Event::Dead { generation: self.generation(g), customer: cus(id) },
            Ev::Looked { look, found } => Event::Looked {
                generation: self.generation(look.g),
                look: self.large_look(look),
                findings: match found {
                    Found::Ours(set) => Findings::Ours(ids(set).map(customer).collect()),
                    Found::None => Findings::None,
                    Found::Failed => Findings::Failed("a source was away".into()),
                },
            },
            Ev::StillLive(id) => Event::StillLive(cus(id)),
        }
    }
}
