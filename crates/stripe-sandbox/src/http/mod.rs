//! The HTTP side: connections, and the translation between their bytes and the rest of the crate.

mod answer;
mod server;
mod socket;
mod trickle;

pub(crate) use self::server::{HEADER_TIMEOUT, serve};
