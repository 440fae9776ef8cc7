//! The tenant that every table is about, in each of its states.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use tenant_billing_core::{
    answer::{Customer, Refusal},
    ids::{AccountId, CustomerId, Email, InstallationId, Mode, TenantId},
    provisioning::{Asker, Event, Findings, How, Look, Site},
    request::{Account, CustomerDetails, FrozenRequest, Origin},
    state::{Candidate, Row, State, View},
};

/// The generation of every row that is there. A tenant without a row opens 1.
pub(crate) const G: u64 = 3;
/// The Customer that events are about.
pub(crate) const X: &str = "cus_x";
/// The Customer that the settled row settled with.
pub(crate) const CID: &str = "cus_cid";
/// The Customer that a host has bound by itself.
pub(crate) const HOST: &str = "cus_host";

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

pub(crate) fn details(email: &str) -> CustomerDetails {
    let email = Email::parse(email).expect("an e-mail address");
    CustomerDetails::new(email)
        .with_name("Jane Q. Doe")
        .and_then(|it| it.with_metadata("plan", "gold"))
        .expect("details within Stripe's limits")
}

/// The first writer's details, which every row's request was frozen with.
pub(crate) static DETAILS: LazyLock<CustomerDetails> = LazyLock::new(|| details(EMAIL));
/// Those of somebody who asks for something else.
pub(crate) static OTHER: LazyLock<CustomerDetails> = LazyLock::new(|| details(OTHER_EMAIL));

pub(crate) fn site() -> Site {
    Site {
        origin: Origin {
            installation: InstallationId::parse(INSTALLATION).expect("an installation id"),
            account: ours(),
            stripe_account: None,
        },
        look_first: false,
        restored_at: None,
    }
}

pub(crate) fn look_first() -> Site {
    Site { look_first: true, ..site() }
}

pub(crate) fn restored(at: Timestamp) -> Site {
    Site { restored_at: Some(at), ..site() }
}

pub(crate) fn request(generation: u64) -> FrozenRequest {
    FrozenRequest::freeze(&site().origin, &tenant(), generation, &DETAILS)
}

pub(crate) fn refusal() -> Refusal {
    Refusal {
        code: Some("email_invalid".into()),
        param: Some("email".into()),
        message: "Invalid email address: […]".into(),
    }
}

/// The six columns of the table, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    NoRow,
    Vacant,
    Pending,
    Suspect,
    Rejected,
    Settled,
}

pub(crate) const COLUMNS: [At; 6] =
    [At::NoRow, At::Vacant, At::Pending, At::Suspect, At::Rejected, At::Settled];

/// A suspect row: what it waits for, and whether its generation may have been sent.
pub(crate) fn suspect(quiet_until: Timestamp, sent: bool) -> State {
    let request = request(G);
    State::Suspect { request, quiet_until, sent }
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
        At::Suspect => suspect(now() - minutes(10), true),
        At::Rejected => State::Rejected(request(G), refusal()),
        At::Settled => State::Settled(cus(CID)),
    })
}

/// The tenant in that column: it exists, and it is bound where it is settled.
pub(crate) fn view(at: At) -> View {
    let bound = (at == At::Settled).then(|| cus(CID));
    View { bound, ..unbound(state(at).map(row_in)) }
}

/// The tenant with this row and a null column.
pub(crate) fn unbound(row: Option<Row>) -> View {
    View {
        tenant: tenant(),
        now: now(),
        exists: true,
        bound: None,
        row,
        lost_generation: 0,
        account: Some(ours()),
        candidate: Candidate::default(),
    }
}

/// Small changes to a view, to be chained.
pub(crate) trait But: Sized {
    fn bound_to(self, customer: &str) -> Self;
    fn nulled(self) -> Self;
    fn gone(self) -> Self;
    fn known_deleted(self) -> Self;
    fn bound_elsewhere(self) -> Self;
    fn taken_off(self) -> Self;
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

    /// The host's rows are gone, the column's with the tenant's.
    fn gone(self) -> Self {
        Self { exists: false, ..self.nulled() }
    }

    fn known_deleted(mut self) -> Self {
        self.candidate.deleted = true;
        self
    }

    fn bound_elsewhere(mut self) -> Self {
        self.candidate.bound_elsewhere = true;
        self
    }

    /// An operator took the Customer that events are about off its tenant.
    fn taken_off(mut self) -> Self {
        self.candidate.unbound = true;
        self
    }

    fn aged(mut self, age: SignedDuration) -> Self {
        if let Some(row) = &mut self.row {
            row.opened_at = self.now - age;
        }
        self
    }
}

/// A live Customer that a send of `generation` was answered with.
pub(crate) fn live(generation: u64, customer: &str) -> Event {
    Event::Live {
        generation,
        customer: cus(customer),
        request: Some(request(generation)),
        how: How::Created,
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

pub(crate) fn found(ids: &[&str]) -> Findings {
    let times = 1..;
    Findings::Ours(ids.iter().zip(times).map(|(id, at)| customer(id, at)).collect())
}

/// A look at version 7 of a row of this generation that began now.
pub(crate) fn looked(findings: Findings) -> Event {
    looked_at(7, now(), findings)
}

pub(crate) fn looked_at(version: u64, began: Timestamp, findings: Findings) -> Event {
    Event::Looked {
        generation: G,
        look: Look {
            version,
            began,
            events_since: now() - hours(26),
            needs_search: false,
            request: request(G),
        },
        findings,
    }
}

/// Somebody who asks with these details and waits for ten seconds.
pub(crate) fn caller(details: &CustomerDetails) -> Asker<'_> {
    Asker::Caller(details, SignedDuration::from_secs(10))
}
