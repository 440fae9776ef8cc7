//! `kill -9` in the middle of cold calls, then `recover --wait`.

use std::{process::Stdio, time::Duration};

use stripe_sandbox::{Chaos, Fault, FaultKind, Rule};

use crate::{
    children::{self, Orders},
    stage::{Stage, text},
};

/// Killed twice in the middle, with so many answers lost: whatever Stripe has made is bound afterwards.
fn recovery_finishes_what_was_killed(stage: &Stage, tenants: usize, answers_lost: f64) {
    let tenants = stage.tenants(tenants);
    stage.sandbox.chaos(Some(Chaos::new(1).with(FaultKind::AnswerLost, answers_lost)));
    let answers = stage.file("answers");
    for share in [5, 2] {
        let enough = tenants.len() as u64 / share;
        let orders = Orders { tenants: &tenants, callers: 1, patience: 3, answers: &answers };
        let mut child = children::start(stage, &orders);
        while stage.sandbox.counters().customers_created < enough {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
            stage.sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let made = stage.customers().len();
    assert!(made < tenants.len(), "it was killed too late to prove anything");

    let (code, printed, complaint) = text(&stage.binary(&["recover"]).output().unwrap());
    assert_eq!(code, 5, "nothing is due yet: {printed}{complaint}");
    assert!(printed.contains("settled 0; "), "{printed}");

    let (code, printed, complaint) = text(&stage.binary(&["recover", "--wait"]).output().unwrap());
    assert_eq!((code, complaint.as_str()), (0, ""), "{printed}");
    assert!(printed.ends_with("; nothing remains\n"), "{printed}");
    stage.assert_all_bound();
}

#[test]
fn killed_on_a_file() {
    recovery_finishes_what_was_killed(&Stage::new(), 100, 0.3);
}

#[test]
fn killed_on_a_server() {
    recovery_finishes_what_was_killed(&Stage::on_server(), 2000, 0.0);
}

#[test]
fn killed_on_a_server_with_answers_lost() {
    recovery_finishes_what_was_killed(&Stage::on_server(), 2000, 0.2);
}

/// Ctrl-C stops `recover --wait`, which says what remains.
#[cfg(unix)]
#[test]
fn an_interrupted_recovery_says_what_remains() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    stage.sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").always());
    let arguments = ["get-or-create", &tenants[0], "owner@example.com", "--deadline", "1"];
    let (code, id, complaint) = text(&stage.binary(&arguments).output().unwrap());
    assert_eq!((code, id.as_str()), (5, ""), "{complaint}");
    assert!(complaint.contains("recover --wait"), "{complaint}");

    let mut recover = stage.binary(&["recover", "--wait"]);
    let child = recover.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    stage.sleep(Duration::from_millis(500));
    let mut interrupt = std::process::Command::new("kill");
    assert!(interrupt.args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let (code, printed, complaint) = text(&child.wait_with_output().unwrap());
    assert_eq!(code, 5, "{complaint}");
    assert!(printed.starts_with("settled 0; 1 remains, the next is due in "), "{printed}");

    stage.sandbox.disarm();
    let (code, _, complaint) = text(&stage.binary(&arguments).output().unwrap());
    assert_eq!(code, 0, "{complaint}");
    stage.assert_all_bound();
}
