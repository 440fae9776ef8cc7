//! The only loop that acts.
//!
//! [`drive`] reads the database, asks [`next`] what to do, does it, writes what
//! [`after`](crate::decide::after) decides, and goes round again until there is nothing left to do.
//! Callers and the recovery worker go through it whole. Webhooks bring an observation of their
//! own, which is written in the same way.

mod observe;

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    answer::{self, Failure, Reading, Refusal, Verdict},
    deadline::Deadline,
    decide::next,
    engine::{Engine, Snapshot},
    error::{Error, NothingBegun, OperatorError, Problem, retry_soon},
    ids::CustomerId,
    inquiry::inquire,
    ports::{Committed, StoreError},
    provisioning::{Asker, Context, Inquiry, Observation, Step},
    request::{CustomerDetails, FrozenRequest},
    state::{Change, CustomerFacts, State, View},
    tenant_customer::{Outcome, Provided, TenantCustomer},
    timing::{CLAIM_FOR, MAX_SNAPSHOT_AGE, SEND_WINDOW},
};

/// A conflict means that another process made progress. So many in a row mean that something is
/// wrong.
const MAX_CONFLICTS: u32 = 100;
/// A conflict after which the tenant looks as it did before shows no progress of anybody's. So many
/// in a row mean that the database does not keep what is written.
const MAX_CONFLICTS_OVER_NOTHING: u32 = 10;

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
) -> Result<Option<Provided>, Error> {
    let nothing_begun = snapshot.view.nothing_begun();
    let mut tenant = Drive::new(engine, snapshot, asker, deadline)
        .await
        .map_err(|problem| Error::new(problem, nothing_begun))?;
    tenant.run().await.map_err(|problem| Error::new(problem, tenant.nothing_begun))
}

/// Takes in a Customer that a webhook says one of our keys has created, once a retrieve confirms
/// it.
pub(crate) async fn confirm(
    engine: &Engine,
    snapshot: Snapshot,
    creation: Creation,
    deadline: Deadline,
) -> Result<(), Problem> {
    let mut tenant = Drive::new(engine, snapshot, Asker::Worker, deadline).await?;
    match tenant.confirm(creation).await? {
        true => Ok(()),
        false => Err(retry_soon("the Customer could not be retrieved")),
    }
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
    /// The details that it was created with, as far as this loop bound it.
    created_with: Option<CustomerDetails>,
    /// The request with which this loop last saw the tenant without a Customer, and its generation.
    /// Another process may be faster, and bind what that request creates.
    awaited: Option<(u64, FrozenRequest)>,
    tries: u32,
    conflicts: Conflicts,
    /// Proof, as long as there is one, that nothing was begun which may have created a Customer.
    nothing_begun: Option<NothingBegun>,
    /// Our tables were lost meanwhile, so that what they now say of the past is no proof.
    lost: bool,
}

impl<'a> Drive<'a> {
    async fn new(
        engine: &'a Engine,
        snapshot: Snapshot,
        asker: Asker<'a>,
        deadline: Deadline,
    ) -> Result<Self, Problem> {
        let context = engine.context(deadline).await?;
        let mut tenant = Self {
            engine,
            context,
            asker,
            deadline,
            nothing_begun: snapshot.view.nothing_begun(),
            snapshot,
            outcome: Outcome::Existing,
            created_with: None,
            awaited: None,
            tries: 0,
            conflicts: Conflicts::default(),
            lost: false,
        };
        tenant.look();
        // The view may be from before we knew the account.
        tenant.recognize_database(false).await?;
        Ok(tenant)
    }

    async fn next(&mut self) -> Result<Step, Problem> {
        self.recognize_database(false).await?;
        Ok(next(&self.snapshot.view, self.asker, &self.context))
    }

    async fn run(&mut self) -> Result<Option<Provided>, Problem> {
        loop {
            match self.next().await? {
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
                Step::Fail(problem) => return Err(problem),
            }
        }
    }

    async fn commit(&mut self, change: Change) -> Result<(), Problem> {
        // If this fails, it may be written all the same, and another process acts on it.
        self.nothing_begun = None;
        match self.engine.store.commit(&change).await? {
            Committed::Yes => {
                self.apply(change);
                Ok(())
            }
            Committed::Conflict => {
                let decided_from = self.snapshot.view.clone();
                self.read_again(&[]).await?;
                self.recognize_database(true).await?;
                self.conflicts.add(&decided_from)
            }
        }
    }

