//! The sandbox over real connections.
//!
//! The client is a few lines over a socket. Many tests are about the end of a connection, and
//! a library's client would hide or repair that.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod binary;
mod chaos;
mod client;
mod conformance;
mod connections;
mod control;
mod control_inputs;
mod customers;
mod errors;
mod events;
mod faults;
mod idempotency;
mod inputs;
mod limits;
mod lists;
mod openapi;
mod outages;
mod readme;
mod receiver;
mod sdk;
mod search;
mod start;
mod state_file;
mod updates;
mod webhooks;

/// A test may share it between its threads.
#[test]
fn a_sandbox_is_send_and_sync() {
    fn check<T: Send + Sync + 'static>() {}
    check::<stripe_sandbox::Sandbox>();
}
