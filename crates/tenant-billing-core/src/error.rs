//! What a caller is told when there is no Customer to return.
//!
//! Every error has a [`code`](Error::code) for programs and says whether a Customer may exist or
//! come to exist all the same ([`Error::may_have_created`]). None repeats an e-mail address or a
//! key.

use std::time::Duration;

use crate::{
    answer::{Refusal, Rejection},
    audit::History,
    ids::{CustomerId, InstallationId, Invalid, TenantId},
    ports::StoreError,
    request::{Account, KeyScope},
    state::{State, View},
};

/// Why there is no Customer to return, and whether one may exist all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Error {
    problem: Problem,
    may_have_created: bool,
}

/// Why there is no Customer to return. The variants differ in what the caller must do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The input is invalid. The caller must correct it.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such tenant. The caller must register it.
    #[error(
        "there is no tenant {0}; if a transaction is just registering it, that must commit before \
         this call"
    )]
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
    },
    /// An operator must act. Until then, the same call gets this error.
    #[error("an operator must act: {0}")]
    Operator(#[from] OperatorError),
}

/// Proof that nothing was begun for a tenant that may have created a Customer which is still to be
/// bound. (A surplus one, which never is, does not count.) Only what was read of the tenant gives
/// it, and it holds until something is written. Without it, an [`Error`] cannot
/// say that there is no Customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NothingBegun(());

impl View {
    pub(crate) fn nothing_begun(&self) -> Option<NothingBegun> {
        let nothing = match self.row.as_ref().map(|row| &row.state) {
            None => self.lost_generation == 0,
            Some(State::Vacant | State::Rejected(..)) => true,
            Some(State::Pending(_) | State::InDoubt { .. } | State::Provisioned(_)) => false,
        };
        (nothing && self.bound.is_none()).then_some(NothingBegun(()))
    }
}

impl View {
    /// The error that there is no such tenant, from what was read of it.
    pub fn unknown_tenant(self) -> Error {
        let proof = self.nothing_begun();
        Error::new(Problem::UnknownTenant(self.tenant), proof)
    }
}

