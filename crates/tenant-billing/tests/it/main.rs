//! The stores, the Stripe client and the whole protocol, over real files and real HTTP.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lifecycle;
mod postgres;
mod provisioning;
mod sqlite;
mod stripe_client;
mod world;
