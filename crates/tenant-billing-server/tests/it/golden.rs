//! Compares help, output and exit codes, word for word, with the files in `tests/cmd`.
//!
//! After an intended change, `TRYCMD=overwrite cargo test -p tenant-billing-server golden` writes
//! the files anew. Put `[..]` back for what varies.

use std::process::Command;

use stripe_sandbox::Sandbox;
use tokio::runtime::Runtime;

const CHILD: &str = "TEST_GOLDEN_CHILD";

/// Runs the cases in this same binary, started again in a clean environment with a Stripe to call:
/// the variables of whoever runs the tests must not change the results.
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
        "TENANT_CONFIG_TABLE",
        "TENANT_CONFIG_TENANT_COLUMN",
        "TENANT_CONFIG_CUSTOMER_COLUMN",
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
        // A file in each case's own directory. What is said without it is tested in `tending.rs`.
        .env("DATABASE_URL", "sqlite:tenant-billing.db")
        .status();
    assert!(status.unwrap().success(), "the messages above say which case failed");
}

/// Runs the cases in that process. In the tests' own process, it does nothing.
#[test]
fn cases() {
    if std::env::var_os(CHILD).is_some() {
        trycmd::TestCases::new().case("tests/cmd/*.trycmd").case("tests/cmd/*.toml");
    }
}
