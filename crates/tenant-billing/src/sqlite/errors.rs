//! What a SQLite error means to the protocol.

use rusqlite::{Error, ErrorCode, ffi::SQLITE_CONSTRAINT_TRIGGER};
use tenant_billing_core::ports::StoreError;

use crate::stored::without_personal_words;

/// The text of [`StoreError::Unavailable`] while the file is locked.
pub(super) const LOCKED: &str = "another connection holds the lock of the database file";

/// Converts the error of a statement. Its text never holds a bound value.
///
/// That a table or column is missing is [`StoreError::SchemaMismatch`] here.
/// [`explain`](super::schema::explain) then says whose it is.
pub(super) fn failed(error: Error) -> StoreError {
    let text = text_of(&error);
    match code_of(&error) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Unavailable(LOCKED.into())
        }
        // A resource may be short, or somebody has stopped the statement.
        Some(
            ErrorCode::DiskFull
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OperationAborted
            | ErrorCode::OperationInterrupted
            | ErrorCode::OutOfMemory
            | ErrorCode::SchemaChanged,
        ) => StoreError::Unavailable(text),
        Some(ErrorCode::SystemIoFailure) => StoreError::Unavailable(format!(
            "{text}; check that the disk is not full and that the file still exists"
        )),
        Some(
            ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch,
        ) => StoreError::Corrupt(text),
        // None of the others goes away by itself: a wrong path, a missing permission, or a statement
        // that this SQLite or these tables do not understand.
        Some(_) => StoreError::SchemaMismatch(text),
        // The error comes from the driver: most likely a cell holds a value of another type.
        None => StoreError::Corrupt(text),
    }
}

/// Whether the statement names a table or a column that does not exist.
pub(super) fn names_what_is_missing(text: &str) -> bool {
    text.starts_with("no such table")
        || text.starts_with("no such column")
        || (text.starts_with("table ") && text.contains(" has no column named "))
}

/// Converts the error of a write to the host's own table, whose constraints and triggers may refuse
/// it. `misfits` says what the table lacks, if anything; it is asked if SQLite does not understand
/// the statement.
pub(super) fn refused(
    table: &str,
    error: Error,
    misfits: impl FnOnce() -> Result<(), StoreError>,
) -> StoreError {
    match code_of(&error) {
        Some(ErrorCode::Unknown) => {
            if let Err(misfit) = misfits() {
                return misfit;
            }
        }
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {}
        _ => return failed(error),
    }
    let text = without_personal_words(&text_of(&error));
    let raised =
        error.sqlite_error().is_some_and(|it| it.extended_code == SQLITE_CONSTRAINT_TRIGGER);
    StoreError::Refused(match raised {
        true => format!("a trigger on {table} says: {text}"),
        false => format!("{table}: {text}"),
    })
}

fn code_of(error: &Error) -> Option<ErrorCode> {
    match error {
        Error::SqliteFailure(error, _) | Error::SqlInputError { error, .. } => Some(error.code),
        _ => None,
    }
}

/// SQLite's own words, without the statement.
fn text_of(error: &Error) -> String {
    match error {
        Error::SqlInputError { msg, .. } => msg.clone(),
        error => error.to_string(),
    }
}
