//! `/v1/events`: the changes of Customers, and the idempotency keys under which they were made.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Value, json};

use super::customer;
use super::error::ApiError;
use super::expand::Expand;
use super::fields;
use super::job::{Done, Job};
use super::list::{self, Wanted};
use super::object::Object;
use super::version::API_VERSION;
use crate::form::Form;
use crate::ids;
use crate::state::State;
use crate::state::event::KEPT_MS;
use crate::state::hooks::Delivery;
use crate::state::mutation::Scope;
use crate::world::World;

/// The most types that a list may name.
const MOST_TYPES: usize = 20;

/// Lists the events of the last 30 days, without those that the lag still hides.
pub(super) fn list(job: &Job<'_>) -> Result<Done, ApiError> {
    let form = &job.request.form;
    let own =
        |name: &str| ["type", "delivery_success"].contains(&name) || name.starts_with("types[");
    fields::allow(form, |name| own(name) || Wanted::knows(name))?;
    let wanted = Wanted::read(form)?;
    let kinds = kinds(&job.request.form)?;
    let delivered = list::flag(form, "delivery_success")?;

    let mut state = job.world.state();
    let visible = visible(job.world);
    state.book(&job.caller.scope);
    let Some(book) = state.known(&job.caller.scope) else {
        return Err(ApiError::server(&job.request.id));
    };
    let at = wanted.at("event", |id| book.event(id))?;
    let from_ms = visible.start.max(wanted.created_ms.start);
    let until_ms = visible.end.min(wanted.created_ms.end);
    let stretch = book.events.between(&(from_ms..until_ms), &book.customers);
    let keep = |position: u32| {
        let Some(event) = book.events.at(position, &book.customers) else {
            return false;
        };
        let done = || state.deliveries.of(&job.caller.scope, position).next().is_none();
        kinds.iter().any(|wanted| matches(event.kind, wanted))
            && delivered.is_none_or(|delivered| delivered == done())
    };
    let (positions, more) = list::page(stretch, None, at, wanted.limit, keep);
    let account = job.caller.platform.is_some().then_some(&*job.caller.scope.account);
    let objects = positions
        .into_iter()
        .filter_map(|at| object(&state, &job.caller.scope, at, account, API_VERSION));
    Ok(Done::ok(&list::object("/v1/events", objects.collect(), more)))
}

pub(super) fn retrieve(job: &Job<'_>, id: &str) -> Result<Done, ApiError> {
    fields::allow(&job.request.form, fields::is_expand)?;
    let mut state = job.world.state();
    let visible = visible(job.world);
    let at = state.book(&job.caller.scope).event(id);
    let account = job.caller.platform.is_some().then_some(&*job.caller.scope.account);
    let found = at.and_then(|at| {
        let book = state.known(&job.caller.scope)?;
        let event = book.events.at(at, &book.customers)?;
        visible.contains(&event.at_ms).then_some(())?;
        object(&state, &job.caller.scope, at, account, API_VERSION)
    });
    found.map(|event| Done::ok(&event)).ok_or_else(|| ApiError::no_such("event", id, "id"))
}

/// The types that were asked for with `type` or `types[]`.
fn kinds(form: &Form) -> Result<Vec<String>, ApiError> {
    let one = form.get("type");
    let many = form.array("types");
    if one.is_some() && !many.is_empty() {
        let message = "You may only specify one of these parameters: type, types.";
        return Err(ApiError::invalid("type", message.to_owned()));
    }
    if many.len() > MOST_TYPES {
        let message = format!("You may pass at most {MOST_TYPES} types.");
        return Err(ApiError::invalid("types", message));
    }
    let kinds: Vec<String> = many.into_iter().chain(one).map(str::to_owned).collect();
    Ok(if kinds.is_empty() { vec!["*".to_owned()] } else { kinds })
}

/// The range of times whose events can be seen.
fn visible(world: &World) -> Range<i64> {
    let now_ms = world.clock.now_ms();
    let lag_ms = i64::try_from(world.lag().events_seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    // Without a lag, events with a later time than now count too: the machine's clock went back.
    let until_ms = if lag_ms == 0 { i64::MAX } else { now_ms.saturating_sub(lag_ms) + 1 };
    now_ms - KEPT_MS + 1..until_ms
}

/// Whether a type is the wanted one. `customer.*` stands for every type that begins with
/// `customer.`.
fn matches(kind: &str, wanted: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(prefix) => kind.starts_with(prefix),
        None => kind == wanted,
    }
}

/// The event at a position, with the Customer as it was at that moment. `account` is only named to
/// a caller who looks at the data of a connected account.
pub(crate) fn object(
    state: &State,
    scope: &Scope,
    at: u32,
    account: Option<&str>,
    api_version: &str,
) -> Option<Object> {
    let book = state.known(scope)?;
    let event = book.events.at(at, &book.customers)?;
    let snapshot = |number: u32| {
        let version = book.customers.version(event.customer, number);
        json!(customer::object(book, &version, scope.livemode, &Expand::default()))
    };
    let object = snapshot(event.version);
    let mut data = json!({"object": &object});
    if event.kind == "customer.updated" {
        let before = snapshot(event.version.saturating_sub(1));
        let previous = previous(&before, &object).unwrap_or_else(|| json!({}));
        data["previous_attributes"] = previous;
    }
    let is_pending = |delivery: &&Delivery| delivery.due_ms.is_some();
    let fields = json!({
        "api_version": api_version,
        "created": event.at_ms.div_euclid(1000),
        "data": data,
        "livemode": scope.livemode,
        "pending_webhooks": state.deliveries.of(scope, at).filter(is_pending).count(),
        "request": {
            "id": event.request.map(|number| ids::REQUEST.id(state.base, number)),
            "idempotency_key": event.key,
        },
        "type": event.kind,
    });
    Some(Object::new("event", book.event_id(at), fields).with("account", account))
}

/// The parts of `before` that are different in `now`, if there are any.
fn previous(before: &Value, now: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(now)) = (before, now) else {
        return (before != now).then(|| before.clone());
    };
    let names: BTreeMap<&String, ()> =
        before.keys().chain(now.keys()).map(|name| (name, ())).collect();
    let null = Value::Null;
    let changed = names.into_keys().filter_map(|name| {
        let (old, new) = (before.get(name).unwrap_or(&null), now.get(name).unwrap_or(&null));
        Some((name.clone(), previous(old, new)?))
    });
    let changed: serde_json::Map<String, Value> = changed.collect();
    (!changed.is_empty()).then_some(Value::Object(changed))
}
