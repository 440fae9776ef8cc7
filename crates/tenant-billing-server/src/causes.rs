//! The one table of failures: what each means, its exit code, whether a Customer may exist, and what
//! to do. The program's hints come from it, and `docs/errors.md` is printed from it.
//!
//! The library does not know this program's commands and environment variables, so the actions name
//! them here. `{field}` stands for that of the failure.

use tenant_billing::{OperatorError, Problem, ports::StoreError};

use crate::exit::Exit;

/// A kind of failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// Its name, for programs; for the library's errors it is `Error::cause()`.
    pub(crate) name: &'static str,
    /// The exit code of a command that fails so.
    pub(crate) exit: Exit,
    /// What has happened.
    pub(crate) meaning: &'static str,
    /// Whether a Customer may exist.
    pub(crate) customer: MayExist,
    /// What to do.
    pub(crate) action: &'static str,
}

/// Whether a Customer may exist after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MayExist {
    /// This call has created none.
    No,
    /// Yes, unless the tenant's row was read and shows that nothing was begun.
    UnlessShown,
    /// Yes.
    Yes,
}

macro_rules! causes {
    ($($id:ident = $name:literal, $exit:ident, $customer:ident: $meaning:literal => $action:literal;)*) => {
        $(pub(crate) const $id: &Cause = &Cause {
            name: $name,
            exit: Exit::$exit,
            meaning: $meaning,
            customer: MayExist::$customer,
            action: $action,
        };)*

        /// All of them, in the order of `docs/errors.md`.
        #[cfg(test)]
        pub(crate) const ALL: &[&Cause] = &[$($id),*];
    };
}

