//! The audit trail: what happened to a tenant's Customer, in order, forever.
//!
//! Every change of a row writes its events in the same transaction, so the trail can neither miss a
//! step nor tell one that was not taken. Its texts hold ids, codes and counts only, and no personal
//! data.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    answer::looks_personal,
    ids::{CustomerId, Invalid, TenantId, plain_text},
};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name in the database and in what people read.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one of this name.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

named! {
    /// What happened.
    EventKind {
        /// A request was frozen, and its key may be sent from now on.
        Opened = "opened",
        /// An inquiry proved that there is no Customer, so the next request was frozen.
        Reopened = "reopened",
        /// A send brought no Customer; the same key will be sent again.
        SendFailed = "send_failed",
        /// Stripe refused this request for good.
        Rejected = "rejected",
        /// The key can no longer be relied on, so an inquiry must decide.
        InDoubt = "in_doubt",
        /// An inquiry decided nothing.
        InquiryFailed = "inquiry_failed",
        /// The Customer that we created was bound to the tenant.
        Created = "created",
        /// A Customer that was there before was bound to the tenant.
        Adopted = "adopted",
        /// The column had lost the Customer and holds it again.
        Rebound = "rebound",
        /// The row became provisioned without a change to the column.
        Closed = "closed",
        /// The column was set to null.
        Cleared = "cleared",
        /// The row became vacant, at the next generation.
        Vacated = "vacated",
        /// A Customer was put on record as surplus.
        Surplus = "surplus",
    }
}

named! {
    /// Why a Customer is surplus.
    SurplusReason {
        /// Stripe answered with it after its generation had been given up or its row lost.
        Late = "late",
        /// The tenant had an older one.
        Duplicate = "duplicate",
        /// The tenant was gone when it came.
        TenantGone = "tenant_gone",
        /// The host had bound another one itself.
        HostBoundAnother = "host_bound_another",
        /// An operator unbound it from its tenant. Inquiries pass it over.
        Unbound = "unbound",
    }
}

impl SurplusReason {
    pub(crate) fn summary(self) -> &'static str {
        match self {
            Self::Late => "answered after its generation was given up or lost",
            Self::Duplicate => "the tenant has an older one",
            Self::TenantGone => "the tenant is gone",
            Self::HostBoundAnother => "the host has bound another one",
            Self::Unbound => "unbound by an operator",
        }
    }
}

const REASON_CHARS: usize = 200;

/// Why an operator did something, for the audit trail, which keeps it forever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// # Errors
    /// [`Invalid`] for field `reason` unless it has 1 to 200 characters, none of them a control one,
    /// and no word that looks like an e-mail address or a key.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        plain_text("reason", text, REASON_CHARS)?;
        if text.split_whitespace().any(looks_personal) {
            let why = "holds what looks like an e-mail address or a key, and the audit trail keeps no \
                       personal data";
            return Err(Invalid::new("reason", why));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event that is about to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// To which generation; 0 for a tenant that has none.
    pub generation: u64,
    /// To which Customer, if it is about one.
    pub customer: Option<CustomerId>,
    /// The `Request-Id` of the Stripe answer that brought it about.
    pub request_id: Option<String>,
    /// More, without personal data.
    pub detail: String,
}

/// An event on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// When it was written, by the database's clock.
    pub at: Timestamp,
    /// What happened.
    pub event: NewEvent,
}

/// A Customer that exists in Stripe and must not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Surplus {
    /// The Customer.
    pub customer: CustomerId,
    /// Why it is surplus.
    pub reason: SurplusReason,
    /// When it was found.
    pub found_at: Timestamp,
    /// When it was bound after all, or deleted.
    pub resolved_at: Option<Timestamp>,
}

/// All that is on record of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct History {
    /// The tenant, in the database's spelling.
    pub tenant: TenantId,
    /// Whether the tenant exists now.
    pub exists: bool,
    /// What `tenant_config.stripe_customer_id` holds now.
    pub bound: Option<CustomerId>,
    /// The state of its provisioning row and the Customer that it is provisioned with, if there is
    /// a row.
    pub state: Option<(&'static str, Option<CustomerId>)>,
    /// What happened, oldest first.
    pub events: Vec<AuditEvent>,
    /// Customers of this tenant that must not exist.
    pub surplus: Vec<Surplus>,
}

impl History {
    /// The Customer that this software provisioned with, where the host's column holds another or
    /// none.
    pub fn overridden(&self) -> Option<&CustomerId> {
        let provisioned = self.state.as_ref()?.1.as_ref()?;
        (self.bound.as_ref() != Some(provisioned)).then_some(provisioned)
    }
}
