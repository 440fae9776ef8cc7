//! A tenant's Customer, as a call returns it.

use serde::Serialize;

use crate::{
    ids::{CustomerId, TenantId},
    request::CustomerDetails,
};

/// A tenant's Customer, and how it came to be bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantCustomer {
    /// The tenant: as given if it was bound already, else in the database's spelling.
    pub tenant: TenantId,
    /// Its Customer.
    pub customer: CustomerId,
    /// Whether this call, or the one that it joined, created the Customer.
    pub outcome: Outcome,
    /// Whose details the Customer was created with, if it was created for this call or for one at the
    /// same time, in any process. `None` for one that was there before, or was made by others, which
    /// keeps its own details whatever a caller gives; and from recovery, for which nobody gives any.
    pub details: Option<Details>,
}

/// Whose details a Customer was created with. The first caller's request is frozen, so a later one
/// with other details, a corrected e-mail address for example, gets the Customer that it creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Details {
    /// With those that this call gave.
    AsGiven,
    /// With others, which an earlier call or one at the same time gave.
    OfAnEarlierCall,
}

impl TenantCustomer {
    pub(crate) fn existing(tenant: TenantId, customer: CustomerId) -> Self {
        Self { tenant, customer, outcome: Outcome::Existing, details: None }
    }
}

/// A Customer that the loop has bound or found.
#[derive(Debug, Clone)]
pub(crate) struct Provided {
    pub(crate) customer: TenantCustomer,
    /// The details that it was created with, if it was created meanwhile or by an earlier attempt.
    pub(crate) created_with: Option<CustomerDetails>,
}

impl Provided {
    /// What a caller is told who gave these details.
    pub(crate) fn told_to(self, given: &CustomerDetails) -> TenantCustomer {
        let details = self.created_with.map(|it| match it == *given {
            true => Details::AsGiven,
            false => Details::OfAnEarlierCall,
        });
        TenantCustomer { details, ..self.customer }
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
