//! A real process on a real server: killed with SIGKILL at every single step, and stopped with
//! SIGSTOP while time goes on.
#![cfg(feature = "failpoints")]

use std::{
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use stripe_sandbox::{Fault, Rule};

use crate::stage::{Stage, text};

const SIGKILL: i32 = 9;

/// Faults at Stripe. Each leads the process along another path.
fn faults() -> [Option<Fault>; 4] {
    let stored = Fault::StoredError { side_effect: true };
    [None, Some(Fault::AnswerLost), Some(Fault::RequestLost), Some(stored)]
}

/// The steps that a call takes, in order.
fn steps(stage: &Stage, arguments: &[&str]) -> Vec<String> {
    let file = stage.file("steps");
    let _ = std::fs::remove_file(&file);
    let output = stage.binary(arguments).env("TEST_STEPS", &file).output().unwrap();
    assert_eq!(text(&output).0, 0, "{}", text(&output).2);
    std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

/// A process is killed at each step. Another call, or recovery, completes the work, and the tenant
/// has exactly one Customer.
#[test]
fn killed_at_every_step() {
    let stage = Stage::on_server();
    let mut tenants = stage.tenants(120).into_iter();
    let mut used = Vec::new();
    let mut fresh = || {
        used.push(tenants.next().expect("more tenants than steps"));
        used.last().expect("one was pushed").clone()
    };
    let arm = |fault: &Option<Fault>| {
        stage.sandbox.disarm();
        if let Some(fault) = fault {
            stage.sandbox.arm(Rule::new(fault.clone()).method("POST").path("/v1/customers"));
        }
    };
    // The database remembers which account a key opens. Without a fault, each call finds it out anew.
    let forget_key = |fault: &Option<Fault>| {
        if fault.is_none() {
            stage.runtime.block_on(stage.server().run("DELETE FROM stripe_key"));
        }
    };
    let mut killed = 0;
    for fault in faults() {
        arm(&fault);
        let tenant = fresh();
        let steps = steps(&stage, &["get-or-create", &tenant, "owner@example.com"]);
        for step in &steps {
            let tenant = fresh();
            arm(&fault);
            forget_key(&fault);
            let arguments = ["get-or-create", &tenant, "owner@example.com"];
            let mut command = stage.binary(&arguments);
            let output = command.env("TEST_FAILPOINT", format!("kill {step}")).output().unwrap();
            assert_eq!(output.status.signal(), Some(SIGKILL), "{fault:?}: {step}");
            killed += 1;
            stage.sandbox.disarm();
            // Half of the time, another call completes the work at once; otherwise only recovery
            // does. A call fails only while the killed process still holds its claim for an
            // inquiry.
            if killed % 2 == 0 {
                let (code, _, error) = text(&stage.binary(&arguments).output().unwrap());
                let claimed = code == 5 && steps.contains(&"before claim 1".to_owned());
                assert!(code == 0 || claimed, "{fault:?}: killed {step}: {error}");
            }
        }
        assert!(steps.len() >= 12, "{steps:?}");
    }
    // A row that a call with the default deadline has opened is due a while later.
    stage.hours_pass(1);
    let recovered = text(&stage.binary(&["recover", "--wait"]).output().unwrap());
    assert_eq!(recovered.0, 0, "{recovered:?}");
    stage.assert_all_bound();
    for tenant in &used {
        let arguments = ["get-or-create", tenant, "owner@example.com"];
        assert_eq!(text(&stage.binary(&arguments).output().unwrap()).0, 0);
    }
    assert_eq!(stage.customers().len(), used.len());
    stage.assert_all_bound();
}

/// A process is stopped after it has decided to send and before it sends, until the decision is too
/// old, while a day passes in the database and at Stripe. When it goes on, it does not send.
#[test]
fn stopped_before_it_sends() {
    let stage = Stage::on_server();
    let tenants = stage.tenants(1);
    let arguments = ["get-or-create", &tenants[0], "owner@example.com", "--deadline", "40"];
    let mut command = stage.binary(&arguments);
    command.env("TEST_FAILPOINT", "stop before create_customer 1");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_stopped(&stage, &child);
    stage.hours_pass(26);
    // A request must leave within 30 s, by a clock that goes on while a process is stopped.
    stage.sleep(Duration::from_secs(31));
    signal("-CONT", &child);
    let (code, _, error) = text(&child.wait_with_output().unwrap());
    assert!(code == 0 || code == 5, "{error}");
    let keys: Vec<_> = stage.sandbox.customers().into_iter().map(|it| it.idempotency_key).collect();
    let old = |key: &Option<String>| key.as_ref().is_some_and(|key| key.ends_with("/1"));
    assert!(!keys.iter().any(old), "a key that is a day old was sent: {keys:?}");
    let (code, _, error) = text(&stage.binary(&arguments).output().unwrap());
    assert_eq!(code, 0, "{error}");
    stage.assert_all_bound();
}

/// A process is stopped for a day when it has received the answer. Meanwhile, another process finds
/// the Customer.
#[test]
fn stopped_after_the_answer() {
    let stage = Stage::on_server();
    let tenants = stage.tenants(1);
    let arguments = ["get-or-create", &tenants[0], "owner@example.com"];
    let mut command = stage.binary(&arguments);
    command.env("TEST_FAILPOINT", "stop after create_customer 1");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_stopped(&stage, &child);
    stage.hours_pass(26);
    let (code, id, error) = text(&stage.binary(&arguments).output().unwrap());
    assert_eq!(code, 0, "{error}");
    signal("-CONT", &child);
    assert_eq!(text(&child.wait_with_output().unwrap()), (0, id, String::new()));
    assert_eq!(stage.sandbox.counters().customers_created, 1);
    stage.assert_all_bound();
}

fn wait_until_stopped(stage: &Stage, child: &Child) {
    for _ in 0..1000 {
        let id = child.id().to_string();
        let state = Command::new("ps").args(["-o", "state=", "-p", &id]).output().unwrap();
        if state.stdout.starts_with(b"T") {
            return;
        }
        stage.sleep(Duration::from_millis(10));
    }
    panic!("the process was never stopped");
}

fn signal(signal: &str, child: &Child) {
    let mut kill = Command::new("kill");
    assert!(kill.args([signal, &child.id().to_string()]).status().unwrap().success());
}
