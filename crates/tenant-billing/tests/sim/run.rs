//! Running a plan, and making a failing one small.

use std::{
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{
    ops::{Op, Plan},
    world::{Broken, World},
};

/// So many runs at most go into making a failing plan smaller.
const SHRINKING: u32 = 600;

/// What a run that kept all promises came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) created: u64,
    pub(crate) port_calls: u64,
    pub(crate) hours: u64,
    /// What callers were given, in the order of their calls: a Customer, or an error's code.
    pub(crate) returned: Vec<String>,
    pub(crate) trace: Vec<String>,
}

/// Plays a plan to its end, in a world of its own, and drops the world.
pub(crate) fn play(plan: &Plan, tracing: bool) -> Result<Summary, Broken> {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(plan.settings, tracing);
        for op in &plan.ops {
            world.apply(*op);
            if !world.sim.state().broken.is_empty() {
                world.at_rest = true;
                break;
            }
        }
        if !world.at_rest {
            world.come_to_rest();
        }
        let hours = world.runtime.block_on(async { world.sim.uptime() }).as_secs() / 3600;
        let returned = world.deeds.returned();
        let state = world.sim.state();
        let created = state.book.customers.len() as u64;
        let (port_calls, trace) = (state.port_calls, state.trace.clone());
        Summary { created, port_calls, hours, returned, trace }
    }));
    played.map_err(|panic| match panic.downcast::<Broken>() {
        Ok(broken) => *broken,
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
            let what = format!("panicked: {}", words.unwrap_or_default());
            Broken { what: vec![what], trace: Vec::new() }
        }
    })
}

/// Fewer operations that break a promise all the same: halves first, then single ones.
pub(crate) fn shrink(plan: &Plan) -> Plan {
    let mut smallest = plan.clone();
    let mut runs = 0;
    let mut size = smallest.ops.len().div_ceil(2);
    while size > 0 && runs < SHRINKING {
        let mut at = 0;
        let mut smaller = false;
        while at < smallest.ops.len() && runs < SHRINKING {
            let mut ops: Vec<Op> = smallest.ops.clone();
            ops.drain(at..(at + size).min(ops.len()));
            let candidate = Plan { settings: smallest.settings, ops };
            runs += 1;
            if play(&candidate, false).is_err() {
                smallest = candidate;
                smaller = true;
            } else {
                at += size;
            }
        }
        if !(smaller && size == 1) {
            size /= 2;
        }
    }
    smallest
}

/// A failing plan as a person reads it: the operations, what they broke, and how it went.
pub(crate) fn story(plan: &Plan) -> String {
    let mut story = String::new();
    let Err(broken) = play(plan, true) else {
        return "it does not fail again: the simulation is not deterministic".into();
    };
    let _ = writeln!(story, "{:?}", plan.settings);
    for op in &plan.ops {
        let _ = writeln!(story, "    {op:?},");
    }
    for what in &broken.what {
        let _ = writeln!(story, "broken: {what}");
    }
    let _ = writeln!(story, "how it went (hours:minutes:seconds):");
    for line in &broken.trace {
        let _ = writeln!(story, "{line}");
    }
    story
}
