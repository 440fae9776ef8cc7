//! Several processes at once on one database.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
};

use crate::{
    children::{self, Orders},
    stage::{Stage, text},
};

/// In every process, 20 callers of each of 100 tenants call at once. There are 100 Customers and no
/// errors, and all callers of a tenant get the same id.
fn processes_create_one_customer_per_tenant(stage: &Stage, processes: usize) {
    let tenants = stage.tenants(100);
    let files: Vec<_> = (0..processes).map(|number| stage.file(&format!("{number}"))).collect();
    let start = |answers| {
        children::start(stage, &Orders { tenants: &tenants, callers: 20, deadline: 60, answers })
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
    processes_create_one_customer_per_tenant(&Stage::new(), 2);
}

#[test]
fn four_processes_on_one_server() {
    processes_create_one_customer_per_tenant(&Stage::on_server(), 4);
}

/// Many commands use the built-in sandbox at once, which keeps its state in one file. Each waits
/// for its turn, and all commands for a tenant get the same Customer.
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
        let (code, id, error) = text(&child.wait_with_output().unwrap());
        assert_eq!((code, error.as_str()), (0, ""));
        ids.insert(id);
    }
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(stage.customers().is_empty(), "the Stripe at STRIPE_API_BASE was called");
}

/// On a new database, many commands create the tables at once.
#[test]
fn commands_create_the_schema_together() {
    for stage in [Stage::new(), Stage::on_empty_server()] {
        create_the_schema_together(&stage);
    }
}

fn create_the_schema_together(stage: &Stage) {
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

/// `… | head -0`: it is no failure if the reader closes the pipe early.
#[test]
fn a_broken_pipe_is_no_failure() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    let mut command = stage.binary(&["get-or-create", &tenants[0], "owner@example.com"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let (code, _, error) = text(&child.wait_with_output().unwrap());
    assert_eq!((code, error.as_str()), (0, ""));
    stage.assert_all_bound();
}

/// Even at the level `trace`, the log contains no key, no e-mail address, and only our own lines.
#[test]
fn logs_contain_no_personal_data() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    let arguments = ["--inquire-first", "get-or-create", &tenants[0], "secret.owner@example.com"];
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
