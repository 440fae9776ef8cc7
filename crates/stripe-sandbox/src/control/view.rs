//! The views that the controls show, as JSON.

use serde_json::{Value, json};

use crate::state::mutation::Scope;
use crate::world::World;

pub(super) fn clock(world: &World) -> Value {
    let now = world.clock.now_ms().div_euclid(1000);
    json!({"now": now, "ahead_seconds": world.clock.offset_ms().div_euclid(1000)})
}

pub(super) fn faults(world: &World) -> Value {
    let arsenal = world.arsenal();
    let rules = arsenal.rules.iter().map(|armed| {
        let mut rule = json!(armed.rule);
        rule["matched"] = armed.matched.into();
        rule["struck"] = armed.struck.into();
        rule
    });
    json!({"rules": rules.collect::<Vec<_>>(), "chaos": arsenal.chaos()})
}

/// The endpoints, and the deliveries that have not succeeded.
pub(super) fn webhooks(world: &World) -> Value {
    let settings = world.courier.settings();
    let state = world.state();
    let endpoints = state.books.iter().flat_map(|(scope, book)| {
        let live = book.endpoints.iter().enumerate().filter(|(_, endpoint)| !endpoint.deleted);
        live.map(move |(at, endpoint)| {
            json!({
                "id": book.endpoint_id(at as u32),
                "account": scope.account,
                "livemode": scope.livemode,
                "url": endpoint.details.get("url"),
                "enabled": endpoint.is_enabled(),
                "connect": endpoint.is_connect(),
                "enabled_events": endpoint.details.list("enabled_events"),
            })
        })
    });
    let endpoints: Vec<Value> = endpoints.collect();
    let deliveries = state.deliveries.iter().filter_map(|(target, delivery)| {
        let owner = Scope { account: target.owner.clone(), livemode: target.scope.livemode };
        Some(json!({
            "event": state.known(&target.scope)?.event_id(target.event),
            "endpoint": state.known(&owner)?.endpoint_id(target.endpoint),
            "attempts": delivery.attempts,
            "last_status": delivery.last_status,
            "due": delivery.due_ms.map(|ms| ms.div_euclid(1000)),
        }))
    });
    let deliveries: Vec<Value> = deliveries.collect();
    json!({
        "held": settings.held,
        "chaos": settings.chaos,
        "endpoints": endpoints,
        "deliveries": deliveries,
    })
}
