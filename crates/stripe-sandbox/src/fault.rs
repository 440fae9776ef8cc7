//! The faults: everything that can go wrong on the way to Stripe and back.
//!
//! A [`Rule`](crate::Rule) picks its requests by their properties. [`Chaos`](crate::Chaos) picks
//! them by chance, from a seed, so that the same run fails in the same places again.

use serde::{Deserialize, Serialize};

/// Whether a fault strikes before the request is worked on, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Nothing was done for the request.
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
        /// The seconds of a `Retry-After` header. Without them there is no such header.
        retry_after: Option<u64>,
    },
    /// 500 before the work began; nothing is saved.
    ServerError {
        /// Whether the answer has `Stripe-Should-Retry: true`.
        should_retry: bool,
    },
    /// 500 in the middle of the work; the answer is saved under the request's key.
    StoredError {
        /// Whether the work was done nevertheless.
        side_effect: bool,
    },
    /// 500 that is saved under the request's key, while the work is done only later.
    LateEffect {
        /// How much later, in seconds of sandbox time.
        seconds: u64,
    },
    /// The work is done and saved; the headers of the answer trickle in.
    SlowHeaders {
        /// How long that takes, in milliseconds of real time.
        ms: u64,
    },
    /// The work is done and saved; the headers come at once, and the body trickles in.
    SlowBody {
        /// How long that takes, in milliseconds of real time.
        ms: u64,
    },
    /// A lock on the object could not be had: `lock_timeout`; nothing is done and nothing saved.
    LockTimeout {
        /// 429, as Stripe documents it, or 409, as Stripe was seen to answer.
        status: u16,
    },
    /// The connection is closed, nothing was done, and for a while nobody can connect at all.
    ConnectionRefused {
        /// How long, in milliseconds of real time.
        ms: u64,
    },
}

/// Defines [`FaultKind`] from one table: each kind, and its name in JSON, the log and the counters.
macro_rules! kinds {
    ($($kind:ident = $name:literal),+ $(,)?) => {
        /// A [`Fault`] without its particulars.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum FaultKind {
            $(#[doc = concat!("[`Fault::", stringify!($kind), "`].")] $kind,)+
        }

        impl FaultKind {
            /// All kinds.
            pub const ALL: [FaultKind; [$($name),+].len()] = [$(FaultKind::$kind),+];

            /// Its name in JSON, in the log and in the counters.
            pub fn name(self) -> &'static str {
                match self {
                    $(FaultKind::$kind => $name,)+
                }
            }
        }

        impl Fault {
            /// The kind of this fault.
            pub fn kind(&self) -> FaultKind {
                match self {
                    $(Fault::$kind { .. } => FaultKind::$kind,)+
                }
            }
        }
    };
}

kinds! {
    RequestLost = "request_lost",
    AnswerLost = "answer_lost",
    Delay = "delay",
    Reset = "reset",
    TruncatedBody = "truncated_body",
    BadGateway = "bad_gateway",
    RateLimited = "rate_limited",
    ServerError = "server_error",
    StoredError = "stored_error",
    LateEffect = "late_effect",
    SlowHeaders = "slow_headers",
    SlowBody = "slow_body",
    LockTimeout = "lock_timeout",
    ConnectionRefused = "connection_refused",
}

impl FaultKind {
    /// The kind with this name.
    pub(crate) fn named(name: &str) -> Option<FaultKind> {
        FaultKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
