//! The only loop that acts.
//!
//! [`drive`] reads the database, asks [`next`] what to do, does it, writes what
//! [`after`](crate::decide::after) decides, and goes round again until there is nothing left to do.
//! Callers and the recovery worker go through it whole. Webhooks and operators bring an observation
//! of their own, which is written in the same way.

mod observe;

use std::time::Duration;

use crate::{
    answer::{self, Failure, Reading, Verdict},
    deadline::Deadline,
    decide::next,
    engine::{Engine, Snapshot},
    error::{Error, OperatorError, retry_soon},
    ids::CustomerId,
    inquiry::inquire,
    ports::Committed,
    provisioning::{Asker, Context, Inquiry, Observation, Step},
    request::FrozenRequest,
    state::{Change, CustomerFacts, State},
    tenant_customer::{Outcome, TenantCustomer},
    timing::{CLAIM_FOR, MAX_SNAPSHOT_AGE, SEND_WINDOW},
};

/// A conflict means that another process made progress. So many in a row mean that something is
/// wrong.
const MAX_CONFLICTS: u32 = 100;

/// A Customer that is at hand, and the request that created it.
pub(crate) struct Creation {
    pub(crate) customer: CustomerId,
    pub(crate) generation: u64,
    pub(crate) request: Option<FrozenRequest>,
    /// The id of Stripe's answer that named it.
    pub(crate) request_id: Option<String>,
}

/// Goes round until there is a Customer or nothing to do; `None` if the worker bound none.
pub(crate) async fn drive(
    engine: &Engine,
    snapshot: Snapshot,
    asker: Asker<'_>,
    deadline: Deadline,
) -> Result<Option<TenantCustomer>, Error> {
    let mut tenant = Drive::new(engine, snapshot, asker, deadline).await?;
    tenant.run().await.map_err(|error| match error {
        // Once a row is written, or may be, what it began goes on without this caller.
        Error::Retry { after, why, may_have_created } => {
            let may_have_created = may_have_created || tenant.may_have_effects;
            Error::Retry { after, why, may_have_created }
        }
        error => error,
    })
}

/// Takes in a Customer that a webhook says one of our keys has created, once a retrieve confirms
/// it.
pub(crate) async fn confirm(
    engine: &Engine,
    snapshot: Snapshot,
    creation: Creation,
    deadline: Deadline,
) -> Result<(), Error> {
    let mut tenant = Drive::new(engine, snapshot, Asker::Worker, deadline).await?;
    match tenant.confirm(creation).await? {
        true => Ok(()),
        false => Err(retry_soon("the Customer could not be retrieved", true)),
    }
}

/// Unbinds a Customer from its tenant, for an operator.
pub(crate) async fn unbind(
    engine: &Engine,
    snapshot: Snapshot,
    customer: CustomerId,
    deadline: Deadline,
) -> Result<(), Error> {
    let mut tenant = Drive::new(engine, snapshot, Asker::Worker, deadline).await?;
    tenant.observe(&Observation::UnbindRequested(customer), None).await
}

/// The state of the loop for one tenant.
struct Drive<'a> {
    engine: &'a Engine,
    context: Context,
    asker: Asker<'a>,
    deadline: Deadline,
    snapshot: Snapshot,
    /// How the Customer came to be bound, as far as this loop bound it.
    outcome: Outcome,
    tries: u32,
    conflicts: u32,
    /// Whether something was begun that goes on without this loop.
    may_have_effects: bool,
}

impl<'a> Drive<'a> {
    async fn new(
        engine: &'a Engine,
        snapshot: Snapshot,
        asker: Asker<'a>,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let context = engine.context(deadline).await?;
        let (outcome, tries, conflicts) = (Outcome::Existing, 0, 0);
        let may_have_effects = matches!(
            snapshot.view.row.as_ref().map(|row| &row.state),
            Some(State::Pending(_) | State::InDoubt { .. })
        );
        Ok(Self {
            engine,
            context,
            asker,
            deadline,
            snapshot,
            outcome,
            tries,
            conflicts,
            may_have_effects,
        })
    }

    async fn run(&mut self) -> Result<Option<TenantCustomer>, Error> {
        loop {
            match next(&self.snapshot.view, self.asker, &self.context) {
                Step::Done(customer) => return Ok(Some(self.has(customer))),
                Step::Wait => self.wait(None).await?,
                Step::Commit(change) => self.commit(*change).await?,
                Step::Send(request) => self.send(request).await?,
                Step::Inquire(inquiry) => self.inquire(inquiry).await?,
                Step::Retrieve(customer) => self.retrieve(customer).await?,
                Step::RetryAt(at) => {
                    let after = at.duration_since(self.snapshot.view.now).unsigned_abs();
                    return Err(self.not_yet(Some(after)));
                }
                Step::Idle => {
                    let bound = self.snapshot.view.bound.clone();
                    let bound = bound.filter(|_| self.outcome != Outcome::Existing);
                    return Ok(bound.map(|customer| self.has(customer)));
                }
                Step::Fail(Error::UnknownTenant(_)) if self.may_have_effects => {
                    return Err(retry_soon("the tenant no longer exists", true));
                }
                Step::Fail(error) => return Err(error),
            }
        }
    }

    async fn commit(&mut self, change: Change) -> Result<(), Error> {
        self.may_have_effects = true;
        match self.engine.store.commit(&change).await? {
            Committed::Yes => {
                self.apply(change);
                Ok(())
            }
            Committed::Conflict => {
                self.conflicts += 1;
                if self.conflicts > MAX_CONFLICTS {
                    return Err(contended());
                }
                self.read_again(&[]).await
            }
        }
    }

