//! The commands that say which account and which application a database belongs to.

use clap::{Args, Subcommand};

/// The commands about the Stripe account.
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Print the account and mode that the database belongs to
    Show(AsJson),
    /// Forget the account and every Customer, so that the next call records another account
    ///
    /// Use it on a copy of the database that is to belong to another account or mode, such as a
    /// staging database refreshed from production. Stop every other process that uses the database
    /// first. The column with the Customers' ids becomes null for every tenant, and the database gets
    /// another installation id. The audit trail stays. Nothing changes in Stripe.
    Rebind(Confirmed),
}

/// The commands about the installation.
#[derive(Debug, Subcommand)]
pub(crate) enum Installation {
    /// Print this database's installation id, and the installations that are other applications
    Show(AsJson),
    /// Say that the database was moved here, and that the one it came from is used no more
    ///
    /// Use it after a dump and restore, or an upgrade of PostgreSQL's major version.
    Moved,
    /// Say that this database is a copy, and that its original is used as well
    ///
    /// The copy gets an installation id of its own. Stop every other process that uses the copy
    /// first. The original is not changed.
    Copied(Copied),
    /// Say that an installation is another application, whose Customers are not this one's
    Ignore {
        /// The installation id, as the message or the Customer's metadata names it
        installation: String,
    },
}

/// Whether to print JSON.
#[derive(Debug, Args)]
pub(crate) struct AsJson {
    /// Print JSON, also for errors
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whether a person has confirmed.
#[derive(Debug, Args)]
pub(crate) struct Confirmed {
    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Arguments of `installation copied`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false, id = "bindings")]
pub(crate) struct Bindings {
    /// Each tenant here gets a Customer of its own at its next call
    #[arg(long)]
    pub(crate) forget_bindings: bool,
    /// Tenants here keep the Customers that they share with the original
    #[arg(long)]
    pub(crate) keep_bindings: bool,
}

/// Arguments of `installation copied`.
#[derive(Debug, Args)]
pub(crate) struct Copied {
    /// What becomes of the Customers.
    #[command(flatten)]
    pub(crate) bindings: Bindings,
    /// Whether a person has confirmed.
    #[command(flatten)]
    pub(crate) confirmed: Confirmed,
}
