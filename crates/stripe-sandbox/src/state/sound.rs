//! The check of a state file's lines: which mutations a state can take.
//!
//! A state file may have been edited or damaged and still be JSON. A line about a Customer or
//! endpoint that is not there, or with a time before 1970, is refused here, so that the rest of the
//! crate never meets one.

use super::machine::State;
use super::mutation::{Change, Deed, Effect, Mutation, Save};

/// The most openings of one file. Each opening has 2^40 requests, numbered in 64 bits.
const MOST_OPENINGS: u64 = 1 << 24;

/// Whether a mutation can follow those that made the state.
pub(super) fn takes(state: &State, mutation: &Mutation) -> bool {
    let saved = |save: &Option<Save>| save.as_ref().is_none_or(|it| it.first_used_ms >= 0);
    let put_off = |effect: &Effect| effect.due_ms >= 0 && finds(state, &effect.change);
    match mutation {
        Mutation::Opened { time, .. } | Mutation::Reset { time } => *time < MOST_OPENINGS,
        Mutation::Clock { offset_ms } => *offset_ms >= 0,
        Mutation::Changed { change, save } => saved(save) && finds(state, change),
        Mutation::Failed(it) => saved(&it.save) && it.effect.as_ref().is_none_or(put_off),
        Mutation::Due => true,
        Mutation::Attempted { at_ms, .. } => *at_ms >= 0,
    }
}

/// Whether the Customer or endpoint that a change is about is there.
fn finds(state: &State, change: &Change) -> bool {
    let customers = state.known(&change.scope).map_or(0, |book| book.customers.len());
    let endpoints = state.known(&change.scope).map_or(0, |book| book.endpoints.len());
    let found = match &change.what {
        Deed::Created { .. } | Deed::EndpointCreated { .. } => true,
        Deed::Updated { customer, .. } | Deed::Deleted { customer } => *customer < customers,
        Deed::EndpointUpdated { endpoint, .. } | Deed::EndpointDeleted { endpoint } => {
            (*endpoint as usize) < endpoints
        }
    };
    found && change.at_ms >= 0 && change.by.as_ref().is_none_or(|by| by.came_ms >= 0)
}
