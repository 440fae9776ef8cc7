//! A webhook endpoint as Stripe shows it.

use serde_json::json;

use super::object::Object;
use super::version::API_VERSION;
use crate::state::book::Book;
use crate::state::hooks::Endpoint;

/// Makes the object of an endpoint. Its secret is only shown when it is new.
pub(crate) fn object(
    book: &Book,
    at: u32,
    endpoint: &Endpoint,
    livemode: bool,
    new: bool,
) -> Object {
    let Endpoint { created_ms, details, .. } = endpoint;
    let fields = json!({
        "api_version": details.get("api_version"),
        "application": null,
        "created": created_ms.div_euclid(1000),
        "description": details.get("description"),
        "enabled_events": details.list("enabled_events"),
        "livemode": livemode,
        "metadata": details.metadata(),
        "status": if endpoint.is_enabled() { "enabled" } else { "disabled" },
        "url": details.get("url").unwrap_or_default(),
    });
    let object = Object::new("webhook_endpoint", book.endpoint_id(at), fields);
    object.with("secret", new.then(|| book.secret(at)))
}

/// The version in which an endpoint's events are made.
pub(crate) fn version(endpoint: &Endpoint) -> &str {
    endpoint.details.get("api_version").unwrap_or(API_VERSION)
}
