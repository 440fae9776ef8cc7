//! The stores and the Stripe client, over real files and real HTTP.

mod sqlite;
