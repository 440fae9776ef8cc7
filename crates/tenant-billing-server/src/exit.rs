//! How a command ends: its exit code, and the message and the hint of a failure.

use std::{process::ExitCode, time::Duration};

use tenant_billing::{Error, Problem, ids::Invalid, ports::StoreError};

use crate::causes::Cause;

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

impl Exit {
    /// The name of a failure with this exit code, for programs; see [`Error::code`].
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NoCustomer => "no_customer",
            Self::InvalidInput => "invalid_input",
            Self::UnknownTenant => "unknown_tenant",
            Self::Rejected => "rejected_by_stripe",
            Self::Retry => "retry_later",
            Self::Operator => "operator_must_act",
        }
    }
}

/// Why a command did not do what it was asked to do, and what the user should do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The kind of failure.
    pub(crate) cause: &'static Cause,
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
    /// A failure of this program or its surroundings. It knows nothing of any Customer.
    pub(crate) fn new(cause: &'static Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            field: None,
            message: message.into(),
            hint: cause.hint(true),
            retry_after: None,
            customer_may_exist: true,
        }
    }

    /// The same failure, about this field.
    pub(crate) fn about(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (retry_after, customer_may_exist) = (error.retry_after(), error.may_have_created());
        let problem = with_settings(error.into_problem());
        let cause = Cause::of(&problem);
        let (field, tenant) = match &problem {
            Problem::Invalid(invalid) => (Some(invalid.field.clone()), None),
            Problem::Rejected(rejection) => (rejection.param.clone(), None),
            Problem::UnknownTenant(tenant) => (None, Some(tenant.as_str())),
            Problem::Retry { .. } | Problem::Operator(_) => (None, None),
        };
        let hint = cause.hint(customer_may_exist);
        let hint = hint.replace("{field}", field.as_deref().unwrap_or("details"));
        let hint = hint.replace("{tenant}", tenant.unwrap_or_default());
        let message = problem.to_string();
        Self { cause, field, message, hint, retry_after, customer_may_exist }
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

/// The problem, with the name of the setting in place of the parameter's.
fn with_settings(problem: Problem) -> Problem {
    let Problem::Invalid(Invalid { field, reason }) = problem else {
        return problem;
    };
    let setting = SETTINGS.iter().find(|(parameter, _)| *parameter == field);
    let field = setting.map_or(field, |(_, setting)| (*setting).to_owned());
    Invalid { field, reason }.into()
}
