//! `/v1/customers`, without search.

use super::customer;
use super::error::ApiError;
use super::fields::{self, When};
use super::job::{Done, Job};
use super::list::{self, Wanted};
use super::object::deleted;
use super::post;
use crate::state::State;
use crate::state::mutation::{Deed, Scope};

pub(super) fn create(job: &Job<'_>) -> Result<Done, ApiError> {
    post::once(job, |_| {
        let form = &job.request.form;
        fields::check(form, When::Create)?;
        let given = form.below("metadata").filter(|(_, value)| !value.is_empty());
        fields::most_metadata(given.count())?;
        if form.get("test_clock").is_some() && job.caller.scope.livemode {
            let message = "Test clocks can only be used in test mode.";
            return Err(ApiError::invalid("test_clock", message.to_owned()));
        }
        Ok(Deed::Created { form: form.clone() })
    })
}

pub(super) fn update(job: &Job<'_>, id: &str) -> Result<Done, ApiError> {
    post::once(job, |state| {
        let form = &job.request.form;
        fields::check(form, When::Update)?;
        let book = state.book(&job.caller.scope);
        let Some(customer) = book.live(id) else {
            return Err(absent(state, &job.caller.scope, id));
        };
        let mut after = book.customers.current(customer).details;
        after.apply(form);
        fields::most_metadata(after.metadata().len())?;
        Ok(Deed::Updated { customer, form: form.clone() })
    })
}

/// Retrieves a Customer, or the object that is left of a deleted one.
pub(super) fn retrieve(job: &Job<'_>, id: &str) -> Result<Done, ApiError> {
    fields::allow(&job.request.form, fields::is_expand)?;
    let mut state = job.world.state();
    let book = state.book(&job.caller.scope);
    let Some(at) = book.position(id) else {
        return Err(absent(&mut state, &job.caller.scope, id));
    };
    if book.customers.deleted_ms(at).is_some() {
        return Ok(Done::ok(&deleted("customer", id)));
    }
    let now = book.customers.current(at);
    Ok(Done::ok(&customer::object(book, &now, job.caller.scope.livemode, job.request.expand())))
}

/// Deletes a Customer, for good.
pub(super) fn delete(job: &Job<'_>, id: &str) -> Result<Done, ApiError> {
    fields::allow(&job.request.form, |_| false)?;
    post::delete(job, &deleted("customer", id), |state| {
        let live = state.book(&job.caller.scope).live(id);
        live.map(|customer| Deed::Deleted { customer })
            .ok_or_else(|| absent(state, &job.caller.scope, id))
    })
}

/// Lists live Customers. Unlike search, a list is never behind.
pub(super) fn list(job: &Job<'_>) -> Result<Done, ApiError> {
    let form = &job.request.form;
    let own = |name: &str| ["email", "test_clock"].contains(&name);
    fields::allow(form, |name| own(name) || Wanted::knows(name))?;
    let wanted = Wanted::read(form)?;
    let email = form.get("email");
    let clock = form.get("test_clock");

    let mut state = job.world.state();
    let book = &*state.book(&job.caller.scope);
    let customers = &book.customers;
    let at = wanted.at("customer", |id| book.position(id))?;
    let stretch = customers.between(&wanted.created_ms);
    let term = email.map(|email| (&book.index, "email", email));
    let keep = |position: u32| {
        if customers.deleted_ms(position).is_some() {
            return false;
        }
        let details = customers.current(position).details;
        // The Customers of a test clock are only listed to those who ask for that clock.
        details.get("test_clock") == clock
            && email.is_none_or(|email| details.get("email") == Some(email))
    };
    let (positions, more) = list::page(stretch, term, at, wanted.limit, keep);
    let (livemode, expand) = (job.caller.scope.livemode, job.request.expand());
    let objects = positions
        .into_iter()
        .map(|at| customer::object(book, &customers.current(at), livemode, expand));
    Ok(Done::ok(&list::object("/v1/customers", objects.collect(), more)))
}

/// The error for a Customer that is not there.
fn absent(state: &mut State, scope: &Scope, id: &str) -> ApiError {
    let mut other = scope.clone();
    other.livemode = !other.livemode;
    match state.book(&other).position(id) {
        Some(_) => ApiError::other_mode("customer", id, scope.livemode),
        None => ApiError::no_such("customer", id, "id"),
    }
}
