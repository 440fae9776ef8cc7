//! What the scenarios do not say of asking: ages, restores, and rows whose next inquiry is not due.

use tenant_billing_core::{
    decide::next,
    provisioning::{Asker, Step},
};

use crate::{
    scenarios::in_doubt_view,
    scene::{
        At, But, COLUMNS, DETAILS, NOW, OTHER, SECOND, caller, context, hours, inquire_first,
        minutes, now, restored, unbound, view,
    },
    summary::step,
};

#[test]
fn a_tenant_that_is_gone_is_unknown_to_every_caller() {
    for at in COLUMNS {
        for context in [context(), inquire_first()] {
            for details in [&DETAILS, &OTHER] {
                assert_eq!(step(&view(at).gone(), caller(details), &context), "unknown tenant");
            }
        }
    }
}

#[test]
fn a_column_that_is_null_is_filled_by_the_same_customer_under_every_policy() {
    let nulled = view(At::Provisioned).nulled();
    assert_eq!(step(&nulled, caller(&OTHER), &inquire_first()), "retrieve cus_cid");
}

#[test]
fn a_caller_makes_an_inquiry_that_is_due_and_otherwise_waits_or_retries() {
    let table = [
        // when the next attempt is due, when an inquiry is conclusive, expected
        (-SECOND, minutes(30), "inquire"),
        (NOW, minutes(30), "inquire"),
        (SECOND, minutes(30), "retry +1s"),
        (minutes(30), minutes(30), "retry +30m"),
        // It can be conclusive already, so another process makes one now.
        (SECOND, NOW, "wait"),
        (minutes(1), -minutes(1), "wait"),
    ];
    for (due, conclusive, expected) in table {
        let view = in_doubt_view(view(At::InDoubt), due, conclusive);
        assert_eq!(step(&view, caller(&DETAILS), &context()), expected);
        assert_eq!(step(&view, Asker::Worker, &context()), "inquire", "the worker has claimed it");
    }
    // A restore puts off the moment from which an inquiry is conclusive.
    let view = in_doubt_view(view(At::InDoubt), minutes(1), -minutes(1));
    let restored = restored(now() - hours(5) + SECOND);
    assert_eq!(step(&view, caller(&DETAILS), &restored), "retry +1m");
}

#[test]
fn a_key_has_three_ages() {
    let table = [
        (NOW, "send 3"),
        (hours(20) - SECOND, "send 3"),
        (hours(20), "retry +3h"),
        (hours(20) + SECOND, "retry +2h 59m 59s"),
        (hours(23) - SECOND, "retry +1s"),
        (hours(23), "D3 +2h [in_doubt]"),
        (hours(23) + SECOND, "D3 +1h 59m 59s [in_doubt]"),
        (hours(25), "D3 +0s [in_doubt]"),
        (hours(26), "D3 +1h ago [in_doubt]"),
    ];
    for (age, expected) in table {
        let view = view(At::Pending).aged(age);
        assert_eq!(step(&view, caller(&DETAILS), &context()), expected, "{age:#}");
        // The worker moves its own turn to the end of the pause, and then leaves the row alone.
        let said = step(&view, Asker::Worker, &context());
        if expected.starts_with("retry") {
            assert_eq!(said, "same");
            let Step::Commit(moved) = next(&view, Asker::Worker, &context()) else {
                panic!("{age:#}")
            };
            let row = moved.row.as_ref().expect("a row");
            assert_eq!(row.next_attempt_at, row.opened_at + hours(23));
            assert_eq!(step(&view.changed(*moved), Asker::Worker, &context()), expected);
        } else {
            assert_eq!(said, expected, "{age:#}");
        }
    }
}

#[test]
fn a_pending_row_from_before_a_restored_backup_is_in_doubt_and_not_sent() {
    // It was opened two hours ago.
    for (restored_at, expected) in [
        (now() - hours(3), "send 3"),
        (now() - hours(2), "send 3"),
        (now() - hours(2) + SECOND, "D3 +5h [in_doubt]"),
        (now() - SECOND, "D3 +5h [in_doubt]"),
    ] {
        let (pending, context) = (view(At::Pending), restored(restored_at));
        assert_eq!(step(&pending, caller(&DETAILS), &context), expected);
        assert_eq!(step(&pending, Asker::Worker, &context), expected);
    }
}

#[test]
fn age_leaves_every_other_state_alone() {
    for age in [hours(20), hours(23), hours(2000)] {
        for (at, worker) in [
            (At::Vacant, "idle"),
            (At::InDoubt, "inquire"),
            (At::Rejected, "idle"),
            (At::Provisioned, "idle"),
        ] {
            assert_eq!(step(&view(at).aged(age), Asker::Worker, &context()), worker);
        }
    }
    assert_eq!(step(&unbound(None), Asker::Worker, &context()), "idle");
}
