//! The exit codes of commands, which are a contract with scripts.

use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The name of a failure with this exit code, for programs; see `Error::code`.
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
