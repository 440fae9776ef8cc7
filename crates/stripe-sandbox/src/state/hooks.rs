//! Webhook endpoints, and the deliveries that are still open.
//!
//! An open delivery follows from a change and the endpoints at that time, so only attempts are
//! written down. An attempt that was made but not yet written down when the process died is made
//! again. Like Stripe's, these deliveries come at least once.

use std::collections::BTreeMap;

use super::mutation::{Scope, Target};
use crate::form::Form;

/// Seconds from one attempt to the next in live mode, where Stripe tries for three days.
const LIVE_RETRIES: [i64; 10] =
    [300, 1800, 7200, 18_000, 36_000, 43_200, 43_200, 43_200, 43_200, 43_200];
/// Seconds from one attempt to the next in test mode, where Stripe tries again three times.
const TEST_RETRIES: [i64; 3] = [300, 1800, 7200];

#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) created_ms: i64,
    pub(crate) details: Form,
    pub(crate) deleted: bool,
}

impl Endpoint {
    pub(crate) fn is_enabled(&self) -> bool {
        !self.deleted && self.details.get("disabled") != Some("true")
    }

    /// Whether the endpoint is for the events of connected accounts.
    pub(crate) fn is_connect(&self) -> bool {
        self.details.get("connect") == Some("true")
    }

    /// Whether the endpoint gets events of this type.
    pub(crate) fn wants(&self, kind: &str) -> bool {
        self.details.list("enabled_events").iter().any(|wanted| ["*", kind].contains(wanted))
    }
}

/// A delivery that has not succeeded yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Attempts made so far, none of which succeeded.
    pub(crate) attempts: usize,
    /// The status of the last attempt. There is none if nobody answered.
    pub(crate) last_status: Option<u16>,
    /// When the next attempt is due. There is none after the delivery was given up.
    pub(crate) due_ms: Option<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Deliveries(BTreeMap<Target, Delivery>);

impl Deliveries {
    pub(super) fn add(&mut self, target: Target, at_ms: i64) {
        self.0.insert(target, Delivery { due_ms: Some(at_ms), ..Delivery::default() });
    }

    /// Notes an attempt. The delivery is then done, due again, or given up.
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

    /// Forgets the deliveries to an endpoint that was deleted.
    pub(super) fn drop_endpoint(&mut self, owner: &Scope, endpoint: u32) {
        self.0.retain(|target, _| {
            target.endpoint != endpoint
                || target.owner != owner.account
                || target.scope.livemode != owner.livemode
        });
    }

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

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
