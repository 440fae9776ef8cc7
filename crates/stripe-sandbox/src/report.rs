//! The reports of a sandbox about itself: its Customers, its requests and its counters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A Customer, of any account and mode, live or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CustomerRecord {
    /// Its id, `cus_…`.
    pub id: String,
    /// The account it belongs to, `acct_…`.
    pub account: String,
    /// Whether it is live or test data.
    pub livemode: bool,
    /// Its e-mail address, now or when it was deleted.
    pub email: Option<String>,
    /// Its name, now or when it was deleted.
    pub name: Option<String>,
    /// Its metadata, now or when it was deleted.
    pub metadata: BTreeMap<String, String>,
    /// When it was created, in seconds since the Unix epoch of sandbox time.
    pub created: i64,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The idempotency key of the request that created it.
    pub idempotency_key: Option<String>,
}

/// A request to the Stripe API, as it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The `Request-Id`, `req_…`, even where the caller never saw it.
    pub id: String,
    /// When it came, in seconds since the Unix epoch of sandbox time.
    pub at: i64,
    /// The method, such as `POST`.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The account it acted on, unless its API key was refused.
    pub account: Option<String>,
    /// Its API key's mode, unless that was refused.
    pub livemode: Option<bool>,
    /// The idempotency key.
    pub idempotency_key: Option<String>,
    /// The status that was sent. There is none if the caller got no answer.
    pub status: Option<u16>,
    /// `answered`, `replayed`, `conflict`, `limited`, or the kind of the fault that took the
    /// answer's place. `stopped` if the sandbox ended first.
    pub outcome: String,
    /// The kind of the fault that struck, if one did.
    pub fault: Option<String>,
}

/// The counters since the start, or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Requests to the Stripe API, however they ended.
    pub requests: u64,
    /// The same by endpoint, such as `GET /v1/customers/{id}`.
    pub by_endpoint: BTreeMap<String, u64>,
    /// Customers created.
    pub customers_created: u64,
    /// Customers deleted, by the API or in the dashboard.
    pub customers_deleted: u64,
    /// Answers that were replays of a saved one.
    pub replays: u64,
    /// Answers that said that the key is in use.
    pub conflicts: u64,
    /// Requests that the sandbox's own rate limits refused.
    pub rate_limited: u64,
    /// Deliveries of webhooks that succeeded.
    pub webhooks_delivered: u64,
    /// Attempts to deliver a webhook that failed.
    pub webhooks_failed: u64,
    /// Faults that struck, by kind.
    pub faults: BTreeMap<String, u64>,
}

impl Counters {
    /// Counts an attempt to deliver a webhook.
    pub(crate) fn webhook(&mut self, delivered: bool) {
        if delivered {
            self.webhooks_delivered += 1;
        } else {
            self.webhooks_failed += 1;
        }
    }
}
