//! What to do next.

use jiff::{SignedDuration, Timestamp};

use super::moves::{lost_row, wrong_account};
use crate::{
    audit::EventKind,
    error::{OperatorError, Problem},
    provisioning::{Asker, Context, Inquiry, Step},
    request::{CustomerDetails, FrozenRequest},
    state::{Change, Row, State, View},
    timing::{
        CONCLUSIVE_AFTER_GIVING_UP, CONCLUSIVE_AGE, EVENTS_BEFORE_OPENED, EVENTS_KEPT,
        IN_DOUBT_FROM, SEND_UNTIL, TAKEOVER_DELAY,
    },
};

/// Says what to do next for a tenant that the database shows like this.
pub fn next(view: &View, asker: Asker<'_>, context: &Context) -> Step {
    match asker {
        Asker::Caller(details, waits) => for_caller(view, context, details, waits),
        Asker::Worker => for_worker(view, context),
    }
}

fn for_caller(
    view: &View,
    context: &Context,
    details: &CustomerDetails,
    waits: SignedDuration,
) -> Step {
    if let Some(error) = wrong_account(view, context) {
        return Step::Fail(error);
    }
    if let Some(customer) = &view.bound {
        return Step::Done(customer.clone());
    }
    if !view.exists {
        return Step::Fail(Problem::UnknownTenant(view.tenant.clone()));
    }
    let Some(row) = &view.row else {
        return match view.lost_generation {
            0 => open(view, context, 1, details, waits),
            _ => lost(view, context, details),
        };
    };
    match &row.state {
        State::Vacant => open(view, context, row.generation, details, waits),
        State::Pending(request) => pending(view, context, row, request)
            .unwrap_or(Step::RetryAt(row.opened_at + IN_DOUBT_FROM)),
        State::InDoubt { request, conclusive_from, sent: false }
            if !request.has_email() && details.email().is_some() =>
        {
            with_email(view, context, row, *conclusive_from, details)
        }
        State::InDoubt { request, conclusive_from, sent } => {
            if row.next_attempt_at <= view.now {
                Step::Inquire(inquiry(view, row, request, *sent))
            } else if context.conclusive_from(*conclusive_from) <= view.now {
                // Whoever has put the attempt off is at it now.
                Step::Wait
            } else {
                Step::RetryAt(row.next_attempt_at)
            }
        }
        State::Rejected(request, rejection) => {
            if request.details().as_ref() == Ok(details) {
                Step::Fail(rejection.clone().into())
            } else {
                open(view, context, row.generation + 1, details, waits)
            }
        }
        State::Provisioned(customer) => Step::Retrieve(customer.clone()),
    }
}

/// The worker has claimed the row, so an inquiry is its to make whether or not one is due.
fn for_worker(view: &View, context: &Context) -> Step {
    if let Some(error) = wrong_account(view, context) {
        return Step::Fail(error);
    }
    let Some(row) = &view.row else {
        return Step::Idle;
    };
    match &row.state {
        State::Pending(request) => pending(view, context, row, request).unwrap_or_else(|| {
            let next_attempt_at = row.opened_at + IN_DOUBT_FROM;
            if row.next_attempt_at == next_attempt_at {
                return Step::RetryAt(next_attempt_at);
            }
            let row = Row { version: row.version + 1, next_attempt_at, ..row.clone() };
            Step::Commit(Box::new(Change { row: Some(row), ..Change::none(view) }))
        }),
        State::InDoubt { request, sent, .. } => Step::Inquire(inquiry(view, row, request, *sent)),
        State::Vacant | State::Rejected(..) | State::Provisioned(_) => Step::Idle,
    }
}

