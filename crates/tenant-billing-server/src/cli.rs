//! What can be typed: the commands, their flags, and the help that explains them.
//!
//! A flag wins over its environment variable, and an empty variable counts as none, because that is
//! what a compose file makes of an unset one. The secret key has no flag at all: whatever is typed
//! can be read by every process of the machine, and stays in the shell's history.

use std::ffi::OsString;

use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::RangedU64ValueParser, error::ErrorKind, parser::ValueSource,
};
use jiff::Timestamp;

/// The exit codes, as `--help` explains them. The codes themselves are in `exit.rs`.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  no Customer yet (lookup)
  2  invalid input: correct what the message names
  3  unknown tenant: register it first
  4  refused by Stripe for good: other details may pass
  5  try again later: the same command again is always safe
  6  an operator must act: key, account, mode or database

Environment:
  STRIPE_SECRET_KEY  the secret key, sk_… or rk_…; only from here, never a flag
  RUST_LOG           log level on standard error, such as `debug` (default: warn)

See it work with nothing set up: tenant-billing demo";

/// Exactly one Stripe Customer per tenant
///
/// Any number of processes may ask for the same tenant at the same time, and any of them may be
/// killed at any moment: Stripe ends up with one Customer, and the database knows which.
#[derive(Debug, Parser)]
#[command(name = "tenant-billing", version, after_help = EXIT_CODES, max_term_width = 100)]
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
#[derive(Debug, Args)]
#[command(next_help_heading = "Connections (every command)")]
pub(crate) struct Options {
    /// The database: `postgres://USER@HOST/NAME`, or `sqlite:FILE`, made on first use
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    #[arg(default_value = DEFAULT_DATABASE)]
    pub(crate) database_url: String,
    /// Where a pooler is in the way, the PostgreSQL server itself, for `migrate`
    #[arg(long, global = true, env = "DATABASE_DIRECT_URL", hide_env_values = true)]
    #[arg(value_name = "URL")]
    pub(crate) database_direct_url: Option<String>,
    /// How many connections to PostgreSQL at the most [default: 4]
    #[arg(long, global = true, env = "DATABASE_POOL_SIZE", hide_env_values = true)]
    #[arg(value_name = "N")]
    pub(crate) database_pool_size: Option<String>,
    /// The PostgreSQL table that holds your tenants, or `none` [default: tenants]
    #[arg(long, global = true, env = "TENANTS_TABLE", hide_env_values = true, value_name = "NAME")]
    pub(crate) tenants_table: Option<String>,
    /// Another base URL than Stripe's own, such as a stripe-sandbox
    #[arg(
        long,
        global = true,
        env = "STRIPE_API_BASE",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) stripe_api_base: Option<String>,
    /// Act for this connected account (`acct_…`)
    #[arg(long, global = true, env = "STRIPE_ACCOUNT", hide_env_values = true, value_name = "ID")]
    pub(crate) stripe_account: Option<String>,
    /// Instead of Stripe, use the built-in sandbox, kept in a file beside the SQLite file, or here
    #[arg(long, global = true)]
    pub(crate) sandbox: bool,
    /// Look at Stripe before every first creation: for accounts with a past
    #[arg(long, global = true)]
    pub(crate) look_first: bool,
    /// When a backup of the database was last restored (RFC 3339); implies --look-first
    #[arg(long, global = true, value_name = "TIME")]
    pub(crate) restored_at: Option<Timestamp>,
}

