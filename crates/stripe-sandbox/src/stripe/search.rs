//! `GET /v1/customers/search`: behind its writes by the configured lag, and honest about nothing.
//!
//! What search sees is each Customer as it was that long ago. One that was deleted since still
//! shows, whole and live; that is why a hit has to be retrieved before it is believed.

use serde::Serialize;

use super::auth::Caller;
use super::error::ApiError;
use super::exchange::Done;
use super::list::{self, At, Source};
use super::query::{self, Clause};
use super::request::Request;
use crate::state::book::Book;
use crate::state::customer::CustomerObject;
use crate::world::World;

/// Of every clause, at most so many candidates are counted to find the rarest.
const COUNTED: usize = 1000;

/// Searches Customers, newest first.
pub(super) fn search(world: &World, request: &Request, caller: &Caller) -> Result<Done, ApiError> {
    let params = &request.params;
    params.allow(|name| ["query", "limit", "page"].contains(&name))?;
    let limit = list::limit(params)?;
    let clauses = query::parse(params.get("query").ok_or_else(|| ApiError::missing("query"))?)?;
    let after = params.get("page").map(|page| unpage(page).ok_or_else(|| bad_page(page)));
    let after = after.transpose()?.map(At::After);
    let lag_ms = i64::try_from(world.lag().search_seconds.saturating_mul(1000)).unwrap_or(i64::MAX);

    let mut state = world.state();
    let horizon_ms = world.clock.now_ms().saturating_sub(lag_ms);
    let book = state.book(&caller.scope);
    let Some(rarest) =
        clauses.iter().min_by_key(|clause| candidates(book, clause).take(COUNTED).count())
    else {
        return Err(ApiError::missing("query"));
    };
    let seen = |position: u32| {
        let details = book.at(position).seen_at(horizon_ms)?;
        clauses.iter().all(|clause| clause.holds(&details)).then_some(details)
    };
    let source = Source::Chain(Box::new(candidates(book, rarest)));
    let (positions, more) = list::page(source, after, limit, |at| seen(at).is_some());
    let next_page = positions.last().filter(|_| more).map(|last| page(*last));
    let objects: Vec<_> = positions
        .iter()
        .filter_map(|at| Some(book.at(*at).object(seen(*at)?, caller.scope.livemode)))
        .collect();
    Ok(Done::ok(&SearchResult {
        object: "search_result",
        data: objects,
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

fn candidates<'a>(book: &'a Book, clause: &Clause) -> impl Iterator<Item = u32> + use<'a> {
    book.with_term(&clause.field, &clause.value)
}

/// An opaque token: the position of the page's last Customer.
fn page(last: u32) -> String {
    format!("page_{last:08x}")
}

fn unpage(token: &str) -> Option<u32> {
    let digits = token.strip_prefix("page_").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok()
}

fn bad_page(token: &str) -> ApiError {
    ApiError::invalid("page", format!("Invalid page: {token}"))
}
