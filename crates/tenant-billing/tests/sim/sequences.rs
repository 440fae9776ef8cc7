//! Sequences that broke drafts of the design, and those that broke the code since: each stays as a
//! test.
//!
//! A sequence is played like a seed and judged like one: `play` asserts all promises. What is
//! asserted beside them is that the thing happened which the sequence is about.

mod applications;
mod dashboards;
mod inquiries;
mod keys;
mod losses;
mod moves;
mod races;
mod restores;

use std::time::Duration;

use crate::{
    ops::{At, Fault, Mail, Op, Plan, Settings},
    run::{Summary, play, story},
};

/// Plays it; a broken promise is told as a story.
fn played(ops: &[Op]) -> Summary {
    played_with(Settings::PLAIN, ops)
}

fn played_with(settings: Settings, ops: &[Op]) -> Summary {
    let plan = Plan { settings, ops: ops.to_vec() };
    match play(&plan, true) {
        Ok(summary) => summary,
        Err(_) => panic!("{}", story(&plan)),
    }
}

impl Summary {
    /// How often the record says this.
    fn says(&self, words: &str) -> usize {
        self.trace.iter().filter(|line| line.contains(words)).count()
    }
}

fn call(process: u8) -> Op {
    Op::Call { process, tenant: 0, email: Mail::Good, patience: 10 }
}

fn call_for(process: u8, tenant: u8) -> Op {
    Op::Call { process, tenant, email: Mail::Good, patience: 10 }
}

fn call_with(process: u8, email: Mail) -> Op {
    Op::Call { process, tenant: 0, email, patience: 10 }
}

fn recover(process: u8) -> Op {
    Op::Recover { process }
}

fn arm(process: u8, at: At, skip: u8, fault: Fault) -> Op {
    Op::Arm { process, at, skip, fault }
}

fn ms(ms: u64) -> Op {
    Op::Pass(Duration::from_millis(ms))
}

fn seconds(seconds: u64) -> Op {
    Op::Pass(Duration::from_secs(seconds))
}

fn minutes(minutes: u64) -> Op {
    seconds(minutes * 60)
}

fn hours(hours: u64) -> Op {
    minutes(hours * 60)
}
