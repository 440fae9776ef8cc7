//! The Stripe API: what a request is, which endpoint it is for, and what that does.
//!
//! Nothing here knows of connections. [`exchange`] takes a request through limits, faults and
//! idempotency; the endpoints below it are plain functions from parameters to an answer.

mod account;
mod auth;
mod customer;
mod customers;
mod error;
pub(crate) mod events;
pub(crate) mod exchange;
mod fields;
mod guard;
mod job;
mod list;
mod post;
mod query;
mod request;
mod route;
mod search;
#[cfg(test)]
mod tests;
pub(crate) mod webhooks;

pub(crate) use self::request::Call;

/// The version that a request without a `Stripe-Version` gets, and that events are made in.
pub(crate) const API_VERSION: &str = "2026-10-28.endive";

/// JSON as Stripe prints it: for people, too.
pub(crate) fn pretty(value: &impl serde::Serialize) -> String {
    let mut text =
        serde_json::to_string_pretty(value).expect("strings, numbers and maps of strings");
    text.push('\n');
    text
}
