//! The search query language.
//!
//! `email~'@example.com' AND -metadata['tenantId']:'it\'s' AND created>1700000000`. A clause is a
//! field, an operator and a value, and a `-` before it negates it. Clauses are joined by AND, which
//! may be left out, or by OR, but never by both. Values stand in single or double quotes, with
//! `\'`, `\"` and `\\` for characters that would end them. Numbers may stand without quotes, and so
//! does `null`, for a field that is not set. A query that is not in this language is refused and
//! never misread.

use super::error::ApiError;
use crate::state::details::Details;

/// The most clauses that Stripe reads.
const MOST: usize = 10;
/// The fewest characters of a part that Stripe looks for.
const SHORTEST_PART: usize = 3;

/// A query.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) clauses: Vec<Clause>,
    /// Whether one clause that holds is enough.
    pub(crate) any: bool,
}

/// One condition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    negated: bool,
    /// The name of the parameter that sets the field, or `created`.
    field: String,
    test: Test,
}

#[derive(Debug, PartialEq, Eq)]
enum Test {
    Is(String),
    Contains(String),
    /// The field is not set.
    Null,
    /// The field lies between two numbers, both included.
    Within(i64, i64),
}

impl Query {
    /// Whether a Customer with these details is found. `created` is in seconds.
    pub(crate) fn holds(&self, details: &Details, created: i64) -> bool {
        let mut clauses = self.clauses.iter();
        let holds = |clause: &Clause| clause.holds(details, created);
        if self.any { clauses.any(holds) } else { clauses.all(holds) }
    }
}

impl Clause {
    /// Whether the condition holds. Like Stripe, it does not tell upper from lower case.
    fn holds(&self, details: &Details, created: i64) -> bool {
        let actual = details.get(&self.field);
        let holds = match &self.test {
            Test::Is(value) => actual.is_some_and(|a| a.to_lowercase() == value.to_lowercase()),
            Test::Contains(part) => {
                actual.is_some_and(|a| a.to_lowercase().contains(&part.to_lowercase()))
            }
            Test::Null => actual.is_none(),
            Test::Within(from, until) => (*from..=*until).contains(&created),
        };
        holds != self.negated
    }

    /// The field and value that everything it finds must have.
    pub(crate) fn term(&self) -> Option<(&str, &str)> {
        match &self.test {
            Test::Is(value) if !self.negated => Some((&self.field, value)),
            _ => None,
        }
    }
}

/// Reads a query.
pub(crate) fn parse(query: &str) -> Result<Query, ApiError> {
    let mut rest = query.trim();
    let mut clauses = Vec::new();
    let mut any = None;
    while !rest.is_empty() {
        if !clauses.is_empty() {
            let (or, after) = joint(rest);
            if any.replace(or).is_some_and(|before| before != or) {
                let message = "You can't combine AND and OR in one query.";
                return Err(ApiError::invalid("query", message.to_owned()));
            }
            rest = after;
        }
        let (clause, after) = clause(rest)?;
        clauses.push(clause);
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Err(unreadable());
        }
        rest = after.trim_start();
    }
    if clauses.len() > MOST {
        let message = format!("A query can have up to {MOST} clauses.");
        return Err(ApiError::invalid("query", message));
    }
    if clauses.is_empty() {
        Err(unreadable())
    } else {
        Ok(Query { clauses, any: any == Some(true) })
    }
}

/// Whether the next clause is joined by OR, and the text after the word.
fn joint(rest: &str) -> (bool, &str) {
    match rest.split_once(char::is_whitespace) {
        Some((word, after)) if word.eq_ignore_ascii_case("and") => (false, after.trim_start()),
        Some((word, after)) if word.eq_ignore_ascii_case("or") => (true, after.trim_start()),
        _ => (false, rest),
    }
}

fn clause(text: &str) -> Result<(Clause, &str), ApiError> {
    let (negated, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    match name {
        "created" => {
            let (test, rest) = numeric(rest)?;
            Ok((Clause { negated, field: name.to_owned(), test }, rest))
        }
        "email" | "name" | "phone" => {
            let (test, rest) = textual(rest, name)?;
            Ok((Clause { negated, field: name.to_owned(), test }, rest))
        }
        "metadata" => {
            let inner = rest.strip_prefix('[').ok_or_else(unreadable)?;
            let (key, rest) = quoted(inner)?;
            let (test, rest) = textual(rest.strip_prefix(']').ok_or_else(unreadable)?, name)?;
            Ok((Clause { negated, field: format!("metadata[{key}]"), test }, rest))
        }
        _ if !name.is_empty() && rest.starts_with([':', '>', '<', '~', '[']) => {
            Err(unsupported(name))
        }
        _ => Err(unreadable()),
    }
}

/// Reads `:'value'`, `:null` or `~'part'`. Metadata cannot be searched for a part.
fn textual<'a>(text: &'a str, field: &str) -> Result<(Test, &'a str), ApiError> {
    if let Some(rest) = text.strip_prefix('~') {
        let (part, rest) = quoted(rest)?;
        if field == "metadata" {
            return Err(refused("The ~ operator is not supported for metadata."));
        }
        if part.chars().count() < SHORTEST_PART {
            return Err(refused("The ~ operator needs at least 3 characters."));
        }
        return Ok((Test::Contains(part), rest));
    }
    let value = match text.strip_prefix(':') {
        Some(value) => value,
        None if text.starts_with(['>', '<']) => {
            return Err(refused("The operators > and < are for numbers only."));
        }
        None => return Err(unreadable()),
    };
    if let Some(rest) = value.strip_prefix("null") {
        return Ok((Test::Null, rest));
    }
    let (value, rest) = quoted(value)?;
    Ok((Test::Is(value), rest))
}

/// Reads `:1700000000`, `>…`, `>=…`, `<…` or `<=…`, with or without quotes around the number.
fn numeric(text: &str) -> Result<(Test, &str), ApiError> {
    let operators = [">=", "<=", ">", "<", ":"];
    let found = operators.into_iter().find_map(|op| Some((op, text.strip_prefix(op)?)));
    let (operator, rest) = found.ok_or_else(unreadable)?;
    let (digits, rest) = if rest.starts_with(['\'', '"']) {
        quoted(rest)?
    } else {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        (rest[..end].to_owned(), &rest[end..])
    };
    let number: i64 = digits.parse().map_err(|_| unreadable())?;
    let (from, until) = match operator {
        ">=" => (number, i64::MAX),
        "<=" => (i64::MIN, number),
        ">" => (number.saturating_add(1), i64::MAX),
        "<" => (i64::MIN, number.saturating_sub(1)),
        _ => (number, number),
    };
    Ok((Test::Within(from, until), rest))
}

/// Reads a quoted string, and returns it with the text that follows.
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

fn refused(message: &str) -> ApiError {
    ApiError::invalid("query", message.to_owned())
}

fn unreadable() -> ApiError {
    refused(
        "We were unable to parse your search query. Try using the format \
         `metadata[\"key\"]:\"value\"` to query for metadata or key:\"value\" to query for other fields.",
    )
}

fn unsupported(field: &str) -> ApiError {
    let message = format!(
        "Field `{field}` is an unsupported search field for resource `customers`. See \
         http://stripe.com/docs/search#query-fields-for-customers for a list of supported fields."
    );
    ApiError::invalid("query", message)
}

#[cfg(test)]
mod tests;
