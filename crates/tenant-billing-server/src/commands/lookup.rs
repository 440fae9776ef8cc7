//! `lookup`: prints the Customer that a tenant has, by one read of the database.
//!
//! The command builds no Stripe client, so it needs no key and cannot create a Customer.

use serde::Serialize;
use tenant_billing::ids::{CustomerId, TenantId};

use crate::{
    cli::{OneTenant, Options},
    exit::Exit,
    failure::Failure,
    output,
    session::Session,
    stripe,
};

/// The object that `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    tenant_id: &'a TenantId,
    stripe_customer_id: Option<&'a CustomerId>,
    /// The mode that the Customer exists in, once it is recorded.
    mode: Option<&'static str>,
}

/// Prints the Customer's id, if there is one.
pub(crate) async fn run(
    session: &Session,
    options: &Options,
    arguments: &OneTenant,
) -> Result<Exit, Failure> {
    let view = session.store.view(&TenantId::parse(&arguments.tenant_id)?, &[]).await?;
    stripe::check_declared(options, view.account.as_ref())?;
    if view.bound.is_none() && !view.exists {
        return Err(view.unknown_tenant().into());
    }
    if arguments.json {
        let (tenant_id, stripe_customer_id) = (&view.tenant, view.bound.as_ref());
        let mode = view.account.as_ref().map(|account| account.mode.as_str());
        output::print_json(&Printed { tenant_id, stripe_customer_id, mode })?;
    } else if let Some(customer) = &view.bound {
        output::print(customer.as_str())?;
    } else {
        output::say(&format!(
            "the tenant has no Customer yet in {}; `tenant-billing get-or-create` creates one",
            session.place
        ));
    }
    Ok(if view.bound.is_some() { Exit::Done } else { Exit::NoCustomer })
}
