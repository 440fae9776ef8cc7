//! Exactly one Stripe Customer per tenant, always, and getting it is instant.

#[cfg(feature = "conformance")]
pub mod conformance;
mod fake;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stripe;
mod system;

pub use fake::{FakeCustomer, FakeStripe};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use stripe::{SecretKey, StripeClient};
pub use system::SystemClock;
pub use tenant_billing_core::*;
