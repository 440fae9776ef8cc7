//! A stateful, fault-injecting Stripe that runs on your machine.
//!
//! It speaks enough of Stripe's HTTP API to be used by any Stripe client: Customers, events, search,
//! webhooks, and idempotency keys in full, with their replays, conflicts and expiry. And it breaks on
//! demand: answers get lost, connections reset, failures are stored, search lags. What breaks is a
//! function of the rules and seeds it is given, so a test that failed once fails again.
//!
//! Start one with [`Sandbox::start`] and point a client at [`Sandbox::url`]. The same is there as a
//! program, `stripe-sandbox`, with its controls and a status page under `/_sandbox/` of the same port.
//!
//! It knows nothing of the program it is used to test: they share HTTP and not a line of code, so
//! they cannot share a mistake.

mod arsenal;
mod chaos;
mod clock;
mod config;
mod control;
mod courier;
mod fault;
mod form;
mod http;
mod ids;
mod limits;
mod log;
mod report;
mod rule;
mod sandbox;
mod start;
mod state;
mod stripe;
mod world;

pub use self::chaos::Chaos;
pub use self::config::{Config, Lag};
pub use self::courier::{WebhookChaos, WebhookOrder};
pub use self::fault::{Fault, FaultKind, When};
pub use self::limits::RateLimits;
pub use self::report::{Counters, CustomerRecord, RequestRecord};
pub use self::rule::Rule;
pub use self::sandbox::Sandbox;
pub use self::start::Start;
