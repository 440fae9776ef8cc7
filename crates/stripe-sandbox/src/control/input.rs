//! Reading control input strictly: every refusal names the field, and unknown fields are refused.
//!
//! serde reads the input and `serde_path_to_error` says where it stopped. What is left to do here
//! is to name fields that are missing or unknown, which serde names in its message only.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The first fault in an input: the field, such as `fault.ms`, and why it is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadInput {
    pub(super) field: String,
    pub(super) message: String,
}

impl BadInput {
    pub(super) fn new(field: &str, message: impl Into<String>) -> BadInput {
        BadInput { field: field.to_owned(), message: message.into() }
    }
}

/// Why a control request was refused.
#[derive(Debug)]
pub(super) enum Refusal {
    Input(BadInput),
    NoSuchControl,
    NoSuchCustomer,
    File(std::io::Error),
}

impl From<BadInput> for Refusal {
    fn from(bad: BadInput) -> Refusal {
        Refusal::Input(bad)
    }
}

/// Reads the body of a request. An empty body is an object without fields.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, BadInput> {
    let body = if body.is_empty() { b"{}" } else { body };
    let value = serde_json::from_slice(body)
        .map_err(|why| BadInput::new("(body)", format!("must be a JSON object: {why}")))?;
    fields(value, "")
}

/// Reads a JSON object that stands in a field, or in none if it is the body.
pub(super) fn fields<T: DeserializeOwned>(value: Value, field: &str) -> Result<T, BadInput> {
    if !value.is_object() {
        let field = if field.is_empty() { "(body)" } else { field };
        return Err(BadInput::new(field, "must be a JSON object"));
    }
    serde_path_to_error::deserialize(value).map_err(|stopped| {
        let message = stopped.inner().to_string();
        let named = |start: &str| Some(message.strip_prefix(start)?.split_once('`')?.0.to_owned());
        let path = Some(stopped.path().to_string()).filter(|path| path != ".");
        let (path, message) = match (named("missing field `"), named("unknown field `")) {
            (Some(name), _) => (Some(name), "is missing".to_owned()),
            (_, Some(name)) => (Some(name), "is not known here".to_owned()),
            _ => (path, message),
        };
        let parts = [Some(field.to_owned()).filter(|field| !field.is_empty()), path];
        BadInput { field: parts.into_iter().flatten().collect::<Vec<_>>().join("."), message }
    })
}

/// A whole number within bounds, both included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Within<const FROM: u64, const TO: u64>(pub(super) u64);

/// Milliseconds that a caller may have to wait, at most a day.
pub(super) type Millis = Within<0, { 24 * 3600 * 1000 }>;

pub(super) type Count = Within<1, { u64::MAX }>;

impl<'de, const FROM: u64, const TO: u64> Deserialize<'de> for Within<FROM, TO> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)?.as_u64() {
            Some(number) if (FROM..=TO).contains(&number) => Ok(Within(number)),
            _ if TO == u64::MAX => {
                Err(D::Error::custom(format!("must be a whole number from {FROM}")))
            }
            _ => Err(D::Error::custom(format!("must be a whole number from {FROM} to {TO}"))),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chance(pub(super) f64);

impl<'de> Deserialize<'de> for Chance {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Chance, D::Error> {
        match Value::deserialize(from)?.as_f64() {
            Some(number) if (0.0..=1.0).contains(&number) => Ok(Chance(number)),
            _ => Err(D::Error::custom("must be a number from 0 to 1")),
        }
    }
}
