//! The stores and the Stripe client, over real files and real HTTP.

mod lifecycle;
mod provisioning;
mod sqlite;
mod stripe_client;
mod world;
