//! `/v1/events`: what happened to which Customer, and under which idempotency key.

use super::API_VERSION;
use super::auth::Caller;
use super::error::ApiError;
use super::exchange::Done;
use super::list::{self, Source, Wanted};
use super::request::Request;
use crate::state::book::Book;
use crate::state::event::{Event, EventObject, KEPT_MS};
use crate::world::World;

/// Lists the events of the last 30 days, but for those still on their way.
pub(super) fn list(world: &World, request: &Request, caller: &Caller) -> Result<Done, ApiError> {
    let params = &request.params;
    params.allow(|name| name == "type" || Wanted::knows(name))?;
    let wanted = Wanted::read(params)?;
    let kind = params.get("type");

    let mut state = world.state();
    let (from_ms, until_ms) = visible(world);
    let book = state.book(&caller.scope);
    let at = wanted.at("event", |id| book.events.position(id))?;
    let from_ms = from_ms.max(wanted.created_ms.start);
    let stretch = book.events.between(from_ms, until_ms.min(wanted.created_ms.end));
    let keep = |position: u32| {
        let event = book.events.at(position);
        event.is_some_and(|event| kind.is_none_or(|kind| matches(event.kind(), kind)))
    };
    let (positions, more) = list::page(Source::Stretch(stretch), at, wanted.limit, keep);
    let events = positions.into_iter().filter_map(|position| book.events.at(position));
    let objects = events.map(|event| object(book, event, caller));
    Ok(Done::ok(&list::object("/v1/events", objects.collect(), more)))
}

/// Retrieves an event.
pub(super) fn retrieve(
    world: &World,
    request: &Request,
    caller: &Caller,
    id: &str,
) -> Result<Done, ApiError> {
    request.params.allow(|_| false)?;
    let mut state = world.state();
    let (from_ms, until_ms) = visible(world);
    let book = state.book(&caller.scope);
    let event = book.events.position(id).and_then(|position| book.events.at(position));
    match event.filter(|event| (from_ms..until_ms).contains(&event.at_ms)) {
        Some(event) => Ok(Done::ok(&object(book, event, caller))),
        None => Err(ApiError::no_such("event", id, "id")),
    }
}

/// From when on, and before when, events can be seen.
fn visible(world: &World) -> (i64, i64) {
    let now_ms = world.clock.now_ms();
    let lag_ms = i64::try_from(world.lag().events_seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    // With no lag, what is stamped later than now counts as well: the machine's clock went back.
    let until_ms = if lag_ms == 0 { i64::MAX } else { now_ms.saturating_sub(lag_ms) + 1 };
    (now_ms - KEPT_MS + 1, until_ms)
}

/// `customer.*` stands for all that begins so.
fn matches(kind: &str, wanted: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(prefix) => kind.starts_with(prefix),
        None => kind == wanted,
    }
}

fn object<'a>(book: &'a Book, event: &'a Event, caller: &'a Caller) -> EventObject<'a> {
    let account = caller.connected.then_some(caller.scope.account.as_str());
    event.object(book.at(event.customer), caller.scope.livemode, account, API_VERSION)
}
