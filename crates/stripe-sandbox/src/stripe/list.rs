//! Lists: the parameters that every list has, and pages by cursor, newest first.

use std::ops::Range;

use serde_json::{Value, json};

use super::error::ApiError;
use super::fields::is_expand;
use super::object::Object;
use crate::form::Form;
use crate::state::index::Index;

/// The parameters that a caller gave to a list.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) limit: usize,
    /// The object that the page follows or precedes, and the parameter that names it.
    cursor: Option<(&'static str, &'a str)>,
    /// Creation times in milliseconds: from the first on and before the second.
    pub(crate) created_ms: Range<i64>,
}

/// The position that a page follows or precedes. It is not on the page itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    After(u32),
    Before(u32),
}

/// The value that the objects of a list must have in a field, and the index that knows where.
pub(crate) type Term<'a> = (&'a Index, &'a str, &'a str);

const BOUNDS: [&str; 5] = ["created", "created[gt]", "created[gte]", "created[lt]", "created[lte]"];

impl Wanted<'_> {
    /// Whether a parameter belongs to every list.
    pub(crate) fn knows(name: &str) -> bool {
        ["limit", "starting_after", "ending_before"].contains(&name)
            || BOUNDS.contains(&name)
            || is_expand(name)
    }

    /// Reads the parameters that every list has.
    pub(crate) fn read(form: &Form) -> Result<Wanted<'_>, ApiError> {
        let named = |name| Some((name, form.get(name)?));
        let (after, before) = (named("starting_after"), named("ending_before"));
        if after.is_some() && before.is_some() {
            let message = "You can only use one of the parameters starting_after and \
                           ending_before at a time.";
            return Err(ApiError::invalid("starting_after", message.to_owned()));
        }
        let cursor = after.or(before);
        Ok(Wanted { limit: limit(form)?, cursor, created_ms: created(form)? })
    }

    /// Finds the cursor's position. An id that is not there is the caller's mistake.
    pub(crate) fn at(
        &self,
        what: &str,
        position: impl Fn(&str) -> Option<u32>,
    ) -> Result<Option<At>, ApiError> {
        let Some((param, id)) = self.cursor else {
            return Ok(None);
        };
        let position = position(id).ok_or_else(|| ApiError::no_such(what, id, param))?;
        let after = param == "starting_after";
        Ok(Some(if after { At::After(position) } else { At::Before(position) }))
    }
}

pub(crate) fn limit(form: &Form) -> Result<usize, ApiError> {
    let bound = match integer(form, "limit")? {
        None => return Ok(10),
        Some(limit @ 1..=100) => return Ok(limit as usize),
        Some(limit) if limit < 1 => ("greater than or equal to 1", limit),
        Some(limit) => ("less than or equal to 100", limit),
    };
    let message = format!("This value must be {} (it currently is '{}').", bound.0, bound.1);
    Err(ApiError::integer("limit", message))
}

fn integer(form: &Form, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = form.get(name) else {
        return Ok(None);
    };
    let wrong = |_| ApiError::integer(name, format!("Invalid integer: {text}"));
    text.parse().map(Some).map_err(wrong)
}

pub(crate) fn flag(form: &Form, name: &str) -> Result<Option<bool>, ApiError> {
    let Some(text) = form.get(name) else {
        return Ok(None);
    };
    let wrong = |_| ApiError::invalid(name, format!("Invalid boolean: {text}"));
    text.parse().map(Some).map_err(wrong)
}

/// Makes a page from a range of positions, or from those that a term names. Returns the positions
/// of the page, newest first, and whether there are more in its direction.
pub(crate) fn page(
    all: Range<u32>,
    term: Option<Term<'_>>,
    at: Option<At>,
    limit: usize,
    keep: impl Fn(u32) -> bool,
) -> (Vec<u32>, bool) {
    let within = match at {
        None => all,
        Some(At::After(at)) => all.start..all.end.min(at),
        Some(At::Before(at)) => all.start.max(at + 1)..all.end,
    };
    let found: Box<dyn DoubleEndedIterator<Item = u32> + '_> = match term {
        None => Box::new(within.rev()),
        Some((index, field, value)) => Box::new(index.find(field, value, within)),
    };
    let backwards = matches!(at, Some(At::Before(_)));
    let walk: Box<dyn Iterator<Item = u32> + '_> =
        if backwards { Box::new(found.rev()) } else { found };
    let mut positions: Vec<u32> = walk.filter(|position| keep(*position)).take(limit + 1).collect();
    let more = positions.len() > limit;
    positions.truncate(limit);
    if backwards {
        positions.reverse();
    }
    (positions, more)
}

/// Makes a list object with the URL that it was asked for at.
pub(crate) fn object(url: &str, data: Vec<Object>, has_more: bool) -> Value {
    json!({"object": "list", "data": data, "has_more": has_more, "url": url})
}

/// The bounds on `created`. Stripe counts in whole seconds, and the sandbox keeps milliseconds.
fn created(form: &Form) -> Result<Range<i64>, ApiError> {
    let mut from = i64::MIN;
    let mut until = i64::MAX;
    for name in BOUNDS {
        let Some(seconds) = integer(form, name)? else {
            continue;
        };
        let second = seconds.saturating_mul(1000);
        let next = seconds.saturating_add(1).saturating_mul(1000);
        match name {
            "created[gt]" => from = from.max(next),
            "created[gte]" => from = from.max(second),
            "created[lt]" => until = until.min(second),
            "created[lte]" => until = until.min(next),
            _ => (from, until) = (from.max(second), until.min(next)),
        }
    }
    Ok(from..until)
}
