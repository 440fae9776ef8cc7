//! `unbind`: takes a tenant's Customer off it. It needs no Stripe, and so no key.

use serde::Serialize;
use tenant_billing::{
    audit::Reason,
    ids::{CustomerId, TenantId},
    state::State,
    unbind,
};

use crate::{
    cli::{Options, Unbind},
    exit::Exit,
    failure::Failure,
    output,
    session::Session,
};

/// The object that `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    tenant_id: &'a TenantId,
    unbound: &'a [CustomerId],
}

/// Unbinds the Customer that the tenant's column holds, and the one that its row would bind again.
/// (They differ only if the application has overwritten the column.)
pub(crate) async fn run(options: &Options, arguments: &Unbind) -> Result<Exit, Failure> {
    let tenant = TenantId::parse(&arguments.tenant_id)?;
    let reason = Reason::parse(&arguments.reason)?;
    let session = Session::open(options).await?;
    let view = session.store.view(&tenant, &[]).await?;
    let provisioned = match view.row.as_ref().map(|row| &row.state) {
        Some(State::Provisioned(customer)) => Some(customer),
        _ => None,
    };
    let bound = view.bound.as_ref();
    let held = bound.into_iter().chain(provisioned.filter(|it| Some(*it) != bound));
    let mut unbound = Vec::new();
    for customer in held {
        if unbind(&*session.store, &view.tenant, customer, &reason).await? {
            unbound.push(customer.clone());
        }
    }
    if unbound.is_empty() && !view.exists {
        return Err(view.unknown_tenant().into());
    }
    let tenant = &view.tenant;
    if arguments.json {
        output::print_json(&Printed { tenant_id: tenant, unbound: &unbound })?;
    } else if unbound.is_empty() {
        output::say(&format!("the tenant has no Customer to unbind in {}", session.place));
    }
    if unbound.is_empty() {
        return Ok(Exit::NoCustomer);
    }
    for customer in unbound.iter().filter(|_| !arguments.json) {
        output::print(&format!(
            "{customer} is unbound from tenant {tenant}, whose next `get-or-create` makes another\n\
             {customer} stays in Stripe, on record as surplus: end what runs on it there, then delete it, \
             unless it is another tenant's; then write it into that tenant's column"
        ))?;
    }
    Ok(Exit::Done)
}
