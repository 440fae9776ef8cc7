//! The request that creates a Customer, and how it is frozen.
//!
//! Every send of one idempotency key must carry the same bytes, or Stripe answers with an error
//! instead of the Customer. So the first writer's request is stored whole, the encoded body
//! included, and a later version of this program sends it unchanged.

use std::{collections::BTreeMap, fmt};

use crate::ids::{
    AccountId, Email, IdempotencyKey, InstallationId, Invalid, KeyParts, Mode, TenantId,
    metadata_key, plain_text,
};

/// The `Stripe-Version` that new requests are frozen with. It must not change between two sends of
/// one key, which is why it is part of [`FrozenRequest`].
pub const STRIPE_VERSION: &str = "2026-10-28.endive";

/// The metadata key that names the tenant on its Customer.
pub const TENANT_KEY: &str = "tenantId";
/// The metadata key that names the database that created the Customer.
pub const INSTALLATION_KEY: &str = "tenantBillingInstallation";

const EMAIL: &str = "email";

/// Stripe's limit of 50 metadata keys, less our own two.
const METADATA_KEYS: usize = 48;
const METADATA_VALUE_CHARS: usize = 500;
const NAME_CHARS: usize = 256;

/// The Customer's fields that a caller gives. Their `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerDetails {
    email: Option<Email>,
    name: Option<String>,
    metadata: BTreeMap<String, String>,
}

impl CustomerDetails {
    /// A Customer with this e-mail address and nothing else.
    pub fn new(email: Email) -> Self {
        Self { email: Some(email), ..Self::without_email() }
    }

    /// A Customer without an e-mail address, for a tenant that has none yet. Stripe's list by
    /// e-mail can then not find it, so after some failures "there is none" takes longer to prove:
    /// see [`timing`](crate::timing). After a long time only the search can, which not every
    /// account has.
    pub fn without_email() -> Self {
        Self { email: None, name: None, metadata: BTreeMap::new() }
    }

    /// Adds the Customer's name.
    ///
    /// # Errors
    /// [`Invalid`] for field `name` unless it has 1 to 256 characters, none of them a control one.
    pub fn with_name(mut self, name: &str) -> Result<Self, Invalid> {
        plain_text("name", name, NAME_CHARS)?;
        self.name = Some(name.to_owned());
        Ok(self)
    }

    /// Adds one metadata entry beside our own.
    ///
    /// # Errors
    /// [`Invalid`] for field `metadata` or `metadata[key]`, by Stripe's limits: 40 characters of
    /// key without `[` and `]`, 500 of value, 50 keys with our two; a key that is ours or given
    /// twice.
    pub fn with_metadata(mut self, key: &str, value: &str) -> Result<Self, Invalid> {
        let wrong_key = |reason: String| Err(Invalid::new("metadata", reason));
        if let Err(reason) = metadata_key(key) {
            return wrong_key(format!("has a key that {reason}"));
        }
        let wrong = |reason: String| Err(Invalid::new(format!("metadata[{key}]"), reason));
        if key == TENANT_KEY || key == INSTALLATION_KEY {
            return wrong("is set by tenant-billing itself".into());
        }
        if value.is_empty() {
            return wrong("is empty, which Stripe takes for 'remove it'".into());
        }
        if value.chars().count() > METADATA_VALUE_CHARS {
            return wrong(format!("is longer than {METADATA_VALUE_CHARS} characters"));
        }
        if self.metadata.insert(key.to_owned(), value.to_owned()).is_some() {
            return wrong("is given twice".into());
        }
        if self.metadata.len() > METADATA_KEYS {
            return wrong_key(format!("has more than {METADATA_KEYS} keys"));
        }
        Ok(self)
    }

    /// The e-mail address, if there is one. Never log it.
    pub fn email(&self) -> Option<&Email> {
        self.email.as_ref()
    }

    /// The personal data, for removing it from texts that may repeat it.
    pub(crate) fn personal(&self) -> impl Iterator<Item = &str> {
        self.email.as_ref().map(Email::as_str).into_iter().chain(self.name.as_deref())
    }

    /// The details of a Customer that Stripe holds, as far as they would pass as a caller's.
    pub(crate) fn of_stripe(
        email: Option<&str>,
        name: Option<&str>,
        metadata: &BTreeMap<String, String>,
    ) -> Self {
        let email = email.and_then(|email| Email::parse(email).ok());
        let mut details = email.map_or_else(Self::without_email, Self::new);
        if let Some(named) = name.and_then(|name| details.clone().with_name(name).ok()) {
            details = named;
        }
        for (key, value) in metadata {
            if let Ok(more) = details.clone().with_metadata(key, value) {
                details = more;
            }
        }
        details
    }
}

