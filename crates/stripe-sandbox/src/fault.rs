//! What can go wrong on the way to Stripe, and when it shall.
//!
//! A [`Rule`] picks its requests by what they are; [`Chaos`] lets chance pick them, a chance that is
//! a function of a seed and of the request, so that the same run fails in the same places again.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// Whether a fault strikes before the request is worked on, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Nothing is done for the request.
    Before,
    /// The work is done, and saved under the request's key.
    After,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The connection is closed, and nothing was done.
    RequestLost,
    /// The work is done and saved, and the connection closed without an answer.
    AnswerLost,
    /// The answer takes so many milliseconds longer. The request's key is in flight meanwhile.
    Delay {
        /// How long, in milliseconds of real time.
        ms: u64,
        /// Whether it waits before the work or after it.
        when: When,
    },
    /// The connection is reset (TCP RST).
    Reset {
        /// Whether the work is done first.
        when: When,
    },
    /// The work is done; the headers promise the whole body, and half of it comes.
    TruncatedBody,
    /// A proxy answers 502 with a page of HTML and none of Stripe's headers.
    BadGateway {
        /// Whether the work is done first.
        when: When,
    },
    /// 429 from a rate limiter; nothing is done and nothing saved.
    RateLimited {
        /// The seconds of a `Retry-After` header, if there is to be one.
        retry_after: Option<u64>,
    },
    /// 500 before the work began; nothing is saved.
    ServerError {
        /// Whether the answer has `Stripe-Should-Retry: true`.
        should_retry: bool,
    },
    /// 500 in the middle of the work; the answer is saved under the request's key.
    StoredError {
        /// Whether the Customer was made (or deleted) nevertheless.
        side_effect: bool,
    },
}

impl Fault {
    /// Which kind it is of.
    pub fn kind(&self) -> FaultKind {
        match self {
            Fault::RequestLost => FaultKind::RequestLost,
            Fault::AnswerLost => FaultKind::AnswerLost,
            Fault::Delay { .. } => FaultKind::Delay,
            Fault::Reset { .. } => FaultKind::Reset,
            Fault::TruncatedBody => FaultKind::TruncatedBody,
            Fault::BadGateway { .. } => FaultKind::BadGateway,
            Fault::RateLimited { .. } => FaultKind::RateLimited,
            Fault::ServerError { .. } => FaultKind::ServerError,
            Fault::StoredError { .. } => FaultKind::StoredError,
        }
    }
}

/// A [`Fault`] without its particulars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// [`Fault::RequestLost`].
    RequestLost,
    /// [`Fault::AnswerLost`].
    AnswerLost,
    /// [`Fault::Delay`].
    Delay,
    /// [`Fault::Reset`].
    Reset,
    /// [`Fault::TruncatedBody`].
    TruncatedBody,
    /// [`Fault::BadGateway`].
    BadGateway,
    /// [`Fault::RateLimited`].
    RateLimited,
    /// [`Fault::ServerError`].
    ServerError,
    /// [`Fault::StoredError`].
    StoredError,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [FaultKind; 9] = [
        FaultKind::RequestLost,
        FaultKind::AnswerLost,
        FaultKind::Delay,
        FaultKind::Reset,
        FaultKind::TruncatedBody,
        FaultKind::BadGateway,
        FaultKind::RateLimited,
        FaultKind::ServerError,
        FaultKind::StoredError,
    ];

    /// Its name in JSON, in the log and in the counters.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::RequestLost => "request_lost",
            FaultKind::AnswerLost => "answer_lost",
            FaultKind::Delay => "delay",
            FaultKind::Reset => "reset",
            FaultKind::TruncatedBody => "truncated_body",
            FaultKind::BadGateway => "bad_gateway",
            FaultKind::RateLimited => "rate_limited",
            FaultKind::ServerError => "server_error",
            FaultKind::StoredError => "stored_error",
        }
    }
}

/// A fault, and the requests it is meant for.
///
/// Rules are tried in the order they were armed, and one fault strikes a request at most. A rule
/// counts every request that it matches, also one that another rule struck.
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
    /// Strikes the next request to the Stripe API, whichever it is, once.
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

    /// Only requests of this method.
    pub fn method(mut self, method: &str) -> Rule {
        self.method = Some(method.to_ascii_uppercase());
        self
    }

    /// Only requests whose path begins so.
    pub fn path(mut self, prefix: &str) -> Rule {
        self.path_prefix = Some(prefix.to_owned());
        self
    }

    /// Only requests whose parameters have this `metadata[tenantId]`.
    pub fn tenant(mut self, tenant: &str) -> Rule {
        self.tenant = Some(tenant.to_owned());
        self
    }

    /// Only requests whose idempotency key contains this.
    pub fn key_contains(mut self, part: &str) -> Rule {
        self.idempotency_key_contains = Some(part.to_owned());
        self
    }

    /// Only the so-many-th matching request, counted from 1; [`Rule::times`] then means nothing.
    pub fn nth(mut self, nth: u64) -> Rule {
        self.nth = Some(nth);
        self
    }

    /// So many matching requests instead of one.
    pub fn times(mut self, times: u64) -> Rule {
        self.times = times;
        self
    }

    /// Every matching request.
    pub fn always(self) -> Rule {
        self.times(u64::MAX)
    }
}

/// Faults by chance.
///
/// Each draw depends on the seed, on the request's idempotency key (or, without one, its method and
/// path), and on how many requests with the same one came before. So it does not matter how
/// concurrent requests interleave.
///
/// ```
/// use stripe_sandbox::{Chaos, FaultKind};
///
/// let chaos = Chaos::new(7).with(FaultKind::AnswerLost, 0.2).with(FaultKind::Reset, 0.1);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use]
pub struct Chaos {
    pub(crate) seed: u64,
    #[serde(serialize_with = "by_name")]
    pub(crate) probabilities: BTreeMap<FaultKind, f64>,
    pub(crate) methods: Vec<String>,
    pub(crate) max_delay_ms: u64,
}

impl Chaos {
    /// No faults yet; on `POST` only; delays of at most 50 ms.
    pub fn new(seed: u64) -> Chaos {
        let methods = vec!["POST".to_owned()];
        Chaos { seed, probabilities: BTreeMap::new(), methods, max_delay_ms: 50 }
    }

    /// How likely a kind of fault is to strike a request, from 0 to 1. At most one strikes; where
    /// the probabilities come to more than 1, the kinds later in [`FaultKind::ALL`] get the rest.
    pub fn with(mut self, kind: FaultKind, probability: f64) -> Chaos {
        self.probabilities.insert(kind, probability);
        self
    }

    /// The methods whose requests may be struck.
    pub fn methods(mut self, methods: &[&str]) -> Chaos {
        self.methods = methods.iter().map(|method| method.to_ascii_uppercase()).collect();
        self
    }

    /// The longest delay, in milliseconds.
    pub fn max_delay_ms(mut self, ms: u64) -> Chaos {
        self.max_delay_ms = ms;
        self
    }
}

fn by_name<S: Serializer>(map: &BTreeMap<FaultKind, f64>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(map.iter().map(|(kind, probability)| (kind.name(), probability)))
}
