//! A deterministic simulation of the shipped loop on the shipped SQLite store, under virtual time.
//!
//!     cargo test -p tenant-billing --test sim                      # 2,000 seeds and the named sequences
//!     SIM_SEEDS=100000 cargo test -p tenant-billing --test sim every_seed
//!     SIM_SEEDS=100000..102000 cargo test -p tenant-billing --test sim every_seed   # without the last
//!     SIM_COUNT=1 cargo test -p tenant-billing --test sim every_seed   # which fail, and no stories
//!     SIM_SEED=4711 cargo test -p tenant-billing --test sim every_seed  # one seed again
//!
//! Everything under test is what ships: `Billing` with its loop, recovery and webhooks, and
//! `SqliteStore` on a file. Only what has no seed is replaced: the clock, chance, and Stripe, which
//! answers at the port as the HTTP client would. What a run consists of is a list of `ops::Op`; it
//! ends in `rest.rs` and is judged in `check.rs` and `deeds.rs` when its world is dropped.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod book;
mod check;
mod customer;
mod deeds;
mod generate;
mod host;
mod metadata;
mod motifs;
mod ops;
mod others;
mod rest;
mod rng;
mod run;
mod second;
mod seeds;
mod sequences;
mod sim;
mod store;
mod stripe;
mod world;
