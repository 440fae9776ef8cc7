//! A stateful, fault-injecting Stripe that runs on your machine.
//!
//! It knows Customers, events and webhooks, and speaks enough of Stripe's HTTP API to be used by
//! any Stripe client, with idempotency keys in full: replays, conflicts, stored failures and
//! expiry. It has no checkout, no subscriptions and no invoices. It breaks on demand: answers get
//! lost, connections are reset, failures are stored, search lags. Which request breaks depends only
//! on the rules and seeds that the sandbox is given, so a test that failed once fails again.
//!
//! Start a sandbox with [`Sandbox::start`], and point a client at [`Sandbox::url`]. The program
//! `stripe-sandbox` is the same thing with a command line. Both have controls and a status page
//! under `/_sandbox/` of the same port.
//!
//! The sandbox knows nothing of the program that it is used to test. The two share HTTP and not a
//! line of code, so they cannot share a mistake.

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
mod lock;
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
pub use self::courier::settings::{WebhookChaos, WebhookOrder};
pub use self::fault::{Fault, FaultKind, When};
pub use self::limits::RateLimits;
pub use self::report::{Counters, CustomerRecord, RequestRecord};
pub use self::rule::Rule;
pub use self::sandbox::Sandbox;
pub use self::start::Start;
