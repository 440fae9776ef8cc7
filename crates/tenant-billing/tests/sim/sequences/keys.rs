//! Keys that grow old, rows that get lost, requests that are late.

use super::{arm, call, hours, minutes, played, recover, seconds};
use crate::ops::{At, Fault, Op, Side};

#[test]
fn a_request_sent_just_before_its_key_is_too_old_and_executed_hours_later() {
    // At 22:58 Stripe may still execute what is sent for 3 hours, beyond the inquiry at hour 25.
    for (hour, sent) in [(19, true), (22, false)] {
        let run = played(&[
            arm(0, At::Create, 0, Fault::LoseRequest),
            arm(0, At::Create, 0, Fault::Crash(Side::Before)),
            call(0),
            hours(hour),
            minutes(58),
            arm(1, At::Create, 0, Fault::Late { minutes: 178, dies: true }),
            call(1),
            hours(25 - hour),
            recover(2),
            minutes(1),
            hours(4),
        ]);
        assert_eq!(
            run.says("Late {"),
            usize::from(sent) + 1,
            "the order, and that it was met with"
        );
    }
}

#[test]
fn a_lost_row_whose_key_is_reopened_at_hour_10_and_retried_at_hour_25() {
    let run = played(&[
        arm(0, At::Create, 0, Fault::Crash(Side::After)),
        call(0),
        hours(10),
        Op::LoseRow { tenant: 0 },
        arm(1, At::Ask, 1, Fault::LoseAnswer),
        arm(1, At::Any, 8, Fault::Crash(Side::Before)),
        call(1),
        hours(15),
        call(2),
        minutes(1),
    ]);
    assert_eq!(run.created, 1);
    assert_eq!(run.says("p1 writes 0 Some((\"in_doubt\", 1, 1))"), 1, "it is not opened anew");
}

#[test]
fn a_lost_row_whose_request_is_still_on_its_way() {
    let run = played(&[
        arm(0, At::Create, 0, Fault::Late { minutes: 170, dies: true }),
        call(0),
        minutes(10),
        Op::LoseRow { tenant: 0 },
        call(1),
        hours(6),
        recover(1),
        minutes(1),
    ]);
    assert_eq!(run.created, 1);
    assert_eq!(run.returned.last().map(String::as_str), Some("cus_0001"));
}

#[test]
fn a_stored_500_that_left_a_customer_behind_is_recovered_without_another_call() {
    for minutes_later in [5, 10] {
        let run = played(&[
            arm(0, At::Create, 0, Fault::Stored500 { effect: Some(minutes_later) }),
            call(0),
            seconds(20),
            minutes(15),
            recover(1),
            minutes(1),
        ]);
        assert_eq!(run.created, 1);
        assert_eq!(run.says("p1 writes 0 Some((\"provisioned\""), 1, "without another call");
    }
}

#[test]
fn another_email_while_the_first_request_is_on_its_way() {
    // The first writer's request stays frozen: what differed under the same key would be an error.
    let other = Op::Call { process: 1, tenant: 0, email: crate::ops::Mail::Other, patience: 10 };
    let lost = Fault::LoseAnswer;
    let run = played(&[arm(0, At::Create, 0, lost), call(0), seconds(1), other, minutes(1)]);
    assert_eq!(run.created, 1);
    assert_eq!(run.says("idempotency_error"), 0);
}
