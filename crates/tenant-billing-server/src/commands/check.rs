//! `check`: asks Stripe whether tenants' Customers still exist.

use std::time::Duration;

use serde::Serialize;
use tenant_billing::{
    Billing, Checked, DEFAULT_DEADLINE, Error, OperatorError, Problem,
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
struct Printed<'a> {
    tenant_id: &'a TenantId,
    stripe_customer_id: Option<&'a CustomerId>,
    result: &'static str,
    new_stripe_customer_id: Option<&'a CustomerId>,
}

/// What came of a tenant, and the Customer that takes a deleted one's place.
type Came = Result<(Checked, Option<CustomerId>), Error>;

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
    let heal = arguments.heal.then_some(&details);
    let (place, progress) = (session.place.clone(), spinner());
    let mut tally = Tally { place, last: after, ..Tally::default() };
    let work = async {
        let mut named = named.into_iter();
        loop {
            let tenants: Vec<_> = match arguments.all {
                true => session.store.bound_after(tally.last.as_ref(), batch(arguments)).await?,
                false => named.by_ref().take(arguments.rate).collect(),
            };
            if tenants.is_empty() {
                return Ok(());
            }
            let next = session.clock.uptime() + BATCH;
            let full = tenants.len() == arguments.rate;
            for (tenant, result) in check(&running.billing, tenants, heal).await {
                progress.suspend(|| tally.take(&tenant, &result, arguments))?;
                tally.last = Some(tenant);
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
    heal: Option<&CustomerDetails>,
) -> Vec<(TenantId, Came)> {
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

async fn one(billing: &Billing, tenant: &TenantId, heal: Option<&CustomerDetails>) -> Came {
    let checked = billing.check(tenant).await?;
    let next = match (&checked, heal) {
        (Checked::Deleted(_), Some(details)) => {
            Some(billing.get_or_create(tenant, details, DEFAULT_DEADLINE).await?.customer)
        }
        _ => None,
    };
    Ok((checked, next))
}

impl Tally {
    fn words(&self) -> String {
        let Self { checked, gone, failed, .. } = self;
        format!("checked {checked}; {gone} deleted; {failed} with a problem")
    }

    /// Counts what came of a tenant, and prints it.
    ///
    /// # Errors
    /// If it concerns all tenants, so that the others need not be tried.
    fn take(&mut self, tenant: &TenantId, result: &Came, arguments: &Check) -> Result<(), Failure> {
        let (checked, next) = match result {
            Ok((checked, next)) => (checked, next.as_ref()),
            Err(error) => return self.fail(tenant, error.clone(), arguments),
        };
        let (customer, name, exit, words) = match checked {
            Checked::NoCustomer => {
                let words = format!("has no Customer in {}", self.place);
                (None, "no_customer", Exit::NoCustomer, words)
            }
            Checked::Alive(it) => (Some(it), "alive", Exit::Done, "exists".to_owned()),
            Checked::Deleted(it) => match next {
                Some(next) => {
                    (Some(it), "deleted", Exit::Done, format!("is deleted; {next} takes its place"))
                }
                None => {
                    let words = "is deleted, and unbound; the next `get-or-create` makes another";
                    (Some(it), "deleted", Exit::NoCustomer, words.to_owned())
                }
            },
            Checked::Unknown(it) => {
                let problem = OperatorError::UnknownCustomer(it.clone());
                let words = format!("is not known; nothing is changed: {problem}");
                (Some(it), "unknown", Exit::Operator, words)
            }
        };
        self.checked += 1;
        self.gone += u64::from(name == "deleted");
        self.failed += u64::from(name == "unknown");
        self.exit = self.exit.max(Some(exit));
        if arguments.json {
            return output::print_json(&Printed {
                tenant_id: tenant,
                stripe_customer_id: customer,
                result: name,
                new_stripe_customer_id: next,
            });
        }
        if arguments.all && name == "alive" {
            return Ok(());
        }
        let customer = customer.map(|it| format!("{it} ")).unwrap_or_default();
        output::print(&format!("{tenant}  {customer}{words}"))
    }

    fn fail(&mut self, tenant: &TenantId, error: Error, arguments: &Check) -> Result<(), Failure> {
        let no_right = matches!(error.problem(), Problem::Operator(OperatorError::NotPermitted(_)));
        if no_right || concerns_all(&error) {
            return Err(error.into());
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
}
