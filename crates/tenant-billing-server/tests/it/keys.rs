//! `docs/keys.md`, line by line: what each command needs of a key, and what it says without. And TLS
//! that is not to be trusted.

use std::process::Command;

use serde_json::Value;
use stripe_sandbox::{Fault, Rule};

use crate::stage::{Stage, text};

/// Runs a command with this key; its exit code, and the `error` that it prints.
fn with_key(stage: &Stage, key: &str, arguments: &[&str]) -> (i32, Value) {
    run(stage.binary(arguments).arg("--json").env("STRIPE_SECRET_KEY", key))
}

fn run(command: &mut Command) -> (i32, Value) {
    let (code, printed, said) = text(&command.output().unwrap());
    let printed: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{said}"));
    (code, printed["error"].clone())
}

#[track_caller]
fn lacks((code, error): (i32, Value), permission: &str) {
    assert_eq!((code, error["cause"].as_str()), (6, Some("not_permitted")), "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&format!("permission={permission};")), "{message}");
    assert!(!message.contains("rk_") && !message.contains("acct_"), "{message}");
    assert!(error["hint"].as_str().unwrap().contains("docs/keys.md"), "{error}");
}

const OWNER: &str = "owner@example.com";

#[test]
fn what_each_command_needs_of_a_restricted_key() {
    let stage = Stage::new();
    let tenants = stage.tenants(5);
    let [first, lost, found, own, daily] = &tenants[..] else { panic!("five") };

    // To create: Customers, write.
    lacks(
        with_key(&stage, "rk_test_nocustomerwrite", &["get-or-create", first, OWNER]),
        "rak_customer_write",
    );
    assert!(stage.customers().is_empty());
    // Neither reading Customers nor reading events is needed for that.
    assert_eq!(
        with_key(&stage, "rk_test_nocustomerread_noevents", &["get-or-create", first, OWNER]).0,
        0
    );

    // To see that a Customer is alive when the answer was lost: Customers, read.
    stage.sandbox.arm(Rule::new(Fault::AnswerLost).method("POST"));
    lacks(
        with_key(&stage, "rk_test_nocustomerread", &["get-or-create", lost, OWNER]),
        "rak_customer_read",
    );
    assert_eq!(with_key(&stage, "rk_test_noevents", &["get-or-create", lost, OWNER]).0, 0);

    // For an inquiry: events and Customers, read.
    let look = ["get-or-create", found, OWNER, "--inquire-first"];
    lacks(with_key(&stage, "rk_test_noevents", &look), "rak_event_read");

    // To know the account: a permission of its own, or a declaration.
    let (code, error) = with_key(&stage, "rk_test_noaccount", &["get-or-create", own, OWNER]);
    assert_eq!((code, error["cause"].as_str()), (6, Some("account_unreadable")), "{error}");
    let declared = ["get-or-create", own, OWNER, "--stripe-account", "acct_sandbox"];
    assert_eq!(with_key(&stage, "rk_test_noaccount", &declared).0, 0);
    let declared = ["get-or-create", daily, OWNER, "--stripe-account", "acct_sandbox"];
    assert_eq!(with_key(&stage, "rk_test_noaccount_nocustomerread", &declared).0, 0);

    // What reads the database alone needs no key.
    for command in
        [&["lookup", first][..], &["history", first], &["tenant", "add", first], &["migrate"]]
    {
        let mut command = stage.binary(command);
        let (code, printed, said) =
            text(&command.env_remove("STRIPE_SECRET_KEY").output().unwrap());
        assert_eq!(code, 0, "{printed}{said}");
    }
}

#[test]
fn a_machine_without_certificate_authorities() {
    let stage = Stage::new();
    let tenant = stage.tenants(1).remove(0);
    let mut command = stage.binary(&["get-or-create", &tenant, OWNER, "--json"]);
    // Nothing listens there, and nothing is asked.
    command.env("STRIPE_API_BASE", "https://localhost:9");
    command.env("SSL_CERT_FILE", "/no/such/file").env_remove("SSL_CERT_DIR");
    let (code, error) = run(&mut command);
    assert_eq!((code, error["cause"].as_str()), (6, Some("tls_untrusted")), "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("this machine has no certificate authorities"), "{message}");
    let hint = error["hint"].as_str().unwrap();
    for word in ["ca-certificates", "SSL_CERT_FILE", "proxy", "clock", "no Customer was created"] {
        assert!(hint.contains(word), "{hint}");
    }
    assert_eq!(error["retry_after_seconds"], Value::Null);
}
