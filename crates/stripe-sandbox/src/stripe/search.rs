//! `GET /v1/customers/search`: behind its writes by the configured lag, and honest about nothing.
//!
//! What search sees is each Customer as it was that long ago. One that was deleted since still
//! shows, whole and live; that is why a hit has to be retrieved before it is believed.

use serde::Serialize;

use super::customer::{self, CustomerObject};
use super::error::ApiError;
use super::fields;
use super::job::{Done, Job};
use super::list::{self, At, Source};
use super::query::{self, Query};
use crate::state::book::Book;

/// Of every clause, at most so many candidates are counted to find the rarest.
const COUNTED: usize = 1000;

/// Searches Customers, newest first.
pub(super) fn search(job: &Job<'_>) -> Result<Done, ApiError> {
    let form = &job.request.form;
    let own = |name: &str| ["query", "limit", "page"].contains(&name);
    fields::allow(form, |name| own(name) || fields::is_expand(name))?;
    let limit = list::limit(form)?;
    let query = query::parse(form.get("query").ok_or_else(|| ApiError::missing("query"))?)?;
    let after = form.get("page").map(|page| unpage(page).ok_or_else(|| bad_page(page)));
    let after = after.transpose()?.map(At::After);
    let lag_ms =
        i64::try_from(job.world.lag().search_seconds.saturating_mul(1000)).unwrap_or(i64::MAX);

    let mut state = job.world.state();
    let horizon_ms = job.world.clock.now_ms().saturating_sub(lag_ms);
    let book = &*state.book(&job.caller.scope);
    let customers = &book.customers;
    let seen = |at: u32| {
        let details = customers.seen_at(at, horizon_ms)?;
        query.holds(&details, customers.created_ms(at).div_euclid(1000)).then_some(details)
    };
    let (positions, more) = list::page(source(book, &query), after, limit, |at| seen(at).is_some());
    let next_page = positions.last().filter(|_| more).map(|last| page(*last));
    let found: Vec<_> = positions.iter().filter_map(|at| Some((*at, seen(*at)?))).collect();
    let livemode = job.caller.scope.livemode;
    let objects = found
        .iter()
        .map(|(at, details)| customer::object(book, *at, details, livemode, job.request.expand()));
    Ok(Done::ok(&SearchResult {
        object: "search_result",
        data: objects.collect(),
        has_more: more,
        next_page,
        url: "/v1/customers/search",
    }))
}

#[derive(Debug, Serialize)]
struct SearchResult<'a> {
    object: &'static str,
    data: Vec<CustomerObject<'a>>,
    has_more: bool,
    next_page: Option<String>,
    url: &'static str,
}

/// Where to look: among those that have the rarest of the values that they all must have, or that the
/// only clause names; otherwise at every Customer.
fn source<'a>(book: &'a Book, query: &'a Query) -> Source<'a> {
    let exact = query.clauses.iter().filter_map(query::Clause::term);
    let usable = exact.filter(|_| !query.any || query.clauses.len() == 1);
    let count = |(field, value): &(&str, &str)| {
        book.with_term(field, value, u32::MAX).take(COUNTED).count()
    };
    match usable.min_by_key(count) {
        Some((field, value)) => {
            Source::Chain(Box::new(move |end| Box::new(book.with_term(field, value, end))))
        }
        None => Source::Stretch(0..book.customers.len()),
    }
}

/// An opaque token: the position of the page's last Customer.
fn page(last: u32) -> String {
    format!("page_{last:08x}")
}

fn unpage(token: &str) -> Option<u32> {
    let digits = token.strip_prefix("page_").filter(|digits| digits.len() == 8)?;
    let last = u32::from_str_radix(digits, 16).ok()?;
    // Only the one spelling that we write: `+0000001` is a number too.
    (page(last) == token).then_some(last)
}

fn bad_page(token: &str) -> ApiError {
    ApiError::invalid("page", format!("Invalid page: {token}"))
}

#[cfg(test)]
mod tests {
    use parser_inputs::{check, texts};
    use proptest::prelude::{Strategy, any};

    use super::{page, unpage};

    /// A page has one token, and no other reads as it.
    #[test]
    fn tokens_of_pages() {
        const WORDS: &[&str] = &["page_", "0", "f", "+", "-", "0000000", "A", "_"];
        check("page token", texts(any::<u32>().prop_map(page), WORDS), |token| {
            let last = unpage(&token);
            assert!(last.is_none_or(|last| page(last) == token), "{token}");
            last.is_some()
        });
    }
}
