//! The commands, one file each. A command prints its result and returns its exit code.

mod account;
mod get_or_create;
mod history;
mod history_json;
mod installation;
mod lookup;
mod migrate;
mod recover;
mod tenant_add;

use tokio::runtime::Builder;

use crate::{
    causes,
    cli::{self, Cli, Command, Tenant},
    demo,
    exit::Exit,
    failure::Failure,
    output,
    session::Session,
};

/// Runs a command, and reports its failure if it fails.
pub(crate) fn run(cli: Cli) -> Exit {
    let Cli { options, command } = cli;
    let as_json = match &command {
        Command::GetOrCreate(it) => it.json,
        Command::Lookup(it) | Command::History(it) => it.json,
        Command::Account(cli::Account::Show(it))
        | Command::Installation(cli::Installation::Show(it)) => it.json,
        Command::Account(_) | Command::Installation(_) => false,
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
                Command::Lookup(it) => {
                    lookup::run(&Session::open(&options).await?, &options, &it).await
                }
                Command::History(it) => history::run(&Session::open(&options).await?, &it).await,
                Command::Account(it) => {
                    account::run(&Session::open(&options).await?, &options, &it).await
                }
                Command::Installation(it) => {
                    installation::run(&Session::open(&options).await?, &it).await
                }
                Command::Recover(it) => recover::run(&options, &it).await,
                Command::Demo(it) => demo::run(&it),
            }
        }),
    };
    ended.unwrap_or_else(|failure| {
        output::report(&failure, as_json);
        failure.cause.exit
    })
}

/// Runs a command on one thread, which starts faster than many.
fn on_one_thread(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        let message = format!("this process cannot start an event loop: {error}");
        Failure::new(causes::MACHINE, message)
    })?;
    let ended = runtime.block_on(command);
    // The command must not wait for a thread that is blocked by a file lock or a disk.
    runtime.shutdown_background();
    ended
}
