//! What to write after an inquiry: the one way from "in doubt" back to creating.

use super::draft::{Draft, Known};
use crate::{
    audit::EventKind,
    error::{OperatorError, listed},
    provisioning::{Findings, Inconclusive, Inquiry},
    request::FrozenRequest,
    state::{Row, State},
    tenant_customer::Outcome,
    timing::TAKEOVER_DELAY,
};

impl<'a> Draft<'a> {
    /// Found: the oldest is bound. Nothing, for certain: the next generation may create. Anything
    /// less: another inquiry follows.
    pub(super) fn inquired(&mut self, inquiry: &'a Inquiry, findings: &'a Findings) {
        if let Findings::Found { oldest, others } = findings {
            let ids = std::iter::once(oldest).chain(others).map(|customer| &customer.id);
            if let Some(found) = self.known(ids) {
                self.found(inquiry, found);
            }
            return;
        }
        let Some(row) = self.own(inquiry.generation) else {
            return;
        };
        let State::InDoubt { request, conclusive_from, sent } = &row.state else {
            return;
        };
        match findings {
            Findings::Found { .. } => {}
            Findings::Nothing if row.version != inquiry.version => {}
            Findings::Nothing => {
                let conclusive_from = self.context.conclusive_from(*conclusive_from);
                if inquiry.began >= conclusive_from {
                    return self.certainly_none(row, request, *sent);
                }
                // Written down, so that the next inquiry need not know of the restore.
                let (request, sent) = (request.clone(), *sent);
                let state = State::InDoubt { request, conclusive_from, sent };
                let why =
                    format!("found nothing, which proves nothing before {conclusive_from:.0}");
                self.change.inquiry_failed(&Row { state, ..row.clone() }, &why);
            }
            Findings::Inconclusive(why) => {
                let (why, problem) = explain(why);
                self.change.inquiry_failed(row, &why);
                self.problem = problem.map(Into::into);
            }
        }
    }

    fn found(&mut self, inquiry: &'a Inquiry, mut found: Vec<Known<'a>>) {
        // What was deleted, or unbound by an operator, since it was retrieved is no longer a find.
        found.retain(|it| !it.facts.deleted && !it.facts.unbound_by_operator);
        let row = self.view.row.as_ref();
        let Some((oldest, others)) = found.split_first() else {
            if let Some(row) = self.own(inquiry.generation)
                && let State::InDoubt { .. } = row.state
            {
                self.change.inquiry_failed(row, "what was found is gone since");
            }
            return;
        };
        match row.map(|row| (row, &row.state)) {
            Some((row, State::Provisioned(kept))) => {
                found.retain(|it| it.id != kept);
                self.duplicates(row.generation, &found);
            }
            Some((row, State::Pending(request) | State::InDoubt { request, .. }))
                if row.generation == inquiry.generation =>
            {
                self.bind(row, request, *oldest, others, Outcome::Adopted);
            }
            Some((_, State::Pending(_) | State::InDoubt { .. }))
            | Some((_, State::Vacant | State::Rejected(..)))
            | None => {
                self.duplicates(inquiry.generation, others);
                let request = Some(&inquiry.request);
                self.alive(inquiry.generation, *oldest, request, Outcome::Adopted);
            }
        }
    }

    /// Nothing that was ever requested for this tenant exists, or ever will: the next generation
    /// may create.
    fn certainly_none(&mut self, row: &Row, request: &FrozenRequest, sent: bool) {
        let (view, change) = (self.view, &mut self.change);
        if !view.exists {
            return change.vacate(row, None, "there is no Customer, and the tenant is gone");
        }
        if let Some(bound) = &view.bound {
            change.advance(row, State::Provisioned(bound.clone()));
            let why = "the host has bound it itself";
            return change.log(EventKind::Closed, row.generation, Some(bound), why);
        }
        let Ok(details) = request.details() else {
            return change.inquiry_failed(row, "the frozen request cannot be read back");
        };
        let generation = self.context.first_unused_generation(row.generation + u64::from(sent));
        let identity = &self.context.identity;
        let request = FrozenRequest::freeze(identity, &view.tenant, generation, &details);
        let why = format!("an inquiry proved that there is no Customer; key {}", request.key);
        change.advance(row, State::Pending(request));
        if let Some(row) = &mut change.row {
            row.generation = generation;
            row.opened_at = view.now;
            row.next_attempt_at = view.now + TAKEOVER_DELAY;
        }
        change.only_if.needs_customer_in = Some(identity.account.clone());
        change.log(EventKind::Reopened, generation, None, why);
    }
}

/// Why an inquiry proves nothing, in words; and the error, where only an operator can help.
fn explain(why: &Inconclusive) -> (String, Option<OperatorError>) {
    match why {
        Inconclusive::Unavailable(what) => (format!("could not read {what}"), None),
        Inconclusive::NotPermitted(what) => {
            let error = OperatorError::NotPermitted(format!("read {what}"));
            (format!("may not read {what}"), Some(error))
        }
        Inconclusive::BadKey(what) => {
            (format!("the key is refused: {what}"), Some(OperatorError::BadKey(what.clone())))
        }
        Inconclusive::Untrusted(what) => {
            (format!("could not read {what}"), Some(OperatorError::TlsUntrusted(what.clone())))
        }
        Inconclusive::UnknownCustomer(id) => {
            (format!("Stripe does not know {id}"), Some(OperatorError::UnknownCustomer(id.clone())))
        }
        Inconclusive::Foreign(customer, installation) => {
            let (customer, installation) = (customer.clone(), installation.clone());
            (
                format!(
                    "installation {installation} has created {customer} for a tenant of this id"
                ),
                Some(OperatorError::ForeignCustomer { customer, installation }),
            )
        }
        Inconclusive::Unmarked(ids) => (
            format!("without our mark, and perhaps another application's: {}", listed(ids)),
            Some(OperatorError::UnmarkedCustomers(ids.clone())),
        ),
        Inconclusive::OutOfReach => {
            ("events do not reach back far enough".into(), Some(OperatorError::OutOfReach))
        }
        Inconclusive::NoEmailToLookBy => (
            "there is no e-mail address to look by, and no search".into(),
            Some(OperatorError::NoEmailToLookBy),
        ),
    }
}
