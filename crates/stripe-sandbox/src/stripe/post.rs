//! A POST that makes or changes something, once for each idempotency key.
//!
//! All of it is one step under the state's lock: the key is looked up, the request checked, the change
//! written to the journal and applied, the answer saved. What differs between the endpoints is what is
//! to be done, and how it shows.

use super::customer::{self, DeletedObject};
use super::error::ApiError;
use super::job::{Done, Failing, Job};
use super::webhooks;
use crate::state::State;
use crate::state::book::Book;
use crate::state::mutation::{By, Change, Deed, Effect, Failed, Failure, Mutation, Save};
use crate::state::saved::{Answer, Found};

/// Does what `deed` makes of the account's data, or answers as before.
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
    let deed = deed(&mut state)?;
    let change = change(job, now_ms, deed);
    let save = save(job, now_ms);
    let saved_by = save.as_ref().map(|_| request.number);
    let broken = |_| ApiError::server(&request.id);

    let Some(failing) = manner.failure else {
        let mutation = Mutation::Changed { change: change.clone(), save };
        world.commit(&mut state, &mutation).map_err(broken)?;
        let book = state.book(&caller.scope);
        let body = show(job, book, &answer(book, &change.what));
        return Ok(Done { status: 200, body, saved_by });
    };
    let error = ApiError::server(&request.id);
    let failure = Failure { status: error.status, body: error.body() };
    let done = Done { status: failure.status, body: failure.body.clone(), saved_by };
    fail(job, &mut state, save, failure, failing.effect(change))?;
    Ok(done)
}

/// Deletes what `deed` finds. A DELETE has no idempotency key: where it fails, nothing is saved.
pub(super) fn delete(
    job: &Job<'_>,
    stub: &DeletedObject,
    deed: impl FnOnce(&mut State) -> Result<Deed, ApiError>,
) -> Result<Done, ApiError> {
    let Job { world, request, manner, .. } = *job;
    let mut state = world.state();
    let now_ms = world.clock.now_ms();
    let deed = deed(&mut state)?;
    let change = change(job, now_ms, deed);
    let broken = ApiError::server(&request.id);
    let Some(failing) = manner.failure else {
        let mutation = Mutation::Changed { change, save: None };
        return world.commit(&mut state, &mutation).map_or(Err(broken), |()| Ok(Done::ok(stub)));
    };
    let failure = Failure { status: broken.status, body: broken.body() };
    fail(job, &mut state, None, failure, failing.effect(change))?;
    Err(broken)
}

/// Commits a failure that is saved, or not without effect.
fn fail(
    job: &Job<'_>,
    state: &mut State,
    save: Option<Save>,
    failure: Failure,
    effect: Option<Effect>,
) -> Result<(), ApiError> {
    if save.is_none() && effect.is_none() {
        return Ok(());
    }
    let (scope, request) = (job.caller.scope.clone(), job.request.number);
    let failed = Failed { scope, request, save, failure, effect };
    let written = job.world.commit(state, &Mutation::Failed(Box::new(failed)));
    written.map_err(|_| ApiError::server(&job.request.id))
}

/// A change by a request.
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
pub(super) fn replay(job: &Job<'_>, book: &Book, now_ms: i64) -> Result<Option<Done>, ApiError> {
    let Job { request, manner, .. } = *job;
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
    let body = show(job, book, &record.answer);
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

fn show(job: &Job<'_>, book: &Book, answer: &Answer) -> String {
    let livemode = job.caller.scope.livemode;
    let customer = |at: u32, edits: u32| {
        let details = book.customers.version(at, edits as usize);
        super::pretty(&customer::object(book, at, &details, livemode, job.request.expand()))
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
fn save(job: &Job<'_>, now_ms: i64) -> Option<Save> {
    let Job { request, manner, .. } = *job;
    request.key.as_ref().map(|key| Save {
        key: key.clone(),
        endpoint: request.path.clone(),
        fingerprint: request.form.fingerprint(),
        first_used_ms: manner.held_since_ms.unwrap_or(now_ms),
    })
}
