//! A real process on a real server, killed with SIGKILL at every single step that it takes, and stopped
//! with SIGSTOP while the time goes on.
#![cfg(feature = "failpoints")]

use std::{
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use stripe_sandbox::{Fault, Rule};

use crate::stage::{Stage, text};

const SIGKILL: i32 = 9;

/// What goes wrong at Stripe while the process is at work, each of them leading it another way.
fn trouble() -> [Option<Fault>; 4] {
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

/// Killed at a step, its call is made again by somebody else, or finished by recovery: the tenant has
/// its one Customer.
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
    let mut killed = 0;
    for fault in trouble() {
        arm(&fault);
        let tenant = fresh();
        let steps = steps(&stage, &["get-or-create", &tenant, "owner@example.com"]);
        for step in &steps {
            let tenant = fresh();
            arm(&fault);
            let arguments = ["get-or-create", &tenant, "owner@example.com"];
            let mut command = stage.binary(&arguments);
            let output = command.env("TEST_FAILPOINT", format!("kill {step}")).output().unwrap();
            assert_eq!(output.status.signal(), Some(SIGKILL), "{fault:?}: {step}");
            killed += 1;
            stage.sandbox.disarm();
            // By another call at once, and every other time by recovery alone. Only whoever has claimed
            // a row for a look is waited for.
            if killed % 2 == 0 {
                let (code, _, complaint) = text(&stage.binary(&arguments).output().unwrap());
                let claimed = code == 5 && steps.contains(&"before claim 1".to_owned());
                assert!(code == 0 || claimed, "{fault:?}: killed {step}: {complaint}");
            }
        }
        assert!(steps.len() >= 12, "{steps:?}");
    }
    // What was opened with the usual patience is due a while after.
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

/// Stopped between deciding to send and sending, for longer than a permission lasts, while a day passes in
/// the database and at Stripe: it does not send when it goes on.
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
    // A permission lasts 30 s, by a clock that goes on while a process is stopped.
    stage.sleep(Duration::from_secs(31));
    signal("-CONT", &child);
    let (code, _, complaint) = text(&child.wait_with_output().unwrap());
    assert!(code == 0 || code == 5, "{complaint}");
    let keys: Vec<_> = stage.sandbox.customers().into_iter().map(|it| it.idempotency_key).collect();
    let old = |key: &Option<String>| key.as_ref().is_some_and(|key| key.ends_with("/1"));
    assert!(!keys.iter().any(old), "a key of a day ago was sent: {keys:?}");
    let (code, _, complaint) = text(&stage.binary(&arguments).output().unwrap());
    assert_eq!(code, 0, "{complaint}");
    stage.assert_all_bound();
}

/// Stopped when the answer is there, for a day: another process has found the Customer meanwhile.
#[test]
fn stopped_with_the_answer_at_hand() {
    let stage = Stage::on_server();
    let tenants = stage.tenants(1);
    let arguments = ["get-or-create", &tenants[0], "owner@example.com"];
    let mut command = stage.binary(&arguments);
    command.env("TEST_FAILPOINT", "stop after create_customer 1");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_stopped(&stage, &child);
    stage.hours_pass(26);
    let (code, id, complaint) = text(&stage.binary(&arguments).output().unwrap());
    assert_eq!(code, 0, "{complaint}");
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
    panic!("it was never stopped");
}

fn signal(signal: &str, child: &Child) {
    let mut kill = Command::new("kill");
    assert!(kill.args([signal, &child.id().to_string()]).status().unwrap().success());
}