causes! {
    INVALID_INPUT = "invalid_input", InvalidInput, No:
        "An argument, a line of input or a setting is invalid; `field` names it. Nothing was read or sent."
        => "correct {field} and run the command again";
    UNKNOWN_TENANT = "unknown_tenant", UnknownTenant, UnlessShown:
        "The table of tenants has no such tenant, or not yet: nobody sees a tenant before the transaction that registers it has committed. A tenant that was deleted while its Customer was being created may have one."
        => "if a transaction is just registering the tenant, commit it first, since nobody else sees the tenant before that; else check the id, and that DATABASE_URL names the right database; then run the command again";
    REJECTED = "rejected_by_stripe", Rejected, No:
        "Stripe refuses this request for good, for example its e-mail address; `field` names the parameter. The same details are always refused."
        => "run the command again with another {field}";
    RETRY_LATER = "retry_later", Retry, UnlessShown:
        "Stripe or the database could not be reached or did not answer in time, or another process is at work on the tenant. What was begun goes on."
        => "run the same command again then";
    INTERRUPTED = "interrupted", Retry, Yes:
        "Ctrl-C or SIGTERM ended `get-or-create` before Stripe and the database had answered. What was begun is on record."
        => "run the same command again";
    BAD_KEY = "bad_key", Operator, UnlessShown:
        "Stripe does not accept the secret key: it is mistyped, expired or revoked."
        => "set STRIPE_SECRET_KEY to a key that Stripe's dashboard shows as active, then run the command again";
    ACCOUNT_UNREADABLE = "account_unreadable", Operator, UnlessShown:
        "The key is restricted and may not read its own account, so the program cannot tell which account it acts on."
        => "set STRIPE_ACCOUNT (or --stripe-account) to the id of the key's own account, acct_…, then run the command again";
    ACCOUNT_REFUSED = "account_refused", Operator, UnlessShown:
        "The key may not act for the account that STRIPE_ACCOUNT names, or there is no such account."
        => "set STRIPE_ACCOUNT (or --stripe-account) to the account that the key acts on, or set STRIPE_SECRET_KEY to a key that may act for the declared account, then run the command again";
    NOT_DECLARED = "not_declared", Operator, UnlessShown:
        "The key acts on another account than STRIPE_ACCOUNT says."
        => "set STRIPE_ACCOUNT (or --stripe-account) to the account that the key acts on, or set STRIPE_SECRET_KEY to a key of the declared account";
    WRONG_ACCOUNT = "wrong_account", Operator, UnlessShown:
        "The database belongs to another Stripe account, or to the other mode. Often the database was copied from another environment."
        => "set STRIPE_SECRET_KEY (and STRIPE_ACCOUNT, if you use it) for the account and mode that the database belongs to, or set DATABASE_URL to another database; if this database is a copy that is to belong to the key's account, run `tenant-billing account rebind`, which forgets the Customers of the other one";
    COPIED_OR_MOVED = "copied_or_moved", Operator, UnlessShown:
        "The records of tenant-billing in this database were made in another one: a dump, a template or a cluster's upgrade brought them here. If both databases were used, one would hand out the other's Customers."
        => "if this database is to belong to another account or mode, run `tenant-billing account rebind`; if it stays with its account and the other database is used no more, run `tenant-billing installation moved`; if both are used, run `tenant-billing installation copied` with --forget-bindings (each tenant here gets a Customer of its own) or --keep-bindings";
    UNEXPECTED_ANSWER = "unexpected_answer", Operator, UnlessShown:
        "Stripe answered in a way that neither the caller nor the program can change; the message has the status and Stripe's own codes."
        => "check STRIPE_API_BASE, STRIPE_ACCOUNT, and the key's permissions in Stripe's dashboard, then run the command again";
    NOT_PERMITTED = "not_permitted", Operator, UnlessShown:
        "The key lacks a permission; the message says what for, and which one where Stripe names it (`rak_…`)."
        => "give the key that permission in Stripe's dashboard (docs/keys.md lists what each command needs), or set STRIPE_SECRET_KEY to a key that has it, then run the command again";
    TLS_UNTRUSTED = "tls_untrusted", Operator, UnlessShown:
        "No TLS connection to Stripe can be trusted, so nothing was sent: this machine has no certificate authorities, or a proxy intercepts TLS and signs for Stripe itself, or this machine's clock is wrong."
        => "install the package ca-certificates, or name a file of authorities in SSL_CERT_FILE; if a proxy intercepts TLS, add its root certificate to them; check this machine's clock; then run the command again";
    BOUND_ELSEWHERE = "bound_elsewhere", Operator, Yes:
        "A Customer of this tenant is in the column of another tenant."
        => "compare `tenant-billing history` of both tenants, set the column of the Customer's id to null for the tenant that does not own the Customer, then run the command again";
    FOREIGN_CUSTOMER = "foreign_customer", Operator, UnlessShown:
        "In live mode, another installation on the same Stripe account has a Customer for a tenant of this id."
        => "if that installation is another application, run `tenant-billing installation ignore {installation}`, and its Customers are passed over from then on; if it is this application on another database, use one of the two databases only; if it was this database before its tables were lost, write the Customer's id into the column of Customer ids";
    UNMARKED_CUSTOMER = "unmarked_customer", Operator, UnlessShown:
        "A Customer's metadata names a tenant of this id, and no installation: other software made it. It may be this application's, or that of another one which has a tenant of the same id."
        => "look at the Customer in Stripe; if such Customers are this application's, run the command again with --unmarked adopt, and if they are another one's, with --unmarked ignore (it looks again within 10 minutes)";
    OUT_OF_REACH = "out_of_reach", Operator, UnlessShown:
        "The first attempt was more than 30 days ago, and nothing can show any more whether it created a Customer."
        => "look in Stripe's dashboard for a Customer whose metadata has this tenantId, and write its id into the tenant's column of the Customer's id; or enable search for the account, and run the command again";
    NO_EMAIL_TO_LOOK_BY = "no_email_to_look_by", Operator, UnlessShown:
        "The tenant may have a Customer from before, and was given no e-mail address by which Stripe's list would show it: its row was lost, or this account has no search."
        => "run the command again with an e-mail address; or look in Stripe's dashboard for a Customer whose metadata has this tenantId, and write its id into the tenant's column of the Customer's id";
    UNKNOWN_CUSTOMER = "unknown_customer", Operator, Yes:
        "Stripe does not know a Customer that is on record for the tenant, and does not say that it is deleted."
        => "set STRIPE_SECRET_KEY (and STRIPE_ACCOUNT, if you use it) to the account and mode in which the Customer was created, then run the command again";
    SCHEMA_MISSING = "schema_missing", Operator, UnlessShown:
        "The tables of tenant-billing do not exist in this database."
        => "run `tenant-billing migrate`";
    SCHEMA_TOO_OLD = "schema_too_old", Operator, UnlessShown:
        "The tables of tenant-billing were made by an older version of the program."
        => "run `tenant-billing migrate`";
    SCHEMA_TOO_NEW = "schema_too_new", Operator, UnlessShown:
        "The tables of tenant-billing were made by a newer version, with which this one must not share them."
        => "use the version of tenant-billing that migrated this database, or a newer one";
    SCHEMA_MISMATCH = "schema_mismatch", Operator, UnlessShown:
        "The database, its settings, this role, or the application's own tables do not meet the requirements; the message names what is wrong."
        => "check that DATABASE_URL names the right database; if it does, correct what the message names, then run the command again";
    DATABASE_TLS = "database_tls", Operator, UnlessShown:
        "No TLS connection to PostgreSQL can be made as DATABASE_URL (or DATABASE_DIRECT_URL) demands; the message names the certificate, file or parameter that stands in the way."
        => "do what the message says, then run the command again";
    WRITE_REFUSED = "write_refused", Operator, UnlessShown:
        "The application's own table, or a trigger or rule on it, refuses or swallows what must be written. If a Customer was created, it waits to be bound."
        => "change the table, trigger or rule that the message names, so that the write passes, then run the command again";
    CORRUPT = "corrupt", Operator, UnlessShown:
        "The database holds what no version of tenant-billing writes, or has lost a part of what it wrote."
        => "check that DATABASE_URL names the right database; if it does, correct what the message names, or restore a backup and set --restored-at";
    KEY_MISSING = "key_missing", Operator, UnlessShown:
        "STRIPE_SECRET_KEY is not set, so Stripe cannot be called."
        => "set STRIPE_SECRET_KEY to a secret key (to try it out, one that begins with sk_test_), or use --sandbox, which needs no key";
    KEY_MALFORMED = "key_malformed", Operator, UnlessShown:
        "STRIPE_SECRET_KEY does not have the form of a secret key of one account."
        => "copy a secret key (sk_…) or a restricted key (rk_…) from Stripe's dashboard into STRIPE_SECRET_KEY";
    DATABASE_FILE = "database_file", Operator, UnlessShown:
        "The SQLite file that DATABASE_URL names cannot exist: its directory does not, or it is a directory itself."
        => "create the directory, or name another file in DATABASE_URL";
    SANDBOX = "sandbox", Operator, UnlessShown:
        "The simulated Stripe of --sandbox does not start."
        => "if its state file is damaged, delete that file together with the database, then run the command again";
    OUTPUT = "output", Operator, UnlessShown:
        "Standard output is closed or cannot be written to, so the result is printed nowhere. What the command did stays done."
        => "send the output somewhere else, and run the same command again";
    INPUT = "input", Operator, UnlessShown:
        "Standard input is closed or cannot be read. Nothing was written."
        => "give the input again, and run the command again";
    MACHINE = "machine", Operator, UnlessShown:
        "This machine does not give the process what it needs: a thread, a port, a file or a temporary directory."
        => "check the machine's limits on processes and open files, the room on its disk, and that TMPDIR names a directory that you may write to";
}

