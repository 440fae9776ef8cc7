//! The calls that a host makes.
//!
//! A call for a bound tenant costs one read. A call for another one begins work for that tenant, or
//! joins the work that is in flight: a task of its own that goes round the loop in `driver.rs`. A
//! caller who hangs up leaves the work alone, and a deadline bounds only the waiting.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, FutureExt, TryFutureExt, select};
use jiff::SignedDuration;

use crate::{
    audit::{History, Reason},
    deadline::Deadline,
    driver::{self, Creation},
    engine::{Engine, Policy},
    error::{Error, Problem, retry_soon},
    ids::{CustomerId, Email, IdempotencyKey, TenantId},
    ports::{Binding, Store, StoreError, Stripe},
    provisioning::Asker,
    request::CustomerDetails,
    singleflight::SingleFlight,
    tenant_customer::TenantCustomer,
    timing::{DEFAULT_DEADLINE, MAX_TAKEOVER_DELAY, TAKEOVER_DELAY},
    unbind::unbind,
};

/// What a caller is told that did not end in time.
const READ: &str = "reading the database";

/// Whether a tenant has its Customer, or until when to see to it.
enum Bound {
    Yes(CustomerId),
    No(Deadline),
}

/// Exactly one Stripe Customer per tenant. Cheap to clone; needs a tokio runtime around its calls.
#[derive(Clone)]
pub struct Billing {
    pub(crate) engine: Arc<Engine>,
    pub(crate) in_flight: Arc<SingleFlight>,
}

impl Billing {
    /// Billing over this database and this Stripe, with the default [`Policy`].
    pub fn new(store: impl Store, stripe: impl Stripe) -> Self {
        Self::with_policy(store, stripe, Policy::default())
    }

    /// Billing over this database and this Stripe.
    pub fn with_policy(store: impl Store, stripe: impl Stripe, policy: Policy) -> Self {
        Self::shared(Arc::new(store), Arc::new(stripe), policy)
    }

    /// Billing over a database and a Stripe that the host uses elsewhere too.
    pub fn shared(store: Arc<dyn Store>, stripe: Arc<dyn Stripe>, policy: Policy) -> Self {
        let engine = Arc::new(Engine::new(store, stripe, policy));
        Self { engine, in_flight: Arc::default() }
    }

    /// The tenant's one Stripe Customer, created with this e-mail address if there is none.
    ///
    /// Call it after the transaction that registers the tenant has committed.
    ///
    /// # Errors
    /// Every variant of [`Problem`], which say what the caller must do.
    pub async fn get_or_create_stripe_customer(
        &self,
        tenant_id: &str,
        user_email: &str,
    ) -> Result<CustomerId, Error> {
        let tenant = TenantId::parse(tenant_id)?;
        let details = CustomerDetails::new(Email::parse(user_email)?);
        let provisioned = self.get_or_create(&tenant, &details, DEFAULT_DEADLINE).await?;
        Ok(provisioned.customer)
    }

    /// The same with more on the Customer and a deadline of its own, saying how it came to be
    /// there.
    ///
    /// # Errors
    /// As [`Billing::get_or_create_stripe_customer`]; after `deadline` it is [`Problem::Retry`], and
    /// what was begun goes on.
    pub async fn get_or_create(
        &self,
        tenant: &TenantId,
        details: &CustomerDetails,
        deadline: Duration,
    ) -> Result<TenantCustomer, Error> {
        let engine = &self.engine;
        let until = match self.bound(tenant, deadline).await? {
            Bound::Yes(customer) => return Ok(TenantCustomer::existing(tenant.clone(), customer)),
            Bound::No(until) => until,
        };
        loop {
            let snapshot = engine.before(until, READ, engine.snapshot(tenant, &[])).await?;
            let nothing_begun = snapshot.view.nothing_begun();
            engine
                .guard(snapshot.view.account.as_ref())
                .map_err(|error| Error::new(error.into(), nothing_begun))?;
            if let Some(customer) = snapshot.view.bound {
                return Ok(TenantCustomer::existing(snapshot.view.tenant, customer));
            }
            if !snapshot.view.exists {
                return Err(snapshot.view.unknown_tenant());
            }
            let (tenant, asked) = (snapshot.view.tenant.clone(), details.clone());
            let waits = SignedDuration::try_from(deadline.min(MAX_TAKEOVER_DELAY));
            let waits = waits.unwrap_or_default();
            let shared = Arc::clone(engine);
            let ticket = self.in_flight.join(&tenant, details, until, || async move {
                let asker = Asker::Caller(&asked, waits);
                let (tenant, driven) =
                    (snapshot.view.tenant.clone(), driver::drive(&shared, snapshot, asker, until));
                let mut result = driven.await.and_then(|bound| {
                    bound.ok_or_else(|| retry_soon("internal error: no result").into())
                });
                if let Err(error) = &result
                    && !error.may_have_created()
                    && !matches!(error.problem(), Problem::Rejected(_))
                {
                    // Another process may have begun something since, and a caller who has joined this
                    // work may have read that.
                    let read = shared.before(until, READ, shared.snapshot(&tenant, &[])).await;
                    let nothing_begun = read.ok().and_then(|it| it.view.nothing_begun());
                    result = result.map_err(|error| error.given_now(nothing_begun));
                }
                // The callers may be gone by now, so this is where a failure is logged.
                result.inspect_err(|error| error.log(&tenant))
            });
            let ticket = ticket.map_err(|problem| Error::new(problem, nothing_begun))?;
            let result = pin!(ticket.clone().result());
            let Either::Left((result, _)) = select(result, pin!(engine.until(until))).await else {
                let why =
                    "the deadline has passed; what was begun goes on in the background".into();
                let after = TAKEOVER_DELAY.unsigned_abs();
                return Err(Problem::Retry { after, why }.into());
            };
            if ticket.answers(details, until, &result) {
                return result.map(|provided| provided.told_to(details));
            }
            if !engine.pause(0, None, until).await {
                return Err(retry_soon("another call for this tenant has failed").into());
            }
        }
    }

