//! The protocol: how a tenant comes to its one Stripe Customer, and the types that say so.
//!
//! # What is promised
//!
//! At most one Customer is created for a tenant, whatever the number of callers and processes, and
//! wherever any of them stops; and no Customer that was created is lost. That holds as long as the
//! assumptions at the top of [`timing`](crate::timing) hold and the database keeps what it
//! committed.
//!
//! # The idea
//!
//! A tenant's Customer is *bound* when the host application's column
//! `tenant_config.stripe_customer_id` holds its id. That column alone is the truth: a caller of a
//! bound tenant gets the id in it. For every tenant that ever had no Customer, our own table has
//! one *row*, which says how far the tenant has got.
//!
//! The idempotency key is the lock, and nobody is locked out by it. Before anything is sent to
//! Stripe, one commit writes the row with the whole request, body and key, frozen; of two processes
//! that do so at once, the database lets one win, and the other reads the winner's row. Then
//! *every* caller and process sends that same request under that same key, so Stripe executes it
//! once and repeats its answer to all of them. A row's *generation* numbers its keys: Stripe
//! repeats an answer under one key for as long as it remembers it, so another attempt needs another
//! key.
//!
//! Four pure functions decide everything. [`next`](crate::decide::next) says what to do for a
//! tenant as the database shows it now. [`after`](crate::decide::after) says what to write once
//! something was observed: Stripe has answered, or an inquiry has ended.
//! [`deletion`](crate::decide::deletion) says what to write once a Customer is known to be deleted,
//! and [`unbinding`](crate::decide::unbinding) when an operator unbinds one. The loop in
//! `driver.rs` acts on them, for callers, for the recovery worker (which takes up what was left
//! unfinished) and for webhooks alike. Every change is conditional on the row's *version*, so what
//! was decided from an old view is never written.
//!
//! # The states of a row
//!
//! - **Vacant**: nothing is under way, as without a row. The row only keeps its generation, so that
//!   no key is used twice. The next caller freezes a request, and the row is pending.
//! - **Pending**: the request may be sent any number of times until its key is 20 h old. That
//!   includes a request whose outcome is unknown. From 20 h to 23 h nothing is sent, and callers
//!   are told to retry later; whoever looks after 23 h moves the row in doubt. A crash leaves the
//!   row pending: the next caller, or recovery, sends the same request, and Stripe repeats its
//!   answer. (A repeated answer is old, so its Customer is retrieved before it is bound.)
//! - **In doubt**: nothing is sent any more, since the key can no longer be relied on. Callers and
//!   recovery, one at a time, make an *inquiry*: they ask Stripe for any Customer of this tenant
//!   that is ours. A found one is bound. Finding nothing proves that there is none only if the
//!   inquiry *began* at or after the row's `conclusive_from`; then the row is pending again, at the
//!   next generation. (A request without an e-mail address that was never sent is frozen anew for a
//!   caller who gives one, so that inquiries have a list to read.) A crash leaves the row in doubt, and the next inquiry starts over.
//! - **Rejected**: Stripe refused this request for good, for example its e-mail address. The same
//!   request gets the same error. A caller with other details opens the next generation.
//! - **Provisioned**: the row has led to this Customer. If the host sets its column to null, the
//!   next caller retrieves the Customer: if it exists, it is bound again, and if it is deleted, the
//!   row is vacant at the next generation. A crash in any of the last two states, or in vacant,
//!   leaves nothing to finish.
//!
//! A row becomes in doubt for these reasons, each with its own `conclusive_from`:
//!
//! | why | `conclusive_from` |
//! |---|---|
//! | the key is 23 h old | opened_at + [`CONCLUSIVE_AGE`](crate::timing::CONCLUSIVE_AGE), 25 h |
//! | the tenant is gone, the host has bound a Customer itself, the row is older than a restored backup, a Customer of another generation turned up, or our Customer is in another tenant's column | now + [`CONCLUSIVE_AFTER_GIVING_UP`](crate::timing::CONCLUSIVE_AFTER_GIVING_UP), 5 h |
//! | Stripe repeats a stored failure | now + [`CONCLUSIVE_AFTER_STORED_FAILURE`](crate::timing::CONCLUSIVE_AFTER_STORED_FAILURE), 10 min |
//! | the same, of a request without an e-mail address | now + [`CONCLUSIVE_AFTER_STORED_FAILURE_WITHOUT_EMAIL`](crate::timing::CONCLUSIVE_AFTER_STORED_FAILURE_WITHOUT_EMAIL), 70 min |
//! | Stripe says that the key was used with another request | now + [`CONCLUSIVE_AFTER_MISMATCH`](crate::timing::CONCLUSIVE_AFTER_MISMATCH), 70 min |
//! | the policy is to inquire first, and nothing was sent yet | now |
//!
//! And it leaves that state in these ways: a Customer is found, or a late answer brings one
//! (provisioned); there is certainly none (pending); there is none and the tenant is gone (vacant);
//! there is none and the host has bound its own (provisioned with that one); what was created turns
//! out to be deleted already (vacant). `docs/states.md` lists every state against everything that
//! can happen.
//!
//! # Whose a Customer is
//!
//! A Customer is *ours* if one of our keys created it, or if its metadata names this tenant and this
//! installation. One that names another installation is *foreign*: another application's, which may
//! have a tenant of the same id. One that names the tenant and no installation is *unmarked*: other
//! software made it, for this application or for another one, and `ownership.rs` says when it is
//! taken for ours. An e-mail address never decides any of that. A live Customer that was
//! created for a tenant and cannot be bound to it is *surplus*: it is put on record for a person to
//! delete, for example the younger ones of several that an inquiry found. A Customer that any
//! tenant's column holds is never surplus. (*Alive* means: not deleted.)
//!
//! # When a Customer is deleted in Stripe
//!
//! A bound id is returned without asking Stripe. So without Stripe's webhook `customer.deleted`, or a
//! [check](crate::Billing::check), a deletion is not noticed, and callers keep getting the deleted
//! Customer's id. The webhook, or a retrieve that says `deleted: true`, has one transaction record the deletion, set the column to
//! null if it holds that Customer, and make the row vacant at the next generation if it is
//! provisioned with it; the next caller gets a new Customer. If the row is still pending or in
//! doubt, the deletion is only recorded: Stripe's answer to the next send names the Customer, a
//! retrieve says that it is deleted, and the row becomes vacant. `resource_missing` is no proof of
//! a deletion: an operator must look at account and mode.

