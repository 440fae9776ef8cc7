//! Prints results on standard output, and everything else on standard error.
//!
//! A reader may close the pipe early (`… | head -1`). That is no failure of the command, so a
//! broken pipe is ignored. Any other error, such as a full disk, is a failure.

use std::io::{self, Write};

use serde::Serialize;

use crate::exit::Failure;

/// Prints lines on standard output.
///
/// # Errors
/// If it cannot be written to, unless its reader has closed it.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::operator(
            format!("standard output cannot be written to: {error}"),
            "send the output somewhere else, and run the same command again",
        )),
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

/// The object that `--json` prints for a failure.
#[derive(Serialize)]
struct PrintedFailure<'a> {
    error: PrintedError<'a>,
}

#[derive(Serialize)]
struct PrintedError<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    customer_may_exist: bool,
}

fn as_json(failure: &Failure) -> PrintedFailure<'_> {
    PrintedFailure {
        error: PrintedError {
            code: failure.code,
            field: failure.field.as_deref(),
            message: &failure.message,
            retry_after_seconds: failure.retry_after.map(|after| after.as_secs_f64().ceil() as u64),
            customer_may_exist: failure.customer_may_exist,
        },
    }
}
