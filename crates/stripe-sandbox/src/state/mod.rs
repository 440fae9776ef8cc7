//! All that a sandbox remembers, without a word of HTTP: accounts, Customers, events, saved answers
//! and webhooks.
//!
//! [`State`] changes only by committing a [`mutation`](self::mutation), which is first written to
//! the state file and then applied. Opening a state file applies the same mutations again.

pub(crate) mod book;
pub(crate) mod customers;
mod details;
pub(crate) mod event;
pub(crate) mod file;
pub(crate) mod hooks;
pub(crate) mod index;
mod journal;
mod machine;
pub(crate) mod mutation;
mod records;
pub(crate) mod saved;
mod sound;

pub(crate) use self::machine::State;
pub(crate) use self::records::Records;
