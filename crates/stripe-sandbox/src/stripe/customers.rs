//! `/v1/customers`, but for search.

use super::auth::Caller;
use super::error::ApiError;
use super::exchange::{Done, Manner, replay, save};
use super::list::{self, Source, Wanted};
use super::params::{Params, inner};
use super::request::Request;
use crate::state::customer::{Customer, Details};
use crate::state::mutation::{Created, Deleted, Failed, Failure, Mutation};
use crate::world::World;

/// Creates a Customer.
pub(super) fn create(
    world: &World,
    request: &Request,
    caller: &Caller,
    manner: Manner,
) -> Result<Done, ApiError> {
    let details = details(&request.params);
    let scope = &caller.scope;
    let mut state = world.state();
    let now_ms = world.clock.now_ms();
    let book = state.book(scope);
    if let Some(again) = replay(book, request, now_ms, scope.livemode, manner)? {
        return Ok(again);
    }
    let details = details?;
    let at_ms = book.stamp(now_ms);
    let save = save(request, now_ms, manner);
    let saved_by = save.as_ref().map(|_| request.id.clone());
    let failure = manner.failure.map(|_| {
        let error = ApiError::server(&request.id);
        Failure { status: error.status, body: error.body() }
    });
    let broken = |_| ApiError::server(&request.id);

    if let Some(failure) =
        failure.clone().filter(|_| manner.failure.is_some_and(|f| !f.side_effect))
    {
        let Failure { status, body } = failure.clone();
        if let Some(save) = save {
            let (scope, request) = (scope.clone(), request.id.clone());
            let failed = Mutation::Failed(Failed { scope, request, save, failure });
            state.commit(&failed, now_ms).map_err(broken)?;
        }
        return Ok(Done { status, body, saved_by });
    }

    let id = world.ids.mint("cus_", 14);
    let created = Mutation::Created(Created {
        scope: scope.clone(),
        at_ms,
        id: id.clone(),
        event: world.ids.mint("evt_", 24),
        request: request.id.clone(),
        details,
        save,
        failure: failure.clone(),
    });
    state.commit(&created, now_ms).map_err(broken)?;
    world.log().counters.customers_created += 1;
    if let Some(Failure { status, body }) = failure {
        return Ok(Done { status, body, saved_by });
    }
    let book = state.book(scope);
    let customer = book.live(&id).ok_or_else(|| ApiError::server(&request.id))?;
    let object = customer.object(customer.version(0), scope.livemode);
    Ok(Done { saved_by, ..Done::ok(&object) })
}

/// Retrieves a Customer, or says that it was deleted.
pub(super) fn retrieve(
    world: &World,
    request: &Request,
    caller: &Caller,
    id: &str,
) -> Result<Done, ApiError> {
    request.params.allow(|_| false)?;
    let mut state = world.state();
    let book = state.book(&caller.scope);
    if let Some(position) = book.position(id) {
        let customer = book.at(position);
        return Ok(match customer.deleted_ms {
            Some(_) => Done::ok(&customer.stub()),
            None => Done::ok(&customer.object(customer.current(), caller.scope.livemode)),
        });
    }
    Err(absent(&mut state, caller, id))
}

/// Deletes a Customer, for good.
pub(super) fn delete(
    world: &World,
    request: &Request,
    caller: &Caller,
    id: &str,
    manner: Manner,
) -> Result<Done, ApiError> {
    request.params.allow(|_| false)?;
    let broken = || ApiError::server(&request.id);
    let mut state = world.state();
    let now_ms = world.clock.now_ms();
    let book = state.book(&caller.scope);
    let Some(stub) = book.live(id).map(Customer::stub) else {
        return Err(absent(&mut state, caller, id));
    };
    if manner.failure.is_some_and(|failure| !failure.side_effect) {
        return Err(broken());
    }
    let deleted = Mutation::Deleted(Deleted {
        scope: caller.scope.clone(),
        at_ms: book.stamp(now_ms),
        id: id.to_owned(),
        event: world.ids.mint("evt_", 24),
        request: Some(request.id.clone()),
    });
    state.commit(&deleted, now_ms).map_err(|_| broken())?;
    world.log().counters.customers_deleted += 1;
    if manner.failure.is_some() { Err(broken()) } else { Ok(Done::ok(&stub)) }
}

