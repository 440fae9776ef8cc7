//! The stores, the Stripe client and the whole protocol, over real databases and real HTTP.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::duplicate_mod, reason = "the same stories are told on both databases")]

mod hosts;
mod postgres;
mod rows;
mod sqlite;
mod stripe_client;
mod world;

/// The protocol's stories, on a SQLite file.
#[path = "stories"]
mod on_sqlite {
    mod details;
    mod lifecycle;
    mod operators;
    mod provisioning;
    mod tending;

    mod world {
        pub(super) use crate::world::{brief, call, details, id, reason};
        pub(super) type World = crate::world::World<crate::hosts::Sqlite>;
    }
}

/// The same stories, on a PostgreSQL server.
#[path = "stories"]
mod on_postgres {
    mod details;
    mod lifecycle;
    mod operators;
    mod provisioning;
    mod tending;

    mod world {
        pub(super) use crate::world::{brief, call, details, id, reason};
        pub(super) type World = crate::world::World<crate::hosts::Postgres>;
    }
}
