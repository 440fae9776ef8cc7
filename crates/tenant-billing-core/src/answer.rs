//! What Stripe's answer means.
//!
//! Whether a Customer was created, and whether to send again, is decided by [`judge`] and nowhere
//! else, from status, headers and raw body. Parsing is lenient: a missing or new field never hides
//! the one thing that matters, the id of a Customer that exists. But what does not say that it is a
//! live Customer is never taken for one.

mod http;
mod objects;

use std::time::Duration;

pub use self::{
    http::{Answer, Headers, denies_account, request_id, status, summary},
    objects::{CreatedEvent, Customer, Page, Reading, account_id, created_events, customers, read},
};
use self::{
    http::{NO_ACCESS, StripeError, is_stripes_word, retry_after, stripe_error},
    objects::created,
};
use crate::{
    ids::CustomerId,
    request::{CustomerDetails, FrozenRequest},
};

/// What the answer to a creation says of the Customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It exists. A replayed answer is old, so the Customer may have been deleted since.
    Created {
        /// The Customer.
        customer: CustomerId,
        /// Whether Stripe repeated an earlier answer.
        replayed: bool,
    },
    /// The answer names no Customer.
    Failed(Failure),
}

/// Why a creation was not answered with a Customer, and what that says of its existence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// This request created no Customer and never will.
    Rejected(Rejection),
    /// Stripe stored a failure under the key and will answer nothing else. What that failure left
    /// behind is unknown.
    StoredFailure,
    /// The key was first used with another request.
    Mismatched,
    /// Stripe is working on another send of the same key.
    InFlight,
    /// There is none yet, or it is unknown. Send the same key again, after at least this long.
    Retry(Option<Duration>),
    /// There is none, and sending again does not help until an operator acts.
    Operator(Refusal),
}

/// What an operator must put right before Stripe does what it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing was sent: no TLS connection to Stripe can be trusted.
    Untrusted,
    /// Stripe does not accept the key.
    BadKey,
    /// The key may not act for the account that the request names.
    NotItsAccount,
    /// The key lacks a permission.
    NotPermitted,
    /// Something else.
    Unexpected,
}

/// Stripe's final refusal of one request, without personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Stripe rejected the request: {message}")]
pub struct Rejection {
    /// Stripe's `code`, such as `email_invalid`.
    pub code: Option<String>,
    /// The field that the refusal is about, such as `email`.
    pub param: Option<String>,
    /// Stripe's message, without what it repeats of the request.
    pub message: String,
}

/// Judges the answer to a creation of `request`; the first line that matches wins.
pub fn judge(answer: &Answer, request: &FrozenRequest) -> Verdict {
    let retry = Failure::Retry;
    let (status, headers, body) = match answer {
        Answer::Response { status, headers, body } => (status, headers, body),
        Answer::NoAnswer(_) => return Verdict::Failed(retry(None)),
        Answer::Untrusted(_) => {
            return Verdict::Failed(Failure::Operator(Refusal::Untrusted));
        }
    };
    let replayed = headers.get("Idempotent-Replayed") == Some("true")
        || headers.get("Original-Request").is_some_and(|id| headers.get("Request-Id") != Some(id));
    let customer = created(body);
    let error = stripe_error(body);
    let is = |kind| error.r#type.as_deref() == Some(kind);
    let param = error.param.as_deref();
    Verdict::Failed(match (*status, customer) {
        (200..=299, Some(customer)) => return Verdict::Created { customer, replayed },
        (200..=299, None) => retry(None),
        (400, _) if is("invalid_request_error") && param.is_some_and(|it| request.holds(it)) => {
            Failure::Rejected(rejection(error, request))
        }
        _ if replayed => Failure::StoredFailure,
        (400, _) if is("idempotency_error") => Failure::Mismatched,
        (409, _) => Failure::InFlight,
        (429, _) => retry(retry_after(headers)),
        _ if headers.get("Stripe-Should-Retry") == Some("true") => retry(retry_after(headers)),
        (400..=499, _) if error.r#type.is_some() => Failure::Operator(match *status {
            401 => Refusal::BadKey,
            403 if error.code.as_deref() == Some(NO_ACCESS) => Refusal::NotItsAccount,
            403 => Refusal::NotPermitted,
            _ => Refusal::Unexpected,
        }),
        // A 5xx, a 3xx, or a body that is not Stripe's: some machine in between has answered.
        _ => retry(retry_after(headers)),
    })
}

fn rejection(error: StripeError, request: &FrozenRequest) -> Rejection {
    let message = error.message.unwrap_or_else(|| "no message".into());
    let details = request.details().ok();
    let personal: Vec<&str> = details.iter().flat_map(CustomerDetails::personal).collect();
    let code = error.code.filter(|code| is_stripes_word(code));
    Rejection { code, param: error.param, message: scrub(message, &personal) }
}

/// The message without what it repeats of the request, or no message if it does so in a disguise.
fn scrub(mut message: String, personal: &[&str]) -> String {
    for text in personal {
        message = message.replace(text, "[…]");
    }
    let words = message.split_whitespace();
    let words = words.map(|word| if looks_personal(word) { "[…]" } else { word });
    let message = words.collect::<Vec<_>>().join(" ");
    let plain = |text: &str| {
        let decoded: String = form_urlencoded::parse(text.replace(['&', '='], " ").as_bytes())
            .map(|(text, _)| text.into_owned())
            .collect();
        decoded.to_lowercase()
    };
    let said = plain(&message);
    match personal.iter().any(|text| said.contains(&plain(text))) {
        true => "(its message repeats the request, and is left out)".into(),
        false => message,
    }
}

/// Whether a word may be an e-mail address (in any disguise) or a key.
pub fn looks_personal(word: &str) -> bool {
    let word = word.to_lowercase();
    ["@", "＠", "%40", "sk_", "rk_"].iter().any(|mark| word.contains(mark))
}
