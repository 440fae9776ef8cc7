//! Which Stripe a command talks to: the real one, one at another base URL, or the built-in sandbox.
//!
//! Settings are judged at once, so that a missing key is told before anything is asked of it. The
//! sandbox is started only when Stripe is really needed: a tenant that has its Customer needs no
//! Stripe, and must not wait for another command to let go of the sandbox's file.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use stripe_sandbox::{Config, Sandbox};
use tenant_billing::{
    SecretKey, StripeClient,
    ids::{AccountId, Invalid},
    ports::Clock,
};

use crate::{cli::Options, exit::Failure, output};

const KEY: &str = "STRIPE_SECRET_KEY";
/// The sandbox takes any key; this one shows whose it is.
const SANDBOX_KEY: &str = "sk_test_sandbox";
/// A wait for the sandbox's file that is longer than this is worth a word.
const SILENT_WAIT: Duration = Duration::from_secs(2);

/// Where Stripe is, as far as settings say.
pub(crate) struct Target {
    client: StripeClient,
    /// The built-in sandbox's state file, if that is what is called.
    sandbox: Option<PathBuf>,
}

/// A Stripe that can be called.
pub(crate) struct Connection {
    /// The client.
    pub(crate) client: StripeClient,
    /// The sandbox behind it, alive as long as this is.
    pub(crate) sandbox: Option<Sandbox>,
}

impl Target {
    /// What the settings say, with the sandbox's state beside `database`.
    ///
    /// # Errors
    /// If the key is missing or malformed, or another setting is.
    pub(crate) fn of(
        options: &Options,
        database: &Path,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let key = if options.sandbox { key(SANDBOX_KEY)? } else { key_from_environment()? };
        let mut client = StripeClient::new(key, Arc::clone(clock));
        if let Some(account) = &options.stripe_account {
            client = client.with_account(parse_account(account)?);
        }
        if options.sandbox {
            let mut state = OsString::from(database);
            state.push(".sandbox");
            return Ok(Self { client, sandbox: Some(state.into()) });
        }
        if let Some(base) = &options.stripe_api_base {
            client = client.with_base(base)?;
        }
        Ok(Self { client, sandbox: None })
    }

    /// Starts the sandbox, if that is what is called.
    ///
    /// # Errors
    /// If the sandbox does not start.
    pub(crate) async fn connect(self, clock: &dyn Clock) -> Result<Connection, Failure> {
        let Self { client, sandbox: Some(state) } = self else {
            return Ok(Connection { client: self.client, sandbox: None });
        };
        let sandbox = start(state, clock).await?;
        let client = client.with_base(&sandbox.url())?;
        Ok(Connection { client, sandbox: Some(sandbox) })
    }
}

fn key_from_environment() -> Result<SecretKey, Failure> {
    match std::env::var_os(KEY).filter(|value| !value.is_empty()) {
        // A character that is no text is none that a key has, whatever it is replaced with.
        Some(set) => key(&set.to_string_lossy()),
        None => {
            let words = format!("{KEY} is not set, so Stripe cannot be called");
            let hint = format!(
                "set {KEY} to a secret key (sk_test_… to begin with), or use --sandbox, \
                 which needs none"
            );
            Err(Failure::operator(words, hint).about(KEY))
        }
    }
}

fn key(text: &str) -> Result<SecretKey, Failure> {
    SecretKey::parse(text).map_err(|invalid| {
        let hint = "copy a secret key (sk_…) or a restricted one (rk_…) from Stripe's dashboard";
        Failure::operator(format!("{KEY}: {}", invalid.reason), hint).about(KEY)
    })
}

fn parse_account(text: &str) -> Result<AccountId, Invalid> {
    AccountId::parse(text).map_err(|invalid| Invalid::new("STRIPE_ACCOUNT", invalid.reason))
}

/// Starts the sandbox; while another command has its file, waits for that one to end.
async fn start(state: PathBuf, clock: &dyn Clock) -> Result<Sandbox, Failure> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let starting = Sandbox::start_with(Config { listen, state: Some(state), ..Config::default() });
    let mut starting = std::pin::pin!(starting);
    let started = tokio::select! {
        biased;
        started = &mut starting => started,
        () = clock.sleep(SILENT_WAIT) => {
            output::say("waiting for another command that has the sandbox");
            starting.await
        }
    };
    started.map_err(|error| {
        let hint = "if its file is beyond repair, delete it together with the database";
        Failure::operator(format!("the sandbox does not start: {error}"), hint)
    })
}

#[cfg(test)]
mod tests {
    use parser_inputs::{LETTERS, assert_silent, check, letters, texts};
    use proptest::prelude::Strategy;

    use super::parse_account;

    #[test]
    fn accounts() {
        let good = letters(LETTERS, 1..=24).prop_map(|rest| format!("acct_{rest}"));
        check("STRIPE_ACCOUNT", texts(good, &["acct_", "a", "7", "_", "-", " "]), |text| {
            match parse_account(&text) {
                Ok(account) => {
                    assert_eq!(account.as_str(), text);
                    true
                }
                Err(invalid) => {
                    assert_eq!(invalid.field, "STRIPE_ACCOUNT");
                    assert_silent(&invalid.to_string(), &text);
                    false
                }
            }
        });
    }
}
