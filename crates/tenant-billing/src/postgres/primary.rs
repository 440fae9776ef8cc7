//! How a read makes sure that the server which answers it is the primary.
//!
//! A server that takes no writes is a standby, or was cut off from its cluster, so what it shows
//! may be out of date.

use tenant_billing_core::ports::StoreError;
use tokio_postgres::Row;

/// An SQL expression: whether the server takes no writes. A read selects it as its first column.
pub(super) const READ_ONLY: &str = "current_setting('transaction_read_only') = 'on'";

/// Checks the first column of a read, which is [`READ_ONLY`].
///
/// # Errors
/// [`StoreError::Unavailable`] if the server is not the primary. The next call connects again.
pub(super) fn check(row: Option<&Row>) -> Result<(), StoreError> {
    match row.map(|row| row.try_get(0)) {
        Some(Ok(true)) => {
            let why = "this server is read-only, so another one must be the primary now";
            Err(StoreError::Unavailable(why.into()))
        }
        Some(Err(error)) => Err(StoreError::Corrupt(error.to_string())),
        Some(Ok(false)) | None => Ok(()),
    }
}
