//! What an event makes of a tenant.

use super::{
    Event, GIVEN_UP_QUIET, How, MISMATCH_QUIET, Outcome, Problem, SPENT_QUIET, Site,
    looked::looked,
    rows::{advance, look_failed, send_failed, settled, surplus, suspect, vacate},
    wrong_account,
};
use crate::{
    answer::Failure,
    audit::{EventKind, NewEvent, SurplusReason},
    ids::CustomerId,
    request::FrozenRequest,
    state::{Change, Column, Row, State, View},
};

/// What `event` makes of a tenant that looks like this.
pub fn after(view: &View, event: &Event, site: &Site) -> Outcome {
    let mut out = Outcome { change: Change::none(view), problem: None };
    match event {
        Event::Answered { generation, failure, words } => {
            answered(&mut out, view, *generation, failure, words);
        }
        Event::Live { generation, customer, request, how } => {
            live(&mut out, view, site, *generation, customer, request.as_ref(), *how);
        }
        Event::Dead { generation, customer } => {
            if let Some(row) = own(view, *generation)
                && let State::Pending(_) | State::Suspect { .. } = row.state
            {
                vacate(&mut out.change, row, customer, "the Customer made is deleted");
            }
        }
        Event::Looked { generation, look, findings } => {
            looked(&mut out, view, site, *generation, look, findings);
        }
        Event::StillLive(customer) => still_live(&mut out, view, site, customer),
        Event::Deleted(customer) => out.change = deletion(view, customer),
        Event::Unbound(customer) => unbound(&mut out, view, customer),
    }
    out
}

/// The row, if it is still of the generation that an answer is about.
pub(super) fn own(view: &View, generation: u64) -> Option<&Row> {
    view.row.as_ref().filter(|row| row.generation == generation)
}

fn answered(out: &mut Outcome, view: &View, generation: u64, failure: &Failure, words: &str) {
    let Some(row) = own(view, generation) else {
        return;
    };
    let change = &mut out.change;
    match (&row.state, failure) {
        (State::Pending(request) | State::Rejected(request, _), Failure::Spent) => {
            let quiet_until = view.now + SPENT_QUIET;
            suspect(change, view, row, request.clone(), quiet_until, words);
        }
        (State::Pending(request), Failure::Mismatched) => {
            let quiet_until = view.now + MISMATCH_QUIET;
            suspect(change, view, row, request.clone(), quiet_until, words);
        }
        (State::Pending(request), Failure::Refused(refusal)) => {
            let state = State::Rejected(request.clone(), refusal.clone());
            advance(change, row, state);
            change.events.push(NewEvent::new(EventKind::Rejected, row.generation, words));
        }
        (State::Pending(_), Failure::Again(_)) => send_failed(change, view, row, words),
        (State::Pending(_), Failure::Operator) => {
            send_failed(change, view, row, words);
            out.problem = Some(Problem::Stripe(words.to_owned()));
        }
        // Another send of the key is under way: it is for that one to write what comes of it.
        (State::Pending(_), Failure::InFlight) => {}
        (State::Vacant | State::Suspect { .. } | State::Rejected(..) | State::Settled(_), _) => {}
    }
}

pub(super) fn live(
    out: &mut Outcome,
    view: &View,
    site: &Site,
    generation: u64,
    customer: &CustomerId,
    request: Option<&FrozenRequest>,
    how: How,
) {
    let change = &mut out.change;
    if view.candidate.unbound {
        // What its key made was taken off, so this generation will never make another.
        if let Some(row) = own(view, generation)
            && let State::Pending(_) | State::Suspect { .. } = row.state
        {
            vacate(change, row, customer, "it was unbound by an operator");
        }
        return;
    }
    // What a tenant is using is not surplus, whoever bound it.
    let in_use = view.bound.as_ref() == Some(customer) || view.candidate.bound_elsewhere;
    let late = (!in_use).then(|| (customer.clone(), SurplusReason::Late));
    match view.row.as_ref().map(|row| (row, &row.state)) {
        Some((_, State::Settled(settled))) if settled == customer => {}
        Some((row, State::Pending(request) | State::Suspect { request, .. }))
            if row.generation == generation =>
        {
            bind(out, view, site, row, request, std::slice::from_ref(customer), how);
        }
        _ if view.candidate.deleted => {}
        Some((row, State::Settled(_))) => surplus(change, row.generation, late),
        // The row is gone, has moved on, or says that nothing was made: what it says next must take
        // this Customer into account, so it looks.
        found => {
            surplus(change, generation, late);
            let row = found.map(|(row, _)| row);
            let kept = found.and_then(|(_, state)| state.request());
            if (row.is_some() || view.exists)
                && let Some(request) = request.or(kept)
            {
                let row = row.cloned().unwrap_or_else(|| Row::lost(view));
                let why = "a Customer of another generation is live";
                let quiet_until = view.now + GIVEN_UP_QUIET;
                suspect(change, view, &row, request.clone(), quiet_until, why);
                if let Some(suspect) = &mut change.row {
                    suspect.take_up(generation);
                }
            }
        }
    }
}

