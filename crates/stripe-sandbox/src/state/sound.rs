//! Which changes a state can take: those that a sandbox writes down.
//!
//! A state file may have been edited or damaged, and still be JSON. Positions of what is not there and
//! times before 1970 are refused here, so that nothing else has to reckon with them.

use super::State;
use super::mutation::{Change, Deed, Failed, Mutation, Save};

/// Each opening has 2^40 requests, numbered in 64 bits.
const MOST_OPENINGS: u64 = 1 << 24;

impl State {
    /// Whether a line of a state file can be what comes next.
    pub(super) fn takes(&self, mutation: &Mutation) -> bool {
        let saved = |save: &Option<Save>| save.as_ref().is_none_or(|it| it.first_used_ms >= 0);
        match mutation {
            Mutation::Opened { time, .. } | Mutation::Reset { time } => *time < MOST_OPENINGS,
            Mutation::Clock { offset_ms } => *offset_ms >= 0,
            Mutation::Changed { change, save } => saved(save) && self.finds(change),
            Mutation::Failed(failed) => {
                let Failed { save, effect, .. } = &**failed;
                let found =
                    |effect: &super::Effect| effect.due_ms >= 0 && self.finds(&effect.change);
                saved(save) && effect.as_ref().is_none_or(found)
            }
            Mutation::Due => true,
            Mutation::Attempted { at_ms, .. } => *at_ms >= 0,
        }
    }

    /// Whether what a change is about is there.
    fn finds(&self, change: &Change) -> bool {
        let book = self.known(&change.scope);
        let timely = change.at_ms >= 0 && change.by.as_ref().is_none_or(|by| by.came_ms >= 0);
        timely
            && match &change.what {
                Deed::Created { .. } | Deed::EndpointCreated { .. } => true,
                Deed::Updated { customer, .. } | Deed::Deleted { customer } => {
                    book.is_some_and(|book| *customer < book.customers.len())
                }
                Deed::EndpointUpdated { endpoint, .. } | Deed::EndpointDeleted { endpoint } => {
                    book.is_some_and(|book| (*endpoint as usize) < book.endpoints.len())
                }
            }
    }
}
