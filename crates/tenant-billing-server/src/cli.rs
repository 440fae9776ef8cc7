//! The command line: the commands, their flags, and the help that explains them.
//!
//! A flag wins over its environment variable, and an empty variable counts as unset, because a
//! compose file passes an unset variable on as an empty one. The secret key has no flag: every
//! process of the machine can read a command line, and the shell's history keeps it.

mod operating;

mod environments;

use std::ffi::OsString;

use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::RangedU64ValueParser, error::ErrorKind, parser::ValueSource,
};
use jiff::Timestamp;

pub(crate) use self::operating::{Check, List, Unbind};

pub(crate) use self::environments::{Account, Confirmed, Copied, Installation};

/// What `--help` ends with. The exit codes themselves are in `exit.rs`.
const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  the tenant has no Customer (`lookup`, `check` and `unbind`)
  2  the input is invalid: correct what the message names
  3  the tenant is unknown: register it first
  4  Stripe rejected the request for good: use other details
  5  retry later: running the same command again is always safe; also after Ctrl-C or SIGTERM
  6  an operator must act: the message says what is wrong, and the hint what to do

Environment variables without a flag:
  STRIPE_SECRET_KEY  the secret key, sk_… or rk_…
  RUST_LOG           the level of the log on standard error, such as `debug` (default: warn)

To see it work without any setup, run: tenant-billing demo";

/// Gives each tenant exactly one Stripe Customer
///
/// Any number of processes may ask for the same tenant at the same time, and any of them may be
/// killed at any moment: Stripe ends up with one Customer, and the database holds its id.
#[derive(Debug, Parser)]
#[command(name = "tenant-billing", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub(crate) options: Options,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connections (every command)")]
pub(crate) struct Options {
    /// The database: `postgres://USER@HOST/NAME`, or `sqlite:FILE`, which is created on first use
    /// [default: sqlite:tenant-billing.db, in the current directory]
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The PostgreSQL server itself, for `migrate`, if a pooler is in front of it
    #[arg(long, global = true, env = "DATABASE_DIRECT_URL", hide_env_values = true)]
    #[arg(value_name = "URL")]
    pub(crate) database_direct_url: Option<String>,
    /// Maximum number of PostgreSQL connections [default: 4]
    #[arg(long, global = true, env = "DATABASE_POOL_SIZE", hide_env_values = true)]
    #[arg(value_name = "N")]
    pub(crate) database_pool_size: Option<String>,
    /// The PostgreSQL table of your tenants, or `none` to accept any tenant id [default: tenants]
    #[arg(long, global = true, env = "TENANTS_TABLE", hide_env_values = true, value_name = "NAME")]
    pub(crate) tenants_table: Option<String>,
    /// The PostgreSQL table that holds the Customers' ids; it may be the tenants table itself
    /// [default: tenant_config]
    #[arg(long, global = true, env = "TENANT_CONFIG_TABLE", hide_env_values = true)]
    #[arg(value_name = "NAME")]
    pub(crate) tenant_config_table: Option<String>,
    /// Its column of the tenants' ids [default: tenant_id]
    #[arg(long, global = true, env = "TENANT_CONFIG_TENANT_COLUMN", hide_env_values = true)]
    #[arg(value_name = "NAME")]
    pub(crate) tenant_config_tenant_column: Option<String>,
    /// Its column of the Customers' ids [default: stripe_customer_id]
    #[arg(long, global = true, env = "TENANT_CONFIG_CUSTOMER_COLUMN", hide_env_values = true)]
    #[arg(value_name = "NAME")]
    pub(crate) tenant_config_customer_column: Option<String>,
    /// Override Stripe's base URL, for example with that of a stripe-sandbox
    #[arg(
        long,
        global = true,
        env = "STRIPE_API_BASE",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) stripe_api_base: Option<String>,
    /// The Stripe account to act on (`acct_…`): a connected account, or the key's own
    #[arg(long, global = true, env = "STRIPE_ACCOUNT", hide_env_values = true, value_name = "ID")]
    pub(crate) stripe_account: Option<String>,
    /// Use a simulated Stripe instead of the real one; it needs no key and no account
    ///
    /// Its state is kept in a file beside the SQLite file; with PostgreSQL, in the current
    /// directory.
    #[arg(long, global = true)]
    pub(crate) sandbox: bool,
    /// Ask Stripe whether the tenant already has a Customer before creating the first one
    ///
    /// Use it for a Stripe account that may already contain Customers for your tenants.
    #[arg(long, global = true)]
    pub(crate) inquire_first: bool,
    /// What to do about a Customer that names a tenant but not the database that it is for
    ///
    /// Other software makes such Customers: this application's before tenant-billing, or another
    /// application's on the same Stripe account, which has tenants of the same ids. By default they
    /// are adopted where tenant ids are UUIDs, which nobody else has. Elsewhere the command stops
    /// and names the Customer.
    #[arg(long, global = true, env = "UNMARKED_CUSTOMERS", hide_env_values = true)]
    #[arg(value_name = "adopt|stop|ignore")]
    pub(crate) unmarked: Option<String>,
    /// Another metadata key that names the tenant, such as `userId`; may be given several times
    ///
    /// Customers that other software of yours has created are then found by it, and are treated as
    /// --unmarked says.
    #[arg(long, global = true, env = "TENANT_METADATA_KEYS", hide_env_values = true)]
    #[arg(value_name = "KEY", value_delimiter = ',')]
    pub(crate) tenant_metadata_key: Vec<String>,
    /// When a backup of the database was last restored (RFC 3339); implies --inquire-first
    ///
    /// Leave it set until every tenant has been asked for once.
    #[arg(long, global = true, value_name = "TIME")]
    pub(crate) restored_at: Option<Timestamp>,
}

