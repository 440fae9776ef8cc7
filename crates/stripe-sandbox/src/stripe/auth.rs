//! API keys: the account and mode that a request acts on.
//!
//! Any well-formed key is accepted. The text of the key says which account and mode it belongs to,
//! so that a test needs no set-up to have two accounts, or a key without some permission.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::error::ApiError;
use super::route::Route;
use crate::state::mutation::Scope;

/// The account of every key that does not name one.
const ACCOUNT: &str = "acct_sandbox";

/// The caller, and the account that the request acts on.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The account and mode that the request acts on.
    pub(crate) scope: Scope,
    /// The key's own account, if it is a platform that acts for a connected account.
    pub(crate) platform: Option<String>,
    /// The text of a restricted key, which names the permissions that the key lacks.
    restricted: Option<String>,
    /// The key as an error message may show it.
    pub(crate) masked: String,
}

impl Caller {
    /// Reads the `Authorization` and `Stripe-Account` headers.
    pub(crate) fn read(auth: Option<&str>, account: Option<&str>) -> Result<Caller, ApiError> {
        let key =
            auth.and_then(key_of).filter(|key| !key.is_empty()).ok_or_else(ApiError::no_key)?;
        let masked = masked(&key);
        let parts = Parts::of(&key).ok_or_else(|| ApiError::bad_key(&masked))?;
        let own = own_account(parts.rest);
        let acted_on = match account {
            None => own.clone(),
            Some(id) if is_account(id) => id.to_owned(),
            Some(id) => return Err(ApiError::account(&masked, id)),
        };
        Ok(Caller {
            platform: Some(own).filter(|own| *own != acted_on),
            scope: Scope { account: acted_on, livemode: parts.livemode },
            restricted: parts.restricted.then(|| parts.rest.to_owned()),
            masked,
        })
    }

    /// Refuses a route whose permission a restricted key lacks.
    pub(super) fn may(&self, route: &Route) -> Result<(), ApiError> {
        let (Some(text), Some((permission, word))) = (&self.restricted, route.permission()) else {
            return Ok(());
        };
        if text.split('_').any(|part| part.starts_with(word)) {
            return Err(ApiError::permission(&self.masked, &self.scope.account, permission));
        }
        Ok(())
    }
}

struct Parts<'a> {
    restricted: bool,
    livemode: bool,
    rest: &'a str,
}

impl Parts<'_> {
    fn of(key: &str) -> Option<Parts<'_>> {
        let (kind, rest) = key.split_once('_')?;
        let (mode, rest) = rest.split_once('_')?;
        let restricted = match kind {
            "sk" => false,
            "rk" => true,
            _ => return None,
        };
        let livemode = match mode {
            "test" => false,
            "live" => true,
            _ => return None,
        };
        let word = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let known = word && !rest.starts_with("invalid");
        known.then_some(Parts { restricted, livemode, rest })
    }
}

/// The account that the text after the mode names: `acct_NAME`, up to the end of the NAME.
fn own_account(rest: &str) -> String {
    let name = rest.strip_prefix("acct_").unwrap_or_default();
    let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
    if end == 0 { ACCOUNT.to_owned() } else { format!("acct_{}", &name[..end]) }
}

fn is_account(id: &str) -> bool {
    let name = id.strip_prefix("acct_").unwrap_or_default();
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn key_of(header: &str) -> Option<String> {
    let (scheme, credentials) = header.trim().split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(credentials).ok()?).ok()?;
    Some(decoded.split_once(':').map_or(decoded.as_str(), |(user, _)| user).to_owned())
}

/// A key with stars for everything but its kind, its mode and its last four characters.
fn masked(key: &str) -> String {
    let shown = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"];
    let prefix = shown.into_iter().find(|prefix| key.starts_with(prefix)).unwrap_or_default();
    let secret: Vec<char> = key[prefix.len()..].chars().collect();
    let hidden = secret.len().saturating_sub(4);
    let tail: String = if hidden == 0 { String::new() } else { secret[hidden..].iter().collect() };
    format!("{prefix}{}{tail}", "*".repeat(hidden.max(4)))
}
