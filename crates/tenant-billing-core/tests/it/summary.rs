//! Steps and decisions in short, as the cells of the tables have them, and what must hold of each
//! of them.
//!
//! A cell begins with the row's new state and generation: `P4` pending, `D3 +10m` in doubt and
//! conclusive in 10 minutes, `D3 +0s unsent` in doubt and never sent, `V4` vacant, `R3` rejected,
//! `provisioned cus_x`.
//! `postponed` counts a failed attempt and changes nothing else, and `–` is nothing at all. The
//! column follows (`bind`, `holds`, `clear`), `guarded` if the change needs a tenant whose column
//! is null, what is surplus, the `[kinds]` of audit events, and the problem that remains.

use tenant_billing_core::{
    OperatorError, Problem,
    audit::EventKind,
    decide::{after, next},
    ids::CustomerId,
    provisioning::{Asker, Context, Decision, Findings, Observation, Step},
    state::{Change, Column, CustomerFacts, Row, State, View},
};

use crate::scene::{COLUMNS, EMAIL, OTHER_EMAIL, context, ours, view};

/// Checks one observation against the six columns.
pub(crate) fn row(observation: &Observation, cells: [&str; 6]) {
    row_if(|view| view, observation, cells);
}

/// The same for tenants that differ from the plain columns in one thing.
pub(crate) fn row_if(but: fn(View) -> View, observation: &Observation, cells: [&str; 6]) {
    for (at, cell) in COLUMNS.into_iter().zip(cells) {
        check(&format!("{at:?}"), &but(view(at)), observation, &context(), cell);
    }
}

/// Checks what is written for one tenant after an observation. A cell `A, then B` applies it twice.
pub(crate) fn check(
    name: &str,
    view: &View,
    observation: &Observation,
    context: &Context,
    cell: &str,
) {
    let decisions = decisions(view, observation, context);
    let said: Vec<_> = decisions.iter().map(|(view, decision)| summary(view, decision)).collect();
    assert_eq!(said.join(", then "), cell, "{name}: {observation:?}");
}

/// What is written for one tenant after an observation, as the driver does it: a row that became in
/// doubt at the generation which created a Customer reads again, and binds it.
pub(crate) fn decisions(
    view: &View,
    observation: &Observation,
    context: &Context,
) -> Vec<(View, Decision)> {
    let first = after(view, observation, context);
    always(&format!("{observation:?}"), view, observation, &first);
    let written = View { facts: view.facts.clone(), ..view.clone().changed(first.change.clone()) };
    let mut decisions = vec![(view.clone(), first)];
    if let (Observation::CreatedAlive { generation, .. }, Some(row)) = (observation, &written.row)
        && row.generation == *generation
        && matches!(row.state, State::InDoubt { .. })
        && decisions[0].1.problem.is_none()
    {
        let second = after(&written, observation, context);
        always(&format!("{observation:?}, again"), &written, observation, &second);
        decisions.push((written, second));
    }
    decisions
}

/// What is done next, as a cell says it.
pub(crate) fn step(view: &View, asker: Asker<'_>, context: &Context) -> String {
    match next(view, asker, context) {
        Step::Done(customer) => format!("done {customer}"),
        Step::Commit(change) => {
            written(view, &change);
            let problem = None;
            let change = *change;
            summary(view, &Decision { change, problem })
        }
        Step::Send(request) => {
            let row = view.row.as_ref().expect("a row whose request is sent");
            assert_eq!(Some(&request), row.state.request(), "the first writer's request");
            format!("send {}", row.generation)
        }
        Step::Inquire(inquiry) => {
            let row = view.row.as_ref().expect("a row to make an inquiry for");
            let of_row = (row.generation, row.version, view.now);
            assert_eq!((inquiry.generation, inquiry.version, inquiry.began), of_row);
            assert_eq!(Some(&inquiry.request), row.state.request());
            "inquire".into()
        }
        Step::Retrieve(customer) => format!("retrieve {customer}"),
        Step::Wait => "wait".into(),
        Step::RetryAt(at) => format!("retry +{:#}", at.duration_since(view.now)),
        Step::Idle => "idle".into(),
        Step::Fail(error) => problem_in_short(&error),
    }
}

pub(crate) fn summary(view: &View, Decision { change, problem }: &Decision) -> String {
    let mut words = Vec::new();
    words.extend(change.row.as_ref().map(|row| moved(view, row)));
    match &change.column {
        Column::Keep => {}
        Column::Bind(customer) => words.push(format!("bind {customer}")),
        Column::Holds(customer) => words.push(format!("holds {customer}")),
        Column::Clear(customer) => words.push(format!("clear {customer}")),
    }
    if let Some(account) = &change.only_if.needs_customer_in {
        assert_eq!(*account, ours());
        words.push("guarded".into());
    }
    for (customer, reason) in &change.surplus {
        words.push(format!("surplus {customer} {reason}"));
    }
    if !change.events.is_empty() {
        let kinds: Vec<_> = change.events.iter().map(|it| it.kind.as_str()).collect();
        words.push(format!("[{}]", kinds.join(" ")));
    }
    words.extend(problem.as_ref().map(problem_in_short));
    if words.is_empty() {
        return "–".into();
    }
    words.join(" ")
}

