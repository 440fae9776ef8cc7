//! A stateful, fault-injecting Stripe that runs on your machine.
//!
//! It speaks enough of Stripe's HTTP API to be used by any Stripe client: Customers, events, search,
//! and idempotency keys in full, with their replays, conflicts and expiry. And it breaks on demand:
//! answers get lost, connections reset, failures are stored, search lags. What breaks is a function
//! of the rules and seeds it is given, so a test that failed once fails again.
//!
//! Start one with [`Sandbox::start`] and point a client at [`Sandbox::url`]. The same is there as a
//! program, `stripe-sandbox`, with its controls under `/_sandbox/` of the same port.
//!
//! It knows nothing of the program it is used to test: they share HTTP and not a line of code, so
//! they cannot share a mistake.

mod arsenal;
mod clock;
mod config;
mod control;
mod fault;
mod http;
mod ids;
mod report;
mod sandbox;
mod state;
mod stripe;
mod world;

pub use self::config::{Config, Lag};
pub use self::fault::{Chaos, Fault, FaultKind, Rule, When};
pub use self::report::{Counters, CustomerRecord, RequestRecord};
pub use self::sandbox::Sandbox;
