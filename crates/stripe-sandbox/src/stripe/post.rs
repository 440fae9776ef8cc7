//! A POST that makes or changes something, once for each idempotency key.
//!
//! All of it is one step under the state's lock: the key is looked up, the request checked, the change
//! written to the journal and applied, the answer saved. What differs between the endpoints is what is
//! to be done, and how it shows.

use super::auth::Caller;
use super::customer::{self, DeletedObject, Expand};
use super::error::ApiError;
use super::exchange::{Done, Failing, Manner};
use super::request::Request;
use super::webhooks;
use crate::state::State;
use crate::state::book::Book;
use crate::state::mutation::{By, Change, Deed, Effect, Failed, Failure, Mutation, Save};
use crate::state::saved::{Answer, Found};
use crate::world::World;

/// Does what `deed` makes of the account's data, or answers as before.
pub(super) fn once(
    world: &World,
    request: &Request,
    caller: &Caller,
    manner: Manner,
    deed: impl FnOnce(&mut State, &Caller) -> Result<Deed, ApiError>,
) -> Result<Done, ApiError> {
    let mut state = world.state();
    let now_ms = world.clock.now_ms();
    let book = state.book(&caller.scope);
    if let Some(again) = replay(book, request, now_ms, caller, manner)? {
        return Ok(again);
    }
    let deed = deed(&mut state, caller)?;
    let change = change(request, caller, manner, now_ms, deed);
    let save = save(request, now_ms, manner);
    let saved_by = save.as_ref().map(|_| request.number);
    let broken = |_| ApiError::server(&request.id);

    let Some(failing) = manner.failure else {
        let mutation = Mutation::Changed { change: change.clone(), save };
        world.commit(&mut state, &mutation).map_err(broken)?;
        let book = state.book(&caller.scope);
        let body = show(book, &answer(book, &change.what), caller, request.expand());
        return Ok(Done { status: 200, body, saved_by });
    };
    let error = ApiError::server(&request.id);
    let failure = Failure { status: error.status, body: error.body() };
    let effect = failing.effect(change);
    if save.is_some() || effect.is_some() {
        let failure = failure.clone();
        let (scope, request) = (caller.scope.clone(), request.number);
        let failed = Failed { scope, request, save, failure, effect };
        world.commit(&mut state, &Mutation::Failed(Box::new(failed))).map_err(broken)?;
    }
    Ok(Done { status: failure.status, body: failure.body, saved_by })
}

/// Deletes what `deed` finds. A DELETE has no idempotency key: where it fails, nothing is saved.
pub(super) fn delete(
    world: &World,
    request: &Request,
    caller: &Caller,
    manner: Manner,
    stub: DeletedObject,
    deed: impl FnOnce(&mut State, &Caller) -> Result<Deed, ApiError>,
) -> Result<Done, ApiError> {
    let broken = || ApiError::server(&request.id);
    let mut state = world.state();
    let now_ms = world.clock.now_ms();
    let deed = deed(&mut state, caller)?;
    let change = change(request, caller, manner, now_ms, deed);
    let Some(failing) = manner.failure else {
        let mutation = Mutation::Changed { change, save: None };
        return match world.commit(&mut state, &mutation) {
            Ok(()) => Ok(Done::ok(&stub)),
            Err(_) => Err(broken()),
        };
    };
    if let Some(effect) = failing.effect(change) {
        let failure = Failure { status: 500, body: String::new() };
        let (scope, request, effect) = (caller.scope.clone(), request.number, Some(effect));
        let failed = Failed { scope, request, save: None, failure, effect };
        let mutation = Mutation::Failed(Box::new(failed));
        world.commit(&mut state, &mutation).map_err(|_| broken())?;
    }
    Err(broken())
}

/// A change by a request.
fn change(request: &Request, caller: &Caller, manner: Manner, now_ms: i64, what: Deed) -> Change {
    let by = By {
        request: request.number,
        key: request.key.clone(),
        came_ms: manner.held_since_ms.unwrap_or(now_ms),
        platform: caller.platform.clone(),
    };
    Change { scope: caller.scope.clone(), at_ms: now_ms, by: Some(by), what }
}

impl Failing {
    /// What a failing request does nevertheless.
    fn effect(self, change: Change) -> Option<Effect> {
        let after_ms = match self {
            Failing::Without => return None,
            Failing::With { after_seconds } => {
                i64::try_from(after_seconds.saturating_mul(1000)).unwrap_or(i64::MAX)
            }
        };
        Some(Effect { due_ms: change.at_ms.saturating_add(after_ms), change })
    }
}

/// What the request's key says: go on (`None`), the saved answer again, or a refusal.
pub(super) fn replay(
    book: &Book,
    request: &Request,
    now_ms: i64,
    caller: &Caller,
    manner: Manner,
) -> Result<Option<Done>, ApiError> {
    let Some(key) = &request.key else {
        return Ok(None);
    };
    let held = manner.held_since_ms.is_some();
    let record = match book.saved.find(key, now_ms, held, &book.customers) {
        Found::Nothing => return Ok(None),
        Found::InFlight => return Err(ApiError::key_in_use(key)),
        Found::Saved(record) => record,
    };
    if record.endpoint != request.path {
        return Err(ApiError::other_endpoint(key, &record.endpoint, &request.path));
    }
    if record.fingerprint != request.form.fingerprint() {
        return Err(ApiError::other_parameters(key));
    }
    let status = match &record.answer {
        Answer::Failed(failure) => failure.status,
        _ => 200,
    };
    // The same form asks for the same expansions.
    let body = show(book, &record.answer, caller, request.expand());
    Ok(Some(Done { status, body, saved_by: Some(record.request) }))
}

/// What a change that was just made is to be answered with.
fn answer(book: &Book, deed: &Deed) -> Answer {
    match deed {
        Deed::Created { .. } => Answer::Created(book.customers.len() - 1),
        Deed::Updated { customer, .. } | Deed::Deleted { customer } => {
            Answer::Updated { customer: *customer, edits: book.customers.edit_count(*customer) }
        }
        Deed::EndpointCreated { .. } => {
            let at = book.endpoints.len() as u32 - 1;
            let endpoint = Box::new(book.endpoints[at as usize].clone());
            Answer::Endpoint { at, endpoint, new: true }
        }
        Deed::EndpointUpdated { endpoint: at, .. } | Deed::EndpointDeleted { endpoint: at } => {
            let endpoint = Box::new(book.endpoints[*at as usize].clone());
            Answer::Endpoint { at: *at, endpoint, new: false }
        }
    }
}

fn show(book: &Book, answer: &Answer, caller: &Caller, expand: &Expand) -> String {
    let livemode = caller.scope.livemode;
    let customer = |at: u32, edits: u32| {
        let details = book.customers.version(at, edits as usize);
        super::pretty(&customer::object(book, at, &details, livemode, expand))
    };
    match answer {
        Answer::Created(at) => customer(*at, 0),
        Answer::Updated { customer: at, edits } => customer(*at, *edits),
        Answer::Endpoint { at, endpoint, new } => {
            super::pretty(&webhooks::object(book, *at, endpoint, livemode, *new))
        }
        Answer::Failed(failure) => failure.body.clone(),
    }
}

/// Under what the answer to a request will be saved.
fn save(request: &Request, now_ms: i64, manner: Manner) -> Option<Save> {
    request.key.as_ref().map(|key| Save {
        key: key.clone(),
        endpoint: request.path.clone(),
        fingerprint: request.form.fingerprint(),
        first_used_ms: manner.held_since_ms.unwrap_or(now_ms),
    })
}