const DEFAULT_DATABASE: &str = "sqlite:tenant-billing.db";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the tables, or bring them up to date
    ///
    /// On SQLite every command does this on first use; on PostgreSQL this one alone. What is there
    /// already, your own tables and their rows, is left as it is.
    Migrate(Migrate),
    /// Register tenants
    #[command(subcommand)]
    Tenant(Tenant),
    /// Print a tenant's Stripe Customer, which is created if there is none
    ///
    /// Prints the id alone. Safe to run again, at any time and from anywhere, whatever became of
    /// the run before.
    GetOrCreate(GetOrCreate),
    /// Print a tenant's Stripe Customer if there is one; never creates, never calls Stripe
    Lookup(OneTenant),
    /// Print all that is on record of a tenant; never calls Stripe
    History(OneTenant),
    /// Finish what was begun and cut off: goes once over what is due
    ///
    /// Prints what it settled, what remains and when that is due. Exits with 5 if anything remains.
    Recover(Recover),
    /// Show what goes wrong with Stripe Customers, and that it does not go wrong here
    ///
    /// Runs three programs side by side over the same faults, in the built-in sandbox and temporary
    /// databases. Needs nothing, and leaves nothing behind.
    Demo(Demo),
}

/// What to do about tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Register tenants, so that they can be billed
    Add {
        /// Tenant ids, or `-` to read one per line from standard input
        #[arg(required = true, value_name = "TENANT_ID")]
        tenant_ids: Vec<String>,
    },
}

/// Arguments of `migrate`.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Migrate nothing; print the GRANTs that a PostgreSQL role needs which does all the rest
    #[arg(long, value_name = "ROLE", num_args = 0..=1, default_missing_value = "tenant_billing_app")]
    pub(crate) print_grants: Option<String>,
}

/// Arguments of `get-or-create`.
#[derive(Debug, Args)]
pub(crate) struct GetOrCreate {
    /// The tenant's id: a UUID, or what else your tenants' key is
    pub(crate) tenant_id: String,
    /// The e-mail address of a Customer that is created; an existing one keeps its own
    pub(crate) email: String,
    /// The name of a Customer that is created
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Metadata of a Customer that is created; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) metadata: Vec<(String, String)>,
    /// How long to wait; what was begun goes on after that, and `recover` finishes it
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    #[arg(value_parser = RangedU64ValueParser::<u64>::new().range(1..=3600))]
    pub(crate) deadline: u64,
    /// Print JSON, errors too
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of commands about one tenant.
#[derive(Debug, Args)]
pub(crate) struct OneTenant {
    /// The tenant's id: a UUID, or what else your tenants' key is
    pub(crate) tenant_id: String,
    /// Print JSON, errors too
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `recover`.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Go on until nothing remains, or Ctrl-C
    #[arg(long)]
    pub(crate) wait: bool,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Which faults strike, and where
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many tenants
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub(crate) tenants: usize,
    /// How many callers each tenant has at once
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=100))]
    pub(crate) callers: usize,
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// What clap says, with exit code 2; help and version, with exit code 0.
    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(arguments)?;
        let mut cli =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        cli.options.forget_what_is_empty();
        // A flag against a flag is a mistake; against a variable from somewhere it simply wins.
        let base_typed = typed(&matches, "stripe_api_base");
        if cli.options.sandbox && base_typed {
            let words = "--sandbox and --stripe-api-base exclude each other: \
                         the one is instead of Stripe, the other says where Stripe is";
            return Err(command.error(ErrorKind::ArgumentConflict, words));
        }
        Ok(cli)
    }
}

impl Options {
    fn forget_what_is_empty(&mut self) {
        if self.database_url.is_empty() {
            self.database_url = DEFAULT_DATABASE.to_owned();
        }
        for setting in [
            &mut self.database_direct_url,
            &mut self.database_pool_size,
            &mut self.tenants_table,
            &mut self.stripe_api_base,
            &mut self.stripe_account,
        ] {
            setting.take_if(|value| value.is_empty());
        }
    }
}

