//! Why a command failed, in a message for people and in fields for programs.

use std::time::Duration;

use tenant_billing::{Error, OperatorError, Problem, ids::Invalid, ports::StoreError};

use crate::causes::Cause;

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
        let field = match &problem {
            Problem::Invalid(invalid) => Some(invalid.field.clone()),
            Problem::Rejected(rejection) => rejection.param.clone(),
            Problem::UnknownTenant(_) | Problem::Retry { .. } | Problem::Operator(_) => None,
        };
        let hint = cause.hint(customer_may_exist);
        let hint = hint.replace("{field}", field.as_deref().unwrap_or("details"));
        let hint = match &problem {
            Problem::Operator(OperatorError::ForeignCustomer { installation, .. }) => {
                hint.replace("{installation}", installation.as_str())
            }
            _ => hint,
        };
        let message = problem.to_string();
        Self { cause, field, message, hint, retry_after, customer_may_exist }
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Error::from(invalid).into()
    }
}

impl From<OperatorError> for Failure {
    fn from(error: OperatorError) -> Self {
        Error::from(error).into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}

/// The library's parameters that this program's users know as environment variables.
const SETTINGS: [(&str, &str); 11] = [
    ("unmarked", "--unmarked"),
    ("tenant_metadata_key", "--tenant-metadata-key"),
    ("database_url", "DATABASE_URL"),
    ("database_direct_url", "DATABASE_DIRECT_URL"),
    ("pool_size", "DATABASE_POOL_SIZE"),
    ("tenants_table", "TENANTS_TABLE"),
    ("tenant_config_table", "TENANT_CONFIG_TABLE"),
    ("tenant_config_tenant_column", "TENANT_CONFIG_TENANT_COLUMN"),
    ("tenant_config_customer_column", "TENANT_CONFIG_CUSTOMER_COLUMN"),
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
