//! Decides from the seed who calls, who hangs up, and what goes wrong, the same for all three
//! programs.

use std::time::Duration;

use stripe_sandbox::{Chaos, FaultKind};

use super::clock::mix;

/// The probability of each fault. Together, one request in four goes wrong, so that a few seconds
/// show what otherwise takes months.
const FAULTS: [(FaultKind, f64); 9] = [
    (FaultKind::RequestLost, 0.03),
    (FaultKind::AnswerLost, 0.07),
    (FaultKind::Delay, 0.02),
    (FaultKind::Reset, 0.03),
    (FaultKind::TruncatedBody, 0.01),
    (FaultKind::BadGateway, 0.02),
    (FaultKind::RateLimited, 0.02),
    (FaultKind::ServerError, 0.02),
    (FaultKind::StoredError, 0.03),
];

/// One caller in so many hangs up before the answer.
const HANGS_UP: u64 = 8;
/// The users of one tenant in so many do not retry on the same day if the program dies during their
/// calls.
const RETRIES_TOMORROW: u64 = 5;
/// One caller in so many is not the tenant's owner, and has another e-mail address.
const COLLEAGUE: usize = 5;

/// The plan of one demo.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) tenants: Vec<String>,
    pub(super) callers: usize,
}

/// One caller, of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) tenant: usize,
    number: usize,
}

impl Plan {
    /// The plan for this seed.
    pub(super) fn new(seed: u64, tenants: usize, callers: usize) -> Self {
        let id = |number: usize| {
            let high = mix(mix(seed) ^ number as u64);
            let bits = u128::from(high) << 64 | u128::from(mix(high));
            let hex = format!("{bits:032x}");
            // The digits 4 and 8 mark a UUID as random.
            format!(
                "{}-{}-4{}-8{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[13..16],
                &hex[17..20],
                &hex[20..]
            )
        };
        Self { seed, tenants: (0..tenants).map(id).collect(), callers }
    }

    /// All callers: the first of each tenant, then the second of each, and so on.
    pub(super) fn everybody(&self) -> Vec<Caller> {
        let callers = 0..self.callers;
        callers
            .flat_map(|number| (0..self.tenants.len()).map(move |tenant| Caller { tenant, number }))
            .collect()
    }

    /// The tenant of a caller.
    pub(super) fn tenant(&self, caller: Caller) -> &str {
        &self.tenants[caller.tenant]
    }

    /// The e-mail address of a caller.
    pub(super) fn email(&self, caller: Caller) -> String {
        let who = if caller.number % COLLEAGUE == COLLEAGUE - 1 { "colleague" } else { "owner" };
        format!("{who}@tenant-{}.example", caller.tenant)
    }

    /// How long a caller waits before they hang up, if they do.
    pub(super) fn hangs_up(&self, caller: Caller) -> Option<Duration> {
        let draw = self.draw(1, caller.tenant * self.callers + caller.number);
        draw.is_multiple_of(HANGS_UP).then(|| Duration::from_millis(mix(draw) % 400))
    }

    /// Whether a caller retries on the same day after the program died during their call.
    pub(super) fn retries_today(&self, caller: Caller) -> bool {
        !self.draw(2, caller.tenant).is_multiple_of(RETRIES_TOMORROW)
    }

    /// The faults at Stripe and on the network, for reads and writes.
    pub(super) fn faults(&self) -> Chaos {
        let none = Chaos::new(self.seed).methods(&["GET", "POST"]);
        FAULTS.into_iter().fold(none, |chaos, (kind, probability)| chaos.with(kind, probability))
    }

    fn draw(&self, question: u64, about: usize) -> u64 {
        mix(mix(mix(self.seed) ^ question) ^ about as u64)
    }
}
