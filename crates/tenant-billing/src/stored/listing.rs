//! What an operator may have to look at, as both databases hold it.

use tenant_billing_core::ports::StoreError;

use crate::database::{Attention, Entry, Listing};

/// The statement that reads the cells of [`Cells::entry`](super::Cells::entry). Our tables have this prefix, and a column
/// that is null in this state stands for what the state does not know.
pub(crate) fn sql(what: Attention, prefix: &str, limit: u32) -> String {
    let (cells, table, these, since) = match what {
        Attention::InDoubt | Attention::Pending => (
            "opened_at, next_attempt_at, last_error, customer_id",
            "customer_provisioning",
            format!("state = '{}'", what.as_str()),
            "opened_at",
        ),
        Attention::Rejected => (
            "opened_at, conclusive_from, rejection_message, customer_id",
            "customer_provisioning",
            format!("state = '{}'", what.as_str()),
            "opened_at",
        ),
        Attention::Surplus => (
            "found_at, resolved_at, reason, customer_id",
            "surplus_customer",
            "resolved_at IS NULL".to_owned(),
            "found_at",
        ),
    };
    format!(
        "SELECT count(*) OVER (), tenant_id, {cells} FROM {prefix}{table}
         WHERE {these} ORDER BY {since}, tenant_id, customer_id LIMIT {limit}"
    )
}

/// The listing of what [`Cells::entry`](super::Cells::entry) has read.
pub(crate) fn of(
    entries: impl Iterator<Item = Result<(u64, Entry), StoreError>>,
) -> Result<Listing, StoreError> {
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let total = entries.first().map_or(0, |(total, _)| *total);
    Ok(Listing { entries: entries.into_iter().map(|(_, entry)| entry).collect(), total })
}
