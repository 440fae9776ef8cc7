//! The commands, one file each. A command prints its result and returns its exit code.

mod account;
mod check;
mod get_or_create;
mod history;
mod history_json;
mod installation;
mod list;
mod lookup;
mod migrate;
mod progress;
mod recover;
mod tenant_add;
mod unbind;

use tokio::runtime::Builder;

use crate::{
    causes,
    cli::{self, Cli, Command, Tenant},
    database::explain,
    demo,
    exit::Exit,
    failure::Failure,
    output,
    session::Session,
};

const NO_DATABASE_URL: &str = "DATABASE_URL is not set, so this uses the SQLite file \
                               tenant-billing.db in the current directory";

/// Runs a command, and reports its failure if it fails.
pub(crate) fn run(cli: Cli) -> Exit {
    let Cli { options, command } = cli;
    let as_json = match &command {
        Command::GetOrCreate(it) => it.json,
        Command::Lookup(it) | Command::History(it) => it.json,
        Command::Account(cli::Account::Show(it))
        | Command::Installation(cli::Installation::Show(it)) => it.json,
        Command::Account(_) | Command::Installation(_) => false,
        Command::Recover(it) => it.json,
        Command::List(it) => it.json,
        Command::Check(it) => it.json,
        Command::Unbind(it) => it.json,
        Command::Migrate(_) | Command::Tenant(_) | Command::Demo(_) => false,
    };
    let ended = match command {
        Command::Demo(it) => demo::run(&it),
        command => on_one_thread(async move {
            if options.database_url.is_none() {
                output::say(NO_DATABASE_URL);
            }
            let ended = match command {
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
                Command::List(it) => list::run(&Session::open(&options).await?, &it).await,
                Command::Check(it) => check::run(&options, &it).await,
                Command::Unbind(it) => unbind::run(&options, &it).await,
                Command::Demo(it) => demo::run(&it),
            };
            match ended {
                Ok(exit) => Ok(exit),
                Err(failure) => Err(explain(&options, failure).await),
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
