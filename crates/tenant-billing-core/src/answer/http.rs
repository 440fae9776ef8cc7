//! An answer over HTTP, before anybody has judged it: status, headers, body, and Stripe's error
//! object.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use crate::timing::MAX_RETRY_AFTER;

/// The answer to one HTTP request to Stripe.
#[derive(Clone)]
pub enum Answer {
    /// A whole response: its status, its headers, its body as it came.
    Response {
        /// The HTTP status.
        status: u16,
        /// The headers.
        headers: Headers,
        /// The body, not parsed yet.
        body: Bytes,
    },
    /// No readable answer came back, so it is unknown whether Stripe did the work. The text says
    /// why, without URL, key or body.
    NoAnswer(String),
    /// Nothing was sent, since the TLS connection that should have carried it is not to be trusted.
    /// The text says why, without URL, key or body.
    Untrusted(String),
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

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    error: StripeError,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct StripeError {
    pub(super) r#type: Option<String>,
    pub(super) code: Option<String>,
    pub(super) param: Option<String>,
    pub(super) message: Option<String>,
}

/// The request id that Stripe gave, for the audit trail and Stripe's own support.
pub fn request_id(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Response { headers, .. } => headers.get("Request-Id"),
        Answer::NoAnswer(_) | Answer::Untrusted(_) => None,
    }
}

/// The HTTP status, if there was an answer.
pub fn status(answer: &Answer) -> Option<u16> {
    match answer {
        Answer::Response { status, .. } => Some(*status),
        Answer::NoAnswer(_) | Answer::Untrusted(_) => None,
    }
}

/// Stripe's `code` where a key may not act for the account that the request names.
pub(super) const NO_ACCESS: &str = "account_invalid";

/// Whether Stripe says that the key may not act for the account that the request named.
pub fn denies_account(answer: &Answer) -> bool {
    match answer {
        Answer::Response { status: 403, body, .. } => {
            stripe_error(body).code.as_deref() == Some(NO_ACCESS)
        }
        Answer::Response { .. } | Answer::NoAnswer(_) | Answer::Untrusted(_) => false,
    }
}

/// The answer in a few words without personal data: status, type, code and param; and of the
/// message only the permissions that the key lacks.
pub fn summary(answer: &Answer) -> String {
    match answer {
        Answer::NoAnswer(why) => format!("no answer: {why}"),
        Answer::Untrusted(why) => format!("not sent: {why}"),
        Answer::Response { status, body, .. } => {
            let StripeError { r#type, code, param, message } = stripe_error(body);
            let field = param.map(|param| param.split('[').next().unwrap_or_default().to_owned());
            let mut text = format!("HTTP {status}");
            for (name, word) in [("type", r#type), ("code", code), ("param", field)] {
                if let Some(word) = word.filter(|word| is_stripes_word(word)) {
                    text.push_str(&format!(" {name}={word}"));
                }
            }
            for permission in message.iter().filter(|_| *status == 403).flat_map(|it| lacking(it)) {
                text.push_str(&format!(" permission={permission}"));
            }
            text
        }
    }
}

/// The permissions that Stripe's message, which puts them in quotes, says a restricted key lacks:
/// `rak_event_read`.
fn lacking(message: &str) -> impl Iterator<Item = &str> {
    message.split(['\'', '‘', '’']).filter(|word| word.starts_with("rak_") && is_stripes_word(word))
}

pub(super) fn stripe_error(body: &[u8]) -> StripeError {
    serde_json::from_slice::<ErrorBody>(body).unwrap_or_default().error
}

/// What Stripe asks to wait, at most [`MAX_RETRY_AFTER`].
pub(super) fn retry_after(headers: &Headers) -> Option<Duration> {
    let seconds = headers.get("Retry-After")?.trim();
    let is_number = !seconds.is_empty() && seconds.bytes().all(|b| b.is_ascii_digit());
    // A number that is too large for its type is longer than any wait.
    let asked = seconds.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs);
    is_number.then(|| asked.min(MAX_RETRY_AFTER))
}

/// Whether this is a word of Stripe's own vocabulary, such as `email_invalid`, which holds no
/// personal data.
pub(super) fn is_stripes_word(word: &str) -> bool {
    let ours = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=64).contains(&word.len()) && word.bytes().all(ours)
}
