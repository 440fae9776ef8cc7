//! The sandbox's own rate limits, which work like Stripe's and are off unless somebody sets them.
//!
//! Each account has a bucket, and each of its endpoints has another. A bucket holds as many
//! requests as may be made in a second, and fills up again at that rate, in sandbox time. A request
//! that is refused learns which limit it hit from the `Stripe-Rate-Limited-Reason` header.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::state::mutation::Scope;

/// The numbers of requests that an account may make, in each mode. `None` is no limit.
///
/// Stripe's own limits are 100 per second in live mode and 25 in test mode for an account, 25 per
/// second for one endpoint, 20 per second for search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    /// Requests per second of sandbox time.
    pub account_per_second: Option<u32>,
    /// Requests per second of sandbox time to one endpoint.
    pub endpoint_per_second: Option<u32>,
    /// Requests per second to `GET /v1/customers/search`, instead of `endpoint_per_second`.
    pub search_per_second: Option<u32>,
    /// Requests at the same time.
    pub account_concurrent: Option<u32>,
    /// Requests at the same time to one endpoint.
    pub endpoint_concurrent: Option<u32>,
}

/// The requests that are counted together: those of an account, or of one of its endpoints.
type Group = (Scope, Option<&'static str>);

#[derive(Debug, Default)]
pub(crate) struct Limiter {
    pub(crate) limits: RateLimits,
    buckets: HashMap<Group, Bucket>,
    running: HashMap<Group, u32>,
}

#[derive(Debug)]
struct Bucket {
    /// Thousandths of a request.
    level: i64,
    at_ms: i64,
}

impl Limiter {
    /// Sets the limits, and forgets the requests that counted against the old ones.
    pub(crate) fn set(&mut self, limits: RateLimits) {
        self.limits = limits;
        self.buckets.clear();
    }

    /// Lets a request begin, or says which limit forbids it.
    pub(crate) fn begin(
        &mut self,
        scope: &Scope,
        endpoint: &'static str,
        now_ms: i64,
    ) -> Result<(), &'static str> {
        let limits = self.limits;
        if limits == RateLimits::default() {
            return Ok(());
        }
        let search = endpoint == "GET /v1/customers/search";
        let of_endpoint =
            limits.search_per_second.filter(|_| search).or(limits.endpoint_per_second);
        let account = (scope.clone(), None);
        let endpoint = (scope.clone(), Some(endpoint));
        let full = |group: &Group, most: Option<u32>| {
            most.is_some_and(|most| self.running.get(group).copied().unwrap_or(0) >= most)
        };
        if full(&account, limits.account_concurrent) {
            return Err("global-concurrency");
        }
        if full(&endpoint, limits.endpoint_concurrent) {
            return Err("endpoint-concurrency");
        }
        if !self.take(&account, limits.account_per_second, now_ms) {
            return Err("global-rate");
        }
        if !self.take(&endpoint, of_endpoint, now_ms) {
            return Err("endpoint-rate");
        }
        for group in [account, endpoint] {
            *self.running.entry(group).or_default() += 1;
        }
        Ok(())
    }

    /// Ends a request that [`Limiter::begin`] let begin.
    pub(crate) fn end(&mut self, scope: &Scope, endpoint: &'static str) {
        for group in [(scope.clone(), None), (scope.clone(), Some(endpoint))] {
            // The limits may have been set while the request ran.
            if let Some(running) = self.running.get_mut(&group) {
                *running = running.saturating_sub(1);
            }
        }
    }

    fn take(&mut self, group: &Group, per_second: Option<u32>, now_ms: i64) -> bool {
        let Some(per_second) = per_second.map(i64::from) else {
            return true;
        };
        let full = per_second * 1000;
        let bucket =
            self.buckets.entry(group.clone()).or_insert(Bucket { level: full, at_ms: now_ms });
        let passed_ms = now_ms.saturating_sub(bucket.at_ms).clamp(0, 1000);
        bucket.level = (bucket.level + passed_ms * per_second).min(full);
        bucket.at_ms = now_ms;
        if bucket.level < 1000 {
            return false;
        }
        bucket.level -= 1000;
        true
    }
}
