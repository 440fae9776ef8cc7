//! The few ways in which a row moves.

use jiff::{SignedDuration, Timestamp};

use crate::{
    audit::{EventKind, NewEvent, SurplusReason},
    ids::CustomerId,
    request::FrozenRequest,
    state::{Change, Row, State, View},
};

/// The row in a new state, with a clean slate of attempts.
pub(super) fn advance(change: &mut Change, row: &Row, state: State) {
    change.row =
        Some(Row { version: row.version + 1, state, attempts: 0, last_error: None, ..row.clone() });
}

pub(super) fn vacate(change: &mut Change, row: &Row, customer: &CustomerId, why: &str) {
    let row = Row { generation: row.generation + 1, ..row.clone() };
    advance(change, &row, State::Vacant);
    change.events.push(NewEvent::new(EventKind::Vacated, row.generation, why).of(customer));
}

/// Suspect, and due for a look at once. `opened_at` stays: it says how far back to look.
pub(super) fn suspect(
    change: &mut Change,
    view: &View,
    row: &Row,
    request: FrozenRequest,
    quiet_until: Timestamp,
    why: &str,
) {
    // What was known before keeps counting: a look may never conclude earlier than it would have.
    let (quiet_until, sent) = match &row.state {
        State::Suspect { quiet_until: until, sent, .. } => (quiet_until.max(*until), *sent),
        _ => (quiet_until, true),
    };
    advance(change, row, State::Suspect { request, quiet_until, sent });
    if let Some(row) = &mut change.row {
        row.next_attempt_at = view.now;
        row.last_error = Some(why.to_owned());
    }
    change.events.push(NewEvent::new(EventKind::Suspected, row.generation, why));
}

const SHORTEST: SignedDuration = SignedDuration::from_secs(5);
const LONGEST: SignedDuration = SignedDuration::from_mins(10);

/// The same state after a send that brought nothing. Recovery is due when it has been under way for
/// as long again, however often its callers try meanwhile.
pub(super) fn send_failed(change: &mut Change, view: &View, row: &Row, why: &str) {
    let age = view.now.duration_since(row.opened_at);
    let due = view.now + age.clamp(SHORTEST, LONGEST);
    failed(change, row, EventKind::SendFailed, row.next_attempt_at.max(due), why);
}

/// The same state after a look that decided nothing. The next is due after 5 s, doubling to 10
/// minutes, or when a look begins to count.
pub(super) fn look_failed(change: &mut Change, view: &View, row: &Row, why: &str) {
    let mut due = view.now + (SHORTEST * (1 << row.attempts.min(7))).min(LONGEST);
    if let State::Suspect { quiet_until, .. } = &row.state
        && *quiet_until > view.now
    {
        due = due.min(*quiet_until);
    }
    failed(change, row, EventKind::LookFailed, due, why);
}

fn failed(change: &mut Change, row: &Row, kind: EventKind, due: Timestamp, why: &str) {
    change.row = Some(Row {
        version: row.version + 1,
        attempts: row.attempts.saturating_add(1),
        next_attempt_at: due,
        last_error: Some(why.to_owned()),
        ..row.clone()
    });
    change.events.push(NewEvent::new(kind, row.generation, why));
}

pub(super) fn surplus(
    change: &mut Change,
    generation: u64,
    found: impl IntoIterator<Item = (CustomerId, SurplusReason)>,
) {
    for (customer, reason) in found {
        let event = NewEvent::new(EventKind::Surplus, generation, reason.words());
        change.events.push(event.of(&customer));
        change.surplus.push((customer, reason));
    }
}

pub(super) fn settled(change: &mut Change, row: &Row, customer: &CustomerId, how: &str) {
    change.events.push(NewEvent::new(EventKind::Settled, row.generation, how).of(customer));
}
