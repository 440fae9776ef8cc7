//! `check`: asks Stripe whether tenants' Customers still exist.

use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;
use tenant_billing::{
    Billing, Checked, DEFAULT_DEADLINE, Error, OperatorError, Problem, UnusableKey,
    ids::{CustomerId, Email, Invalid, TenantId},
    request::CustomerDetails,
};
use tokio::task::JoinSet;

use super::{progress::spinner, recover::concerns_all};
use crate::{
    causes,
    cli::{Check, Options},
    exit::Exit,
    failure::Failure,
    output,
    session::{LINGER, Session},
    signals::told_to_stop,
};

/// So many Customers are retrieved within this time.
const BATCH: Duration = Duration::from_secs(1);

/// The object that `--json` prints for a tenant that was checked.
#[derive(Serialize)]
struct Printed<'a, E> {
    tenant_id: &'a TenantId,
    stripe_customer_id: Option<&'a CustomerId>,
    result: &'static str,
    new_stripe_customer_id: Option<&'a CustomerId>,
    /// Why the tenant was not given another Customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<E>,
}

/// What came of a tenant.
struct Came {
    checked: Checked,
    /// With `--heal`, for a tenant without a Customer that exists: the one that it has now.
    next: Option<Result<CustomerId, Error>>,
}

/// What `--heal` needs.
#[derive(Clone)]
struct Heal {
    /// The details for new Customers.
    details: CustomerDetails,
    progress: ProgressBar,
}

/// How far the command has come.
#[derive(Default)]
struct Tally {
    /// The database, in words.
    place: String,
    checked: u64,
    gone: u64,
    failed: u64,
    exit: Option<Exit>,
    /// The last tenant that is done, as are all before it.
    last: Option<TenantId>,
    /// What concerns all tenants, so that the next ones need not be tried.
    ends: Option<Failure>,
}

/// Checks the tenants, and says what an operator must know of them.
pub(crate) async fn run(options: &Options, arguments: &Check) -> Result<Exit, Failure> {
    let parse = |text: &String| TenantId::parse(text);
    let named = arguments.tenant_ids.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let after = arguments.after.as_ref().map(parse).transpose()?;
    if arguments.email.is_some() && named.len() > 1 {
        return Err(Invalid::new("--email", "is for a single tenant").into());
    }
    let details = match &arguments.email {
        Some(email) => CustomerDetails::new(Email::parse(email)?),
        None => CustomerDetails::without_email(),
    };
    let session = Session::open(options).await?;
    let target = session.target(options)?;
    let running = session.connect(target).await?;
    let (place, progress) = (session.place.clone(), spinner());
    let heal = arguments.heal.then(|| Heal { details, progress: progress.clone() });
    let mut tally = Tally { place, last: after, ..Tally::default() };
    let work = async {
        let mut named = named.into_iter().map(Ok);
        loop {
            let page: Vec<_> = match arguments.all {
                true => session.store.bound_after(tally.last.as_ref(), batch(arguments)).await?,
                false => named.by_ref().take(arguments.rate).collect(),
            };
            let mut tenants = Vec::new();
            for key in page {
                match key {
                    Ok(tenant) => tenants.push(tenant),
                    Err(key) => progress.suspend(|| tally.pass_over(&key, arguments))?,
                }
            }
            if tenants.is_empty() {
                return Ok(());
            }
            let next = session.clock.uptime() + BATCH;
            let full = tenants.len() == arguments.rate;
            for (tenant, result) in check(&running.billing, tenants, heal.as_ref()).await {
                progress.suspend(|| tally.take(&tenant, result, arguments))?;
                if tally.ends.is_none() {
                    tally.last = Some(tenant);
                }
            }
            if let Some(failure) = tally.ends.take() {
                return Err(failure);
            }
            progress.set_message(tally.words());
            if full {
                session.clock.sleep(next.saturating_sub(session.clock.uptime())).await;
            }
        }
    };
    let ended: Result<bool, Failure> = tokio::select! {
        ended = work => ended.map(|()| false),
        () = told_to_stop() => Ok(true),
    };
    progress.finish_and_clear();
    running.close(LINGER).await;
    if let Ok(true) | Err(_) = &ended {
        let goes_on = match &tally.last {
            Some(last) if arguments.all => {
                format!("; `tenant-billing check --all --after {last}` goes on")
            }
            _ => String::new(),
        };
        output::say(&format!("stopped: {}{goes_on}", tally.words()));
    }
    let stopped = ended?;
    if arguments.all && !arguments.json && !stopped {
        output::print(&tally.words())?;
    }
    Ok(if stopped { Exit::Retry } else { tally.exit.unwrap_or(Exit::Done) })
}

fn batch(arguments: &Check) -> u32 {
    u32::try_from(arguments.rate).unwrap_or(u32::MAX)
}

/// Checks these tenants at once, and returns what came of them in their order.
async fn check(
    billing: &Billing,
    tenants: Vec<TenantId>,
    heal: Option<&Heal>,
) -> Vec<(TenantId, Result<Came, Error>)> {
    let mut checks = JoinSet::new();
    for (place, tenant) in tenants.into_iter().enumerate() {
        let (billing, heal) = (billing.clone(), heal.cloned());
        checks.spawn(async move {
            let result = one(&billing, &tenant, heal.as_ref()).await;
            (place, tenant, result)
        });
    }
    let mut done = checks.join_all().await;
    done.sort_by_key(|(place, ..)| *place);
    done.into_iter().map(|(_, tenant, result)| (tenant, result)).collect()
}