    async fn send(&mut self, mut request: FrozenRequest) -> Result<(), Problem> {
        let slot = self.engine.sends.acquire().await;
        if self.engine.clock.uptime() > self.snapshot.read_at + MAX_SNAPSHOT_AGE {
            // The wait for a slot made the reading old. Asking again here keeps the slot.
            self.read_again(&[]).await?;
            match self.next().await? {
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
                    | Failure::Operator(_) => None,
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

    async fn inquire(&mut self, inquiry: Inquiry) -> Result<(), Problem> {
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

    async fn retrieve(&mut self, customer: CustomerId) -> Result<(), Problem> {
        let (reading, summary) = self.engine.retrieve(&customer, self.deadline).await;
        match reading {
            Reading::Found(it) if it.deleted => {
                self.engine.store.record_deletion(&customer).await?;
                self.read_again(&[]).await
            }
            Reading::Found(it) => {
                let observation = Observation::StillExists(customer);
                self.observe(&observation, it.request_id.as_deref()).await
            }
            Reading::Missing => Err(OperatorError::UnknownCustomer(customer).into()),
            Reading::Forbidden => Err(not_retrieved(Refusal::NotPermitted, &customer, &summary)),
            Reading::Unauthorized => Err(not_retrieved(Refusal::BadKey, &customer, &summary)),
            Reading::Untrusted => Err(not_retrieved(Refusal::Untrusted, &customer, &summary)),
            Reading::Retry(_) => Err(unavailable(&summary)),
        }
    }

    /// Waits a little and reads again, or says that the deadline comes first.
    async fn wait(&mut self, retry_after: Option<Duration>) -> Result<(), Problem> {
        if !self.engine.pause(self.tries, retry_after, self.deadline).await {
            return Err(self.not_yet(retry_after));
        }
        self.tries += 1;
        self.read_again(&[]).await
    }

    async fn read_again(&mut self, customers: &[CustomerId]) -> Result<(), Problem> {
        let tenant = &self.snapshot.view.tenant;
        let snapshot = self.engine.snapshot(tenant, customers).await?;
        self.saw(snapshot);
        Ok(())
    }

    fn saw(&mut self, snapshot: Snapshot) {
        self.lost |= snapshot.view.installation != self.snapshot.view.installation;
        self.snapshot = snapshot;
        self.look();
    }

    fn look(&mut self) {
        let View { bound, row, .. } = &self.snapshot.view;
        self.nothing_begun = self.snapshot.view.nothing_begun().filter(|_| !self.lost);
        if let (None, Some(row)) = (bound, row)
            && let State::Pending(request) | State::InDoubt { request, sent: true, .. } = &row.state
        {
            self.awaited = Some((row.generation, request.clone()));
        }
    }

    /// Finds out anew who we are if our tables were lost and made again, or if the account, which was
    /// on record when this view was read, is not any more.
    async fn recognize_database(&mut self, account_was_known: bool) -> Result<(), Problem> {
        let view = &self.snapshot.view;
        let forgotten = account_was_known && view.account.is_none();
        if forgotten || view.installation != self.context.identity.installation {
            tracing::warn!(tenant = %view.tenant, "the database is another installation now");
            self.context = self.engine.renewed(&self.context, self.deadline).await?;
        }
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        self.snapshot.view = self.snapshot.view.clone().changed(change);
        self.look();
    }

    fn version(&self) -> Option<u64> {
        self.snapshot.view.row.as_ref().map(|row| row.version)
    }

    /// To be tried again, when Stripe permits it and recovery comes back to the row.
    fn not_yet(&self, retry_after: Option<Duration>) -> Problem {
        let row = self.snapshot.view.row.as_ref();
        let why = row.and_then(|row| row.last_error.as_deref());
        let why = why.unwrap_or("another process is working on this tenant").to_owned();
        let recovered = row.map_or(self.snapshot.view.now, |row| row.next_attempt_at);
        let recovered = recovered.duration_since(self.snapshot.view.now);
        let since = self.engine.clock.uptime().saturating_sub(self.snapshot.read_at);
        let recovered = Duration::try_from(recovered).unwrap_or_default().saturating_sub(since);
        let after = retry_after.unwrap_or_default().max(recovered).max(Duration::from_secs(1));
        Problem::Retry { after, why }
    }

    fn has(&self, customer: CustomerId) -> Provided {
        let (tenant, outcome) = (self.snapshot.view.tenant.clone(), self.outcome);
        let created_with = match outcome {
            Outcome::Existing => self.awaited_details(&customer),
            Outcome::Created | Outcome::Adopted => self.created_with.clone(),
        };
        let customer = TenantCustomer { tenant, customer, outcome, details: None };
        Provided { customer, created_with }
    }

    /// The details of the request that this loop saw, if the row is now provisioned with what that
    /// has led to.
    fn awaited_details(&self, customer: &CustomerId) -> Option<CustomerDetails> {
        let (generation, request) = self.awaited.as_ref()?;
        let row = self.snapshot.view.row.as_ref()?;
        let led_to_it = row.generation == *generation
            && matches!(&row.state, State::Provisioned(it) if it == customer);
        request.details().ok().filter(|_| led_to_it)
    }
}

pub(crate) fn not_retrieved(refusal: Refusal, customer: &CustomerId, summary: &str) -> Problem {
    OperatorError::refused(refusal, &format!("read Customer {customer}"), summary).into()
}

pub(crate) fn unavailable(summary: &str) -> Problem {
    retry_soon(&format!("Stripe is unavailable: {summary}"))
}

/// The conflicts of one piece of work.
#[derive(Default)]
struct Conflicts {
    count: u32,
    /// How many in a row came over a tenant that looked the same each time.
    over_nothing: u32,
    /// What the tenant looked like at the last one.
    last: Option<View>,
}

impl Conflicts {
    /// Counts a conflict of a change that was decided from this view.
    ///
    /// # Errors
    /// If there were too many.
    fn add(&mut self, view: &View) -> Result<(), Problem> {
        let seen = View { now: Timestamp::UNIX_EPOCH, ..view.clone() };
        self.count += 1;
        self.over_nothing =
            if self.last.as_ref() == Some(&seen) { self.over_nothing + 1 } else { 0 };
        self.last = Some(seen);
        if self.over_nothing >= MAX_CONFLICTS_OVER_NOTHING {
            let why = format!(
                "nobody else changes tenant {}, and yet nothing that is written for it is kept; look \
                 for a trigger or a rule on the table with the Customer's id, or on ours",
                view.tenant
            );
            return Err(StoreError::Refused(why).into());
        }
        if self.count > MAX_CONFLICTS {
            return Err(retry_soon("other processes keep changing this tenant"));
        }
        Ok(())
    }
}
