//! A webhook endpoint as Stripe shows it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::version::API_VERSION;
use crate::state::book::Book;
use crate::state::hooks::Endpoint;

/// A webhook endpoint, field by field in Stripe's order.
#[derive(Debug, Serialize)]
pub(crate) struct EndpointObject<'a> {
    id: String,
    object: &'static str,
    api_version: Option<&'a str>,
    application: (),
    created: i64,
    description: Option<&'a str>,
    enabled_events: Vec<&'a str>,
    livemode: bool,
    metadata: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    status: &'static str,
    url: &'a str,
}

/// An endpoint as Stripe shows it. Its secret is only shown when it is new.
pub(super) fn object<'a>(
    book: &Book,
    at: u32,
    endpoint: &'a Endpoint,
    livemode: bool,
    new: bool,
) -> EndpointObject<'a> {
    let Endpoint { created_ms, details, .. } = endpoint;
    EndpointObject {
        id: book.endpoint_id(at),
        object: "webhook_endpoint",
        api_version: details.get("api_version"),
        application: (),
        created: created_ms.div_euclid(1000),
        description: details.get("description"),
        enabled_events: details.list("enabled_events"),
        livemode,
        metadata: details.metadata(),
        secret: new.then(|| book.secret(at)),
        status: if endpoint.is_enabled() { "enabled" } else { "disabled" },
        url: details.get("url").unwrap_or_default(),
    }
}

/// The version in which an endpoint's events are made.
pub(crate) fn version(endpoint: &Endpoint) -> &str {
    endpoint.details.get("api_version").unwrap_or(API_VERSION)
}
