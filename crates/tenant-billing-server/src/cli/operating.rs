//! The arguments of the commands with which an operator looks after tenants.

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};
use tenant_billing::Attention;

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["tenant_ids", "all"])))]
pub(crate) struct Check {
    /// The tenants' ids
    #[arg(value_name = "TENANT_ID")]
    pub(crate) tenant_ids: Vec<String>,
    /// Check every tenant that has a Customer, in the order of their ids
    #[arg(long)]
    pub(crate) all: bool,
    /// With --all: go on with the tenant after this one
    #[arg(long, value_name = "TENANT_ID", conflicts_with = "tenant_ids")]
    pub(crate) after: Option<String>,
    /// The highest number of tenants to check in a second; retries come on top
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub(crate) rate: usize,
    /// Give a tenant another Customer at once if its Customer is deleted, or if it is named by its id
    /// and has none
    #[arg(long)]
    pub(crate) heal: bool,
    /// The e-mail address for that Customer, if a single tenant is checked [default: none]
    #[arg(long, requires = "heal", conflicts_with = "all")]
    pub(crate) email: Option<String>,
    /// Print a JSON object for each tenant, also for errors
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `unbind`.
#[derive(Debug, Args)]
pub(crate) struct Unbind {
    /// The tenant's id: a UUID, or whatever the key of your tenants table is
    pub(crate) tenant_id: String,
    /// Why, for the audit trail: 1 to 200 characters, without personal data
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Print JSON, also for errors
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Which tenants, or surplus Customers, to list
    #[arg(long)]
    pub(crate) state: ListedState,
    /// The highest number of lines
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
    /// Print one JSON object, also for errors
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `list` lists.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ListedState {
    /// Tenants that may have a Customer, which an inquiry has to find
    InDoubt,
    /// Tenants whose Customer is being created
    Pending,
    /// Tenants whose request Stripe refuses for good
    Rejected,
    /// Customers in Stripe that must not exist
    Surplus,
}

impl From<ListedState> for Attention {
    fn from(state: ListedState) -> Self {
        match state {
            ListedState::InDoubt => Self::InDoubt,
            ListedState::Pending => Self::Pending,
            ListedState::Rejected => Self::Rejected,
            ListedState::Surplus => Self::Surplus,
        }
    }
}