const DEFAULT_DATABASE: &str = "sqlite:tenant-billing.db";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create the tables, or bring them up to date
    ///
    /// On SQLite, every command does this by itself; on PostgreSQL, only this command does. It
    /// does not change the tables and rows that you already have.
    Migrate(Migrate),
    /// Register tenants
    #[command(subcommand)]
    Tenant(Tenant),
    /// Print a tenant's Stripe Customer, and create it if there is none
    ///
    /// The output is the Customer's id. It is always safe to run the command again, at any time and
    /// on any machine, no matter how the last run ended.
    GetOrCreate(GetOrCreate),
    /// Print a tenant's Stripe Customer if there is one; never creates, never calls Stripe
    Lookup(OneTenant),
    /// Print a tenant's audit trail; never calls Stripe
    ///
    /// The trail lists every step with its Stripe request id, oldest first. Below it stand the
    /// tenant's state, the Customer that is bound to it, and its surplus Customers. A surplus
    /// Customer is one that was created for the tenant and could not be bound; delete it in Stripe
    /// after checking.
    History(OneTenant),
    /// Complete interrupted work: process once whatever is due
    ///
    /// The output names each tenant that got its Customer, and each that remains, with what stands in
    /// the way and when it is due. The exit code is 5 if any remain.
    Recover(Recover),
    /// List what an operator may have to look at; never calls Stripe
    ///
    /// Each line has the tenant, since when, when recovery takes it up next, and why it is not done.
    List(List),
    /// Ask Stripe whether tenants' Customers still exist
    ///
    /// A Customer that was deleted in Stripe is unbound, and the tenant's next call creates another.
    /// Stripe's webhook `customer.deleted` does the same at once; use this where webhooks are not
    /// set up, or after some were lost. The exit code is 0 if every tenant has a Customer that
    /// exists, and else the highest of: 1 if one has none now, 3 if one is not registered, 5 if one
    /// could not be checked now, 6 if an operator must act.
    Check(Check),
    /// Take a tenant's Customer off it, so that the next call creates another; never calls Stripe
    ///
    /// The Customer stays in Stripe, with all that runs on it, on record as surplus, and is never
    /// bound again.
    Unbind(Unbind),
    /// Show the Stripe account that the database belongs to, or give the database to another one
    #[command(subcommand)]
    Account(Account),
    /// Show which database this is, and say whose Customers are not its own
    ///
    /// Every database has an installation id of its own, and every Customer that it creates is
    /// marked with it.
    #[command(subcommand)]
    Installation(Installation),
    /// Show how Customers get duplicated and lost, and that tenant-billing prevents it
    ///
    /// The demo runs three programs through the same faults, with a simulated Stripe and temporary
    /// databases. It needs no setup, and deletes its files when it ends.
    Demo(Demo),
}

