//! People in the dashboard and in the host's tables, and webhooks that come late, twice, or in any
//! order.

use super::{arm, call, hours, minutes, played, recover, seconds};
use crate::ops::{At, Fault, Key, Op, Side};

const DELETE: Op = Op::Delete { tenant: 0, nth: 0 };
const DELIVER_DELETED: Op = Op::DeliverDeleted { process: 1, tenant: 0, nth: 0 };
const DELIVER_CREATED: Op = Op::DeliverCreated { process: 2, tenant: 0, nth: 0 };

#[test]
fn a_tenant_deleted_and_registered_again_with_its_old_id() {
    let (gone, back) = (Op::Remove { tenant: 0 }, Op::Register { tenant: 0 });
    let run = played(&[call(0), minutes(1), gone, minutes(1), back, call(1), minutes(1)]);
    assert_eq!((run.created, &*run.returned[1]), (1, "cus_0001"));

    // The same while its request is on its way.
    let slow = arm(0, At::Create, 0, Fault::Slow { seconds: 20 });
    let run = played(&[slow, call(0), seconds(5), gone, seconds(5), back, call(1), minutes(2)]);
    assert_eq!(run.created, 1);

    // And when it was gone long enough for its request to be given up.
    let late = arm(0, At::Create, 0, Fault::Late { minutes: 178, dies: true });
    let run =
        played(&[late, call(0), minutes(1), gone, recover(1), hours(2), back, call(1), hours(8)]);
    assert_eq!(run.created, 1);
}

#[test]
fn an_email_edited_in_the_dashboard_before_an_inquiry() {
    let run = played(&[
        arm(0, At::Create, 0, Fault::Crash(Side::After)),
        call(0),
        minutes(1),
        Op::Edit { tenant: 0, nth: 0 },
        hours(26),
        recover(1),
        minutes(1),
        call(2),
        minutes(1),
    ]);
    assert_eq!(run.created, 1);
}

#[test]
fn a_deletion_delivered_before_the_creation_and_again_after_a_rebind() {
    let run = played(&[
        arm(0, At::Create, 0, Fault::Crash(Side::After)),
        call(0),
        minutes(1),
        DELETE,
        DELIVER_DELETED,
        seconds(10),
        DELIVER_CREATED,
        seconds(30),
        call(1),
        minutes(1),
        Op::HostNulls { tenant: 0 },
        call(2),
        minutes(1),
        DELIVER_DELETED,
        DELIVER_CREATED,
        minutes(1),
        call(0),
        minutes(1),
    ]);
    assert_eq!(run.created, 2);
    assert_eq!(run.returned[1..4], ["cus_0002", "cus_0002", "cus_0002"]);
}

#[test]
fn a_creation_that_only_a_webhook_reports() {
    let run = played(&[
        arm(0, At::Create, 0, Fault::Crash(Side::After)),
        call(0),
        minutes(1),
        DELIVER_CREATED,
        DELIVER_CREATED,
        minutes(1),
        recover(1),
        minutes(1),
    ]);
    assert_eq!(run.created, 1);
    assert_eq!(run.says("p2 writes 0 Some((\"provisioned\""), 1);
}

#[test]
fn a_customer_that_an_operator_unbound_is_not_adopted_again() {
    let unbind = Op::Unbind { process: 1, tenant: 0 };
    let run =
        played(&[call(0), minutes(1), unbind, minutes(1), DELIVER_CREATED, call(2), hours(26)]);
    assert_eq!(run.created, 2);
    assert_eq!(run.returned[1], "cus_0002");
}

#[test]
fn a_host_that_bound_another_customer_itself_meanwhile() {
    let slow = arm(0, At::Create, 0, Fault::Slow { seconds: 5 });
    let run = played(&[slow, call(0), seconds(2), Op::HostOverwrites { tenant: 0 }, minutes(1)]);
    // That ours is on record is for the harness to assert.
    assert_eq!(run.says("(\"provisioned\", 1, 2)) Keep: Ok(Yes)"), 1);
    assert_eq!(run.returned.last().map(String::as_str), Some("cus_0001"), "the host's, made first");
}

#[test]
fn a_customer_that_the_host_bound_and_nulled_again_is_still_the_tenants() {
    // Seed 1361 took this for an adoption. The row is provisioned with what the host had bound, and
    // a column that is nulled is filled again, whoever had filled it first.
    let run = played(&[
        arm(0, At::Create, 0, Fault::Stored500 { effect: None }),
        call(0),
        hours(1),
        Op::HostOverwrites { tenant: 0 },
        recover(1),
        minutes(1),
        Op::HostNulls { tenant: 0 },
        call(1),
        minutes(1),
    ]);
    assert_eq!((run.created, &*run.returned[1]), (1, "cus_0001"));
}

#[test]
fn a_key_of_another_account_or_mode_creates_nothing() {
    for key in [Key::OtherAccount, Key::OtherMode] {
        let run = played(&[
            Op::Key { process: 0, key },
            call(0),
            minutes(1),
            call(1),
            minutes(1),
            call(0),
            minutes(1),
        ]);
        assert_eq!(run.returned[..3], ["operator_must_act", "cus_0001", "operator_must_act"]);
        assert_eq!(run.created, 1);
    }
}
