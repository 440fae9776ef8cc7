//! Everything that ever changes the state, as data.
//!
//! A request becomes at most one mutation, which holds all that it did: the Customer, its event and
//! the answer saved under its key. It is first written to the journal as one line and then applied,
//! and a restart applies the same lines again; so there is one way for the state to come about, and
//! a line that was torn off takes with it a request that nobody got an answer to.

use serde::{Deserialize, Serialize};

use super::customer::Details;

/// Whose data: an account and its live or test mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scope {
    pub(crate) account: String,
    pub(crate) livemode: bool,
}

/// One change of the state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub(crate) enum Mutation {
    /// The state file was opened, for the so-many-th time.
    Opened { time: u64 },
    /// Sandbox time was put so far ahead of real time.
    Clock { offset_ms: i64 },
    /// Everything was forgotten.
    Reset,
    /// A Customer was created.
    Created(Created),
    /// A Customer was changed.
    Edited(Edited),
    /// A Customer was deleted.
    Deleted(Deleted),
    /// A failure without any effect was saved under a key.
    Failed(Failed),
}

/// A Customer was created.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Created {
    #[serde(flatten)]
    pub(crate) scope: Scope,
    pub(crate) at_ms: i64,
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) request: String,
    pub(crate) details: Details,
    /// The answer's place under the request's key, if it had one.
    pub(crate) save: Option<Save>,
    /// The answer, where it was not the Customer.
    pub(crate) failure: Option<Failure>,
}

/// A Customer was changed, in the dashboard.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Edited {
    #[serde(flatten)]
    pub(crate) scope: Scope,
    pub(crate) at_ms: i64,
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) details: Details,
}

/// A Customer was deleted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Deleted {
    #[serde(flatten)]
    pub(crate) scope: Scope,
    pub(crate) at_ms: i64,
    pub(crate) id: String,
    pub(crate) event: String,
    /// None when it was done in the dashboard.
    pub(crate) request: Option<String>,
}

/// A failure without any effect was saved under a key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    #[serde(flatten)]
    pub(crate) scope: Scope,
    pub(crate) request: String,
    pub(crate) save: Save,
    pub(crate) failure: Failure,
}

/// Under what an answer is saved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Save {
    pub(crate) key: String,
    pub(crate) endpoint: String,
    /// A hash of the parameters, in whatever order they came.
    pub(crate) parameters: u64,
    pub(crate) first_used_ms: i64,
}

/// An answer that is an error.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) body: String,
}
