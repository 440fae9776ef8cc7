//! `migrate`: the tables, on purpose. In a SQLite file every other command makes them on first use.

use tenant_billing::{SystemClock, ids::Invalid};

use crate::{
    cli::{Migrate, Options},
    database::Database,
    exit::{Exit, Failure},
    output,
};

/// Migrates, or prints what a role needs that does not.
pub(crate) async fn run(options: &Options, arguments: &Migrate) -> Result<Exit, Failure> {
    let database = Database::open(options, SystemClock::shared())?;
    let Some(role) = &arguments.print_grants else {
        database.store().migrate().await?;
        output::print("the database is up to date")?;
        return Ok(Exit::Done);
    };
    let Database::Postgres(store) = database else {
        let why = "is for PostgreSQL; a SQLite file is its owner's";
        return Err(Invalid::new("--print-grants", why).into());
    };
    output::print(store.grants(role).await?.trim_end())?;
    Ok(Exit::Done)
}
