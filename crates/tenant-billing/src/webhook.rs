//! Stripe's signed webhooks: checking the signature, and reading what the protocol needs.
//!
//! Stripe signs each delivery with HMAC-SHA256 over the delivery's time and its raw body, and sends
//! the signature in the header `Stripe-Signature`. [`verify`] checks the signature and reads the
//! event; [`WebhookEvent::apply`] hands the event to [`Billing`]. It is harmless if an event comes
//! late, out of order or more than once. Answer 2xx when `apply` has succeeded, 400 when `verify`
//! has failed, and 5xx when `apply` has failed, so that Stripe delivers the event again.
//!
//! Source: docs.stripe.com/webhooks, and `_webhook.py` of stripe-python.

use std::{fmt, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::Sha256;
use tenant_billing_core::{
    Billing, Error,
    ids::{CustomerId, Invalid},
};
use zeroize::Zeroizing;

/// The largest difference between a signature's time and ours, as in Stripe's own libraries. A
/// signature that is further off is refused.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// The secret of a webhook endpoint (`whsec_…`). It cannot be printed.
pub struct WebhookSecret(Zeroizing<String>);

impl WebhookSecret {
    /// Parses a secret.
    ///
    /// # Errors
    /// [`Invalid`] for field `webhook_secret` unless it is `whsec_` followed by visible ASCII
    /// characters, at most 255 in all. The reason never repeats the secret.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |reason: &str| Err(Invalid::new("webhook_secret", reason));
        match text.strip_prefix("whsec_") {
            None => wrong("does not begin with whsec_"),
            Some("") => wrong("is only the beginning of a secret"),
            Some(_) if text.len() > 255 => wrong("is longer than 255 characters"),
            Some(rest) if !rest.bytes().all(|b| b.is_ascii_graphic()) => {
                wrong("has a character that is not visible ASCII")
            }
            Some(_) => Ok(Self(Zeroizing::new(text.to_owned()))),
        }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// Why a delivery is refused. Answer the request with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The header is not of the form `t=…,v1=…`.
    #[error("the header Stripe-Signature is not of the form t=…,v1=…")]
    Malformed,
    /// No signature in the header belongs to this body and one of the secrets.
    #[error(
        "no signature matches; check that the endpoint's secret is right and that the body is raw, \
         as Stripe sent it"
    )]
    WrongSignature,
    /// The signature is older than [`TOLERANCE`], or as far in the future.
    #[error("the signature's time is more than 5 minutes off; check this machine's clock")]
    Stale,
    /// The signature is right, but the body is not an event that we can read.
    #[error("the body is not a Stripe event")]
    Unreadable,
}

/// A verified event: the part of it that the protocol needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    /// The event's own id (`evt_…`).
    pub id: String,
    /// What happened.
    pub kind: WebhookKind,
}

/// What happened, according to a verified event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookKind {
    /// `customer.created`.
    CustomerCreated {
        /// The Customer.
        customer: CustomerId,
        /// The idempotency key of the request that created it, if it had one.
        idempotency_key: Option<String>,
    },
    /// `customer.deleted`.
    CustomerDeleted(CustomerId),
    /// Another type of event, which the protocol does not need.
    Other(String),
}

/// Checks a delivery's signature and reads its event. The signature must match one of `secrets`;
/// pass several while one is being replaced. `body` is the raw body, and `now` the time of day.
///
/// # Errors
/// [`WebhookError`]; nothing in it repeats the body or a secret.
pub fn verify(
    secrets: &[WebhookSecret],
    signature: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<WebhookEvent, WebhookError> {
    let (mut time, mut signatures) = (None, Vec::new());
    for part in signature.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) => time = Some(value),
            Some(("v1", value)) => signatures.extend(unhex(value)),
            // Stripe adds other schemes, such as v0, and may add more.
            Some(_) | None => {}
        }
    }
    let time = time.ok_or(WebhookError::Malformed)?;
    let seconds: i64 = time.parse().map_err(|_| WebhookError::Malformed)?;
    if signatures.is_empty() {
        return Err(WebhookError::Malformed);
    }
    let matches = |secret: &WebhookSecret, signature: &[u8]| {
        let mac = Hmac::<Sha256>::new_from_slice(secret.0.as_bytes());
        // `verify_slice` takes the same time wherever the signatures differ.
        mac.is_ok_and(|mac| {
            let signed = mac.chain_update(time).chain_update(b".").chain_update(body);
            signed.verify_slice(signature).is_ok()
        })
    };
    if !secrets.iter().any(|secret| signatures.iter().any(|it| matches(secret, it))) {
        return Err(WebhookError::WrongSignature);
    }
    if now.as_second().abs_diff(seconds) > TOLERANCE.as_secs() {
        return Err(WebhookError::Stale);
    }
    parse(body).ok_or(WebhookError::Unreadable)
}

impl WebhookEvent {
    /// Applies the event: binds a Customer that one of our keys has created, or records that a
    /// Customer was deleted. Every other event is ignored.
    ///
    /// # Errors
    /// As [`Billing::customer_created`] and [`Billing::customer_deleted`].
    pub async fn apply(&self, billing: &Billing) -> Result<(), Error> {
        match &self.kind {
            WebhookKind::CustomerCreated { customer, idempotency_key: Some(key) } => {
                billing.customer_created(key, customer).await
            }
            WebhookKind::CustomerDeleted(customer) => billing.customer_deleted(customer).await,
            WebhookKind::CustomerCreated { idempotency_key: None, .. } | WebhookKind::Other(_) => {
                Ok(())
            }
        }
    }
}

/// A signature's bytes; `None` unless `text` consists of pairs of hexadecimal digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

fn parse(body: &[u8]) -> Option<WebhookEvent> {
    #[derive(Deserialize)]
    struct Event {
        id: String,
        r#type: String,
        data: Option<serde_json::Value>,
        request: Option<serde_json::Value>,
    }
    // Parsing is lenient: the endpoint's API version decides the payload's form, and in older
    // versions `request` is a text.
    let event: Event = serde_json::from_slice(body).ok()?;
    let customer = || CustomerId::parse(event.data.as_ref()?.pointer("/object/id")?.as_str()?).ok();
    let key = || event.request.as_ref()?.get("idempotency_key")?.as_str().map(str::to_owned);
    let kind = match event.r#type.as_str() {
        "customer.created" => {
            WebhookKind::CustomerCreated { customer: customer()?, idempotency_key: key() }
        }
        "customer.deleted" => WebhookKind::CustomerDeleted(customer()?),
        other => WebhookKind::Other(other.to_owned()),
    };
    Some(WebhookEvent { id: event.id, kind })
}

#[cfg(test)]
mod tests;
