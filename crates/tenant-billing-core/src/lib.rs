//! Exactly one Stripe Customer per tenant: the protocol, without any driver.
//!
//! Read `ids` and `provisioning`, and you have read the product; `billing` is the loop that acts.
//! Embed it through the crate `tenant-billing`, which brings the stores and the Stripe client.

mod billing;
mod driver;
mod error;
mod flights;
mod look;
mod recovery;
mod world;

pub mod answer;
pub mod audit;
pub mod ids;
pub mod ports;
pub mod provisioning;
pub mod request;
pub mod state;

pub use billing::{Billing, DEFAULT_DEADLINE, Outcome, Policy, Provisioned};
pub use error::{Advice, Error, OperatorError};
pub use recovery::Recovery;
