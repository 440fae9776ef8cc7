//! What a SQLite error means to the protocol.

use rusqlite::ErrorCode;
use tenant_billing_core::ports::StoreError;

/// Converts a SQLite error. Its text never holds a bound value.
pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    let text = error.to_string();
    if text.contains("no such table") {
        return StoreError::SchemaMissing;
    }
    if text.contains("no such column") || text.contains("has no column") {
        return StoreError::SchemaTooOld;
    }
    match error.sqlite_error_code() {
        Some(
            ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch,
        ) => StoreError::Corrupt(text),
        Some(ErrorCode::SystemIoFailure) => StoreError::Unavailable(format!(
            "{text}; check that the disk is not full and that the file still exists"
        )),
        // A wrong path or a missing permission does not go away by itself.
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::SchemaMismatch(text)
        }
        // Another process may be writing, or a resource may be short.
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OperationAborted
            | ErrorCode::OperationInterrupted
            | ErrorCode::OutOfMemory
            | ErrorCode::SchemaChanged,
        ) => StoreError::Unavailable(text),
        // None of these is expected: a defect in SQLite or in this program, or a limit.
        Some(
            ErrorCode::ApiMisuse
            | ErrorCode::AuthorizationForStatementDenied
            | ErrorCode::InternalMalfunction
            | ErrorCode::NoLargeFileSupport
            | ErrorCode::NotFound
            | ErrorCode::ParameterOutOfRange
            | ErrorCode::TooBig
            | ErrorCode::Unknown,
        ) => StoreError::Unavailable(text),
        // The error comes from the driver, or its code is newer than this program.
        Some(_) | None => StoreError::Unavailable(text),
    }
}
