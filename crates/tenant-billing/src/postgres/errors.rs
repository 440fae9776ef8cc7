//! What a failure of PostgreSQL, or of the connection to it, means to the protocol.
//!
//! A failure that may go away by itself is [`StoreError::Unavailable`], so the caller may retry: a
//! server that restarts, fails over, is full or busy, or a connection that breaks. Everything else
//! needs an operator. The texts are the server's own messages, without their details, which may
//! repeat a row.

use std::{error::Error as _, io};

use deadpool_postgres::PoolError;
use rustls::{CertificateError, OtherError};
use tenant_billing_core::ports::StoreError;
use tokio_postgres::{
    Error,
    error::{DbError, SqlState},
};

use super::tls::NotTrusted;
use crate::{stored::without_personal_words, trust::fault};

/// Converts an error of the driver.
pub(super) fn failed(error: Error) -> StoreError {
    if let Some(reported) = error.as_db_error() {
        return reported_by_server(reported);
    }
    match error.source() {
        // The connection is closed, or the server ended it in the middle of an answer.
        None => StoreError::Unavailable(error.to_string()),
        Some(cause) => match cause.downcast_ref::<io::Error>() {
            Some(io) => match io.get_ref().and_then(|it| it.downcast_ref()) {
                Some(tls) => StoreError::Tls(without_tls(tls)),
                None => StoreError::Unavailable(format!("{error}: {io}{}", unknown_host(io))),
            },
            None if error.to_string().contains("TLS") => StoreError::Tls(format!(
                "{cause}; turn ssl on at the server, or ask for less with sslmode=prefer (on a \
                 Unix socket there is no TLS)"
            )),
            // A wrong setting or login does not go away by itself.
            None => StoreError::SchemaMismatch(format!("{error}: {cause}")),
        },
    }
}

/// Why there is no TLS connection, and what to do. It does not go away by itself.
fn without_tls(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as A, Error as E};
    match error {
        E::InvalidCertificate(CertificateError::Other(OtherError(cause))) => {
            match cause.downcast_ref::<NotTrusted>() {
                Some(not_trusted) => not_trusted.to_string(),
                None => "the server's certificate is not one that rustls accepts".into(),
            }
        }
        E::InvalidCertificate(error) => format!("the server's certificate {}", fault(error)),
        E::AlertReceived(
            A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::CertificateRequired
            | A::UnknownCA
            | A::AccessDenied
            | A::DecryptError,
        ) => format!(
            "{error}: the server does not accept the certificate in sslcert, or wants one; name in \
             sslcert and sslkey one that an authority in its ssl_ca_file has signed"
        ),
        E::AlertReceived(_) | E::PeerIncompatible(_) => format!(
            "{error}: server and client have no version or cipher in common; let the server offer \
             TLS 1.2 or 1.3 (ssl_max_protocol_version)"
        ),
        _ => error.to_string(),
    }
}

/// What to do if the host's name has no address.
fn unknown_host(error: &io::Error) -> &'static str {
    match error.to_string().contains("failed to lookup address") {
        true => "; check the host in the URL, in which a password must be percent-encoded",
        false => "",
    }
}

/// Converts an error of a statement that writes a table of the host's, or of the commit that
/// follows. What does not pass is the host's own matter: its constraints, triggers and rights.
/// Where the server names no table and no column, the text says `table` and `column`.
pub(super) fn refused(error: Error, table: &str, column: &str) -> StoreError {
    let Some(said) = error.as_db_error().filter(|said| !may_pass(said)) else {
        return failed(error);
    };
    let table = match (said.schema(), said.table()) {
        (Some(schema), Some(table)) => format!("{schema}.{table}"),
        _ => table.to_owned(),
    };
    let place = match said.constraint() {
        Some(constraint) => format!("constraint {constraint}"),
        None => format!("column {}", said.column().unwrap_or(column)),
    };
    let cause = match *said.code() {
        SqlState::NOT_NULL_VIOLATION => "a column has no value and must not be null",
        SqlState::CHECK_VIOLATION => "a CHECK does not hold",
        SqlState::UNIQUE_VIOLATION => "another row has the same value of a unique key",
        SqlState::FOREIGN_KEY_VIOLATION => "a foreign key leads to no row",
        SqlState::STRING_DATA_RIGHT_TRUNCATION => "the value is too long for its column",
        SqlState::INSUFFICIENT_PRIVILEGE => "this role lacks a right",
        SqlState::RAISE_EXCEPTION => "a trigger raises an error",
        SqlState::GENERATED_ALWAYS => "the column is generated and cannot be written",
        _ => "the statement fails there",
    };
    let hint = if *said.code() == SqlState::INSUFFICIENT_PRIVILEGE { GRANTS } else { "" };
    let message = without_personal_words(said.message());
    let code = said.code().code();
    StoreError::Refused(format!("{table}, {place}: {cause}: {message} ({code}){hint}"))
}

