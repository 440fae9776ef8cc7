//! The rows of the table that are about asking, waiting and the host. Columns: no row, vacant, pending,
//! suspect, rejected, settled; every row that is there is of generation 3.

use tenant_billing_core::{
    provisioning::{Asker, Event, Step, next},
    state::View,
};

use crate::{
    scene::{
        At, But, DETAILS, HOST, NOW, OTHER, SECOND, X, caller, cus, found, hours, look_first,
        looked, minutes, now, restored, site, suspect, unbound, view,
    },
    summary::{check, row_if, step, steps},
};

fn as_is(view: View) -> View {
    view
}

#[test]
fn open_with_the_same_request() {
    let cells =
        ["P1 guarded [opened]", "P3 guarded [opened]", "send 3", "look", "refused", "done cus_cid"];
    steps(as_is, caller(&DETAILS), &site(), cells);
    let cells = [
        "S1 +0s unsent guarded [opened]",
        "S3 +0s unsent guarded [opened]",
        "send 3",
        "look",
        "refused",
        "done cus_cid",
    ];
    steps(as_is, caller(&DETAILS), &look_first(), cells);
}

#[test]
fn open_with_another_request() {
    let cells = [
        "P1 guarded [opened]",
        "P3 guarded [opened]",
        "send 3",
        "look",
        "P4 guarded [opened]",
        "done cus_cid",
    ];
    steps(as_is, caller(&OTHER), &site(), cells);
    let cells = [
        "S1 +0s unsent guarded [opened]",
        "S3 +0s unsent guarded [opened]",
        "send 3",
        "look",
        "S4 +0s unsent guarded [opened]",
        "done cus_cid",
    ];
    steps(as_is, caller(&OTHER), &look_first(), cells);
}

#[test]
fn open_where_the_tenant_is_gone_changes_nothing() {
    for site in [site(), look_first()] {
        for details in [&DETAILS, &OTHER] {
            steps(But::gone, caller(details), &site, ["unknown tenant"; 6]);
        }
    }
}

#[test]
fn open_of_a_suspect_row_looks_if_due_else_tries_later() {
    let table = [
        // next attempt, quiet until, expected
        (-SECOND, minutes(30), "look"),
        (NOW, minutes(30), "look"),
        (SECOND, minutes(30), "later +1s"),
        (minutes(30), minutes(30), "later +30m"),
        // Quiet is over, so somebody is looking: the turn of the next one comes soon.
        (SECOND, NOW, "busy +1s"),
        (minutes(1), -minutes(1), "busy +1m"),
    ];
    for (due, quiet, expected) in table {
        let view = view_suspect(due, quiet);
        assert_eq!(step(&view, caller(&DETAILS), &site()), expected);
        assert_eq!(step(&view, Asker::Worker, &site()), "look", "the worker has claimed it");
    }
}

fn view_suspect(due: jiff::SignedDuration, quiet: jiff::SignedDuration) -> View {
    let mut view = view(At::Suspect);
    let quiet_until = view.now + quiet;
    if let Some(row) = &mut view.row {
        row.next_attempt_at = view.now + due;
        row.state = suspect(quiet_until, true);
    }
    view
}

#[test]
fn open_of_a_settled_tenant_whose_column_is_null_asks_stripe_about_its_customer() {
    let nulled = view(At::Settled).nulled();
    assert_eq!(step(&nulled, caller(&DETAILS), &site()), "retrieve cus_cid");
    let (alive, dead) = (Event::StillLive(cus("cus_cid")), Event::Deleted(cus("cus_cid")));
    let say = |view: &View, event: &Event, cell| check("settled, null", view, event, &site(), cell);
    say(&nulled, &alive, "same bind cus_cid guarded [rebound]");
    say(&nulled, &dead, "V4 [vacated]");
    // Else it stays: what was asked is not what the row or the column says by now.
    say(&view(At::Settled), &alive, "–");
    say(&nulled, &Event::StillLive(cus(X)), "–");
    say(&nulled.clone().gone(), &alive, "–");
    say(&nulled.clone().known_deleted(), &alive, "V4 [vacated]");
    say(&nulled.bound_elsewhere(), &alive, "operator: cus_cid is another's");
}

#[test]
fn after_a_crash_the_worker_goes_on_and_begins_nothing() {
    steps(as_is, Asker::Worker, &site(), ["idle", "idle", "send 3", "look", "idle", "idle"]);
    steps(But::nulled, Asker::Worker, &site(), ["idle", "idle", "send 3", "look", "idle", "idle"]);
    // Its next caller does the rest.
    steps(
        But::nulled,
        caller(&DETAILS),
        &site(),
        [
            "P1 guarded [opened]",
            "P3 guarded [opened]",
            "send 3",
            "look",
            "refused",
            "retrieve cus_cid",
        ],
    );
}

