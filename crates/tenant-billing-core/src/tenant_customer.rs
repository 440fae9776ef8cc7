//! A tenant's Customer, as a call returns it.

use serde::Serialize;

use crate::ids::{CustomerId, TenantId};

/// A tenant's Customer, and how it came to be bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantCustomer {
    /// The tenant: as given if it was bound already, else in the database's spelling.
    pub tenant: TenantId,
    /// Its Customer.
    pub customer: CustomerId,
    /// Whether this call, or the one that it joined, created the Customer.
    pub outcome: Outcome,
}

impl TenantCustomer {
    pub(crate) fn existing(tenant: TenantId, customer: CustomerId) -> Self {
        Self { tenant, customer, outcome: Outcome::Existing }
    }
}

/// How a Customer came to be bound to its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was bound before this call, or had been and is again.
    Existing,
    /// It was created.
    Created,
    /// It was found in Stripe, where it named this tenant.
    Adopted,
}

impl Outcome {
    /// `existing`, `created` or `adopted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Existing => "existing",
            Self::Created => "created",
            Self::Adopted => "adopted",
        }
    }
}
