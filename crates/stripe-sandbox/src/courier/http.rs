//! One POST to a webhook endpoint.

use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONNECTION, CONTENT_TYPE, USER_AGENT};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Posts an event, and returns the status of the answer.
///
/// # Errors
/// When there is no answer. The sandbox speaks no TLS, so an `https` URL never answers.
pub(super) async fn post(url: &str, signature: &str, body: String) -> io::Result<u16> {
    let request = Request::post(url)
        .header(CONNECTION, "close")
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header(USER_AGENT, "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("Stripe-Signature", signature)
        .body(Full::new(Bytes::from(body)))
        .map_err(io::Error::other)?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.map_err(io::Error::other)?;
    Ok(answer.status().as_u16())
}
