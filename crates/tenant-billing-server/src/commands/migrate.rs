//! `migrate`: creates or updates the tables. In a SQLite file, every other command does so too.

use tenant_billing::ids::Invalid;

use crate::{
    cli::{Migrate, Options},
    database::Opened,
    exit::Exit,
    failure::Failure,
    output,
};

/// Migrates the database, or prints the grants for a role that runs the other commands.
pub(crate) async fn run(options: &Options, arguments: &Migrate) -> Result<Exit, Failure> {
    let opened = Opened::open(options)?;
    let Some(role) = &arguments.print_grants else {
        opened.into_store().migrate().await?;
        output::print("the database is up to date")?;
        return Ok(Exit::Done);
    };
    let Opened::Postgres(store) = opened else {
        let why = "is for PostgreSQL only; SQLite has no roles";
        return Err(Invalid::new("--print-grants", why).into());
    };
    output::print(store.grants(role).await?.trim_end())?;
    Ok(Exit::Done)
}
