//! `demo`: shows what this software is for, in one command without any setup.
//!
//! Three programs go through the same bad day, each with a database and a simulated Stripe of its
//! own: two as they are commonly written, and ours. `play.rs` is the day, `rivals.rs` and `ours.rs`
//! are the programs, `tally.rs` counts the results, and `report.rs` prints them.

mod app;
mod clock;
mod ours;
mod plan;
mod play;
mod report;
mod rivals;
mod sdk;
mod tally;
mod world;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use tempfile::TempDir;
use tenant_billing::audit::{EventKind, History};
use tokio::runtime::Runtime;

use self::{
    ours::Ours,
    plan::Plan,
    tally::Tally,
    world::{Program, World},
};
use crate::{causes, cli::Demo, exit::Exit, failure::Failure, output, signals::told_to_stop};

/// The number of acts. Each caller calls once in each.
const ACTS: usize = 3;

/// The exit code of a program that Ctrl-C ended.
const STOPPED: i32 = 130;

/// Runs the demo.
pub(crate) fn run(arguments: &Demo) -> Result<Exit, Failure> {
    let plan = Plan::new(arguments.seed, arguments.tenants, arguments.callers);
    let directory = TempDir::with_prefix("tenant-billing-demo").map_err(|error| {
        let message = format!("the demo cannot create a temporary directory: {error}");
        Failure::new(causes::MACHINE, message)
    })?;
    output::print(&report::intro(&plan))?;
    let stage = world::runtime()?;
    stage.spawn(delete_files_when_stopped(directory.path().to_owned()));
    let bar = progress(&plan);
    let (mut tallies, mut story) = (Vec::new(), None);
    for program in Program::ALL {
        let world = stage.block_on(World::new(program, &plan, directory.path()))?;
        let calls = play::play(&stage, &world, &plan, &bar)?;
        tallies.push(Tally::count(&world, &plan, &calls)?);
        if program == Program::Ours {
            story = story_of_a_lost_answer(&stage, &world, &plan)?;
        }
        stage.block_on(world.sandbox.stop());
    }
    bar.finish_and_clear();
    output::print(&report::table(&plan, &tallies))?;
    output::print(&format!("\n{}", report::conclusion(&plan, &tallies)))?;
    if let Some(story) = story {
        output::print(&format!("\n{story}"))?;
    }
    output::print(&format!("\n{}", report::NEXT))?;
    stage.shutdown_background();
    Ok(Exit::Done)
}

/// Deletes the files of the demo and ends it when the user stops it.
async fn delete_files_when_stopped(directory: PathBuf) {
    told_to_stop().await;
    // If this fails, the files stay in the directory for temporary files.
    let _ = std::fs::remove_dir_all(directory);
    std::process::exit(STOPPED);
}

/// The history of a tenant whose first answer was lost: of those in which the program was still
/// running then, the shortest, if there is one.
fn story_of_a_lost_answer(
    stage: &Runtime,
    world: &World,
    plan: &Plan,
) -> Result<Option<String>, Failure> {
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

/// A progress bar on a terminal; elsewhere, nothing is shown.
fn progress(plan: &Plan) -> ProgressBar {
    let calls = plan.tenants.len() * plan.callers * ACTS * Program::ALL.len();
    let bar = ProgressBar::new(calls as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos:>6} of {len} calls  {msg}") {
        bar.set_style(style);
    }
    bar
}
