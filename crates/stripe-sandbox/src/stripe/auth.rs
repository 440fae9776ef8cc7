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
        let (restricted, livemode, rest) = parts(&key).ok_or_else(|| ApiError::bad_key(&masked))?;
        let own = own_account(rest);
        let acted_on = match account {
            None => own.clone(),
            Some(id) if is_account(id) => id.to_owned(),
            Some(id) => return Err(ApiError::account(&masked, id)),
        };
        Ok(Caller {
            platform: Some(own).filter(|own| *own != acted_on),
            scope: Scope { account: acted_on, livemode },
            restricted: restricted.then(|| rest.to_owned()),
            masked,
        })
    }

    /// Refuses a route whose permission a restricted key lacks.
    pub(super) fn may(&self, route: &Route) -> Result<(), ApiError> {
        let mut words = self.restricted.iter().flat_map(|text| text.split('_'));
        if words.any(|word| word.starts_with(route.lacking)) {
            return Err(ApiError::permission(&self.masked, &self.scope.account, route.permission));
        }
        Ok(())
    }
}

/// The kinds of keys: how each begins, whether it is restricted, and whether it is a live one.
const KINDS: [(&str, bool, bool); 4] = [
    ("sk_test_", false, false),
    ("sk_live_", false, true),
    ("rk_test_", true, false),
    ("rk_live_", true, true),
];

/// Whether a key is restricted, whether it is a live one, and the rest of its text.
fn parts(key: &str) -> Option<(bool, bool, &str)> {
    KINDS.into_iter().find_map(|(start, restricted, livemode)| {
        let rest = key.strip_prefix(start)?;
        let is_word = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_known = is_word && !rest.is_empty() && !rest.starts_with("invalid");
        is_known.then_some((restricted, livemode, rest))
    })
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
    let mut starts = KINDS.into_iter().map(|(start, ..)| start);
    let prefix = starts.find(|start| key.starts_with(start)).unwrap_or_default();
    let secret: Vec<char> = key[prefix.len()..].chars().collect();
    let hidden = secret.len().saturating_sub(4);
    let tail: String = if hidden == 0 { String::new() } else { secret[hidden..].iter().collect() };
    format!("{prefix}{}{tail}", "*".repeat(hidden.max(4)))
}
