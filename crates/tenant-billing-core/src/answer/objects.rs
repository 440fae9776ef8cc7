//! The objects that Stripe returns: a Customer, a page of Customers, the events of their creation.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::http::{Answer, retry_after, stripe_error};
use crate::{ids::CustomerId, request::CustomerDetails};

/// The result of a read (retrieve, list, search, account).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<T> {
    /// What was asked for.
    Found(T),
    /// Stripe knows no such object, or not the one that the page should start after:
    /// `resource_missing`.
    Missing,
    /// It could not be read now. Ask the same again, after at least this long.
    Retry(Option<Duration>),
    /// This key, or this account, may not read it.
    Forbidden,
    /// The key itself is refused.
    Unauthorized,
    /// Nothing was sent: no TLS connection to Stripe can be trusted.
    Untrusted,
}

/// Reads a typed object from the answer to a GET.
pub fn read<T>(answer: &Answer, parse: impl FnOnce(&[u8]) -> Option<T>) -> Reading<T> {
    let (status, headers, body) = match answer {
        Answer::Response { status, headers, body } => (status, headers, body),
        Answer::NoAnswer(_) => return Reading::Retry(None),
        Answer::Untrusted(_) => return Reading::Untrusted,
    };
    match *status {
        200..=299 => parse(body).map_or(Reading::Retry(None), Reading::Found),
        401 => Reading::Unauthorized,
        400 | 404 if stripe_error(body).code.as_deref() == Some("resource_missing") => {
            Reading::Missing
        }
        409 | 429 | 500.. => Reading::Retry(retry_after(headers)),
        _ if headers.get("Stripe-Should-Retry") == Some("true") => {
            Reading::Retry(retry_after(headers))
        }
        400..=499 => Reading::Forbidden,
        _ => Reading::Retry(None),
    }
}

/// A Customer as a retrieve or a list shows it. Its `Debug` shows no personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// When Stripe made it, in seconds since 1970.
    pub created: i64,
    /// Whether it is deleted. Then nothing but the id is known of it.
    pub deleted: bool,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// The `Request-Id` of the retrieve that showed it.
    pub(crate) request_id: Option<String>,
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, created, deleted, .. } = self;
        write!(f, "Customer {{ id: {id}, created: {created}, deleted: {deleted}, … }}")
    }
}

impl Customer {
    /// Reads one Customer from the body of a retrieve. It may be deleted.
    pub fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Object>(body).ok()?.customer()
    }

    /// What its metadata holds under this key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The details with which a caller would have created it, as far as they can be told.
    pub(crate) fn details(&self) -> CustomerDetails {
        CustomerDetails::of_stripe(self.email.as_deref(), self.name.as_deref(), &self.metadata)
    }
}

/// One page of a list or search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its entries. One that cannot be read makes the whole page unreadable.
    pub data: Vec<T>,
    /// Whether there are more.
    pub has_more: bool,
    /// A search's cursor for the next page.
    pub next_page: Option<String>,
}

/// A `customer.created` event: which key created which Customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedEvent {
    /// The event's own id, the cursor of the list.
    pub id: String,
    /// The Customer.
    pub customer: CustomerId,
    /// The key that created it, if it was created with one.
    pub idempotency_key: Option<String>,
}

/// Reads a page of Customers.
pub fn customers(body: &[u8]) -> Option<Page<Customer>> {
    page(body, Object::customer)
}

/// Reads a page of `customer.created` events.
pub fn created_events(body: &[u8]) -> Option<Page<CreatedEvent>> {
    page(body, |event: Value| {
        let text = |pointer| event.pointer(pointer)?.as_str();
        if text("/data/object/object")? != CUSTOMER {
            return None;
        }
        Some(CreatedEvent {
            id: text("/id")?.to_owned(),
            customer: CustomerId::parse(text("/data/object/id")?).ok()?,
            idempotency_key: text("/request/idempotency_key").map(str::to_owned),
        })
    })
}

/// Reads the id of the account that a key acts on.
pub fn account_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: String,
    }
    serde_json::from_slice::<OnlyId>(body).ok().map(|account| account.id)
}

/// What Stripe calls a Customer in the field `object`.
const CUSTOMER: &str = "customer";

#[derive(Deserialize)]
struct Object {
    id: String,
    object: String,
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
        if self.object != CUSTOMER {
            return None;
        }
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

/// The Customer that the 2xx to a creation brings: its id, if the object says that it is a live
/// Customer, whatever shape the rest has.
pub(super) fn created(body: &[u8]) -> Option<CustomerId> {
    #[derive(Deserialize)]
    struct Created {
        id: String,
        object: String,
        #[serde(default)]
        deleted: Value,
    }
    let it: Created = serde_json::from_slice(body).ok()?;
    let alive = it.object == CUSTOMER && matches!(it.deleted, Value::Null | Value::Bool(false));
    CustomerId::parse(&it.id).ok().filter(|_| alive)
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
