//! Measures the time from process start to printed id: `cargo bench -p tenant-billing-server`.
//!
//! If the tool `sqlite3` is installed, it runs the same query for comparison, in turns with our
//! program. The figures are medians of many runs; the difference and the ratio are what counts.

use std::{
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

const TENANT: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const RUNS: usize = 200;

fn ours(file: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenant-billing"));
    command.env_clear().env("DATABASE_URL", format!("sqlite:{}", file.display()));
    command.args(arguments);
    command
}

fn sqlite3(file: &Path) -> Command {
    let mut command = Command::new("sqlite3");
    let sql = format!("SELECT stripe_customer_id FROM tenant_config WHERE tenant_id = '{TENANT}'");
    command.arg(file).arg(sql);
    command
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
fn run(mut command: Command) -> (Duration, Output) {
    let began = Instant::now();
    let output = command.output().expect("the program starts");
    (began.elapsed(), output)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("startup.db");
    run(ours(&file, &["tenant", "add", TENANT]));
    let call = ["--sandbox", "get-or-create", TENANT, "a@example.com"];
    let (_, first) = run(ours(&file, &call));
    assert!(first.status.success(), "the tenant has no Customer");

    let (mut theirs, mut existing, mut lookup) = (Vec::new(), Vec::new(), Vec::new());
    let beside = Command::new("sqlite3").arg("--version").output().is_ok();
    for _ in 0..RUNS {
        if beside {
            let (took, output) = run(sqlite3(&file));
            assert_eq!(output.stdout, first.stdout);
            theirs.push(took);
        }
        let (took, output) = run(ours(&file, &call));
        assert_eq!(output.stdout, first.stdout);
        existing.push(took);
        let (took, output) = run(ours(&file, &["lookup", TENANT]));
        assert_eq!(output.stdout, first.stdout);
        lookup.push(took);
    }
    println!("process start to printed id, median of {RUNS}:");
    let beside = beside.then(|| median(theirs));
    match beside {
        Some(took) => println!("  sqlite3 FILE 'SELECT …'           {took:>9.2?}"),
        None => println!("  (sqlite3 is not installed, so there is no comparison)"),
    }
    for (name, times) in [("get-or-create, existing tenant", existing), ("lookup", lookup)] {
        let took = median(times);
        let ratio = beside.map(|it| {
            let (ratio, more) = (took.as_secs_f64() / it.as_secs_f64(), took.saturating_sub(it));
            format!("   {ratio:.2} of sqlite3, {more:.2?} more")
        });
        println!("  {name:33} {took:>9.2?}{}", ratio.unwrap_or_default());
    }
}
