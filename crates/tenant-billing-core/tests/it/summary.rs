//! Steps and outcomes in the words of the table, and what must hold of each of them.
//!
//! A row's move is its new state's first letter and generation: `P4`, `S3 +10m` (quiet until then),
//! `S3 +0s unsent` (look-first), `V4`, `R3`, `settled cus_x`; `paced` is bookkeeping alone, `–`
//! nothing at all. Then the column (`bind`, `clear`), `guarded` by `unbound_on`, the surplus, the
//! `[kinds]` of audit events, and the problem that a person is told of.

use tenant_billing_core::{
    audit::EventKind,
    ids::CustomerId,
    provisioning::{Asker, Event, Findings, Outcome, Problem, Site, Step, Stop, after, next},
    state::{Candidate, Change, Column, Row, State, View},
};

use crate::scene::{COLUMNS, EMAIL, OTHER_EMAIL, ours, site, view};

/// Checks one event against the six columns.
pub(crate) fn row(event: &Event, cells: [&str; 6]) {
    row_if(|view| view, event, cells);
}

/// The same for tenants that differ from the plain columns in one thing.
pub(crate) fn row_if(but: fn(View) -> View, event: &Event, cells: [&str; 6]) {
    for (at, cell) in COLUMNS.into_iter().zip(cells) {
        check(&format!("{at:?}"), &but(view(at)), event, &site(), cell);
    }
}

/// Checks what an event makes of one tenant. A cell `A, then B` applies it twice; `no bind` allows
/// anything but to bind or settle; `n/a` cannot come about and checks only what always holds.
pub(crate) fn check(name: &str, view: &View, event: &Event, site: &Site, cell: &str) {
    let outcome = after(view, event, site);
    always(name, view, event, &outcome);
    match (cell, cell.split_once(", then ")) {
        ("n/a", _) => {}
        ("no bind", _) => {
            let settled = |row: &Row| matches!(row.state, State::Settled(_));
            let change = &outcome.change;
            assert_eq!(change.column, Column::Keep, "{name}");
            assert!(!change.row.as_ref().is_some_and(settled), "{name}");
        }
        (_, Some((first, then))) => {
            assert_eq!(summary(view, &outcome), first, "{name}: {event:?}");
            let view = view.clone().changed(outcome.change);
            check(&format!("{name}, then"), &view, event, site, then);
        }
        (_, None) => assert_eq!(summary(view, &outcome), cell, "{name}: {event:?}"),
    }
}

/// Checks what is done next for the six columns.
pub(crate) fn steps(but: fn(View) -> View, asker: Asker<'_>, site: &Site, cells: [&str; 6]) {
    for (at, cell) in COLUMNS.into_iter().zip(cells) {
        assert_eq!(step(&but(view(at)), asker, site), cell, "{at:?}");
    }
}

/// What is done next, in the words of the table.
pub(crate) fn step(view: &View, asker: Asker<'_>, site: &Site) -> String {
    match next(view, asker, site) {
        Step::Done(customer) => format!("done {customer}"),
        Step::Commit(change) => {
            written(view, &change);
            let problem = None;
            let change = *change;
            summary(view, &Outcome { change, problem })
        }
        Step::Send(request) => {
            let row = view.row.as_ref().expect("a row to send of");
            assert_eq!(Some(&request), row.state.request(), "the first writer's");
            format!("send {}", row.generation)
        }
        Step::Look(look) => {
            let row = view.row.as_ref().expect("a row to look for");
            assert_eq!((look.version, look.began), (row.version, view.now));
            assert_eq!(Some(&look.request), row.state.request());
            "look".into()
        }
        Step::Retrieve(customer) => format!("retrieve {customer}"),
        Step::Stop(Stop::Later(at)) => format!("later +{:#}", at.duration_since(view.now)),
        Step::Stop(Stop::Busy(at)) => format!("busy +{:#}", at.duration_since(view.now)),
        Step::Stop(Stop::Idle) => "idle".into(),
        Step::Stop(Stop::UnknownTenant) => "unknown tenant".into(),
        Step::Stop(Stop::Refused(_)) => "refused".into(),
        Step::Stop(Stop::WrongAccount(recorded)) => format!("wrong account {recorded}"),
    }
}