/// Binds the first of `found`, all of them live and this tenant's; the others are surplus.
pub(super) fn bind(
    out: &mut Outcome,
    view: &View,
    site: &Site,
    row: &Row,
    request: &FrozenRequest,
    found: &[CustomerId],
    how: How,
) {
    let Some((customer, others)) = found.split_first() else {
        return;
    };
    if let Some(recorded) = wrong_account(view, site) {
        out.problem = Some(Problem::WrongAccount(recorded));
        return;
    }
    let change = &mut out.change;
    if view.candidate.deleted {
        return vacate(change, row, customer, "it is on record as deleted");
    }
    if view.candidate.bound_elsewhere {
        out.problem = Some(Problem::BoundElsewhere(customer.clone()));
        let why = format!("{customer} is bound to another tenant");
        return match row.state {
            State::Suspect { .. } => look_failed(change, view, row, &why),
            _ => suspect(change, view, row, request.clone(), view.now + GIVEN_UP_QUIET, &why),
        };
    }
    surplus(change, row.generation, duplicates(view, others, customer));
    advance(change, row, State::Settled(customer.clone()));
    let why_surplus = match &view.bound {
        None if view.exists => {
            change.column = Column::Bind(customer.clone());
            change.unbound_on = Some(site.origin.account.clone());
            let kind = match how {
                How::Created => EventKind::Created,
                How::Adopted => EventKind::Adopted,
            };
            change.events.push(NewEvent::new(kind, row.generation, "").of(customer));
            return;
        }
        None => SurplusReason::TenantGone,
        Some(bound) if bound == customer => {
            change.column = Column::Holds(customer.clone());
            return settled(change, row, customer, "as bound");
        }
        Some(_) => SurplusReason::HostBoundAnother,
    };
    surplus(change, row.generation, [(customer.clone(), why_surplus)]);
    settled(change, row, customer, "without binding it");
}

/// What is surplus beside `kept`: not what the tenant's column holds.
pub(super) fn duplicates(
    view: &View,
    found: &[CustomerId],
    kept: &CustomerId,
) -> Vec<(CustomerId, SurplusReason)> {
    let surplus = found.iter().filter(|it| *it != kept && view.bound.as_ref() != Some(*it));
    surplus.map(|it| (it.clone(), SurplusReason::Duplicate)).collect()
}

fn still_live(out: &mut Outcome, view: &View, site: &Site, customer: &CustomerId) {
    let Some(row) = &view.row else { return };
    if row.state != State::Settled(customer.clone()) || view.bound.is_some() || !view.exists {
        return;
    }
    if view.candidate.deleted {
        return vacate(&mut out.change, row, customer, "it is on record as deleted");
    }
    if view.candidate.bound_elsewhere {
        out.problem = Some(Problem::BoundElsewhere(customer.clone()));
        return;
    }
    let change = &mut out.change;
    advance(change, row, row.state.clone());
    change.column = Column::Bind(customer.clone());
    change.unbound_on = Some(site.origin.account.clone());
    let why = "the column had lost it";
    change.events.push(NewEvent::new(EventKind::Rebound, row.generation, why).of(customer));
}

/// What the deletion of a Customer in Stripe makes of a tenant. (That it is gone is on record
/// whether or not anybody holds it.)
pub fn deletion(view: &View, customer: &CustomerId) -> Change {
    let mut change = Change::none(view);
    let generation = view.row.as_ref().map_or(0, |row| row.generation);
    if view.bound.as_ref() == Some(customer) {
        change.column = Column::Clear(customer.clone());
        let event = NewEvent::new(EventKind::Cleared, generation, "deleted in Stripe");
        change.events.push(event.of(customer));
    }
    if let Some(row) = &view.row
        && row.state == State::Settled(customer.clone())
    {
        vacate(&mut change, row, customer, "deleted in Stripe");
    }
    change
}

fn unbound(out: &mut Outcome, view: &View, customer: &CustomerId) {
    let generation = view.row.as_ref().map_or(0, |row| row.generation);
    let settled = match view.row.as_ref().map(|row| (row, &row.state)) {
        Some((_, State::Pending(_) | State::Suspect { .. })) => {
            out.problem = Some(Problem::UnderWay);
            return;
        }
        Some((row, State::Settled(settled))) if settled == customer => Some(row),
        _ => None,
    };
    let change = &mut out.change;
    let bound = view.bound.as_ref() == Some(customer);
    if bound {
        change.column = Column::Clear(customer.clone());
        let event = NewEvent::new(EventKind::Cleared, generation, "unbound by an operator");
        change.events.push(event.of(customer));
    }
    if bound || settled.is_some() {
        surplus(change, generation, [(customer.clone(), SurplusReason::Unbound)]);
    }
    if let Some(row) = settled {
        vacate(change, row, customer, "unbound by an operator");
    }
}