/// The commands about the list of tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Register tenants, so that they can have a Customer
    Add {
        /// Tenant ids, or `-` to read them from standard input, one per line
        #[arg(required = true, value_name = "TENANT_ID")]
        tenant_ids: Vec<String>,
    },
}

/// Arguments of `migrate`.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Print the GRANTs for a PostgreSQL role that runs all other commands, and migrate nothing
    #[arg(long, value_name = "ROLE", num_args = 0..=1, default_missing_value = "tenant_billing_app")]
    pub(crate) print_grants: Option<String>,
}

/// Arguments of `get-or-create`.
#[derive(Debug, Args)]
pub(crate) struct GetOrCreate {
    /// The tenant's id: a UUID, or whatever the key of your tenants table is
    pub(crate) tenant_id: String,
    /// The e-mail address for a new Customer, if the tenant has one; an existing Customer keeps its
    /// own
    pub(crate) email: Option<String>,
    /// The name for a new Customer
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Metadata for a new Customer; the flag may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) metadata: Vec<(String, String)>,
    /// How long to wait; `recover` completes whatever is still under way then
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    #[arg(value_parser = RangedU64ValueParser::<u64>::new().range(1..=3600))]
    pub(crate) deadline: u64,
    /// Print JSON, also for errors
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of commands about one tenant.
#[derive(Debug, Args)]
pub(crate) struct OneTenant {
    /// The tenant's id: a UUID, or whatever the key of your tenants table is
    pub(crate) tenant_id: String,
    /// Print JSON, also for errors
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `recover`.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Continue until nothing remains; Ctrl-C stops it
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print one JSON object, also for errors
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The seed, which decides when and where faults occur
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The number of tenants
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub(crate) tenants: usize,
    /// The number of users of each tenant who ask at the same moment
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=100))]
    pub(crate) callers: usize,
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// Clap's message, with exit code 2; also help and version, with exit code 0.
    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(arguments)?;
        let mut cli =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        cli.options.unset_empty();
        // Two flags that exclude each other are a mistake. A flag just wins over a variable.
        if cli.options.sandbox && typed(&matches, "stripe_api_base") {
            let message = "--sandbox and --stripe-api-base exclude each other: \
                           --sandbox replaces Stripe, and --stripe-api-base says where Stripe is";
            return Err(command.error(ErrorKind::ArgumentConflict, message));
        }
        Ok(cli)
    }
}

impl Options {
    /// The database's URL.
    pub(crate) fn database_url(&self) -> &str {
        self.database_url.as_deref().unwrap_or(DEFAULT_DATABASE)
    }

    /// Treats empty settings as unset.
    fn unset_empty(&mut self) {
        for setting in [
            &mut self.database_url,
            &mut self.database_direct_url,
            &mut self.database_pool_size,
            &mut self.tenants_table,
            &mut self.tenant_config_table,
            &mut self.tenant_config_tenant_column,
            &mut self.tenant_config_customer_column,
            &mut self.stripe_api_base,
            &mut self.stripe_account,
            &mut self.unmarked,
        ] {
            setting.take_if(|value| value.is_empty());
        }
        self.tenant_metadata_key.retain(|key| !key.is_empty());
    }
}

/// Whether a global flag was typed, before or after the command's name.
fn typed(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
        || matches.subcommand().is_some_and(|(_, inner)| typed(inner, id))
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it must have the form KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests;
