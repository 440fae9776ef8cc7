//! Exactly one Stripe Customer per tenant, always, and getting it is instant.

mod system;

pub use system::SystemClock;
pub use tenant_billing_core::*;
