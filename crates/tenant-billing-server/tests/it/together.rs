//! Several processes at once on one database.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
};

use crate::{
    children::{self, Orders},
    stage::{Stage, text},
};

/// 100 tenants, 20 callers of each in every process: 100 Customers, no error, and all callers of a
/// tenant got the same.
fn processes_make_one_customer_per_tenant(stage: &Stage, processes: usize) {
    let tenants = stage.tenants(100);
    let files: Vec<_> = (0..processes).map(|number| stage.file(&format!("{number}"))).collect();
    let start = |answers| {
        children::start(stage, &Orders { tenants: &tenants, callers: 20, patience: 60, answers })
    };
    let mut children: Vec<_> = files.iter().map(|file| start(file)).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let mut answers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut calls = 0;
    for line in files.iter().flat_map(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    }) {
        let (tenant, answer) = line.split_once(' ').unwrap();
        answers.entry(tenant.to_owned()).or_default().insert(answer.to_owned());
        calls += 1;
    }
    assert_eq!(calls, processes * 20 * 100);
    let customers = stage.customers();
    assert_eq!(customers.len(), 100);
    for (tenant, ids) in customers {
        assert_eq!(answers[&tenant], BTreeSet::from_iter(ids), "{tenant}");
    }
    stage.assert_all_bound();
}

#[test]
fn two_processes_on_one_file() {
    processes_make_one_customer_per_tenant(&Stage::new(), 2);
}

#[test]
fn four_processes_on_one_server() {
    processes_make_one_customer_per_tenant(&Stage::on_server(), 4);
}

/// Many at once with the built-in sandbox in its one file: each waits for its turn, and all get the
/// same Customer.
#[test]
fn commands_share_the_built_in_sandbox() {
    let stage = Stage::new();
    let tenants = stage.tenants(2);
    let start = |number: usize| {
        let arguments = ["--sandbox", "get-or-create", &tenants[number % 2], "owner@example.com"];
        let mut command = stage.binary(&arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..8).map(start).collect();
    let mut ids = BTreeSet::new();
    for child in children {
        let (code, id, complaint) = text(&child.wait_with_output().unwrap());
        assert_eq!((code, complaint.as_str()), (0, ""));
        ids.insert(id);
    }
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(stage.customers().is_empty(), "the Stripe at STRIPE_API_BASE was called");
}

/// On a database that is not there yet, or empty, all of them make the tables.
#[test]
fn commands_make_the_schema_together() {
    for stage in [Stage::new(), Stage::on_empty_server()] {
        make_the_schema_together(&stage);
    }
}

fn make_the_schema_together(stage: &Stage) {
    let start = |_| {
        let mut command = stage.binary(&["migrate"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..6).map(start).collect();
    for child in children {
        let output = text(&child.wait_with_output().unwrap());
        assert_eq!(output, (0, "the database is up to date\n".to_owned(), String::new()));
    }
}

/// `… | head -0`: a reader who is gone is no failure.
#[test]
fn a_broken_pipe_is_no_failure() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    let mut command = stage.binary(&["get-or-create", &tenants[0], "owner@example.com"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let (code, _, complaint) = text(&child.wait_with_output().unwrap());
    assert_eq!((code, complaint.as_str()), (0, ""));
    stage.assert_all_bound();
}

/// At the highest level of all, the log has neither the key nor the address in it, and nobody's lines
/// but ours.
#[test]
fn logs_name_nobody() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    let arguments = ["--look-first", "get-or-create", &tenants[0], "secret.owner@example.com"];
    let mut command = stage.binary(&arguments);
    let (code, id, log) = text(&command.env("RUST_LOG", "trace").output().unwrap());
    assert_eq!(code, 0, "{log}");
    assert!(log.contains(id.trim()), "{log}");
    for secret in ["secret", "sk_test", "example.com", "\u{1b}"] {
        assert!(!log.contains(secret), "{log}");
    }
    let ours = |line: &str| line.contains(" tenant_billing") || line.contains(" stripe_sandbox");
    assert!(log.lines().all(ours), "{log}");
}
