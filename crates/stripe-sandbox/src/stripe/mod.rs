//! The Stripe API: reading a request, finding its endpoint, and doing its work.
//!
//! Nothing here knows of connections. [`exchange`] takes a request through limits, faults and
//! idempotency. The endpoints are plain functions from parameters to an answer.

mod account;
mod auth;
mod customer;
mod customers;
pub(crate) mod endpoint;
mod error;
pub(crate) mod events;
pub(crate) mod exchange;
mod expand;
mod fields;
mod guard;
mod job;
mod json;
mod list;
mod object;
mod post;
mod query;
mod request;
mod route;
mod search;
mod version;
mod webhooks;

pub(crate) use self::json::pretty;
pub(crate) use self::request::Call;
pub(crate) use self::route::matched;
