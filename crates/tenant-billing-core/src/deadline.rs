//! Until when a call is worth trying.

use std::time::Duration;

/// A moment by [`Clock::uptime`](crate::ports::Clock::uptime).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(pub(crate) Duration);
