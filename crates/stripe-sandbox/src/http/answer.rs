//! Responses, with bodies that may stop halfway or be slow.

use std::future::poll_fn;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::trickle::Trickle;
use crate::stripe::exchange::{Pace, Reply};

/// An error that makes hyper drop the connection, on purpose.
#[derive(Debug)]
pub(super) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a fault ended the connection")
    }
}

impl std::error::Error for Broken {}

/// A body of any pace.
pub(super) type Payload = UnsyncBoxBody<Bytes, Broken>;

pub(super) fn stripe(reply: Reply, pace: Pace) -> Response<Payload> {
    let Reply { status, body, headers, .. } = reply;
    let mut response = plain(status, "application/json", body, pace);
    for (name, value) in headers {
        // A value that cannot stand in a header came from a header and was mangled. It is left out.
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// An answer with the headers that every answer has. The announced length is that of the whole
/// body.
pub(super) fn plain(
    status: u16,
    kind: &'static str,
    body: impl Into<Bytes>,
    pace: Pace,
) -> Response<Payload> {
    let body = body.into();
    let length = body.len();
    let mut response = Response::new(payload(body, pace));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn payload(mut body: Bytes, pace: Pace) -> Payload {
    let data = |bytes| Ok(Frame::data(bytes));
    match pace {
        Pace::Whole | Pace::SlowHeaders(_) => {
            Full::new(body).map_err(|never| match never {}).boxed_unsync()
        }
        Pace::Half => {
            let first = body.split_to(body.len() / 2);
            // The connection gets a turn to send the first half before it breaks.
            let end = stream::once(async {
                tokio::task::yield_now().await;
                Err(Broken)
            });
            let frames = stream::iter([data(first)]).chain(end);
            StreamBody::new(frames).boxed_unsync()
        }
        Pace::SlowBody(span) => {
            let frames =
                stream::unfold((body, Trickle::over(span)), |(mut rest, mut trickle)| async {
                    if rest.is_empty() {
                        return None;
                    }
                    let piece = poll_fn(|context| trickle.poll_piece(rest.len(), context)).await;
                    let piece = rest.split_to(piece);
                    Some((Ok(Frame::data(piece)), (rest, trickle)))
                });
            StreamBody::new(frames).boxed_unsync()
        }
    }
}
