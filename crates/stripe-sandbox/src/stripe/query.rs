//! The search query language.
//!
//! `email~'@example.com' AND -metadata['tenantId']:'it\'s' AND created>1700000000`. A clause is a
//! field, an operator and a value, and a `-` before it negates it. Clauses are joined by AND, which
//! may be left out, or by OR, but never by both. Values stand in single or double quotes, with
//! `\'`, `\"` and `\\` for characters that would end them. Numbers may stand without quotes, and so
//! does `null`, for a field that is not set. A query that is not in this language is refused and
//! never misread.

use super::error::ApiError;
use crate::form::Form;

/// The most clauses that Stripe reads.
const MOST: usize = 10;
/// The fewest characters of a part that Stripe looks for.
const SHORTEST_PART: usize = 3;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) clauses: Vec<Clause>,
    /// Whether one clause that holds is enough.
    pub(crate) any: bool,
}

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
    pub(crate) fn holds(&self, details: &Form, created: i64) -> bool {
        let mut clauses = self.clauses.iter();
        let holds = |clause: &Clause| clause.holds(details, created);
        if self.any { clauses.any(holds) } else { clauses.all(holds) }
    }
}

impl Clause {
    /// Whether the condition holds. Like Stripe, it does not tell upper from lower case.
    fn holds(&self, details: &Form, created: i64) -> bool {
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

pub(crate) fn parse(query: &str) -> Result<Query, ApiError> {
    let (first, mut rest) = clause(query.trim())?;
    let mut clauses = vec![first];
    let mut any = None;
    while !rest.is_empty() {
        let next = rest.strip_prefix(char::is_whitespace).ok_or_else(unreadable)?.trim_start();
        let (word, after) = next.split_once(char::is_whitespace).unwrap_or((next, ""));
        let or = word.eq_ignore_ascii_case("or");
        if any.replace(or).is_some_and(|before| before != or) {
            return Err(refused("You can't combine AND and OR in one query."));
        }
        let is_joint = or || word.eq_ignore_ascii_case("and");
        let (clause, after) = clause(if is_joint { after.trim_start() } else { next })?;
        clauses.push(clause);
        rest = after;
    }
    if clauses.len() > MOST {
        return Err(refused(&format!("A query can have up to {MOST} clauses.")));
    }
    Ok(Query { clauses, any: any == Some(true) })
}

/// Reads a clause, and returns it with the text that follows.
fn clause(text: &str) -> Result<(Clause, &str), ApiError> {
    let (negated, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let end = text.find([':', '~', '>', '<', '[']).ok_or_else(unreadable)?;
    let (name, mut rest) = text.split_at(end);
    let mut field = name.to_owned();
    match name {
        "created" | "email" | "name" | "phone" => {}
        "metadata" => {
            let key;
            (key, rest) = quoted(rest.strip_prefix('[').ok_or_else(unreadable)?)?;
            rest = rest.strip_prefix(']').ok_or_else(unreadable)?;
            field = format!("metadata[{key}]");
        }
        _ => return Err(unsupported(name)),
    }
    let operators = [">=", "<=", ">", "<", ":", "~"];
    let found = operators.into_iter().find_map(|op| Some((op, rest.strip_prefix(op)?)));
    let (operator, rest) = found.ok_or_else(unreadable)?;
    let (value, rest) = if rest.starts_with(['\'', '"']) {
        let (value, rest) = quoted(rest)?;
        (Some(value), rest)
    } else {
        let (word, rest) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        // Numbers and `null` are the only values without quotes.
        match (name, operator, word) {
            ("created", _, number) => (Some(number.to_owned()), rest),
            (_, ":", "null") => (None, rest),
            _ => return Err(unreadable()),
        }
    };
    let test = match (name, operator, value) {
        ("created", _, Some(number)) => within(operator, &number).ok_or_else(unreadable)?,
        (_, ":", None) => Test::Null,
        (_, ":", Some(value)) => Test::Is(value),
        ("metadata", "~", _) => {
            return Err(refused("The ~ operator is not supported for metadata."));
        }
        (_, "~", Some(part)) if part.chars().count() >= SHORTEST_PART => Test::Contains(part),
        (_, "~", _) => return Err(refused("The ~ operator needs at least 3 characters.")),
        _ => return Err(refused("The operators > and < are for numbers only.")),
    };
    Ok((Clause { negated, field, test }, rest))
}

/// The numbers that an operator before a number stands for.
fn within(operator: &str, number: &str) -> Option<Test> {
    let number: i64 = number.parse().ok()?;
    Some(match operator {
        ">=" => Test::Within(number, i64::MAX),
        "<=" => Test::Within(i64::MIN, number),
        ">" => Test::Within(number.saturating_add(1), i64::MAX),
        "<" => Test::Within(i64::MIN, number.saturating_sub(1)),
        ":" => Test::Within(number, number),
        _ => return None,
    })
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
