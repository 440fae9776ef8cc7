//! Tables that are made anew, writes that the host's table does not keep, and answers and headers
//! that say something else than they should.

use super::{arm, call, hours, minutes, ms, played, recover, seconds};
use crate::ops::{At, Fault, Ill, Odd, Op, Side};

const REMAKE: Op = Op::Remake { known: false };

/// A trigger of the host's that keeps Customers out of the column.
fn trigger(ill: Ill, seconds: u32) -> Op {
    Op::Ail { ill, at: At::Write, seconds }
}

#[test]
fn a_trigger_that_keeps_the_customer_out_is_an_operators_matter() {
    for ill in [Ill::BindRefused, Ill::BindSwallowed] {
        let run = played(&[trigger(ill, 60), call(0), minutes(2), recover(1), minutes(1), call(1)]);
        assert_eq!((run.created, &*run.returned[0]), (1, "operator_must_act"));
        assert_eq!(run.returned[1], "cus_0001");
    }
}

#[test]
fn every_error_of_a_store_passes() {
    use Ill::{Corrupt, Refused, SchemaMismatch, SchemaMissing, SchemaTooNew, SchemaTooOld};
    for ill in [SchemaMissing, SchemaTooOld, SchemaTooNew, SchemaMismatch, Refused, Corrupt] {
        for skip in 0..3 {
            let at = [At::Read, At::Write][usize::from(skip % 2)];
            let run = played(&[
                arm(0, at, skip, Fault::Store(ill)),
                call(0),
                minutes(1),
                recover(1),
                minutes(1),
                call(1),
                seconds(5),
            ]);
            assert_eq!(run.created, 1);
        }
    }
}

/// Tables that know nothing are no proof for whoever knew more.
#[test]
fn nothing_is_denied_because_of_tables_made_anew() {
    let run = played(&[
        arm(0, At::Create, 0, Fault::Header(0)),
        arm(0, At::Read, 2, Fault::Suspend(Side::Before, 2)),
        call(0),
        seconds(1),
        REMAKE,
        minutes(1),
    ]);
    assert_eq!(run.says("Retry { after: 600s"), 1);
}

/// The account is not on record any more, so nothing is opened before who we are is found out anew.
#[test]
fn a_row_decided_on_from_lost_tables_is_decided_on_again() {
    let suspended = Fault::Suspend(Side::Before, 2);
    let run = played(&[arm(0, At::Write, 1, suspended), call(0), seconds(1), REMAKE, minutes(1)]);
    assert_eq!((run.created, &*run.returned[0], run.says("Ok(Conflict)")), (1, "cus_0001", 1));
}

/// Found by seed 1104: a webhook's old key took the first row of the new tables to be its own, and
/// gave up a generation under which a request was on its way.
#[test]
fn a_key_from_before_the_loss_says_nothing_of_the_rows_since() {
    let run = played(&[
        call(1),
        seconds(5),
        REMAKE,
        Op::HostNulls { tenant: 0 },
        Op::DeliverCreated { process: 1, tenant: 0, nth: 0 },
        call(0),
        hours(1),
    ]);
    assert_eq!((run.created, run.returned[1].as_str()), (2, "cus_0002"));
}

/// The first generation of the new tables has another key than that of the old.
#[test]
fn an_answer_from_before_the_loss_says_nothing_of_the_rows_since() {
    let run = played(&[
        arm(0, At::Create, 0, Fault::Stored500 { effect: None }),
        arm(0, At::Create, 1, Fault::Suspend(Side::After, 20)),
        call(0),
        seconds(5),
        REMAKE,
        arm(1, At::Create, 0, Fault::Slow { seconds: 25 }),
        call(1),
        minutes(2),
    ]);
    assert_eq!((run.created, run.says("\"in_doubt\"")), (1, 0));
}

#[test]
fn what_is_no_customer_is_never_bound() {
    for odd in [Odd::Account, Odd::Deleted, Odd::Stranger] {
        for done in [false, true] {
            let run = played(&[
                arm(0, At::Create, 0, Fault::Odd { odd, done }),
                call(0),
                ms(10_500),
                arm(1, At::Ask, 1, Fault::Odd { odd, done }),
                call(1),
                minutes(1),
            ]);
            assert_eq!((run.created, &*run.returned[1]), (1, "cus_0001"));
        }
    }
}
