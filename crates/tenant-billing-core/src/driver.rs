//! The only loop that acts.
//!
//! Read the database, ask [`next`] what to do, do it, write what [`after`] makes of the answer, and
//! round again until there is nothing left to do. Callers, recovery and webhooks all come through
//! here; a crash anywhere is finished by the next one who does.

use std::{sync::Arc, time::Duration};

use crate::{
    answer::{self, Failure, Reading, Verdict},
    billing::{Inner, Outcome, Provisioned},
    error::{Error, OperatorError, later},
    ids::CustomerId,
    ports::{Committed, StoreError},
    provisioning::{Asker, Event, Findings, How, Look, Site, Step, Stop, after, next},
    request::FrozenRequest,
    state::{Change, Column, State, View},
};

/// A body must begin to leave within this long of the reading that permits it.
const SEND_WINDOW: Duration = Duration::from_secs(30);
/// A reading older than this is taken again before a send, so that the window is never tight.
const FRESH: Duration = Duration::from_secs(5);
/// How long a claimed row is left to its claimant.
pub(crate) const CLAIM: Duration = Duration::from_secs(20);
/// A conflict means that somebody else got on. So many in a row mean that something is wrong.
const CONFLICTS: u32 = 100;

/// One tenant's way round the loop.
pub(crate) struct Driver<'a> {
    inner: &'a Arc<Inner>,
    site: Site,
    asker: Asker<'a>,
    waiting: Waiting,
    seen: Seen,
    /// How the Customer came to be there, as far as this way had a hand in it.
    outcome: Outcome,
    tries: u32,
    conflicts: u32,
    /// Whether something was begun that goes on without this way.
    begun: bool,
}

/// Until when, by [`Clock::uptime`](crate::ports::Clock::uptime), it is worth trying.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) until: Duration,
}

/// A view, and the uptime just before it was read.
pub(crate) struct Seen {
    pub(crate) view: View,
    pub(crate) at: Duration,
}

/// What made a Customer that is at hand.
pub(crate) struct Made {
    pub(crate) generation: u64,
    pub(crate) request: Option<FrozenRequest>,
    pub(crate) request_id: Option<String>,
}

impl<'a> Driver<'a> {
    pub(crate) async fn new(
        inner: &'a Arc<Inner>,
        seen: Seen,
        asker: Asker<'a>,
        waiting: Waiting,
    ) -> Result<Self, Error> {
        let site = inner.site(waiting).await?;
        let outcome = Outcome::Existing;
        let begun = seen
            .view
            .row
            .as_ref()
            .is_some_and(|row| matches!(row.state, State::Pending(_) | State::Suspect { .. }));
        Ok(Self { inner, site, asker, waiting, seen, outcome, tries: 0, conflicts: 0, begun })
    }

    /// Until there is a Customer, or nothing to do; `None` if the worker bound none.
    pub(crate) async fn run(mut self) -> Result<Option<Provisioned>, Error> {
        let landed = self.rounds().await;
        landed.map_err(|error| match error {
            // Once a row was written, or may have been, what it began goes on by itself.
            Error::Later { after, why, unsettled } => {
                Error::Later { after, why, unsettled: unsettled || self.begun }
            }
            error => error,
        })
    }

    async fn rounds(&mut self) -> Result<Option<Provisioned>, Error> {
        loop {
            match next(&self.seen.view, self.asker, &self.site) {
                Step::Done(customer) => return Ok(Some(self.provisioned(customer))),
                Step::Stop(Stop::Busy(_)) => self.wait(None).await?,
                Step::Stop(stop) => return self.stopped(stop),
                Step::Commit(change) => self.commit(*change).await?,
                Step::Send(request) => self.send(request).await?,
                Step::Look(look) => self.look(look).await?,
                Step::Retrieve(customer) => self.retrieve(customer).await?,
            }
        }
    }

