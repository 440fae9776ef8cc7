//! `tenant-billing`: exactly one Stripe Customer per tenant, from the command line.
//!
//! Read `cli.rs` for what can be typed, `commands` for what it does, and `demo` for why. All that
//! decides is in `tenant-billing-core`; here is only what reads arguments and prints results.

mod cli;
mod commands;
mod database;
mod demo;
mod exit;
#[cfg(feature = "failpoints")]
mod failpoint;
mod logging;
mod output;
mod session;
mod signals;
mod stripe;

use std::process::ExitCode;

use self::logging::LevelFilter;

fn main() -> ExitCode {
    match cli::Cli::read(std::env::args_os()) {
        Ok(cli) => {
            // In the demo things go wrong on purpose.
            let quiet = matches!(cli.command, cli::Command::Demo(_));
            logging::start(if quiet { LevelFilter::OFF } else { LevelFilter::WARN });
            commands::run(cli).into()
        }
        Err(words) => {
            // Help that nobody reads to its end is no failure.
            let _ = words.print();
            ExitCode::from(u8::try_from(words.exit_code()).unwrap_or(2))
        }
    }
}
