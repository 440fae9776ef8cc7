//! Every span of time that the protocol rests on: the assumptions first, then what follows from
//! them.
//!
//! The age of a key counts from its row's `opened_at`, by the database's clock:
//!
//! ```text
//! age 0                20 h                 23 h           24 h           25 h
//!     |---- pending ---|----- pending ------|------------ in doubt -------|---- in doubt ------>
//!     | the key is     | nothing is sent;   | an inquiry may find a       | an inquiry that begins
//!     | sent           | a request sent     | Customer; finding nothing   | here and finds nothing
//!     |                | before may still   | proves nothing yet          | proves that there is
//!     |                | be executed        |                             | none
//!     opened_at        SEND_UNTIL           IN_DOUBT_FROM  KEY_REMEMBERED CONCLUSIVE_AGE
//! ```
//!
//! Whoever doubts an assumption changes it in the first part, and the rest follows.

use std::time::Duration;

use jiff::SignedDuration;

// What we assume.

/// Stripe remembers an idempotency key for at least this long.
pub const KEY_REMEMBERED: SignedDuration = SignedDuration::from_hours(24);
/// Stripe has executed a request at most this long after the database's clock was read to decide
/// whether it may be sent. A process keeps well within that (`SEND_WINDOW`); the rest covers a
/// network or a Stripe that delays a request, and database nodes whose clocks differ.
pub const EXECUTED_WITHIN: SignedDuration = SignedDuration::from_hours(3);
/// Stripe's events and its search show a Customer at most this long after it was created. (Its list
/// of Customers by e-mail reads what was written, without a delay.)
pub const VISIBLE_WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// If Stripe stored a failure for a request that created a Customer all the same, the list by
/// e-mail shows that Customer within this time. The list has no delay of its own; the 10 minutes
/// are for what the failed request may still be doing inside Stripe. Events would need an hour
/// more, and a new tenant must not wait that long after one stored 500. The price is one more
/// assumption: nobody edits that Customer's e-mail by hand before the events show it. A request
/// without an e-mail address has no such list, and waits for the events.
pub const STORED_FAILURE_VISIBLE_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// Stripe lists events for this long.
pub const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What we keep to spare in rare cases, where an hour more is acceptable.
const MARGIN: SignedDuration = SignedDuration::from_hours(1);
/// What we keep to spare where a caller may be waiting.
const SHORT_MARGIN: SignedDuration = SignedDuration::from_mins(10);

// What follows for a key.

/// Whoever looks at a pending row of this age moves it in doubt, since Stripe may soon forget the
/// key. 23 h.
pub const IN_DOUBT_FROM: SignedDuration = minus(KEY_REMEMBERED, MARGIN);
/// A key is sent while it is younger than this, so that the last request is executed before
/// [`IN_DOUBT_FROM`]. 20 h.
pub const SEND_UNTIL: SignedDuration = minus(IN_DOUBT_FROM, EXECUTED_WITHIN);
/// Whatever a key that was sent until [`SEND_UNTIL`] has created is visible at this age. 25 h.
pub const CONCLUSIVE_AGE: SignedDuration = plus(plus(IN_DOUBT_FROM, VISIBLE_WITHIN), MARGIN);

// What follows for a row that becomes in doubt before that age. An inquiry may begin at once, and
// may find a Customer; one that finds nothing proves something only if it began this long
// afterwards.

/// After we stop sending a key although it might still work (the tenant is gone, say), since a
/// request may be on its way yet. 5 h.
pub const CONCLUSIVE_AFTER_GIVING_UP: SignedDuration =
    plus(plus(EXECUTED_WITHIN, VISIBLE_WITHIN), MARGIN);
/// After Stripe replayed a failure, so that the key can never create anything more. 10 min.
pub const CONCLUSIVE_AFTER_STORED_FAILURE: SignedDuration = STORED_FAILURE_VISIBLE_WITHIN;
/// The same for a request without an e-mail address: only events show what it left behind. 70 min.
pub const CONCLUSIVE_AFTER_STORED_FAILURE_WITHOUT_EMAIL: SignedDuration =
    plus(VISIBLE_WITHIN, SHORT_MARGIN);
