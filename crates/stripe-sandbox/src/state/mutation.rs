//! Mutations: everything that ever changes the state, as data.
//!
//! A request becomes at most one mutation, which holds everything that the request did: the change,
//! its event and the answer saved under its key. A mutation is first written to the state file as
//! one line and then applied. A restart applies the same lines again, so the state is always made
//! in the same way. A line that was torn off belongs to a request that nobody got an answer to.

use serde::{Deserialize, Serialize};

use crate::form::Form;

/// An account and its live or test mode, whose data never meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Scope {
    pub(crate) account: String,
    pub(crate) livemode: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub(crate) enum Mutation {
    /// The state file was opened, and how often so far. Ids come from the base of the first
    /// opening.
    Opened { time: u64, base: u64 },
    /// Sandbox time was put so far ahead of real time.
    Clock { offset_ms: i64 },
    /// Everything was forgotten, and how often so far.
    Reset { time: u64 },
    /// Something was made, changed or deleted.
    Changed { change: Change, save: Option<Save> },
    /// A request failed, perhaps not without effect.
    Failed(Box<Failed>),
    /// The earliest effect that was put off is applied.
    Due,
    /// A delivery was attempted. The status is missing if nobody answered.
    Attempted { target: Target, at_ms: i64, status: Option<u16> },
}

/// Something was made, changed or deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) scope: Scope,
    pub(crate) at_ms: i64,
    /// The request that made the change. A change in the dashboard has none.
    pub(crate) by: Option<By>,
    pub(crate) what: Deed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct By {
    pub(crate) request: u64,
    pub(crate) key: Option<String>,
    /// When the request came.
    pub(crate) came_ms: i64,
    /// The platform that acted for this account, if one did.
    pub(crate) platform: Option<String>,
}

/// The deed: the object that was changed, by its position, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deed {
    Created { form: Form },
    Updated { customer: u32, form: Form },
    Deleted { customer: u32 },
    EndpointCreated { form: Form },
    EndpointUpdated { endpoint: u32, form: Form },
    EndpointDeleted { endpoint: u32 },
}

/// An event on its way to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Target {
    /// The account and mode of the event.
    pub(crate) scope: Scope,
    pub(crate) event: u32,
    /// The account that the endpoint belongs to, in the same mode.
    pub(crate) owner: String,
    pub(crate) endpoint: u32,
}

impl Deed {
    /// Stripe's name for the event of a change. Only changes of Customers have events.
    pub(super) fn event(&self) -> &'static str {
        match self {
            Deed::Created { .. } => "customer.created",
            Deed::Updated { .. } => "customer.updated",
            Deed::Deleted { .. } => "customer.deleted",
            Deed::EndpointCreated { .. }
            | Deed::EndpointUpdated { .. }
            | Deed::EndpointDeleted { .. } => "",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) scope: Scope,
    pub(crate) request: u64,
    /// Where the failure is saved, if the request had a key.
    pub(crate) save: Option<Save>,
    pub(crate) failure: Failure,
    /// The effect that the request has nevertheless.
    pub(crate) effect: Option<Effect>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Effect {
    /// When the effect shows, which is at once if that is past.
    pub(crate) due_ms: i64,
    pub(crate) change: Change,
}

/// The key and the request under which an answer is saved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Save {
    pub(crate) key: String,
    pub(crate) endpoint: String,
    pub(crate) fingerprint: u64,
    pub(crate) first_used_ms: i64,
}

/// An answer that is an error.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) body: String,
}
