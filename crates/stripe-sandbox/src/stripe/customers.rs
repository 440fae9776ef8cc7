//! `/v1/customers`, but for search.

use super::auth::Caller;
use super::customer::{self, DeletedObject};
use super::error::ApiError;
use super::exchange::{Done, Manner};
use super::fields::{self, When};
use super::list::{self, Source, Wanted};
use super::post;
use super::request::Request;
use crate::state::State;
use crate::state::mutation::Deed;
use crate::world::World;

/// Creates a Customer.
pub(super) fn create(
    world: &World,
    request: &Request,
    caller: &Caller,
    manner: Manner,
) -> Result<Done, ApiError> {
    post::once(world, request, caller, manner, |_, caller| {
        let form = &request.form;
        fields::check(form, When::Create)?;
        let given = form.below("metadata").filter(|(_, value)| !value.is_empty());
        fields::most_metadata(given.count())?;
        if form.get("test_clock").is_some() && caller.scope.livemode {
            let message = "Test clocks can only be used in test mode.";
            return Err(ApiError::invalid("test_clock", message.to_owned()));
        }
        Ok(Deed::Created { form: form.clone() })
    })
}

/// Changes a Customer.
pub(super) fn update(
    world: &World,
    request: &Request,
    caller: &Caller,
    id: &str,
    manner: Manner,
) -> Result<Done, ApiError> {
    post::once(world, request, caller, manner, |state, caller| {
        let form = &request.form;
        fields::check(form, When::Update)?;
        let book = state.book(&caller.scope);
        let Some(customer) = book.live(id) else {
            return Err(absent(state, caller, id));
        };
        let mut after = book.customers.current(customer);
        after.apply(form);
        fields::most_metadata(after.metadata().len())?;
        Ok(Deed::Updated { customer, form: form.clone() })
    })
}

/// Retrieves a Customer, or says that it was deleted.
pub(super) fn retrieve(
    world: &World,
    request: &Request,
    caller: &Caller,
    id: &str,
) -> Result<Done, ApiError> {
    fields::allow(&request.form, fields::is_expand)?;
    let mut state = world.state();
    let book = state.book(&caller.scope);
    let Some(at) = book.position(id) else {
        return Err(absent(&mut state, caller, id));
    };
    if book.customers.deleted_ms(at).is_some() {
        return Ok(Done::ok(&stub(id)));
    }
    let details = book.customers.current(at);
    let livemode = caller.scope.livemode;
    Ok(Done::ok(&customer::object(book, at, &details, livemode, request.expand())))
}

/// Deletes a Customer, for good.
pub(super) fn delete(
    world: &World,
    request: &Request,
    caller: &Caller,
    id: &str,
    manner: Manner,
) -> Result<Done, ApiError> {
    fields::allow(&request.form, |_| false)?;
    post::delete(world, request, caller, manner, stub(id), |state, caller| {
        let live = state.book(&caller.scope).live(id);
        live.map(|customer| Deed::Deleted { customer }).ok_or_else(|| absent(state, caller, id))
    })
}

/// Lists live Customers. It reads what was written, unlike search.
pub(super) fn list(world: &World, request: &Request, caller: &Caller) -> Result<Done, ApiError> {
    let form = &request.form;
    let own = |name: &str| ["email", "test_clock"].contains(&name);
    fields::allow(form, |name| own(name) || Wanted::knows(name))?;
    let wanted = Wanted::read(form)?;
    let email = form.get("email");
    let clock = form.get("test_clock");

    let mut state = world.state();
    let book = &*state.book(&caller.scope);
    let customers = &book.customers;
    let at = wanted.at("customer", |id| book.position(id))?;
    let stretch = customers.between(&wanted.created_ms);
    let source = match email {
        None => Source::Stretch(stretch.clone()),
        Some(email) => {
            Source::Chain(Box::new(move |end| Box::new(book.with_term("email", email, end))))
        }
    };
    let keep = |position: u32| {
        if customers.deleted_ms(position).is_some() || !stretch.contains(&position) {
            return false;
        }
        let details = customers.current(position);
        // Those of a test clock are listed only to those who ask for that clock.
        details.get("test_clock") == clock
            && email.is_none_or(|email| details.get("email") == Some(email))
    };
    let (positions, more) = list::page(source, at, wanted.limit, keep);
    let all: Vec<_> = positions.iter().map(|at| (*at, customers.current(*at))).collect();
    let livemode = caller.scope.livemode;
    let objects = all
        .iter()
        .map(|(at, details)| customer::object(book, *at, details, livemode, request.expand()));
    Ok(Done::ok(&list::object("/v1/customers", objects.collect(), more)))
}

fn stub(id: &str) -> DeletedObject {
    DeletedObject { id: id.to_owned(), object: "customer", deleted: true }
}

/// Why there is no such Customer.
fn absent(state: &mut State, caller: &Caller, id: &str) -> ApiError {
    let mut other = caller.scope.clone();
    other.livemode = !other.livemode;
    match state.book(&other).position(id) {
        Some(_) => ApiError::other_mode("customer", id, caller.scope.livemode),
        None => ApiError::no_such("customer", id, "id"),
    }
}
