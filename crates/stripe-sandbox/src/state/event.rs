//! Events of one account and mode, kept for 30 days of sandbox time.
//!
//! An event holds no copy of its Customer, only which one and which version of it: the snapshot is
//! made when somebody reads it.

use std::collections::VecDeque;

use serde::Serialize;

use super::customer::{Customer, CustomerObject};
use super::index::Index;
use crate::ids;

/// How long an event can be listed.
pub(crate) const KEPT_MS: i64 = 30 * 24 * 3600 * 1000;

/// What happened.
#[derive(Debug)]
pub(crate) enum What {
    /// The origin is the Customer's own.
    Created,
    /// It has so many edits since.
    Updated {
        edits: u32,
    },
    Deleted {
        request: Option<Box<str>>,
    },
}

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: Box<str>,
    pub(crate) at_ms: i64,
    pub(crate) customer: u32,
    pub(crate) what: What,
}

impl Event {
    /// Stripe's name for it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.what {
            What::Created => "customer.created",
            What::Updated { .. } => "customer.updated",
            What::Deleted { .. } => "customer.deleted",
        }
    }

    /// The Event object, with the Customer as it was at that moment. `account` is named only to one
    /// who looks at the data of a connected account.
    pub(crate) fn object<'a>(
        &'a self,
        customer: &'a Customer,
        livemode: bool,
        account: Option<&'a str>,
        api_version: &'static str,
    ) -> EventObject<'a> {
        let mut request = EventRequest { id: None, idempotency_key: None };
        let mut previous_attributes = None;
        let details = match &self.what {
            What::Created => {
                let origin = &customer.origin;
                request.id = origin.request.as_deref();
                request.idempotency_key = origin.key.as_deref();
                customer.version(0)
            }
            What::Updated { edits } => {
                let edits = *edits as usize;
                let email = customer.version(edits.saturating_sub(1)).email;
                previous_attributes = Some(PreviousAttributes { email });
                customer.version(edits)
            }
            What::Deleted { request: id } => {
                request.id = id.as_deref();
                customer.current()
            }
        };
        EventObject {
            id: &self.id,
            object: "event",
            account,
            api_version,
            created: self.at_ms.div_euclid(1000),
            data: EventData { object: customer.object(details, livemode), previous_attributes },
            livemode,
            pending_webhooks: 0,
            request,
            kind: self.kind(),
        }
    }
}

/// An Event as Stripe shows it, field by field in Stripe's order.
#[derive(Debug, Serialize)]
pub(crate) struct EventObject<'a> {
    id: &'a str,
    object: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    api_version: &'static str,
    created: i64,
    data: EventData<'a>,
    livemode: bool,
    pending_webhooks: i64,
    request: EventRequest<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Debug, Serialize)]
struct EventData<'a> {
    object: CustomerObject<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_attributes: Option<PreviousAttributes>,
}

/// The e-mail address is all that can be edited yet.
#[derive(Debug, Serialize)]
struct PreviousAttributes {
    email: Option<String>,
}

#[derive(Debug, Serialize)]
struct EventRequest<'a> {
    id: Option<&'a str>,
    idempotency_key: Option<&'a str>,
}

/// The events, oldest first, by a position that pruning does not change.
#[derive(Debug, Default)]
pub(crate) struct Events {
    events: VecDeque<Event>,
    pruned: u32,
    by_id: Index,
}

impl Events {
    /// Adds an event, and drops those whose time is over.
    pub(crate) fn push(&mut self, event: Event, now_ms: i64) {
        let position = self.pruned + self.events.len() as u32;
        self.by_id.insert(ids::hash(event.id.as_bytes()), position);
        self.events.push_back(event);
        self.prune(now_ms);
    }

    /// The event at a position, unless it was pruned.
    pub(crate) fn at(&self, position: u32) -> Option<&Event> {
        self.events.get(position.checked_sub(self.pruned)? as usize)
    }

    /// The position of the event with this id.
    pub(crate) fn position(&self, id: &str) -> Option<u32> {
        let matches = |at: &u32| self.at(*at).is_some_and(|event| *event.id == *id);
        self.by_id.find(ids::hash(id.as_bytes())).find(matches)
    }

    /// The positions of the events from `from_ms` on and before `until_ms`.
    pub(crate) fn between(&self, from_ms: i64, until_ms: i64) -> std::ops::Range<u32> {
        let start = self.events.partition_point(|event| event.at_ms < from_ms) as u32;
        let end = self.events.partition_point(|event| event.at_ms < until_ms) as u32;
        self.pruned + start..self.pruned + end.max(start)
    }

    /// Drops the events whose time is over.
    pub(crate) fn prune(&mut self, now_ms: i64) {
        while self.events.front().is_some_and(|event| now_ms - event.at_ms >= KEPT_MS) {
            self.events.pop_front();
            self.pruned += 1;
        }
        if self.by_id.len() > 2 * self.events.len() + 1024 {
            self.by_id = Index::default();
            for (offset, event) in self.events.iter().enumerate() {
                let position = self.pruned + offset as u32;
                self.by_id.insert(ids::hash(event.id.as_bytes()), position);
            }
        }
    }
}
