//! Checking Customers at Stripe, and healing the tenants whose Customer is deleted.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    stage::{Stage, text},
    tending::{customer, json_of},
};

#[test]
fn checking_by_id() {
    for stage in Stage::of_each_kind() {
        let tenants = stage.tenants(5);
        let ids: Vec<_> = tenants[..4].iter().map(|tenant| customer(&stage, tenant)).collect();
        let (code, said, error) = stage.run(&["check", &tenants[0], &tenants[1]]);
        assert_eq!((code, error.as_str()), (0, ""));
        let line = |at: usize, words: &str| format!("{}  {} {words}\n", tenants[at], ids[at]);
        assert_eq!(said, line(0, "exists") + &line(1, "exists"));

        for id in &ids[1..4] {
            stage.sandbox.delete_customer(id);
        }
        let (code, said, _) = stage.run(&["check", &tenants[1]]);
        let words = "is deleted, and unbound; the next `get-or-create` makes another";
        assert_eq!((code, said), (1, line(1, words)));
        // With an address, and without one.
        let heal = ["check", &tenants[2], "--heal", "--email", "owner@example.com"];
        let (code, printed) = json_of(&stage, &heal);
        assert_eq!((code, &printed[0]["result"]), (0, &json!("deleted")));
        let healed = customer(&stage, &tenants[2]);
        assert_eq!(printed[0]["new_stripe_customer_id"], healed.as_str());
        let made = stage.sandbox.customers().into_iter().find(|it| it.id == healed).unwrap();
        assert_eq!(made.email.as_deref(), Some("owner@example.com"));
        let (code, said, _) = stage.run(&["check", &tenants[3], "--heal"]);
        let healed = customer(&stage, &tenants[3]);
        assert_eq!((code, said), (0, line(3, &format!("is deleted; {healed} takes its place"))));

        let unknown = "00000000-0000-4000-8000-ffffffffffff";
        let (code, printed) = json_of(&stage, &["check", &tenants[4], unknown]);
        assert_eq!((code, &printed[0]["result"]), (3, &json!("no_customer")));
        assert_eq!(printed[1]["tenant_id"], unknown);
        assert_eq!(printed[1]["error"]["code"], "unknown_tenant");
        let message = printed[1]["error"]["message"].as_str().unwrap();
        assert!(message.contains("(looked in the "), "{message}");
        // What an earlier `--heal` has left without a Customer, by id.
        let (code, said, _) = stage.run(&["check", &tenants[4], "--heal"]);
        let healed = customer(&stage, &tenants[4]);
        let expected = format!("{}  had no Customer, and has {healed} now\n", tenants[4]);
        assert_eq!((code, said), (0, expected));
        stage.assert_all_bound();
    }
}

/// The key may not create Customers, which ends the command. What it has unbound by then is named.
#[test]
fn what_could_not_be_healed_is_named() {
    for stage in Stage::of_each_kind() {
        let tenants = stage.tenants(4);
        let ids: Vec<_> = tenants.iter().map(|tenant| customer(&stage, tenant)).collect();
        let check = |arguments: &[&str], key: &str| {
            let mut command = stage.binary(arguments);
            text(&command.env("STRIPE_SECRET_KEY", key).output().unwrap())
        };
        let may_not = "rk_test_nocustomerwrite";
        for at in [0, 2] {
            stage.sandbox.delete_customer(&ids[at]);
        }
        let (code, said, error) = check(&["check", "--all", "--heal"], may_not);
        assert_eq!(code, 6, "{error}");
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        for (line, at) in lines.iter().zip([0, 2]) {
            let (tenant, id) = (&tenants[at], &ids[at]);
            let named = format!("{tenant}  {id} is deleted and unbound; not healed: ");
            assert!(line.starts_with(&named), "{line}");
            assert!(line.ends_with(&format!("; run `tenant-billing get-or-create {tenant}`")));
            // At once, since the process may be killed.
            assert!(
                error.contains(&format!("{tenant}  {id} is deleted and unbound; if ")),
                "{error}"
            );
        }
        assert!(error.contains("stopped: checked 4; 2 deleted; 2 with a problem"), "{error}");
        let (code, said, _) = check(&["check", &tenants[0], "--heal", "--json"], may_not);
        let printed: Vec<Value> =
            said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((code, &printed[0]["result"]), (6, &json!("no_customer")));
        assert_eq!(printed[0]["error"]["cause"], "not_permitted");
        let (code, said, error) = stage.run(&["check", &tenants[0], &tenants[2], "--heal"]);
        assert!(code == 0 && said.lines().count() == 2, "{said}{error}");
        stage.assert_all_bound();
    }
}

