//! The state that is explored: one tenant's database, Stripe, and the processes in between.
//!
//! All times are whole minutes, counted from now: an age is how long ago something was, and
//! `conclusive` how far ahead the moment is from which an inquiry is conclusive. So two states that
//! differ only in the date are one state. Nothing here decides anything.

pub(crate) type Minutes = i32;
/// A Customer: its place in [`Stripe::customers`], which is the order of their creation.
pub(crate) type Id = u8;
/// Whose details a request was frozen with.
pub(crate) type Body = u8;
/// A set of Customers, one bit each.
pub(crate) type Ids = u8;

/// The caller whose e-mail address Stripe accepts.
pub(crate) const GOOD: Body = 0;
/// Another caller; whether Stripe accepts its address is for the configuration to say.
pub(crate) const OTHER: Body = 1;
/// A caller who gives no e-mail address.
pub(crate) const BARE: Body = 2;

pub(crate) const HOUR: Minutes = 60;
/// From reading a key's age to the request's execution at most 3 hours pass: an assumption.
pub(crate) const EXECUTED_WITHIN: Minutes = 3 * HOUR;
/// Events and search are at most an hour behind: an assumption.
pub(crate) const INDEXED_WITHIN: Minutes = HOUR;
/// A failure that Stripe stored shows what it left behind within 10 minutes: an assumption.
pub(crate) const SHOWS_WITHIN: Minutes = 10;
/// Stripe remembers a key for 24 hours at least: an assumption.
pub(crate) const KEY_KEPT: Minutes = 24 * HOUR;

pub(crate) fn has(set: Ids, id: Id) -> bool {
    set & (1 << id) != 0
}

/// A frozen request: its generation makes its key, its details make its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Req {
    pub(crate) g: u8,
    pub(crate) body: Body,
}

/// The state of a row, with the payload that the functions read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum St {
    Vacant,
    Pending(Req),
    InDoubt { req: Req, conclusive: Minutes, sent: bool },
    Rejected(Req),
    Provisioned(Id),
}

/// A row of `customer_provisioning`, without its pacing and its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Row {
    pub(crate) g: u8,
    pub(crate) age: Minutes,
    pub(crate) st: St,
}

/// All that the database holds about the tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Db {
    pub(crate) row: Option<Row>,
    /// The host's column.
    pub(crate) bound: Option<Id>,
    /// Customers known to be deleted.
    pub(crate) known_deleted: Ids,
    /// Surplus on record and not resolved.
    pub(crate) surplus: Ids,
    /// The newest generation in the audit trail.
    pub(crate) trail: u8,
}

/// What Stripe remembers of one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    #[default]
    Unknown,
    Made(Id),
    Failed {
        body: Body,
        age: Minutes,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Customer {
    pub(crate) req: Req,
    pub(crate) age: Minutes,
    pub(crate) dead: bool,
    /// Another installation on the same account made it for a tenant of this name.
    pub(crate) foreign: bool,
}

/// A fault or a rejection uses up a generation, and there are few of either.
pub(crate) const KEYS: usize = 10;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Stripe {
    pub(crate) keys: [Key; KEYS],
    pub(crate) customers: Vec<Customer>,
    /// The request whose stored failure will still show a Customer, and how long ago it failed.
    pub(crate) late: Option<(Req, Minutes)>,
}

/// A request that left its sender; `age` since the reading that permitted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Flying {
    pub(crate) req: Req,
    pub(crate) age: Minutes,
}

/// How an answer without a Customer was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Failed {
    Rejected,
    StoredFailure,
    Mismatched,
    Retry,
    Operator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Found {
    Ours(Ids),
    Nothing,
    Inconclusive,
}

/// An inquiry under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Inquiry {
    pub(crate) g: u8,
    /// The row has another version by now.
    pub(crate) stale: bool,
    /// How long ago it began.
    pub(crate) began: Minutes,
    /// How far back it reads events, as an age.
    pub(crate) since: Minutes,
    pub(crate) sent: bool,
    pub(crate) needs_search: bool,
    pub(crate) req: Req,
}

/// What a process has learned and must write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ev {
    AnsweredWithoutCustomer {
        g: u8,
        failed: Failed,
    },
    CreatedAlive {
        g: u8,
        id: Id,
        req: Req,
        /// It was deleted when Stripe last told this process of it.
        dead: bool,
    },
    CreatedButDeleted {
        g: u8,
        id: Id,
    },
    InquiryEnded {
        inquiry: Inquiry,
        found: Found,
    },
    StillExists(Id),
}

/// A change that was decided, without its times and texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Plan {
    /// Whether there was a row.
    pub(crate) was: bool,
    pub(crate) row: Option<Row>,
    pub(crate) column: Col,
    pub(crate) needs_null: bool,
    pub(crate) surplus: Ids,
    /// The newest generation that its audit events name, or 0.
    pub(crate) trail: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Col {
    Keep,
    Bind(Id),
    Holds(Id),
    Clear(Id),
}

/// Where a process is in the loop of `driver.rs`, between two of its awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Pc {
    /// Not running: it has not begun, is done, gave up, or died.
    Idle,
    /// A change is decided and not yet written; of an event, if it is not one of `next`.
    Commit { plan: Plan, of: Option<Ev> },
    /// A send was permitted. `current`: the view that permitted it is still what the database
    /// holds, and less than a minute old.
    Await { flying: Flying, current: bool },
    /// An old answer or a webhook has named a Customer: retrieve it.
    Confirm { g: u8, id: Id },
    /// The column has lost the Customer that the row is provisioned with: retrieve that.
    Retrieve(Id),
    /// An inquiry has begun.
    Inquire(Inquiry),
    /// Something was learned: read the database again, and decide.
    Write(Ev),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) db: Db,
    pub(crate) stripe: Stripe,
    pub(crate) procs: Vec<Pc>,
    /// Requests whose sender died or gave up.
    pub(crate) orphans: Vec<Flying>,
    /// How long ago a backup was restored.
    pub(crate) restored: Option<Minutes>,
    /// How many more moves of the clock, and how many more faults, are to be tried.
    pub(crate) jumps: u8,
    pub(crate) faults: u8,
    /// A Customer was bound although Stripe's last answer about it was that it is deleted.
    pub(crate) bound_dead: bool,
}
