//! A history as JSON. The names are a contract with scripts, so they stand apart from the types that
//! the protocol uses.

use serde::Serialize;
use tenant_billing::{
    audit::{AuditEvent, History},
    ids::CustomerId,
};

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Printed<'a> {
    tenant_id: &'a str,
    exists: bool,
    stripe_customer_id: Option<&'a str>,
    state: Option<&'static str>,
    settled_with: Option<&'a str>,
    overridden: bool,
    events: Vec<PrintedEvent<'a>>,
    surplus: Vec<PrintedSurplus<'a>>,
}

#[derive(Serialize)]
struct PrintedEvent<'a> {
    at: String,
    event: &'static str,
    generation: u64,
    stripe_customer_id: Option<&'a str>,
    stripe_request_id: Option<&'a str>,
    detail: &'a str,
}

#[derive(Serialize)]
struct PrintedSurplus<'a> {
    stripe_customer_id: &'a str,
    reason: &'static str,
    found_at: String,
    resolved_at: Option<String>,
}

/// The history as `--json` prints it.
pub(super) fn of(history: &History) -> Printed<'_> {
    let events = history.events.iter().map(|AuditEvent { at, event }| PrintedEvent {
        at: at.to_string(),
        event: event.kind.as_str(),
        generation: event.generation,
        stripe_customer_id: event.customer.as_ref().map(CustomerId::as_str),
        stripe_request_id: event.request_id.as_deref(),
        detail: &event.detail,
    });
    let surplus = history.surplus.iter().map(|surplus| PrintedSurplus {
        stripe_customer_id: surplus.customer.as_str(),
        reason: surplus.reason.as_str(),
        found_at: surplus.found_at.to_string(),
        resolved_at: surplus.resolved_at.map(|at| at.to_string()),
    });
    let settled_with = history.state.as_ref().and_then(|(_, settled)| settled.as_ref());
    Printed {
        tenant_id: history.tenant.as_str(),
        exists: history.exists,
        stripe_customer_id: history.bound.as_ref().map(CustomerId::as_str),
        state: history.state.as_ref().map(|(state, _)| *state),
        settled_with: settled_with.map(CustomerId::as_str),
        overridden: history.overridden().is_some(),
        events: events.collect(),
        surplus: surplus.collect(),
    }
}
