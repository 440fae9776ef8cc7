//! The identifiers of the protocol, parsed once where they come in.
//!
//! Each is a string that was checked on its way in, so that no later code has to check it again.
//! Personal data (an e-mail address) has a `Debug` that does not show it, since these types end up
//! in logs.

use std::{fmt, sync::Arc};

use serde::Serialize;
use uuid::Uuid;

/// Invalid input: which field, and why. The value itself is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// The field as the caller names it: `tenant_id`, `email`, `name`, `metadata[plan]`.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Invalid {
    /// Invalid input in `field`. The reason must not repeat the value.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(Arc<str>);

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::parse(text)
            }
        }
    };
}

text_id! {
    /// A tenant of the host application: 1 to 128 visible ASCII characters.
    ///
    /// A store may ask for more (SQLite, and tables that we create, take UUIDs), and the database's
    /// own spelling is the one that enters rows, keys and metadata.
    TenantId
}
text_id! {
    /// A Stripe Customer, usually `cus_…`.
    CustomerId
}
text_id! {
    /// A key of a Stripe object's metadata.
    MetadataKey
}
text_id! {
    /// A Stripe account (`acct_…`).
    AccountId
}
text_id! {
    /// A database: the random id that its first migration gave it.
    InstallationId
}
text_id! {
    /// The key under which Stripe remembers one creation. It is the lock of this protocol:
    /// `tenant-billing/{installation}/{mode}/{tenant}/{generation}`, at most 255 characters.
    IdempotencyKey
}

/// The UUID that this text spells, in any way that PostgreSQL's type `uuid` accepts: capitals, braces
/// around it, and hyphens after any four digits or none; also with `urn:uuid:` in front.
pub fn uuid(text: &str) -> Option<Uuid> {
    if let Ok(uuid) = Uuid::try_parse(text) {
        return Some(uuid);
    }
    let bare = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut digits = String::with_capacity(32);
    let mut hyphen_may_follow = false;
    for c in bare.chars() {
        if c == '-' && hyphen_may_follow {
            hyphen_may_follow = false;
            continue;
        }
        digits.push(Some(c).filter(char::is_ascii_hexdigit)?);
        hyphen_may_follow = digits.len().is_multiple_of(4) && digits.len() < 32;
    }
    (digits.len() == 32).then(|| Uuid::try_parse(&digits).ok())?
}

fn visible(field: &str, text: &str, longest: usize) -> Result<Arc<str>, Invalid> {
    if text.is_empty() {
        return Err(Invalid::new(field, "is empty"));
    }
    if text.len() > longest {
        return Err(Invalid::new(field, format!("is longer than {longest} characters")));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Invalid::new(field, "has a character that is not visible ASCII"));
    }
    Ok(text.into())
}

/// Checks a text of a person's own: not empty, not too long, and without control characters.
pub(crate) fn plain_text(field: &str, text: &str, longest: usize) -> Result<(), Invalid> {
    if text.is_empty() {
        return Err(Invalid::new(field, "is empty"));
    }
    if text.chars().count() > longest {
        return Err(Invalid::new(field, format!("is longer than {longest} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(field, "has a control character"));
    }
    Ok(())
}

const METADATA_KEY_CHARS: usize = 40;

/// Checks a metadata key by Stripe's limits.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn metadata_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("is empty".into());
    }
    if key.chars().count() > METADATA_KEY_CHARS {
        return Err(format!("is longer than {METADATA_KEY_CHARS} characters"));
    }
    if key.chars().any(|c| c == '[' || c == ']' || c.is_control()) {
        return Err("has a bracket or control character".into());
    }
    Ok(())
}

impl MetadataKey {
    /// # Errors
    /// [`Invalid`] for field `tenant_metadata_key` unless it has 1 to 40 characters, none of them a
    /// bracket or a control character, as Stripe requires.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |reason| Invalid::new("tenant_metadata_key", reason);
        metadata_key(text).map_err(wrong)?;
        Ok(Self(text.into()))
    }
}

impl TenantId {
    /// # Errors
    /// [`Invalid`] for field `tenant_id` unless it is 1 to 128 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        visible("tenant_id", text, 128).map(Self)
    }
}

impl From<Uuid> for TenantId {
    fn from(id: Uuid) -> Self {
        Self(id.to_string().into())
    }
}

