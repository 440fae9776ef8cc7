//! Faults by rule: a rule says which requests a fault is meant for.

use serde::Serialize;

use crate::fault::Fault;

/// The parts of a request that faults look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestView<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
}

/// A fault, and the requests that it is meant for.
///
/// Rules are tried in the order in which they were armed, and at most one fault strikes a request.
/// A rule counts every request that it matches, also one that another rule has struck.
///
/// ```
/// use stripe_sandbox::{Fault, Rule};
///
/// let rule = Rule::new(Fault::AnswerLost).method("POST").path("/v1/customers").times(3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency_key_contains: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nth: Option<u64>,
    pub(crate) times: u64,
    pub(crate) fault: Fault,
}

impl Rule {
    /// A rule that strikes the next request to the Stripe API once, whichever request that is.
    pub fn new(fault: Fault) -> Rule {
        Rule {
            method: None,
            path_prefix: None,
            tenant: None,
            idempotency_key_contains: None,
            nth: None,
            times: 1,
            fault,
        }
    }

    /// Limits the rule to requests of this method.
    pub fn method(mut self, method: &str) -> Rule {
        self.method = Some(method.to_ascii_uppercase());
        self
    }

    /// Limits the rule to requests whose path begins with this.
    pub fn path(mut self, prefix: &str) -> Rule {
        self.path_prefix = Some(prefix.to_owned());
        self
    }

    /// Limits the rule to requests with this `metadata[tenantId]`.
    pub fn tenant(mut self, tenant: &str) -> Rule {
        self.tenant = Some(tenant.to_owned());
        self
    }

    /// Limits the rule to requests whose idempotency key contains this.
    pub fn key_contains(mut self, part: &str) -> Rule {
        self.idempotency_key_contains = Some(part.to_owned());
        self
    }

    /// Strikes only the matching request with this number, counted from 1. [`Rule::times`] is then
    /// ignored.
    pub fn nth(mut self, nth: u64) -> Rule {
        self.nth = Some(nth);
        self
    }

    /// Strikes so many matching requests instead of one.
    pub fn times(mut self, times: u64) -> Rule {
        self.times = times;
        self
    }

    /// Strikes every matching request.
    pub fn always(self) -> Rule {
        self.times(u64::MAX)
    }
}

impl Rule {
    /// Whether the rule is meant for a request.
    pub(crate) fn matches(&self, target: RequestView<'_>) -> bool {
        let Rule { method, path_prefix, tenant, idempotency_key_contains: part, .. } = self;
        method.as_ref().is_none_or(|method| method == target.method)
            && path_prefix.as_ref().is_none_or(|prefix| target.path.starts_with(prefix.as_str()))
            && tenant.as_ref().is_none_or(|tenant| target.tenant == Some(tenant))
            && part.as_ref().is_none_or(|part| target.key.is_some_and(|key| key.contains(part)))
    }

    /// The requests that the rule is meant for, in words.
    pub(crate) fn selection(&self) -> String {
        let Rule { method, path_prefix, tenant, idempotency_key_contains: part, .. } = self;
        let parts = [("", method), ("", path_prefix), ("tenant ", tenant), ("key with ", part)];
        let parts =
            parts.into_iter().filter_map(|(what, text)| Some(format!("{what}{}", text.as_ref()?)));
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() { "any".to_owned() } else { parts.join(", ") }
    }

    /// How often the rule strikes, in words.
    pub(crate) fn frequency(&self) -> String {
        match (self.nth, self.times) {
            (Some(nth), _) => format!("only number {nth}"),
            (None, u64::MAX) => "always".to_owned(),
            (None, 1) => "once".to_owned(),
            (None, times) => format!("{times} times"),
        }
    }
}
