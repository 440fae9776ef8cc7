//! The few ways in which a row moves, each as a part of the change that is being drawn up.

use jiff::{SignedDuration, Timestamp};

use crate::{
    audit::{EventKind, NewEvent, SurplusReason},
    error::{OperatorError, Problem},
    ids::CustomerId,
    provisioning::Context,
    request::FrozenRequest,
    state::{Change, Column, Row, State, View},
    timing::{
        CONCLUSIVE_AFTER_GIVING_UP, EVENTS_BEFORE_OPENED, EVENTS_KEPT, MAX_RETRY_DELAY,
        MIN_RETRY_DELAY,
    },
};

impl Change {
    pub(super) fn log(
        &mut self,
        kind: EventKind,
        generation: u64,
        customer: Option<&CustomerId>,
        detail: impl Into<String>,
    ) {
        let (customer, detail) = (customer.cloned(), detail.into());
        self.events.push(NewEvent { kind, generation, customer, request_id: None, detail });
    }

    /// Moves the row to a new state, with no failed attempts.
    pub(super) fn advance(&mut self, row: &Row, state: State) {
        let (version, attempts, last_error) = (row.version + 1, 0, None);
        self.row = Some(Row { version, state, attempts, last_error, ..row.clone() });
    }

    pub(super) fn vacate(&mut self, row: &Row, customer: Option<&CustomerId>, why: &str) {
        let vacant = Row { generation: row.generation + 1, ..row.clone() };
        self.advance(&vacant, State::Vacant);
        self.log(EventKind::Vacated, vacant.generation, customer, why);
    }

    /// Moves the row in doubt, with an inquiry due at once. `opened_at` stays, since it says how
    /// far back an inquiry must read.
    pub(super) fn doubt(
        &mut self,
        row: &Row,
        request: FrozenRequest,
        conclusive_from: Timestamp,
        why: &str,
    ) {
        // An inquiry never proves anything earlier than it would have before.
        let (conclusive_from, sent) = match &row.state {
            State::InDoubt { conclusive_from: before, sent, .. } => {
                (conclusive_from.max(*before), *sent)
            }
            _ => (conclusive_from, true),
        };
        self.advance(row, State::InDoubt { request, conclusive_from, sent });
        if let Some(row) = &mut self.row {
            row.next_attempt_at = self.only_if.decided_at;
            row.last_error = Some(why.to_owned());
        }
        self.log(EventKind::InDoubt, row.generation, None, why);
    }

    /// Gives the row's key up now, whatever its age.
    pub(super) fn give_up(&mut self, row: &Row, request: FrozenRequest, why: &str) {
        self.doubt(row, request, self.only_if.decided_at + CONCLUSIVE_AFTER_GIVING_UP, why);
    }

    /// Keeps the state after a send without a result. Recovery is due when the row is twice as old
    /// as it is now, however often callers try meanwhile.
    pub(super) fn send_failed(&mut self, row: &Row, why: &str) {
        let age = self.only_if.decided_at.duration_since(row.opened_at);
        let due = self.only_if.decided_at + age.clamp(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
        self.failed(row, EventKind::SendFailed, row.next_attempt_at.max(due), why);
    }

    /// Keeps the state after an inquiry that decided nothing. The next is due after 5 s, doubling
    /// to 10 minutes, or as soon as one can be conclusive.
    pub(super) fn inquiry_failed(&mut self, row: &Row, why: &str) {
        let delay = MIN_RETRY_DELAY * (1 << row.attempts.min(7));
        let mut due = self.only_if.decided_at + delay.min(MAX_RETRY_DELAY);
        if let State::InDoubt { conclusive_from, .. } = &row.state
            && *conclusive_from > self.only_if.decided_at
        {
            due = due.min(*conclusive_from);
        }
        self.failed(row, EventKind::InquiryFailed, due, why);
    }

    fn failed(&mut self, row: &Row, kind: EventKind, due: Timestamp, why: &str) {
        self.row = Some(Row {
            version: row.version + 1,
            attempts: row.attempts.saturating_add(1),
            next_attempt_at: due,
            last_error: Some(why.to_owned()),
            ..row.clone()
        });
        self.log(kind, row.generation, None, why);
    }

    pub(super) fn record_surplus(
        &mut self,
        generation: u64,
        customer: &CustomerId,
        why: SurplusReason,
    ) {
        self.log(EventKind::Surplus, generation, Some(customer), why.summary());
        self.surplus.push((customer.clone(), why));
    }

    /// Sets the tenant's column to null if it holds this Customer.
    pub(super) fn clear_column(&mut self, view: &View, customer: &CustomerId, why: &str) {
        if view.bound.as_ref() == Some(customer) {
            let generation = view.row.as_ref().map_or(0, |row| row.generation);
            self.column = Column::Clear(customer.clone());
            self.log(EventKind::Cleared, generation, Some(customer), why);
        }
    }
}

/// The error that the database belongs to another account than ours, if it does.
pub(super) fn wrong_account(view: &View, context: &Context) -> Option<Problem> {
    let (recorded, ours) = (view.account.clone()?, context.identity.account.clone());
    (recorded != ours).then(|| OperatorError::WrongAccount { recorded, ours: ours.into() }.into())
}

/// Stands in for a row that was lost. Its generation may have been sent, as long ago as events
/// reach back: less a day, so that an inquiry that is conclusive still reads all of that time.
pub(super) fn lost_row(view: &View) -> Row {
    let reach: SignedDuration = EVENTS_KEPT - EVENTS_BEFORE_OPENED * 2;
    Row {
        generation: view.lost_generation,
        version: 0,
        state: State::Vacant,
        opened_at: view.now - reach,
        attempts: 0,
        next_attempt_at: view.now,
        last_error: None,
    }
}
