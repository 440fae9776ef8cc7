//! What to write after an observation.

use std::time::Duration;

use super::draft::{Draft, Known};
use crate::{
    answer::Failure,
    audit::{EventKind, Reason, SurplusReason},
    error::{OperatorError, Problem},
    ids::CustomerId,
    provisioning::{Context, Decision, Observation},
    state::{Change, State, View},
    tenant_customer::Outcome,
    timing::{
        CONCLUSIVE_AFTER_MISMATCH, CONCLUSIVE_AFTER_STORED_FAILURE,
        CONCLUSIVE_AFTER_STORED_FAILURE_WITHOUT_EMAIL,
    },
};

/// Says what to write for a tenant that the database shows like this, after `observation`.
pub fn after(view: &View, observation: &Observation, context: &Context) -> Decision {
    let mut draft = Draft::new(view, context);
    match observation {
        Observation::AnsweredWithoutCustomer { generation, failure, summary } => {
            draft.answered_without_customer(*generation, failure, summary);
        }
        Observation::CreatedAlive { generation, customer, request } => {
            for customer in draft.known([customer]).unwrap_or_default() {
                draft.alive(*generation, customer, request.as_ref(), Outcome::Created);
            }
        }
        Observation::CreatedButDeleted { generation, customer } => {
            if let Some(row) = draft.own(*generation)
                && let State::Pending(_) | State::InDoubt { .. } = row.state
            {
                draft.change.vacate(
                    row,
                    Some(customer),
                    "the Customer that was created is deleted",
                );
            }
        }
        Observation::InquiryEnded { inquiry, findings } => draft.inquired(inquiry, findings),
        Observation::StillExists(customer) => {
            for customer in draft.known([customer]).unwrap_or_default() {
                draft.still_exists(customer);
            }
        }
    }
    draft.decision()
}

/// Says what to write for a tenant once a Customer is known to be deleted in Stripe. (The deletion
/// itself is recorded whether or not any tenant holds the Customer.)
pub fn deletion(view: &View, customer: &CustomerId) -> Change {
    let mut change = Change::none(view);
    let why = "deleted in Stripe";
    change.clear_column(view, customer, why);
    if let Some(row) = &view.row
        && row.state == State::Provisioned(customer.clone())
    {
        change.vacate(row, Some(customer), why);
    }
    change
}

/// Says what to write for a tenant from which an operator unbinds a Customer: it is on record as
/// surplus from then on, and the next caller gets another. Nothing, if the tenant does not have it.
pub fn unbinding(view: &View, customer: &CustomerId, reason: &Reason) -> Decision {
    let mut change = Change::none(view);
    let provisioned = match view.row.as_ref().map(|row| (row, &row.state)) {
        Some((_, State::Pending(_) | State::InDoubt { .. })) => {
            let why = "a creation is under way".into();
            let problem = Some(Problem::Retry { after: Duration::from_secs(10), why });
            return Decision { change, problem };
        }
        Some((row, State::Provisioned(it))) if it == customer => Some(row),
        Some((_, State::Vacant | State::Rejected(..) | State::Provisioned(_))) | None => None,
    };
    let why = format!("unbound by an operator: {reason}");
    change.clear_column(view, customer, &why);
    if provisioned.is_some() || view.bound.as_ref() == Some(customer) {
        let generation = view.row.as_ref().map_or(0, |row| row.generation);
        change.record_surplus(generation, customer, SurplusReason::Unbound);
    }
    if let Some(row) = provisioned {
        change.vacate(row, Some(customer), &why);
    }
    Decision { change, problem: None }
}

impl Draft<'_> {
    fn answered_without_customer(&mut self, generation: u64, failure: &Failure, summary: &str) {
        let Some(row) = self.own(generation) else {
            return;
        };
        let (change, now) = (&mut self.change, self.view.now);
        match (&row.state, failure) {
            (State::Pending(request) | State::Rejected(request, _), Failure::StoredFailure) => {
                let wait = match request.has_email() {
                    true => CONCLUSIVE_AFTER_STORED_FAILURE,
                    false => CONCLUSIVE_AFTER_STORED_FAILURE_WITHOUT_EMAIL,
                };
                change.doubt(row, request.clone(), now + wait, summary);
            }
            (State::Pending(request), Failure::Mismatched) => {
                change.doubt(row, request.clone(), now + CONCLUSIVE_AFTER_MISMATCH, summary);
            }
            (State::Pending(request), Failure::Rejected(rejection)) => {
                change.advance(row, State::Rejected(request.clone(), rejection.clone()));
                change.log(EventKind::Rejected, row.generation, None, summary);
            }
            (State::Pending(_), Failure::Retry(_)) => change.send_failed(row, summary),
            (State::Pending(_), Failure::Operator(refusal)) => {
                change.send_failed(row, summary);
                let refused = OperatorError::refused(*refusal, "create a Customer", summary);
                self.problem = Some(refused.into());
            }
            // Whoever made the send that Stripe is working on records its result.
            (State::Pending(_), Failure::InFlight) => {}
            // The row is past this send, and its answer brings nothing that the row does not know.
            (
                State::Vacant | State::InDoubt { .. } | State::Rejected(..) | State::Provisioned(_),
                _,
            ) => {}
        }
    }

    fn still_exists(&mut self, customer: Known<'_>) {
        let Some(row) = &self.view.row else {
            return;
        };
        let nulled = self.view.exists && self.view.bound.is_none();
        if row.state != State::Provisioned(customer.id.clone()) || !nulled {
            return;
        }
        if customer.facts.deleted {
            self.change.vacate(row, Some(customer.id), "it is on record as deleted");
        } else if customer.facts.bound_elsewhere {
            self.problem = Some(OperatorError::BoundElsewhere(customer.id.clone()).into());
        } else {
            self.change.advance(row, row.state.clone());
            self.fill_column(row, customer.id, EventKind::Rebound, "the column was null");
        }
    }
}
