//! Checking a bound Customer at Stripe. A call for a bound tenant never asks, so without Stripe's
//! webhooks nobody else notices that a Customer was deleted in the dashboard.

use crate::{
    answer::{Reading, Refusal},
    billing::Billing,
    driver::{not_retrieved, unavailable},
    error::Error,
    ids::{CustomerId, TenantId},
    timing::DEFAULT_DEADLINE,
};

/// What Stripe says of the Customer that is bound to a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// No Customer is bound to the tenant, so Stripe was not asked.
    NoCustomer,
    /// It exists.
    Alive(CustomerId),
    /// It is deleted. That is on record now, and the tenant's next call makes another.
    Deleted(CustomerId),
    /// Stripe does not know it under this account and mode, and does not say that it is deleted.
    /// Nothing is changed: the key may be of another account than the Customer.
    Unknown(CustomerId),
}

impl Billing {
    /// Retrieves the Customer that is bound to a tenant. If it is deleted, it is unbound, as by the
    /// webhook `customer.deleted`.
    ///
    /// # Errors
    /// Those of [`Billing::get_or_create_stripe_customer`] but [`Problem::Rejected`](crate::Problem::Rejected).
    pub async fn check(&self, tenant: &TenantId) -> Result<Checked, Error> {
        let (engine, until) = (&self.engine, self.engine.deadline(DEFAULT_DEADLINE));
        let view =
            engine.before(until, "reading the database", engine.store.view(tenant, &[])).await?;
        let Some(customer) = view.bound.clone() else {
            return if view.exists { Ok(Checked::NoCustomer) } else { Err(view.unknown_tenant()) };
        };
        // Another account knows none of our Customers, which says nothing about them.
        engine.context(until).await?;
        let (reading, summary) = engine.retrieve(&customer, until).await;
        match reading {
            Reading::Found(it) if it.deleted => {
                let recorded = engine.store.record_deletion(&customer);
                engine.before(until, "recording the deletion", recorded).await?;
                Ok(Checked::Deleted(customer))
            }
            Reading::Found(_) => Ok(Checked::Alive(customer)),
            Reading::Missing => Ok(Checked::Unknown(customer)),
            Reading::Forbidden => {
                Err(not_retrieved(Refusal::NotPermitted, &customer, &summary).into())
            }
            Reading::Unauthorized => {
                Err(not_retrieved(Refusal::BadKey, &customer, &summary).into())
            }
            Reading::Untrusted => {
                Err(not_retrieved(Refusal::Untrusted, &customer, &summary).into())
            }
            Reading::Retry(_) => Err(unavailable(&summary).into()),
        }
    }
}
