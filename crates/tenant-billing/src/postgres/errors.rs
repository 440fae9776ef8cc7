//! What a failure of PostgreSQL, or of the way to it, means to the protocol.
//!
//! Whatever may mend by itself (a server that restarts, fails over, is full or busy, a connection that
//! breaks) is "try again later"; whatever an operator must put right is not. Texts are the server's own
//! message without its detail, which may repeat a row.

use std::{error::Error as _, io};

use deadpool_postgres::PoolError;
use tenant_billing_core::ports::StoreError;
use tokio_postgres::{
    Error,
    error::{DbError, SqlState},
};

pub(super) fn failed(error: Error) -> StoreError {
    if let Some(said) = error.as_db_error() {
        return said_by_server(said);
    }
    match error.source() {
        // A connection that is closed, or a server that breaks off in the middle.
        None => StoreError::Unavailable(error.to_string()),
        Some(cause) => match cause.downcast_ref::<io::Error>() {
            Some(io) if !is_tls(io) => StoreError::Unavailable(format!("{error}: {io}")),
            // A certificate, a setting, a way to log in: these do not mend by themselves.
            _ => StoreError::Unfit(format!("{error}: {cause}")),
        },
    }
}

fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some())
}

fn said_by_server(said: &DbError) -> StoreError {
    let code = said.code();
    let text = format!("{} ({})", said.message(), code.code());
    let missing = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::DATATYPE_MISMATCH,
    ];
    if missing.contains(code) {
        // Its name is in the message in every language.
        return if said.message().contains("tenant_billing") {
            StoreError::SchemaMissing
        } else {
            StoreError::Unavailable(format!("the host's tables have changed: {text}"))
        };
    }
    if *code == SqlState::UNDEFINED_COLUMN {
        return StoreError::SchemaTooOld;
    }
    if *code == SqlState::CHECK_VIOLATION && said.schema() == Some("tenant_billing") {
        return StoreError::Corrupt(text);
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return StoreError::Unfit(format!(
            "{text}; `tenant-billing migrate --print-grants` lists what this role needs"
        ));
    }
    let damaged = [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED];
    if damaged.contains(code) {
        return StoreError::Corrupt(text);
    }
    match code.code().get(..2) {
        _ if *code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => StoreError::Unfit(text),
        // Connections, transactions that lost a race, resources, locks, an administrator's hand, a
        // read-only server, the disk, a bug of the server's.
        Some("08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX") => {
            StoreError::Unavailable(text)
        }
        _ => StoreError::Unfit(text),
    }
}

pub(super) fn no_connection(error: PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => failed(error),
        PoolError::Timeout(_) => StoreError::Unavailable(
            "all connections of the pool are busy, or none can be made in time".into(),
        ),
        error => StoreError::Unavailable(error.to_string()),
    }
}
