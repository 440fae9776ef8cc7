//! Inquiries: when "there is none" may be believed, and what may be adopted.

use super::{arm, call, hours, minutes, played, played_with, recover, seconds};
use crate::ops::{At, Fault, Mail, Op, Settings, Side, Stranger};

/// Process 1 has found out who it is, so that its next questions are those of its inquiry.
fn warm() -> Op {
    Op::Call { process: 1, tenant: 1, email: Mail::Other, patience: 10 }
}

#[test]
fn an_inquiry_begun_before_conclusive_from_and_ended_after_it() {
    let run = played(&[
        warm(),
        arm(0, At::Create, 0, Fault::Stored500 { effect: Some(9) }),
        call(0),
        minutes(8),
        seconds(30),
        // Its list is empty; then it stands still until the Customer is there and the time is over.
        arm(1, At::Ask, 1, Fault::Suspend(Side::After, 180)),
        recover(1),
        hours(1),
    ]);
    assert_eq!(run.says("p1 meets with Suspend"), 1);
    assert_eq!(run.created, 2, "one for each tenant");
}

#[test]
fn an_inquiry_that_failed_is_none_that_found_nothing() {
    let mut ops = vec![
        arm(0, At::Create, 0, Fault::Stored500 { effect: Some(9) }),
        call(0),
        minutes(11),
        warm(),
        minutes(1),
    ];
    ops.extend([arm(1, At::Ask, 0, Fault::LoseAnswer); 60]);
    ops.extend([recover(1), hours(2)]);
    let run = played(&ops);
    assert!(run.says("p1 meets with LoseAnswer") >= 3, "events, list and search fail");
    assert_eq!(run.created, 2, "one for each tenant");
}

#[test]
fn inquire_first_that_skips_the_forgotten_generation() {
    // Generation 1 was sent, and row and trail are forgotten. It executes when the inquiry is over:
    // only the same key makes the two one.
    for late in [60, 178] {
        let run = played(&[
            arm(0, At::Create, 0, Fault::Late { minutes: late, dies: true }),
            call(0),
            minutes(1),
            Op::Restore,
            call(1),
            hours(4),
            call(1),
            hours(2),
            recover(1),
            minutes(1),
        ]);
        assert_eq!(run.created, 1);
        assert_eq!(run.says("sends 0/2"), 0);
    }
}

#[test]
fn the_same_email_is_nobodys_proof_of_ownership() {
    for (kind, live) in [
        (Stranger::SameEmail, true),
        (Stranger::OtherTenant, true),
        (Stranger::OtherInstallation, false),
    ] {
        let settings = Settings { inquire_first: true, live, ..Settings::PLAIN };
        let run = played_with(
            settings,
            &[Op::Stranger { tenant: 0, kind }, hours(2), call(0), minutes(1)],
        );
        assert_eq!(run.returned[0], "cus_0002");
    }
}

#[test]
fn a_row_that_recovery_left_alone_for_a_month_is_left_to_an_operator() {
    // Seed 65280 of the first 100,000: no recovery for 31 days, no search, and the e-mail edited.
    // The Customer cannot be found any more, and none is made in its place.
    let settings = Settings { search: false, ..Settings::PLAIN };
    let ops = [
        arm(0, At::Create, 0, Fault::Crash(Side::After)),
        call(0),
        hours(31 * 24),
        Op::Edit { tenant: 0, nth: 0 },
        call(1),
        minutes(1),
    ];
    let run = played_with(settings, &ops);
    assert_eq!((run.created, &*run.returned[1]), (1, "operator_must_act"));
}

#[test]
fn another_installations_customer_stops_the_inquiry_in_live_mode() {
    let settings = Settings { inquire_first: true, live: true, ..Settings::PLAIN };
    let kind = Stranger::OtherInstallation;
    let run = played_with(settings, &[Op::Stranger { tenant: 0, kind }, call(0), minutes(1)]);
    assert_eq!(run.returned[0], "operator_must_act");
    assert_eq!(run.created, 2, "ours, once an operator has declared the other one");
}

#[test]
fn a_customer_that_names_the_tenant_is_adopted() {
    let settings = Settings { inquire_first: true, ..Settings::PLAIN };
    let kind = Stranger::Legacy;
    let run = played_with(settings, &[Op::Stranger { tenant: 0, kind }, call(0), minutes(1)]);
    assert_eq!((run.created, &*run.returned[0]), (1, "cus_0001"));
}
