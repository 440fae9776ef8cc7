//! `demo`: what this software is for, in one command that needs nothing.
//!
//! Three programs go through the same bad day, each with a database and a Stripe of its own: two as
//! they are commonly written, and ours. `play.rs` is the day, `rivals.rs` and `ours.rs` are the
//! programs, and `tally.rs` counts what came of it.

mod app;
mod clock;
mod ours;
mod plan;
mod play;
mod report;
mod rivals;
mod sdk;
mod tally;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use tempfile::TempDir;
use tenant_billing::audit::{EventKind, History};
use tokio::runtime::Runtime;

use self::{
    app::{Contender, World},
    ours::Ours,
    plan::Plan,
    tally::Tally,
};
use crate::{
    cli::Demo,
    exit::{Exit, Failure},
    output,
    signals::told_to_stop,
};

/// Each caller calls in each of three acts.
const ACTS: usize = 3;

/// What a shell makes of a program that Ctrl-C ended.
const STOPPED: i32 = 130;

/// Shows it.
pub(crate) fn run(arguments: &Demo) -> Result<Exit, Failure> {
    let plan = Plan::new(arguments.seed, arguments.tenants, arguments.callers);
    let directory = TempDir::with_prefix("tenant-billing-demo").map_err(|error| {
        let words = format!("no temporary directory can be made: {error}");
        Failure::operator(words, "set TMPDIR to a directory that can be written to")
    })?;
    output::print(&report::intro(&plan))?;
    let stage = app::runtime()?;
    stage.spawn(tidy_up_when_stopped(directory.path().to_owned()));
    let bar = progress(&plan);
    let (mut tallies, mut story) = (Vec::new(), None);
    for contender in Contender::ALL {
        let world = stage.block_on(World::new(contender, &plan, directory.path()))?;
        let calls = play::play(&stage, &world, &plan, &bar)?;
        tallies.push(Tally::count(&world, &plan, &calls)?);
        if contender == Contender::Ours {
            story = told(&stage, &world, &plan)?;
        }
        stage.block_on(world.sandbox.stop());
    }
    bar.finish_and_clear();
    output::print(&report::table(&tallies))?;
    if let Some(story) = story {
        output::print(&format!("\n{story}"))?;
    }
    output::print(&format!("\n{}", report::FURTHER))?;
    stage.shutdown_background();
    Ok(Exit::Done)
}

/// Who stops the demo ends its files too.
async fn tidy_up_when_stopped(directory: PathBuf) {
    told_to_stop().await;
    // Whoever made it impossible to delete them will know how to.
    let _ = std::fs::remove_dir_all(directory);
    std::process::exit(STOPPED);
}

/// The story of a tenant whose first answer got lost: the shortest in which the program lived to see
/// it, if there is one.
fn told(stage: &Runtime, world: &World, plan: &Plan) -> Result<Option<String>, Failure> {
    let requests = world.sandbox.requests();
    let lost = |tenant: &&String| {
        let about = |key: &String| key.contains(tenant.as_str());
        let first = requests.iter().find(|it| it.idempotency_key.as_ref().is_some_and(about));
        first.is_some_and(|it| it.fault.as_deref() == Some("answer_lost"))
    };
    let mut shortest: Option<History> = None;
    for tenant in plan.tenants.iter().filter(lost) {
        let history = stage.block_on(Ours::history(&world.file, tenant, world.clock.clone()))?;
        let first_failure = history.events.iter().find(|it| it.event.kind == EventKind::SendFailed);
        let seen = first_failure.is_some_and(|it| it.event.detail.starts_with("no answer"));
        let shorter = |it: &History| history.events.len() < it.events.len();
        if seen && shortest.as_ref().is_none_or(shorter) {
            shortest = Some(history);
        }
    }
    Ok(shortest.map(|history| report::story(&history)))
}

/// On a terminal a bar, elsewhere nothing.
fn progress(plan: &Plan) -> ProgressBar {
    let calls = plan.tenants.len() * plan.callers * ACTS * Contender::ALL.len();
    let bar = ProgressBar::new(calls as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos:>6} of {len} calls  {msg}") {
        bar.set_style(style);
    }
    bar
}
