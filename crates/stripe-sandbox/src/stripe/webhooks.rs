//! `/v1/webhook_endpoints`: the endpoints that are told of events. The courier does the telling.

use super::endpoint::object;
use super::error::ApiError;
use super::fields::{self, is_expand, is_metadata};
use super::job::{Done, Job};
use super::list::{self, Wanted};
use super::object::deleted;
use super::post;
use super::version::is_version;
use crate::form::Form;
use crate::state::book::Book;
use crate::state::mutation::Deed;

/// The most endpoints that an account may have.
const MOST: usize = 16;

pub(super) fn create(job: &Job<'_>) -> Result<Done, ApiError> {
    post::once(job, |state| {
        let form = &job.request.form;
        check(form, &["url", "api_version", "connect", "description"])?;
        for name in ["enabled_events", "url"] {
            if form.get(name).is_none() && !form.has(name) {
                return Err(ApiError::missing(name));
            }
        }
        if form.get("api_version").is_some_and(|version| !is_version(version)) {
            let message = format!(
                "Invalid Stripe API version: {}",
                form.get("api_version").unwrap_or_default()
            );
            return Err(ApiError::invalid("api_version", message));
        }
        let live =
            state.book(&job.caller.scope).endpoints.iter().filter(|endpoint| !endpoint.deleted);
        if live.count() >= MOST {
            let message = format!("You have reached the maximum of {MOST} webhook endpoints.");
            return Err(ApiError::invalid("url", message));
        }
        Ok(Deed::EndpointCreated { form: form.clone() })
    })
}

pub(super) fn update(job: &Job<'_>, id: &str) -> Result<Done, ApiError> {
    post::once(job, |state| {
        check(&job.request.form, &["url", "disabled", "description"])?;
        let endpoint = find(state.book(&job.caller.scope), id)?;
        Ok(Deed::EndpointUpdated { endpoint, form: job.request.form.clone() })
    })
}

pub(super) fn retrieve(job: &Job<'_>, id: &str) -> Result<Done, ApiError> {
    fields::allow(&job.request.form, is_expand)?;
    let mut state = job.world.state();
    let book = state.book(&job.caller.scope);
    let at = find(book, id)?;
    Ok(Done::ok(&object(book, at, &book.endpoints[at as usize], job.caller.scope.livemode, false)))
}

/// Deletes an endpoint, and with it the deliveries on their way to it.
pub(super) fn delete(job: &Job<'_>, id: &str) -> Result<Done, ApiError> {
    fields::allow(&job.request.form, |_| false)?;
    post::delete(job, &deleted("webhook_endpoint", id), |state| {
        let endpoint = find(state.book(&job.caller.scope), id)?;
        Ok(Deed::EndpointDeleted { endpoint })
    })
}

/// Lists endpoints, newest first.
pub(super) fn list(job: &Job<'_>) -> Result<Done, ApiError> {
    let created = |name: &str| name.starts_with("created");
    fields::allow(&job.request.form, |name| Wanted::knows(name) && !created(name))?;
    let wanted = Wanted::read(&job.request.form)?;
    let mut state = job.world.state();
    let book = state.book(&job.caller.scope);
    let at = wanted.at("webhook endpoint", |id| book.endpoint(id))?;
    let all = 0..book.endpoints.len() as u32;
    let keep = |at: u32| !book.endpoints[at as usize].deleted;
    let (positions, more) = list::page(all, None, at, wanted.limit, keep);
    let livemode = job.caller.scope.livemode;
    let objects = positions
        .iter()
        .map(|at| object(book, *at, &book.endpoints[*at as usize], livemode, false));
    Ok(Done::ok(&list::object("/v1/webhook_endpoints", objects.collect(), more)))
}

fn find(book: &Book, id: &str) -> Result<u32, ApiError> {
    let live = |at: &u32| !book.endpoints[*at as usize].deleted;
    let found = book.endpoint(id).filter(live);
    found.ok_or_else(|| ApiError::no_such("webhook endpoint", id, "id"))
}

fn check(form: &Form, own: &[&str]) -> Result<(), ApiError> {
    let listed = |name: &str| name == "enabled_events" || name.starts_with("enabled_events[");
    fields::allow(form, |name| {
        own.contains(&name) || listed(name) || is_metadata(name) || is_expand(name)
    })?;
    fields::metadata(form)?;
    for name in ["connect", "disabled"] {
        list::flag(form, name)?;
    }
    if let Some(url) = form.get("url") {
        let host = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        if host.is_none_or(|host| host.is_empty() || host.starts_with(['/', ':'])) {
            let message = "Invalid URL: An explicit scheme (such as https) must be provided.";
            return Err(ApiError::invalid("url", message.to_owned()).code("url_invalid"));
        }
    }
    for (rest, event) in form.below("enabled_events") {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
        if event != "*" && (event.is_empty() || !event.contains('.') || !event.chars().all(good)) {
            let name = format!("enabled_events{rest}");
            let message = format!("Invalid {name}: must be the name of an event, or *");
            return Err(ApiError::invalid(&name, message));
        }
    }
    Ok(())
}
