//! The tenant that every table is about, in each of its states.

use std::{collections::BTreeMap, sync::LazyLock};

use jiff::{SignedDuration, Timestamp};
use tenant_billing_core::{
    answer::{Customer, Rejection},
    audit::Reason,
    ids::{AccountId, CustomerId, Email, InstallationId, Mode, TenantId},
    provisioning::{Asker, Context, Findings, Inquiry, Observation},
    request::{Account, CustomerDetails, FrozenRequest, Identity},
    state::{CustomerFacts, Row, State, View},
};

/// The generation of every row that is there. A tenant without a row opens 1.
pub(crate) const G: u64 = 3;
/// The Customer that events are about.
pub(crate) const X: &str = "cus_x";
/// The Customer that the provisioned row is provisioned with.
pub(crate) const CID: &str = "cus_cid";
/// The Customer that a host has bound by itself.
pub(crate) const HOST: &str = "cus_host";
/// An older Customer than [`X`], and a younger one.
pub(crate) const OLD: &str = "cus_old";
pub(crate) const YOUNG: &str = "cus_young";

pub(crate) const EMAIL: &str = "jane.doe@example.com";
pub(crate) const OTHER_EMAIL: &str = "richard.roe@example.org";

pub(crate) const INSTALLATION: &str = "0123456789abcdef";
pub(crate) const TENANT: &str = "6f9619ff-8b86-4d01-b42d-00c04fc964ff";

pub(crate) fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().expect("a timestamp")
}

pub(crate) fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

pub(crate) const SECOND: SignedDuration = SignedDuration::from_secs(1);
pub(crate) const NOW: SignedDuration = SignedDuration::ZERO;

pub(crate) fn tenant() -> TenantId {
    TenantId::parse(TENANT).expect("a tenant id")
}

pub(crate) fn cus(id: &str) -> CustomerId {
    CustomerId::parse(id).expect("a Customer id")
}

pub(crate) fn account(id: &str, mode: Mode) -> Account {
    let id = AccountId::parse(id).expect("an account id");
    Account { id, mode }
}

pub(crate) fn ours() -> Account {
    account("acct_ours", Mode::Live)
}

pub(crate) fn reason() -> Reason {
    Reason::parse("they pay in another currency").expect("a reason")
}

pub(crate) fn details(email: &str) -> CustomerDetails {
    let email = Email::parse(email).expect("an e-mail address");
    CustomerDetails::new(email)
        .with_name("Jane Q. Doe")
        .and_then(|it| it.with_metadata("plan", "gold"))
        .expect("details within Stripe's limits")
}

/// The first writer's details, which every row's request was frozen with.
pub(crate) static DETAILS: LazyLock<CustomerDetails> = LazyLock::new(|| details(EMAIL));
/// Another caller's details.
pub(crate) static OTHER: LazyLock<CustomerDetails> = LazyLock::new(|| details(OTHER_EMAIL));
/// Those of a tenant that has no e-mail address yet.
pub(crate) static BARE: LazyLock<CustomerDetails> = LazyLock::new(CustomerDetails::without_email);

pub(crate) fn context() -> Context {
    Context {
        identity: Identity {
            installation: InstallationId::parse(INSTALLATION).expect("an installation id"),
            account: ours(),
            stripe_account: None,
        },
        inquire_first: false,
        restored_at: None,
    }
}

pub(crate) fn inquire_first() -> Context {
    Context { inquire_first: true, ..context() }
}

pub(crate) fn restored(at: Timestamp) -> Context {
    Context { restored_at: Some(at), ..context() }
}

pub(crate) fn request(generation: u64) -> FrozenRequest {
    FrozenRequest::freeze(&context().identity, &tenant(), generation, &DETAILS)
}

pub(crate) fn rejection() -> Rejection {
    Rejection {
        code: Some("email_invalid".into()),
        param: Some("email".into()),
        message: "Invalid email address: […]".into(),
    }
}

/// Another database.
pub(crate) fn another() -> InstallationId {
    InstallationId::parse("another-1").expect("an installation id")
}

/// The six columns of the table, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    NoRow,
    Vacant,
    Pending,
    InDoubt,
    Rejected,
    Provisioned,
}

pub(crate) const COLUMNS: [At; 6] =
    [At::NoRow, At::Vacant, At::Pending, At::InDoubt, At::Rejected, At::Provisioned];

/// The state in doubt, with the moment from which an inquiry is conclusive, and whether its
/// generation may have been sent.
pub(crate) fn in_doubt(conclusive_from: Timestamp, sent: bool) -> State {
    let request = request(G);
    State::InDoubt { request, conclusive_from, sent }
}

/// A row that was opened two hours ago, failed twice, and is due.
pub(crate) fn row_in(state: State) -> Row {
    Row {
        generation: G,
        version: 7,
        state,
        opened_at: now() - hours(2),
        attempts: 2,
        next_attempt_at: now(),
        last_error: Some("HTTP 500".into()),
    }
}

