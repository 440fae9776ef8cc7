//! The search query language, as far as the sandbox has it: exact clauses joined by AND.
//!
//! `email:'a@b.c' AND metadata['tenantId']:'it\'s'`. Values stand in single or double quotes, with
//! `\'`, `\"` and `\\` for what would end them. AND may be left out. The language's other parts
//! (OR, negation, substrings, numbers) are refused rather than misread.

use super::error::ApiError;
use crate::state::book::metadata_field;
use crate::state::customer::Details;

/// A field and the value it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) field: String,
    pub(crate) value: String,
    key: Option<String>,
}

impl Clause {
    /// Whether a Customer with these details has the value. Case is no matter, as in Stripe.
    pub(crate) fn holds(&self, details: &Details) -> bool {
        let actual = match (&self.key, self.field.as_str()) {
            (Some(key), _) => details.metadata(key),
            (None, "email") => details.email.as_deref(),
            (None, "name") => details.name.as_deref(),
            (None, _) => details.phone.as_deref(),
        };
        actual.is_some_and(|actual| actual.to_lowercase() == self.value.to_lowercase())
    }
}

/// Reads a query.
pub(crate) fn parse(query: &str) -> Result<Vec<Clause>, ApiError> {
    let mut rest = query.trim();
    let mut clauses = Vec::new();
    while !rest.is_empty() {
        if !clauses.is_empty() {
            rest = without_and(rest);
        }
        let (clause, after) = clause(rest)?;
        clauses.push(clause);
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Err(unreadable());
        }
        rest = after.trim_start();
    }
    if clauses.is_empty() { Err(unreadable()) } else { Ok(clauses) }
}

fn without_and(rest: &str) -> &str {
    match rest.split_once(char::is_whitespace) {
        Some((word, after)) if word.eq_ignore_ascii_case("and") => after.trim_start(),
        _ => rest,
    }
}

fn clause(text: &str) -> Result<(Clause, &str), ApiError> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let (field, key, rest) = match name {
        "email" | "name" | "phone" => (name.to_owned(), None, rest),
        "metadata" => {
            let inner = rest.strip_prefix('[').ok_or_else(unreadable)?;
            let (key, rest) = quoted(inner)?;
            let rest = rest.strip_prefix(']').ok_or_else(unreadable)?;
            (metadata_field(&key), Some(key), rest)
        }
        "" => return Err(unreadable()),
        _ if rest.starts_with([':', '>', '<', '~', '[']) => return Err(unsupported(name)),
        _ => return Err(unreadable()),
    };
    let (value, rest) = quoted(rest.strip_prefix(':').ok_or_else(unreadable)?)?;
    Ok((Clause { field, value, key }, rest))
}

/// A quoted string, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), ApiError> {
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c)).ok_or_else(unreadable)?;
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some((_, escaped @ ('\'' | '"' | '\\'))) => value.push(escaped),
                _ => return Err(unreadable()),
            },
            _ if character == quote => return Ok((value, &text[at + 1..])),
            _ => value.push(character),
        }
    }
    Err(unreadable())
}

fn unreadable() -> ApiError {
    let message = "We were unable to parse your search query. Try using the format \
                   `metadata[\"key\"]:\"value\"` to query for metadata or key:\"value\" to query for \
                   other fields.";
    ApiError::invalid("query", message.to_owned())
}

fn unsupported(field: &str) -> ApiError {
    let message = format!(
        "Field `{field}` is an unsupported search field for resource `customers`. See \
         http://stripe.com/docs/search#query-fields-for-customers for a list of supported fields."
    );
    ApiError::invalid("query", message)
}
