//! What Stripe's answer means.
//!
//! Whether a Customer was made, and whether to send again, is decided here and nowhere else, from
//! status, headers and raw body. Parsing is lenient: a field that is missing or new never hides the
//! one thing that matters, the id of a Customer that exists.

mod objects;

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use self::objects::id_of;
pub use self::objects::{
    CreatedEvent, Customer, Page, Reading, account_id, created_events, customers, read,
};
use crate::{
    ids::CustomerId,
    request::{CustomerDetails, FrozenRequest},
};

/// What came of one HTTP request to Stripe.
#[derive(Clone)]
pub enum Answer {
    /// A whole response: its status, its headers, its body as it came.
    Response {
        /// The HTTP status.
        status: u16,
        /// The headers.
        headers: Headers,
        /// The body, parsed by nobody yet.
        body: Bytes,
    },
    /// Nothing that can be read came back, so it is unknown whether Stripe did the work. The text
    /// says why, without URL, key or body.
    NoAnswer(String),
}

/// Response headers, looked up without regard to case.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The value of the first header of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// What the answer to a creation says of the Customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It exists. A replayed answer is old news, so the Customer may be gone since.
    Created {
        /// The Customer.
        customer: CustomerId,
        /// Whether Stripe repeated an earlier answer.
        replayed: bool,
    },
    /// It is not at hand.
    Failed(Failure),
}

/// Why a creation was not answered with a Customer, and what that says of its existence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It was not made, and this request never will be.
    Refused(Refusal),
    /// The key holds a failure whose side effects are unknown; it will never answer anything else.
    Spent,
    /// The key was first used with another request.
    Mismatched,
    /// Another send of the same key is being worked on.
    InFlight,
    /// Unknown or not made: the same key again, not before this long.
    Again(Option<Duration>),
    /// Not made, and no retry helps until somebody acts.
    Operator,
}

/// A final refusal by Stripe of one request, in words that name nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Stripe refused the request: {message}")]
pub struct Refusal {
    /// Stripe's `code`, such as `email_invalid`.
    pub code: Option<String>,
    /// The field that it is about, such as `email`.
    pub param: Option<String>,
    /// Stripe's message, scrubbed of what it repeats of the request.
    pub message: String,
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    error: StripeError,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StripeError {
    r#type: Option<String>,
    code: Option<String>,
    param: Option<String>,
    message: Option<String>,
}

/// Judges the answer to a creation of `request`; the first line that matches wins.
pub fn judge(answer: &Answer, request: &FrozenRequest) -> Verdict {
    let again = Failure::Again;
    let Answer::Response { status, headers, body } = answer else {
        return Verdict::Failed(again(None));
    };
    let replayed = headers.get("Idempotent-Replayed") == Some("true")
        || headers.get("Original-Request").is_some_and(|id| headers.get("Request-Id") != Some(id));
    let customer = id_of(body).and_then(|id| CustomerId::parse(&id).ok());
    let error = stripe_error(body);
    let is = |kind| error.r#type.as_deref() == Some(kind);
    let param = error.param.as_deref();
    Verdict::Failed(match (*status, customer) {
        (200..=299, Some(customer)) => return Verdict::Created { customer, replayed },
        (200..=299, None) => again(None),
        (400, _) if is("invalid_request_error") && param.is_some_and(|it| request.holds(it)) => {
            Failure::Refused(refusal(error, request))
        }
        _ if replayed => Failure::Spent,
        (400, _) if is("idempotency_error") => Failure::Mismatched,
        (409, _) => Failure::InFlight,
        (429, _) => again(retry_after(headers)),
        _ if headers.get("Stripe-Should-Retry") == Some("true") => again(retry_after(headers)),
        (400..=499, _) if error.r#type.is_some() => Failure::Operator,
        // A 5xx, a 3xx, or a body that is none of Stripe's: some machine in between has answered.
        _ => again(retry_after(headers)),
    })
}

/// The request id that Stripe gave, for the audit trail and Stripe's own support.
pub fn request_id(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Response { headers, .. } => headers.get("Request-Id"),
        Answer::NoAnswer(_) => None,
    }
}

/// The HTTP status, if there was an answer.
pub fn status(answer: &Answer) -> Option<u16> {
    match answer {
        Answer::Response { status, .. } => Some(*status),
        Answer::NoAnswer(_) => None,
    }
}

/// The answer in a few words that name nobody: status, type, code and param, but no message.
pub fn describe(answer: &Answer) -> String {
    match answer {
        Answer::NoAnswer(why) => format!("no answer: {why}"),
        Answer::Response { status, body, .. } => {
            let StripeError { r#type, code, param, .. } = stripe_error(body);
            let field = param.map(|param| param.split('[').next().unwrap_or_default().to_owned());
            let mut text = format!("HTTP {status}");
            for (name, word) in [("type", r#type), ("code", code), ("param", field)] {
                if let Some(word) = word.filter(|word| is_stripes_word(word)) {
                    text.push_str(&format!(" {name}={word}"));
                }
            }
            text
        }
    }
}

fn stripe_error(body: &[u8]) -> StripeError {
    serde_json::from_slice::<ErrorBody>(body).unwrap_or_default().error
}

fn retry_after(headers: &Headers) -> Option<Duration> {
    headers.get("Retry-After")?.trim().parse().ok().map(Duration::from_secs)
}

fn refusal(error: StripeError, request: &FrozenRequest) -> Refusal {
    let message = error.message.unwrap_or_else(|| "no message".into());
    let details = request.details().ok();
    let personal: Vec<&str> = details.iter().flat_map(CustomerDetails::personal).collect();
    let code = error.code.filter(|code| is_stripes_word(code));
    Refusal { code, param: error.param, message: scrub(message, &personal) }
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

/// A word of Stripe's own vocabulary, such as `email_invalid`: nobody is named by one.
fn is_stripes_word(word: &str) -> bool {
    let ours = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=64).contains(&word.len()) && word.bytes().all(ours)
}

/// A word that may be an e-mail address (in any disguise) or a key.
fn looks_personal(word: &str) -> bool {
    let word = word.to_lowercase();
    ["@", "＠", "%40", "sk_", "rk_"].iter().any(|mark| word.contains(mark))
}
