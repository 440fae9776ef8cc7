//! How a command ends: its exit code, and the message and the hint of a failure.
//!
//! The exit codes are a contract with scripts. They come out of one exhaustive match on the
//! library's error, so a new kind of error does not compile until it has a code.

use std::{process::ExitCode, time::Duration};

use tenant_billing::{Error, OperatorError, ids::Invalid, ports::StoreError};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command did what it was asked to do.
    Done = 0,
    /// The tenant has no Customer yet.
    NoCustomer = 1,
    /// The input is invalid.
    InvalidInput = 2,
    /// The tenant is not registered.
    UnknownTenant = 3,
    /// Stripe rejects the request for good.
    Rejected = 4,
    /// The same command may succeed later.
    Retry = 5,
    /// An operator must act first.
    Operator = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error {
            Error::Invalid(_) => Self::InvalidInput,
            Error::UnknownTenant(_) => Self::UnknownTenant,
            Error::Rejected(_) => Self::Rejected,
            Error::Retry { .. } => Self::Retry,
            Error::Operator(_) => Self::Operator,
        }
    }
}

/// Why a command did not do what it was asked to do, and what the user should do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// The name of the failure for programs; see [`Error::code`].
    pub(crate) code: &'static str,
    /// The field that is invalid, if the failure is about one.
    pub(crate) field: Option<String>,
    /// What happened, without personal data.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: String,
    /// How long to wait before the same command, if that helps.
    pub(crate) retry_after: Option<Duration>,
    /// Whether a Customer may exist, or come to exist, all the same.
    pub(crate) customer_may_exist: bool,
}

impl Failure {
    /// A failure of this machine or its settings, which only an operator can put right.
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