impl CustomerId {
    /// # Errors
    /// [`Invalid`] for field `stripe_customer_id` unless it is 1 to 255 visible ASCII characters
    /// that begin with a letter or digit (old accounts hold ids that do not begin with `cus_`).
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let field = "stripe_customer_id";
        let id = visible(field, text, 255)?;
        if !id.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(Invalid::new(field, "does not begin with a letter or digit"));
        }
        Ok(Self(id))
    }
}

impl AccountId {
    /// # Errors
    /// [`Invalid`] for field `stripe_account` unless it is `acct_` and letters, digits or `_`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let field = "stripe_account";
        let id = visible(field, text, 64)?;
        match id.strip_prefix("acct_") {
            Some(rest) if !rest.is_empty() && rest.bytes().all(is_word) => Ok(Self(id)),
            _ => Err(Invalid::new(field, "is not of the form acct_…")),
        }
    }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

impl InstallationId {
    /// # Errors
    /// [`Invalid`] for field `installation` unless it is 8 to 64 letters, digits or hyphens.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let field = "installation";
        let id = visible(field, text, 64)?;
        if id.len() < 8 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Invalid::new(field, "is not 8 to 64 letters, digits and hyphens"));
        }
        Ok(Self(id))
    }
}

/// The mode of a Stripe key. Test mode and live mode of an account share no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// No money moves.
    Test,
    /// Money moves.
    Live,
}

impl Mode {
    /// `test` or `live`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }

    /// # Errors
    /// [`Invalid`] for field `mode` unless it is `test` or `live`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "test" => Ok(Self::Test),
            "live" => Ok(Self::Live),
            _ => Err(Invalid::new("mode", "is neither test nor live")),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The parts of an [`IdempotencyKey`] of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyParts {
    /// The database that wrote it.
    pub installation: InstallationId,
    /// The mode it is for.
    pub mode: Mode,
    /// The tenant whose Customer it creates.
    pub tenant: TenantId,
    /// Counts that tenant's attempts at a Customer.
    pub generation: u64,
}

const KEY_PREFIX: &str = "tenant-billing";

impl IdempotencyKey {
    /// The key of one generation of one tenant.
    pub fn of(parts: &KeyParts) -> Self {
        let KeyParts { installation, mode, tenant, generation } = parts;
        Self(format!("{KEY_PREFIX}/{installation}/{mode}/{tenant}/{generation}").into())
    }

    /// # Errors
    /// [`Invalid`] for field `idempotency_key` unless it is 1 to 255 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        visible("idempotency_key", text, 255).map(Self)
    }

    /// Its parts, if the key is one of ours. (A tenant id may hold slashes.)
    pub fn parts(&self) -> Option<KeyParts> {
        let rest = self.0.strip_prefix(KEY_PREFIX)?.strip_prefix('/')?;
        let (installation, rest) = rest.split_once('/')?;
        let (mode, rest) = rest.split_once('/')?;
        let (tenant, generation) = rest.rsplit_once('/')?;
        let parts = KeyParts {
            installation: InstallationId::parse(installation).ok()?,
            mode: Mode::parse(mode).ok()?,
            tenant: TenantId::parse(tenant).ok()?,
            generation: generation.parse().ok()?,
        };
        // Only the spelling that we write is ours: `+1` or `01` is somebody else's.
        (Self::of(&parts) == *self).then_some(parts)
    }
}

/// An e-mail address, which Stripe may still refuse. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(Arc<str>);

impl Email {
    /// Parses leniently, since Stripe does not publish its own grammar and has the last word.
    ///
    /// # Errors
    /// [`Invalid`] for field `email` unless it has exactly one `@` with something on both sides, at
    /// most 512 characters, no control character, and no space around it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |reason: &str| Err(Invalid::new("email", reason));
        plain_text("email", text, 512)?;
        if text.trim() != text {
            return wrong("has space around it");
        }
        match text.split_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.is_empty() => {
                if domain.contains('@') {
                    return wrong("has more than one @");
                }
                Ok(Self(text.into()))
            }
            _ => wrong("is not of the form someone@somewhere"),
        }
    }

    /// The address. Never log it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

impl std::str::FromStr for Email {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}
