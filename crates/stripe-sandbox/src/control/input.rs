//! Reading control input strictly: every complaint names the field, and unknown fields are refused.
//!
//! serde would do the reading, but its errors name a field only where one is missing or unknown, and
//! not where its value is wrong.

use serde_json::{Map, Value};

/// What is wrong with the input, and in which field, such as `fault.ms`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadInput {
    pub(super) field: String,
    pub(super) message: String,
}

/// A JSON object, taken apart field by field.
#[derive(Debug)]
pub(super) struct Input {
    path: String,
    fields: Map<String, Value>,
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    path: String,
    value: Value,
}

impl Input {
    /// Reads a request's body; none is an object without fields.
    pub(super) fn read(body: &[u8]) -> Result<Input, BadInput> {
        let body = if body.is_empty() { b"{}" } else { body };
        let value = serde_json::from_slice(body).map_err(|why| BadInput {
            field: "(body)".to_owned(),
            message: format!("must be a JSON object: {why}"),
        })?;
        Field { path: String::new(), value }.object()
    }

    /// A field that must be there.
    pub(super) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Field) -> Result<T, BadInput>,
    ) -> Result<T, BadInput> {
        let field = self.at(name);
        let missing = || BadInput { field, message: "is missing".to_owned() };
        self.optional(name, read)?.ok_or_else(missing)
    }

    /// A field that may be left out, or be null.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Field) -> Result<T, BadInput>,
    ) -> Result<Option<T>, BadInput> {
        match self.fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(Field { path: self.at(name), value }).map(Some),
        }
    }

    /// All fields that are left, with their names.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, Field)> {
        let path = self.path;
        self.fields.into_iter().map(move |(name, value)| {
            let path = join(&path, &name);
            (name, Field { path, value })
        })
    }

    /// Refuses fields that nobody asked for.
    pub(super) fn end(self) -> Result<(), BadInput> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(BadInput { field: self.at(name), message: "is not known here".to_owned() })
            }
        }
    }

    fn at(&self, name: &str) -> String {
        join(&self.path, name)
    }
}

impl Field {
    pub(super) fn bad<T>(&self, message: &str) -> Result<T, BadInput> {
        let field = if self.path.is_empty() { "(body)" } else { &self.path };
        Err(BadInput { field: field.to_owned(), message: message.to_owned() })
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.value.as_str() == Some(text)
    }

    pub(super) fn object(self) -> Result<Input, BadInput> {
        match self.value {
            Value::Object(fields) => Ok(Input { path: self.path, fields }),
            _ => self.bad("must be a JSON object"),
        }
    }

    pub(super) fn text(self) -> Result<String, BadInput> {
        match self.value {
            Value::String(text) => Ok(text),
            _ => self.bad("must be a string"),
        }
    }

    pub(super) fn flag(self) -> Result<bool, BadInput> {
        self.value.as_bool().map_or_else(|| self.bad("must be true or false"), Ok)
    }

    pub(super) fn whole(self) -> Result<u64, BadInput> {
        self.value.as_u64().map_or_else(|| self.bad("must be a whole number from 0"), Ok)
    }

    pub(super) fn whole_up_to(self, most: u64) -> Result<u64, BadInput> {
        match self.value.as_u64() {
            Some(number) if number <= most => Ok(number),
            _ => self.bad(&format!("must be a whole number from 0 to {most}")),
        }
    }

    pub(super) fn counted(self) -> Result<u64, BadInput> {
        match self.value.as_u64() {
            Some(number) if number > 0 => Ok(number),
            _ => self.bad("must be a whole number from 1"),
        }
    }

    pub(super) fn probability(self) -> Result<f64, BadInput> {
        match self.value.as_f64() {
            Some(number) if (0.0..=1.0).contains(&number) => Ok(number),
            _ => self.bad("must be a number from 0 to 1"),
        }
    }

    pub(super) fn texts(self) -> Result<Vec<String>, BadInput> {
        let texts = self.value.as_array().and_then(|items| {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        texts.map_or_else(|| self.bad("must be a list of strings"), Ok)
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