    /// The same failure, about this field.
    pub(crate) fn about(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let error = with_settings(error);
        Self {
            exit: Exit::from(&error),
            code: error.code(),
            field: match &error {
                Error::Invalid(invalid) => Some(invalid.field.clone()),
                Error::Rejected(rejection) => rejection.param.clone(),
                Error::UnknownTenant(_) | Error::Retry { .. } | Error::Operator(_) => None,
            },
            hint: hint(&error),
            retry_after: error.retry_after(),
            customer_may_exist: error.may_have_created(),
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

/// The library's parameters that this program's users know as environment variables.
const SETTINGS: [(&str, &str); 6] = [
    ("database_url", "DATABASE_URL"),
    ("database_direct_url", "DATABASE_DIRECT_URL"),
    ("pool_size", "DATABASE_POOL_SIZE"),
    ("tenants_table", "TENANTS_TABLE"),
    ("secret_key", "STRIPE_SECRET_KEY"),
    ("base_url", "STRIPE_API_BASE"),
];

/// The error, with the name of the setting in place of the parameter's.
fn with_settings(error: Error) -> Error {
    let Error::Invalid(Invalid { field, reason }) = error else {
        return error;
    };
    let setting = SETTINGS.iter().find(|(parameter, _)| *parameter == field);
    let field = setting.map_or(field, |(_, setting)| (*setting).to_owned());
    Invalid { field, reason }.into()
}

/// What to do about an error, in one line. The library does not know this program's commands and
/// environment variables, so the hint names them.
fn hint(error: &Error) -> String {
    match error {
        Error::Invalid(invalid) => {
            format!("correct {} and run the command again; nothing was sent", invalid.field)
        }
        Error::UnknownTenant(tenant) => format!("run `tenant-billing tenant add {tenant}` first"),
        Error::Rejected(rejection) => {
            let other = match &rejection.param {
                Some(field) => format!("another {field}"),
                None => "other details".to_owned(),
            };
            format!("run the command again with {other}; no Customer was created")
        }
        Error::Retry { may_have_created: false, .. } => {
            "run the same command again; no Customer was created".to_owned()
        }
        Error::Retry { may_have_created: true, .. } => "run the same command again, or \
             `tenant-billing recover --wait`; neither creates a second Customer"
            .to_owned(),
        Error::Operator(error) => operators_hint(error).to_owned(),
    }
}

fn operators_hint(error: &OperatorError) -> &'static str {
    match error {
        OperatorError::BadKey(_) => {
            "set STRIPE_SECRET_KEY to a key that Stripe's dashboard shows as active; no Customer \
             was created"
        }
        OperatorError::AccountUnreadable(_) => {
            "set STRIPE_ACCOUNT (or --stripe-account) to the id of the key's own account, acct_…"
        }
        OperatorError::NotDeclared(_) => {
            "set STRIPE_ACCOUNT (or --stripe-account) to the account that the key acts on, or set \
             STRIPE_SECRET_KEY to a key of the declared account; no Customer was created"
        }
        OperatorError::WrongAccount { .. } => {
            "set STRIPE_SECRET_KEY to a key of the account and mode that the database belongs to, \
             or set DATABASE_URL to another database; no Customer was created"
        }
        OperatorError::UnexpectedAnswer(_) => {
            "check STRIPE_API_BASE, and the key's permissions in Stripe's dashboard, then run the \
             same command again"
        }
        OperatorError::NotPermitted(_) => {
            "give the key that permission, or set STRIPE_SECRET_KEY to a key that has it, then run \
             the same command again"
        }
        OperatorError::BoundElsewhere(_) => {
            "compare `tenant-billing history` of both tenants, and set \
             tenant_config.stripe_customer_id to null for the tenant that does not own the Customer"
        }
        OperatorError::ForeignCustomer(_) => {
            "decide which installation bills this tenant; this one creates a Customer only after \
             the other one is deleted in Stripe"
        }
        OperatorError::OutOfReach => {
            "write the id of the Customer that you find into tenant_config.stripe_customer_id, or \
             enable search for the account, then run the same command again"
        }
        OperatorError::UnknownCustomer(_) => {
            "set STRIPE_SECRET_KEY (and STRIPE_ACCOUNT, if you use it) to the account and mode in \
             which the Customer was created"
        }
        OperatorError::Store(error) => match error {
            StoreError::SchemaMissing | StoreError::SchemaTooOld => "run `tenant-billing migrate`",
            StoreError::SchemaTooNew => {
                "use the version of tenant-billing that migrated this database, or a newer one"
            }
            StoreError::SchemaMismatch(_) => {
                "check that DATABASE_URL names the right database, and that its user may write to it"
            }
            StoreError::Refused(_) => {
                "change that table, or its trigger or rule, so that a Customer's id can be written, \
                 then run the same command again"
            }
            StoreError::Corrupt(_) => {
                "check that DATABASE_URL names the right database; if it does, correct what is \
                 named, or restore a backup and set --restored-at"
            }
            StoreError::Unavailable(_) | StoreError::Invalid(_) => "run the same command again",
        },
    }
}

#[cfg(test)]
mod tests {
    use tenant_billing::{answer::Rejection, ids::TenantId};

    use super::*;

    #[test]
    fn every_error_has_its_documented_exit_code() {
        let rejection =
            Rejection { code: None, param: None, message: "Invalid email address".to_owned() };
        let retry = |may_have_created| Error::Retry {
            after: Duration::from_secs(3),
            why: "no answer".to_owned(),
            may_have_created,
        };
        for (error, exit) in [
            (Error::Invalid(Invalid::new("email", "is empty")), 2),
            (Error::UnknownTenant(TenantId::parse("t").unwrap()), 3),
            (Error::Rejected(rejection), 4),
            (retry(false), 5),
            (retry(true), 5),
            (Error::Operator(OperatorError::OutOfReach), 6),
        ] {
            assert_eq!(Exit::from(&error) as u8, exit, "{error:?}");
            let failure = Failure::from(error);
            let waits = failure.retry_after == Some(Duration::from_secs(3));
            assert_eq!(waits, exit == 5, "{failure:?}");
            assert!(!failure.hint.is_empty(), "{failure:?}");
        }
    }
}