    async fn commit(&mut self, change: Change) -> Result<(), Error> {
        self.begun = true;
        match self.inner.store.commit(&change).await? {
            Committed::Yes => self.replace(|view| view.changed(change)),
            Committed::Conflict => {
                self.conflicts += 1;
                if self.conflicts > CONFLICTS {
                    return Err(later("the tenant is contended", true));
                }
                self.reread(None).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, mut request: FrozenRequest) -> Result<(), Error> {
        self.begun = true;
        let slot = self.inner.sends.acquire().await;
        if self.inner.clock.uptime() > self.seen.at + FRESH {
            self.reread(None).await?;
            match next(&self.seen.view, self.asker, &self.site) {
                Step::Send(still) => request = still,
                _ => return Ok(()),
            }
        }
        let generation = self.seen.view.row.as_ref().map_or(0, |row| row.generation);
        let begin_by = self.seen.at + SEND_WINDOW;
        let answer = self.inner.stripe.create_customer(&request, begin_by).await;
        drop(slot);
        let request_id = answer::request_id(&answer).map(str::to_owned);
        match answer::judge(&answer, &request) {
            Verdict::Created { customer, replayed } => {
                let made = Made { generation, request: Some(request), request_id };
                let version = self.version();
                if !replayed {
                    self.live(made, &customer).await?;
                } else if !self.confirm(made, &customer).await? {
                    return self.wait(None).await;
                }
                if self.version() == version && self.seen.view.bound.is_none() {
                    // Whatever left the row as it was, asking again at once does not help.
                    return self.wait(None).await;
                }
                Ok(())
            }
            Verdict::Failed(failure) => {
                let patience = match &failure {
                    Failure::Again(after) => Some(*after),
                    Failure::InFlight => Some(None),
                    Failure::Refused(_)
                    | Failure::Spent
                    | Failure::Mismatched
                    | Failure::Operator => None,
                };
                let words = answer::describe(&answer);
                // What is written counts from now, not from when the request was sent.
                self.reread(None).await?;
                tracing::info!(tenant = %self.seen.view.tenant, %words, "no Customer yet");
                let event = Event::Answered { generation, failure, words };
                self.write(&event, request_id.as_deref()).await?;
                match patience {
                    Some(patience) => self.wait(patience).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// Old news of a Customer is believed once a retrieve confirms it; `false` if none could.
    pub(crate) async fn confirm(
        &mut self,
        made: Made,
        customer: &CustomerId,
    ) -> Result<bool, Error> {
        match self.inner.retrieve(customer, self.waiting).await {
            Reading::Found(it) if it.deleted => {
                self.inner.store.record_deletion(customer).await?;
                self.reread(Some(customer)).await?;
                let event = Event::Dead { generation: made.generation, customer: customer.clone() };
                self.write(&event, made.request_id.as_deref()).await?;
                Ok(true)
            }
            Reading::Found(it) => {
                let request = made.request.or_else(|| {
                    let (origin, tenant) = (&self.site.origin, &self.seen.view.tenant);
                    let details = it.details()?;
                    Some(FrozenRequest::freeze(origin, tenant, made.generation, &details))
                });
                self.reread(Some(customer)).await?;
                self.live(Made { request, ..made }, customer).await?;
                Ok(true)
            }
            Reading::Forbidden | Reading::Unauthorized => Err(may_not_retrieve(customer)),
            Reading::Missing | Reading::Again(_) => Ok(false),
        }
    }

    /// Binds a live Customer, or puts it on record as surplus. It is never dropped: while the
    /// database is away, this waits for it.
    async fn live(&mut self, made: Made, customer: &CustomerId) -> Result<(), Error> {
        let Made { generation, request, request_id } = made;
        let (customer, how) = (customer.clone(), How::Created);
        let event = Event::Live { generation, customer, request, how };
        self.write(&event, request_id.as_deref()).await?;
        // A row that was lost, or had given up this generation, is suspect now: bind at once.
        let row = self.seen.view.row.as_ref();
        if row.is_some_and(|row| {
            row.generation == generation && matches!(row.state, State::Suspect { .. })
        }) {
            self.write(&event, request_id.as_deref()).await?;
        }
        Ok(())
    }

    async fn look(&mut self, look: Look) -> Result<(), Error> {
        let (inner, tenant) = (self.inner, self.seen.view.tenant.clone());
        if let Asker::Caller(..) = self.asker
            && inner.store.claim(Some(&tenant), CLAIM, 1).await?.is_empty()
        {
            return self.wait(None).await;
        }
        let generation = self.seen.view.row.as_ref().map_or(0, |row| row.generation);
        let findings = inner.look(&self.site, &tenant, &look, self.waiting).await?;
        let (candidate, request_id) = match &findings {
            Findings::Ours(found) => {
                found.first().map(|it| (it.id.clone(), it.request_id.clone())).unzip()
            }
            _ => (None, None),
        };
        self.reread(candidate.as_ref()).await?;
        let event = Event::Looked { generation, look, findings };
        self.write(&event, request_id.flatten().as_deref()).await?;
        if matches!(self.asker, Asker::Worker)
            && matches!(
                self.seen.view.row.as_ref().map(|row| &row.state),
                Some(State::Suspect { .. })
            )
        {
            // The worker has had its look, and the row says when the next one is due.
            return Err(self.not_yet(None));
        }
        Ok(())
    }

    async fn retrieve(&mut self, customer: CustomerId) -> Result<(), Error> {
        let found = self.inner.retrieve(&customer, self.waiting).await;
        match found {
            Reading::Found(it) if it.deleted => {
                self.inner.store.record_deletion(&customer).await?;
                self.reread(None).await
            }
            Reading::Found(it) => {
                self.reread(Some(&customer)).await?;
                self.write(&Event::StillLive(customer), it.request_id.as_deref()).await
            }
            Reading::Missing => Err(OperatorError::UnknownCustomer(customer).into()),
            Reading::Again(_) => Err(later("Stripe cannot be asked for its Customer now", false)),
            Reading::Forbidden | Reading::Unauthorized => Err(may_not_retrieve(&customer)),
        }
    }

    /// Writes what `event` makes of the tenant, deciding anew as often as somebody else was faster.
    ///
    /// # Errors
    /// The problem that the event leaves behind, once it is written; or what the database says.
    pub(crate) async fn write(
        &mut self,
        event: &Event,
        request_id: Option<&str>,
    ) -> Result<(), Error> {
        let (customer, precious) = match event {
            Event::Live { customer, .. } => (Some(customer), true),
            Event::Looked { findings: Findings::Ours(found), .. } => {
                (found.first().map(|customer| &customer.id), false)
            }
            Event::StillLive(customer) => (Some(customer), false),
            _ => (None, false),
        };
        let (mut conflicts, mut tries) = (0, 0);
        while conflicts < CONFLICTS {
            match self.try_write(event, request_id, customer).await {
                Ok(Some(written)) => return written,
                Ok(None) => conflicts += 1,
                Err(StoreError::Unavailable(why)) if precious => {
                    tracing::warn!(tenant = %self.seen.view.tenant, %why, "a Customer waits to be bound");
                    self.inner.clock.sleep(self.inner.backoff(tries)).await;
                    tries += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(later("the tenant is contended", true))
    }

    /// One attempt; `None` if a condition did not hold, and the tenant was read again.
    async fn try_write(
        &mut self,
        event: &Event,
        request_id: Option<&str>,
        customer: Option<&CustomerId>,
    ) -> Result<Option<Result<(), Error>>, StoreError> {
        let outcome = after(&self.seen.view, event, &self.site);
        let mut change = outcome.change;
        if !change.is_nothing() {
            for event in &mut change.events {
                event.request_id = request_id.map(str::to_owned);
            }
            if self.inner.store.commit(&change).await? == Committed::Conflict {
                self.seen = self.inner.see(&self.seen.view.tenant, customer).await?;
                return Ok(None);
            }
            if let Column::Bind(customer) = &change.column {
                self.outcome = match event {
                    Event::Live { .. } => Outcome::Created,
                    Event::Looked { .. } => Outcome::Adopted,
                    _ => Outcome::Existing,
                };
                let tenant = &change.tenant;
                tracing::info!(%tenant, %customer, outcome = self.outcome.as_str(), "bound");
            }
        }
        // Also where nothing is written: what was known of this Customer says nothing of the next.
        self.replace(|view| view.changed(change));
        let ours = &self.site.origin.account;
        Ok(Some(outcome.problem.map_or(Ok(()), |problem| Err(Error::of_problem(problem, ours)))))
    }

    /// Waits a little and reads again, or says that the asker's patience is over.
    async fn wait(&mut self, patience: Option<Duration>) -> Result<(), Error> {
        if !self.inner.pause(self.tries, patience, self.waiting).await {
            return Err(self.not_yet(patience));
        }
        self.tries += 1;
        self.reread(None).await
    }

    async fn reread(&mut self, candidate: Option<&CustomerId>) -> Result<(), Error> {
        self.seen = self.inner.see(&self.seen.view.tenant, candidate).await?;
        Ok(())
    }

    fn replace(&mut self, with: impl FnOnce(View) -> View) {
        self.seen.view = with(self.seen.view.clone());
    }

    fn version(&self) -> Option<u64> {
        self.seen.view.row.as_ref().map(|row| row.version)
    }

    fn not_yet(&self, patience: Option<Duration>) -> Error {
        let row = self.seen.view.row.as_ref();
        let why = row.and_then(|row| row.last_error.as_deref()).unwrap_or("somebody else is at it");
        let after = patience.unwrap_or_default().max(Duration::from_secs(1));
        Error::Later { after, why: why.to_owned(), unsettled: row.is_some() }
    }

    /// What this way comes to where there is nothing left to do.
    fn stopped(&self, stop: Stop) -> Result<Option<Provisioned>, Error> {
        let view = &self.seen.view;
        Err(match stop {
            Stop::Idle => {
                let ours = view.bound.clone().filter(|_| self.outcome != Outcome::Existing);
                return Ok(ours.map(|customer| self.provisioned(customer)));
            }
            Stop::UnknownTenant if self.begun => later("the tenant is gone since", true),
            Stop::UnknownTenant => Error::UnknownTenant(view.tenant.clone()),
            Stop::Refused(refusal) => Error::Refused(refusal),
            Stop::WrongAccount(recorded) => {
                let ours = self.site.origin.account.clone();
                OperatorError::WrongAccount { recorded, ours }.into()
            }
            Stop::Later(at) | Stop::Busy(at) => {
                let after = at.duration_since(view.now).unsigned_abs();
                self.not_yet(Some(after))
            }
        })
    }

    fn provisioned(&self, customer: CustomerId) -> Provisioned {
        let tenant = self.seen.view.tenant.clone();
        Provisioned { tenant, customer, outcome: self.outcome }
    }
}

fn may_not_retrieve(customer: &CustomerId) -> Error {
    OperatorError::Stripe(format!("the key may not retrieve {customer}")).into()
}
