//! Answers and rows that were lost, and a column that the host has overwritten.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use stripe_sandbox::{Fault, Rule};

use crate::stage::{Stage, text};

const A_DAY: Duration = Duration::from_secs(25 * 3600);

/// An answer is lost, and nobody asks again for 25 hours. Recovery finds the Customer.
#[test]
fn a_day_after_a_lost_answer() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    stage.sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").always());
    let arguments = ["get-or-create", &tenants[0], "owner@example.com", "--deadline", "1"];
    assert_eq!(text(&stage.binary(&arguments).output().unwrap()).0, 5);
    stage.sandbox.disarm();

    stage.sandbox.advance(A_DAY);
    let backdate = "UPDATE customer_provisioning
                    SET opened_at = opened_at - 90000000, next_attempt_at = next_attempt_at - 90000000";
    assert_eq!(change(&stage, backdate), 1);
    let (code, printed, error) = text(&stage.binary(&["recover"]).output().unwrap());
    assert_eq!(code, 0, "{printed}{error}");
    assert!(printed.contains("  adopted\n"), "{printed}");
    assert_eq!(stage.sandbox.counters().customers_created, 1);
    stage.assert_all_bound();
}

/// A row is lost. The audit trail shows it, so an inquiry finds its Customer, even for a call with
/// another e-mail address.
#[test]
fn a_lost_row_at_once() {
    for email in ["owner@example.com", "other@example.com"] {
        let stage = Stage::new();
        let tenants = stage.tenants(1);
        let first = get_or_create(&stage, &["get-or-create", &tenants[0], "owner@example.com"]);
        forget(&stage);
        let second = get_or_create(&stage, &["get-or-create", &tenants[0], email]);
        assert_eq!(second["stripe_customer_id"], first["stripe_customer_id"], "{email}");
        assert_eq!(second["outcome"], "adopted", "{email}");
        stage.assert_all_bound();
    }
}

/// The row is lost with its trail, and a day later Stripe has forgotten the key too. Only the
/// inquiry that either flag asks for helps then.
#[test]
fn a_lost_row_a_day_later() {
    for flag in ["--inquire-first", "--restored-at=2020-01-01T00:00:00Z"] {
        let stage = Stage::new();
        let tenants = stage.tenants(1);
        let first = get_or_create(&stage, &["get-or-create", &tenants[0], "owner@example.com"]);
        forget(&stage);
        let trail = "DROP TRIGGER billing_event_is_never_deleted; DELETE FROM billing_event";
        Connection::open(stage.database()).unwrap().execute_batch(trail).unwrap();
        stage.sandbox.advance(A_DAY);
        let arguments = [flag, "get-or-create", &tenants[0], "other@example.com"];
        let second = get_or_create(&stage, &arguments);
        assert_eq!(second["stripe_customer_id"], first["stripe_customer_id"], "{flag}");
        assert_eq!(second["outcome"], "adopted", "{flag}");
        stage.assert_all_bound();
    }
}

/// The host overwrites the column. Its id is returned, and the history shows the difference.
#[test]
fn the_host_overwrites_the_column() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    let first = get_or_create(&stage, &["get-or-create", &tenants[0], "owner@example.com"]);
    change(&stage, "UPDATE tenant_config SET stripe_customer_id = 'cus_host'");
    let arguments = ["get-or-create", &tenants[0], "owner@example.com"];
    assert_eq!(get_or_create(&stage, &arguments)["stripe_customer_id"], "cus_host");
    let (code, history, _) = text(&stage.binary(&["history", &tenants[0]]).output().unwrap());
    let ours = first["stripe_customer_id"].as_str().unwrap();
    let line = format!("provisioned {ours}, but the database holds cus_host\n");
    assert_eq!(code, 0);
    assert!(history.contains(&line), "{history}");
}

fn get_or_create(stage: &Stage, arguments: &[&str]) -> Value {
    let output = stage.binary(arguments).arg("--json").output().unwrap();
    let (code, printed, error) = text(&output);
    assert_eq!((code, error.as_str()), (0, ""), "{printed}");
    serde_json::from_str(&printed).unwrap()
}

fn forget(stage: &Stage) {
    assert_eq!(change(stage, "DELETE FROM customer_provisioning"), 1);
    assert_eq!(change(stage, "UPDATE tenant_config SET stripe_customer_id = NULL"), 1);
}

fn change(stage: &Stage, sql: &str) -> usize {
    Connection::open(stage.database()).unwrap().execute(sql, []).unwrap()
}
