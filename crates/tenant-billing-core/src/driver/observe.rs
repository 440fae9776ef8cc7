//! Writing what was observed about a tenant. What is old is believed only once Stripe confirms it.

use super::{Conflicts, Creation, Drive, not_retrieved};
use crate::{
    answer::{Reading, Refusal},
    decide::after,
    error::{OperatorError, Problem},
    ids::CustomerId,
    ports::{Committed, StoreError},
    provisioning::{Findings, Observation},
    request::{CustomerDetails, FrozenRequest, INSTALLATION_KEY},
    state::{Column, State},
    tenant_customer::Outcome,
};

/// One attempt at writing an observation.
enum Attempt {
    /// What was decided is written, with the problem that remains.
    Written(Option<Problem>),
    /// A condition of the change did not hold.
    Conflict,
    /// Nothing is decided: it was observed of a row whose tables are lost.
    Lost,
}

impl Drive<'_> {
    /// Believes an old answer once a retrieve confirms it; `false` if Stripe is unavailable.
    pub(super) async fn confirm(&mut self, creation: Creation) -> Result<bool, Problem> {
        let Creation { customer, generation, request, request_id } = creation;
        let (reading, summary) = self.engine.retrieve(&customer, self.deadline).await;
        match reading {
            Reading::Found(it) if it.deleted => {
                self.engine.store.record_deletion(&customer).await?;
                let observation = Observation::CreatedButDeleted { generation, customer };
                self.observe(&observation, request_id.as_deref()).await?;
                Ok(true)
            }
            Reading::Found(it) => {
                let request = request.unwrap_or_else(|| {
                    let (identity, tenant) = (&self.context.identity, &self.snapshot.view.tenant);
                    FrozenRequest::freeze(identity, tenant, generation, &it.details())
                });
                let request = Some(request);
                let creation = Creation { customer, generation, request, request_id };
                self.created_alive(creation).await?;
                Ok(true)
            }
            Reading::Missing => Err(OperatorError::UnknownCustomer(customer).into()),
            Reading::Forbidden => Err(not_retrieved(Refusal::NotPermitted, &customer, &summary)),
            Reading::Unauthorized => Err(not_retrieved(Refusal::BadKey, &customer, &summary)),
            Reading::Untrusted => Err(not_retrieved(Refusal::Untrusted, &customer, &summary)),
            Reading::Retry(_) => Ok(false),
        }
    }

    /// Binds a live Customer or puts it on record as surplus. It is never dropped: while the
    /// database is unavailable, this waits for it.
    pub(super) async fn created_alive(&mut self, creation: Creation) -> Result<(), Problem> {
        let Creation { customer, generation, request, request_id } = creation;
        let observation = Observation::CreatedAlive { generation, customer, request };
        self.observe(&observation, request_id.as_deref()).await?;
        // A row that was lost, or had given up this generation, is in doubt now, and binds at once.
        let row = self.snapshot.view.row.as_ref();
        if row.is_some_and(|row| {
            row.generation == generation && matches!(row.state, State::InDoubt { .. })
        }) {
            self.observe(&observation, request_id.as_deref()).await?;
        }
        Ok(())
    }

    /// Writes what `after` decides, from a view that shows what is on record of the Customers
    /// concerned, and decides again as often as another process was faster.
    ///
    /// # Errors
    /// The problem that remains once the decision is written; or what the database says.
    pub(super) async fn observe(
        &mut self,
        observation: &Observation,
        request_id: Option<&str>,
    ) -> Result<(), Problem> {
        let customers = observation.customers();
        let facts = &self.snapshot.view.facts;
        let mut fresh = !customers.is_empty() && customers.iter().all(|it| facts.contains_key(it));
        // A Customer that was just created would otherwise be known to nobody.
        let created = match observation {
            Observation::CreatedAlive { customer, .. } => Some(customer),
            _ => None,
        };
        let (mut conflicts, mut tries) = (Conflicts::default(), 0);
        loop {
            let attempt =
                self.attempt(observation, (!fresh).then_some(&*customers), request_id).await;
            match (attempt, created) {
                (Ok(Attempt::Written(problem)), _) => return problem.map_or(Ok(()), Err),
                (Ok(Attempt::Lost), _) => return self.recognize_database(false).await,
                (Ok(Attempt::Conflict), _) => {
                    conflicts.add(&self.snapshot.view)?;
                    // A view from before we knew who we are may show no account yet.
                    self.recognize_database(!fresh).await?;
                }
                (Err(StoreError::Unavailable(why)), Some(customer)) => {
                    let tenant = &self.snapshot.view.tenant;
                    tracing::warn!(%tenant, %customer, %why, "a Customer waits for the database");
                    self.engine.clock.sleep(self.engine.backoff(tries)).await;
                    tries += 1;
                }
                (Err(StoreError::Refused(why)), Some(customer)) => {
                    let why = format!("{why}; Customer {customer} waits to be bound");
                    return Err(StoreError::Refused(why).into());
                }
                (Err(error), _) => return Err(error.into()),
            }
            fresh = false;
        }
    }

    /// One attempt, from a view that is read anew if `read` names the Customers to ask about.
    async fn attempt(
        &mut self,
        observation: &Observation,
        read: Option<&[CustomerId]>,
        request_id: Option<&str>,
    ) -> Result<Attempt, StoreError> {
        if let Some(customers) = read {
            let installation = self.snapshot.view.installation.clone();
            let snapshot = self.engine.snapshot(&self.snapshot.view.tenant, customers).await?;
            self.saw(snapshot);
            // A row of the new tables may have the same generation, and has another key.
            let about_a_row = match observation {
                Observation::AnsweredWithoutCustomer { .. }
                | Observation::CreatedButDeleted { .. }
                | Observation::InquiryEnded { .. } => true,
                // A live Customer is never dropped.
                Observation::CreatedAlive { .. } | Observation::StillExists(_) => false,
            };
            if about_a_row && installation != self.snapshot.view.installation {
                return Ok(Attempt::Lost);
            }
        }
        let decision = after(&self.snapshot.view, observation, &self.context);
        let mut change = decision.change;
        if !change.is_nothing() {
            for event in &mut change.events {
                event.request_id = request_id.map(str::to_owned);
            }
            self.nothing_begun = None;
            if self.engine.store.commit(&change).await? == Committed::Conflict {
                return Ok(Attempt::Conflict);
            }
            if let Column::Bind(customer) = &change.column {
                self.outcome = match observation {
                    Observation::CreatedAlive { .. } => Outcome::Created,
                    Observation::InquiryEnded { .. } => Outcome::Adopted,
                    Observation::StillExists(_)
                    | Observation::AnsweredWithoutCustomer { .. }
                    | Observation::CreatedButDeleted { .. } => Outcome::Existing,
                };
                self.created_with = self.details_of(customer, observation);
                let (tenant, outcome) = (&change.tenant, self.outcome.as_str());
                tracing::info!(%tenant, %customer, outcome, "bound");
            }
        }
        // Also where nothing was written: what was on record of this Customer may change from here
        // on.
        self.apply(change);
        Ok(Attempt::Written(decision.problem))
    }

    /// The details with which one of our requests has created this Customer.
    fn details_of(&self, id: &CustomerId, observation: &Observation) -> Option<CustomerDetails> {
        match observation {
            Observation::CreatedAlive { request: Some(it), .. } => it.details().ok(),
            Observation::InquiryEnded { inquiry, findings: Findings::Found { oldest, others } } => {
                let installation = self.context.identity.installation.as_str();
                let found = std::iter::once(oldest).chain(others).find(|it| it.id == *id)?;
                if !inquiry.sent || found.metadata(INSTALLATION_KEY) != Some(installation) {
                    return None;
                }
                let (frozen, shown) = (inquiry.request.details().ok()?, found.details());
                // Where the row stands in for one that was lost, its request is not the one that was
                // sent.
                Some(if frozen.email() == shown.email() { frozen } else { shown })
            }
            _ => None,
        }
    }
}
