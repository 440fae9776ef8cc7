//! What a caller is told when there is no Customer to return.
//!
//! Every error says what its caller should do ([`Error::advice`]) and whether a Customer may come of
//! the call all the same ([`Error::unsettled`]). None of them repeats an e-mail address or a key.

use std::time::Duration;

use crate::{
    answer::Refusal,
    ids::{CustomerId, Invalid, TenantId},
    ports::StoreError,
    provisioning::Problem,
    request::Account,
};

/// Why there is no Customer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input is wrong; nothing was written or sent.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such tenant; nothing was written or sent.
    #[error("there is no tenant {0}; register it before it is billed")]
    UnknownTenant(TenantId),
    /// Stripe refuses this request for good; another one for the same tenant may pass.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It did not work out yet.
    #[error("try again in {} s: {why}", .after.as_secs_f64().ceil())]
    Later {
        /// How long to wait.
        after: Duration,
        /// What stood in the way, in words that name nobody.
        why: String,
        /// Whether a creation is under way, which goes on by itself.
        unsettled: bool,
    },
    /// Nobody but an operator can help.
    #[error("an operator must act: {0}")]
    Operator(#[from] OperatorError),
}

/// What an operator must put right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// Stripe does not accept the secret key.
    #[error("Stripe does not accept the secret key ({0}); check STRIPE_SECRET_KEY")]
    BadKey(String),
    /// The key may not read its own account.
    #[error("the key may not read its account ({0}); declare the account in STRIPE_ACCOUNT")]
    AccountUnreadable(String),
    /// The key acts on another account, or in another mode, than this database belongs to.
    #[error(
        "this database belongs to {recorded}, but the key acts on {ours}; \
         was the database copied from another environment?"
    )]
    WrongAccount {
        /// What the database says.
        recorded: Account,
        /// What the key opens.
        ours: Account,
    },
    /// Stripe refuses something that no caller has a hand in.
    #[error("Stripe does not do what it must ({0})")]
    Stripe(String),
    /// The Customer made for this tenant is bound to another tenant.
    #[error("Customer {0} names this tenant but is bound to another one")]
    BoundElsewhere(CustomerId),
    /// Another installation has made a live-mode Customer for this tenant.
    #[error(
        "Customer {0} was made for this tenant by another installation on the same live account; \
         which of the two bills it?"
    )]
    ForeignCustomer(CustomerId),
    /// Nothing can show any more whether a Customer was made.
    #[error(
        "it began more than 30 days ago, Stripe's events do not reach back that far, and this \
         account has no search: look in the dashboard for a Customer with this tenantId"
    )]
    OutOfReach,
    /// The Customer that this tenant settled with is unknown to this account.
    #[error("Customer {0} of this tenant is unknown to this Stripe account and mode")]
    UnknownCustomer(CustomerId),
    /// The database's tables are missing, too old, too new, or wrong.
    #[error(transparent)]
    Store(StoreError),
}

/// What to do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Correct the input.
    CorrectInput,
    /// Register the tenant first.
    RegisterTenant,
    /// Do not try this again; ask for other details.
    GiveUp,
    /// The same call again, after this long.
    TryAgain(Duration),
    /// Tell an operator; the same call again once they have acted.
    CallOperator,
}

impl Error {
    /// What its caller should do.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Invalid(_) => Advice::CorrectInput,
            Self::UnknownTenant(_) => Advice::RegisterTenant,
            Self::Refused(_) => Advice::GiveUp,
            Self::Later { after, .. } => Advice::TryAgain(*after),
            Self::Operator(_) => Advice::CallOperator,
        }
    }

    /// Whether a Customer may exist, or come to exist, from what was begun. It is then bound without
    /// another call.
    pub fn unsettled(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::UnknownTenant(_) | Self::Refused(_) => false,
            Self::Later { unsettled, .. } => *unsettled,
            Self::Operator(error) => match error {
                OperatorError::Stripe(_)
                | OperatorError::BoundElsewhere(_)
                | OperatorError::ForeignCustomer(_)
                | OperatorError::OutOfReach => true,
                OperatorError::BadKey(_)
                | OperatorError::UnknownCustomer(_)
                | OperatorError::AccountUnreadable(_)
                | OperatorError::WrongAccount { .. }
                | OperatorError::Store(_) => false,
            },
        }
    }

    /// A name for programs: `invalid_input`, `unknown_tenant`, `refused_by_stripe`,
    /// `try_again_later`, `operator_must_act`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_input",
            Self::UnknownTenant(_) => "unknown_tenant",
            Self::Refused(_) => "refused_by_stripe",
            Self::Later { .. } => "try_again_later",
            Self::Operator(_) => "operator_must_act",
        }
    }

    pub(crate) fn of_problem(problem: Problem, ours: &Account) -> Self {
        let operator = match problem {
            Problem::Stripe(words) => OperatorError::Stripe(words),
            Problem::BoundElsewhere(customer) => OperatorError::BoundElsewhere(customer),
            Problem::Foreign(customer) => OperatorError::ForeignCustomer(customer),
            Problem::OutOfReach => OperatorError::OutOfReach,
            Problem::WrongAccount(recorded) => {
                OperatorError::WrongAccount { recorded, ours: ours.clone() }
            }
            Problem::UnderWay => {
                return Self::Later {
                    after: Duration::from_secs(10),
                    why: "a creation is under way".into(),
                    unsettled: true,
                };
            }
        };
        Self::Operator(operator)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Later {
                after: Duration::from_secs(1),
                why: error.to_string(),
                unsettled: false,
            },
            StoreError::Invalid(invalid) => Self::Invalid(invalid),
            StoreError::SchemaMissing
            | StoreError::SchemaTooOld
            | StoreError::SchemaTooNew
            | StoreError::Unfit(_)
            | StoreError::Corrupt(_) => Self::Operator(OperatorError::Store(error)),
        }
    }
}

/// Try again in a second, or later; `unsettled` if a creation is under way.
pub(crate) fn later(why: &str, unsettled: bool) -> Error {
    Error::Later { after: Duration::from_secs(1), why: why.to_owned(), unsettled }
}
