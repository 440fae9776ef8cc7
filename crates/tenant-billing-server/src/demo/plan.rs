//! What happens in the demo: who calls, who hangs up, and what goes wrong. All of it is a function of
//! the seed, and the same for all three programs.

use std::time::Duration;

use stripe_sandbox::{Chaos, FaultKind};

use super::clock::mix;

/// How likely each fault is to strike a request. Together, one request in four goes wrong: a bad day,
/// so that a few seconds show what otherwise takes months.
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
/// The users of one tenant in so many do not try again today if the program dies under them.
const COMES_TOMORROW: u64 = 5;
/// Every so many-th caller is not the owner of the tenant, and has an address of their own.
const COLLEAGUE: usize = 5;

/// The play.
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
    /// The play of this seed.
    pub(super) fn new(seed: u64, tenants: usize, callers: usize) -> Self {
        let id = |number: usize| {
            let high = mix(mix(seed) ^ number as u64);
            let bits = u128::from(high) << 64 | u128::from(mix(high));
            let hex = format!("{bits:032x}");
            // The digits that say "random" in a UUID.
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

    /// Everybody: the first caller of each tenant, then the second of each, and so on.
    pub(super) fn everybody(&self) -> Vec<Caller> {
        let callers = 0..self.callers;
        callers
            .flat_map(|number| (0..self.tenants.len()).map(move |tenant| Caller { tenant, number }))
            .collect()
    }

    /// The tenant that a caller belongs to.
    pub(super) fn tenant(&self, caller: Caller) -> &str {
        &self.tenants[caller.tenant]
    }

    /// The e-mail address that a caller has.
    pub(super) fn email(&self, caller: Caller) -> String {
        let who = if caller.number % COLLEAGUE == COLLEAGUE - 1 { "colleague" } else { "owner" };
        format!("{who}@tenant-{}.example", caller.tenant)
    }

    /// After how long a caller hangs up, if that is what they do.
    pub(super) fn hangs_up(&self, caller: Caller) -> Option<Duration> {
        let draw = self.draw(1, caller.tenant * self.callers + caller.number);
        draw.is_multiple_of(HANGS_UP).then(|| Duration::from_millis(mix(draw) % 400))
    }

    /// Whether a caller whom the program failed tries again today.
    pub(super) fn tries_again_today(&self, caller: Caller) -> bool {
        !self.draw(2, caller.tenant).is_multiple_of(COMES_TOMORROW)
    }

    /// What goes wrong at Stripe and on the way there, reading or writing.
    pub(super) fn faults(&self) -> Chaos {
        let calm = Chaos::new(self.seed).methods(&["GET", "POST"]);
        FAULTS.into_iter().fold(calm, |chaos, (kind, probability)| chaos.with(kind, probability))
    }

    fn draw(&self, question: u64, about: usize) -> u64 {
        mix(mix(mix(self.seed) ^ question) ^ about as u64)
    }
}