    /// The tenant's Customer, if it is bound. Never creates one, never calls Stripe.
    ///
    /// # Errors
    /// [`Problem::UnknownTenant`], or what the database says.
    pub async fn lookup(&self, tenant: &TenantId) -> Result<Option<CustomerId>, Error> {
        let engine = &self.engine;
        let until = match self.bound(tenant, DEFAULT_DEADLINE).await? {
            Bound::Yes(customer) => return Ok(Some(customer)),
            Bound::No(until) => until,
        };
        let view = engine.before(until, READ, engine.store.view(tenant, &[])).await?;
        engine.guard(view.account.as_ref())?;
        match view.bound {
            None if !view.exists => Err(view.unknown_tenant()),
            bound => Ok(bound),
        }
    }

    /// The one read of a call for a bound tenant.
    async fn bound(&self, tenant: &TenantId, within: Duration) -> Result<Bound, Problem> {
        let engine = &self.engine;
        let mut read = engine.store.binding(tenant);
        // Reading the clock is a system call, so a read that is done at once, as on SQLite, has no
        // deadline.
        let at_once = read.as_mut().now_or_never();
        if let Some(Ok(Some(binding))) = at_once {
            engine.guard(binding.account.as_ref())?;
            return Ok(Bound::Yes(binding.customer));
        }
        let until = engine.deadline(within);
        let binding = match at_once {
            Some(binding) => binding?,
            None => engine.before(until, READ, read).await?,
        };
        let Some(Binding { customer, account }) = binding else { return Ok(Bound::No(until)) };
        engine.guard(account.as_ref())?;
        Ok(Bound::Yes(customer))
    }

    /// All that is on record of a tenant, also of one that is gone.
    ///
    /// # Errors
    /// [`Problem::UnknownTenant`] if nothing is, or what the database says.
    pub async fn history(&self, tenant: &TenantId) -> Result<History, Error> {
        let (engine, until) = (&self.engine, self.engine.deadline(DEFAULT_DEADLINE));
        engine.before(until, READ, engine.store.history(tenant)).await?.known()
    }

    /// For Stripe's webhook `customer.created`, once its signature is verified: binds the Customer
    /// if `idempotency_key` (the event's `request.idempotency_key`) is one of ours. Any order, any
    /// number of times; answer the webhook with a 2xx only on `Ok`.
    ///
    /// # Errors
    /// [`Problem::Retry`] or [`Problem::Operator`]; Stripe will deliver again.
    pub async fn customer_created(
        &self,
        idempotency_key: &str,
        customer: &CustomerId,
    ) -> Result<(), Error> {
        let Some(parts) = IdempotencyKey::parse(idempotency_key).ok().and_then(|it| it.parts())
        else {
            return Ok(());
        };
        let (engine, customer) = (Arc::clone(&self.engine), customer.clone());
        let deadline = engine.deadline(DEFAULT_DEADLINE);
        let work = self.in_flight.detach(async move {
            let context = engine.context(deadline).await?;
            if parts.mode != context.identity.account.mode {
                return Ok(());
            }
            let snapshot = match engine.snapshot(&parts.tenant, &[]).await {
                Ok(snapshot) => snapshot,
                // Not even the form of its tenants' ids is ours.
                Err(StoreError::Invalid(_))
                    if parts.installation != context.identity.installation =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            // It is the database that says whose key it is. Our tables may have been made anew.
            if parts.installation != snapshot.view.installation {
                return Ok(());
            }
            let (generation, request, request_id) = (parts.generation, None, None);
            let creation = Creation { customer, generation, request, request_id };
            driver::confirm(&engine, snapshot, creation, deadline).await
        });
        Ok(self.engine.before(deadline, "taking the Customer in", work).await?)
    }

    /// For Stripe's webhook `customer.deleted`, once its signature is verified: the Customer is on
    /// record as deleted from now on, and its tenant is given another when it next asks. Any order,
    /// any number of times; answer the webhook with a 2xx only on `Ok`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn customer_deleted(&self, customer: &CustomerId) -> Result<(), Error> {
        let (engine, until) = (&self.engine, self.engine.deadline(DEFAULT_DEADLINE));
        let recorded = engine.store.record_deletion(customer);
        Ok(engine.before(until, "recording the deletion", recorded).await?)
    }

    /// As [`unbind`](crate::unbind) on this database.
    ///
    /// # Errors
    /// [`Problem::Retry`] while a creation is under way; or what the database says.
    pub async fn unbind(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
        reason: &Reason,
    ) -> Result<bool, Error> {
        let (engine, until) = (&self.engine, self.engine.deadline(DEFAULT_DEADLINE));
        let unbound = unbind(&*engine.store, tenant, customer, reason);
        let unbound = unbound.map_err(Error::into_problem);
        Ok(engine.before(until, "unbinding the Customer", unbound).await?)
    }

    /// Takes no further calls and waits for the work in flight; `false` if that takes longer than
    /// `within`. Recovery finishes whatever is left.
    pub async fn shutdown(&self, within: Duration) -> bool {
        self.in_flight.close();
        let (done, late) = (self.in_flight.all_done(), self.engine.clock.sleep(within));
        matches!(select(pin!(done), late).await, Either::Left(_))
    }
}
