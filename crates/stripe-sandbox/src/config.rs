//! The configuration of a sandbox: how it is started, and how far it is behind.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;

use crate::clock;

/// The configuration that a sandbox starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The address to listen on. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The file that the state is kept in. Without one, the state is kept in memory.
    ///
    /// The file is locked until the sandbox ends. A second sandbox with the same file waits for
    /// that.
    pub state: Option<PathBuf>,
    /// The seed of all ids: the same requests in the same order get the same ids. A state file
    /// keeps the seed that it began with.
    pub seed: u64,
}

impl Default for Config {
    /// A sandbox in memory, on a free port of 127.0.0.1, with a fresh seed. With equal seeds, two
    /// sandboxes in front of one database would hand out the same Customer ids, which Stripe never
    /// does.
    fn default() -> Config {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Config { listen, state: None, seed: clock::fresh_seed() }
    }
}

/// How far Stripe is behind its writes, in seconds of sandbox time. By default it is not behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// The lag of `GET /v1/customers/search`. A Customer deleted meanwhile still shows as live
    /// there.
    pub search_seconds: u64,
    /// The lag of `GET /v1/events`, for the list as well as for a single event.
    pub events_seconds: u64,
}
