//! One tenant's way to its one Stripe Customer: the states, and two total functions without I/O.
//!
//! [`next`] says what to do for a tenant as the database shows it now; [`after`] says what an event
//! (an answer, a look, a deletion) makes of it. Both only read their arguments. The loop in
//! `billing.rs` acts on what they return, and so does everything that checks this protocol.
//!
//! ```text
//! no row, vacant --open--> pending --bind--> settled --deleted, unbound--> vacant (generation + 1)
//!    look-first: suspect   pending --definite refusal--> rejected --open, other request--> pending (+ 1)
//!                          pending --spent, mismatched or aged key; tenant gone; host bound--> suspect
//!                          suspect --found--> settled
//!                          suspect --certainly none--> pending (+ 1; its own if it never sent)
//! ```
//!
//! The idempotency key is the lock. All callers of one generation send the same key with the same
//! frozen body, so Stripe itself makes them one, for as long as it surely remembers the key.
//! **Pending** means that this may be relied upon; **suspect** that it may not any more: from then
//! on nothing is created until a look at Stripe has shown that there is certainly nothing.

mod after;
mod looked;
mod next;
mod rows;

use jiff::{SignedDuration, Timestamp};

pub use self::{
    after::{after, deletion},
    next::next,
};
use crate::{
    answer::{Customer, Failure, Refusal},
    ids::CustomerId,
    request::{Account, CustomerDetails, FrozenRequest, Origin},
    state::{Change, View},
};

/// A key may be sent while it is younger than this. Stripe remembers it for 24 h at least.
pub const SEND_UNTIL: SignedDuration = SignedDuration::from_hours(20);
/// From reading a key's age to Stripe's executing the request at most 3 h pass; so at this age the
/// last permitted send is over, and the row is suspect.
pub const SUSPECT_FROM: SignedDuration = SignedDuration::from_hours(23);
/// Events and search are at most an hour behind, and an hour is to spare: what an aged key has made
/// shows by this age.
pub const AGED_QUIET: SignedDuration = SignedDuration::from_hours(25);
/// The same 3 + 1 + 1 hours for a key that is given up now, whatever its age.
pub const GIVEN_UP_QUIET: SignedDuration = SignedDuration::from_hours(5);
/// A failure that Stripe stored shows what it left behind within 10 minutes.
pub const SPENT_QUIET: SignedDuration = SignedDuration::from_mins(10);
/// An earlier use of the key, of which we know nothing, shows in the events within 70 minutes.
pub const MISMATCH_QUIET: SignedDuration = SignedDuration::from_mins(70);
/// How long Stripe lists events.
pub const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How far before `opened_at` a look reads events: an older generation may still have been sending.
pub const EVENTS_BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// How long after a caller's own deadline recovery takes over what it opened.
const TAKE_OVER: SignedDuration = SignedDuration::from_secs(5);

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    /// Somebody who wants the Customer, with these details, and waits this long at most.
    Caller(&'a CustomerDetails, SignedDuration),
    /// The recovery worker, which has claimed the row: it finishes what was begun, and begins nothing.
    Worker,
}

/// What the protocol is told of the world beside one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Where requests come from and go to.
    pub origin: Origin,
    /// Look at Stripe before every first creation: for accounts with a past.
    pub look_first: bool,
    /// When a backup was last restored. From then on everything looks first, no look begun within 5 h of
    /// it shows that there is none, and no generation is used that the lost history may have used.
    pub restored_at: Option<Timestamp>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Return this Customer.
    Done(CustomerId),
    /// Write this, then go on with what it makes.
    Commit(Box<Change>),
    /// Send this request, if the reading that this follows from is fresh enough.
    Send(FrozenRequest),
    /// Look for Customers of this tenant in Stripe.
    Look(Look),
    /// Retrieve the Customer that the row settled with, since the column has lost it.
    Retrieve(CustomerId),
    /// Nothing to do, for this asker, now.
    Stop(Stop),
}

