//! What can happen in a run: the input of the simulation is a list of these, so that it can be
//! shrunk, printed, and written down as a test.

use std::time::Duration;

use tenant_billing::{Unmarked, ids::Email, request::CustomerDetails};

/// Where a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Chance within the run: latencies, jitter.
    pub(crate) seed: u64,
    /// The key in use is a live one.
    pub(crate) live: bool,
    /// Whether the account has search.
    pub(crate) search: bool,
    /// How long Stripe remembers a key: 24 h at least.
    pub(crate) key_hours: u16,
    /// How many entries a page of a list has at most.
    pub(crate) page: u8,
    /// How far events and search are behind, in minutes: 60 at most.
    pub(crate) lag: u8,
    /// Whether processes make an inquiry before they create, from the start.
    pub(crate) inquire_first: bool,
    /// What processes do about Customers without our mark.
    pub(crate) unmarked: Option<Unmarked>,
    /// Whether Customers without our mark that name a tenant are another application's. If they may
    /// be adopted, they are not.
    pub(crate) unmarked_are_theirs: bool,
    /// Whether older software of this application named a tenant in `userId`.
    pub(crate) user_key: bool,
}

impl Settings {
    /// The plainest.
    pub(crate) const PLAIN: Self = Self {
        seed: 0,
        live: false,
        search: true,
        key_hours: 24,
        page: 100,
        lag: 60,
        inquire_first: false,
        unmarked: None,
        unmarked_are_theirs: false,
        user_key: false,
    };
}

/// One thing that happens. Processes and tenants are counted from 0; a process that is dead is
/// started again by the first operation that needs it. `nth` counts among what there is, round and
/// round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// Somebody calls `get_or_create`, and waits `patience` seconds.
    Call { process: u8, tenant: u8, email: Mail, patience: u16 },
    /// Recovery runs once over what is due.
    Recover { process: u8 },
    /// Time passes, and whatever is under way goes on.
    Pass(Duration),
    /// The call after `skip` others of this kind that the process makes meets with this.
    Arm { process: u8, at: At, skip: u8, fault: Fault },
    /// The process dies now.
    Crash { process: u8 },
    /// The process stands still for so many seconds.
    Suspend { process: u8, seconds: u32 },
    /// Somebody deletes a Customer of the tenant in the dashboard.
    Delete { tenant: u8, nth: u8 },
    /// Somebody changes the e-mail of a Customer of the tenant in the dashboard.
    Edit { tenant: u8, nth: u8 },
    /// Somebody edits the metadata of a Customer that we or the second application made.
    Meddle { tenant: u8, nth: u8, how: Meddling },
    /// A second application begins, with tenants of the same ids. (There is one at most, or one
    /// copy.)
    Second,
    /// The database is copied, and the copy lives on beside it.
    Copy,
    /// The copy's operator says that it is one. From then on it is like a second application.
    Afresh { keep: bool },
    /// The operators declare to each database that the other installations are other applications.
    Declare,
    /// Something is done by the second application's process, or the copy's.
    Theirs(Their),
    /// Stripe delivers `customer.created` of a Customer of the tenant, perhaps again.
    DeliverCreated { process: u8, tenant: u8, nth: u8 },
    /// Stripe delivers `customer.deleted` of a deleted Customer of the tenant, perhaps again.
    DeliverDeleted { process: u8, tenant: u8, nth: u8 },
    /// Events and search are so many minutes behind for what is made from now on.
    Lag { minutes: u8 },
    /// The host nulls its column.
    HostNulls { tenant: u8 },
    /// The host writes a Customer of its own making into its column.
    HostOverwrites { tenant: u8 },
    /// The host moves a live Customer of the tenant into another existing tenant's column, out of
    /// the one that holds it, if any. If another tenant's column holds it, it comes back.
    HostMoves { tenant: u8, nth: u8 },
    /// The host deletes the tenant.
    Remove { tenant: u8 },
    /// The host registers the tenant, again if need be.
    Register { tenant: u8 },
    /// An operator takes off what is bound.
    Unbind { process: u8, tenant: u8 },
    /// A backup is taken.
    Backup,
    /// The last backup (or the empty database) is restored; from then on processes run with
    /// `inquire_first`.
    Restore,
    /// For so many seconds, these calls of the database meet with this, whoever makes them.
    Ail { ill: Ill, at: At, seconds: u32 },
    /// Our tables are lost and made anew, and the host's stay. If it is `known`, every process is
    /// started again as after a restored backup; otherwise they live on.
    Remake { known: bool },
    /// Somebody deletes the tenant's row, and not its trail.
    LoseRow { tenant: u8 },
    /// The process is started again with this key.
    Key { process: u8, key: Key },
    /// Somebody else creates a Customer that looks like the tenant's.
    Stranger { tenant: u8, kind: Stranger },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mail {
    Good,
    Other,
    /// One that Stripe refuses.
    Rejected,
    /// The caller gives no address.
    None,
}

