//! How a command ends: its exit code, and what is said about a failure.
//!
//! The codes are the contract with scripts, so they come out of one exhaustive match on what the
//! protocol advises, and a new kind of advice does not compile until it has one.

use std::{process::ExitCode, time::Duration};

use tenant_billing::{Advice, Error, OperatorError, ids::Invalid, ports::StoreError};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// There is no Customer yet.
    NoCustomer = 1,
    /// The input is wrong.
    InvalidInput = 2,
    /// There is no such tenant.
    UnknownTenant = 3,
    /// Stripe refuses this for good.
    Refused = 4,
    /// Try again later.
    Later = 5,
    /// An operator must act.
    Operator = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Advice> for Exit {
    fn from(advice: Advice) -> Self {
        match advice {
            Advice::CorrectInput => Self::InvalidInput,
            Advice::RegisterTenant => Self::UnknownTenant,
            Advice::GiveUp => Self::Refused,
            Advice::TryAgain(_) => Self::Later,
            Advice::CallOperator => Self::Operator,
        }
    }
}

/// Why a command did not do what it was asked, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// A name for programs, as [`Error::code`].
    pub(crate) code: &'static str,
    /// The field that is wrong, if one is.
    pub(crate) field: Option<String>,
    /// What went wrong, in words that name nobody.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: String,
    /// When to try again.
    pub(crate) retry_after: Option<Duration>,
    /// Whether a Customer may exist, or come to exist, all the same.
    pub(crate) customer_may_exist: bool,
}

impl Failure {
    /// Something about this machine or its settings that only an operator can put right.
    pub(crate) fn operator(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            exit: Exit::Operator,
            code: "operator_must_act",
            field: None,
            message: message.into(),
            hint: hint.into(),
            retry_after: None,
            customer_may_exist: false,
        }
    }

    /// The same, about this field.
    pub(crate) fn about(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let advice = error.advice();
        Self {
            exit: advice.into(),
            code: error.code(),
            field: match &error {
                Error::Invalid(invalid) => Some(invalid.field.clone()),
                Error::Refused(refusal) => refusal.param.clone(),
                Error::UnknownTenant(_) | Error::Later { .. } | Error::Operator(_) => None,
            },
            hint: hint(&error),
            retry_after: match advice {
                Advice::TryAgain(after) => Some(after),
                _ => None,
            },
            customer_may_exist: error.unsettled(),
            message: error.to_string(),
        }
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Error::from(invalid).into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}

/// What to do about an error, in one line.
fn hint(error: &Error) -> String {
    match error {
        Error::Invalid(invalid) => {
            format!("correct {} and run the command again; nothing was sent", invalid.field)
        }
        Error::UnknownTenant(tenant) => format!("tenant-billing tenant add {tenant}"),
        Error::Refused(refusal) => {
            let field = refusal.param.as_deref().unwrap_or("details");
            format!("run the command again with another {field}; no Customer was made")
        }
        Error::Later { unsettled: false, .. } => {
            "run the same command again; nothing was begun".to_owned()
        }
        Error::Later { unsettled: true, .. } => "run the same command again, or \
             `tenant-billing recover --wait`; neither makes a second Customer"
            .to_owned(),
        Error::Operator(error) => operators_hint(error).to_owned(),
    }
}

fn operators_hint(error: &OperatorError) -> &'static str {
    match error {
        OperatorError::BadKey(_) => {
            "set STRIPE_SECRET_KEY to a key that the dashboard shows as active; nothing was made"
        }
        OperatorError::AccountUnreadable(_) => {
            "set STRIPE_ACCOUNT (or --stripe-account) to the key's own account, acct_…"
        }
        OperatorError::WrongAccount { .. } => {
            "use that account's key, or another database for this key; nothing was made"
        }
        OperatorError::Stripe(_) => {
            "see what the key may do in Stripe's dashboard, then run the same command again"
        }
        OperatorError::BoundElsewhere(_) => {
            "look at both tenants' `tenant-billing history`, and decide whose Customer it is"
        }
        OperatorError::ForeignCustomer(_) => {
            "decide in Stripe's dashboard, then run the same command again"
        }
        OperatorError::OutOfReach => {
            "enable search for the account or settle it by hand, then run the same command again"
        }
        OperatorError::UnknownCustomer(_) => {
            "use the key of the account and mode that it was made in"
        }
        OperatorError::Store(error) => match error {
            StoreError::SchemaMissing | StoreError::SchemaTooOld => "tenant-billing migrate",
            StoreError::SchemaTooNew => "run the program that made it, or a newer one",
            StoreError::Unfit(_) => {
                "see that DATABASE_URL names the right database, and that this user may write it"
            }
            StoreError::Corrupt(_) => {
                "see that DATABASE_URL names the right database; if so, put right what is named, \
                 or restore it"
            }
            StoreError::Unavailable(_) | StoreError::Invalid(_) => "run the same command again",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_advice_has_its_documented_code() {
        for (advice, code) in [
            (Advice::CorrectInput, 2),
            (Advice::RegisterTenant, 3),
            (Advice::GiveUp, 4),
            (Advice::TryAgain(Duration::ZERO), 5),
            (Advice::CallOperator, 6),
        ] {
            assert_eq!(Exit::from(advice) as u8, code, "{advice:?}");
        }
    }
}
