//! Whose Customer: a second application on the same account, Customers without a mark, a database
//! that is copied, and metadata that somebody edits.

use tenant_billing::Unmarked;

use super::{arm, call, call_for, hours, minutes, played_with, recover, seconds};
use crate::{
    ops::{At, Fault, Meddling, Op, Settings, Side, Stranger, Their},
    run::Summary,
};

const LIVE: Settings = Settings { live: true, inquire_first: true, ..Settings::PLAIN };
const THEIRS: Op = Op::Theirs(Their::Call { tenant: 0 });

#[test]
fn the_second_applications_customer_stops_a_call_until_it_is_declared() {
    let ops = |declared: &[Op]| {
        let begin = [Op::Second, THEIRS, minutes(1)];
        [&begin[..], declared, &[call(0), minutes(1)]].concat()
    };
    for (declared, returned) in [(&[][..], "operator_must_act"), (&[Op::Declare], "cus_0002")] {
        let run = played_with(LIVE, &ops(declared));
        assert_eq!((run.created, &*run.returned[0]), (2, returned), "once all is declared");
    }
    // In test mode, where many environments share an account, nobody need declare anything.
    let run = played_with(Settings { live: false, ..LIVE }, &ops(&[]));
    assert_eq!((run.created, &*run.returned[0]), (2, "cus_0002"));
}

#[test]
fn two_applications_that_create_for_the_same_id_at_once() {
    let late = |process| arm(process, At::Create, 0, Fault::LoseAnswer);
    let theirs = [Op::Second, late(0), late(3), call(0), THEIRS, minutes(2), THEIRS];
    let settings = Settings { inquire_first: false, ..LIVE };
    let run = played_with(settings, &[&theirs[..], &[recover(0), minutes(1)]].concat());
    assert_eq!(run.created, 2);
}

#[test]
fn a_customer_without_a_mark_under_each_policy() {
    use Unmarked::{Adopt, Ignore, Stop};
    let stops = "operator_must_act";
    for (unmarked, theirs, returned, created) in [
        // The tenants' ids are UUIDs, so by default it is adopted.
        (None, false, "cus_0001", 1),
        (Some(Adopt), false, "cus_0001", 1),
        // Then the operator says that such are to be adopted, or are another application's.
        (Some(Stop), false, stops, 1),
        (Some(Stop), true, stops, 2),
        (Some(Ignore), true, "cus_0002", 2),
    ] {
        let kinds = match theirs {
            true => [Stranger::OtherSoftware, Stranger::OtherUser],
            false => [Stranger::Legacy, Stranger::LegacyUser],
        };
        for kind in kinds {
            let settings =
                Settings { unmarked, unmarked_are_theirs: theirs, user_key: true, ..LIVE };
            let ops = [Op::Stranger { tenant: 0, kind }, call(0), minutes(1)];
            let run = played_with(settings, &ops);
            let what = format!("{kind:?} under {unmarked:?}");
            assert_eq!((run.created, &*run.returned[0]), (created, returned), "{what}");
        }
    }
}

#[test]
fn a_key_of_older_software_that_is_not_looked_for_is_a_strangers() {
    let ops = [Op::Stranger { tenant: 0, kind: Stranger::OtherUser }, call(0), minutes(1)];
    let run = played_with(LIVE, &ops);
    assert_eq!((run.created, &*run.returned[0]), (2, "cus_0002"));
}

/// A copy that nobody has declared creates nothing and adopts nothing. What it had bound it hands
/// out.
#[test]
fn a_copy_that_nobody_has_declared() {
    let run = copied(&[call_for(0, 1), seconds(30)], &[]);
    let told = run.says("the second returns Err(Error { problem: Operator(CopiedOrMoved(");
    assert_eq!((told, run.says("p3 sends")), (2, 1), "and sends for it once it is declared");
    let run = copied(&[call(0), seconds(30)], &[]);
    assert_eq!(run.says("the second returns Ok(\"cus_0001\")"), 3, "and at the end");
    assert_eq!((run.created, run.says("p3 sends")), (1, 0));
}

#[test]
fn a_copy_that_forgets_the_originals_customers_or_keeps_them() {
    for (keep, created) in [(false, 2), (true, 1)] {
        let run = copied(&[call(0), seconds(30)], &[Op::Afresh { keep }]);
        assert_eq!((run.created, run.says("p3 sends")), (created, usize::from(!keep)));
    }
}

/// The copy's row is pending, under a key of the original's: it may not send that.
#[test]
fn a_copy_made_while_a_request_is_on_its_way() {
    let late = arm(0, At::Create, 0, Fault::Late { minutes: 30, dies: true });
    for keep in [true, false] {
        let run = copied(&[late, call(0), seconds(30)], &[Op::Afresh { keep }]);
        assert_eq!(run.created, 2, "each its own");
    }
}

/// Copies the database after `before`; the copy is called before its operator does what `declared`
/// says, and after.
fn copied(before: &[Op], declared: &[Op]) -> Summary {
    let copy = [Op::Copy, THEIRS, minutes(1)];
    let after = [THEIRS, hours(1), call(1), minutes(1)];
    let declared = declared.iter().copied();
    let ops = before.iter().copied().chain(copy).chain(declared).chain(after).collect::<Vec<_>>();
    played_with(LIVE, &ops)
}

/// Somebody edits the Customer that a process created before it died, and nobody has bound it.
#[test]
fn metadata_edited_before_the_customer_is_bound() {
    for (how, unmarked) in [
        (Meddling::Unmark, None),
        (Meddling::Unmark, Some(Unmarked::Stop)),
        (Meddling::Unmark, Some(Unmarked::Ignore)),
        (Meddling::Unname, None),
        (Meddling::Respell, None),
    ] {
        let settings = Settings { unmarked, inquire_first: false, ..LIVE };
        let died = arm(0, At::Create, 0, Fault::Crash(Side::After));
        let edit = Op::Meddle { tenant: 0, nth: 0, how };
        let run =
            played_with(settings, &[died, call(0), hours(3), edit, hours(23), call(1), minutes(1)]);
        assert_eq!((run.created, &*run.returned[1]), (1, "cus_0001"), "{how:?} under {unmarked:?}");
    }
}

/// The event of its creation shows whose it is, so the tenant that it names now gets its own.
#[test]
fn a_bound_customer_that_somebody_gives_to_another_tenant_in_the_dashboard() {
    let rename = Op::Meddle { tenant: 0, nth: 0, how: Meddling::Rename };
    let run = played_with(
        LIVE,
        &[call(0), hours(3), rename, call_for(1, 1), minutes(1), call(2), minutes(1)],
    );
    assert_eq!(run.returned[..3], ["cus_0001", "cus_0002", "cus_0001"]);
    assert_eq!(run.created, 2);
}

/// The second application's Customer, without its mark.
#[test]
fn a_mark_taken_off_the_second_applications_customer_stops_the_first() {
    let edit = Op::Meddle { tenant: 0, nth: 0, how: Meddling::Unmark };
    let settings = Settings { unmarked: Some(Unmarked::Stop), unmarked_are_theirs: true, ..LIVE };
    let run = played_with(settings, &[Op::Second, THEIRS, hours(3), edit, call(0), minutes(1)]);
    assert_eq!((run.created, &*run.returned[0]), (2, "operator_must_act"));
}