fn host_bound(view: View) -> View {
    view.bound_to(HOST)
}

#[test]
fn the_tenant_is_gone_at_the_send() {
    steps(
        But::gone,
        Asker::Worker,
        &site(),
        ["idle", "idle", "S3 +5h [suspected]", "look", "idle", "idle"],
    );
}

#[test]
fn the_host_nulls_the_column() {
    steps(But::nulled, Asker::Worker, &site(), ["idle", "idle", "send 3", "look", "idle", "idle"]);
    assert_eq!(
        step(&view(At::Settled).nulled(), caller(&OTHER), &look_first()),
        "retrieve cus_cid"
    );
}

#[test]
fn the_host_overwrites_the_column() {
    steps(host_bound, caller(&DETAILS), &site(), ["done cus_host"; 6]);
    steps(
        host_bound,
        Asker::Worker,
        &site(),
        ["idle", "idle", "S3 +5h [suspected]", "look", "idle", "idle"],
    );
    row_if(
        host_bound,
        &looked(found(&[X])),
        [
            "n/a",
            "no bind",
            "settled cus_x surplus cus_x host_bound_another [surplus settled]",
            "settled cus_x surplus cus_x host_bound_another [surplus settled]",
            "no bind",
            "surplus cus_x duplicate [surplus]",
        ],
    );
}

#[test]
fn the_tenant_is_registered_again() {
    let again = |view: View| view.gone().registered();
    steps(
        again,
        caller(&OTHER),
        &site(),
        [
            "P1 guarded [opened]",
            "P3 guarded [opened]",
            "send 3",
            "look",
            "P4 guarded [opened]",
            "retrieve cus_cid",
        ],
    );
}

trait Registered {
    fn registered(self) -> Self;
}

impl Registered for View {
    fn registered(self) -> Self {
        Self { exists: true, ..self }
    }
}

#[test]
fn a_key_has_three_ages() {
    let table = [
        (NOW, "send 3"),
        (hours(20) - SECOND, "send 3"),
        (hours(20), "later +3h"),
        (hours(20) + SECOND, "later +2h 59m 59s"),
        (hours(23) - SECOND, "later +1s"),
        (hours(23), "S3 +2h [suspected]"),
        (hours(23) + SECOND, "S3 +1h 59m 59s [suspected]"),
        (hours(25), "S3 +0s [suspected]"),
        (hours(26), "S3 +1h ago [suspected]"),
    ];
    for (age, expected) in table {
        let expected = expected.replace("+1h ago", "+-1h");
        let view = view(At::Pending).aged(age);
        let said = step(&view, caller(&DETAILS), &site());
        assert_eq!(said.replace("+1h ago", "+-1h"), expected, "{age:#}");
        // The worker moves its own turn to the end of the pause, and is silent then.
        let said = step(&view, Asker::Worker, &site());
        if expected.starts_with("later") {
            assert_eq!(said, "same");
            let Step::Commit(moved) = next(&view, Asker::Worker, &site()) else {
                panic!("{age:#}")
            };
            assert_eq!(step(&view.changed(*moved), Asker::Worker, &site()), expected);
        } else {
            assert_eq!(said.replace("+1h ago", "+-1h"), expected, "{age:#}");
        }
    }
}

#[test]
fn a_pending_row_from_before_a_restored_backup_is_looked_for_and_not_sent() {
    // It was opened two hours ago.
    for (restored_at, expected) in [
        (now() - hours(3), "send 3"),
        (now() - hours(2), "send 3"),
        (now() - hours(2) + SECOND, "S3 +5h [suspected]"),
        (now() - SECOND, "S3 +5h [suspected]"),
    ] {
        let (pending, site) = (view(At::Pending), restored(restored_at));
        assert_eq!(step(&pending, caller(&DETAILS), &site), expected);
        assert_eq!(step(&pending, Asker::Worker, &site), expected);
    }
}

#[test]
fn age_leaves_every_other_state_alone() {
    for age in [hours(20), hours(23), hours(2000)] {
        for (at, worker) in [
            (At::Vacant, "idle"),
            (At::Suspect, "look"),
            (At::Rejected, "idle"),
            (At::Settled, "idle"),
        ] {
            assert_eq!(step(&view(at).aged(age), Asker::Worker, &site()), worker);
        }
    }
    assert_eq!(step(&unbound(None), Asker::Worker, &site()), "idle");
}