fn problem_in_short(problem: &Problem) -> String {
    match problem {
        Problem::Retry { .. } => "retry".into(),
        Problem::Operator(error) => match error {
            OperatorError::UnexpectedAnswer(_) => "operator: unexpected answer".into(),
            OperatorError::NotPermitted(_) => "operator: not permitted".into(),
            OperatorError::AccountRefused(_) => "operator: not its account".into(),
            OperatorError::BadKey(_) => "operator: bad key".into(),
            OperatorError::TlsUntrusted(_) => "operator: no trusted TLS".into(),
            OperatorError::BoundElsewhere(id) => format!("operator: {id} is another tenant's"),
            OperatorError::ForeignCustomer { customer, .. } => {
                format!("operator: {customer} is foreign")
            }
            OperatorError::UnmarkedCustomers(ids) => format!("operator: {} is unmarked", ids[0]),
            OperatorError::UnknownCustomer(id) => format!("operator: {id} is unknown"),
            OperatorError::OutOfReach => "operator: out of reach".into(),
            OperatorError::NoEmailToLookBy => "operator: no e-mail to look by".into(),
            OperatorError::WrongAccount { recorded, .. } => format!("operator: {recorded}"),
            OperatorError::AccountUnreadable(_)
            | OperatorError::NotDeclared(_)
            | OperatorError::CopiedOrMoved(_)
            | OperatorError::Store(_) => panic!("no decision says so: {error}"),
        },
        Problem::UnknownTenant(tenant) => {
            assert_eq!(tenant.as_str(), crate::scene::TENANT);
            "unknown tenant".into()
        }
        Problem::Rejected(_) => "rejected".into(),
        Problem::Invalid(_) => panic!("no decision says so: {problem}"),
    }
}

fn moved(view: &View, row: &Row) -> String {
    let was = view.row.as_ref();
    if let Some(was) = was.filter(|was| postponed(view, was, row)) {
        let kept = Row {
            version: was.version + 1,
            attempts: row.attempts,
            next_attempt_at: row.next_attempt_at,
            last_error: row.last_error.clone(),
            state: row.state.clone(),
            ..was.clone()
        };
        assert_eq!(*row, kept, "a postponed row keeps the rest");
        return "postponed".into();
    }
    let g = row.generation;
    match &row.state {
        state if was.is_some_and(|was| was.state == *state && was.generation == g) => "same".into(),
        State::Vacant => format!("V{g}"),
        State::Pending(_) => format!("P{g}"),
        State::InDoubt { conclusive_from, sent, .. } => {
            let conclusive = conclusive_from.duration_since(view.now);
            let unsent = if *sent { "" } else { " unsent" };
            format!("D{g} +{conclusive:#}{unsent}")
        }
        State::Rejected(..) => format!("R{g}"),
        State::Provisioned(customer) => format!("provisioned {customer}"),
    }
}

/// Whether a row only counts a failed attempt. After a restore, the moment from which an inquiry is
/// conclusive may become later too, and never earlier.
pub(crate) fn postponed(view: &View, was: &Row, row: &Row) -> bool {
    let same = match (&was.state, &row.state) {
        (
            State::InDoubt { request: a, conclusive_from: before, sent: c },
            State::InDoubt { request: b, conclusive_from: now, sent: d },
        ) => (a, c) == (b, d) && before <= now,
        (a, b) => a == b,
    };
    let counted = was.attempts + 1 == row.attempts && was.generation == row.generation;
    if counted {
        assert!(same, "a failed attempt changed the state: {row:?}");
        assert!(row.next_attempt_at > view.now && row.last_error.is_some());
    }
    counted
}

