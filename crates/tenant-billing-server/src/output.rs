//! What is printed: results on standard output, all else on standard error.
//!
//! Whoever reads may go away first (`… | head -1`). That is no failure of the command, so a broken
//! pipe is passed over; a full disk is a failure, and is one here.

use std::io::{self, Write};

use serde::Serialize;

use crate::exit::Failure;

/// Prints lines on standard output.
///
/// # Errors
/// If it cannot be written to, unless nobody reads it any more.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::operator(
            format!("standard output cannot be written: {error}"),
            "run the same command again with its output going somewhere else",
        )),
        _ => Ok(()),
    }
}

/// Prints one JSON object on standard output.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value);
    print(&text.expect("structs of texts, numbers and truths are always JSON"))
}

/// Says something on standard error.
pub(crate) fn say(text: &str) {
    // There is nowhere left to complain to if this fails.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Tells of a failure: for people on standard error, for programs as JSON on standard output.
pub(crate) fn tell(failure: &Failure, in_json: bool) {
    if in_json && print_json(&as_json(failure)).is_ok() {
        return;
    }
    say(&format!("error: {}\nhint: {}", failure.message, failure.hint));
}

/// What `--json` prints of a failure.
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
