//! `kill -9` in the middle of cold calls, then `recover --wait`.

use std::{process::Stdio, time::Duration};

use stripe_sandbox::{Chaos, Fault, FaultKind, Rule};

use crate::{
    children,
    stage::{Stage, text},
};

/// Killed twice, with a third of the answers lost: whatever Stripe has made is bound afterwards.
#[test]
fn recovery_finishes_what_was_killed() {
    let stage = Stage::new();
    let tenants = stage.tenants(100);
    stage.sandbox.chaos(Some(Chaos::new(1).with(FaultKind::AnswerLost, 0.3)));
    for enough in [20, 50] {
        let answers = stage.database().with_file_name("answers");
        let mut child = children::start(&stage, &tenants, 3, &answers);
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
