//! Why there was no answer, in words that name nobody.
//!
//! The texts of reqwest's errors hold the URL, and with it the e-mail address of a list; those of TLS
//! and of proxies hold whatever a peer sent. So none of them is passed on: the chain of causes is
//! sorted into a handful of sentences of our own.

use std::{error::Error, io, iter};

use super::body::WindowClosed;

/// Of a request that did not get as far as the head of an answer.
pub(super) fn of_request(error: &reqwest::Error) -> String {
    if let Some(closed) = causes(error).find_map(|it| it.downcast_ref::<WindowClosed>()) {
        return closed.to_string();
    }
    let connecting = error.is_connect();
    if error.is_timeout() {
        return if connecting { "connecting timed out" } else { "timed out" }.into();
    }
    if error.is_dns() {
        return "the host's name cannot be resolved".into();
    }
    match causes(error).find_map(|it| it.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            return "the server's TLS certificate is not to be trusted".into();
        }
        Some(_) => return "TLS failed".into(),
        None => {}
    }
    match (connecting, io_kind(error)) {
        (true, Some(kind)) => format!("cannot connect: {kind}"),
        (true, None) => "cannot connect".into(),
        (false, Some(kind)) => format!("the connection failed: {kind}"),
        (false, None) => "the connection ended, or spoke no HTTP, before an answer".into(),
    }
}

/// Of an answer whose body did not come whole.
pub(super) fn of_body(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out within the answer's body".into();
    }
    match io_kind(error) {
        Some(kind) => format!("the answer's body was cut off: {kind}"),
        None => "the answer's body was cut off".into(),
    }
}

/// The error and what caused it. An I/O error is not the `source` of what it wraps: it is opened.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    iter::successors(Some(error as &(dyn Error + 'static)), |it| {
        match it.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => (*it).source(),
        }
    })
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    causes(error)
        .filter_map(|it| it.downcast_ref::<io::Error>())
        .map(io::Error::kind)
        .find(|kind| *kind != io::ErrorKind::Other)
}
