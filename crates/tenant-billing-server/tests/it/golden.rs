//! Help, output and exit codes, word for word: the files in `tests/cmd`.
//!
//! After a change that is meant, `TRYCMD=overwrite cargo test -p tenant-billing-server golden` writes
//! them anew; what varies must then be put back as `[..]`.

use std::process::Command;

use stripe_sandbox::Sandbox;
use tokio::runtime::Runtime;

const CHILD: &str = "TEST_GOLDEN_CHILD";

/// The cases set variables of their own, and must not see those of whoever runs the tests. So they run
/// in this same binary, started again in a clean environment with a Stripe to call.
#[test]
fn golden() {
    let runtime = Runtime::new().unwrap();
    let sandbox = runtime.block_on(Sandbox::start()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    for variable in [
        "DATABASE_URL",
        "DATABASE_DIRECT_URL",
        "DATABASE_POOL_SIZE",
        "TENANTS_TABLE",
        "STRIPE_SECRET_KEY",
        "STRIPE_ACCOUNT",
        "RUST_LOG",
    ] {
        command.env_remove(variable);
    }
    let status = command
        .args(["--exact", "golden::cases", "--nocapture"])
        .env(CHILD, "1")
        // Where `--sandbox` is given, it wins over this.
        .env("STRIPE_API_BASE", sandbox.url())
        .env("COLUMNS", "100")
        .status();
    assert!(status.unwrap().success(), "see above");
}

/// Does nothing unless it is that other process.
#[test]
fn cases() {
    if std::env::var_os(CHILD).is_some() {
        trycmd::TestCases::new().case("tests/cmd/*.trycmd").case("tests/cmd/*.toml");
    }
}