/// After Stripe said that the key had been used with another request. The protocol never does that
/// as long as the database keeps what it committed; it happens when a row was lost, or restored
/// from a backup, so that one key came to stand for two requests. Events show what the first of
/// them created. 70 min.
pub const CONCLUSIVE_AFTER_MISMATCH: SignedDuration = plus(VISIBLE_WITHIN, SHORT_MARGIN);

/// How far before `opened_at` an inquiry reads events. A key of an older generation may have been
/// sent until then. It can only repeat an answer that is known, so this should find nothing more;
/// it costs little, and would show a Customer that should not exist.
pub const EVENTS_BEFORE_OPENED: SignedDuration = KEY_REMEMBERED;

// How a process keeps within EXECUTED_WITHIN.

/// The body of a request begins to leave within this long of the reading that permits it, or it is
/// not sent. The Stripe client enforces it on a clock that counts on while the machine is
/// suspended.
pub(crate) const SEND_WINDOW: Duration = Duration::from_secs(30);
/// A reading older than this is taken again before a send, so that `SEND_WINDOW` is never tight.
pub(crate) const MAX_SNAPSHOT_AGE: Duration = Duration::from_secs(5);
/// The longest time between reading a view and writing the change that was decided from it. A
/// process that was paused for longer must read again, since another one may have sent the key
/// meanwhile.
pub const MAX_DECISION_AGE: SignedDuration = SignedDuration::from_mins(1);

const _: () = assert!(
    SEND_UNTIL.as_secs() > 0
        && IN_DOUBT_FROM.as_secs() < KEY_REMEMBERED.as_secs()
        && KEY_REMEMBERED.as_secs() < CONCLUSIVE_AGE.as_secs()
        && (SEND_WINDOW.as_secs() as i64) < EXECUTED_WITHIN.as_secs() / 10
        && MAX_DECISION_AGE.as_secs() < STORED_FAILURE_VISIBLE_WITHIN.as_secs()
        && EVENTS_BEFORE_OPENED.as_secs() * 3 < EVENTS_KEPT.as_secs(),
    "the time spans do not fit together"
);

// Pacing: none of these is about safety.

/// How long a call waits unless it says otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);
/// How long after a caller's deadline recovery takes over what that caller began.
pub(crate) const TAKEOVER_DELAY: SignedDuration = SignedDuration::from_secs(5);
/// Recovery takes over at the latest so long after a row was opened, however far away the caller's
/// deadline is.
pub(crate) const MAX_TAKEOVER_DELAY: Duration = Duration::from_secs(3600);
/// Calls for one tenant in one process share their work. If that work gives up at its deadline, a
/// caller whose own deadline is later by more than this begins anew.
pub(crate) const LATER_DEADLINE: Duration = Duration::from_secs(1);
/// How long a claimed row is left to the process that claimed it.
pub(crate) const CLAIM_FOR: Duration = Duration::from_secs(20);
/// How often the recovery worker asks the database for due rows.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The shortest pause before recovery comes back to a row.
pub(crate) const MIN_RETRY_DELAY: SignedDuration = SignedDuration::from_secs(5);
/// The longest wait that Stripe may ask for. Recovery comes back to a row as soon as this.
pub(crate) const MAX_RETRY_AFTER: Duration = MAX_RETRY_DELAY.unsigned_abs();
/// The longest one.
pub(crate) const MAX_RETRY_DELAY: SignedDuration = SignedDuration::from_mins(10);

const fn plus(a: SignedDuration, b: SignedDuration) -> SignedDuration {
    a.saturating_add(b)
}

const fn minus(a: SignedDuration, b: SignedDuration) -> SignedDuration {
    a.saturating_sub(b)
}