use jiff::{SignedDuration, Timestamp};

use crate::{
    answer::{Customer, Failure},
    error::Problem,
    ids::{CustomerId, InstallationId},
    request::{CustomerDetails, FrozenRequest, Identity},
    state::Change,
};

/// Who asks what to do next.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    /// A caller who wants the Customer, with these details, and waits at most this long.
    Caller(&'a CustomerDetails, SignedDuration),
    /// The recovery worker, which has claimed the row. It finishes what was begun and begins
    /// nothing.
    Worker,
}

/// What a decision must know beside the tenant: who we are, and our policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// This database, and the Stripe account that it belongs to.
    pub identity: Identity,
    /// Make an inquiry before every first creation, for an account that may already contain
    /// Customers for our tenants.
    pub inquire_first: bool,
    /// When a backup was last restored, if this process was told so. The lost history may have sent
    /// any key. So every tenant without a Customer begins in doubt, as with `inquire_first`;
    /// generations begin above any that the lost history can have used; and an inquiry that began
    /// less than [`CONCLUSIVE_AFTER_GIVING_UP`](crate::timing::CONCLUSIVE_AFTER_GIVING_UP) after
    /// the restore proves nothing by finding nothing.
    pub restored_at: Option<Timestamp>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Return this Customer.
    Done(CustomerId),
    /// Write this change, then ask again.
    Commit(Box<Change>),
    /// Send this request, if the view that permits it is still fresh enough. Where Stripe repeats
    /// an earlier answer, the Customer in it is retrieved before it is believed.
    Send(FrozenRequest),
    /// Make this inquiry.
    Inquire(Inquiry),
    /// Retrieve this Customer, with which the row is provisioned although the column is null.
    Retrieve(CustomerId),
    /// Another process is making an inquiry: wait a little, read again, and ask again.
    Wait,
    /// Nothing can be done before this moment.
    RetryAt(Timestamp),
    /// Nothing is under way, and nothing will be until a caller asks.
    Idle,
    /// Tell the caller, or the operator, why there is no Customer.
    Fail(Problem),
}

