//! What a caller is told when there is no Customer to return.
//!
//! Every error has a [`code`](Error::code) for programs and says whether a Customer may exist or
//! come to exist all the same ([`Error::may_have_created`]). None repeats an e-mail address or a
//! key.

use std::time::Duration;

use crate::{
    answer::Rejection,
    ids::{CustomerId, Invalid, TenantId},
    ports::StoreError,
    request::Account,
};

/// Why there is no Customer. The variants differ in what the caller must do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input is invalid. Nothing was written or sent; the caller must correct the input.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such tenant. Nothing was written or sent; the caller must register the tenant.
    #[error("there is no tenant {0}; register it, and commit that, before this call")]
    UnknownTenant(TenantId),
    /// Stripe refuses this request for good. The same request always gets this error; one with
    /// other details may succeed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// There is no Customer yet. The caller may make the same call again.
    #[error("retry in {} s: {why}", .after.as_secs_f64().ceil())]
    Retry {
        /// How long to wait before the same call.
        after: Duration,
        /// What stood in the way, without personal data.
        why: String,
        /// Whether a creation is under way, which goes on without the caller.
        may_have_created: bool,
    },
    /// An operator must act. Until then, the same call gets this error.
    #[error("an operator must act: {0}")]
    Operator(#[from] OperatorError),
}

/// What an operator must put right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// Stripe does not accept the secret key.
    #[error("Stripe does not accept the secret key ({0}); check which key is in use")]
    BadKey(String),
    /// The key may not read its own account.
    #[error(
        "the secret key may not read its own account ({0}); declare the account's id, or give the \
         key that permission"
    )]
    AccountUnreadable(String),
    /// The key acts on another account than was declared.
    #[error("the secret key acts on account {0}, which is not the declared one")]
    NotDeclared(String),
    /// The key acts on another account, or in another mode, than this database belongs to.
    #[error(
        "this database belongs to {recorded}, but the key acts on {ours}; check whether the \
         database was copied from another environment"
    )]
    WrongAccount {
        /// What the database says.
        recorded: Account,
        /// What the key opens.
        ours: Account,
    },
    /// Stripe answered in a way that no caller can change.
    #[error("unexpected answer from Stripe ({0}); check the base URL and the key's permissions")]
    UnexpectedAnswer(String),
    /// The key lacks a permission.
    #[error("the secret key may not read {0}; give it that permission in Stripe's dashboard")]
    NotPermitted(String),
    /// A Customer of this tenant is bound to another tenant.
    #[error("Customer {0} belongs to this tenant but is bound to another one; correct the column")]
    BoundElsewhere(CustomerId),
    /// In live mode, another installation has created a Customer for this tenant.
    #[error(
        "another installation on the same live account has created Customer {0} for this tenant; \
         decide which installation should bill it"
    )]
    ForeignCustomer(CustomerId),
    /// Nothing can show any more whether a Customer was created.
    #[error(
        "the first attempt was more than 30 days ago, Stripe's events do not reach back that far, and \
         this account has no search; look in the dashboard for a Customer with this tenantId"
    )]
    OutOfReach,
    /// Stripe does not know a Customer of this tenant, and does not say that it is deleted.
    #[error(
        "Stripe does not know Customer {0} under this account and mode, and does not say that it is \
         deleted; check that the key is for the right account and mode"
    )]
    UnknownCustomer(CustomerId),
    /// The database's tables are missing, too old, too new, or do not meet our requirements.
    #[error(transparent)]
    Store(StoreError),
}

impl Error {
    /// Whether a Customer may exist, or come to exist, from what was begun. It is then bound
    /// without another call.
    pub fn may_have_created(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::UnknownTenant(_) | Self::Rejected(_) => false,
            Self::Retry { may_have_created, .. } => *may_have_created,
            Self::Operator(error) => match error {
                OperatorError::UnexpectedAnswer(_)
                | OperatorError::NotPermitted(_)
                | OperatorError::BoundElsewhere(_)
                | OperatorError::ForeignCustomer(_)
                | OperatorError::UnknownCustomer(_)
                | OperatorError::OutOfReach => true,
                OperatorError::BadKey(_)
                | OperatorError::AccountUnreadable(_)
                | OperatorError::NotDeclared(_)
                | OperatorError::WrongAccount { .. }
                | OperatorError::Store(_) => false,
            },
        }
    }

    /// How long to wait before the same call, if trying again is what helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Retry { after, .. } => Some(*after),
            Self::Invalid(_) | Self::UnknownTenant(_) | Self::Rejected(_) | Self::Operator(_) => {
                None
            }
        }
    }

    /// A name for programs: `invalid_input`, `unknown_tenant`, `rejected_by_stripe`, `retry_later`
    /// or `operator_must_act`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_input",
            Self::UnknownTenant(_) => "unknown_tenant",
            Self::Rejected(_) => "rejected_by_stripe",
            Self::Retry { .. } => "retry_later",
            Self::Operator(_) => "operator_must_act",
        }
    }

    /// The HTTP status with which a service would pass this error on: 400, 404, 422, 503 or 500.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::Invalid(_) => 400,
            Self::UnknownTenant(_) => 404,
            Self::Rejected(_) => 422,
            Self::Retry { .. } => 503,
            Self::Operator(_) => 500,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => retry_soon(&error.to_string(), false),
            StoreError::Invalid(invalid) => Self::Invalid(invalid),
            StoreError::SchemaMissing
            | StoreError::SchemaTooOld
            | StoreError::SchemaTooNew
            | StoreError::SchemaMismatch(_)
            | StoreError::Refused(_)
            | StoreError::Corrupt(_) => Self::Operator(OperatorError::Store(error)),
        }
    }
}

/// Retry in a second; `may_have_created` if a creation is under way.
pub(crate) fn retry_soon(why: &str, may_have_created: bool) -> Error {
    Error::Retry { after: Duration::from_secs(1), why: why.to_owned(), may_have_created }
}