/// Lists live Customers. It reads what was written, unlike search.
pub(super) fn list(world: &World, request: &Request, caller: &Caller) -> Result<Done, ApiError> {
    let params = &request.params;
    params.allow(|name| name == "email" || Wanted::knows(name))?;
    let wanted = Wanted::read(params)?;
    let email = params.get("email");

    let mut state = world.state();
    let book = state.book(&caller.scope);
    let at = wanted.at("customer", |id| book.position(id))?;
    let stretch = book.between(wanted.created_ms.start, wanted.created_ms.end);
    let source = match email {
        None => Source::Stretch(stretch.clone()),
        Some(email) => Source::Chain(Box::new(book.with_email(email))),
    };
    let keep = |position: u32| {
        let customer = book.at(position);
        customer.deleted_ms.is_none()
            && stretch.contains(&position)
            && email.is_none_or(|email| customer.current().email.as_deref() == Some(email))
    };
    let (positions, more) = list::page(source, at, wanted.limit, keep);
    let objects = positions.into_iter().map(|position| {
        let customer = book.at(position);
        customer.object(customer.current(), caller.scope.livemode)
    });
    Ok(Done::ok(&list::object("/v1/customers", objects.collect(), more)))
}

/// Why there is no such Customer.
fn absent(state: &mut crate::state::State, caller: &Caller, id: &str) -> ApiError {
    let mut other = caller.scope.clone();
    other.livemode = !other.livemode;
    match state.book(&other).position(id) {
        Some(_) => ApiError::other_mode("customer", id, caller.scope.livemode),
        None => ApiError::no_such("customer", id, "id"),
    }
}

const TEXTS: [(&str, usize); 3] = [("name", 256), ("description", 5000), ("phone", 20)];

/// Reads the parameters of a create, as strictly as Stripe and no more so.
fn details(params: &Params) -> Result<Details, ApiError> {
    let known = |name: &str| {
        ["email", "metadata"].contains(&name)
            || TEXTS.iter().any(|(text, _)| *text == name)
            || name.starts_with("metadata[")
    };
    params.allow(known)?;
    for (name, longest) in TEXTS {
        let Some(text) = params.get(name) else {
            continue;
        };
        if text.chars().count() > longest {
            let message =
                format!("Invalid string: {}; must be at most {longest} characters", short(text));
            return Err(ApiError::invalid(name, message));
        }
    }
    // An empty value unsets a field, and here there is nothing to unset.
    let text = |name| params.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let email = text("email");
    if let Some(email) = email.as_deref().filter(|email| !is_email(email)) {
        return Err(ApiError::email(email));
    }
    Ok(Details {
        email,
        name: text("name"),
        description: text("description"),
        phone: text("phone"),
        metadata: metadata(params)?,
    })
}

/// The grammar that Stripe has been seen to enforce; what it lets pass is no business of ours.
fn is_email(email: &str) -> bool {
    let Some((local, domain)) = email.split_once('@') else {
        return false;
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '＠';
    email.chars().count() <= 512
        && !email.contains(odd)
        && !local.is_empty()
        && !domain.contains('@')
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty())
}

fn metadata(params: &Params) -> Result<Vec<(String, String)>, ApiError> {
    if params.get("metadata").is_some_and(|text| !text.is_empty()) {
        return Err(ApiError::invalid("metadata", "Invalid object".to_owned()));
    }
    let mut metadata: Vec<(String, String)> = Vec::new();
    for (name, value) in params.iter().filter(|(name, _)| name.starts_with("metadata[")) {
        let key =
            inner(name, "metadata").filter(|key| !key.is_empty() && !key.contains(['[', ']']));
        let Some(key) = key else {
            let message = "Metadata keys cannot be empty or contain square brackets.";
            return Err(ApiError::invalid(name, message.to_owned()));
        };
        let (key_length, value_length) = (key.chars().count(), value.chars().count());
        if key_length > 40 {
            let message = format!(
                "Metadata keys can have up to 40 characters, but you passed in a key that is \
                 {key_length} characters. Invalid key: {key}"
            );
            return Err(ApiError::invalid(name, message));
        }
        if value_length > 500 {
            let message = format!(
                "Metadata values can have up to 500 characters, but you passed in a value that is \
                 {value_length} characters. Invalid value: {value}"
            );
            return Err(ApiError::invalid(name, message));
        }
        metadata.retain(|(known, _)| known != key);
        if !value.is_empty() {
            metadata.push((key.to_owned(), value.to_owned()));
        }
    }
    if metadata.len() > 50 {
        let message =
            format!("Metadata can have up to 50 keys, but you passed in {}.", metadata.len());
        return Err(ApiError::invalid("metadata", message));
    }
    Ok(metadata)
}

/// A long text's beginning and end.
fn short(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= 20 {
        return text.to_owned();
    }
    let part = |letters: &[char]| letters.iter().collect::<String>();
    format!("{}...{}", part(&letters[..10]), part(&letters[letters.len() - 10..]))
}