impl Mail {
    pub(crate) fn address(self) -> Option<&'static str> {
        match self {
            Self::Good => Some("owner@example.com"),
            Self::Other => Some("billing@example.org"),
            Self::Rejected => Some("owner@localhost"),
            Self::None => None,
        }
    }

    pub(crate) fn details(self) -> CustomerDetails {
        let email = self.address().map(|it| Email::parse(it).expect("an address"));
        email.map_or_else(CustomerDetails::without_email, CustomerDetails::new)
    }
}

/// Which secret key a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Own,
    OtherAccount,
    OtherMode,
}

/// What somebody else puts into Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// The same e-mail and no metadata.
    SameEmail,
    /// The same e-mail, and another tenant's id.
    OtherTenant,
    /// This tenant's id, and another installation's.
    OtherInstallation,
    /// This tenant's id and no installation: older software of this application made it.
    Legacy,
    /// The same, with this tenant's id in `userId`.
    LegacyUser,
    /// This tenant's id and no installation: another application made it.
    OtherSoftware,
    /// The same, with this tenant's id in `userId`.
    OtherUser,
}

/// How somebody edits a Customer's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meddling {
    /// The installation is removed.
    Unmark,
    /// The tenant's id is removed.
    Unname,
    /// It names another tenant.
    Rename,
    /// The tenant's id is in capitals.
    Respell,
}

/// What the second application does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Their {
    Call {
        tenant: u8,
    },
    Recover,
    /// Somebody deletes a Customer that it created, in the dashboard.
    Delete {
        tenant: u8,
    },
    Crash,
}

/// At which calls of a port a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Any call of either port.
    Any,
    /// A read of the database.
    Read,
    /// A write of the database.
    Write,
    /// `POST /v1/customers`.
    Create,
    /// Any GET of Stripe.
    Ask,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// What befalls a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies, with the effect or without.
    Crash(Side),
    /// The process stands still for so many seconds, before the call or after its effect.
    Suspend(Side, u32),
    /// The database does not answer, and has done it or not.
    Database { done: bool },
    /// The database refuses the call, and does nothing.
    Store(Ill),
    /// The request never arrives.
    LoseRequest,
    /// The request is executed, and its answer lost.
    LoseAnswer,
    /// The answer comes as an HTML page of some machine in between.
    Mangle,
    /// The request is on its way for so many minutes, and its sender may be dead by then.
    Late { minutes: u8, dies: bool },
    /// Stripe takes so many seconds over it.
    Slow { seconds: u8 },
    /// A 500 that Stripe stores, and the Customer appears after so many minutes all the same.
    Stored500 { effect: Option<u8> },
    /// A 500 that it does not store.
    Unstored500,
    /// 429.
    Limited,
    /// 409, as if another send of the key were under way.
    InFlight,
    /// A 2xx that shows something else than was asked for, whether or not the work was `done`.
    Odd { odd: Odd, done: bool },
    /// The answer has this one of `stripe.rs`'s absurd headers.
    Header(u8),
}

/// What may ail the database: every error that a store knows, and a trigger of the host's on the
/// column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ill {
    Unavailable,
    SchemaMissing,
    SchemaTooOld,
    SchemaTooNew,
    SchemaMismatch,
    Refused,
    Corrupt,
    /// No Customer comes into a column: the trigger says no.
    BindRefused,
    /// No Customer comes into a column: the trigger says nothing, so the write has no effect.
    BindSwallowed,
}

/// What is no Customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Odd {
    Account,
    /// A Customer that nobody asked for, which is deleted.
    Deleted,
    /// Somebody's subscription.
    Stranger,
}

/// A run: where it begins and what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) ops: Vec<Op>,
}
