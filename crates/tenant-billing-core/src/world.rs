//! What every piece of work needs of the ports: who we are, patience, and a view with its time.

use std::{future::Future, pin::pin, time::Duration};

use futures_util::future::{Either, select};

use crate::{
    answer::{self, Reading},
    billing::Inner,
    driver::{Seen, Waiting},
    error::{Error, OperatorError, later},
    ids::{AccountId, CustomerId, TenantId},
    ports::StoreError,
    provisioning::Site,
    request::{Account, Origin},
};

impl Inner {
    /// Who we are: found out once, before this process's first call that writes to Stripe.
    ///
    /// The first run records account and mode in the database; a key of another one is refused.
    pub(crate) async fn site(&self, waiting: Waiting) -> Result<Site, Error> {
        self.site.get_or_try_init(|| self.identify(waiting)).await.cloned()
    }

    async fn identify(&self, waiting: Waiting) -> Result<Site, Error> {
        let declared = self.stripe.stripe_account();
        let (reading, last) =
            self.patiently(waiting, || self.stripe.account(), answer::account_id).await;
        let words = answer::describe(&last);
        let id = match (reading, declared) {
            (Reading::Found(id), declared) => {
                let id = AccountId::parse(&id).map_err(|_| unreadable(&words))?;
                if declared.is_some_and(|declared| *declared != id) {
                    return Err(unreadable("it answers with another account than declared"));
                }
                id
            }
            (Reading::Unauthorized, _) => return Err(OperatorError::BadKey(words).into()),
            // A restricted key may not read the account; what was declared is taken at its word.
            (Reading::Forbidden | Reading::Missing, Some(declared)) => declared.clone(),
            (Reading::Forbidden | Reading::Missing, None) if answer::status(&last) == Some(404) => {
                return Err(
                    OperatorError::Stripe(format!("{words}; is STRIPE_API_BASE right?")).into()
                );
            }
            (Reading::Forbidden | Reading::Missing, None) => return Err(unreadable(&words)),
            (Reading::Again(after), _) => {
                let why = format!("Stripe cannot be asked which account this is: {words}");
                let after = after.unwrap_or(Duration::from_secs(1));
                return Err(Error::Later { after, why, unsettled: false });
            }
        };
        let ours = Account { id, mode: self.stripe.mode() };
        let (installation, recorded) = self.store.identify(&ours).await?;
        if recorded != ours {
            return Err(OperatorError::WrongAccount { recorded, ours }.into());
        }
        let origin = Origin { installation, account: ours, stripe_account: declared.cloned() };
        let (look_first, restored_at) = (self.policy.look_first, self.policy.restored_at);
        Ok(Site { origin, look_first, restored_at })
    }

    pub(crate) fn waiting(&self, patience: Duration) -> Waiting {
        Waiting { until: self.clock.uptime().saturating_add(patience) }
    }

    pub(crate) async fn until(&self, waiting: Waiting) {
        self.clock.sleep(waiting.until.saturating_sub(self.clock.uptime())).await;
    }

    /// A read that a caller waits for, but not beyond their patience.
    pub(crate) async fn in_time<T>(
        &self,
        waiting: Waiting,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Error> {
        match select(pin!(read), pin!(self.until(waiting))).await {
            Either::Left((read, _)) => Ok(read?),
            Either::Right(_) => Err(later("the database takes long to answer", false)),
        }
    }

    pub(crate) async fn see(
        &self,
        tenant: &TenantId,
        candidate: Option<&CustomerId>,
    ) -> Result<Seen, StoreError> {
        let at = self.clock.uptime();
        Ok(Seen { view: self.store.view(tenant, candidate).await?, at })
    }

    /// Waits before the next try, as Stripe's own libraries do, or as long as Stripe asks; `false`,
    /// at once, if that would take longer than it is worth.
    pub(crate) async fn pause(
        &self,
        tries: u32,
        patience: Option<Duration>,
        waiting: Waiting,
    ) -> bool {
        let pause = self.backoff(tries).max(patience.unwrap_or_default());
        if self.clock.uptime().saturating_add(pause) >= waiting.until {
            return false;
        }
        self.clock.sleep(pause).await;
        true
    }

    /// Anything from nothing to 0.5 s, doubling to 5 s: full jitter.
    pub(crate) fn backoff(&self, tries: u32) -> Duration {
        let longest = Duration::from_millis(500 << tries.min(4)).min(Duration::from_secs(5));
        longest.mul_f64(self.clock.random() as f64 / u64::MAX as f64)
    }
}

fn unreadable(words: &str) -> Error {
    OperatorError::AccountUnreadable(words.to_owned()).into()
}
