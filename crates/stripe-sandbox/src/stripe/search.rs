//! `GET /v1/customers/search`, which is behind by the configured lag.
//!
//! Search sees each Customer as it was that long ago. A Customer that was deleted since still shows
//! as a live one. That is why a client has to retrieve a hit before it believes it.

use serde_json::json;

use super::customer;
use super::error::ApiError;
use super::fields;
use super::job::{Done, Job};
use super::list::{self, At, Term};
use super::query::{self, Query};
use crate::state::book::Book;

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
        let version = customers.seen_at(at, horizon_ms)?;
        let created = version.created_ms.div_euclid(1000);
        query.holds(&version.details, created).then_some(version)
    };
    let all = 0..customers.len();
    let (positions, more) =
        list::page(all, rarest(book, &query), after, limit, |at| seen(at).is_some());
    let next_page = positions.last().filter(|_| more).map(|last| page(*last));
    let (livemode, expand) = (job.caller.scope.livemode, job.request.expand());
    let found = positions.into_iter().filter_map(seen);
    let objects = found.map(|version| customer::object(book, &version, livemode, expand));
    Ok(Done::ok(&json!({
        "object": "search_result",
        "data": objects.collect::<Vec<_>>(),
        "has_more": more,
        "next_page": next_page,
        "url": "/v1/customers/search",
    })))
}

/// The rarest of the values that every found Customer must have. If there is none, every
/// Customer has to be looked at.
fn rarest<'a>(book: &'a Book, query: &'a Query) -> Option<Term<'a>> {
    let exact = query.clauses.iter().filter_map(query::Clause::term);
    let usable = exact.filter(|_| !query.any || query.clauses.len() == 1);
    let terms = usable.map(|(field, value)| (&book.index, field, value));
    terms.min_by_key(|(index, field, value)| index.count(field, value))
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
