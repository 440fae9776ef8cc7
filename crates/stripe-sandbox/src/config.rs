//! How a sandbox is started and tuned.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;

use crate::clock;

/// How a sandbox is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The file its state is kept in, or none to keep it in memory.
    ///
    /// The file is locked until the sandbox ends; a second one with the same file waits for that.
    pub state: Option<PathBuf>,
    /// Where ids come from: the same requests in the same order get the same ids. A state file keeps
    /// the seed that it began with.
    pub seed: u64,
}

impl Default for Config {
    /// A free port of 127.0.0.1, in memory, and a seed of its own: two sandboxes in front of one
    /// database would otherwise hand out the same Customer ids, which no two Stripes do.
    fn default() -> Config {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Config { listen, state: None, seed: clock::fresh_seed() }
    }
}

/// How far behind its writes Stripe is, in seconds of sandbox time. By default it is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// For `GET /v1/customers/search`. A Customer deleted meanwhile still shows as live there.
    pub search_seconds: u64,
    /// For `GET /v1/events`, the list as well as a single one.
    pub events_seconds: u64,
}
