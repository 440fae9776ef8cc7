//! The bad day in three acts, the same for all three programs.
//!
//! 1. All callers call at once while many requests fail. Some hang up. Halfway, the program is
//!    killed and restarted, and the callers whose calls that ended retry, most of them at once and
//!    some on the next day.
//! 2. After 25 hours, when Stripe has forgotten the idempotency keys, all callers call again.
//! 3. Two hours later nothing goes wrong any more, and all callers call once more.

use std::{pin::pin, sync::Arc, time::Duration};

use indicatif::ProgressBar;
use tenant_billing::ports::Clock;
use tokio::{runtime::Runtime, task::JoinHandle};

use super::{
    clock::DemoClock,
    plan::{Caller, Plan},
    world::{Process, World},
};
use crate::failure::Failure;

const A_DAY: Duration = Duration::from_secs(25 * 3600);
const A_WHILE: Duration = Duration::from_secs(2 * 3600);
/// How often the demo checks whether it is time to kill the program.
const CHECK_EVERY: Duration = Duration::from_millis(2);

/// The number of calls, and how many of them failed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) made: usize,
    /// How many callers who had not hung up were shown an error.
    pub(super) errors: usize,
}

/// What a caller was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saw {
    Customer,
    Error,
    /// The caller hung up before.
    Nothing,
}

/// Runs all three acts. `stage` is the runtime that outlives the program's processes.
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

    bar.set_message(format!("{}: all users call at once", world.program.name()));
    world.sandbox.chaos(Some(plan.faults()));
    let first = world.start()?;
    let handles = call(&first, world, plan, &everybody, Plan::hangs_up, bar);
    stage.block_on(midway(world, plan, &handles));
    first.kill();
    let saw = stage.block_on(calls.collect(handles));
    let cut_off = everybody.iter().zip(saw).filter(|(_, saw)| saw.is_none());
    let (again, tomorrow): (Vec<_>, Vec<_>) =
        cut_off.map(|(caller, _)| *caller).partition(|caller| plan.retries_today(*caller));
    let second = world.start()?;
    stage.block_on(calls.collect(call(&second, world, plan, &again, |_, _| None, bar)));
    bar.inc(tomorrow.len() as u64);

    for (skipped, message) in [(A_DAY, "a day later"), (A_WHILE, "two hours later")] {
        bar.set_message(format!("{}: {message}", world.program.name()));
        world.sandbox.advance(skipped);
        world.clock.skip(skipped);
        if skipped == A_WHILE {
            world.sandbox.disarm();
        }
        let app = Arc::clone(&second.app);
        // If this fails, the calls show it.
        let _ = stage.block_on(second.runtime.spawn(async move { app.background_work().await }));
        stage.block_on(calls.collect(call(&second, world, plan, &everybody, |_, _| None, bar)));
    }
    second.kill();
    Ok(calls)
}

/// Starts the calls of these callers, all at once.
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
    /// Waits for all calls. A call that ended with its process gives `None`.
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

/// Waits until Stripe has created Customers for half of the tenants, or all calls have ended.
async fn midway(world: &World, plan: &Plan, handles: &[JoinHandle<Saw>]) {
    let half = plan.tenants.len().div_ceil(2) as u64;
    while world.sandbox.counters().customers_created < half
        && !handles.iter().all(JoinHandle::is_finished)
    {
        world.clock.sleep(CHECK_EVERY).await;
    }
}