impl History {
    /// The error that there is no such tenant, unless something is on record of it.
    ///
    /// # Errors
    /// [`Problem::UnknownTenant`].
    pub fn known(self) -> Result<Self, Error> {
        let known = self.exists || self.bound.is_some() || self.state.is_some();
        match known || !self.events.is_empty() || !self.surplus.is_empty() {
            true => Ok(self),
            false => {
                let nothing_begun = NothingBegun(());
                Err(Error::new(Problem::UnknownTenant(self.tenant), Some(nothing_begun)))
            }
        }
    }
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
    /// The key may not act for the declared account.
    #[error(
        "the secret key may not act for the declared account ({0}); check which account that is"
    )]
    AccountRefused(String),
    /// The key acts on another account than was declared.
    #[error("the secret key acts on account {0}, which is not the declared one")]
    NotDeclared(String),
    /// The key acts on another account, or in another mode, than this database belongs to.
    /// `start_afresh` of `tenant_billing::Database` has a copied database forget the other one.
    #[error(
        "this database belongs to {recorded}, but the key acts on {ours}; if the database was copied \
         from another environment, have it start afresh"
    )]
    WrongAccount {
        /// What the database says.
        recorded: Account,
        /// What the key opens.
        ours: KeyScope,
    },
    /// The database's records were made in another database. `installation_moved` and `start_afresh`
    /// of `tenant_billing::Database` say which of the two it is.
    #[error(
        "this database was copied or moved: installation {0} was made in another one, and a Customer \
         that the other one creates must not be taken for this one's; say which of the two it is"
    )]
    CopiedOrMoved(InstallationId),
    /// Stripe answered in a way that no caller can change.
    #[error("unexpected answer from Stripe ({0}); check the base URL and the key's permissions")]
    UnexpectedAnswer(String),
    /// The key lacks a permission. The text says for what, and which, if Stripe names it.
    #[error("the secret key may not {0}; give it that permission in Stripe's dashboard")]
    NotPermitted(String),
    /// No TLS connection to Stripe can be trusted, so nothing was sent.
    #[error(
        "this machine trusts no TLS connection to Stripe ({0}); give it the certificate authorities \
         that it lacks"
    )]
    TlsUntrusted(String),
    /// A Customer of this tenant is bound to another tenant.
    #[error("Customer {0} belongs to this tenant but is bound to another one; correct the column")]
    BoundElsewhere(CustomerId),
    /// In live mode, another installation has created a Customer for a tenant of this id.
    /// `ignore_installation` of `tenant_billing::Database` declares it to be another application.
    #[error(
        "installation {installation}, on the same live account, has created Customer {customer} for a \
         tenant of this id; if it is another application, declare it to be one; if it is this one, on \
         another database, one of the two databases must go"
    )]
    ForeignCustomer {
        /// The Customer.
        customer: CustomerId,
        /// The installation that its metadata names.
        installation: InstallationId,
    },
    /// These Customers name a tenant of this id, and do not say which application they are for.
    /// [`Policy::unmarked`](crate::Policy::unmarked) says what to do about such Customers.
    #[error(
        "found in Stripe without our mark, and naming a tenant of this id: {}; another application may \
         have such a tenant too, so look at them in Stripe, and say whether such Customers are yours: \
         adopt them, or ignore them",
        listed(.0)
    )]
    UnmarkedCustomers(Vec<CustomerId>),
    /// Nothing can show any more whether a Customer was created.
    #[error(
        "the first attempt was more than 30 days ago, Stripe's events do not reach back that far, and \
         this account has no search; look in the dashboard for a Customer with this tenantId"
    )]
    OutOfReach,
    /// The tenant may have a Customer from before, and was given no e-mail address by which that could
    /// be found: its row was lost, or the account has no search. A call with an address goes on.
    #[error(
        "the tenant may have a Customer from before, and was given no e-mail address by which Stripe's \
         list would show it; Stripe's events reach back 30 days only, and not every account has a \
         search; call again with an e-mail address, or look in the dashboard for a Customer with this \
         tenantId"
    )]
    NoEmailToLookBy,
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
    /// This problem. A Customer may exist, unless there is proof that nothing was begun.
    pub(crate) fn new(problem: Problem, proof: Option<NothingBegun>) -> Self {
        Self { problem, may_have_created: proof.is_none() }
    }

    /// The same error, with the proof that there is now, or none.
    pub(crate) fn given_now(self, proof: Option<NothingBegun>) -> Self {
        let may_have_created = self.may_have_created || proof.is_none();
        Self { may_have_created, ..self }
    }

    /// What stands in the way.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// What stands in the way.
    pub fn into_problem(self) -> Problem {
        self.problem
    }

    /// Whether a Customer may exist, or come to exist, from what this call or an earlier one has
    /// begun. It is then bound without another call, once nothing stands in the way.
    ///
    /// It is `false` only where the tenant's row was read just now and shows that nothing was begun,
    /// where Stripe refused the request for good, or where the input was refused before anything was
    /// read (and so says nothing of earlier calls).
    pub fn may_have_created(&self) -> bool {
        self.may_have_created
    }

    /// How long to wait before the same call, if trying again is what helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.problem {
            Problem::Retry { after, .. } => Some(*after),
            Problem::Invalid(_)
            | Problem::UnknownTenant(_)
            | Problem::Rejected(_)
            | Problem::Operator(_) => None,
        }
    }

    /// A name for programs, of what the caller must do: `invalid_input`, `unknown_tenant`,
    /// `rejected_by_stripe`, `retry_later` or `operator_must_act`.
    pub fn code(&self) -> &'static str {
        match &self.problem {
            Problem::Invalid(_) => "invalid_input",
            Problem::UnknownTenant(_) => "unknown_tenant",
            Problem::Rejected(_) => "rejected_by_stripe",
            Problem::Retry { .. } => "retry_later",
            Problem::Operator(_) => "operator_must_act",
        }
    }

    /// A name for programs, of what stands in the way: the [`code`](Self::code), or where an
    /// operator must act, the name of what he must put right.
    pub fn cause(&self) -> &'static str {
        match &self.problem {
            Problem::Operator(error) => error.name(),
            _ => self.code(),
        }
    }

    /// The HTTP status with which a service would pass this error on: 400, 404, 422, 503 or 500.
    pub fn http_status(&self) -> u16 {
        match &self.problem {
            Problem::Invalid(_) => 400,
            Problem::UnknownTenant(_) => 404,
            Problem::Rejected(_) => 422,
            Problem::Retry { .. } => 503,
            Problem::Operator(_) => 500,
        }
    }

    /// Logs that a creation has failed. Whoever handles the error calls this, once.
    pub(crate) fn log(&self, tenant: &TenantId) {
        match &self.problem {
            // These two are the caller's own mistakes, and no creation was begun.
            Problem::Invalid(_) | Problem::UnknownTenant(_) => {}
            Problem::Rejected(_) | Problem::Retry { .. } | Problem::Operator(_) => {
                let may_have_created = self.may_have_created;
                tracing::warn!(%tenant, error = %self, may_have_created, "no Customer");
            }
        }
    }
}