/// What holds of every decision after every observation, whatever the cell says.
pub(crate) fn always(name: &str, view: &View, observation: &Observation, decision: &Decision) {
    let change = &decision.change;
    written(view, change);
    if let Column::Bind(customer) = &change.column {
        assert!(view.exists && view.bound.as_ref().is_none_or(|it| it == customer), "{name}");
        assert_eq!(view.facts.get(customer), Some(&CustomerFacts::JUST_CREATED), "{name}");
    }
    for (customer, _) in &change.surplus {
        let facts = view.facts.get(customer);
        let alive = facts == Some(&CustomerFacts::JUST_CREATED);
        assert!(alive, "{name}: {customer} is not surplus");
    }
    if let Some(Row { state: State::Pending(_), generation, .. }) = &change.row {
        let sure =
            matches!(observation, Observation::InquiryEnded { findings: Findings::Nothing, .. });
        let same = view.row.as_ref().is_some_and(|was| {
            was.generation == *generation && matches!(was.state, State::Pending(_))
        });
        assert!(sure || same, "{name}: opened a creation without proof that there is no Customer");
    }
    // A live Customer of this tenant is bound, or on record, or a person is told of it. One that is
    // deleted, or is another tenant's, needs nobody; one that an operator unbound is on record.
    let remembered = |customer: &CustomerId| {
        let provisioned = State::Provisioned(customer.clone());
        let Some(facts) = view.facts.get(customer) else { return decision.problem.is_some() };
        *facts != CustomerFacts::JUST_CREATED
            || change.column == Column::Bind(customer.clone())
            || change.surplus.iter().any(|(it, _)| it == customer)
            || view.bound.as_ref() == Some(customer)
            || view.row.as_ref().is_some_and(|row| row.state == provisioned)
            || decision.problem.is_some()
    };
    let row = change.row.as_ref().or(view.row.as_ref());
    let another_inquiry = row.is_some_and(|row| matches!(row.state, State::InDoubt { .. }));
    for customer in &observation.customers() {
        let found_again =
            another_inquiry && matches!(observation, Observation::InquiryEnded { .. });
        let asked_about = matches!(observation, Observation::StillExists(_));
        let kept = found_again || asked_about || remembered(customer);
        assert!(kept, "{name}: {customer} was dropped");
    }
}

/// What holds of every change: it is conditional on the version, counts generations up, and its
/// texts hold no personal data.
fn written(view: &View, change: &Change) {
    assert_eq!(change.tenant, view.tenant);
    let was = view.row.as_ref();
    assert_eq!(change.only_if.version, was.map(|row| row.version));
    assert_eq!(change.only_if.decided_at, view.now);
    if let Some(row) = &change.row {
        assert_eq!(row.version, change.only_if.version.unwrap_or(0) + 1);
        assert!(row.generation >= was.map_or(1, |was| was.generation));
        if let Some(request) = row.state.request() {
            let of = request.key.parts().expect("a key of ours").generation;
            assert!(of <= row.generation);
            if let State::Pending(_) = row.state {
                assert_eq!(of, row.generation, "each generation has its own key");
            }
        }
        let moves = was.is_none_or(|was| was.state.name() != row.state.name());
        assert!(!moves || !change.events.is_empty(), "a new state is in the audit trail");
        without_personal_data(row.last_error.as_deref().unwrap_or_default());
    }
    assert!(change.column == Column::Keep || !change.events.is_empty());
    for event in &change.events {
        without_personal_data(&event.detail);
        if let Some(expected) = generation_of(event.kind, view, change) {
            assert_eq!(event.generation, expected, "{event:?}");
        }
        if let Some(expected) = of_a_customer(event.kind) {
            assert_eq!(event.customer.is_some(), expected, "{event:?}");
        }
    }
    let told = change.events.iter().filter(|event| event.kind == EventKind::Surplus);
    let told: Vec<_> = told.filter_map(|event| event.customer.as_ref()).collect();
    assert_eq!(told, change.surplus.iter().map(|(customer, _)| customer).collect::<Vec<_>>());
}

/// The generation that such an event names, if that does not depend on the observation. The newest
/// one in the audit trail stands in for a row that was lost, so what opens a generation names it.
fn generation_of(kind: EventKind, view: &View, change: &Change) -> Option<u64> {
    let before = view.row.as_ref().map(|row| row.generation);
    match kind {
        EventKind::Surplus => None,
        EventKind::Cleared => Some(before.unwrap_or(0)),
        EventKind::InDoubt => Some(before.unwrap_or(view.lost_generation)),
        EventKind::Opened
        | EventKind::Reopened
        | EventKind::Vacated
        | EventKind::SendFailed
        | EventKind::Rejected
        | EventKind::InquiryFailed
        | EventKind::Created
        | EventKind::Adopted
        | EventKind::Rebound
        | EventKind::Closed => change.row.as_ref().map(|row| row.generation),
    }
}

/// Whether such an event is about a Customer, if that can be told.
fn of_a_customer(kind: EventKind) -> Option<bool> {
    use EventKind::{
        Adopted, Cleared, Closed, Created, InDoubt, InquiryFailed, Opened, Rebound, Rejected,
        Reopened, SendFailed, Surplus, Vacated,
    };
    match kind {
        Created | Adopted | Rebound | Closed | Cleared | Surplus => Some(true),
        Opened | Reopened | SendFailed | Rejected | InDoubt | InquiryFailed => Some(false),
        // A tenant that is gone becomes vacant because an inquiry proved that there is no Customer.
        Vacated => None,
    }
}

/// Asserts that a text holds neither personal data of the scene nor a key.
pub(crate) fn without_personal_data(text: &str) {
    for personal in [EMAIL, OTHER_EMAIL, "jane", "Jane", "Doe", "sk_", "rk_"] {
        assert!(!text.contains(personal), "a text with personal data: {text}");
    }
}
