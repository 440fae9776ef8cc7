//! `migrate`: the tables, on purpose. Every other command makes them on first use.

use crate::{
    cli::Options,
    exit::{Exit, Failure},
    output,
    session::Session,
};

/// Opening the database is all there is to it.
pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    Session::open(options).await?;
    output::print("the database is up to date")?;
    Ok(Exit::Done)
}
