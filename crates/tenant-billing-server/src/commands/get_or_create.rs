//! `get-or-create`: prints a tenant's Customer, and creates it if there is none.

use std::time::Duration;

use serde::Serialize;
use tenant_billing::{
    Outcome, TenantCustomer,
    ids::{CustomerId, Email, TenantId},
    request::CustomerDetails,
};

use crate::{
    cli::{GetOrCreate, Options},
    exit::{Exit, Failure},
    output,
    session::Session,
};

/// Prints the tenant's Customer, and creates it if there is none.
pub(crate) async fn run(options: &Options, arguments: &GetOrCreate) -> Result<Exit, Failure> {
    // Invalid input is reported before the database is opened, a wrong key before it is read.
    let tenant = TenantId::parse(&arguments.tenant_id)?;
    let details = details(arguments)?;
    let session = Session::open(options).await?;
    let target = session.target(options)?;
    let view = session.store.view(&tenant, &[]).await?;
    if let Some(customer) = view.bound {
        let existing = TenantCustomer { tenant: view.tenant, customer, outcome: Outcome::Existing };
        return print(&existing, arguments.json);
    }
    let running = session.connect(target, options).await?;
    let deadline = Duration::from_secs(arguments.deadline);
    let result = running.billing.get_or_create(&view.tenant, &details, deadline).await;
    let ended = match result {
        Ok(customer) => print(&customer, arguments.json),
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

/// The object that `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    tenant_id: &'a TenantId,
    stripe_customer_id: &'a CustomerId,
    outcome: Outcome,
}

fn print(found: &TenantCustomer, as_json: bool) -> Result<Exit, Failure> {
    let TenantCustomer { tenant, customer, outcome } = found;
    if as_json {
        output::print_json(&Printed {
            tenant_id: tenant,
            stripe_customer_id: customer,
            outcome: *outcome,
        })?;
    } else {
        output::print(customer.as_str())?;
    }
    Ok(Exit::Done)
}
