//! Customers that the host moves from one tenant's column into another's.

use super::{call, call_for, hours, minutes, played, played_with, recover};
use crate::ops::{Op, Settings, Stranger};

/// The host moves the tenant's first live Customer; or it moves it back.
const MOVE: Op = Op::HostMoves { tenant: 0, nth: 0 };

#[test]
fn a_newer_customer_that_another_tenants_column_holds_is_not_surplus() {
    let settings = Settings { inquire_first: true, ..Settings::PLAIN };
    let legacy = Op::Stranger { tenant: 0, kind: Stranger::Legacy };
    let newer = Op::HostMoves { tenant: 0, nth: 1 };
    let ops = [legacy, minutes(1), legacy, newer, call(0), minutes(1), call_for(1, 1), minutes(1)];
    let run = played_with(settings, &ops);
    assert_eq!((run.created, &run.returned[..2]), (2, &["cus_0001".into(), "cus_0002".into()][..]));
}

#[test]
fn a_tenant_whose_customer_was_moved_away_is_not_given_another() {
    let run = played(&[call(0), minutes(1), MOVE, call(1), minutes(1), MOVE, call(2), minutes(1)]);
    assert_eq!(run.created, 1);
    assert_eq!(run.returned[..3], ["cus_0001", "operator_must_act", "cus_0001"]);
}

/// Found by seed 718: inquiries found the Customer for ever, and passed it over for ever.
#[test]
fn a_moved_customer_that_an_operator_unbinds_from_its_new_tenant_is_followed_by_another() {
    let unbind = Op::Unbind { process: 1, tenant: 1 };
    let lost = Op::LoseRow { tenant: 0 };
    let run = played(&[
        call(0),
        minutes(1),
        MOVE,
        lost,
        call(1),
        minutes(1),
        unbind,
        hours(6),
        recover(1),
        minutes(1),
        call(1),
        minutes(1),
    ]);
    assert_eq!(run.created, 2);
    assert_eq!(run.returned[1..3], ["operator_must_act", "cus_0002"]);
}