fn state(at: At) -> Option<State> {
    Some(match at {
        At::NoRow => return None,
        At::Vacant => State::Vacant,
        At::Pending => State::Pending(request(G)),
        At::InDoubt => in_doubt(now() - minutes(10), true),
        At::Rejected => State::Rejected(request(G), rejection()),
        At::Provisioned => State::Provisioned(cus(CID)),
    })
}

/// The tenant in that column: it exists, and where it is provisioned, it is bound.
pub(crate) fn view(at: At) -> View {
    let bound = (at == At::Provisioned).then(|| cus(CID));
    View { bound, ..unbound(state(at).map(row_in)) }
}

/// The tenant with this row and a null column. Nothing in particular is known of any Customer.
pub(crate) fn unbound(row: Option<Row>) -> View {
    View {
        tenant: tenant(),
        uuid_keys: true,
        now: now(),
        exists: true,
        bound: None,
        row,
        lost_generation: 0,
        installation: context().identity.installation,
        account: Some(ours()),
        facts: facts(),
    }
}

/// The Customers of this scene, none of them known to be anything but alive.
pub(crate) fn facts() -> BTreeMap<CustomerId, CustomerFacts> {
    [X, CID, HOST, OLD, YOUNG].map(|id| (cus(id), CustomerFacts::JUST_CREATED)).into()
}

/// Small changes to a view, to be chained.
pub(crate) trait But: Sized {
    fn bound_to(self, customer: &str) -> Self;
    fn nulled(self) -> Self;
    fn gone(self) -> Self;
    fn deleted(self, customer: &str) -> Self;
    fn bound_elsewhere(self, customer: &str) -> Self;
    fn unbound_by_operator(self, customer: &str) -> Self;
    fn aged(self, age: SignedDuration) -> Self;
}

impl But for View {
    fn bound_to(self, customer: &str) -> Self {
        let bound = Some(cus(customer));
        Self { bound, ..self }
    }

    fn nulled(self) -> Self {
        Self { bound: None, ..self }
    }

    /// The tenant does not exist any more, and its column went with it.
    fn gone(self) -> Self {
        Self { exists: false, ..self.nulled() }
    }

    /// This Customer is on record as deleted.
    fn deleted(mut self, customer: &str) -> Self {
        fact(&mut self, customer).deleted = true;
        self
    }

    /// Another tenant's column holds this Customer.
    fn bound_elsewhere(mut self, customer: &str) -> Self {
        fact(&mut self, customer).bound_elsewhere = true;
        self
    }

    /// An operator has unbound this Customer.
    fn unbound_by_operator(mut self, customer: &str) -> Self {
        fact(&mut self, customer).unbound_by_operator = true;
        self
    }

    fn aged(mut self, age: SignedDuration) -> Self {
        if let Some(row) = &mut self.row {
            row.opened_at = self.now - age;
        }
        self
    }
}

fn fact<'a>(view: &'a mut View, customer: &str) -> &'a mut CustomerFacts {
    view.facts.entry(cus(customer)).or_insert(CustomerFacts::JUST_CREATED)
}

/// A live Customer that a send of `generation` was answered with.
pub(crate) fn live(generation: u64, customer: &str) -> Observation {
    Observation::CreatedAlive {
        generation,
        customer: cus(customer),
        request: Some(request(generation)),
    }
}

/// A Customer as a retrieve shows it.
pub(crate) fn customer(id: &str, created: i64) -> Customer {
    let body = format!(
        r#"{{"id":"{id}","object":"customer","created":{created},"email":"{EMAIL}",
            "metadata":{{"tenantId":"{TENANT}"}}}}"#
    );
    Customer::parse(body.as_bytes()).expect("a Customer")
}

/// An inquiry found these Customers, the oldest first.
pub(crate) fn found(ids: &[&str]) -> Findings {
    let mut customers = ids.iter().zip(1..).map(|(id, at)| customer(id, at));
    let oldest = customers.next().expect("at least one Customer");
    Findings::Found { oldest, others: customers.collect() }
}

/// An inquiry for version 7 of a row of this generation, which began now.
pub(crate) fn inquired(findings: Findings) -> Observation {
    inquired_at(7, now(), findings)
}

pub(crate) fn inquired_at(version: u64, began: Timestamp, findings: Findings) -> Observation {
    Observation::InquiryEnded {
        inquiry: Inquiry {
            generation: G,
            version,
            began,
            events_since: now() - hours(26),
            sent: true,
            needs_search: false,
            request: request(G),
        },
        findings,
    }
}

/// A caller who asks with these details and waits for ten seconds.
pub(crate) fn caller(details: &CustomerDetails) -> Asker<'_> {
    Asker::Caller(details, SignedDuration::from_secs(10))
}
