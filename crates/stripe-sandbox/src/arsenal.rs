//! The armed faults, and which of them strikes a request.

use std::collections::HashMap;

use crate::chaos::Chaos;
use crate::fault::Fault;
use crate::ids;
use crate::rule::{RequestView, Rule};

#[derive(Debug, Default)]
pub(crate) struct Arsenal {
    pub(crate) rules: Vec<Armed>,
    chaos: Option<Chaos>,
    /// The number of requests that chaos saw with each key or path, by the hash of that.
    seen: HashMap<u64, u64>,
}

#[derive(Debug)]
pub(crate) struct Armed {
    pub(crate) rule: Rule,
    /// The number of requests that it matched.
    pub(crate) matched: u64,
    /// The number of requests that it struck.
    pub(crate) struck: u64,
}

impl Arsenal {
    pub(crate) fn arm(&mut self, rule: Rule) {
        // Spent rules stay in view, but not so many that they slow down every request.
        if self.rules.len() >= 256 {
            self.rules.retain(|armed| !armed.is_spent());
        }
        self.rules.push(Armed { rule, matched: 0, struck: 0 });
    }

    /// Sets or ends chaos, and forgets the requests that it saw before.
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
    pub(crate) fn draw(&mut self, target: RequestView<'_>) -> Option<Fault> {
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
        // Chaos counts every request, so that a rule does not shift its later draws.
        let chance = self.draw_by_chance(target);
        struck.or(chance)
    }

    fn draw_by_chance(&mut self, target: RequestView<'_>) -> Option<Fault> {
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
    /// Whether the rule has struck for the last time.
    pub(crate) fn is_spent(&self) -> bool {
        match self.rule.nth {
            Some(nth) => self.matched >= nth,
            None => self.struck >= self.rule.times,
        }
    }
}
