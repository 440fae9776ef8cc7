//! `/_sandbox/…`: looking into the sandbox and breaking it, over HTTP.
//!
//! It is the Rust API once more, for tests in other languages and for people with curl or a browser.
//! There is no authentication: whoever reaches the port owns the sandbox. All of it is described in an
//! OpenAPI document, and a test holds the two together.

mod action;
mod input;
mod page;
mod rule;
mod view;

use serde_json::{Value, json};

use self::action::Action;
use self::input::BadInput;
use crate::world::World;

/// The OpenAPI document.
const OPENAPI: &str = include_str!("openapi.json");

/// What there is: method, path below `/_sandbox/`, what it does. `*` stands for an id.
const ROUTES: [(&str, &str, Action); 24] = [
    ("GET", "", Action::Page),
    ("GET", "openapi.json", Action::OpenApi),
    ("GET", "health", Action::Health),
    ("GET", "customers", Action::Customers),
    ("POST", "customers/*", Action::EditCustomer),
    ("DELETE", "customers/*", Action::DeleteCustomer),
    ("GET", "requests", Action::Requests),
    ("GET", "counters", Action::Counters),
    ("GET", "clock", Action::Clock),
    ("POST", "clock", Action::Advance),
    ("GET", "faults", Action::Faults),
    ("POST", "faults", Action::Arm),
    ("DELETE", "faults", Action::Disarm),
    ("PUT", "chaos", Action::SetChaos),
    ("DELETE", "chaos", Action::EndChaos),
    ("GET", "lag", Action::Lag),
    ("PUT", "lag", Action::SetLag),
    ("GET", "limits", Action::Limits),
    ("PUT", "limits", Action::SetLimits),
    ("POST", "outage", Action::Outage),
    ("GET", "webhooks", Action::Webhooks),
    ("PUT", "webhooks", Action::SetWebhooks),
    ("POST", "webhooks/flush", Action::FlushWebhooks),
    ("POST", "reset", Action::Reset),
];

/// What leaves.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

impl Page {
    fn json(status: u16, value: &Value) -> Page {
        Page { status, kind: "application/json", body: format!("{value:#}\n") }
    }
}

/// Why a control request was refused.
#[derive(Debug)]
enum Refusal {
    Input(BadInput),
    NoSuchCustomer,
    Journal(std::io::Error),
}

impl From<BadInput> for Refusal {
    fn from(bad: BadInput) -> Refusal {
        Refusal::Input(bad)
    }
}

/// The part of a path after `/_sandbox/`, if that is how it begins.
pub(crate) fn path(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/_sandbox")?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// Answers a control request. `what` is the path after `/_sandbox/`, `host` what the caller calls us.
pub(crate) async fn answer(
    world: &World,
    method: &str,
    what: &str,
    body: &[u8],
    host: &str,
) -> Page {
    let found = ROUTES.into_iter().find_map(|(known, pattern, action)| {
        let id = matched(pattern, what)?;
        (known == method).then_some((action, id))
    });
    let Some((action, id)) = found else {
        let message = format!("No such control endpoint: {method} /_sandbox/{what}");
        return Page::json(404, &json!({"error": {"message": message}}));
    };
    match action {
        Action::Page => {
            let body = page::render(world, host);
            Page { status: 200, kind: "text/html; charset=utf-8", body }
        }
        Action::OpenApi => Page { status: 200, kind: "application/json", body: OPENAPI.to_owned() },
        _ => match action.run(world, id, body).await {
            Ok(value) => Page::json(200, &value),
            Err(refusal) => refusal.page(),
        },
    }
}

impl Refusal {
    fn page(self) -> Page {
        match self {
            Refusal::Input(BadInput { field, message }) => {
                Page::json(400, &json!({"error": {"field": field, "message": message}}))
            }
            Refusal::NoSuchCustomer => {
                let message = "No live Customer has this id";
                Page::json(404, &json!({"error": {"message": message}}))
            }
            Refusal::Journal(why) => {
                let message = format!("The state file could not be written: {why}");
                Page::json(500, &json!({"error": {"message": message}}))
            }
        }
    }
}

/// The id in a path, empty where the pattern has none; none if the path is another.
fn matched<'a>(pattern: &str, what: &'a str) -> Option<&'a str> {
    match pattern.strip_suffix('*') {
        None => (pattern == what).then_some(""),
        Some(before) => what.strip_prefix(before).filter(|id| !id.is_empty() && !id.contains('/')),
    }
}

#[cfg(test)]
mod parsers;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    /// What is served and what the document describes are the same.
    #[test]
    fn the_document_has_every_route_and_no_other() {
        let served: BTreeSet<String> = super::ROUTES
            .into_iter()
            .map(|(method, path, _)| {
                format!("{} /_sandbox/{}", method.to_lowercase(), path.replace('*', "{id}"))
            })
            .collect();
        let document: Value = serde_json::from_str(super::OPENAPI).expect("JSON");
        let described: BTreeSet<String> = document["paths"]
            .as_object()
            .expect("paths")
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().expect("methods").keys();
                methods.filter(|m| *m != "parameters").map(move |method| format!("{method} {path}"))
            })
            .collect();
        assert_eq!(served, described);
    }
}
