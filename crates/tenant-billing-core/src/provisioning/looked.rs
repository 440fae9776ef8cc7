//! What a look makes of a tenant: the one way from "suspect" back to creating.

use super::{
    Findings, How, Look, Outcome, Problem, Site, TAKE_OVER,
    after::{bind, duplicates, live, own},
    counts_from,
    rows::{advance, look_failed, settled, surplus},
    unused,
};
use crate::{
    audit::{EventKind, NewEvent},
    ids::CustomerId,
    request::FrozenRequest,
    state::{Candidate, Change, Row, State, View},
};

/// Found: bind the oldest. Certainly none: the next generation may create. Anything less: look again.
pub(super) fn looked(
    out: &mut Outcome,
    view: &View,
    site: &Site,
    generation: u64,
    look: &Look,
    findings: &Findings,
) {
    if let Findings::Ours(found) = findings {
        let ids: Vec<_> = found.iter().map(|customer| customer.id.clone()).collect();
        return found_ours(out, view, site, generation, look, &ids);
    }
    let Some(row) = own(view, generation) else {
        return;
    };
    let State::Suspect { request, quiet_until, sent } = &row.state else {
        return;
    };
    let change = &mut out.change;
    let (why, problem) = match findings {
        Findings::Ours(_) => return,
        Findings::Foreign(customer) => (
            format!("{customer} was made for this tenant by another installation"),
            Some(Problem::Foreign(customer.clone())),
        ),
        Findings::OutOfReach => {
            ("events do not reach back far enough".into(), Some(Problem::OutOfReach))
        }
        Findings::Failed(why) => (format!("could not look: {why}"), None),
        Findings::Forbidden(why) => {
            (format!("may not look: {why}"), Some(Problem::Stripe(why.clone())))
        }
        Findings::None => {
            let counts_from = counts_from(*quiet_until, site);
            if row.version != look.version {
                return;
            }
            if look.began >= counts_from {
                return certainly_none(change, view, site, row, request, *sent);
            }
            let why = format!("nothing there; that counts from {counts_from:.0} on");
            // Written down, so that whoever looks next need not know of the restore.
            let state =
                State::Suspect { request: request.clone(), quiet_until: counts_from, sent: *sent };
            return look_failed(change, view, &Row { state, ..row.clone() }, &why);
        }
    };
    look_failed(change, view, row, &why);
    out.problem = problem;
}

fn found_ours(
    out: &mut Outcome,
    view: &View,
    site: &Site,
    generation: u64,
    look: &Look,
    found: &[CustomerId],
) {
    if view.candidate.deleted {
        // The oldest was deleted after it had been confirmed. What remains was found all the same; that
        // nothing remains is for another look to say.
        let candidate = Candidate { deleted: false, ..view.candidate };
        let view = &View { candidate, ..view.clone() };
        return match (found.get(1..).unwrap_or_default(), own(view, generation)) {
            ([], Some(row)) if matches!(row.state, State::Suspect { .. }) => {
                look_failed(&mut out.change, view, row, "what was found is deleted since");
            }
            ([], _) => {}
            (rest, _) => found_ours(out, view, site, generation, look, rest),
        };
    }
    match view.row.as_ref().map(|row| (row, &row.state)) {
        Some((row, State::Settled(settled))) => {
            let elsewhere = usize::from(view.candidate.bound_elsewhere);
            let found = duplicates(view, found.get(elsewhere..).unwrap_or_default(), settled);
            surplus(&mut out.change, row.generation, found);
        }
        Some((row, State::Pending(request) | State::Suspect { request, .. }))
            if row.generation == generation =>
        {
            bind(out, view, site, row, request, found, How::Adopted);
        }
        _ => {
            let Some((oldest, others)) = found.split_first() else {
                return;
            };
            surplus(&mut out.change, generation, duplicates(view, others, oldest));
            live(out, view, site, generation, oldest, Some(&look.request), How::Adopted);
        }
    }
}

/// Nothing that was ever asked for this tenant exists, or will: the next generation may create.
fn certainly_none(
    change: &mut Change,
    view: &View,
    site: &Site,
    row: &Row,
    request: &FrozenRequest,
    sent: bool,
) {
    if !view.exists {
        let why = "looked, found none, and the tenant is gone";
        let row = Row { generation: row.generation + 1, ..row.clone() };
        advance(change, &row, State::Vacant);
        return change.events.push(NewEvent::new(EventKind::Vacated, row.generation, why));
    }
    if let Some(bound) = &view.bound {
        advance(change, row, State::Settled(bound.clone()));
        return settled(change, row, bound, "as bound by the host");
    }
    let Ok(details) = request.details() else {
        let why = "the frozen request cannot be read back";
        return look_failed(change, view, row, why);
    };
    let generation = unused(row.generation + u64::from(sent), site);
    let request = FrozenRequest::freeze(&site.origin, &view.tenant, generation, &details);
    let why = format!("looked and found certainly none; key {}", request.key);
    advance(change, row, State::Pending(request));
    if let Some(row) = &mut change.row {
        row.generation = generation;
        row.opened_at = view.now;
        row.next_attempt_at = view.now + TAKE_OVER;
    }
    change.unbound_on = Some(site.origin.account.clone());
    change.events.push(NewEvent::new(EventKind::Reopened, generation, why));
}
