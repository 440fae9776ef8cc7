//! What an operator does: take a Customer off a tenant, see what is stuck; and whose details a
//! Customer has.

use serde_json::{Value, json};
use stripe_sandbox::{Fault, Rule};

use crate::stage::{Stage, text};

/// The exit code, and the lines of JSON.
pub(crate) fn json_of(stage: &Stage, arguments: &[&str]) -> (i32, Vec<Value>) {
    let (code, printed, error) = text(&stage.binary(arguments).arg("--json").output().unwrap());
    let lines = printed.lines().map(|line| {
        serde_json::from_str(line).unwrap_or_else(|_| panic!("{arguments:?}: {printed}{error}"))
    });
    (code, lines.collect())
}

/// The tenant's Customer, which is created if it has none.
pub(crate) fn customer(stage: &Stage, tenant: &str) -> String {
    let (code, id, error) = stage.run(&["get-or-create", tenant]);
    assert_eq!(code, 0, "{error}");
    id.trim().to_owned()
}

/// No answer to a creation comes through.
fn answers_lost(stage: &Stage) {
    stage.sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").always());
}

#[test]
fn a_tenant_without_an_email() {
    for stage in Stage::of_each_kind() {
        let tenants = stage.tenants(1);
        let (code, printed) = json_of(&stage, &["get-or-create", &tenants[0]]);
        assert_eq!((code, &printed[0]["details"]), (0, &json!("as_given")));
        assert_eq!(stage.sandbox.customers()[0].email, None);
        // An empty variable in a script is a mistake, not a tenant without an address.
        let (code, _, error) = stage.run(&["get-or-create", &tenants[0], ""]);
        assert!(code == 2 && error.contains("email: is empty"), "{error}");
        stage.assert_all_bound();
    }
}

#[test]
fn a_corrected_address_after_a_typo() {
    for stage in Stage::of_each_kind() {
        let tenants = stage.tenants(2);
        answers_lost(&stage);
        for tenant in &tenants {
            let typo = ["get-or-create", tenant, "ownr@example.com", "--deadline=1"];
            assert_eq!(stage.run(&typo).0, 5);
        }
        stage.sandbox.disarm();
        let corrected = |tenant| ["get-or-create", tenant, "owner@example.com"];
        let (code, printed) = json_of(&stage, &corrected(&*tenants[0]));
        assert_eq!((code, &printed[0]["outcome"]), (0, &json!("created")));
        assert_eq!(printed[0]["details"], "of_an_earlier_call");
        let (code, id, said) = stage.run(&corrected(&*tenants[1]));
        assert!(code == 0 && id.starts_with("cus_"), "{id}");
        assert!(said.contains("with the details of an earlier call"), "{said}");
        // It is there now, with the details that it has.
        let (_, printed) = json_of(&stage, &corrected(&*tenants[0]));
        assert_eq!(
            (&printed[0]["outcome"], &printed[0]["details"]),
            (&json!("existing"), &Value::Null)
        );
        assert_eq!(stage.run(&corrected(&*tenants[1])).2, "");
        stage.assert_all_bound();
    }
}

#[test]
fn unbinding_needs_no_key() {
    for stage in Stage::of_each_kind() {
        let tenants = stage.tenants(2);
        let first = customer(&stage, &tenants[0]);
        let unbind = |tenant: &str, reason: &str| {
            let arguments = ["unbind", tenant, "--reason", reason];
            text(&stage.binary(&arguments).env_remove("STRIPE_SECRET_KEY").output().unwrap())
        };
        for (reason, says) in [
            ("", "reason: is empty"),
            ("asked by jane.doe@example.com", "reason: holds what looks like an e-mail address"),
            ("a\tb", "reason: has a control character"),
            (&"x".repeat(201), "reason: is longer than 200 characters"),
        ] {
            let (code, _, error) = unbind(&tenants[0], reason);
            assert!(code == 2 && error.contains(says) && !error.contains("jane"), "{error}");
        }
        let (code, said, error) = unbind(&tenants[0], "pays in CHF from now on");
        assert_eq!((code, error.as_str()), (0, ""));
        assert!(said.contains(&format!("{first} is unbound from tenant {}", tenants[0])), "{said}");
        assert!(
            said.contains("stays in Stripe")
                && said.contains("unless it is another tenant's; then")
        );
        let (code, _, error) = unbind(&tenants[0], "again");
        assert!(code == 1 && error.contains("has no Customer to unbind in the "), "{error}");
        let (code, history, _) = stage.run(&["history", &tenants[0]]);
        assert!(code == 0 && history.contains("unbound by an operator: pays in CHF"), "{history}");
        let (code, listed) = json_of(&stage, &["list", "--state", "surplus"]);
        assert_eq!((code, &listed[0]["total"]), (0, &json!(1)));
        assert_eq!(listed[0]["entries"][0]["stripe_customer_id"], first.as_str());
        assert_eq!(listed[0]["entries"][0]["why"], "unbound");
        stage.sandbox.delete_customer(&first);
        let second = customer(&stage, &tenants[0]);
        assert_ne!(second, first);
        let arguments = ["unbind", &tenants[1], "--reason", "none"];
        let (code, printed) = json_of(&stage, &arguments);
        assert_eq!((code, &printed[0]["unbound"]), (1, &json!([])));
        let (code, _, error) = stage.run(&["unbind", &"0".repeat(32), "--reason", "none"]);
        assert!(code == 3, "{error}");
        // An unbound tenant has one Customer again.
        stage.assert_all_bound();
    }
}

