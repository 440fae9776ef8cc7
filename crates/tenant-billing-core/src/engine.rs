//! What all work shares: the ports, who we are, deadlines, and reads that wait for Stripe.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::sync::{Mutex, Semaphore};

use crate::{
    answer::{self, Answer, Customer, Reading},
    deadline::Deadline,
    error::{OperatorError, Problem, retry_soon},
    ids::{AccountId, CustomerId, TenantId},
    ports::{Clock, Store, StoreError, Stripe},
    provisioning::Context,
    request::{Account, Identity},
    state::View,
};

/// Settings of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Make an inquiry before every first creation, for an account that may already contain
    /// Customers for your tenants.
    pub inquire_first: bool,
    /// When a backup was last restored. It implies `inquire_first`, and an inquiry that begins less
    /// than 5 h later proves nothing by finding nothing. Another restore has another, later time.
    pub restored_at: Option<jiff::Timestamp>,
    /// How many creations are sent to Stripe at once.
    pub concurrent_sends: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self { inquire_first: false, restored_at: None, concurrent_sends: 20 }
    }
}

/// The ports, and what was found out through them once.
pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) stripe: Arc<dyn Stripe>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Limits how many creations are on their way at once.
    pub(crate) sends: Semaphore,
    policy: Policy,
    context: Mutex<Option<Context>>,
}

/// A view, and the uptime just before it was read.
pub(crate) struct Snapshot {
    pub(crate) view: View,
    pub(crate) read_at: Duration,
}

impl Engine {
    pub(crate) fn new(store: Arc<dyn Store>, stripe: Arc<dyn Stripe>, policy: Policy) -> Self {
        let (clock, sends) = (stripe.clock(), Semaphore::new(policy.concurrent_sends.max(1)));
        Self { store, stripe, clock, sends, policy, context: Mutex::default() }
    }

    /// Who we are. It is found out once, before this process's first call that writes to Stripe:
    /// the first process of all records account and mode in the database, and a key of another one
    /// is refused from then on.
    pub(crate) async fn context(&self, deadline: Deadline) -> Result<Context, Problem> {
        let mut known = self.context.lock().await;
        let context = match known.take() {
            Some(context) => context,
            None => self.identify(deadline).await?,
        };
        Ok(known.insert(context).clone())
    }

    /// Who we are, found out anew unless another task has done so: the database has changed under
    /// us, and is not what this context says.
    pub(crate) async fn renewed(
        &self,
        stale: &Context,
        deadline: Deadline,
    ) -> Result<Context, Problem> {
        self.context.lock().await.take_if(|known| known == stale);
        self.context(deadline).await
    }

    async fn identify(&self, deadline: Deadline) -> Result<Context, Problem> {
        let declared = self.stripe.stripe_account();
        let (reading, last) =
            self.patiently(deadline, || self.stripe.account(), answer::account_id).await;
        let summary = answer::summary(&last);
        let id = match (reading, declared) {
            (Reading::Found(id), declared) => {
                let unexpected = |_| OperatorError::UnexpectedAnswer(summary);
                let id = AccountId::parse(&id).map_err(unexpected)?;
                if declared.is_some_and(|declared| *declared != id) {
                    return Err(OperatorError::NotDeclared(id.to_string()).into());
                }
                id
            }
            (Reading::Unauthorized, _) => return Err(OperatorError::BadKey(summary).into()),
            (Reading::Untrusted, _) => return Err(OperatorError::TlsUntrusted(summary).into()),
            (Reading::Forbidden, Some(_)) if answer::denies_account(&last) => {
                return Err(OperatorError::AccountRefused(summary).into());
            }
            // A restricted key may not read the account, so what was declared is believed.
            (Reading::Forbidden | Reading::Missing, Some(declared)) => declared.clone(),
            (Reading::Forbidden | Reading::Missing, None) if answer::status(&last) == Some(404) => {
                return Err(OperatorError::UnexpectedAnswer(summary).into());
            }
            (Reading::Forbidden | Reading::Missing, None) => {
                return Err(OperatorError::AccountUnreadable(summary).into());
            }
            (Reading::Retry(after), _) => {
                let why = format!("Stripe does not say which account this is: {summary}");
                let after = after.unwrap_or(Duration::from_secs(1));
                return Err(Problem::Retry { after, why });
            }
        };
        let ours = Account { id, mode: self.stripe.mode() };
        let (installation, recorded) = self.store.identify(&ours).await?;
        if recorded != ours {
            return Err(OperatorError::WrongAccount { recorded, ours }.into());
        }
        let identity = Identity { installation, account: ours, stripe_account: declared.cloned() };
        let Policy { inquire_first, restored_at, .. } = self.policy;
        Ok(Context { identity, inquire_first, restored_at })
    }

    pub(crate) fn deadline(&self, within: Duration) -> Deadline {
        Deadline(self.clock.uptime().saturating_add(within))
    }

    pub(crate) async fn until(&self, deadline: Deadline) {
        self.clock.sleep(deadline.0.saturating_sub(self.clock.uptime())).await;
    }

    /// What a caller waits for until the deadline, and then is told to retry.
    pub(crate) async fn before<T, E: Into<Problem>>(
        &self,
        deadline: Deadline,
        what: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Problem> {
        match select(pin!(work), pin!(self.until(deadline))).await {
            Either::Left((done, _)) => done.map_err(Into::into),
            Either::Right(_) => Err(retry_soon(&format!("{what} did not end in time"))),
        }
    }

    pub(crate) async fn snapshot(
        &self,
        tenant: &TenantId,
        customers: &[CustomerId],
    ) -> Result<Snapshot, StoreError> {
        let read_at = self.clock.uptime();
        Ok(Snapshot { view: self.store.view(tenant, customers).await?, read_at })
    }

    /// Waits before the next try, as Stripe's own libraries do, and at least as long as Stripe
    /// asks; `false`, at once, if that would pass the deadline.
    pub(crate) async fn pause(
        &self,
        tries: u32,
        retry_after: Option<Duration>,
        deadline: Deadline,
    ) -> bool {
        let pause = self.backoff(tries).max(retry_after.unwrap_or_default());
        if self.clock.uptime().saturating_add(pause) >= deadline.0 {
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

    /// A Customer as Stripe shows it now, and the answer in a few words. An answer with a different
    /// id is unreadable.
    pub(crate) async fn retrieve(
        &self,
        id: &CustomerId,
        deadline: Deadline,
    ) -> (Reading<Customer>, String) {
        let parse = |body: &[u8]| Customer::parse(body).filter(|customer| customer.id == *id);
        let ask = || self.stripe.retrieve_customer(id);
        let (reading, last) = self.patiently(deadline, ask, parse).await;
        let summary = answer::summary(&last);
        match reading {
            Reading::Found(customer) => {
                let request_id = answer::request_id(&last).map(str::to_owned);
                (Reading::Found(Customer { request_id, ..customer }), summary)
            }
            reading => (reading, summary),
        }
    }

    /// A GET that is repeated while Stripe asks for that, until the deadline; and its last answer.
    pub(crate) async fn patiently<T, F>(
        &self,
        deadline: Deadline,
        ask: impl Fn() -> F,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> (Reading<T>, Answer)
    where
        F: Future<Output = Answer>,
    {
        let mut tries = 0;
        loop {
            let answer = ask().await;
            let reading = answer::read(&answer, &parse);
            if let Reading::Retry(after) = reading
                && self.pause(tries, after, deadline).await
            {
                tries += 1;
                continue;
            }
            return (reading, answer);
        }
    }
}
