//! The program `tenant-billing`, which gives each tenant exactly one Stripe Customer.
//!
//! `cli.rs` defines the command line, `commands` has a file for each command, and `demo` shows why
//! the software exists. This crate only reads arguments and prints results; every decision is made
//! in `tenant-billing-core`.

mod causes;
mod cli;
mod commands;
mod confirm;
mod database;
mod demo;
mod exit;
#[cfg(feature = "failpoints")]
mod failpoint;
mod failure;
mod history_text;
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
            // In the demo, requests fail on purpose.
            let quiet = matches!(cli.command, cli::Command::Demo(_));
            logging::start(if quiet { LevelFilter::OFF } else { LevelFilter::WARN });
            commands::run(cli).into()
        }
        Err(message) => {
            // It is no failure if the reader of the help closes the pipe early.
            let _ = message.print();
            ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(2))
        }
    }
}