async fn one(billing: &Billing, tenant: &TenantId, heal: Option<&Heal>) -> Result<Came, Error> {
    let checked = billing.check(tenant).await?;
    let next = match (&checked, heal) {
        (Checked::Deleted(_) | Checked::NoCustomer, Some(heal)) => {
            heal.announce(tenant, &checked);
            let made = billing.get_or_create(tenant, &heal.details, DEFAULT_DEADLINE).await;
            Some(made.map(|it| it.customer))
        }
        _ => None,
    };
    Ok(Came { checked, next })
}

impl Heal {
    /// Says at once what is unbound: the tenant would be named nowhere if this process were killed
    /// before it has another Customer.
    fn announce(&self, tenant: &TenantId, checked: &Checked) {
        if let Checked::Deleted(customer) = checked {
            let line = format!(
                "{tenant}  {customer} is deleted and unbound; if this command ends before it names \
                 the next Customer, run `tenant-billing get-or-create {tenant}`"
            );
            self.progress.suspend(|| output::say(&line));
        }
    }
}

impl Tally {
    fn words(&self) -> String {
        let Self { checked, gone, failed, .. } = self;
        format!("checked {checked}; {gone} deleted; {failed} with a problem")
    }

    /// Counts what came of a tenant, and prints it. What concerns all tenants is kept for the end.
    fn take(
        &mut self,
        tenant: &TenantId,
        result: Result<Came, Error>,
        arguments: &Check,
    ) -> Result<(), Failure> {
        let Came { checked, next } = match result {
            Ok(came) => came,
            Err(error) => return self.fail(tenant, error, arguments),
        };
        let (next, error) = match next.transpose() {
            Ok(next) => (next, None),
            Err(error) => {
                let ends = concerns_every(&error);
                let failure = Failure::from(error);
                if ends {
                    self.ends.get_or_insert(failure.clone());
                }
                (None, Some(failure))
            }
        };
        let (customer, name, exit, words) = match &checked {
            Checked::NoCustomer => {
                let words = match &next {
                    Some(next) => format!("had no Customer, and has {next} now"),
                    None => format!("has no Customer in {}", self.place),
                };
                (None, "no_customer", Exit::NoCustomer, words)
            }
            Checked::Alive(it) => (Some(it), "alive", Exit::Done, "exists".to_owned()),
            Checked::Deleted(it) => {
                let words = match &next {
                    Some(next) => format!("is deleted; {next} takes its place"),
                    None if error.is_some() => "is deleted and unbound".to_owned(),
                    None => {
                        "is deleted, and unbound; the next `get-or-create` makes another".into()
                    }
                };
                (Some(it), "deleted", Exit::NoCustomer, words)
            }
            Checked::Unknown(it) => {
                let problem = OperatorError::UnknownCustomer(it.clone());
                let words = format!("is not known; nothing is changed: {problem}");
                (Some(it), "unknown", Exit::Operator, words)
            }
        };
        let (exit, words) = match &error {
            Some(Failure { message, cause, .. }) => {
                let run = format!("run `tenant-billing get-or-create {tenant}`");
                (cause.exit, format!("{words}; not healed: {message}; {run}"))
            }
            None if next.is_some() => (Exit::Done, words),
            None => (exit, words),
        };
        self.checked += 1;
        self.gone += u64::from(name == "deleted");
        self.failed += u64::from(name == "unknown" || error.is_some());
        self.exit = self.exit.max(Some(exit));
        if arguments.json {
            return output::print_json(&Printed {
                tenant_id: tenant,
                stripe_customer_id: customer,
                result: name,
                new_stripe_customer_id: next.as_ref(),
                error: error.as_ref().map(output::error_of),
            });
        }
        if arguments.all && name == "alive" {
            return Ok(());
        }
        let customer = customer.map(|it| format!("{it} ")).unwrap_or_default();
        output::print(&format!("{tenant}  {customer}{words}"))
    }

    fn fail(&mut self, tenant: &TenantId, error: Error, arguments: &Check) -> Result<(), Failure> {
        if concerns_every(&error) {
            self.ends.get_or_insert(error.into());
            return Ok(());
        }
        let mut failure = Failure::from(error);
        if failure.cause == causes::UNKNOWN_TENANT {
            failure.message = format!("{} (looked in {})", failure.message, self.place);
        }
        self.checked += 1;
        self.failed += 1;
        self.exit = self.exit.max(Some(failure.cause.exit));
        match arguments.json {
            true => output::print_json(&output::of_tenant(tenant, &failure)),
            false => output::print(&format!("{tenant}  {}", failure.message)),
        }
    }

    /// Counts and names a key that no call accepts.
    fn pass_over(&mut self, key: &UnusableKey, arguments: &Check) -> Result<(), Failure> {
        let message = format!("{key}; its Customer is not checked");
        let failure = Failure::new(causes::SCHEMA_MISMATCH, message);
        self.failed += 1;
        self.exit = self.exit.max(Some(failure.cause.exit));
        match arguments.json {
            true => output::print_json(&output::alone(&failure)),
            false => output::print(&failure.message),
        }
    }
}

/// Whether no tenant can be checked, or healed, until this is put right.
fn concerns_every(error: &Error) -> bool {
    let no_right = matches!(error.problem(), Problem::Operator(OperatorError::NotPermitted(_)));
    no_right || concerns_all(error)
}