/// The application's old code has bound Customers to keys that no call accepts.
#[test]
fn unusable_keys_are_named_and_passed_over() {
    let stage = Stage::on_empty_server();
    let long = "z".repeat(129);
    let tables = format!(
        "CREATE TABLE tenants (id text PRIMARY KEY);
         CREATE TABLE tenant_config (tenant_id text PRIMARY KEY REFERENCES tenants (id),
                                     stripe_customer_id text UNIQUE);
         INSERT INTO tenants VALUES ('1'), ('b'), ('m'), (''), ('0 x'), ('a b'), ('z z'), ('{long}');
         INSERT INTO tenant_config (tenant_id) SELECT id FROM tenants"
    );
    stage.runtime.block_on(stage.server().run(&tables));
    assert_eq!(stage.run(&["migrate"]).0, 0);
    for tenant in ["1", "b", "m"] {
        customer(&stage, tenant);
    }
    let old =
        "UPDATE tenant_config SET stripe_customer_id = 'cus_old' || length(tenant_id) || tenant_id
               WHERE stripe_customer_id IS NULL";
    stage.runtime.block_on(stage.server().run(old));
    for rate in ["--rate=1", "--rate=2", "--rate=100"] {
        let (code, said, error) = stage.run(&["check", "--all", rate]);
        assert_eq!((code, error.as_str()), (6, ""), "{said}");
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 6, "{said}");
        assert_eq!(
            lines[1],
            "the tenant id \"0 x\" has a character that is not visible ASCII; its Customer is not checked"
        );
        assert_eq!(lines[5], "checked 3; 0 deleted; 5 with a problem");
    }
    let (_, printed) = json_of(&stage, &["check", "--all"]);
    assert_eq!(printed.len(), 8);
    assert_eq!(printed[0]["error"]["cause"], "schema_mismatch");
}

#[test]
fn a_customer_that_stripe_does_not_know_is_an_operators_matter() {
    for stage in Stage::of_each_kind() {
        let tenants = stage.tenants(1);
        customer(&stage, &tenants[0]);
        // The sandbox forgets everything, as another account would not know it.
        let elsewhere = Stage::new();
        let base = elsewhere.sandbox.url();
        let check = ["check", &tenants[0], "--heal", "--stripe-api-base", &base];
        let (code, said, _) = stage.run(&check);
        assert_eq!(code, 6, "{said}");
        assert!(said.contains("is not known; nothing is changed"), "{said}");
        stage.assert_all_bound();
    }
}

#[test]
fn checking_all() {
    for stage in Stage::of_each_kind() {
        let tenants = stage.tenants(7);
        let ids: Vec<_> = tenants[..6].iter().map(|tenant| customer(&stage, tenant)).collect();
        for at in [1, 4] {
            stage.sandbox.delete_customer(&ids[at]);
        }
        let before = stage.sandbox.requests().len();
        // Two batches, the second of which is full.
        let (code, said, error) = stage.run(&["check", "--all", "--rate", "3"]);
        assert_eq!((code, error.as_str()), (1, ""), "{said}");
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 3, "{said}");
        for (line, at) in lines.iter().zip([1, 4]) {
            assert!(
                line.starts_with(&format!("{}  {} is deleted", tenants[at], ids[at])),
                "{said}"
            );
        }
        assert_eq!(lines[2], "checked 6; 2 deleted; 0 with a problem");
        // One retrieve for each: the database remembers that the key opens its account.
        assert_eq!(stage.sandbox.requests().len() - before, 6);
        let (code, printed) = json_of(&stage, &["check", "--all", "--after", &tenants[3]]);
        let checked: Vec<_> = printed.iter().map(|it| it["tenant_id"].clone()).collect();
        assert_eq!((code, checked), (0, vec![json!(tenants[5])]));
        // Those two have none, and nobody has asked for them.
        assert_eq!(stage.customers().len(), 4);
    }
}

#[test]
fn checking_all_is_stopped_and_goes_on() {
    let stage = Stage::new();
    let tenants = stage.tenants(3);
    for tenant in &tenants {
        customer(&stage, tenant);
    }
    let mut command = stage.binary(&["check", "--all", "--json", "--rate", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains(&tenants[0]), "{line}");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let (code, _, said) = text(&child.wait_with_output().unwrap());
    assert_eq!(code, 5, "{said}");
    let resume = format!("`tenant-billing check --all --after {}` goes on", tenants[0]);
    assert!(said.contains(&resume), "{said}");
}

#[test]
fn a_wrong_key_ends_the_check_of_all() {
    let stage = Stage::new();
    let tenants = stage.tenants(3);
    for tenant in &tenants {
        customer(&stage, tenant);
    }
    let mut command = stage.binary(&["check", "--all", "--json"]);
    let output = command.env("STRIPE_SECRET_KEY", "sk_test_acct_other").output().unwrap();
    let (code, printed, _) = text(&output);
    assert!(code == 6 && printed.lines().count() == 1, "{printed}");
    assert!(printed.contains("wrong_account"), "{printed}");
}
