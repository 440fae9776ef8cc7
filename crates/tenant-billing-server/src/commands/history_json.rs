//! A history as JSON. Its keys are a contract with scripts, so they do not depend on the names of
//! the library's fields.

use jiff::Timestamp;
use serde::Serialize;
use tenant_billing::{
    audit::{EventKind, History, SurplusReason},
    ids::{CustomerId, TenantId},
};

/// The object that `--json` prints.
#[derive(Serialize)]
pub(super) struct Printed<'a> {
    tenant_id: &'a TenantId,
    exists: bool,
    stripe_customer_id: Option<&'a CustomerId>,
    state: Option<&'static str>,
    provisioned_with: Option<&'a CustomerId>,
    overridden: bool,
    events: Vec<PrintedEvent<'a>>,
    surplus: Vec<PrintedSurplus<'a>>,
}

#[derive(Serialize)]
struct PrintedEvent<'a> {
    at: Timestamp,
    event: EventKind,
    generation: u64,
    stripe_customer_id: Option<&'a CustomerId>,
    stripe_request_id: Option<&'a str>,
    detail: &'a str,
}

#[derive(Serialize)]
struct PrintedSurplus<'a> {
    stripe_customer_id: &'a CustomerId,
    reason: SurplusReason,
    found_at: Timestamp,
    resolved_at: Option<Timestamp>,
}

/// The history as `--json` prints it.
pub(super) fn of(history: &History) -> Printed<'_> {
    let events = history.events.iter().map(|it| PrintedEvent {
        at: it.at,
        event: it.event.kind,
        generation: it.event.generation,
        stripe_customer_id: it.event.customer.as_ref(),
        stripe_request_id: it.event.request_id.as_deref(),
        detail: &it.event.detail,
    });
    let surplus = history.surplus.iter().map(|it| PrintedSurplus {
        stripe_customer_id: &it.customer,
        reason: it.reason,
        found_at: it.found_at,
        resolved_at: it.resolved_at,
    });
    Printed {
        tenant_id: &history.tenant,
        exists: history.exists,
        stripe_customer_id: history.bound.as_ref(),
        state: history.state.as_ref().map(|(state, _)| *state),
        provisioned_with: history.state.as_ref().and_then(|(_, customer)| customer.as_ref()),
        overridden: history.overridden().is_some(),
        events: events.collect(),
        surplus: surplus.collect(),
    }
}
