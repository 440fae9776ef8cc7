//! Backups that are restored, with `inquire_first` from then on.

use super::{arm, call, hours, minutes, played, recover, seconds};
use crate::ops::{At, Fault, Op, Side};

#[test]
fn a_restored_backup_that_forgot_row_and_trail() {
    for later in [1, 10, 25, 40] {
        let run = played(&[
            call(0),
            hours(later),
            Op::Restore,
            call(1),
            hours(6),
            recover(1),
            minutes(1),
            call(1),
            minutes(1),
        ]);
        assert_eq!(run.created, 1);
        assert_eq!(run.returned.last().map(String::as_str), Some("cus_0001"));
    }
}

#[test]
fn a_backup_taken_while_a_request_was_under_way() {
    let run = played(&[
        arm(0, At::Create, 0, Fault::Crash(Side::After)),
        call(0),
        seconds(20),
        Op::Backup,
        call(1),
        minutes(1),
        Op::Restore,
        call(1),
        hours(6),
    ]);
    assert_eq!(run.created, 1);
}

/// A known limit, which the harness keeps out of, also where the unbind was asked for before the
/// backup.
#[test]
fn an_unbind_that_is_under_way_while_a_backup_is_taken_is_forgotten_by_it() {
    let run = played(&[
        call(1),
        seconds(20),
        Op::Unbind { process: 0, tenant: 0 },
        Op::Backup,
        minutes(1),
        call(0),
        hours(1),
        Op::Restore,
        call(0),
        hours(6),
    ]);
    assert_eq!(run.created, 2);
}

#[test]
fn a_restored_row_that_was_pending_and_whose_tenant_has_had_its_customer_since() {
    let run = played(&[
        arm(0, At::Create, 0, Fault::Crash(Side::Before)),
        call(0),
        minutes(1),
        Op::Backup,
        Op::Remove { tenant: 0 },
        recover(1),
        hours(6),
        recover(1),
        minutes(1),
        Op::Register { tenant: 0 },
        call(1),
        minutes(1),
        Op::Restore,
        call(2),
        hours(6),
    ]);
    assert_eq!(run.created, 1);
}

/// What an inquiry cannot see is still behind the key: a Customer that was deleted, or a failure.
/// One send meets with that, and another one of the same key with nothing, since Stripe has
/// forgotten it.
#[test]
fn a_key_from_before_a_restore_that_is_forgotten_between_two_sends() {
    let deleted = [
        call(0),
        seconds(5),
        Op::Delete { tenant: 0, nth: 0 },
        Op::DeliverDeleted { process: 1, tenant: 0, nth: 0 },
    ];
    let failed = [arm(0, At::Create, 0, Fault::Stored500 { effect: None }), call(0)];
    for (before, created) in [(&deleted[..], 2), (&failed[..], 1)] {
        let mut ops = before.to_vec();
        ops.extend([
            hours(18),
            minutes(29),
            Op::Restore,
            call(1),
            hours(5),
            minutes(1),
            recover(1),
            arm(2, At::Create, 0, Fault::Late { minutes: 60, dies: true }),
            call(2),
            minutes(1),
            call(1),
            minutes(11),
            recover(1),
            hours(3),
        ]);
        let run = played(&ops);
        assert_eq!(run.created, created);
        let mut since = run.trace.iter().skip_while(|line| !line.ends_with("== Restore"));
        assert!(since.next().is_some() && !since.any(|line| line.ends_with("sends 0/1")));
    }
}
