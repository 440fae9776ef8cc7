//! What to do next.

use jiff::SignedDuration;

use super::{
    AGED_QUIET, Asker, EVENTS_BEFORE, EVENTS_KEPT, GIVEN_UP_QUIET, Look, SEND_UNTIL, SUSPECT_FROM,
    Site, Step, Stop, TAKE_OVER, counts_from, rows::suspect, unused, wrong_account,
};
use crate::{
    audit::{EventKind, NewEvent},
    request::{CustomerDetails, FrozenRequest},
    state::{Change, Row, State, View},
};

/// What to do next for a tenant that looks like this.
pub fn next(view: &View, asker: Asker<'_>, site: &Site) -> Step {
    if let Asker::Caller(..) = asker {
        if let Some(customer) = &view.bound {
            return Step::Done(customer.clone());
        }
        if !view.exists {
            return Step::Stop(Stop::UnknownTenant);
        }
    }
    if let Some(recorded) = wrong_account(view, site) {
        return Step::Stop(Stop::WrongAccount(recorded));
    }
    match (view.row.as_ref().map(|row| (row, &row.state)), asker) {
        (Some((row, State::Pending(request))), _) => pending(view, site, row, request, asker),
        (Some((row, State::Suspect { request, quiet_until, sent })), _) => {
            if matches!(asker, Asker::Worker) || row.next_attempt_at <= view.now {
                Step::Look(look(view, row, request, *sent))
            } else if counts_from(*quiet_until, site) <= view.now {
                Step::Stop(Stop::Busy(row.next_attempt_at))
            } else {
                Step::Stop(Stop::Later(row.next_attempt_at))
            }
        }
        (_, Asker::Worker) => Step::Stop(Stop::Idle),
        (None, Asker::Caller(details, _)) if view.lost_generation > 0 => lost(view, site, details),
        (None, Asker::Caller(details, wait)) => open(view, site, 1, details, wait),
        (Some((row, State::Vacant)), Asker::Caller(details, wait)) => {
            open(view, site, row.generation, details, wait)
        }
        (Some((row, State::Rejected(request, refusal))), Asker::Caller(details, wait)) => {
            if request.details().as_ref() == Ok(details) {
                Step::Stop(Stop::Refused(refusal.clone()))
            } else {
                open(view, site, row.generation + 1, details, wait)
            }
        }
        (Some((_, State::Settled(customer))), Asker::Caller(..)) => {
            Step::Retrieve(customer.clone())
        }
    }
}

fn pending(view: &View, site: &Site, row: &Row, request: &FrozenRequest, asker: Asker<'_>) -> Step {
    let quiet = |quiet_until, why| {
        let mut change = Change::none(view);
        suspect(&mut change, view, row, request.clone(), quiet_until, why);
        Step::Commit(Box::new(change))
    };
    if !view.exists {
        return quiet(view.now + GIVEN_UP_QUIET, "the tenant is gone");
    }
    if view.bound.is_some() {
        return quiet(view.now + GIVEN_UP_QUIET, "the host has bound a Customer itself");
    }
    if request.account != site.origin.account {
        return Step::Stop(Stop::WrongAccount(request.account.clone()));
    }
    if site.restored_at.is_some_and(|restored| row.opened_at < restored) {
        // What the backup forgot may have given this generation up and made a Customer with a later one.
        return quiet(view.now + GIVEN_UP_QUIET, "the row is from before the restored backup");
    }
    let age = view.now.duration_since(row.opened_at);
    if age < SEND_UNTIL {
        return Step::Send(request.clone());
    }
    if age >= SUSPECT_FROM {
        return quiet(row.opened_at + AGED_QUIET, "the idempotency key is too old to rely on");
    }
    let later = row.opened_at + SUSPECT_FROM;
    if matches!(asker, Asker::Worker) && row.next_attempt_at != later {
        let row = Row { version: row.version + 1, next_attempt_at: later, ..row.clone() };
        return Step::Commit(Box::new(Change { row: Some(row), ..Change::none(view) }));
    }
    Step::Stop(Stop::Later(later))
}

fn look(view: &View, row: &Row, request: &FrozenRequest, sent: bool) -> Look {
    let oldest = view.now - EVENTS_KEPT;
    let wanted = if sent { row.opened_at - EVENTS_BEFORE } else { oldest };
    Look {
        version: row.version,
        began: view.now,
        events_since: wanted.max(oldest),
        needs_search: wanted < oldest,
        request: request.clone(),
    }
}

/// A row that was lost may have made a Customer, or be making one yet: as given up, and looked for.
fn lost(view: &View, site: &Site, details: &CustomerDetails) -> Step {
    let row = Row::lost(view);
    let request = FrozenRequest::freeze(&site.origin, &view.tenant, row.generation, details);
    let mut change = Change::none(view);
    change.unbound_on = Some(site.origin.account.clone());
    let why = "the tenant's row is lost, and its trail is not";
    suspect(&mut change, view, &row, request, view.now + GIVEN_UP_QUIET, why);
    Step::Commit(Box::new(change))
}

fn open(
    view: &View,
    site: &Site,
    generation: u64,
    details: &CustomerDetails,
    wait: SignedDuration,
) -> Step {
    let generation = unused(generation, site);
    let request = FrozenRequest::freeze(&site.origin, &view.tenant, generation, details);
    let key = request.key.clone();
    let (state, next_attempt_at) = if site.look_first || site.restored_at.is_some() {
        let quiet_until = counts_from(view.now, site);
        (State::Suspect { request, quiet_until, sent: false }, view.now)
    } else {
        let due = view.now.checked_add(wait).and_then(|due| due.checked_add(TAKE_OVER));
        (State::Pending(request), due.unwrap_or(view.now))
    };
    let mut change = Change::none(view);
    change.unbound_on = Some(site.origin.account.clone());
    change.events.push(NewEvent::new(EventKind::Opened, generation, format!("key {key}")));
    change.row = Some(Row {
        generation,
        version: change.was.unwrap_or(0) + 1,
        state,
        opened_at: view.now,
        attempts: 0,
        next_attempt_at,
        last_error: None,
    });
    Step::Commit(Box::new(change))
}