/// Whether the error says that a schema, a table or a function does not exist.
pub(super) fn names_nothing(error: &Error) -> bool {
    let missing =
        [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_FUNCTION, SqlState::INVALID_SCHEMA_NAME];
    error.code().is_some_and(|code| missing.contains(code))
}

/// Whether an error is of a class that may go away by itself, or has nothing to do with the
/// statement.
fn may_pass(said: &DbError) -> bool {
    // The first two characters of a code are its class. 08: a connection; 25: a read-only server;
    // 40: a transaction that lost a race; 53: the server's resources; 55: locks; 57: an
    // administrator's intervention; 58: the disk; XX: a defect of the server's.
    const CLASSES: [&str; 8] = ["08", "25", "40", "53", "55", "57", "58", "XX"];
    *said.code() != SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
        && said.code().code().get(..2).is_some_and(|class| CLASSES.contains(&class))
}

const GRANTS: &str = "; `PostgresStore::grants` and `tenant-billing migrate --print-grants` list \
                      the rights that this role needs; to migrate, and to say which database this is \
                      (`account rebind`, `installation moved`, `copied` and `ignore`), use the role \
                      that owns the tables";

/// Converts an error that the server reported for a statement on our own tables, or for a read.
/// Whether something is missing because a schema or table has changed is for
/// [`explain`](super::diagnosis::explain) to find out.
fn reported_by_server(reported: &DbError) -> StoreError {
    let code = reported.code();
    // A trigger of the host's may have raised it.
    let text = format!("{} ({})", without_personal_words(reported.message()), code.code());
    let missing = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::UNDEFINED_COLUMN,
    ];
    if missing.contains(code) {
        // The message holds the name of what is missing, in every language.
        return if reported.message().contains("tenant_billing") {
            StoreError::Corrupt(format!("a part of our schema is missing: {text}"))
        } else {
            StoreError::SchemaMismatch(format!(
                "a statement needs a table, column or operator that is not there: {text}"
            ))
        };
    }
    if *code == SqlState::CHECK_VIOLATION && reported.schema() == Some("tenant_billing") {
        return StoreError::Corrupt(text);
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return StoreError::SchemaMismatch(format!("{text}{GRANTS}"));
    }
    if reported.message().contains("statement pooling mode") {
        return StoreError::SchemaMismatch(format!(
            "PgBouncer runs in statement mode, which allows no transactions: {text}; set its \
             pool_mode to transaction or session"
        ));
    }
    let damaged = [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED];
    if damaged.contains(code) {
        return StoreError::Corrupt(text);
    }
    if may_pass(reported) {
        return StoreError::Unavailable(text);
    }
    // Retrying does not help: the statement, the data or the login is wrong.
    StoreError::SchemaMismatch(format!("{text}{}", login_hint(reported)))
}

/// What to do about a login that the server refuses.
fn login_hint(reported: &DbError) -> &'static str {
    let message = reported.message();
    match *reported.code() {
        SqlState::INVALID_PASSWORD => {
            "; in the URL, a password's characters other than letters, digits and -._~ must be \
             percent-encoded (% is %25)"
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION if message.contains("certificate") => {
            "; name the client's certificate in sslcert and its key in sslkey"
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION if message.contains("no encryption") => {
            "; if the server takes TLS only, set sslmode=require"
        }
        _ => "",
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
