//! Unbinding, for an operator. It needs no Stripe.

use crate::{
    audit::Reason,
    decide::unbinding,
    error::{Error, retry_soon},
    ids::{CustomerId, TenantId},
    ports::{Committed, Store},
};

/// How often it is decided again while other processes change the tenant.
const ATTEMPTS: usize = 10;

/// Takes a Customer off its tenant: it stays in Stripe, on record as surplus, and is never adopted
/// again; the tenant's next call makes another. `false` if the tenant does not have it.
///
/// # Errors
/// [`Problem::Retry`](crate::Problem::Retry) while a creation is under way; or what the database says.
pub async fn unbind(
    store: &dyn Store,
    tenant: &TenantId,
    customer: &CustomerId,
    reason: &Reason,
) -> Result<bool, Error> {
    for _ in 0..ATTEMPTS {
        let decision = unbinding(&store.view(tenant, &[]).await?, customer, reason);
        if let Some(problem) = decision.problem {
            return Err(problem.into());
        }
        if decision.change.is_nothing() {
            return Ok(false);
        }
        if store.commit(&decision.change).await? == Committed::Yes {
            return Ok(true);
        }
    }
    Err(retry_soon("other processes keep changing this tenant").into())
}
