//! Exactly one Stripe Customer per tenant, always, and getting it is instant.
//!
//! ```no_run
//! # #[cfg(feature = "postgres")]
//! # async fn embedded(url: &str, key: &str, tenant: &str, email: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use tenant_billing::{Billing, PostgresStore, SecretKey, StripeClient, SystemClock, ports::Store};
//!
//! let clock = SystemClock::shared();
//! let store = PostgresStore::open(url, clock.clone())?;
//! store.migrate().await?;
//! let stripe = StripeClient::new(SecretKey::parse(key)?, clock.clone());
//! let billing = Billing::new(Arc::new(store), Arc::new(stripe), clock);
//!
//! let customer = billing.get_or_create_stripe_customer(tenant, email).await?;
//! # Ok(()) }
//! ```
//!
//! Run [`Billing::run_recovery`] beside it: it finishes what a lost answer or a crash left behind,
//! so that no second call is needed. Hand Stripe's verified webhooks to [`Billing::customer_created`]
//! and [`Billing::customer_deleted`] if you receive them.
//!
//! Features: `postgres` (the PostgreSQL store, on by default), `sqlite` (the SQLite store; it links
//! SQLite's C code, so it is off by default) and `conformance` (the suite that every store passes, for
//! authors of further stores).

#[cfg(feature = "conformance")]
pub mod conformance;
mod fake;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod stored;
mod stripe;
mod system;

pub use fake::{FakeCustomer, FakeStripe};
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use stripe::{SecretKey, StripeClient};
pub use system::SystemClock;
pub use tenant_billing_core::*;
/// What a host's own pool must be made with, for [`PostgresStore::from_pool`].
#[cfg(feature = "postgres")]
pub use {deadpool_postgres, tokio_postgres};

/// The README's lines, compiled.
#[cfg(all(doctest, feature = "postgres"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
