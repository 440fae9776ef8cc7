//! What every endpoint is handed, and what it hands back.

use super::auth::Caller;
use super::request::Request;
use crate::world::World;

/// A request that was let in, and how its work is to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) world: &'a World,
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller,
    pub(super) manner: Manner,
}

/// What the work came to.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) status: u16,
    pub(super) body: String,
    /// The request whose answer is saved under the key, if one is.
    pub(super) saved_by: Option<u64>,
}

impl Done {
    /// A plain 200.
    pub(super) fn ok(value: &impl serde::Serialize) -> Done {
        Done { status: 200, body: super::pretty(value), saved_by: None }
    }
}

/// How the work is to be done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// It ends in a 500 that is saved.
    pub(super) failure: Option<Failing>,
    /// The request holds its key in flight since then.
    pub(super) held_since_ms: Option<i64>,
}

/// What a saved failure leaves behind.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failing {
    /// Nothing.
    Without,
    /// All of the work, after so much sandbox time.
    With { after_seconds: u64 },
}