/// What to ask Stripe about a tenant in doubt: is there a Customer of ours?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// The row's generation when the inquiry began.
    pub generation: u64,
    /// The row's version then. If the row has changed since, finding nothing proves nothing.
    pub version: u64,
    /// The database's clock before the inquiry's first request.
    pub began: Timestamp,
    /// Read Stripe's events from this moment on.
    pub events_since: Timestamp,
    /// Whether the request may have been sent. If not, it can be frozen anew, with an e-mail address.
    pub sent: bool,
    /// Whether Stripe's events do not reach back far enough, so that only its search can prove that
    /// there is no Customer. Where nothing is known to have been sent, a Customer may be of any age:
    /// the list by e-mail shows it, or without an e-mail address only the search.
    pub needs_search: bool,
    /// The row's frozen request. It may have created a Customer, or may never have been sent.
    pub request: FrozenRequest,
}

/// The end of an inquiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Findings {
    /// There are live Customers of this tenant that are ours.
    Found {
        /// The one to bind: of those that we have made, or else of those that name the tenant and no
        /// installation, the one that was created first (by `created`, then by id).
        oldest: Customer,
        /// The rest.
        others: Vec<Customer>,
    },
    /// Every page of every source was read, and none shows a Customer of ours. Whether that proves
    /// that there is none depends on when the inquiry began.
    Nothing,
    /// "I could not look" is never taken for "there is none".
    Inconclusive(Inconclusive),
}

impl Findings {
    /// The id of the Stripe answer that showed the oldest Customer.
    pub(crate) fn request_id(&self) -> Option<&str> {
        match self {
            Self::Found { oldest, .. } => oldest.request_id.as_deref(),
            Self::Nothing | Self::Inconclusive(_) => None,
        }
    }
}

/// Why an inquiry could not look everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inconclusive {
    /// Something could not be read now.
    Unavailable(String),
    /// Our Stripe API key lacks a permission to read what must be read.
    NotPermitted(String),
    /// Stripe does not accept our API key.
    BadKey(String),
    /// No TLS connection to Stripe can be trusted, so nothing was asked.
    Untrusted(String),
    /// Stripe answers `resource_missing` for this Customer, which Stripe or our records named
    /// before.
    UnknownCustomer(CustomerId),
    /// In live mode, another installation has created this Customer for a tenant of the same id.
    Foreign(CustomerId, InstallationId),
    /// These Customers name a tenant of this id, and may be another application's.
    Unmarked(Vec<CustomerId>),
    /// Stripe's events do not reach back far enough, and this account has no search.
    OutOfReach,
    /// Only the search could show a Customer from before, and this account has none. The request was
    /// never sent and has no e-mail address; with one, the list would do.
    NoEmailToLookBy,
}

/// Something that was observed about a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// Stripe answered a send, but not with a Customer.
    AnsweredWithoutCustomer {
        /// The generation of the request that was sent.
        generation: u64,
        /// What the answer means.
        failure: Failure,
        /// The answer in a few words, without personal data.
        summary: String,
    },
    /// The Customer that this generation's request created is alive. Where the row was lost, or has
    /// gone on to another generation, this moves the row in doubt at the Customer's generation, and
    /// the loop applies the same observation again, which binds the Customer.
    CreatedAlive {
        /// The generation of the request that created it.
        generation: u64,
        /// The Customer.
        customer: CustomerId,
        /// That request, if it is known or can be told from the Customer.
        request: Option<FrozenRequest>,
    },
    /// The Customer that this generation's request created is deleted in Stripe.
    CreatedButDeleted {
        /// The generation of the request that created it.
        generation: u64,
        /// The Customer.
        customer: CustomerId,
    },
    /// An inquiry has ended.
    InquiryEnded {
        /// The inquiry.
        inquiry: Inquiry,
        /// Its result.
        findings: Findings,
    },
    /// A retrieve showed that this Customer, with which the row is provisioned, is alive.
    StillExists(CustomerId),
}

impl Observation {
    /// The Customers of which `after` must know what is on record.
    pub fn customers(&self) -> Vec<CustomerId> {
        match self {
            Self::CreatedAlive { customer, .. } | Self::StillExists(customer) => {
                vec![customer.clone()]
            }
            Self::InquiryEnded { findings: Findings::Found { oldest, others }, .. } => {
                std::iter::once(oldest).chain(others).map(|it| it.id.clone()).collect()
            }
            Self::InquiryEnded { .. }
            | Self::AnsweredWithoutCustomer { .. }
            | Self::CreatedButDeleted { .. } => Vec::new(),
        }
    }
}

/// What to write after an observation, and what to tell whoever waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The change to write.
    pub change: Change,
    /// Why the tenant has no Customer yet. Set only where an immediate retry is useless.
    pub problem: Option<Problem>,
}
