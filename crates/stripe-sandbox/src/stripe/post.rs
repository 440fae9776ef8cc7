//! A POST that makes or changes something, once for each idempotency key.
//!
//! All of it is one step under the state's lock: the key is looked up, the request is checked, the
//! change is written to the state file and applied, and the answer is saved. An endpoint only says
//! which change it makes.

use super::customer;
use super::endpoint;
use super::error::ApiError;
use super::job::{Done, Failing, Job};
use super::json::pretty;
use super::object::Object;
use crate::state::State;
use crate::state::book::Book;
use crate::state::mutation::{By, Change, Deed, Effect, Failed, Failure, Mutation, Save};
use crate::state::saved::{Answer, Found};

/// Does a deed that `deed` finds in the account's data, or answers as before.
pub(super) fn once(
    job: &Job<'_>,
    deed: impl FnOnce(&mut State) -> Result<Deed, ApiError>,
) -> Result<Done, ApiError> {
    let Job { world, request, caller, manner } = *job;
    let mut state = world.state();
    let now_ms = world.clock.now_ms();
    if let Some(again) = replay(job, state.book(&caller.scope), now_ms)? {
        return Ok(again);
    }
    let change = change(job, now_ms, deed(&mut state)?);
    let save = save(job, now_ms);
    let saved_by = save.as_ref().map(|_| request.number);
    if let Some(failing) = manner.failure {
        let error = fail(job, &mut state, save, failing, change)?;
        return Ok(Done { status: error.status, body: error.body(), saved_by });
    }
    let mutation = Mutation::Changed { change: change.clone(), save };
    commit(job, &mut state, &mutation)?;
    let book = state.book(&caller.scope);
    let body = show(job, book, &book.answer(&change.what));
    Ok(Done { status: 200, body, saved_by })
}

/// Deletes the object that `deed` finds. A DELETE has no idempotency key, so a failure is not
/// saved.
pub(super) fn delete(
    job: &Job<'_>,
    deleted: &Object,
    deed: impl FnOnce(&mut State) -> Result<Deed, ApiError>,
) -> Result<Done, ApiError> {
    let mut state = job.world.state();
    let now_ms = job.world.clock.now_ms();
    let change = change(job, now_ms, deed(&mut state)?);
    if let Some(failing) = job.manner.failure {
        return Err(fail(job, &mut state, None, failing, change)?);
    }
    commit(job, &mut state, &Mutation::Changed { change, save: None })?;
    Ok(Done::ok(deleted))
}

fn commit(job: &Job<'_>, state: &mut State, mutation: &Mutation) -> Result<(), ApiError> {
    let written = job.world.commit(state, mutation);
    written.map_err(|_| ApiError::server(&job.request.id))
}

/// Commits a failure, if it is saved or has an effect. Returns the error that the caller gets.
fn fail(
    job: &Job<'_>,
    state: &mut State,
    save: Option<Save>,
    failing: Failing,
    change: Change,
) -> Result<ApiError, ApiError> {
    let error = ApiError::server(&job.request.id);
    let effect = failing.effect(change);
    if save.is_some() || effect.is_some() {
        let (scope, request) = (job.caller.scope.clone(), job.request.number);
        let failure = Failure { status: error.status, body: error.body() };
        let failed = Failed { scope, request, save, failure, effect };
        commit(job, state, &Mutation::Failed(Box::new(failed)))?;
    }
    Ok(error)
}

/// The change that a request makes.
fn change(job: &Job<'_>, now_ms: i64, what: Deed) -> Change {
    let Job { request, caller, manner, .. } = *job;
    let by = By {
        request: request.number,
        key: request.key.clone(),
        came_ms: manner.held_since_ms.unwrap_or(now_ms),
        platform: caller.platform.clone(),
    };
    Change { scope: caller.scope.clone(), at_ms: now_ms, by: Some(by), what }
}

impl Failing {
    /// The effect that a failing request has nevertheless.
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

/// Looks up the request's key: the saved answer, a refusal, or nothing if the request is new.
pub(super) fn replay(job: &Job<'_>, book: &Book, now_ms: i64) -> Result<Option<Done>, ApiError> {
    let Job { request, manner, .. } = *job;
    let Some(key) = &request.key else {
        return Ok(None);
    };
    let held = manner.held_since_ms.is_some();
    let record = match book.find(key, now_ms, held) {
        Found::Nothing => return Ok(None),
        Found::InFlight => return Err(ApiError::key_in_use(key)),
        Found::Saved(record) => record,
    };
    if record.save.endpoint != request.path {
        return Err(ApiError::other_endpoint(key, &record.save.endpoint, &request.path));
    }
    if record.save.fingerprint != request.form.fingerprint() {
        return Err(ApiError::other_parameters(key));
    }
    let status = match &record.answer {
        Answer::Failed(failure) => failure.status,
        _ => 200,
    };
    // The same form asks for the same expansions.
    let body = show(job, book, &record.answer);
    Ok(Some(Done { status, body, saved_by: Some(record.request) }))
}

fn show(job: &Job<'_>, book: &Book, answer: &Answer) -> String {
    let livemode = job.caller.scope.livemode;
    match answer {
        Answer::Customer { at, version } => {
            let version = book.customers.version(*at, *version);
            pretty(&customer::object(book, &version, livemode, job.request.expand()))
        }
        Answer::Endpoint { at, endpoint, new } => {
            pretty(&endpoint::object(book, *at, endpoint, livemode, *new))
        }
        Answer::Failed(failure) => failure.body.clone(),
    }
}

/// The key and the request under which an answer will be saved.
fn save(job: &Job<'_>, now_ms: i64) -> Option<Save> {
    let Job { request, manner, .. } = *job;
    request.key.as_ref().map(|key| Save {
        key: key.clone(),
        endpoint: request.path.clone(),
        fingerprint: request.form.fingerprint(),
        first_used_ms: manner.held_since_ms.unwrap_or(now_ms),
    })
}
