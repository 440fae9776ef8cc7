//! The program `stripe-sandbox`: a Stripe on your machine, until you stop it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use stripe_sandbox::{Config, Sandbox};

/// A Stripe that runs on your machine, remembers its Customers, and breaks on demand.
#[derive(Debug, Parser)]
#[command(name = "stripe-sandbox", version)]
struct Options {
    /// The address to listen on. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:12111", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Keep the state in this file. If another sandbox has the file, wait for that one to end.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Give the same requests the same ids. Without a seed, every sandbox has ids of its own.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("stripe-sandbox: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> io::Result<()> {
    let Options { listen, state, seed } = options;
    let defaults = Config::default();
    let config = Config { listen, state, seed: seed.unwrap_or(defaults.seed) };
    // A signal counts from the start, since the wait for another sandbox's state file may be long.
    let asked = asked_to_stop()?;
    tokio::pin!(asked);
    let sandbox = tokio::select! {
        started = Sandbox::start_with(config) => started.map_err(|why| {
            io::Error::new(why.kind(), format!("cannot start on {listen}: {why}"))
        })?,
        () = &mut asked => return Ok(()),
    };
    writeln!(io::stdout(), "{}", sandbox.url())?;
    asked.await;
    sandbox.stop().await;
    Ok(())
}

/// Ends with the first SIGINT or SIGTERM from now on.
#[cfg(unix)]
fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ends with the first Ctrl-C from now on.
#[cfg(windows)]
fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
