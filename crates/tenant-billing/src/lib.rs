//! Exactly one Stripe Customer per tenant.
//!
//! A tenant's first call creates its Customer at Stripe. Every later call reads its id from the
//! host's own database.
//!
//! ```no_run
//! # #[cfg(feature = "postgres")]
//! # async fn embedded(url: &str, key: &str, tenant: &str, email: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use tenant_billing::{Billing, PostgresStore, SecretKey, StripeClient};
//!
//! let store = PostgresStore::open(url)?;
//! store.migrate().await?;
//! let billing = Billing::new(store, StripeClient::new(SecretKey::parse(key)?));
//!
//! let customer = billing.get_or_create_stripe_customer(tenant, email).await?;
//! # Ok(()) }
//! ```
//!
//! Run [`Billing::run_recovery`] beside it: it finishes in the background what a lost answer or a
//! crash has interrupted. Hand Stripe's webhooks to [`webhook::verify`] and
//! [`webhook::WebhookEvent::apply`]: without them, a Customer that was deleted in Stripe stays
//! bound until somebody calls [`Billing::check`].
//!
//! Features: `postgres` (the PostgreSQL store, on by default), `sqlite` (the SQLite store, off by
//! default since it links SQLite's C code) and `conformance` (the suite that every store passes,
//! for authors of further stores).

#[cfg(feature = "conformance")]
pub mod conformance;
mod database;
mod fake;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod recently;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod stored;
mod stripe;
mod system;
mod trust;
pub mod webhook;

pub use database::{Afresh, Attention, Database, Entry, Listing, UnusableKey};
pub use fake::{FakeCustomer, FakeStripe};
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use stripe::{SecretKey, StripeClient};
pub use system::SystemClock;
pub use tenant_billing_core::*;
/// The crates whose types a host's own pool is made of, for [`PostgresStore::from_pool`].
#[cfg(feature = "postgres")]
pub use {deadpool_postgres, tokio_postgres};

/// Compiles the examples in the README.
#[cfg(all(doctest, feature = "postgres"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
