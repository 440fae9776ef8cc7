//! `lookup`: which Customer a tenant has, by one read of the database.
//!
//! No Stripe client is made here, so that it certainly creates nothing and needs no key.

use serde::Serialize;
use tenant_billing::{
    Error,
    ids::{CustomerId, TenantId},
};

use crate::{
    cli::OneTenant,
    exit::{Exit, Failure},
    output,
    session::Session,
};

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    tenant_id: &'a str,
    stripe_customer_id: Option<&'a str>,
}

/// Prints the Customer's id, if there is one.
pub(crate) async fn run(session: &Session, arguments: &OneTenant) -> Result<Exit, Failure> {
    let view = session.store.view(&TenantId::parse(&arguments.tenant_id)?, None).await?;
    if view.bound.is_none() && !view.exists {
        return Err(Error::UnknownTenant(view.tenant).into());
    }
    if arguments.json {
        output::print_json(&Printed {
            tenant_id: view.tenant.as_str(),
            stripe_customer_id: view.bound.as_ref().map(CustomerId::as_str),
        })?;
    } else if let Some(customer) = &view.bound {
        output::print(customer.as_str())?;
    } else {
        output::say("no Customer yet; `tenant-billing get-or-create` makes one");
    }
    Ok(if view.bound.is_some() { Exit::Done } else { Exit::NoCustomer })
}
