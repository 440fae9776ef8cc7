//! `list`: what an operator may have to look at, without knowing a tenant's id.

use jiff::Timestamp;
use serde::Serialize;
use tenant_billing::{
    Attention, Entry, Listing,
    ids::{CustomerId, TenantId},
};

use crate::{cli::List, exit::Exit, failure::Failure, output, session::Session};

/// The object that `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    state: &'static str,
    total: u64,
    entries: Vec<PrintedEntry<'a>>,
}

/// An entry of `list` and of `recover`.
#[derive(Serialize)]
pub(super) struct PrintedEntry<'a> {
    tenant_id: &'a TenantId,
    state: &'static str,
    since: Timestamp,
    due: Option<Timestamp>,
    why: Option<&'a str>,
    stripe_customer_id: Option<&'a CustomerId>,
}

impl<'a> PrintedEntry<'a> {
    pub(super) fn of(what: Attention, entry: &'a Entry) -> Self {
        let Entry { tenant, since, due, why, customer } = entry;
        Self {
            tenant_id: tenant,
            state: what.as_str(),
            since: *since,
            due: *due,
            why: why.as_deref(),
            stripe_customer_id: customer.as_ref(),
        }
    }
}

/// Prints the entries.
pub(crate) async fn run(session: &Session, arguments: &List) -> Result<Exit, Failure> {
    let what = Attention::from(arguments.state);
    let listing = session.store.list(what, arguments.limit).await?;
    let Listing { entries, total } = &listing;
    if arguments.json {
        let entries = entries.iter().map(|entry| PrintedEntry::of(what, entry)).collect();
        output::print_json(&Printed { state: what.as_str(), total: *total, entries })?;
        return Ok(Exit::Done);
    }
    for entry in entries {
        output::print(&line(what, entry))?;
    }
    if let Some(more) = more(&listing) {
        output::say(&format!("{more}; --limit shows more"));
    }
    if entries.is_empty() {
        output::say(&format!("nothing is {} in {}", in_words(what), session.place));
    }
    Ok(Exit::Done)
}

/// How many entries are not shown, if any.
pub(super) fn more(listing: &Listing) -> Option<String> {
    let shown = u64::try_from(listing.entries.len()).unwrap_or(u64::MAX);
    let more = listing.total.saturating_sub(shown);
    (more > 0).then(|| format!("and {more} more"))
}

fn in_words(what: Attention) -> &'static str {
    match what {
        Attention::InDoubt => "in doubt",
        Attention::Pending => "pending",
        Attention::Rejected => "rejected",
        Attention::Surplus => "surplus",
    }
}

/// An entry as a line for people: the tenant, the Customer if it is about one, since when, when it is
/// due, and why it is not done.
pub(super) fn line(what: Attention, entry: &Entry) -> String {
    let at = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let customer = entry.customer.as_ref().map(|it| format!("  {it}")).unwrap_or_default();
    let due = entry.due.map(|due| format!(", due {}", at(due))).unwrap_or_default();
    let why = entry.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{}{customer}  {} since {}{due}{why}", entry.tenant, in_words(what), at(entry.since))
}
