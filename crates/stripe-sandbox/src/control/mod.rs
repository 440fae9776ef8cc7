//! The controls below `/_sandbox/`, for looking into the sandbox and breaking it over HTTP.
//!
//! They offer the Rust API once more, for tests in other languages and for people with curl or a
//! browser. There is no authentication: whoever reaches the port owns the sandbox. The OpenAPI
//! document is the table of routes, so a control that is not documented cannot be reached.

mod action;
mod input;
mod page;
mod rule;
mod view;

use std::sync::LazyLock;

use serde_json::{Value, json};

use self::action::run;
use self::input::{BadInput, Refusal};
use crate::stripe::matched;
use crate::world::World;

const OPENAPI: &str = include_str!("openapi.json");

/// The routes of the document: an upper-case method, a path and an operation.
static ROUTES: LazyLock<Vec<(String, String, String)>> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(OPENAPI).expect("the document is JSON");
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.filter_map(move |(method, operation)| {
            let operation = operation["operationId"].as_str()?;
            Some((method.to_uppercase(), path.clone(), operation.to_owned()))
        })
    });
    operations.collect()
});

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

    fn error(status: u16, message: &str) -> Page {
        Page::json(status, &json!({"error": {"message": message}}))
    }
}

/// Whether a path is one of the controls'.
pub(crate) fn is_control(path: &str) -> bool {
    path.strip_prefix("/_sandbox").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a control request. `host` is the name under which the caller reached the sandbox.
pub(crate) async fn answer(
    world: &World,
    method: &str,
    path: &str,
    body: &[u8],
    host: &str,
) -> Page {
    let known = if path == "/_sandbox" { "/_sandbox/" } else { path };
    let found = ROUTES.iter().find_map(|(allowed, pattern, operation)| {
        let id = matched(pattern, known)?;
        (allowed == method).then_some((operation.as_str(), id))
    });
    match found {
        None => refused(Refusal::NoSuchControl),
        Some(("statusPage", _)) => {
            let body = page::render(world, host);
            Page { status: 200, kind: "text/html; charset=utf-8", body }
        }
        Some(("openapi", _)) => {
            Page { status: 200, kind: "application/json", body: OPENAPI.to_owned() }
        }
        Some((operation, id)) => match run(operation, world, id, body).await {
            Ok(value) => Page::json(200, &value),
            Err(refusal) => refused(refusal),
        },
    }
}

fn refused(refusal: Refusal) -> Page {
    match refusal {
        Refusal::Input(BadInput { field, message }) => {
            Page::json(400, &json!({"error": {"field": field, "message": message}}))
        }
        Refusal::NoSuchControl => {
            Page::error(404, "There is no such control. /_sandbox/openapi.json describes them all.")
        }
        Refusal::NoSuchCustomer => Page::error(404, "No live Customer has this id."),
        Refusal::File(why) => {
            Page::error(500, &format!("The state file could not be written: {why}"))
        }
    }
}
