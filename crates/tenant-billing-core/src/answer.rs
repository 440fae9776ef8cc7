//! What Stripe's answer means.
//!
//! Whether a Customer was made, and whether to send again, is decided here and nowhere else, from
//! status, headers and raw body. Parsing is lenient: a field that is missing or new never hides the
//! one thing that matters, the id of a Customer that exists.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde::Deserialize;

use crate::{
    ids::{CustomerId, InstallationId, TenantId},
    request::{CustomerDetails, FrozenRequest, INSTALLATION_KEY, TENANT_KEY},
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

/// What a read (retrieve, list, search, account) brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<T> {
    /// The thing itself.
    Found(T),
    /// Stripe knows no such object: `resource_missing`.
    Missing,
    /// It could not be looked at now; the same again, not before this long.
    Again(Option<Duration>),
    /// This key, or this account, may not look.
    Forbidden,
    /// The key itself is refused.
    Unauthorized,
}

/// Reads a typed object off the answer to a GET.
pub fn read<T>(answer: &Answer, parse: impl FnOnce(&[u8]) -> Option<T>) -> Reading<T> {
    let Answer::Response { status, headers, body } = answer else {
        return Reading::Again(None);
    };
    match *status {
        200..=299 => parse(body).map_or(Reading::Again(None), Reading::Found),
        401 => Reading::Unauthorized,
        404 if stripe_error(body).code.as_deref() == Some("resource_missing") => Reading::Missing,
        409 | 429 | 500.. => Reading::Again(retry_after(headers)),
        _ if headers.get("Stripe-Should-Retry") == Some("true") => {
            Reading::Again(retry_after(headers))
        }
        400..=499 => Reading::Forbidden,
        _ => Reading::Again(None),
    }
}

/// A Customer as a retrieve, a list or an event shows it. Its `Debug` leaves out who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// When Stripe made it, in seconds since 1970.
    pub created: i64,
    /// Whether it is gone; nothing but the id is known of it then.
    pub deleted: bool,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// The `Request-Id` of the retrieve that showed it.
    pub(crate) request_id: Option<String>,
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, created, deleted, .. } = self;
        write!(f, "Customer {{ id: {id}, created: {created}, deleted: {deleted}, … }}")
    }
}

impl Customer {
    /// Reads one Customer from the body of a retrieve.
    pub fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Object>(body).ok()?.customer()
    }

    /// Whether its metadata names this tenant.
    pub fn names(&self, tenant: &TenantId) -> bool {
        self.metadata.get(TENANT_KEY).is_some_and(|id| id == tenant.as_str())
    }

    /// The installation it names, if that is not this one.
    pub fn foreign_to(&self, installation: &InstallationId) -> Option<&str> {
        let named = self.metadata.get(INSTALLATION_KEY)?;
        (named != installation.as_str()).then_some(named)
    }

    /// A caller's details that would have made it, as far as they can be told.
    pub(crate) fn details(&self) -> Option<CustomerDetails> {
        CustomerDetails::of_stripe(self.email.as_deref(), self.name.as_deref(), &self.metadata)
    }
}

/// One page of a list or search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it; entries that cannot be read are an error of the whole page.
    pub data: Vec<T>,
    /// Whether there are more.
    pub has_more: bool,
    /// A search's cursor for the next page.
    pub next_page: Option<String>,
}

/// A `customer.created` event: which Customer came of which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedEvent {
    /// The event's own id, the cursor of the list.
    pub id: String,
    /// The Customer.
    pub customer: CustomerId,
    /// The key that made it, if it was made with one.
    pub idempotency_key: Option<String>,
}

/// Reads a page of Customers.
pub fn customers(body: &[u8]) -> Option<Page<Customer>> {
    page(body, Object::customer)
}

/// Reads a page of `customer.created` events.
pub fn created_events(body: &[u8]) -> Option<Page<CreatedEvent>> {
    page(body, |event: Event| {
        Some(CreatedEvent {
            customer: CustomerId::parse(&event.data.object.id).ok()?,
            idempotency_key: event.request.and_then(|request| request.idempotency_key),
            id: event.id,
        })
    })
}

/// Reads the id of the account that a key acts on.
pub fn account_id(body: &[u8]) -> Option<String> {
    id_of(body)
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

#[derive(Deserialize)]
struct Object {
    id: String,
    #[serde(default)]
    deleted: Option<bool>,
    #[serde(default)]
    created: Option<i64>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

impl Object {
    fn customer(self) -> Option<Customer> {
        Some(Customer {
            id: CustomerId::parse(&self.id).ok()?,
            created: self.created.unwrap_or_default(),
            deleted: self.deleted.unwrap_or_default(),
            email: self.email,
            name: self.name,
            metadata: self.metadata.unwrap_or_default(),
            request_id: None,
        })
    }
}

/// The `id` alone: of a 2xx to a creation nothing else matters, whatever shape the rest has.
fn id_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: String,
    }
    serde_json::from_slice::<OnlyId>(body).ok().map(|object| object.id)
}

#[derive(Deserialize)]
struct Event {
    id: String,
    data: EventData,
    #[serde(default)]
    request: Option<EventRequest>,
}

#[derive(Deserialize)]
struct EventData {
    object: EventObject,
}

#[derive(Deserialize)]
struct EventObject {
    id: String,
}

#[derive(Deserialize)]
struct EventRequest {
    #[serde(default)]
    idempotency_key: Option<String>,
}

fn page<R: serde::de::DeserializeOwned, T>(
    body: &[u8],
    entry: impl Fn(R) -> Option<T>,
) -> Option<Page<T>> {
    #[derive(Deserialize)]
    struct Raw<R> {
        data: Vec<R>,
        has_more: bool,
        #[serde(default)]
        next_page: Option<String>,
    }
    let raw: Raw<R> = serde_json::from_slice(body).ok()?;
    let data = raw.data.into_iter().map(entry).collect::<Option<Vec<T>>>()?;
    Some(Page { data, has_more: raw.has_more, next_page: raw.next_page })
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