/// Why there is nothing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Nothing is under way, or ever will be without a caller.
    Idle,
    /// There is no such tenant.
    UnknownTenant,
    /// Stripe has refused exactly this request.
    Refused(Refusal),
    /// Not before this moment.
    Later(Timestamp),
    /// Somebody else is looking, and may be done at any moment; this one's turn is here.
    Busy(Timestamp),
    /// The key acts on one account, the database belongs to another.
    WrongAccount(Account),
}

/// A search for what a suspect row may have made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The version that "certainly none" is conditional on.
    pub version: u64,
    /// The database's clock before the first request of the look.
    pub began: Timestamp,
    /// Read events from here on.
    pub events_since: Timestamp,
    /// Events do not reach back far enough: only search can show that there is none.
    pub needs_search: bool,
    /// The request that may have made it.
    pub request: FrozenRequest,
}

/// What a look brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Findings {
    /// Live Customers of this tenant that are ours, oldest first; never empty.
    Ours(Vec<Customer>),
    /// None of ours, but in live mode one that another installation made for this tenant.
    Foreign(CustomerId),
    /// Every page of every source was read, and there is none.
    None,
    /// Every page was read, but events do not reach back far enough and there is no search.
    OutOfReach,
    /// Something could not be read now.
    Failed(String),
    /// This key may not read what must be read.
    Forbidden(String),
}

/// Something that happened to a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A send of `request`, made at this generation, was answered, but not with a Customer.
    Answered {
        /// Of the request that was sent.
        generation: u64,
        /// What the answer means.
        failure: Failure,
        /// The answer in words that name nobody.
        words: String,
    },
    /// A live Customer that this generation made is at hand.
    Live {
        /// Of the request that made it.
        generation: u64,
        /// The Customer.
        customer: CustomerId,
        /// What made it, as far as it is known.
        request: Option<FrozenRequest>,
        /// How it came to us.
        how: How,
    },
    /// The Customer that a send of this generation was answered with is known to be deleted.
    Dead {
        /// Of the request that was sent.
        generation: u64,
        /// The Customer.
        customer: CustomerId,
    },
    /// A look at this generation is over.
    Looked {
        /// Of the row when the look began.
        generation: u64,
        /// What was asked.
        look: Look,
        /// What it brought.
        findings: Findings,
    },
    /// A retrieve showed that the Customer which the row settled with is alive.
    StillLive(CustomerId),
    /// A Customer is known to be deleted in Stripe.
    Deleted(CustomerId),
    /// An operator took the Customer off this tenant.
    Unbound(CustomerId),
}

/// How a live Customer came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Stripe answered our creation with it.
    Created,
    /// It was there before we asked.
    Adopted,
}

/// What an event makes of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What to write.
    pub change: Change,
    /// What keeps this from going on by itself.
    pub problem: Option<Problem>,
}

/// Why a person has to act, or a caller to wait, whatever is retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Stripe refuses the key, or something that no caller has a hand in; in words.
    Stripe(String),
    /// The Customer that was made for this tenant is bound to another one.
    BoundElsewhere(CustomerId),
    /// In live mode another installation has made a Customer for this tenant.
    Foreign(CustomerId),
    /// Events do not reach back far enough, and this account has no search.
    OutOfReach,
    /// The key acts on one account, the database belongs to this one.
    WrongAccount(Account),
    /// A creation is under way, so the Customer cannot be taken off now.
    UnderWay,
}

/// When a look must begin for its finding nothing to count.
fn counts_from(quiet_until: Timestamp, site: &Site) -> Timestamp {
    let restored = site.restored_at.map(|at| at + GIVEN_UP_QUIET);
    restored.map_or(quiet_until, |restored| restored.max(quiet_until))
}

/// This generation, or after a restore the first that is certainly new, if that is later: one that no
/// counting from 1 reaches by then. A key that the lost history used may have a failure or a deleted
/// Customer behind it, which no look shows, and be forgotten by Stripe at any moment.
fn unused(generation: u64, site: &Site) -> u64 {
    let restored = site.restored_at.map_or(0, Timestamp::as_millisecond);
    generation.max(restored.try_into().unwrap_or(0))
}

fn wrong_account(view: &View, site: &Site) -> Option<Account> {
    view.account.clone().filter(|recorded| *recorded != site.origin.account)
}