/// What to do for a pending row; `None` while its key may no longer be sent and is not in doubt
/// yet.
fn pending(view: &View, context: &Context, row: &Row, request: &FrozenRequest) -> Option<Step> {
    let doubt = |conclusive_from, why| {
        let mut change = Change::none(view);
        change.doubt(row, request.clone(), conclusive_from, why);
        Some(Step::Commit(Box::new(change)))
    };
    let given_up = view.now + CONCLUSIVE_AFTER_GIVING_UP;
    if !view.exists {
        return doubt(given_up, "the tenant no longer exists");
    }
    if view.bound.is_some() {
        return doubt(given_up, "the host has bound a Customer itself");
    }
    if request.account != context.identity.account {
        let (recorded, ours) = (request.account.clone(), context.identity.account.clone());
        return Some(Step::Fail(
            OperatorError::WrongAccount { recorded, ours: ours.into() }.into(),
        ));
    }
    if context.restored_at.is_some_and(|restored| row.opened_at < restored) {
        // The lost history may have given this generation up and created a Customer with a later
        // one.
        return doubt(given_up, "the row is older than the restored backup");
    }
    let age = view.now.duration_since(row.opened_at);
    if age < SEND_UNTIL {
        return Some(Step::Send(request.clone()));
    }
    if age >= IN_DOUBT_FROM {
        let why = "the idempotency key is too old to rely on";
        return doubt(row.opened_at + CONCLUSIVE_AGE, why);
    }
    None
}

fn inquiry(view: &View, row: &Row, request: &FrozenRequest, sent: bool) -> Inquiry {
    let oldest = view.now - EVENTS_KEPT;
    let wanted = if sent { row.opened_at - EVENTS_BEFORE_OPENED } else { oldest };
    Inquiry {
        generation: row.generation,
        version: row.version,
        began: view.now,
        events_since: wanted.max(oldest),
        sent,
        needs_search: wanted < oldest || !(sent || request.has_email()),
        request: request.clone(),
    }
}

/// Opens a row in doubt in place of one that was lost, which may have created a Customer or be
/// about to. Without an e-mail address nothing is begun: inquiries for such a row might never prove
/// anything, and as long as there is no row, a call with an address can open one.
fn lost(view: &View, context: &Context, details: &CustomerDetails) -> Step {
    if details.email().is_none() {
        return Step::Fail(OperatorError::NoEmailToLookBy.into());
    }
    let row = lost_row(view);
    let request = FrozenRequest::freeze(&context.identity, &view.tenant, row.generation, details);
    let mut change = Change::none(view);
    change.only_if.needs_customer_in = Some(context.identity.account.clone());
    change.give_up(&row, request, "the tenant's row was lost, and its audit trail was not");
    Step::Commit(Box::new(change))
}

/// Freezes the row's request anew, with an e-mail address by which inquiries can look. That is
/// allowed since it was never sent, and it helps an account without search.
fn with_email(
    view: &View,
    context: &Context,
    row: &Row,
    conclusive_from: Timestamp,
    details: &CustomerDetails,
) -> Step {
    let request = FrozenRequest::freeze(&context.identity, &view.tenant, row.generation, details);
    let why = format!("anew, with an e-mail address to look by; key {}", request.key);
    let mut change = Change::none(view);
    change.only_if.needs_customer_in = Some(context.identity.account.clone());
    change.advance(row, State::InDoubt { request, conclusive_from, sent: false });
    if let Some(row) = &mut change.row {
        row.next_attempt_at = view.now;
    }
    change.log(EventKind::Opened, row.generation, None, why);
    Step::Commit(Box::new(change))
}

fn open(
    view: &View,
    context: &Context,
    generation: u64,
    details: &CustomerDetails,
    waits: SignedDuration,
) -> Step {
    let generation = context.first_unused_generation(generation);
    let request = FrozenRequest::freeze(&context.identity, &view.tenant, generation, details);
    let key = request.key.clone();
    let (state, next_attempt_at) = if context.inquire_first || context.restored_at.is_some() {
        let conclusive_from = context.conclusive_from(view.now);
        (State::InDoubt { request, conclusive_from, sent: false }, view.now)
    } else {
        let due = view.now.checked_add(waits).and_then(|due| due.checked_add(TAKEOVER_DELAY));
        (State::Pending(request), due.unwrap_or(view.now))
    };
    let mut change = Change::none(view);
    change.only_if.needs_customer_in = Some(context.identity.account.clone());
    change.log(EventKind::Opened, generation, None, format!("key {key}"));
    change.row = Some(Row {
        generation,
        version: change.only_if.version.unwrap_or(0) + 1,
        state,
        opened_at: view.now,
        attempts: 0,
        next_attempt_at,
        last_error: None,
    });
    Step::Commit(Box::new(change))
}
