//! `kill -9` while tenants get their Customers, then `recover --wait`.

use std::{process::Stdio, time::Duration};

use stripe_sandbox::{Chaos, Fault, FaultKind, Rule};

use crate::{
    children::{self, Orders},
    stage::{Stage, text},
};

/// A process is killed twice in the middle while this share of the answers is lost. After recovery,
/// every Customer that Stripe has created is bound.
fn recovery_completes_killed_work(stage: &Stage, tenants: usize, answers_lost: f64) {
    let tenants = stage.tenants(tenants);
    stage.sandbox.chaos(Some(Chaos::new(1).with(FaultKind::AnswerLost, answers_lost)));
    let answers = stage.file("answers");
    for share in [5, 2] {
        let enough = tenants.len() as u64 / share;
        let orders = Orders { tenants: &tenants, callers: 1, deadline: 3, answers: &answers };
        let mut child = children::start(stage, &orders);
        while stage.sandbox.counters().customers_created < enough {
            assert!(child.try_wait().unwrap().is_none(), "the process ended before it was killed");
            stage.sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let created = stage.customers().len();
    assert!(created < tenants.len(), "the process was killed too late to prove anything");

    let (code, printed, error) = text(&stage.binary(&["recover"]).output().unwrap());
    assert_eq!(code, 5, "nothing is due yet: {printed}{error}");
    assert!(printed.contains("provisioned 0; "), "{printed}");

    let (code, printed, error) = text(&stage.binary(&["recover", "--wait"]).output().unwrap());
    assert_eq!((code, error.as_str()), (0, ""), "{printed}");
    assert!(printed.ends_with("; nothing remains\n"), "{printed}");
    stage.assert_all_bound();
}

#[test]
fn killed_on_a_file() {
    recovery_completes_killed_work(&Stage::new(), 100, 0.3);
}

#[test]
fn killed_on_a_server() {
    recovery_completes_killed_work(&Stage::on_server(), 600, 0.0);
}

#[test]
fn killed_on_a_server_with_answers_lost() {
    recovery_completes_killed_work(&Stage::on_server(), 600, 0.2);
}

/// Ctrl-C stops `recover --wait`, which then prints what remains.
#[cfg(unix)]
#[test]
fn an_interrupted_recovery_says_what_remains() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    stage.sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").always());
    let arguments = ["get-or-create", &tenants[0], "owner@example.com", "--deadline", "1"];
    let (code, id, error) = text(&stage.binary(&arguments).output().unwrap());
    assert_eq!((code, id.as_str()), (5, ""), "{error}");
    assert!(error.contains("recover --wait"), "{error}");

    let mut recover = stage.binary(&["recover", "--wait"]);
    let child = recover.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    stage.sleep(Duration::from_millis(500));
    let mut interrupt = std::process::Command::new("kill");
    assert!(interrupt.args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let (code, printed, error) = text(&child.wait_with_output().unwrap());
    assert_eq!(code, 5, "{error}");
    assert!(printed.contains("\nprovisioned 0; 1 remains, the next is due in "), "{printed}");

    stage.sandbox.disarm();
    let (code, _, error) = text(&stage.binary(&arguments).output().unwrap());
    assert_eq!(code, 0, "{error}");
    stage.assert_all_bound();
}
