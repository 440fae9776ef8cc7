//! An object as Stripe shows it, with its id first.

use serde::Serialize;
use serde_json::{Map, Value};

/// An object with its id, its kind and its other fields.
#[derive(Debug, Serialize)]
pub(crate) struct Object {
    id: String,
    object: &'static str,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Object {
    /// An object of a kind. The fields are those of a JSON object; any other value has none.
    pub(super) fn new(kind: &'static str, id: String, fields: Value) -> Object {
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Object { id, object: kind, fields }
    }

    /// Adds a field, if it has a value.
    pub(super) fn with(mut self, name: &str, value: Option<impl Into<Value>>) -> Object {
        self.fields.extend(value.map(|value| (name.to_owned(), value.into())));
        self
    }
}

/// The object that is left of a deleted one.
pub(super) fn deleted(kind: &'static str, id: &str) -> Object {
    Object::new(kind, id.to_owned(), serde_json::json!({"deleted": true}))
}
