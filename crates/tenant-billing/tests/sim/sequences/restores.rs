//! Backups that are restored, with look-first from then on.

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
