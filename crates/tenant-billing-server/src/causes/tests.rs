use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use tenant_billing::{
    Error,
    answer::Rejection,
    ids::{AccountId, CustomerId, InstallationId, Invalid, Mode, TenantId},
    request::Account,
};

use super::*;
use crate::failure::Failure;

/// An error of each kind that the library has.
fn errors() -> Vec<Problem> {
    let customer = || CustomerId::parse("cus_1").unwrap();
    let account = |id| Account { id: AccountId::parse(id).unwrap(), mode: Mode::Test };
    let text = || "HTTP 400".to_owned();
    let another = InstallationId::parse("another-1").unwrap();
    let operators = [
        OperatorError::BadKey(text()),
        OperatorError::AccountUnreadable(text()),
        OperatorError::AccountRefused(text()),
        OperatorError::NotDeclared("acct_1".into()),
        OperatorError::WrongAccount { recorded: account("acct_1"), ours: account("acct_2").into() },
        OperatorError::UnexpectedAnswer(text()),
        OperatorError::NotPermitted("read events".into()),
        OperatorError::TlsUntrusted(text()),
        OperatorError::BoundElsewhere(customer()),
        OperatorError::ForeignCustomer { customer: customer(), installation: another.clone() },
        OperatorError::UnmarkedCustomers(vec![customer()]),
        OperatorError::CopiedOrMoved(another),
        OperatorError::OutOfReach,
        OperatorError::NoEmailToLookBy,
        OperatorError::UnknownCustomer(customer()),
        OperatorError::Store(StoreError::SchemaMissing),
        OperatorError::Store(StoreError::SchemaTooOld),
        OperatorError::Store(StoreError::SchemaTooNew),
        OperatorError::Store(StoreError::SchemaMismatch(text())),
        OperatorError::Store(StoreError::Tls(text())),
        OperatorError::Store(StoreError::Refused(text())),
        OperatorError::Store(StoreError::Corrupt(text())),
    ];
    let rejection = Rejection { code: None, param: Some("email".into()), message: text() };
    let callers = [
        Invalid::new("email", "is empty").into(),
        Problem::UnknownTenant(TenantId::parse("t1").unwrap()),
        rejection.into(),
        Problem::Retry { after: Duration::from_secs(3), why: text() },
    ];
    callers.into_iter().chain(operators.map(Problem::from)).collect()
}

#[test]
fn every_error_of_the_library_is_in_the_table_under_its_own_name() {
    for problem in errors() {
        let error = Error::from(problem.clone());
        let cause = Cause::of(&problem);
        assert_eq!((cause.name, cause.exit.code()), (error.cause(), error.code()));
        let failure = Failure::from(error.clone());
        assert_eq!(failure.retry_after, error.retry_after(), "{failure:?}");
        assert_eq!(failure.customer_may_exist, error.may_have_created(), "{failure:?}");
        assert!(!failure.hint.contains(['{', '}']), "{failure:?}");
        let may_not = cause.customer == MayExist::No && cause != REJECTED;
        assert_eq!(failure.customer_may_exist, !may_not, "{failure:?}");
    }
}

#[test]
fn the_table_is_whole() {
    let names: BTreeSet<_> = ALL.iter().map(|cause| cause.name).collect();
    assert_eq!(names.len(), ALL.len(), "every name stands for one kind");
    for problem in errors() {
        assert!(names.contains(Cause::of(&problem).name), "{problem:?}");
    }
    for cause in ALL {
        assert!(cause.meaning.ends_with('.'), "{cause:?}");
        assert!(!cause.action.ends_with('.') && !cause.action.is_empty(), "{cause:?}");
    }
}

/// `docs/errors.md` is printed from the table: `UPDATE_DOCS=1 cargo test -p tenant-billing-server`.
#[test]
fn the_page_about_errors_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, page()).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, page(), "run it again with UPDATE_DOCS=1, and commit docs/errors.md");
}

const INTRO: &str = "\
# Errors

This page is printed from the table in `crates/tenant-billing-server/src/causes.rs`, which the program itself uses.

A command that fails prints what has happened and what to do on standard error, and ends with an exit code that says who must act. With `--json`, it prints an object on standard output instead:

```json
{\"error\":{\"code\":\"retry_later\",\"cause\":\"retry_later\",\"message\":\"retry in 5 s: …\",\"hint\":\"…\",\"retry_after_seconds\":5,\"customer_may_exist\":true}}
```

- `code` says who must act, and there is one for each exit code. `cause` says what is wrong. In the library they are `Error::code()` and `Error::cause()`; the causes that the library does not have are the program's own.
- `customer_may_exist` says whether a Customer may exist, or come to exist, from what this call or an earlier one has begun (in the library `Error::may_have_created()`). It is `false` only where the tenant's row was read just now and shows that nothing was begun, where Stripe refused the request for good, or where the input was refused before anything was read (`invalid_input`, which says nothing of earlier calls). A surplus Customer, which is never bound, does not count. `true` may be cautious.
- `retry_after_seconds` is there where trying again is what helps. It is the time after which Stripe permits it and recovery comes back to the tenant, at most 10 minutes where Stripe asks for more. (A key that may no longer be sent, and cannot be given up yet, can take up to 3 hours.)
- `field` names the argument, setting or parameter that the failure is about.

Whatever the error, the same command may be run again at any time, and never creates a second Customer.
";

fn page() -> String {
    let mut page = INTRO.to_owned();
    for (exit, title) in [
        (Exit::InvalidInput, "the caller must correct the input"),
        (Exit::UnknownTenant, "the caller must register the tenant"),
        (Exit::Rejected, "the caller must give other details"),
        (Exit::Retry, "the caller may try again"),
        (Exit::Operator, "an operator must act"),
    ] {
        let (number, code) = (exit as u8, exit.code());
        page += &format!("\n## Exit code {number}, `{code}`: {title}\n\n");
        page += "| cause | what has happened | may a Customer exist? | what to do |\n|---|---|---|---|\n";
        for cause in ALL.iter().filter(|cause| cause.exit == exit) {
            let customer = match cause.customer {
                MayExist::No => "no",
                MayExist::UnlessShown => "yes, unless the row shows that nothing was begun",
                MayExist::Yes => "yes",
            };
            let Cause { name, meaning, action, .. } = cause;
            let recover = if exit == Exit::Retry { RECOVER } else { "" };
            let action = format!("{action}{recover}")
                .replace("{field}", "`field`")
                .replace("{tenant}", "TENANT_ID");
            let mut action = action.chars();
            let first = action.next().into_iter().flat_map(char::to_uppercase);
            let action: String = first.chain(action).collect();
            page += &format!("| `{name}` | {meaning} | {customer} | {action}. |\n");
        }
    }
    page += "\nOver HTTP the codes are 400, 404, 422, 503 (with `Retry-After`) and 500, in this order (`Error::http_status()`).\n";
    page += "\nExit code 0 means done. Exit code 1 means that a tenant has no Customer; only `lookup`, `check` and `unbind` use it. `check` of several tenants gives the highest of their exit codes, and its JSON names the tenant beside an error: `{\"tenant_id\":\"…\",\"error\":{…}}`. A command other than `get-or-create`, `recover`, `check` and `demo` that Ctrl-C or SIGTERM ends has the shell's 130 or 143, and has either done its work or nothing.\n";
    page
}
