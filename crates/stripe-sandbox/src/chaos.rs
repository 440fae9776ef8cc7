//! Faults by chance. The chance depends only on a seed and on the request.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::fault::{Fault, FaultKind, When};
use crate::ids::{mix, unit};

/// The latest time at which the effect of a `late_effect` shows: ten minutes.
const LATEST_SECONDS: u64 = 600;

/// Faults by chance.
///
/// Each draw depends on the seed, on the request's idempotency key (or, without one, its method and
/// path), and on the number of earlier requests with the same one. So it does not matter how
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
    /// Chances without any fault yet, for `POST` only, and with delays of at most 50 ms.
    pub fn new(seed: u64) -> Chaos {
        let methods = vec!["POST".to_owned()];
        Chaos { seed, probabilities: BTreeMap::new(), methods, max_delay_ms: 50 }
    }

    /// Sets how likely a kind of fault is to strike a request, from 0 to 1. At most one fault
    /// strikes. If the probabilities add up to more than 1, the kinds later in [`FaultKind::ALL`]
    /// get what is left.
    pub fn with(mut self, kind: FaultKind, probability: f64) -> Chaos {
        self.probabilities.insert(kind, probability);
        self
    }

    /// Sets the methods whose requests may be struck.
    pub fn methods(mut self, methods: &[&str]) -> Chaos {
        self.methods = methods.iter().map(|method| method.to_ascii_uppercase()).collect();
        self
    }

    /// Sets the longest delay, in milliseconds.
    pub fn max_delay_ms(mut self, ms: u64) -> Chaos {
        self.max_delay_ms = ms;
        self
    }
}

fn by_name<S: Serializer>(map: &BTreeMap<FaultKind, f64>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(map.iter().map(|(kind, probability)| (kind.name(), probability)))
}

impl Chaos {
    /// The fault that a drawn number stands for, if any.
    pub(crate) fn strike(&self, draw: u64) -> Option<Fault> {
        let mut rest = unit(draw);
        let kind = FaultKind::ALL.into_iter().find(|kind| {
            let probability = self.probabilities.get(kind).copied().unwrap_or(0.0);
            rest -= probability;
            probability > 0.0 && rest < 0.0
        })?;
        let detail = mix(draw);
        let yes = detail & 1 == 1;
        let when = if yes { When::After } else { When::Before };
        let ms = (unit(mix(detail)) * self.max_delay_ms as f64).ceil() as u64;
        Some(match kind {
            FaultKind::RequestLost => Fault::RequestLost,
            FaultKind::AnswerLost => Fault::AnswerLost,
            FaultKind::Delay => Fault::Delay { ms, when },
            FaultKind::Reset => Fault::Reset { when },
            FaultKind::TruncatedBody => Fault::TruncatedBody,
            FaultKind::BadGateway => Fault::BadGateway { when },
            FaultKind::RateLimited => Fault::RateLimited { retry_after: None },
            FaultKind::ServerError => Fault::ServerError { should_retry: yes },
            FaultKind::StoredError => Fault::StoredError { side_effect: yes },
            FaultKind::LateEffect => Fault::LateEffect { seconds: mix(detail) % LATEST_SECONDS },
            FaultKind::SlowHeaders => Fault::SlowHeaders { ms },
            FaultKind::SlowBody => Fault::SlowBody { ms },
            FaultKind::LockTimeout => Fault::LockTimeout { status: if yes { 409 } else { 429 } },
            FaultKind::ConnectionRefused => Fault::ConnectionRefused { ms },
        })
    }
}
