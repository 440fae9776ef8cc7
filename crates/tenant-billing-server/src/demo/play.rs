//! The play, in three acts, the same for all three programs.
//!
//! 1. Everybody calls at once while much goes wrong. Some hang up. In the middle of it the program is
//!    killed and started anew, and those whom that cut off try again, most of them at once and some
//!    the next day.
//! 2. A day passes, as long as Stripe remembers idempotency keys and longer; everybody calls again.
//! 3. Two hours later nothing goes wrong any more, and everybody calls once more.

use std::{pin::pin, sync::Arc, time::Duration};

use indicatif::ProgressBar;
use tenant_billing::ports::Clock;
use tokio::{runtime::Runtime, task::JoinHandle};

use super::{
    app::{Process, World},
    clock::DemoClock,
    plan::{Caller, Plan},
};
use crate::exit::Failure;

const A_DAY: Duration = Duration::from_secs(25 * 3600);
const A_WHILE: Duration = Duration::from_secs(2 * 3600);
/// How often the one who will kill the program looks whether it is time.
const GLANCE: Duration = Duration::from_millis(2);

/// What came of the calls.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) made: usize,
    /// Errors that were shown to callers who had not hung up.
    pub(super) errors: usize,
    /// How many calls there were in the last act, and how long it took. In the others, time goes by
    /// in waiting before the next try.
    pub(super) last: (usize, Duration),
}

/// What a caller saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saw {
    Customer,
    Error,
    /// Nothing: they hung up.
    Nothing,
}

/// Plays it to the end. `stage` is the runtime that outlives the program's processes.
///
/// # Errors
/// If the program cannot be started.
pub(super) fn play(
    stage: &Runtime,
    world: &World,
    plan: &Plan,
    bar: &ProgressBar,
) -> Result<Calls, Failure> {
    let mut calls = Calls::default();
    let everybody = plan.everybody();

    bar.set_message(format!("{}: all call at once", world.contender.name()));
    world.sandbox.chaos(Some(plan.faults()));
    let first = world.start()?;
    let handles = call(&first, world, plan, &everybody, Plan::hangs_up, bar);
    stage.block_on(midway(world, plan, &handles));
    first.kill();
    let saw = stage.block_on(calls.collect(handles));
    let cut_off = everybody.iter().zip(saw).filter(|(_, saw)| saw.is_none());
    let (again, tomorrow): (Vec<_>, Vec<_>) =
        cut_off.map(|(caller, _)| *caller).partition(|caller| plan.tries_again_today(*caller));
    let second = world.start()?;
    stage.block_on(calls.collect(call(&second, world, plan, &again, |_, _| None, bar)));
    bar.inc(tomorrow.len() as u64);

    for (skipped, message) in [(A_DAY, "a day later"), (A_WHILE, "two hours later")] {
        bar.set_message(format!("{}: {message}", world.contender.name()));
        world.sandbox.advance(skipped);
        world.clock.skip(skipped);
        if skipped == A_WHILE {
            world.sandbox.disarm();
        }
        let app = Arc::clone(&second.app);
        // It ends, and what it could not do is for the calls to show.
        let _ = stage.block_on(second.runtime.spawn(async move { app.work_by_itself().await }));
        let began = world.clock.uptime();
        stage.block_on(calls.collect(call(&second, world, plan, &everybody, |_, _| None, bar)));
        calls.last = (everybody.len(), world.clock.uptime() - began);
    }
    second.kill();
    Ok(calls)
}

/// Lets these call, all at once.
fn call(
    process: &Process,
    world: &World,
    plan: &Plan,
    callers: &[Caller],
    hangs_up: impl Fn(&Plan, Caller) -> Option<Duration>,
    bar: &ProgressBar,
) -> Vec<JoinHandle<Saw>> {
    let start = |caller: &Caller| {
        let (app, clock) = (Arc::clone(&process.app), Arc::clone(&world.clock));
        let (tenant, email) = (plan.tenant(*caller).to_owned(), plan.email(*caller));
        let (patience, bar) = (hangs_up(plan, *caller), bar.clone());
        process.runtime.spawn(async move {
            let called = async move {
                match app.customer_of(&tenant, &email).await {
                    Ok(_) => Saw::Customer,
                    Err(_) => Saw::Error,
                }
            };
            let saw = patiently(called, patience, &clock).await;
            bar.inc(1);
            saw
        })
    };
    callers.iter().map(start).collect()
}

async fn patiently(
    called: impl Future<Output = Saw>,
    patience: Option<Duration>,
    clock: &DemoClock,
) -> Saw {
    let Some(patience) = patience else {
        return called.await;
    };
    tokio::select! {
        saw = pin!(called) => saw,
        () = clock.sleep(patience) => Saw::Nothing,
    }
}

impl Calls {
    /// Waits for all of them; `None` for a caller who was cut off by the end of the process.
    async fn collect(&mut self, handles: Vec<JoinHandle<Saw>>) -> Vec<Option<Saw>> {
        self.made += handles.len();
        let mut all = Vec::with_capacity(handles.len());
        for handle in handles {
            let saw = handle.await.ok();
            self.errors += usize::from(saw == Some(Saw::Error));
            all.push(saw);
        }
        all
    }
}

/// Until Stripe has made a Customer for half of the tenants, or nobody is calling any more.
async fn midway(world: &World, plan: &Plan, handles: &[JoinHandle<Saw>]) {
    let half = plan.tenants.len().div_ceil(2) as u64;
    while world.sandbox.counters().customers_created < half
        && !handles.iter().all(JoinHandle::is_finished)
    {
        world.clock.sleep(GLANCE).await;
    }
}