    async fn send(&mut self, mut request: FrozenRequest) -> Result<(), Error> {
        self.may_have_effects = true;
        let slot = self.engine.sends.acquire().await;
        if self.engine.clock.uptime() > self.snapshot.read_at + MAX_SNAPSHOT_AGE {
            // The wait for a slot made the reading old. Asking again here keeps the slot.
            self.read_again(&[]).await?;
            match next(&self.snapshot.view, self.asker, &self.context) {
                Step::Send(still) => request = still,
                _ => return Ok(()),
            }
        }
        let generation = self.snapshot.view.row.as_ref().map_or(0, |row| row.generation);
        let begin_by = self.snapshot.read_at + SEND_WINDOW;
        let answer = self.engine.stripe.create_customer(&request, begin_by).await;
        drop(slot);
        let request_id = answer::request_id(&answer).map(str::to_owned);
        match answer::judge(&answer, &request) {
            Verdict::Created { customer, replayed } => {
                let request = Some(request);
                let creation = Creation { customer, generation, request, request_id };
                let version = self.version();
                if !replayed {
                    let facts = &mut self.snapshot.view.facts;
                    facts.insert(creation.customer.clone(), CustomerFacts::JUST_CREATED);
                    self.created_alive(creation).await?;
                } else if !self.confirm(creation).await? {
                    return self.wait(None).await;
                }
                if self.version() == version && self.snapshot.view.bound.is_none() {
                    // Whatever left the row as it was, sending again at once does not help.
                    return self.wait(None).await;
                }
                Ok(())
            }
            Verdict::Failed(failure) => {
                let retry_after = match &failure {
                    Failure::Retry(after) => Some(*after),
                    Failure::InFlight => Some(None),
                    Failure::Rejected(_)
                    | Failure::StoredFailure
                    | Failure::Mismatched
                    | Failure::Operator => None,
                };
                let summary = answer::summary(&answer);
                let tenant = &self.snapshot.view.tenant;
                tracing::info!(%tenant, %summary, "Stripe answered without a Customer");
                let observation =
                    Observation::AnsweredWithoutCustomer { generation, failure, summary };
                self.observe(&observation, request_id.as_deref()).await?;
                match retry_after {
                    Some(retry_after) => self.wait(retry_after).await,
                    None => Ok(()),
                }
            }
        }
    }

    async fn inquire(&mut self, inquiry: Inquiry) -> Result<(), Error> {
        let (engine, tenant) = (self.engine, self.snapshot.view.tenant.clone());
        if let Asker::Caller(..) = self.asker
            && engine.store.claim(Some(&tenant), CLAIM_FOR, 1).await?.is_empty()
        {
            return self.wait(None).await;
        }
        let findings = inquire(engine, &self.context, &tenant, &inquiry, self.deadline).await?;
        let request_id = findings.request_id().map(str::to_owned);
        let observation = Observation::InquiryEnded { inquiry, findings };
        self.observe(&observation, request_id.as_deref()).await?;
        let row = self.snapshot.view.row.as_ref();
        if let (Asker::Worker, Some(State::InDoubt { .. })) =
            (self.asker, row.map(|row| &row.state))
        {
            // The worker has made its inquiry, and the row says when the next one is due.
            return Err(self.not_yet(None));
        }
        Ok(())
    }

    async fn retrieve(&mut self, customer: CustomerId) -> Result<(), Error> {
        match self.engine.retrieve(&customer, self.deadline).await {
            Reading::Found(it) if it.deleted => {
                self.engine.store.record_deletion(&customer).await?;
                self.read_again(&[]).await
            }
            Reading::Found(it) => {
                let observation = Observation::StillExists(customer);
                self.observe(&observation, it.request_id.as_deref()).await
            }
            Reading::Missing => Err(OperatorError::UnknownCustomer(customer).into()),
            Reading::Forbidden | Reading::Unauthorized => Err(may_not_retrieve(&customer)),
            Reading::Retry(_) => Err(retry_soon("Stripe is unavailable", false)),
        }
    }

    /// Waits a little and reads again, or says that the deadline comes first.
    async fn wait(&mut self, retry_after: Option<Duration>) -> Result<(), Error> {
        if !self.engine.pause(self.tries, retry_after, self.deadline).await {
            return Err(self.not_yet(retry_after));
        }
        self.tries += 1;
        self.read_again(&[]).await
    }

    async fn read_again(&mut self, customers: &[CustomerId]) -> Result<(), Error> {
        self.snapshot = self.engine.snapshot(&self.snapshot.view.tenant, customers).await?;
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        self.snapshot.view = self.snapshot.view.clone().changed(change);
    }

    fn version(&self) -> Option<u64> {
        self.snapshot.view.row.as_ref().map(|row| row.version)
    }

    fn not_yet(&self, retry_after: Option<Duration>) -> Error {
        let row = self.snapshot.view.row.as_ref();
        let why = row.and_then(|row| row.last_error.as_deref());
        let why = why.unwrap_or("another process is working on this tenant").to_owned();
        let after = retry_after.unwrap_or_default().max(Duration::from_secs(1));
        Error::Retry { after, why, may_have_created: row.is_some() }
    }

    fn has(&self, customer: CustomerId) -> TenantCustomer {
        let tenant = self.snapshot.view.tenant.clone();
        TenantCustomer { tenant, customer, outcome: self.outcome }
    }
}

fn may_not_retrieve(customer: &CustomerId) -> Error {
    OperatorError::NotPermitted(format!("Customer {customer}")).into()
}

fn contended() -> Error {
    retry_soon("other processes keep changing this tenant", true)
}