/// Whether a global flag was typed, before or after the command's name.
fn typed(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
        || matches.subcommand().is_some_and(|(_, inner)| typed(inner, id))
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is not of the form KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_contradiction() {
        Cli::command().debug_assert();
    }

    /// Command lines, their words kept apart by a character that is in none.
    const APART: char = '\u{1f}';

    #[test]
    fn any_command_line() {
        use parser_inputs::{check, texts};
        use proptest::{prelude::Strategy, sample::select};

        const WORDS: &[&str] = &[
            "\u{1f}",
            "\u{1f}--",
            "--json",
            "=",
            "-",
            "t",
            "a@b.example",
            "--metadata\u{1f}a=b",
            "--deadline=5",
            "\u{1f}--sandbox",
            "--stripe-api-base\u{1f}http://h",
            "--help",
            "demo",
            "recover",
            "--restored-at",
        ];
        let good = [
            "migrate",
            "migrate\u{1f}--print-grants\u{1f}app",
            "tenant\u{1f}add\u{1f}t1\u{1f}t2",
            "get-or-create\u{1f}t\u{1f}a@b.example\u{1f}--name\u{1f}Jane\u{1f}--metadata\u{1f}plan=pro",
            "get-or-create\u{1f}t\u{1f}a@b.example\u{1f}--deadline\u{1f}30\u{1f}--json",
            "lookup\u{1f}t\u{1f}--database-url\u{1f}sqlite:a.db",
            "--sandbox\u{1f}recover\u{1f}--wait",
            "history\u{1f}t\u{1f}--json\u{1f}--restored-at\u{1f}2026-11-25T10:00:00Z",
            "demo\u{1f}--seed\u{1f}7\u{1f}--tenants\u{1f}10\u{1f}--callers\u{1f}3",
            "--version",
        ];
        check(
            "command line",
            texts(select(good.to_vec()).prop_map(str::to_owned), WORDS),
            |text| {
                let words =
                    ["tenant-billing"].into_iter().chain(text.split(APART)).map(OsString::from);
                match Cli::read(words) {
                    Ok(cli) => {
                        let options = cli.options;
                        assert!(!options.database_url.is_empty());
                        assert!(!options.sandbox || !text.contains("--stripe-api-base=http"));
                        for set in
                            [options.tenants_table, options.stripe_api_base, options.stripe_account]
                        {
                            assert_ne!(set.as_deref(), Some(""));
                        }
                        match cli.command {
                            Command::GetOrCreate(it) => assert!((1..=3600).contains(&it.deadline)),
                            Command::Demo(it) => {
                                assert!(
                                    (1..=1000).contains(&it.tenants)
                                        && (1..=100).contains(&it.callers)
                                );
                            }
                            _ => {}
                        }
                        true
                    }
                    Err(words) => {
                        let asked = matches!(
                            words.kind(),
                            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
                        );
                        assert_eq!(words.exit_code(), if asked { 0 } else { 2 });
                        false
                    }
                }
            },
        );
    }

    #[test]
    fn any_metadata() {
        use parser_inputs::{assert_silent, check, letters, texts};

        check("KEY=VALUE", texts(letters("ab=", 2..=12), &["=", "plan", "==", "é"]), |text| {
            match key_value(&text) {
                Ok((key, value)) => {
                    assert_eq!(format!("{key}={value}"), text);
                    assert!(!key.contains('='));
                    true
                }
                Err(why) => {
                    assert!(!text.contains('='));
                    assert_silent(&why, &text);
                    false
                }
            }
        });
    }

    /// A time that is read is the one that is printed.
    #[test]
    fn any_time() {
        use parser_inputs::{check, texts};
        use proptest::prelude::{Strategy, any};

        const WORDS: &[&str] = &[
            "2026",
            "-11",
            "-25",
            "T",
            "10:00",
            ":00",
            "Z",
            "+01:00",
            "[Europe/Berlin]",
            ".5",
            " ",
        ];
        let good =
            any::<u32>().prop_map(|it| Timestamp::from_second(i64::from(it)).unwrap().to_string());
        check("--restored-at", texts(good, WORDS), |text| {
            let time = text.parse::<Timestamp>().ok();
            assert!(
                time.is_none_or(|time| time
                    .to_string()
                    .parse::<Timestamp>()
                    .is_ok_and(|again| again == time)),
                "{text:?}"
            );
            time.is_some()
        });
    }
}
