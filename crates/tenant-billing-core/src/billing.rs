//! The calls that people make.
//!
//! A caller of a bound tenant costs one read. A caller of an unbound one starts a *flight*, or joins
//! the one under way: a task of its own that goes round the loop in `driver.rs`. A caller who hangs
//! up leaves the flight alone, and a deadline bounds only the waiting.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use jiff::SignedDuration;
use tokio::sync::{OnceCell, Semaphore};

use crate::{
    audit::History,
    driver::{Driver, Made},
    error::{Error, later},
    flights::Flights,
    ids::{CustomerId, Email, IdempotencyKey, TenantId},
    ports::{Clock, Store, Stripe},
    provisioning::{Asker, Event, Site},
    request::CustomerDetails,
};

/// How long a call waits unless it says otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// A caller that waits so much longer than the flight it joined begins another when that one fails.
const MORE_PATIENT: Duration = Duration::from_secs(1);

/// Recovery takes over what a caller began after this long, however patient the caller is.
const LONGEST: Duration = Duration::from_secs(3600);

/// Settings of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Look at Stripe before every first creation: for accounts with a past.
    pub look_first: bool,
    /// When a backup was last restored: implies `look_first`, and nothing counts as "there is none" until
    /// 5 h later. Another restore has another, later time.
    pub restored_at: Option<jiff::Timestamp>,
    /// How many creations are sent to Stripe at once.
    pub concurrent_sends: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self { look_first: false, restored_at: None, concurrent_sends: 20 }
    }
}

/// A tenant's Customer, and how it came to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioned {
    /// The tenant: as asked for where it was bound already, else in the database's spelling.
    pub tenant: TenantId,
    /// Its Customer.
    pub customer: CustomerId,
    /// Whether this call, or the one it joined, made it.
    pub outcome: Outcome,
}

/// How a Customer came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was bound before.
    Existing,
    /// It was created.
    Created,
    /// It was found in Stripe, where it named this tenant.
    Adopted,
}

impl Outcome {
    /// `existing`, `created` or `adopted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Existing => "existing",
            Self::Created => "created",
            Self::Adopted => "adopted",
        }
    }
}

/// Exactly one Stripe Customer per tenant. Cheap to clone; needs a tokio runtime around its calls.
#[derive(Clone)]
pub struct Billing {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) stripe: Arc<dyn Stripe>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Policy,
    pub(crate) site: OnceCell<Site>,
    pub(crate) sends: Semaphore,
    pub(crate) flights: Flights,
}

impl Billing {
    /// Billing over this database and this Stripe, with the default [`Policy`].
    pub fn new(store: Arc<dyn Store>, stripe: Arc<dyn Stripe>, clock: Arc<dyn Clock>) -> Self {
        Self::with_policy(store, stripe, clock, Policy::default())
    }

    /// Billing over this database and this Stripe.
    pub fn with_policy(
        store: Arc<dyn Store>,
        stripe: Arc<dyn Stripe>,
        clock: Arc<dyn Clock>,
        policy: Policy,
    ) -> Self {
        let sends = Semaphore::new(policy.concurrent_sends.max(1));
        let (site, flights) = (OnceCell::new(), Flights::default());
        let inner = Inner { store, stripe, clock, policy, site, sends, flights };
        Self { inner: Arc::new(inner) }
    }

    /// The tenant's one Stripe Customer, created with this e-mail address if there is none.
    ///
    /// Call it after the transaction that registers the tenant has committed.
    ///
    /// # Errors
    /// Every variant of [`Error`]; [`Error::advice`] says what to do about it.
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

    /// The same with more on the Customer and a deadline of its own, saying how it came to be there.
    ///
    /// # Errors
    /// As [`Billing::get_or_create_stripe_customer`]; after `deadline` it is [`Error::Later`], and
    /// what was begun goes on.
    pub async fn get_or_create(
        &self,
        tenant: &TenantId,
        details: &CustomerDetails,
        deadline: Duration,
    ) -> Result<Provisioned, Error> {
        let inner = &self.inner;
        let waiting = inner.waiting(deadline);
        if let Some(customer) = inner.in_time(waiting, inner.store.bound(tenant)).await? {
            return Ok(existing(tenant.clone(), customer));
        }
        loop {
            let seen = inner.in_time(waiting, inner.see(tenant, None)).await?;
            if let Some(customer) = seen.view.bound {
                return Ok(existing(seen.view.tenant, customer));
            }
            if !seen.view.exists {
                return Err(Error::UnknownTenant(seen.view.tenant));
            }
            let (tenant, asked) = (seen.view.tenant.clone(), details.clone());
            let patience = SignedDuration::try_from(deadline.min(LONGEST)).unwrap_or_default();
            let worker = Arc::clone(inner);
            let flight = inner.flights.join(&tenant, details, waiting, || async move {
                let asker = Asker::Caller(&asked, patience);
                let landed = Driver::new(&worker, seen, asker, waiting).await?.run().await?;
                landed.ok_or_else(|| later("the work ended without a word", true))
            })?;
            let not_mine = !flight.led && flight.details != *details;
            let more_patient = waiting.until > flight.waiting.until.saturating_add(MORE_PATIENT);
            let Either::Left((landed, _)) =
                select(pin!(flight.landed()), pin!(inner.until(waiting))).await
            else {
                return Err(later("it is taking long; what was begun is on record", true));
            };
            // A flight that somebody else began carried their details, and their patience.
            let theirs = match &landed {
                Err(Error::Later { .. }) => more_patient,
                Err(Error::Refused(_)) => not_mine,
                _ => false,
            };
            if !theirs {
                return landed;
            }
            if !inner.pause(0, None, waiting).await {
                return Err(later("somebody else's call for this tenant failed", true));
            }
        }
    }