fn summary(view: &View, Outcome { change, problem }: &Outcome) -> String {
    let mut words = Vec::new();
    words.extend(change.row.as_ref().map(|row| moved(view, row)));
    match &change.column {
        Column::Keep => {}
        Column::Bind(customer) => words.push(format!("bind {customer}")),
        Column::Holds(customer) => words.push(format!("holds {customer}")),
        Column::Clear(customer) => words.push(format!("clear {customer}")),
    }
    if let Some(account) = &change.unbound_on {
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
    words.extend(problem.as_ref().map(|problem| match problem {
        Problem::Stripe(_) => "operator".into(),
        Problem::BoundElsewhere(customer) => format!("operator: {customer} is another's"),
        Problem::Foreign(customer) => format!("operator: {customer} is foreign"),
        Problem::OutOfReach => "operator: out of reach".into(),
        Problem::WrongAccount(recorded) => format!("operator: {recorded}"),
        Problem::UnderWay => "refuse".into(),
    }));
    if words.is_empty() {
        return "–".into();
    }
    words.join(" ")
}

fn moved(view: &View, row: &Row) -> String {
    let was = view.row.as_ref();
    if let Some(was) = was.filter(|was| was.attempts + 1 == row.attempts) {
        let (version, attempts) = (was.version + 1, row.attempts);
        // After a restore the quiet time is put off, and never brought forward.
        let mut state = was.state.clone();
        if let (State::Suspect { quiet_until: was, .. }, State::Suspect { quiet_until: is, .. }) =
            (&mut state, &row.state)
        {
            *was = (*was).max(*is);
        }
        let kept = Row {
            state,
            version,
            attempts,
            next_attempt_at: row.next_attempt_at,
            last_error: row.last_error.clone(),
            ..was.clone()
        };
        assert_eq!(*row, kept, "pacing keeps the rest");
        assert!(row.next_attempt_at > view.now && row.last_error.is_some());
        return "paced".into();
    }
    let g = row.generation;
    match &row.state {
        state if was.is_some_and(|was| was.state == *state && was.generation == g) => "same".into(),
        State::Vacant => format!("V{g}"),
        State::Pending(_) => format!("P{g}"),
        State::Suspect { quiet_until, sent, .. } => {
            let quiet = quiet_until.duration_since(view.now);
            let unsent = if *sent { "" } else { " unsent" };
            format!("S{g} +{quiet:#}{unsent}")
        }
        State::Rejected(..) => format!("R{g}"),
        State::Settled(customer) => format!("settled {customer}"),
    }
}

/// What holds of every outcome of every event, whatever the cell.
pub(crate) fn always(name: &str, view: &View, event: &Event, outcome: &Outcome) {
    let change = &outcome.change;
    written(view, change);
    if let Column::Bind(customer) = &change.column {
        assert!(view.exists && view.bound.as_ref().is_none_or(|it| it == customer), "{name}");
        // What is known of the candidate is known of the first that was found.
        let next_best = matches!(event, Event::Looked { findings: Findings::Ours(found), .. }
            if found.first().is_some_and(|first| first.id != *customer));
        let fit = !view.candidate.deleted && !view.candidate.bound_elsewhere;
        assert!(fit || next_best, "{name}: binds what must not be bound");
    }
    if let Some(Row { state: State::Pending(_), generation, .. }) = &change.row {
        let sure = matches!(event, Event::Looked { findings: Findings::None, .. });
        let same = view.row.as_ref().is_some_and(|was| {
            was.generation == *generation && matches!(was.state, State::Pending(_))
        });
        assert!(sure || same, "{name}: opened a creation without certainty");
    }
    // A live Customer of this tenant is bound, or on record, or some person is told of it.
    let remembered = |customer: &CustomerId| {
        change.column == Column::Bind(customer.clone())
            || change.surplus.iter().any(|(it, _)| it == customer)
            || view.bound.as_ref() == Some(customer)
            || view.row.as_ref().is_some_and(|row| row.state == State::Settled(customer.clone()))
            || outcome.problem.is_some()
    };
    // But one that is gone, or another tenant's, is nobody's to remember; what an operator took off is on
    // record.
    let Candidate { deleted, bound_elsewhere, unbound } = view.candidate;
    let in_other_hands = deleted || bound_elsewhere || unbound;
    match event {
        Event::Live { customer, .. } if !in_other_hands => {
            assert!(remembered(customer), "{name}: {customer} was dropped");
        }
        Event::Looked { findings: Findings::Ours(found), .. } => {
            let live = found.iter().skip(usize::from(in_other_hands));
            let still_looked_for = change.row.as_ref().or(view.row.as_ref());
            let looks =
                still_looked_for.is_some_and(|row| matches!(row.state, State::Suspect { .. }));
            for customer in live {
                assert!(looks || remembered(&customer.id), "{name}: {} was dropped", customer.id);
            }
        }
        _ => {}
    }
}

/// What holds of every change: compare-and-swap, counted generations, texts that name nobody.
fn written(view: &View, change: &Change) {
    assert_eq!(change.tenant, view.tenant);
    let was = view.row.as_ref();
    assert_eq!(change.was, was.map(|row| row.version));
    if let Some(row) = &change.row {
        assert_eq!(row.version, change.was.unwrap_or(0) + 1);
        assert!(row.generation >= was.map_or(1, |was| was.generation));
        if let Some(request) = row.state.request() {
            let of = request.key.parts().expect("a key of ours").generation;
            assert!(of <= row.generation);
            if let State::Pending(_) = row.state {
                assert_eq!(of, row.generation, "each generation has its own key");
            }
        }
        let moves = was.is_none_or(|was| was.state.name() != row.state.name());
        assert!(!moves || !change.events.is_empty(), "a move leaves a trace");
        nameless(row.last_error.as_deref().unwrap_or_default());
    }
    assert!(change.column == Column::Keep || !change.events.is_empty());
    for event in &change.events {
        nameless(&event.detail);
        if let Some(expected) = of_a_customer(event.kind) {
            assert_eq!(event.customer.is_some(), expected, "{event:?}");
        }
    }
    let told = change.events.iter().filter(|event| event.kind == EventKind::Surplus);
    let told: Vec<_> = told.filter_map(|event| event.customer.as_ref()).collect();
    assert_eq!(told, change.surplus.iter().map(|(customer, _)| customer).collect::<Vec<_>>());
}

/// Whether such an event is about a Customer, if that can be told.
fn of_a_customer(kind: EventKind) -> Option<bool> {
    use EventKind::{
        Adopted, Cleared, Created, LookFailed, Opened, Rebound, Rejected, Reopened, SendFailed,
        Settled, Surplus, Suspected, Vacated,
    };
    match kind {
        Created | Adopted | Rebound | Settled | Cleared | Surplus => Some(true),
        Opened | Reopened | SendFailed | Rejected | Suspected | LookFailed => Some(false),
        // A tenant may begin anew because there is certainly none.
        Vacated => None,
    }
}

/// Names nobody that the scene is about, and no key.
pub(crate) fn nameless(text: &str) {
    for personal in [EMAIL, OTHER_EMAIL, "jane", "Jane", "Doe", "sk_", "rk_"] {
        assert!(!text.contains(personal), "a text that names somebody: {text}");
    }
}
