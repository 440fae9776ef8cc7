//! Why there was no answer, without personal data.
//!
//! The texts of reqwest's errors hold the URL, and the URL of a list holds an e-mail address. The
//! texts of TLS and proxies hold whatever a peer sent. So none of them is passed on: each chain of
//! causes is mapped to one of a few sentences of our own.

use std::{error::Error, io, iter};

use tenant_billing_core::answer::Answer;

use super::body::TooLate;
use crate::trust;

/// What became of a request that got no answer. A certificate is checked in the handshake, before
/// any byte of a request leaves.
pub(super) fn of_request(error: &reqwest::Error) -> Answer {
    match causes(error).find_map(|it| it.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(certificate)) if error.is_connect() => {
            let fault = trust::fault(certificate);
            Answer::Untrusted(format!("the server's TLS certificate {fault}"))
        }
        _ => Answer::NoAnswer(of_connection(error)),
    }
}

fn of_connection(error: &reqwest::Error) -> String {
    if let Some(too_late) = causes(error).find_map(|it| it.downcast_ref::<TooLate>()) {
        return too_late.to_string();
    }
    let connecting = error.is_connect();
    if error.is_timeout() {
        return if connecting { "connecting timed out" } else { "timed out" }.into();
    }
    if error.is_dns() {
        return "the host's name cannot be resolved".into();
    }
    if causes(error).any(<dyn Error>::is::<rustls::Error>) {
        return "TLS failed".into();
    }
    if let Some(why) = causes(error).find_map(of_proxy) {
        return why.into();
    }
    match (connecting, io_kind(error)) {
        (true, Some(kind)) => format!("cannot connect: {kind}"),
        (true, None) => "cannot connect".into(),
        (false, Some(kind)) => format!("the connection failed: {kind}"),
        (false, None) => "the connection ended, or spoke no HTTP, before an answer".into(),
    }
}

/// Why a proxy did not connect us. hyper-util does not export the type of this error.
fn of_proxy(error: &(dyn Error + 'static)) -> Option<&'static str> {
    match &*error.to_string() {
        "tunnel error: proxy authorization required" => {
            Some("the proxy in HTTPS_PROXY asks for a user and a password")
        }
        "tunnel error: unsuccessful" => Some("the proxy in HTTPS_PROXY refuses to connect"),
        _ => None,
    }
}

/// Why the body of an answer did not arrive whole.
pub(super) fn of_body(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out within the answer's body".into();
    }
    match io_kind(error) {
        Some(kind) => format!("the answer's body was cut off: {kind}"),
        None => "the answer's body was cut off".into(),
    }
}

/// The error and its causes. What an I/O error wraps is not its `source`, so it is taken out.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    iter::successors(Some(error as &(dyn Error + 'static)), |it| {
        match it.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => (*it).source(),
        }
    })
}

/// The kind of the first I/O error among the causes that has a telling kind.
fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    causes(error)
        .filter_map(|it| it.downcast_ref::<io::Error>())
        .map(io::Error::kind)
        .find(|kind| *kind != io::ErrorKind::Other)
}
