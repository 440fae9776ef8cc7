//! `get-or-create`: the main job.

use std::time::Duration;

use serde::Serialize;
use tenant_billing::{
    Outcome, Provisioned,
    ids::{Email, TenantId},
    request::CustomerDetails,
};

use crate::{
    cli::{GetOrCreate, Options},
    exit::{Exit, Failure},
    output,
    session::Session,
};

/// Prints the tenant's Customer, which is created if there is none.
pub(crate) async fn run(options: &Options, arguments: &GetOrCreate) -> Result<Exit, Failure> {
    // Whatever is wrong with the input is told before anything is opened, a wrong key likewise.
    let tenant = TenantId::parse(&arguments.tenant_id)?;
    let details = details(arguments)?;
    let session = Session::open(options).await?;
    let target = session.target(options)?;
    let view = session.store.view(&tenant, None).await?;
    if let Some(customer) = view.bound {
        let existing = Provisioned { tenant: view.tenant, customer, outcome: Outcome::Existing };
        return print(&existing, arguments.json);
    }
    let running = session.connect(target, options).await?;
    let patience = Duration::from_secs(arguments.deadline);
    let provisioned = running.billing.get_or_create(&view.tenant, &details, patience).await;
    let ended = match provisioned {
        Ok(provisioned) => print(&provisioned, arguments.json),
        Err(error) => Err(error.into()),
    };
    running.close().await;
    ended
}

fn details(arguments: &GetOrCreate) -> Result<CustomerDetails, Failure> {
    let mut details = CustomerDetails::new(Email::parse(&arguments.email)?);
    if let Some(name) = &arguments.name {
        details = details.with_name(name)?;
    }
    for (key, value) in &arguments.metadata {
        details = details.with_metadata(key, value)?;
    }
    Ok(details)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    tenant_id: &'a str,
    stripe_customer_id: &'a str,
    outcome: &'static str,
}

fn print(provisioned: &Provisioned, as_json: bool) -> Result<Exit, Failure> {
    let Provisioned { tenant, customer, outcome } = provisioned;
    if as_json {
        output::print_json(&Printed {
            tenant_id: tenant.as_str(),
            stripe_customer_id: customer.as_str(),
            outcome: outcome.as_str(),
        })?;
    } else {
        output::print(customer.as_str())?;
    }
    Ok(Exit::Done)
}
