//! Two who act at once, and one who stands still between reading and acting.

use super::{arm, call, call_with, hours, minutes, ms, played, recover, seconds};
use crate::ops::{At, Fault, Mail, Op, Side};

const HOUR: u32 = 3600;

#[test]
fn a_caller_that_read_no_customer_and_then_opens_behind_a_provisioned_row() {
    for standstill in [2, 20, 50, 90, 2 * HOUR] {
        let run = played(&[
            // Its second read is the view that it opens from.
            arm(0, At::Read, 1, Fault::Suspend(Side::After, standstill)),
            call(0),
            ms(100),
            call(1),
            seconds(1),
            hours(3),
        ]);
        assert_eq!(run.created, 1);
        assert!(run.says("p0 meets with Suspend(After") == 1 && run.says("p1 returns Ok") == 1);
        assert!(run.says("p0 reads 0 None None") >= 1, "it read that there is nothing");
    }
}

#[test]
fn two_processes_that_send_at_the_same_moment() {
    let run = played(&[call(0), call(1), call(2), minutes(1)]);
    assert_eq!(run.created, 1);
    assert_eq!(run.returned[..3], ["cus_0001", "cus_0001", "cus_0001"]);
}

#[test]
fn a_customer_deleted_between_a_callers_answer_and_its_bind() {
    for told in [true, false] {
        let mut ops = vec![
            arm(0, At::Create, 0, Fault::Suspend(Side::After, 30)),
            call(0),
            seconds(5),
            Op::Delete { tenant: 0, nth: 0 },
        ];
        ops.extend(told.then_some(Op::DeliverDeleted { process: 1, tenant: 0, nth: 0 }));
        ops.extend([minutes(2), Op::DeliverDeleted { process: 1, tenant: 0, nth: 0 }, minutes(1)]);
        let run = played(&ops);
        assert_eq!(run.created, 2);
        assert_eq!(run.says("Bind(CustomerId(\"cus_0001\")): Ok(Yes)"), usize::from(!told));
    }
}

#[test]
fn a_failure_that_is_written_down_when_another_process_has_long_bound_the_customer() {
    let run = played(&[
        arm(0, At::Create, 0, Fault::Unstored500),
        // Its third write, after who it is and the opening.
        arm(0, At::Write, 2, Fault::Suspend(Side::Before, 20)),
        call(0),
        seconds(2),
        call(1),
        minutes(1),
    ]);
    assert_eq!(run.created, 1);
    assert_eq!(run.says("p0 writes 0 Some((\"pending\", 1, 2)) Keep: Ok(Conflict)"), 1);
}

#[test]
fn an_age_read_without_the_generation() {
    // It stands still within its retries, while its key is given up, and resumes when the next one
    // is young. It must not send the old key, which Stripe has forgotten.
    let run = played(&[
        arm(0, At::Create, 0, Fault::LoseRequest),
        arm(0, At::Read, 3, Fault::Suspend(Side::Before, 26 * HOUR)),
        Op::Call { process: 0, tenant: 0, email: Mail::Good, patience: 600 },
        hours(23),
        minutes(1),
        recover(1),
        hours(2),
        recover(1),
        minutes(1),
        hours(2),
    ]);
    assert_eq!(run.created, 1);
    assert_eq!((run.says("sends 0/1"), run.says("sends 0/2")), (1, 1));
}

#[test]
fn a_process_suspended_between_age_and_send() {
    for standstill in [20, 31, 10 * HOUR, 26 * HOUR] {
        let run = played(&[
            arm(0, At::Create, 0, Fault::Suspend(Side::Before, standstill)),
            call(0),
            hours(23),
            minutes(1),
            recover(1),
            hours(2),
            recover(1),
            hours(3),
        ]);
        assert_eq!(run.created, 1);
        assert_eq!(run.says("is too late to send"), usize::from(standstill > 30));
    }
}

#[test]
fn a_rejected_email_that_another_caller_with_a_good_one_had_joined() {
    for process in [0, 1] {
        let warm = |process| Op::Call { process, tenant: 1, email: Mail::Good, patience: 10 };
        let run = played(&[
            warm(0),
            warm(1),
            seconds(10),
            call_with(0, Mail::Rejected),
            ms(160),
            call_with(process, Mail::Good),
            seconds(30),
        ]);
        assert_eq!(run.returned[2..4], ["rejected_by_stripe", "cus_0002"]);
    }
}

#[test]
fn a_good_email_that_another_caller_with_a_rejected_one_had_joined() {
    let (good, refused) = (call_with(0, Mail::Good), call_with(0, Mail::Rejected));
    let run = played(&[good, ms(20), refused, seconds(30)]);
    assert_eq!(run.returned[..2], ["cus_0001", "cus_0001"]);
}

/// It counts `conclusive_from` from when it read that the tenant is gone. By the time that it would
/// write that down, the tenant is back and the same key has been sent again.
#[test]
fn a_decision_that_is_written_down_hours_later() {
    let run = played(&[
        arm(0, At::Create, 0, Fault::Crash(Side::Before)),
        call(0),
        minutes(1),
        Op::Remove { tenant: 0 },
        arm(1, At::Write, 2, Fault::Suspend(Side::Before, 6 * HOUR)),
        recover(1),
        minutes(10),
        Op::Register { tenant: 0 },
        hours(5),
        minutes(40),
        arm(2, At::Create, 0, Fault::Late { minutes: 150, dies: true }),
        call(2),
        minutes(30),
        recover(0),
        hours(3),
    ]);
    assert_eq!(run.created, 1);
    assert_eq!(run.says("Keep: Ok(Conflict)"), 1);
}