pub(crate) fn listed(customers: &[CustomerId]) -> String {
    customers.iter().map(CustomerId::as_str).collect::<Vec<_>>().join(", ")
}

impl OperatorError {
    /// Refuses a database that belongs to another account or mode than a key of this scope acts on,
    /// as far as that is known.
    ///
    /// # Errors
    /// [`OperatorError::WrongAccount`].
    pub fn check_account(recorded: Option<&Account>, key: &KeyScope) -> Result<(), Self> {
        match recorded {
            Some(recorded) if !key.may_be(recorded) => {
                Err(Self::WrongAccount { recorded: recorded.clone(), ours: key.clone() })
            }
            _ => Ok(()),
        }
    }

    /// What Stripe's refusal to do `what` means. `summary` is that of its answer.
    pub(crate) fn refused(refusal: Refusal, what: &str, summary: &str) -> Self {
        match refusal {
            Refusal::Untrusted => Self::TlsUntrusted(summary.to_owned()),
            Refusal::BadKey => Self::BadKey(summary.to_owned()),
            Refusal::NotItsAccount => Self::AccountRefused(summary.to_owned()),
            Refusal::NotPermitted => Self::NotPermitted(format!("{what}: {summary}")),
            Refusal::Unexpected => Self::UnexpectedAnswer(summary.to_owned()),
        }
    }

    /// Its name, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BadKey(_) => "bad_key",
            Self::AccountUnreadable(_) => "account_unreadable",
            Self::AccountRefused(_) => "account_refused",
            Self::NotDeclared(_) => "not_declared",
            Self::WrongAccount { .. } => "wrong_account",
            Self::UnexpectedAnswer(_) => "unexpected_answer",
            Self::NotPermitted(_) => "not_permitted",
            Self::TlsUntrusted(_) => "tls_untrusted",
            Self::BoundElsewhere(_) => "bound_elsewhere",
            Self::CopiedOrMoved(_) => "copied_or_moved",
            Self::ForeignCustomer { .. } => "foreign_customer",
            Self::UnmarkedCustomers(_) => "unmarked_customer",
            Self::OutOfReach => "out_of_reach",
            Self::NoEmailToLookBy => "no_email_to_look_by",
            Self::UnknownCustomer(_) => "unknown_customer",
            Self::Store(error) => match error {
                StoreError::SchemaMissing => "schema_missing",
                StoreError::SchemaTooOld => "schema_too_old",
                StoreError::SchemaTooNew => "schema_too_new",
                StoreError::SchemaMismatch(_) => "schema_mismatch",
                StoreError::Tls(_) => "database_tls",
                StoreError::Refused(_) => "write_refused",
                StoreError::Corrupt(_) => "corrupt",
                StoreError::Unavailable(_) => "unavailable",
                StoreError::Invalid(_) => "invalid",
            },
        }
    }
}

/// A problem that nobody has looked into: unless it is the input's, a Customer may exist.
impl<P: Into<Problem>> From<P> for Error {
    fn from(problem: P) -> Self {
        let problem = problem.into();
        let may_have_created = !matches!(problem, Problem::Invalid(_));
        Self { problem, may_have_created }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => retry_soon(&error.to_string()),
            StoreError::Invalid(invalid) => Self::Invalid(invalid),
            StoreError::SchemaMissing
            | StoreError::SchemaTooOld
            | StoreError::SchemaTooNew
            | StoreError::SchemaMismatch(_)
            | StoreError::Tls(_)
            | StoreError::Refused(_)
            | StoreError::Corrupt(_) => Self::Operator(OperatorError::Store(error)),
        }
    }
}

/// Retry in a second.
pub(crate) fn retry_soon(why: &str) -> Problem {
    Problem::Retry { after: Duration::from_secs(1), why: why.to_owned() }
}
