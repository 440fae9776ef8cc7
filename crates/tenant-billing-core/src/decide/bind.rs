//! Binding a live Customer of ours: it is bound, or it is surplus, or an operator must act.

use super::{
    draft::{Draft, Known},
    moves::{lost_row, wrong_account},
};
use crate::{
    audit::{EventKind, SurplusReason},
    error::OperatorError,
    ids::CustomerId,
    request::FrozenRequest,
    state::{Column, Row, State},
    tenant_customer::Outcome,
};

impl<'a> Draft<'a> {
    /// A Customer that this generation created is alive. The row of that generation binds it.
    /// Beside any other row it is surplus, and that row must take it into account before it creates
    /// anything.
    pub(super) fn alive(
        &mut self,
        generation: u64,
        customer: Known<'a>,
        request: Option<&'a FrozenRequest>,
        outcome: Outcome,
    ) {
        if customer.facts.unbound_by_operator {
            // Stripe answers this key with this Customer for ever, so its generation is used up.
            if let Some(row) = self.own(generation)
                && let State::Pending(_) | State::InDoubt { .. } = row.state
            {
                self.change.vacate(row, Some(customer.id), "an operator has unbound it");
            }
            return;
        }
        let Some(row) = &self.view.row else {
            return self.late(None, generation, customer, request);
        };
        match &row.state {
            State::Provisioned(bound) if bound == customer.id => {}
            State::Provisioned(_) => self.surplus(row.generation, customer, SurplusReason::Late),
            State::Pending(own) | State::InDoubt { request: own, .. }
                if row.generation == generation =>
            {
                self.bind(row, own, customer, &[], outcome);
            }
            State::Vacant => self.late(Some(row), generation, customer, request),
            State::Pending(kept)
            | State::InDoubt { request: kept, .. }
            | State::Rejected(kept, _) => {
                self.late(Some(row), generation, customer, request.or(Some(kept)));
            }
        }
    }

    /// The row is lost, is at another generation, or says that nothing was created.
    fn late(
        &mut self,
        row: Option<&Row>,
        generation: u64,
        customer: Known<'a>,
        request: Option<&FrozenRequest>,
    ) {
        if customer.facts.deleted {
            return;
        }
        self.surplus(generation, customer, SurplusReason::Late);
        if let Some(request) = request
            && (row.is_some() || self.view.exists)
        {
            let row = row.cloned().unwrap_or_else(|| lost_row(self.view));
            let why = "a Customer of another generation is alive";
            self.change.give_up(&row, request.clone(), why);
            if let Some(row) = &mut self.change.row {
                row.adopt_generation(generation);
            }
        }
    }

    /// Binds a live Customer of this tenant to its row; the other live ones are surplus.
    pub(super) fn bind(
        &mut self,
        row: &Row,
        request: &FrozenRequest,
        customer: Known<'a>,
        others: &[Known<'a>],
        outcome: Outcome,
    ) {
        if let Some(error) = wrong_account(self.view, self.context) {
            return self.problem = Some(error);
        }
        let Known { id, facts } = customer;
        if facts.deleted {
            return self.change.vacate(row, Some(id), "it is on record as deleted");
        }
        if facts.bound_elsewhere {
            self.problem = Some(OperatorError::BoundElsewhere(id.clone()).into());
            let why = format!("{id} is bound to another tenant");
            return match row.state {
                State::InDoubt { .. } => self.change.inquiry_failed(row, &why),
                _ => self.change.give_up(row, request.clone(), &why),
            };
        }
        self.duplicates(row.generation, others);
        self.change.advance(row, State::Provisioned(id.clone()));
        let why = match &self.view.bound {
            None if self.view.exists => {
                let kind = match outcome {
                    Outcome::Existing => EventKind::Rebound,
                    Outcome::Created => EventKind::Created,
                    Outcome::Adopted => EventKind::Adopted,
                };
                return self.fill_column(row, id, kind, "");
            }
            Some(bound) if bound == id => {
                self.change.column = Column::Holds(id.clone());
                return self.change.log(EventKind::Closed, row.generation, Some(id), "as bound");
            }
            None => SurplusReason::TenantGone,
            Some(_) => SurplusReason::HostBoundAnother,
        };
        self.surplus(row.generation, customer, why);
        let detail = "without binding it";
        self.change.log(EventKind::Closed, row.generation, Some(id), detail);
    }

    pub(super) fn duplicates(&mut self, generation: u64, others: &[Known<'_>]) {
        for other in others {
            self.surplus(generation, *other, SurplusReason::Duplicate);
        }
    }

    /// Sets the tenant's column, which is null, to this Customer.
    pub(super) fn fill_column(
        &mut self,
        row: &Row,
        customer: &CustomerId,
        kind: EventKind,
        detail: &str,
    ) {
        self.change.column = Column::Bind(customer.clone());
        self.change.only_if.needs_customer_in = Some(self.context.identity.account.clone());
        self.change.log(kind, row.generation, Some(customer), detail);
    }
}

impl Row {
    /// Moves the row to a generation that was sent, unless the row is at a later one already.
    fn adopt_generation(&mut self, generation: u64) {
        if generation >= self.generation {
            self.generation = generation;
            if let State::InDoubt { sent, .. } = &mut self.state {
                *sent = true;
            }
        }
    }
}
