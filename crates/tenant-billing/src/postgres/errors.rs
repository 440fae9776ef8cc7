//! What a failure of PostgreSQL, or of the connection to it, means to the protocol.
//!
//! A failure that may go away by itself is [`StoreError::Unavailable`], so the caller may retry: a
//! server that restarts, fails over, is full or busy, or a connection that breaks. Everything else
//! needs an operator. The texts are the server's own messages, without their details, which may
//! repeat a row.

use std::{error::Error as _, io};

use deadpool_postgres::PoolError;
use tenant_billing_core::ports::StoreError;
use tokio_postgres::{
    Error,
    error::{DbError, SqlState},
};

/// Converts an error of the driver.
pub(super) fn failed(error: Error) -> StoreError {
    if let Some(reported) = error.as_db_error() {
        return reported_by_server(reported);
    }
    match error.source() {
        // The connection is closed, or the server ended it in the middle of an answer.
        None => StoreError::Unavailable(error.to_string()),
        Some(cause) => match cause.downcast_ref::<io::Error>() {
            Some(io) if !is_tls(io) => StoreError::Unavailable(format!("{error}: {io}")),
            // A wrong certificate, setting or login does not go away by itself.
            Some(_) | None => StoreError::SchemaMismatch(format!("{error}: {cause}")),
        },
    }
}

fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some())
}

/// Converts an error that the server reported.
fn reported_by_server(reported: &DbError) -> StoreError {
    let code = reported.code();
    let text = format!("{} ({})", reported.message(), code.code());
    let missing = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::DATATYPE_MISMATCH,
    ];
    if missing.contains(code) {
        // The message holds the name of what is missing, in every language.
        return if reported.message().contains("tenant_billing") {
            StoreError::SchemaMissing
        } else {
            StoreError::Unavailable(format!("the host's tables have changed: {text}"))
        };
    }
    if *code == SqlState::UNDEFINED_COLUMN {
        return StoreError::SchemaTooOld;
    }
    if *code == SqlState::CHECK_VIOLATION && reported.schema() == Some("tenant_billing") {
        return StoreError::Corrupt(text);
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return StoreError::SchemaMismatch(format!(
            "{text}; `PostgresStore::grants` and `tenant-billing migrate --print-grants` list the \
             rights that this role needs"
        ));
    }
    let damaged = [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED];
    if damaged.contains(code) {
        return StoreError::Corrupt(text);
    }
    if *code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE {
        return StoreError::SchemaMismatch(text);
    }
    // The first two characters of a code are its class.
    match code.code().get(..2) {
        // 08: a connection; 25: a read-only server; 40: a transaction that lost a race; 53: the
        // server's resources; 55: locks; 57: an administrator's intervention; 58: the disk; XX: a
        // defect of the server's.
        Some("08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX") => {
            StoreError::Unavailable(text)
        }
        // Retrying does not help: the statement, the data or the login is wrong.
        Some(_) | None => StoreError::SchemaMismatch(text),
    }
}

/// Converts an error of the pool.
pub(super) fn no_connection(error: PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => failed(error),
        PoolError::Timeout(_) => StoreError::Unavailable(
            "no connection was free in time: all of the pool are busy, or none can be opened"
                .into(),
        ),
        PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            StoreError::Unavailable(error.to_string())
        }
    }
}
