//! How a read makes sure that the server which answers it is the primary.
//!
//! A server that takes no writes is a standby, or was cut off from its cluster, so what it shows
//! may be out of date.

use tenant_billing_core::ports::StoreError;
use tokio_postgres::Row;

/// An SQL expression: whether the server takes no writes. A read selects it as its first column.
pub(super) const READ_ONLY: &str = "current_setting('transaction_read_only') = 'on'";

/// The reason that [`check`] gives.
const WHY: &str = "this server is read-only, so another one must be the primary now";

/// Whether a text of ours says that the server takes no writes: this file's, the driver's when it
/// connects, or the server's own with its code.
pub(super) fn is_read_only(text: &str) -> bool {
    text == WHY || text.ends_with("database does not allow writes") || text.ends_with("(25006)")
}

/// Checks the first column of a read, which is [`READ_ONLY`].
///
/// # Errors
/// [`StoreError::Unavailable`] if the server is not the primary. The next call connects again.
pub(super) fn check(row: Option<&Row>) -> Result<(), StoreError> {
    match row.map(|row| row.try_get(0)) {
        Some(Ok(true)) => Err(StoreError::Unavailable(WHY.into())),
        Some(Err(error)) => Err(StoreError::Corrupt(error.to_string())),
        Some(Ok(false)) | None => Ok(()),
    }
}