/// The application has overwritten the column. Both Customers are taken off, so that the next call
/// makes another.
#[test]
fn unbinding_what_the_application_has_overwritten() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    let first = customer(&stage, &tenants[0]);
    let connection = rusqlite::Connection::open(stage.database()).unwrap();
    connection.execute("UPDATE tenant_config SET stripe_customer_id = 'cus_host'", []).unwrap();
    drop(connection);
    let (code, printed) = json_of(&stage, &["unbind", &tenants[0], "--reason", "a mistake"]);
    assert_eq!((code, &printed[0]["unbound"]), (0, &json!(["cus_host", first])));
    stage.sandbox.delete_customer(&first);
    assert_ne!(customer(&stage, &tenants[0]), first);
}

#[test]
fn bad_combinations_are_refused() {
    let stage = Stage::new();
    let tenants = stage.tenants(2);
    for arguments in [
        &["check"][..],
        &["check", "--all", &tenants[0]],
        &["check", &tenants[0], "--after", &tenants[0]],
        &["check", &tenants[0], "--email", "a@b.example"],
        &["check", "--all", "--heal", "--email", "a@b.example"],
        &["check", &tenants[0], &tenants[1], "--heal", "--email", "a@b.example"],
        &["check", "--all", "--rate", "0"],
        &["unbind", &tenants[0]],
        &["list"],
        &["list", "--state", "provisioned"],
    ] {
        let (code, printed, error) = stage.run(arguments);
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {error}");
    }
}

#[test]
fn what_remains_is_said_with_its_reason_and_its_time() {
    for stage in Stage::of_each_kind() {
        let tenants = stage.tenants(3);
        answers_lost(&stage);
        for tenant in &tenants[..2] {
            assert_eq!(stage.run(&["get-or-create", tenant, "--deadline=1"]).0, 5);
        }
        let refused = ["get-or-create", &tenants[2], "nobody@localhost"];
        stage.sandbox.disarm();
        assert_eq!(stage.run(&refused).0, 4);

        let (code, said, _) = stage.run(&["recover"]);
        assert_eq!(code, 5, "{said}");
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 3, "{said}");
        for (line, tenant) in lines.iter().zip(&tenants[..2]) {
            assert!(line.starts_with(&format!("{tenant}  pending since 20")), "{said}");
            assert!(line.contains(", due 20") && line.contains(": no answer"), "{said}");
        }
        let (code, printed) = json_of(&stage, &["recover"]);
        assert_eq!((code, &printed[0]["remaining"]), (5, &json!(2)));
        assert_eq!((&printed[0]["provisioned"], printed.len()), (&json!([]), 1));
        let entry = &printed[0]["entries"][1];
        assert_eq!((&entry["tenant_id"], &entry["state"]), (&json!(tenants[1]), &json!("pending")));
        assert!(entry["due"].is_string() && entry["why"].is_string(), "{entry}");

        let (code, said, more) = stage.run(&["list", "--state", "pending", "--limit", "1"]);
        assert!(code == 0 && said.starts_with(&tenants[0]), "{said}");
        assert_eq!(more, "and 1 more; --limit shows more\n");
        let (code, said, _) = stage.run(&["list", "--state", "rejected"]);
        assert!(code == 0 && said.starts_with(&tenants[2]), "{said}");
        assert!(said.contains("rejected since") && !said.contains("nobody"), "{said}");
        let (code, said, none) = stage.run(&["list", "--state", "in-doubt"]);
        assert_eq!((code, said.as_str()), (0, ""));
        assert!(none.starts_with("nothing is in doubt in the "), "{none}");

        let (code, printed) = json_of(&stage, &["recover", "--wait"]);
        assert_eq!((code, &printed[0]["remaining"]), (0, &json!(0)));
        assert_eq!(printed[0]["provisioned"].as_array().unwrap().len(), 2);
        stage.assert_all_bound();
    }
}
