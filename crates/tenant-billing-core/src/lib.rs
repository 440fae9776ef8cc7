//! Exactly one Stripe Customer per tenant: the protocol, without any driver.
//!
//! Read `ids`, `timing` and `provisioning`, and you know the protocol. `decide` holds its rules,
//! and `driver` is the loop that acts on them. Hosts embed it through the crate `tenant-billing`,
//! which brings the stores and the Stripe client.

mod billing;
mod check;
mod deadline;
mod driver;
mod engine;
mod error;
mod inquiry;
mod ownership;
mod recovery;
mod singleflight;
mod tenant_customer;
mod unbind;

pub mod answer;
pub mod audit;
pub mod decide;
pub mod ids;
pub mod ports;
pub mod provisioning;
pub mod request;
pub mod state;
pub mod timing;

pub use billing::Billing;
pub use check::Checked;
pub use engine::Policy;
pub use error::{Error, OperatorError, Problem};
pub use ownership::Unmarked;
pub use recovery::Recovery;
pub use tenant_customer::{Details, Outcome, TenantCustomer};
pub use timing::DEFAULT_DEADLINE;
pub use unbind::unbind;
