//! `get-or-create`: prints a tenant's Customer, and creates it if there is none.

use std::{pin::pin, time::Duration};

use serde::Serialize;
use tenant_billing::{
    Details, Error, OperatorError, Outcome, Problem, SystemClock, TenantCustomer,
    ids::{CustomerId, Email, TenantId},
    request::CustomerDetails,
};

use crate::{
    causes,
    cli::{GetOrCreate, Options},
    exit::Exit,
    failure::Failure,
    output,
    session::{LINGER, Session},
    signals::told_to_stop,
    stripe,
};

/// How long after its deadline the command ends at the latest: time to cancel a statement in the
/// database, and to write down an answer that has just come.
const GRACE: Duration = Duration::from_millis(100);

/// Prints the tenant's Customer, and creates it if there is none.
///
/// Whatever hangs, the command ends at its deadline. If it is told to stop, it still waits a short
/// time for an answer that is on its way.
pub(crate) async fn run(options: &Options, arguments: &GetOrCreate) -> Result<Exit, Failure> {
    let clock = SystemClock::shared();
    let until = clock.uptime() + Duration::from_secs(arguments.deadline);
    let remains = || until.saturating_sub(clock.uptime());
    let mut work = pin!(work(options, arguments, &remains));
    tokio::select! {
        biased;
        ended = &mut work => return ended,
        () = clock.sleep(remains() + GRACE) => {
            let why = "the deadline has passed; what was begun goes on".to_owned();
            return Err(Error::from(Problem::Retry { after: Duration::from_secs(5), why }).into());
        }
        () = told_to_stop() => {}
    }
    output::say("stopping; this waits up to 3 s for an answer that is on its way");
    tokio::select! {
        biased;
        ended = &mut work => ended,
        () = clock.sleep(remains().min(LINGER)) => Err(interrupted()),
        () = told_to_stop() => Err(interrupted()),
    }
}

fn interrupted() -> Failure {
    let message = "the command was told to stop; what was begun is on record";
    Failure::new(causes::INTERRUPTED, message)
}

async fn work(
    options: &Options,
    arguments: &GetOrCreate,
    remains: impl Fn() -> Duration,
) -> Result<Exit, Failure> {
    // Invalid input is reported before the database is opened.
    let tenant = TenantId::parse(&arguments.tenant_id)?;
    let details = details(arguments)?;
    let session = Session::open(options).await?;
    let target = session.target(options);
    let view = session.store.view(&tenant, &[]).await?;
    if let Some(customer) = view.bound {
        match target {
            Ok(target) => OperatorError::check_account(view.account.as_ref(), &target.scope())?,
            // A tenant that has its Customer needs no Stripe.
            Err(failure) if failure.cause == causes::KEY_MISSING => {
                stripe::check_declared(options, view.account.as_ref())?;
            }
            Err(failure) => return Err(failure),
        }
        let (tenant, outcome, details) = (view.tenant, Outcome::Existing, None);
        let existing = TenantCustomer { tenant, customer, outcome, details };
        return print(&existing, arguments.json);
    }
    let running = session.connect(target?).await?;
    let result = running.billing.get_or_create(&view.tenant, &details, remains()).await;
    let ended = match result {
        Ok(customer) => print(&customer, arguments.json),
        Err(error) => Err(error.into()),
    };
    running.close(remains() + GRACE).await;
    ended
}

fn details(arguments: &GetOrCreate) -> Result<CustomerDetails, Failure> {
    let mut details = match &arguments.email {
        Some(email) => CustomerDetails::new(Email::parse(email)?),
        None => CustomerDetails::without_email(),
    };
    if let Some(name) = &arguments.name {
        details = details.with_name(name)?;
    }
    for (key, value) in &arguments.metadata {
        details = details.with_metadata(key, value)?;
    }
    Ok(details)
}

/// The object that `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    tenant_id: &'a TenantId,
    stripe_customer_id: &'a CustomerId,
    outcome: Outcome,
    /// Null for a Customer that was there before, or that others made.
    details: Option<Details>,
}

/// What people are told whose details were not taken.
const NOT_TAKEN: &str = "the Customer was created with the details of an earlier call for this tenant, not with these; \
     if these are right, change the Customer in Stripe";

fn print(found: &TenantCustomer, as_json: bool) -> Result<Exit, Failure> {
    let TenantCustomer { tenant, customer, outcome, details } = found;
    if as_json {
        output::print_json(&Printed {
            tenant_id: tenant,
            stripe_customer_id: customer,
            outcome: *outcome,
            details: *details,
        })?;
    } else {
        output::print(customer.as_str())?;
        if *details == Some(Details::OfAnEarlierCall) {
            output::say(NOT_TAKEN);
        }
    }
    Ok(Exit::Done)
}