impl fmt::Debug for CustomerDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerDetails(…)")
    }
}

/// Who sends requests to whom: this database, to that Stripe account, in that mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The database.
    pub installation: InstallationId,
    /// The account that the secret key acts on.
    pub account: Account,
    /// Sent as `Stripe-Account` when declared.
    pub stripe_account: Option<AccountId>,
}

/// A Stripe account and the mode of the key that opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub id: AccountId,
    /// The mode.
    pub mode: Mode,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} mode", self.id, self.mode)
    }
}

/// What a process knows of the account that its key acts on, without asking Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyScope {
    /// The mode, by the key's prefix.
    pub mode: Mode,
    /// The account: as declared, or as Stripe said.
    pub account: Option<AccountId>,
}

impl KeyScope {
    /// Whether the key may act on this account, as far as is known.
    pub fn may_be(&self, account: &Account) -> bool {
        self.mode == account.mode && self.account.as_ref().is_none_or(|id| *id == account.id)
    }
}

impl From<Account> for KeyScope {
    fn from(Account { id, mode }: Account) -> Self {
        Self { mode, account: Some(id) }
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            Some(id) => write!(f, "{id} in {} mode", self.mode),
            None => write!(f, "an account in {} mode", self.mode),
        }
    }
}

/// A request to create a Customer, as every send of its key carries it. Its `Debug` hides the body.
#[derive(Clone, PartialEq, Eq)]
pub struct FrozenRequest {
    /// Which account and mode it is meant for.
    pub account: Account,
    /// The `Stripe-Account` header, if any.
    pub stripe_account: Option<AccountId>,
    /// The `Stripe-Version` header.
    pub stripe_version: String,
    /// The `Idempotency-Key` header.
    pub key: IdempotencyKey,
    /// The form-encoded body. It holds the e-mail address.
    pub body: String,
}

impl FrozenRequest {
    /// Freezes `details` for one generation of one tenant.
    pub fn freeze(
        identity: &Identity,
        tenant: &TenantId,
        generation: u64,
        details: &CustomerDetails,
    ) -> Self {
        let mut body = form_urlencoded::Serializer::new(String::new());
        if let Some(email) = &details.email {
            body.append_pair(EMAIL, email.as_str());
        }
        if let Some(name) = &details.name {
            body.append_pair("name", name);
        }
        for (key, value) in &details.metadata {
            body.append_pair(&format!("metadata[{key}]"), value);
        }
        body.append_pair(&format!("metadata[{TENANT_KEY}]"), tenant.as_str());
        body.append_pair(&format!("metadata[{INSTALLATION_KEY}]"), identity.installation.as_str());
        Self {
            account: identity.account.clone(),
            stripe_account: identity.stripe_account.clone(),
            stripe_version: STRIPE_VERSION.to_owned(),
            key: IdempotencyKey::of(&KeyParts {
                installation: identity.installation.clone(),
                mode: identity.account.mode,
                tenant: tenant.clone(),
                generation,
            }),
            body: body.finish(),
        }
    }

    /// The details, read back from the body: the one place where they are stored.
    ///
    /// # Errors
    /// [`Invalid`] if the body is not one that [`FrozenRequest::freeze`] could have written.
    pub fn details(&self) -> Result<CustomerDetails, Invalid> {
        let pairs: Vec<_> = form_urlencoded::parse(self.body.as_bytes()).collect();
        if !pairs.iter().any(|(key, _)| *key == format!("metadata[{TENANT_KEY}]")) {
            return Err(Invalid::new("metadata", "does not name the tenant"));
        }
        let mut details = CustomerDetails::without_email();
        for (key, value) in &pairs {
            if key == EMAIL {
                details.email = Some(Email::parse(value)?);
            } else if key == "name" {
                details = details.with_name(value)?;
            } else if let Some(key) =
                key.strip_prefix("metadata[").and_then(|k| k.strip_suffix(']'))
                && key != TENANT_KEY
                && key != INSTALLATION_KEY
            {
                details = details.with_metadata(key, value)?;
            }
        }
        Ok(details)
    }

    /// Whether it gives the Customer an e-mail address, by which Stripe's list can find it.
    pub fn has_email(&self) -> bool {
        self.holds(EMAIL)
    }

    /// Whether `param` of a Stripe error names a field that this request holds.
    pub fn holds(&self, param: &str) -> bool {
        let field = param.split('[').next().unwrap_or(param);
        form_urlencoded::parse(self.body.as_bytes())
            .any(|(key, _)| key.split('[').next() == Some(field))
    }
}

impl fmt::Debug for FrozenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenRequest").field("key", &self.key).finish_non_exhaustive()
    }
}