    /// The tenant's Customer, if it is bound. Never creates one, never calls Stripe.
    ///
    /// # Errors
    /// [`Error::UnknownTenant`], or what the database says.
    pub async fn lookup(&self, tenant: &TenantId) -> Result<Option<CustomerId>, Error> {
        if let Some(customer) = self.inner.store.bound(tenant).await? {
            return Ok(Some(customer));
        }
        let view = self.inner.store.view(tenant, None).await?;
        match view.bound {
            None if !view.exists => Err(Error::UnknownTenant(view.tenant)),
            bound => Ok(bound),
        }
    }

    /// All that is on record of a tenant, also of one that is gone.
    ///
    /// # Errors
    /// [`Error::UnknownTenant`] if nothing is, or what the database says.
    pub async fn history(&self, tenant: &TenantId) -> Result<History, Error> {
        let history = self.inner.store.history(tenant).await?;
        if !history.exists && history.events.is_empty() && history.state.is_none() {
            return Err(Error::UnknownTenant(history.tenant));
        }
        Ok(history)
    }

    /// For Stripe's webhook `customer.created`, once its signature is verified: binds the Customer if
    /// `idempotency_key` (the event's `request.idempotency_key`) is one of ours. Any order, any
    /// number of times; answer the webhook with a 2xx only on `Ok`.
    ///
    /// # Errors
    /// [`Error::Later`] or [`Error::Operator`]; Stripe will deliver again.
    pub async fn customer_created(
        &self,
        idempotency_key: &str,
        customer: &CustomerId,
    ) -> Result<(), Error> {
        let Some(parts) = IdempotencyKey::parse(idempotency_key).ok().and_then(|it| it.parts())
        else {
            return Ok(());
        };
        let (inner, customer) = (Arc::clone(&self.inner), customer.clone());
        self.inner
            .flights
            .detach(async move {
                let waiting = inner.waiting(DEFAULT_DEADLINE);
                let origin = inner.site(waiting).await?.origin;
                if parts.installation != origin.installation || parts.mode != origin.account.mode {
                    return Ok(());
                }
                let seen = inner.see(&parts.tenant, Some(&customer)).await?;
                let mut driver = Driver::new(&inner, seen, Asker::Worker, waiting).await?;
                let made = Made { generation: parts.generation, request: None, request_id: None };
                if driver.confirm(made, &customer).await? {
                    Ok(())
                } else {
                    Err(later("the Customer could not be retrieved", true))
                }
            })
            .await
    }

    /// For Stripe's webhook `customer.deleted`, once its signature is verified: the Customer is on
    /// record as deleted from now on, and its tenant is given another when it next asks. Any order,
    /// any number of times; answer the webhook with a 2xx only on `Ok`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn customer_deleted(&self, customer: &CustomerId) -> Result<(), Error> {
        Ok(self.inner.store.record_deletion(customer).await?)
    }

    /// Takes a Customer off its tenant, for an operator: it stays in Stripe, on record as surplus,
    /// and is never adopted again.
    ///
    /// # Errors
    /// [`Error::Later`] while a creation is under way.
    pub async fn unbind(&self, tenant: &TenantId, customer: &CustomerId) -> Result<(), Error> {
        let inner = &self.inner;
        let seen = inner.see(tenant, None).await?;
        let waiting = inner.waiting(DEFAULT_DEADLINE);
        let mut driver = Driver::new(inner, seen, Asker::Worker, waiting).await?;
        driver.write(&Event::Unbound(customer.clone()), None).await.map(drop)
    }

    /// Takes no further calls, and waits for what is under way; `false` if that took longer than
    /// `within`. Whatever was not done is for recovery.
    pub async fn shutdown(&self, within: Duration) -> bool {
        self.inner.flights.close();
        let (landed, late) = (self.inner.flights.all_landed(), self.inner.clock.sleep(within));
        matches!(select(pin!(landed), late).await, Either::Left(_))
    }
}

fn existing(tenant: TenantId, customer: CustomerId) -> Provisioned {
    Provisioned { tenant, customer, outcome: Outcome::Existing }
}
