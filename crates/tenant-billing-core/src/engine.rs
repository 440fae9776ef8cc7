//! What all work shares: the ports, who we are, deadlines, and reads that wait for Stripe.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::{Either, select};
use tokio::sync::{Mutex, Semaphore};

use crate::{
    answer::{self, Answer, Customer, Reading},
    deadline::Deadline,
    error::{OperatorError, Problem, retry_soon},
    ids::{AccountId, CustomerId, InstallationId, MetadataKey, TenantId},
    ownership::Unmarked,
    ports::{Clock, Registration, Store, StoreError, Stripe},
    provisioning::Context,
    request::{Account, Identity, KeyScope},
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
    /// What to do about Customers that name a tenant and no installation. `None`: they are adopted
    /// where the tenant's id is a UUID, which nobody else has; any other id may be another
    /// application's too, so an operator must look first.
    pub unmarked: Option<Unmarked>,
    /// Metadata keys, beside our own `tenantId`, in which other software of yours has named the
    /// tenant, such as `userId` or `organizationId`.
    pub tenant_metadata_keys: Vec<MetadataKey>,
    /// How many creations are sent to Stripe at once.
    pub concurrent_sends: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            inquire_first: false,
            restored_at: None,
            unmarked: None,
            tenant_metadata_keys: Vec::new(),
            concurrent_sends: 20,
        }
    }
}

/// The ports, and what was found out through them once.
pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) stripe: Arc<dyn Stripe>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Limits how many creations are on their way at once.
    pub(crate) sends: Semaphore,
    pub(crate) policy: Policy,
    /// What is known of our key without asking Stripe, and once it is known what it opens.
    key: KeyScope,
    opened: OnceLock<KeyScope>,
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
        let key = KeyScope { mode: stripe.mode(), account: stripe.stripe_account().cloned() };
        Self {
            store,
            stripe,
            clock,
            sends,
            policy,
            key,
            opened: OnceLock::new(),
            context: Mutex::default(),
        }
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

    /// Reads who this database is, and makes sure that it belongs to the account that our key acts
    /// on. The database remembers which keys open that account, so that Stripe need not be asked.
    async fn identify(&self, deadline: Deadline) -> Result<Context, Problem> {
        let Registration { installation, account, keys, copied } =
            self.store.registration().await?;
        if copied {
            return Err(OperatorError::CopiedOrMoved(installation).into());
        }
        self.guard(account.as_ref())?;
        let fingerprint = |account: &Account| self.stripe.fingerprint(&installation, account);
        let is_known =
            |account: &Account| fingerprint(account).is_some_and(|it| keys.contains(&it));
        let ours = match account {
            Some(account) if is_known(&account) => account,
            account => {
                let id = self.account_of_key(deadline).await?;
                let ours = Account { id, mode: self.key.mode };
                let fingerprint = fingerprint(&ours);
                let recorded = match account {
                    Some(recorded) if fingerprint.is_none() || recorded != ours => recorded,
                    _ => self.register(&installation, &ours, fingerprint.as_deref()).await?,
                };
                if recorded != ours {
                    // From now on its reads are refused, too.
                    let ours = self.opened.get_or_init(|| ours.into()).clone();
                    return Err(OperatorError::WrongAccount { recorded, ours }.into());
                }
                ours
            }
        };
        let _ = self.opened.set(ours.clone().into());
        let stripe_account = self.stripe.stripe_account().cloned();
        let identity = Identity { installation, account: ours, stripe_account };
        let Policy { inquire_first, restored_at, .. } = self.policy;
        Ok(Context { identity, inquire_first, restored_at })
    }

    async fn register(
        &self,
        installation: &InstallationId,
        ours: &Account,
        key: Option<&str>,
    ) -> Result<Account, Problem> {
        let now = self.store.register(installation, ours, key).await?;
        let recorded = now.account.filter(|_| now.installation == *installation);
        recorded
            .ok_or_else(|| retry_soon("the database has just been given another installation id"))
    }

    /// Refuses a database of another account or mode than our key's, as far as that can be told
    /// without asking Stripe.
    pub(crate) fn guard(&self, recorded: Option<&Account>) -> Result<(), OperatorError> {
        OperatorError::check_account(recorded, self.opened.get().unwrap_or(&self.key))
    }

    /// Asks Stripe which account our key acts on.
    async fn account_of_key(&self, deadline: Deadline) -> Result<AccountId, Problem> {
        let declared = self.stripe.stripe_account();
        let (reading, last) =
            self.patiently(deadline, || self.stripe.account(), answer::account_id).await;
        let summary = answer::summary(&last);
        match (reading, declared) {
            (Reading::Found(id), declared) => {
                let unexpected = |_| OperatorError::UnexpectedAnswer(summary);
                let id = AccountId::parse(&id).map_err(unexpected)?;
                if declared.is_some_and(|declared| *declared != id) {
                    return Err(OperatorError::NotDeclared(id.to_string()).into());
                }
                Ok(id)
            }
            (Reading::Unauthorized, _) => Err(OperatorError::BadKey(summary).into()),
            (Reading::Untrusted, _) => Err(OperatorError::TlsUntrusted(summary).into()),
            (Reading::Forbidden, Some(_)) if answer::denies_account(&last) => {
                Err(OperatorError::AccountRefused(summary).into())
            }
            // A restricted key may not read the account, so what was declared is believed.
            (Reading::Forbidden | Reading::Missing, Some(declared)) => Ok(declared.clone()),
            (Reading::Forbidden | Reading::Missing, None) if answer::status(&last) == Some(404) => {
                Err(OperatorError::UnexpectedAnswer(summary).into())
            }
            (Reading::Forbidden | Reading::Missing, None) => {
                Err(OperatorError::AccountUnreadable(summary).into())
            }
            (Reading::Retry(after), _) => {
                let why = format!("Stripe does not say which account this is: {summary}");
                let after = after.unwrap_or(Duration::from_secs(1));
                Err(Problem::Retry { after, why })
            }
        }
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
