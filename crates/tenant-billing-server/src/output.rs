//! Prints results on standard output, and everything else on standard error.
//!
//! A standard stream that was closed before the program began is /dev/null by the time that Rust code
//! runs, and a result would be lost there without a word. `closed_streams.c` looks earlier.
//!
//! A reader may close the pipe early (`… | head -1`). That is no failure of the command, so a
//! broken pipe is ignored. Any other error, such as a full disk, is a failure.

use std::io::{self, Write};

use serde::Serialize;
use tenant_billing::ids::TenantId;

use crate::{causes, failure::Failure};

/// Names the standard streams, 0 and 1, that were closed when the program began.
const CLOSED: &str = "TENANT_BILLING_CLOSED_STREAMS";

/// Whether this standard stream was closed when the program began.
pub(crate) fn was_closed(stream: char) -> bool {
    std::env::var(CLOSED).is_ok_and(|closed| closed.contains(stream))
}

/// Prints lines on standard output.
///
/// # Errors
/// If it cannot be written to, unless its reader has closed it.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    if was_closed('1') {
        return Err(Failure::new(causes::OUTPUT, "standard output is closed"));
    }
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let message = format!("standard output cannot be written to: {error}");
            Err(Failure::new(causes::OUTPUT, message))
        }
        _ => Ok(()),
    }
}

/// Prints one JSON object on standard output.
///
/// # Errors
/// See [`print()`].
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value);
    print(&text.expect("structs of strings, numbers and booleans are always JSON"))
}

/// Prints a line on standard error.
pub(crate) fn say(text: &str) {
    // If this fails, there is nowhere left to report it.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Reports a failure: to people on standard error, to programs as JSON on standard output.
pub(crate) fn report(failure: &Failure, in_json: bool) {
    if in_json && print_json(&as_json(failure)).is_ok() {
        return;
    }
    say(&format!("error: {}\nhint: {}", failure.message, failure.hint));
}

/// The object that `--json` prints for a failure that is about one of several tenants.
pub(crate) fn of_tenant<'a>(tenant: &'a TenantId, failure: &'a Failure) -> impl Serialize + 'a {
    PrintedFailure { tenant_id: Some(tenant), ..as_json(failure) }
}

/// The object that `--json` prints for a failure that is about no tenant.
pub(crate) fn alone(failure: &Failure) -> impl Serialize + '_ {
    as_json(failure)
}

/// The part of these objects that says what went wrong.
pub(crate) fn error_of(failure: &Failure) -> impl Serialize + '_ {
    as_json(failure).error
}

/// The object that `--json` prints for a failure.
#[derive(Serialize)]
struct PrintedFailure<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a TenantId>,
    error: PrintedError<'a>,
}

#[derive(Serialize)]
struct PrintedError<'a> {
    code: &'static str,
    cause: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    message: &'a str,
    hint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    customer_may_exist: bool,
}

fn as_json(failure: &Failure) -> PrintedFailure<'_> {
    PrintedFailure {
        tenant_id: None,
        error: PrintedError {
            code: failure.cause.exit.code(),
            cause: failure.cause.name,
            field: failure.field.as_deref(),
            message: &failure.message,
            hint: &failure.hint,
            retry_after_seconds: failure.retry_after.map(|after| after.as_secs_f64().ceil() as u64),
            customer_may_exist: failure.customer_may_exist,
        },
    }
}
