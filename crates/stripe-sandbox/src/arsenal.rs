//! The armed faults, and which of them strikes a request.

use std::collections::HashMap;

use crate::fault::{Chaos, Fault, FaultKind, Rule, When};
use crate::ids;

/// What a fault can see of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
}

/// The armed faults.
#[derive(Debug, Default)]
pub(crate) struct Arsenal {
    pub(crate) rules: Vec<Armed>,
    chaos: Option<Chaos>,
    /// How often chaos saw each key or path, by its hash.
    seen: HashMap<u64, u64>,
}

/// A rule at work.
#[derive(Debug)]
pub(crate) struct Armed {
    pub(crate) rule: Rule,
    /// How many requests it matched.
    pub(crate) matched: u64,
    /// How many requests it struck.
    pub(crate) struck: u64,
}

impl Arsenal {
    pub(crate) fn arm(&mut self, rule: Rule) {
        // Spent rules stay on view, but not so many that every request has to pass them by.
        if self.rules.len() >= 256 {
            self.rules.retain(|armed| !armed.is_spent());
        }
        self.rules.push(Armed { rule, matched: 0, struck: 0 });
    }

    /// Sets or ends chaos; what it saw before is forgotten.
    pub(crate) fn set_chaos(&mut self, chaos: Option<Chaos>) {
        self.chaos = chaos;
        self.seen.clear();
    }

    pub(crate) fn chaos(&self) -> Option<&Chaos> {
        self.chaos.as_ref()
    }

    pub(crate) fn disarm(&mut self) {
        *self = Arsenal::default();
    }

    /// The fault that strikes this request.
    pub(crate) fn draw(&mut self, target: Target<'_>) -> Option<Fault> {
        let mut struck = None;
        for armed in &mut self.rules {
            if !armed.rule.matches(target) {
                continue;
            }
            armed.matched += 1;
            let due = match armed.rule.nth {
                Some(nth) => armed.matched == nth,
                None => armed.struck < armed.rule.times,
            };
            if due && struck.is_none() {
                armed.struck += 1;
                struck = Some(armed.rule.fault.clone());
            }
        }
        // Chaos counts every request, so that a rule in between does not shift its later draws.
        let chance = self.draw_by_chance(target);
        struck.or(chance)
    }

    fn draw_by_chance(&mut self, target: Target<'_>) -> Option<Fault> {
        let chaos = self.chaos.as_ref()?;
        if !chaos.methods.iter().any(|method| method == target.method) {
            return None;
        }
        let identity = match target.key {
            Some(key) => ids::hash(key.as_bytes()),
            None => ids::hash(format!("{} {}", target.method, target.path).as_bytes()),
        };
        let ordinal = self.seen.entry(identity).or_default();
        *ordinal += 1;
        chaos.strike(ids::mix(ids::mix(chaos.seed) ^ identity ^ ids::mix(*ordinal)))
    }
}

impl Armed {
    fn is_spent(&self) -> bool {
        match self.rule.nth {
            Some(nth) => self.matched >= nth,
            None => self.struck >= self.rule.times,
        }
    }
}

impl Rule {
    fn matches(&self, target: Target<'_>) -> bool {
        let Rule { method, path_prefix, tenant, idempotency_key_contains: part, .. } = self;
        method.as_ref().is_none_or(|method| method == target.method)
            && path_prefix.as_ref().is_none_or(|prefix| target.path.starts_with(prefix.as_str()))
            && tenant.as_ref().is_none_or(|tenant| target.tenant == Some(tenant))
            && part.as_ref().is_none_or(|part| target.key.is_some_and(|key| key.contains(part)))
    }
}

impl Chaos {
    fn strike(&self, draw: u64) -> Option<Fault> {
        let mut rest = unit(draw);
        let kind = FaultKind::ALL.into_iter().find(|kind| {
            let probability = self.probabilities.get(kind).copied().unwrap_or(0.0);
            rest -= probability;
            probability > 0.0 && rest < 0.0
        })?;
        let detail = ids::mix(draw);
        let yes = detail & 1 == 1;
        let when = if yes { When::After } else { When::Before };
        Some(match kind {
            FaultKind::RequestLost => Fault::RequestLost,
            FaultKind::AnswerLost => Fault::AnswerLost,
            FaultKind::Delay => {
                let ms = (unit(ids::mix(detail)) * self.max_delay_ms as f64).ceil() as u64;
                Fault::Delay { ms, when }
            }
            FaultKind::Reset => Fault::Reset { when },
            FaultKind::TruncatedBody => Fault::TruncatedBody,
            FaultKind::BadGateway => Fault::BadGateway { when },
            FaultKind::RateLimited => Fault::RateLimited { retry_after: None },
            FaultKind::ServerError => Fault::ServerError { should_retry: yes },
            FaultKind::StoredError => Fault::StoredError { side_effect: yes },
        })
    }
}

/// A number from 0 up to but not including 1.
fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1u64 << 53) as f64
}
