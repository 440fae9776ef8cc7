//! Customers as Stripe holds them, and who made them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tenant_billing::request::{INSTALLATION_KEY, TENANT_KEY};

/// The metadata key of older software.
pub(crate) const USER_KEY: &str = "userId";
/// An installation that nobody in this world is.
pub(crate) const ELSEWHERE: &str = "fedcba98-0000-4000-8000-000000000000";
/// Known limit: a Customer whose metadata somebody has edited is known by Stripe's event of its
/// creation alone, which is listed for 30 days.
const KNOWN: SignedDuration = SignedDuration::from_hours(29 * 24);

/// Who created a Customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Maker {
    /// The software under test, with this key.
    Us(String),
    /// The second application, or the copied database, with this key.
    Second(String),
    /// The host, which bound it itself.
    Host,
    /// Somebody whose Customers must not be touched.
    Foreign,
    /// Older software of this application, which named the tenant, so that it may be adopted.
    Legacy,
}

#[derive(Debug, Clone)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) made_at: Timestamp,
    pub(crate) maker: Maker,
    /// The tenant that it is meant for, whatever its metadata says.
    pub(crate) tenant: String,
    pub(crate) email: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) deleted_at: Option<Timestamp>,
    /// What a failure that Stripe stored left behind.
    pub(crate) of_a_failure: bool,
    /// Somebody has taken our mark or the tenant off its metadata.
    pub(crate) edited: bool,
    /// Events and search show it from here on.
    pub(crate) shows_at: Timestamp,
}

impl Customer {
    /// Whether nothing shows any more whose it is.
    pub(crate) fn is_past_knowing(&self, now: Timestamp) -> bool {
        self.edited && now.duration_since(self.made_at) > KNOWN
    }

    /// Whether a search for `metadata['…']:'…' OR …` finds it.
    pub(crate) fn is_asked_for(&self, query: &str) -> bool {
        query.split(" OR ").any(|clause| {
            let clause = clause.strip_prefix("metadata['").and_then(|it| it.strip_suffix('\''));
            let (key, value) = clause.and_then(|it| it.split_once("']:'")).expect("a clause");
            self.metadata.get(key).is_some_and(|it| it == value)
        })
    }
}

/// The metadata that another installation's Customer has.
pub(crate) fn elsewhere(tenant: &str) -> [(&str, &str); 2] {
    [(TENANT_KEY, tenant), (INSTALLATION_KEY, ELSEWHERE)]
}
