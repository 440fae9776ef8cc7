//! What the database holds of one tenant, and what may be written of it.
//!
//! A store reads a [`View`] in one statement and writes a [`Change`] in one transaction, on condition
//! that nothing it was decided from has moved. It decides nothing itself.

use jiff::{SignedDuration, Timestamp};

use crate::{
    answer::Refusal,
    audit::{NewEvent, SurplusReason},
    ids::{CustomerId, TenantId},
    provisioning::{EVENTS_BEFORE, EVENTS_KEPT},
    request::{Account, FrozenRequest},
};

/// Where a tenant is on its way, with what is known there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// No Customer, and nothing under way: this generation has sent nothing yet.
    Vacant,
    /// The request may be sent, again and again, under its one key.
    Pending(FrozenRequest),
    /// Look, and do not create.
    Suspect {
        /// The request that may have made a Customer, or will make one if it was never sent.
        request: FrozenRequest,
        /// Only a look that began at or after this moment can show that there is none.
        quiet_until: Timestamp,
        /// Whether this generation may have been sent. A look-first row was not.
        sent: bool,
    },
    /// Stripe refused this request for good; another request may be tried.
    Rejected(FrozenRequest, Refusal),
    /// The Customer that it last settled with. The host's column says whether it is bound.
    Settled(CustomerId),
}

impl State {
    /// The request that this state is about, if any.
    pub fn request(&self) -> Option<&FrozenRequest> {
        match self {
            Self::Pending(request) | Self::Suspect { request, .. } | Self::Rejected(request, _) => {
                Some(request)
            }
            Self::Vacant | Self::Settled(_) => None,
        }
    }

    /// Its name in the database and in what people read.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Vacant => "vacant",
            Self::Pending(_) => "pending",
            Self::Suspect { .. } => "suspect",
            Self::Rejected(..) => "rejected",
            Self::Settled(_) => "settled",
        }
    }
}

/// One tenant's row of `customer_provisioning`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Counts the attempts at a Customer; each has its own idempotency key.
    pub generation: u64,
    /// Bumped by every change, and what each change is conditional on.
    pub version: u64,
    /// Where it is.
    pub state: State,
    /// When this generation was opened, by the database's clock.
    pub opened_at: Timestamp,
    /// Failed attempts since then.
    pub attempts: u32,
    /// When recovery is due, and a caller of a suspect row may look again.
    pub next_attempt_at: Timestamp,
    /// What went wrong last, in words that name nobody.
    pub last_error: Option<String>,
}

/// A tenant as one statement saw it in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The tenant, in the database's spelling.
    pub tenant: TenantId,
    /// The database's clock when it looked.
    pub now: Timestamp,
    /// Whether the tenant exists.
    pub exists: bool,
    /// `tenant_config.stripe_customer_id`.
    pub bound: Option<CustomerId>,
    /// Its provisioning row.
    pub row: Option<Row>,
    /// Where there is no row: the newest generation that the audit trail tells of, or 0. Rows are never
    /// deleted, so anything but 0 means that one was lost.
    pub lost_generation: u64,
    /// Which account this database belongs to, once recorded.
    pub account: Option<Account>,
    /// What is on record of the Customer that the reader asked about.
    pub candidate: Candidate,
}

/// What the database knows of a Customer that is about to be bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Candidate {
    /// It was deleted in Stripe.
    pub deleted: bool,
    /// Another tenant's column holds it.
    pub bound_elsewhere: bool,
    /// An operator took it off its tenant.
    pub unbound: bool,
}

/// A process that was paused for longer between deciding and writing decides anew. (Quiet times count
/// from the view, and another process may have sent since.)
pub const DECISION_LASTS: SignedDuration = SignedDuration::from_mins(1);

/// What to write, in one transaction, only where the row still has version `was`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub tenant: TenantId,
    /// When the view was read that it was decided from. The times in it count from there, so it must be
    /// written within [`DECISION_LASTS`] of it, by the database's clock.
    pub decided_at: Timestamp,
    /// The version that the row must still have; `None`: there must be no row.
    pub was: Option<u64>,
    /// The row afterwards; its version is one above `was`. `None` leaves it alone.
    pub row: Option<Row>,
    /// What becomes of `tenant_config.stripe_customer_id`.
    pub column: Column,
    /// Write only if the tenant exists, its column is null, and the database is this account's.
    pub unbound_on: Option<Account>,
    /// Customers that exist in Stripe and must not.
    pub surplus: Vec<(CustomerId, SurplusReason)>,
    /// What to add to the audit trail.
    pub events: Vec<NewEvent>,
}

/// What becomes of the host's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// Nothing.
    Keep,
    /// It holds this Customer, which must be neither known deleted nor bound elsewhere; before, it was
    /// null. A surplus record of it is resolved.
    Bind(CustomerId),
    /// It holds this Customer already, and must. A surplus record of it is resolved.
    Holds(CustomerId),
    /// It is null where it holds this Customer.
    Clear(CustomerId),
}

impl Row {
    /// Takes the place of a generation that was sent, unless it is an older one than this row knows of.
    pub(crate) fn take_up(&mut self, generation: u64) {
        if generation >= self.generation {
            self.generation = generation;
            if let State::Suspect { sent, .. } = &mut self.state {
                *sent = true;
            }
        }
    }

    /// Stands in for a row that was lost. Whatever it was, its generation may have been sent, as long
    /// ago as events reach back: less a day, so that a look after the quiet time still reads it all.
    pub(crate) fn lost(view: &View) -> Self {
        let now = view.now;
        let opened_at = now - (EVENTS_KEPT - EVENTS_BEFORE * 2);
        Self {
            generation: view.lost_generation,
            version: 0,
            state: State::Vacant,
            opened_at,
            attempts: 0,
            next_attempt_at: now,
            last_error: None,
        }
    }
}

impl Change {
    /// A change of nothing, decided from `view`, to start from.
    pub fn none(view: &View) -> Self {
        Self {
            tenant: view.tenant.clone(),
            decided_at: view.now,
            was: view.row.as_ref().map(|row| row.version),
            row: None,
            column: Column::Keep,
            unbound_on: None,
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
    /// The view after `change` was written, as far as it can be told without reading again.
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
        self.candidate = Candidate::default();
        self
    }
}
