//! Steps and decisions in words, as `docs/states.md` prints them.

use jiff::{SignedDuration, Timestamp};
use tenant_billing_core::{
    OperatorError, Problem,
    provisioning::{Decision, Step},
    state::{Column, Row, State, View},
};

use crate::{
    scenarios::Follows,
    scene::{G, now},
    summary::postponed,
};

impl Follows {
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Step(view, step) => step_in_words(view, step),
            Self::Decisions(decisions) => {
                let said =
                    decisions.iter().map(|(view, decision)| decision_in_words(view, decision));
                said.collect::<Vec<_>>().join("; then at once: ")
            }
        }
    }

    /// Every move of the row: the state before, and the state that is written.
    pub(crate) fn moves(&self) -> Vec<(&'static str, &'static str)> {
        let moved = |view: &View, row: &Option<Row>| {
            Some((name(view.row.as_ref()), name(Some(row.as_ref()?))))
        };
        match self {
            Self::Step(view, Step::Commit(change)) => {
                moved(view, &change.row).into_iter().collect()
            }
            Self::Step(..) => Vec::new(),
            Self::Decisions(decisions) => {
                let moves = decisions.iter();
                moves.filter_map(|(view, decision)| moved(view, &decision.change.row)).collect()
            }
        }
    }
}

/// The name of a state for people.
fn name(row: Option<&Row>) -> &'static str {
    match row.map(|row| row.state.name()) {
        None => "no row",
        Some("in_doubt") => "in doubt",
        Some(name) => name,
    }
}

fn step_in_words(view: &View, step: &Step) -> String {
    match step {
        Step::Done(customer) => format!("return `{customer}`"),
        Step::Commit(change) => {
            let (change, problem) = ((**change).clone(), None);
            decision_in_words(view, &Decision { change, problem })
        }
        Step::Send(_) => "send the request".into(),
        Step::Inquire(_) => "make an inquiry".into(),
        Step::Retrieve(customer) => format!("retrieve `{customer}`"),
        Step::Wait => "wait a little and read again".into(),
        Step::RetryAt(at) => format!("error: retry in {}", span(at.duration_since(view.now))),
        Step::Idle => "nothing to do".into(),
        Step::Fail(error) => problem_in_words(error),
    }
}

fn decision_in_words(view: &View, Decision { change, problem }: &Decision) -> String {
    let mut said: Vec<String> = Vec::new();
    match &change.column {
        Column::Keep => {}
        Column::Bind(customer) => said.push(format!("bind `{customer}`")),
        Column::Holds(customer) => said.push(format!("`{customer}` stays bound")),
        Column::Clear(_) => said.push("set the column to null".into()),
    }
    said.extend(change.row.as_ref().and_then(|row| moved(view, row, &change.column)));
    let surplus: Vec<_> = change.surplus.iter().map(|(id, _)| format!("`{id}`")).collect();
    match &*surplus {
        [] => {}
        [one] => said.push(format!("{one} is surplus")),
        [others @ .., last] => {
            said.push(format!("{} and {last} are surplus", others.join(", ")));
        }
    }
    said.extend(problem.as_ref().map(problem_in_words));
    match said.is_empty() {
        true => "nothing".into(),
        false => said.join("; "),
    }
}

fn moved(view: &View, row: &Row, column: &Column) -> Option<String> {
    let was = view.row.as_ref();
    if was.is_some_and(|was| postponed(view, was, row)) {
        return Some(match row.state {
            State::InDoubt { .. } => "in doubt, next inquiry later".into(),
            _ => format!("{}, next attempt later", row.state.name()),
        });
    }
    let same = was.is_some_and(|was| was.state == row.state && was.generation == row.generation);
    if same {
        let later = was.is_some_and(|was| was.next_attempt_at < row.next_attempt_at);
        return later.then(|| format!("{}, next attempt later", row.state.name()));
    }
    let generation = match row.generation {
        // A generation from the time of a restore is a number of 13 digits.
        large if large > 1_000_000 => ", the first unused generation".into(),
        G if was.is_some() => String::new(),
        other => format!(", generation {other}"),
    };
    Some(match &row.state {
        State::InDoubt { conclusive_from, sent, .. } => {
            let sent = if *sent { "" } else { ", never sent" };
            format!("in doubt{generation}{sent}, conclusive {}", when(*conclusive_from))
        }
        State::Provisioned(customer) => match column {
            // The column's own words name it.
            Column::Bind(bound) | Column::Holds(bound) if bound == customer => "provisioned".into(),
            _ => format!("provisioned with `{customer}`"),
        },
        State::Vacant | State::Pending(_) | State::Rejected(..) => {
            format!("{}{generation}", row.state.name())
        }
    })
}

fn when(at: Timestamp) -> String {
    match at.duration_since(now()) {
        SignedDuration::ZERO => "at once".into(),
        later => format!("in {}", span(later)),
    }
}

fn span(span: SignedDuration) -> String {
    match span.as_secs() {
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

fn problem_in_words(problem: &Problem) -> String {
    match problem {
        Problem::Retry { after, .. } => format!("error: retry in {} s", after.as_secs()),
        Problem::UnknownTenant(_) => "error: unknown tenant".into(),
        Problem::Rejected(_) => "error: rejected by Stripe".into(),
        Problem::Invalid(_) => "error: invalid input".into(),
        Problem::Operator(error) => format!("operator: {}", operators(error)),
    }
}

fn operators(error: &OperatorError) -> String {
    match error {
        OperatorError::BoundElsewhere(id) => format!("`{id}` is bound to another tenant"),
        OperatorError::ForeignCustomer { customer, .. } => {
            format!("`{customer}` is another installation's")
        }
        OperatorError::UnmarkedCustomers(ids) => {
            format!("`{}` may be another application's", ids[0])
        }
        OperatorError::UnknownCustomer(id) => format!("Stripe does not know `{id}`"),
        OperatorError::WrongAccount { .. } => "the database belongs to another account".into(),
        OperatorError::UnexpectedAnswer(_) => "unexpected answer from Stripe".into(),
        OperatorError::NotPermitted(_) => "the key lacks a permission".into(),
        OperatorError::AccountRefused(_) => "the key may not act for the account".into(),
        OperatorError::BadKey(_) => "Stripe does not accept the key".into(),
        OperatorError::TlsUntrusted(_) => "no TLS connection to Stripe can be trusted".into(),
        OperatorError::OutOfReach => "nothing can show any more whether there is one".into(),
        OperatorError::NoEmailToLookBy => "there is no e-mail address to look by".into(),
        OperatorError::AccountUnreadable(_)
        | OperatorError::NotDeclared(_)
        | OperatorError::CopiedOrMoved(_)
        | OperatorError::Store(_) => error.to_string(),
    }
}
