//! Webhook endpoints, and what is still to be delivered to them.
//!
//! What is on its way follows from the changes and the endpoints there were at the time, so only
//! attempts are written down. One that was made and not yet written down when the process died is made
//! again: like Stripe's, these deliveries come at least once.

use std::collections::BTreeMap;

use super::details::Details;
use super::mutation::{Scope, Target};

/// Stripe tries for three days in live mode: seconds from one attempt to the next.
const LIVE_RETRIES: [i64; 10] =
    [300, 1800, 7200, 18_000, 36_000, 43_200, 43_200, 43_200, 43_200, 43_200];
/// And three times over a few hours in test mode.
const TEST_RETRIES: [i64; 3] = [300, 1800, 7200];

/// A webhook endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) created_ms: i64,
    pub(crate) details: Details,
    pub(crate) deleted: bool,
}

impl Endpoint {
    pub(crate) fn is_enabled(&self) -> bool {
        !self.deleted && self.details.get("disabled") != Some("true")
    }

    /// Whether it is for the events of connected accounts.
    pub(crate) fn is_connect(&self) -> bool {
        self.details.get("connect") == Some("true")
    }

    /// Whether it is to get events of this kind.
    pub(crate) fn wants(&self, kind: &str) -> bool {
        self.details.list("enabled_events").iter().any(|wanted| ["*", kind].contains(wanted))
    }
}

/// How a delivery goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Attempts made so far, none of which succeeded.
    pub(crate) attempts: usize,
    /// The answer to the last one; none if there was no answer.
    pub(crate) last_status: Option<u16>,
    /// When the next one is due; none once it was given up.
    pub(crate) due_ms: Option<i64>,
}

/// All deliveries that have not succeeded.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(BTreeMap<Target, Delivery>);

impl Deliveries {
    pub(super) fn add(&mut self, target: Target, at_ms: i64) {
        self.0.insert(target, Delivery { due_ms: Some(at_ms), ..Delivery::default() });
    }

    /// Takes note of an attempt: done, to be tried again, or given up.
    pub(super) fn attempted(&mut self, target: &Target, at_ms: i64, status: Option<u16>) {
        if status.is_some_and(|status| (200..300).contains(&status)) {
            self.0.remove(target);
            return;
        }
        let retries: &[i64] = if target.scope.livemode { &LIVE_RETRIES } else { &TEST_RETRIES };
        let pending = self.0.get_mut(target).filter(|delivery| delivery.due_ms.is_some());
        if let Some(delivery) = pending {
            let wait = retries.get(delivery.attempts);
            delivery.attempts += 1;
            delivery.last_status = status;
            delivery.due_ms = wait.map(|seconds| at_ms.saturating_add(seconds * 1000));
        }
    }

    /// Forgets what was on its way to an endpoint that is no more.
    pub(super) fn drop_endpoint(&mut self, owner: &Scope, endpoint: u32) {
        self.0.retain(|target, _| {
            target.endpoint != endpoint
                || target.owner != owner.account
                || target.scope.livemode != owner.livemode
        });
    }

    /// Those of an event.
    pub(crate) fn of(&self, scope: &Scope, event: u32) -> impl Iterator<Item = &Delivery> {
        let first =
            |event| Target { scope: scope.clone(), event, owner: String::new(), endpoint: 0 };
        self.0.range(first(event)..first(event + 1)).map(|(_, delivery)| delivery)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Target, &Delivery)> {
        self.0.iter()
    }

    pub(crate) fn get(&self, target: &Target) -> Option<&Delivery> {
        self.0.get(target)
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
