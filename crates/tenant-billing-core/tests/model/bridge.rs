//! The bridge to the shipped functions: real values from the small ones, and small ones back.
//!
//! Every answer is translated back into a real value and compared: the small values leave out
//! exactly what [`blank`] names, and anything else that is lost panics.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use tenant_billing_core::{
    OperatorError, Problem,
    answer::{Customer, Failure, Refusal, Rejection},
    audit::SurplusReason,
    ids::{AccountId, CustomerId, Email, InstallationId, Mode, TenantId},
    provisioning::{self, Context, Findings, Inconclusive, Observation, Step},
    request::{Account, CustomerDetails, FrozenRequest, Identity},
    state::{self, Change, Column, CustomerFacts, State, View},
};

use crate::{
    concrete::{Policy, Snapshot, Todo},
    world::{Col, Ev, Failed, Found, Id, Ids, Inquiry, Minutes, Plan, Req, Row, St, has},
};

pub(crate) const TEN_SECONDS: SignedDuration = SignedDuration::from_secs(10);
/// The version of every row; an inquiry with another one is stale.
const VERSION: u64 = 7;

static NOW: LazyLock<Timestamp> =
    LazyLock::new(|| "2026-11-20T12:00:00Z".parse().expect("a timestamp"));
static TENANT: LazyLock<TenantId> = LazyLock::new(|| TenantId::parse("t-1").expect("a tenant"));
pub(crate) static DETAILS: LazyLock<[CustomerDetails; 3]> = LazyLock::new(|| {
    let of = |email| CustomerDetails::new(Email::parse(email).expect("an address"));
    let bare = CustomerDetails::without_email();
    [of("jane.doe@example.com"), of("richard.roe@example.org"), bare]
});
static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity {
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

pub(crate) fn cus(id: Id) -> CustomerId {
    CustomerId::parse(&format!("cus_{id}")).expect("a Customer id")
}

fn id(customer: &CustomerId) -> Id {
    let id = customer.as_str().strip_prefix("cus_").and_then(|id| id.parse().ok());
    id.expect("a Customer of the model")
}

pub(crate) fn context(policy: Policy) -> Context {
    let restored_at = policy.restored.map(|ago| at(-ago));
    Context { identity: IDENTITY.clone(), inquire_first: policy.inquire_first, restored_at }
}

fn rejection() -> Rejection {
    let param = Some("email".into());
    Rejection { code: Some("email_invalid".into()), param, message: "no".into() }
}

/// A row without what the model leaves out: its pacing (every row is always due) and its texts.
fn blank(row: state::Row) -> state::Row {
    state::Row { attempts: 0, next_attempt_at: *NOW, last_error: None, ..row }
}

fn facts(deleted: bool) -> CustomerFacts {
    CustomerFacts { deleted, ..CustomerFacts::JUST_CREATED }
}

pub(crate) fn ids(set: Ids) -> impl Iterator<Item = Id> {
    (0..8).filter(move |id| has(set, *id))
}

fn customer(id: Id) -> Customer {
    let body = format!(r#"{{"id":"cus_{id}","object":"customer","created":{id}}}"#);
    Customer::parse(body.as_bytes()).expect("a Customer")
}

/// From this one on, the model's generations are those that are opened after a restore. In no
/// configuration with one does a tenant get so far before it.
pub(crate) const UNUSED: u8 = 5;

/// Translates between the values of one question and the real ones, both ways.
pub(crate) struct Bridge {
    /// What [`UNUSED`] stands for.
    unused: u64,
}

impl Bridge {
    pub(crate) fn of(policy: Policy) -> Self {
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
            &IDENTITY,
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
            St::InDoubt { req, conclusive, sent } => {
                State::InDoubt { request: self.frozen(req), conclusive_from: at(conclusive), sent }
            }
            St::Rejected(req) => State::Rejected(self.frozen(req), rejection()),
            St::Provisioned(id) => State::Provisioned(cus(id)),
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

    pub(crate) fn view(&self, seen: Snapshot) -> View {
        View {
            tenant: TENANT.clone(),
            uuid_keys: true,
            now: *NOW,
            exists: true,
            bound: seen.bound.map(cus),
            row: seen.row.map(|it| self.row(it, VERSION)),
            lost_generation: if seen.row.is_none() { self.generation(seen.trail) } else { 0 },
            installation: IDENTITY.installation.clone(),
            account: Some(IDENTITY.account.clone()),
            facts: ids(seen.asked).map(|id| (cus(id), facts(has(seen.deleted, id)))).collect(),
        }
    }

    fn small_row(&self, row: &state::Row) -> Row {
        let st = match &row.state {
            State::Vacant => St::Vacant,
            State::Pending(request) => St::Pending(self.req(request)),
            State::InDoubt { request, conclusive_from, sent } => St::InDoubt {
                req: self.req(request),
                conclusive: minutes(*conclusive_from),
                sent: *sent,
            },
            State::Rejected(request, why) => {
                assert_eq!(*why, rejection(), "another rejection");
                St::Rejected(self.req(request))
            }
            State::Provisioned(customer) => St::Provisioned(id(customer)),
        };
        Row { g: self.small_generation(row.generation), age: -minutes(row.opened_at), st }
    }

    /// The small form of a change. It holds all of it except pacing, texts, and the reasons of
    /// surplus, which the translation back proves.
    pub(crate) fn small(&self, view: &View, change: &Change) -> Plan {
        let plan = Plan {
            was: change.only_if.version.is_some(),
            row: change.row.as_ref().map(|row| self.small_row(row)),
            column: match &change.column {
                Column::Keep => Col::Keep,
                Column::Bind(customer) => Col::Bind(id(customer)),
                Column::Holds(customer) => Col::Holds(id(customer)),
                Column::Clear(customer) => Col::Clear(id(customer)),
            },
            needs_null: change.only_if.needs_customer_in.is_some(),
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
            only_if: state::Conditions {
                installation: IDENTITY.installation.clone(),
                version: plan.was.then_some(VERSION),
                decided_at: *NOW,
                needs_customer_in: plan.needs_null.then(|| IDENTITY.account.clone()),
            },
            row: plan.row.map(|it| self.row(it, version)),
            column: match plan.column {
                Col::Keep => Column::Keep,
                Col::Bind(id) => Column::Bind(cus(id)),
                Col::Holds(id) => Column::Holds(cus(id)),
                Col::Clear(id) => Column::Clear(cus(id)),
            },
            surplus: ids(plan.surplus).map(|it| (cus(it), SurplusReason::Late)).collect(),
            ..Change::none(view)
        }
    }

    pub(crate) fn todo(&self, view: &View, step: Step) -> Todo {
        match step {
            Step::Done(customer) => Todo::Done(id(&customer)),
            Step::Commit(change) => Todo::Commit(self.small(view, &change)),
            Step::Send(request) => Todo::Send(self.req(&request)),
            Step::Inquire(inquiry) => {
                let small = Inquiry {
                    g: self.small_generation(inquiry.generation),
                    stale: inquiry.version != VERSION,
                    began: -minutes(inquiry.began),
                    since: -minutes(inquiry.events_since),
                    sent: inquiry.sent,
                    needs_search: inquiry.needs_search,
                    req: self.req(&inquiry.request),
                };
                assert_eq!(self.large_inquiry(small), inquiry, "an inquiry is lost in translation");
                Todo::Inquire(small)
            }
            Step::Retrieve(customer) => Todo::Retrieve(id(&customer)),
            Step::RetryAt(when) => Todo::RetryAt(minutes(when)),
            Step::Idle => Todo::Idle,
            Step::Fail(Problem::Rejected(why)) => {
                assert_eq!(why, rejection(), "another rejection");
                Todo::GiveUp
            }
            Step::Fail(Problem::Operator(OperatorError::NoEmailToLookBy)) => Todo::GiveUp,
            Step::Fail(error) => {
                unreachable!("the tenant exists, and the account is right: {error}")
            }
            Step::Wait => {
                unreachable!("every row is due, so no inquiry is left to another process")
            }
        }
    }

    fn large_inquiry(&self, inquiry: Inquiry) -> provisioning::Inquiry {
        provisioning::Inquiry {
            generation: self.generation(inquiry.g),
            version: if inquiry.stale { VERSION - 1 } else { VERSION },
            began: at(-inquiry.began),
            events_since: at(-inquiry.since),
            sent: inquiry.sent,
            needs_search: inquiry.needs_search,
            request: self.frozen(inquiry.req),
        }
    }

    pub(crate) fn observation(&self, ev: Ev) -> Observation {
        match ev {
            Ev::AnsweredWithoutCustomer { g, failed } => Observation::AnsweredWithoutCustomer {
                generation: self.generation(g),
                failure: match failed {
                    Failed::Rejected => Failure::Rejected(rejection()),
                    Failed::StoredFailure => Failure::StoredFailure,
                    Failed::Mismatched => Failure::Mismatched,
                    Failed::Retry => Failure::Retry(None),
                    Failed::Operator => Failure::Operator(Refusal::Unexpected),
                },
                summary: "an answer".into(),
            },
            Ev::CreatedAlive { g, id, req, dead: _ } => Observation::CreatedAlive {
                generation: self.generation(g),
                customer: cus(id),
                request: Some(self.frozen(req)),
            },
            Ev::CreatedButDeleted { g, id } => {
                Observation::CreatedButDeleted { generation: self.generation(g), customer: cus(id) }
            }
            Ev::InquiryEnded { inquiry, found } => Observation::InquiryEnded {
                inquiry: self.large_inquiry(inquiry),
                findings: match found {
                    Found::Ours(set) => {
                        let mut customers = ids(set).map(customer);
                        let oldest = customers.next().expect("at least one Customer");
                        Findings::Found { oldest, others: customers.collect() }
                    }
                    Found::Nothing => Findings::Nothing,
                    Found::Inconclusive => {
                        let why = Inconclusive::Unavailable("a source".into());
                        Findings::Inconclusive(why)
                    }
                },
            },
            Ev::StillExists(id) => Observation::StillExists(cus(id)),
        }
    }
}