/// What else helps where this program registers the tenants.
pub(crate) const ADD_IT: &str =
    "if nobody has registered the tenant yet, run `tenant-billing tenant add`; ";

/// What else helps where a creation may be under way.
const RECOVER: &str = ", or let `tenant-billing recover --wait` finish what was begun; neither \
                       creates a second Customer";

impl Cause {
    /// What to do, for a failure after which a Customer may exist or none does.
    pub(crate) fn hint(&self, customer_may_exist: bool) -> String {
        let and = match (customer_may_exist, self.customer, self.exit) {
            (true, _, Exit::Retry) => RECOVER,
            (true, _, _) => "",
            (false, MayExist::No, Exit::InvalidInput) => "; nothing was sent",
            (false, _, _) => "; no Customer was created",
        };
        format!("{}{and}", self.action)
    }

    /// The kind of the library's error.
    pub(crate) fn of(problem: &Problem) -> &'static Self {
        match problem {
            Problem::Invalid(_) => INVALID_INPUT,
            Problem::UnknownTenant(_) => UNKNOWN_TENANT,
            Problem::Rejected(_) => REJECTED,
            Problem::Retry { .. } => RETRY_LATER,
            Problem::Operator(error) => match error {
                OperatorError::BadKey(_) => BAD_KEY,
                OperatorError::AccountUnreadable(_) => ACCOUNT_UNREADABLE,
                OperatorError::AccountRefused(_) => ACCOUNT_REFUSED,
                OperatorError::NotDeclared(_) => NOT_DECLARED,
                OperatorError::WrongAccount { .. } => WRONG_ACCOUNT,
                OperatorError::UnexpectedAnswer(_) => UNEXPECTED_ANSWER,
                OperatorError::NotPermitted(_) => NOT_PERMITTED,
                OperatorError::TlsUntrusted(_) => TLS_UNTRUSTED,
                OperatorError::BoundElsewhere(_) => BOUND_ELSEWHERE,
                OperatorError::CopiedOrMoved(_) => COPIED_OR_MOVED,
                OperatorError::ForeignCustomer { .. } => FOREIGN_CUSTOMER,
                OperatorError::UnmarkedCustomers(_) => UNMARKED_CUSTOMER,
                OperatorError::OutOfReach => OUT_OF_REACH,
                OperatorError::NoEmailToLookBy => NO_EMAIL_TO_LOOK_BY,
                OperatorError::UnknownCustomer(_) => UNKNOWN_CUSTOMER,
                OperatorError::Store(error) => match error {
                    StoreError::SchemaMissing => SCHEMA_MISSING,
                    StoreError::SchemaTooOld => SCHEMA_TOO_OLD,
                    StoreError::SchemaTooNew => SCHEMA_TOO_NEW,
                    StoreError::SchemaMismatch(_) => SCHEMA_MISMATCH,
                    StoreError::Tls(_) => DATABASE_TLS,
                    StoreError::Refused(_) => WRITE_REFUSED,
                    StoreError::Corrupt(_) => CORRUPT,
                    // The library turns these two into the first and the fourth kind.
                    StoreError::Unavailable(_) => RETRY_LATER,
                    StoreError::Invalid(_) => INVALID_INPUT,
                },
            },
        }
    }
}

#[cfg(test)]
mod tests;
