//! One file per command. Each says what it prints, and returns how it ended.

mod get_or_create;
mod history;
mod history_json;
mod lookup;
mod migrate;
mod recover;
mod tenant_add;

use tokio::runtime::Builder;

use crate::{
    cli::{Cli, Command, Tenant},
    demo,
    exit::{Exit, Failure},
    output,
    session::Session,
};

pub(crate) use self::history::{Table, lines as history_lines};

/// Runs a command to its end, its failure told.
pub(crate) fn run(cli: Cli) -> Exit {
    let Cli { options, command } = cli;
    let as_json = match &command {
        Command::GetOrCreate(it) => it.json,
        Command::Lookup(it) | Command::History(it) => it.json,
        Command::Migrate(_) | Command::Tenant(_) | Command::Recover(_) | Command::Demo(_) => false,
    };
    let ended = match command {
        Command::Demo(it) => demo::run(&it),
        command => on_one_thread(async move {
            match command {
                Command::Migrate(it) => migrate::run(&options, &it).await,
                Command::Tenant(Tenant::Add { tenant_ids }) => {
                    tenant_add::run(&Session::open(&options).await?, &tenant_ids).await
                }
                Command::GetOrCreate(it) => get_or_create::run(&options, &it).await,
                Command::Lookup(it) => lookup::run(&Session::open(&options).await?, &it).await,
                Command::History(it) => history::run(&Session::open(&options).await?, &it).await,
                Command::Recover(it) => recover::run(&options, &it).await,
                Command::Demo(it) => demo::run(&it),
            }
        }),
    };
    ended.unwrap_or_else(|failure| {
        output::tell(&failure, as_json);
        failure.exit
    })
}

/// One thread starts faster than many, and a command does one thing.
fn on_one_thread(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::operator(
            format!("this process gets no event loop: {error}"),
            "see the machine's limits on processes and open files",
        )
    })?;
    let ended = runtime.block_on(command);
    // A thread that still waits for a file lock or a disk must not hold up the end.
    runtime.shutdown_background();
    ended
}
