//! A job, which every endpoint is handed, and its result.

use super::auth::Caller;
use super::json::pretty;
use super::request::Request;
use crate::world::World;

/// A request that was let in, and the manner in which its work is to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) world: &'a World,
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller,
    pub(super) manner: Manner,
}

#[derive(Debug)]
pub(super) struct Done {
    pub(super) status: u16,
    pub(super) body: String,
    /// The request whose answer is saved under the key, if one is.
    pub(super) saved_by: Option<u64>,
}

impl Done {
    pub(super) fn ok(value: &impl serde::Serialize) -> Done {
        Done { status: 200, body: pretty(value), saved_by: None }
    }
}

/// The manner in which the work is to be done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// The failure that the work ends in: a 500 that is saved.
    pub(super) failure: Option<Failing>,
    /// Since when the request holds its key in flight, if it does.
    pub(super) held_since_ms: Option<i64>,
}

/// The effect that a saved failure leaves behind.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failing {
    Without,
    /// All of the work, after so much sandbox time.
    With {
        after_seconds: u64,
    },
}
