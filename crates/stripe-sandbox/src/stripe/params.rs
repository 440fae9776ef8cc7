//! Form-encoded parameters, from the body or the query.

use std::collections::BTreeMap;

use super::error::ApiError;
use crate::ids;

/// The parameters of a request, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Decodes a query or a form.
    pub(crate) fn decode(form: &[u8]) -> Params {
        Params(form_urlencoded::parse(form).into_owned().collect())
    }

    /// Adds those of a body to those of a query.
    pub(crate) fn and(mut self, more: Params) -> Params {
        self.0.extend(more.0);
        self
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a parameter; the last one counts.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter().filter(|(key, _)| *key == name).map(|(_, value)| value).last()
    }

    /// Refuses all parameters but these.
    pub(crate) fn allow(&self, known: impl Fn(&str) -> bool) -> Result<(), ApiError> {
        let mut unknown: Vec<&str> = self.iter().map(|(name, _)| name).collect();
        unknown.retain(|name| !known(name));
        unknown.dedup();
        if unknown.is_empty() { Ok(()) } else { Err(ApiError::unknown(&unknown)) }
    }

    /// A parameter that is a whole number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let wrong = |_| ApiError::integer(name, format!("Invalid integer: {text}"));
        text.parse().map(Some).map_err(wrong)
    }

    /// A hash that is the same for the same parameters in whatever order.
    pub(crate) fn fingerprint(&self) -> u64 {
        let last: BTreeMap<&str, &str> = self.iter().collect();
        let mut text = Vec::new();
        for part in last.iter().flat_map(|(name, value)| [name, value]) {
            text.extend_from_slice(&part.len().to_le_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        ids::hash(&text)
    }
}

/// The name inside `outer[…]`, if a parameter is of that form.
pub(crate) fn inner<'a>(name: &'a str, outer: &str) -> Option<&'a str> {
    name.strip_prefix(outer)?.strip_prefix('[')?.strip_suffix(']')
}
