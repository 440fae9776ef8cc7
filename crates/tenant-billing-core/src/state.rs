//! A tenant's stored state, and the changes that may be written to it.
//!
//! A store reads a [`View`] in one statement. It writes a [`Change`] in one transaction, if all of
//! the change's conditions hold, and otherwise writes nothing. It decides nothing itself.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    answer::Rejection,
    audit::{NewEvent, SurplusReason},
    ids::{CustomerId, InstallationId, TenantId},
    request::{Account, FrozenRequest},
};

/// The state of a tenant's row, with what is known in that state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There is no Customer, nothing is under way, and this generation has sent nothing. The next
    /// caller moves the row to pending.
    Vacant,
    /// The request may be sent any number of times under its key. Callers and the recovery worker
    /// do that until Stripe answers with a Customer; a crash leaves the row pending.
    Pending(FrozenRequest),
    /// Nothing may be sent, since the key can no longer be relied on. Callers and the recovery
    /// worker make inquiries until one finds a Customer or proves that there is none; a crash
    /// leaves the row in doubt.
    InDoubt {
        /// The request that may have created a Customer, or that will be sent if none ever was.
        request: FrozenRequest,
        /// An inquiry that finds nothing proves that there is none only if it began at this moment
        /// or later.
        conclusive_from: Timestamp,
        /// Whether this generation may have been sent. One that was opened with an inquiry first
        /// was not.
        sent: bool,
    },
    /// Stripe refused this request for good. A caller with other details opens the next generation.
    Rejected(FrozenRequest, Rejection),
    /// The row has led to this Customer. Whether it is bound is for the host's column to say.
    Provisioned(CustomerId),
}

impl State {
    /// The request that this state is about, if any.
    pub fn request(&self) -> Option<&FrozenRequest> {
        match self {
            Self::Pending(request) | Self::InDoubt { request, .. } | Self::Rejected(request, _) => {
                Some(request)
            }
            Self::Vacant | Self::Provisioned(_) => None,
        }
    }

    /// The state's name in the database and in what people read.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Vacant => "vacant",
            Self::Pending(_) => "pending",
            Self::InDoubt { .. } => "in_doubt",
            Self::Rejected(..) => "rejected",
            Self::Provisioned(_) => "provisioned",
        }
    }
}

/// One tenant's row of `customer_provisioning`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Counts the attempts at a Customer, each with its own idempotency key.
    pub generation: u64,
    /// Counts the row's changes. Every change is conditional on it.
    pub version: u64,
    /// The state.
    pub state: State,
    /// When this generation was opened, by the database's clock.
    pub opened_at: Timestamp,
    /// How many attempts have failed since the row came into this state.
    pub attempts: u32,
    /// When recovery takes the row up, and when a caller may make the next inquiry.
    pub next_attempt_at: Timestamp,
    /// What went wrong last, without personal data.
    pub last_error: Option<String>,
}

/// A tenant as one statement saw it in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The tenant, in the database's spelling.
    pub tenant: TenantId,
    /// Whether the tenants' keys are of type `uuid`, so that each has many spellings.
    pub uuid_keys: bool,
    /// The database's clock during the statement.
    pub now: Timestamp,
    /// Whether the tenant exists.
    pub exists: bool,
    /// `tenant_config.stripe_customer_id`.
    pub bound: Option<CustomerId>,
    /// The tenant's provisioning row.
    pub row: Option<Row>,
    /// If there is no row: the newest generation in the audit trail, or 0 if it has none. Rows are
    /// never deleted, so any other number than 0 means that a row was lost.
    pub lost_generation: u64,
    /// The database's own id, which changes if our tables are dropped and made anew.
    pub installation: InstallationId,
    /// The account that this database belongs to, once it is recorded.
    pub account: Option<Account>,
    /// What is on record of each Customer that the reader asked about.
    pub facts: BTreeMap<CustomerId, CustomerFacts>,
}

/// What the database knows of a Customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustomerFacts {
    /// It was deleted in Stripe.
    pub deleted: bool,
    /// Another tenant's column holds it.
    pub bound_elsewhere: bool,
    /// An operator has unbound it from its tenant.
    pub unbound_by_operator: bool,
}

impl CustomerFacts {
    /// The facts of a Customer that Stripe's answer has brought just now. Nobody else can know its
    /// id yet; should that be wrong, the conditions under which a store binds turn the change down.
    pub const JUST_CREATED: Self =
        Self { deleted: false, bound_elsewhere: false, unbound_by_operator: false };
}

/// What to write in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The tenant.
    pub tenant: TenantId,
    /// What must hold, or nothing is written.
    pub only_if: Conditions,
    /// The row afterwards, with a version one above `only_if.version`; `None` leaves it alone.
    pub row: Option<Row>,
    /// What happens to `tenant_config.stripe_customer_id`.
    pub column: Column,
    /// Customers to put on record as surplus.
    pub surplus: Vec<(CustomerId, SurplusReason)>,
    /// What to add to the audit trail.
    pub events: Vec<NewEvent>,
}

/// What must hold for a [`Change`] to be written. Its [`Column`] may add conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// The database is still this one: our tables were not dropped and made anew.
    pub installation: InstallationId,
    /// The row still has this version; `None`: there is still no row.
    pub version: Option<u64>,
    /// The view that the change was decided from was read at this time. By the database's clock
    /// that is at most [`MAX_DECISION_AGE`](crate::timing::MAX_DECISION_AGE) ago.
    pub decided_at: Timestamp,
    /// If an account is given: the tenant exists, its column is null, and the database belongs to
    /// that account.
    pub needs_customer_in: Option<Account>,
}

/// What happens to the host's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// Nothing.
    Keep,
    /// It is set to this Customer, if it is null and the Customer is neither known to be deleted
    /// nor in another tenant's column. A surplus record of the Customer is resolved.
    Bind(CustomerId),
    /// It must hold this Customer already. A surplus record of the Customer is resolved.
    Holds(CustomerId),
    /// It is set to null if it holds this Customer.
    Clear(CustomerId),
}

impl Change {
    /// A change that writes nothing, decided from `view`.
    pub fn none(view: &View) -> Self {
        Self {
            tenant: view.tenant.clone(),
            only_if: Conditions {
                installation: view.installation.clone(),
                version: view.row.as_ref().map(|row| row.version),
                decided_at: view.now,
                needs_customer_in: None,
            },
            row: None,
            column: Column::Keep,
            surplus: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Whether there is nothing to write.
    pub fn is_nothing(&self) -> bool {
        self.row.is_none()
            && self.column == Column::Keep
            && self.surplus.is_empty()
            && self.events.is_empty()
    }
}

impl View {
    /// The view once `change` is written, as far as that can be told without reading again. What
    /// was known of Customers is no longer known.
    #[must_use]
    pub fn changed(mut self, change: Change) -> Self {
        if change.row.is_some() {
            self.row = change.row;
        }
        match change.column {
            Column::Keep | Column::Holds(_) => {}
            Column::Bind(customer) => self.bound = Some(customer),
            Column::Clear(customer) => self.bound = self.bound.filter(|bound| *bound != customer),
        }
        self.facts.clear();
        self
    }
}
