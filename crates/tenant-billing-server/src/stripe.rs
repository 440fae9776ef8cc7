//! Decides which Stripe a command calls: the real one, one at another base URL, or the sandbox.
//!
//! The settings are checked before anything else, so that a missing key is reported at once. The
//! sandbox is started only when Stripe is needed: a tenant that has its Customer needs no Stripe,
//! and its command must not wait until another command has released the sandbox's file.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use stripe_sandbox::{Config, Sandbox};
use tenant_billing::{
    SecretKey, StripeClient,
    ids::{AccountId, Invalid},
    ports::{Clock, Stripe as _},
    request::KeyScope,
};

use crate::{causes, cli::Options, failure::Failure, output};

const KEY: &str = "STRIPE_SECRET_KEY";
/// The key for the sandbox, which accepts any key.
const SANDBOX_KEY: &str = "sk_test_sandbox";
/// After so long, the user is told that the command waits for the sandbox's file.
const SILENT_WAIT: Duration = Duration::from_secs(2);

/// The Stripe that the settings name, before it is connected.
pub(crate) struct Target {
    client: StripeClient,
    /// The sandbox's state file, if the sandbox is used.
    sandbox: Option<PathBuf>,
}

/// A Stripe that is ready to be called.
pub(crate) struct Connection {
    /// The client.
    pub(crate) client: StripeClient,
    /// The sandbox that the client calls. It stops when this is dropped.
    pub(crate) sandbox: Option<Sandbox>,
}

impl Target {
    /// Reads the settings. The sandbox's state file lies beside `database`.
    ///
    /// # Errors
    /// If the key is missing, or a setting is malformed.
    pub(crate) fn read(options: &Options, database: &Path) -> Result<Self, Failure> {
        let key = if options.sandbox { key(SANDBOX_KEY)? } else { key_from_environment()? };
        let mut client = StripeClient::new(key);
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

    /// What is known of the key without asking Stripe.
    pub(crate) fn scope(&self) -> KeyScope {
        KeyScope { mode: self.client.mode(), account: self.client.stripe_account().cloned() }
    }

    /// Starts the sandbox, if it is used.
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
        // The replacement of an invalid character is in no key, so such a key is refused.
        Some(set) => key(&set.to_string_lossy()),
        None => {
            let message = format!("{KEY} is not set, so Stripe cannot be called");
            Err(Failure::new(causes::KEY_MISSING, message).about(KEY))
        }
    }
}

fn key(text: &str) -> Result<SecretKey, Failure> {
    SecretKey::parse(text).map_err(|invalid| {
        Failure::new(causes::KEY_MALFORMED, format!("{KEY}: {}", invalid.reason)).about(KEY)
    })
}

fn parse_account(text: &str) -> Result<AccountId, Invalid> {
    AccountId::parse(text).map_err(|invalid| Invalid::new("STRIPE_ACCOUNT", invalid.reason))
}

/// Starts the sandbox. If another command is using its state file, this waits until that one ends.
async fn start(state: PathBuf, clock: &dyn Clock) -> Result<Sandbox, Failure> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let starting = Sandbox::start_with(Config { listen, state: Some(state), ..Config::default() });
    let mut starting = std::pin::pin!(starting);
    let started = tokio::select! {
        biased;
        started = &mut starting => started,
        () = clock.sleep(SILENT_WAIT) => {
            output::say("waiting for another command, which is using the sandbox");
            starting.await
        }
    };
    started.map_err(|error| {
        Failure::new(causes::SANDBOX, format!("the sandbox cannot start: {error}"))
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
