//! What the prose around the table demands: look windows, requests frozen anew, guards, accounts, pace.

use jiff::{SignedDuration, Timestamp};
use tenant_billing_core::{
    answer::Failure,
    ids::{Email, Mode},
    provisioning::{Asker, Event, Findings, How, Look, Site, Step, Stop, after, next},
    request::{CustomerDetails, FrozenRequest, STRIPE_VERSION},
    state::{Column, Row, State, View},
};

use crate::{
    scene::{
        At, But, CID, COLUMNS, DETAILS, G, NOW, OTHER, SECOND, X, account, caller, cus, details,
        found, hours, live, look_first, looked, minutes, now, refusal, request, restored, row_in,
        site, suspect, tenant, unbound, view,
    },
    summary::{check, step},
};

fn look_of(view: &View) -> Look {
    match next(view, Asker::Worker, &site()) {
        Step::Look(look) => look,
        step => panic!("no look: {step:?}"),
    }
}

#[test]
fn a_look_reads_events_since_a_day_before_the_opening_and_30_days_at_most() {
    let month = hours(30 * 24);
    let table = [
        // age of the row, sent, events since (before now), needs search
        (hours(2), true, hours(26), false),
        (hours(23), true, hours(47), false),
        (month - hours(24) - SECOND, true, month - SECOND, false),
        (month - hours(24), true, month, false),
        (month - hours(24) + SECOND, true, month, true),
        (month, true, month, true),
        (hours(9999), true, month, true),
        // Never sent: whatever there is, it is not this generation's.
        (NOW, false, month, false),
        (hours(2), false, month, false),
    ];
    for (age, sent, since, needs_search) in table {
        let mut view = view(At::Suspect).aged(age);
        if let Some(row) = &mut view.row {
            row.state = suspect(now(), sent);
        }
        let look = look_of(&view);
        assert_eq!(
            (look.events_since, look.needs_search),
            (now() - since, needs_search),
            "{age:#} {sent}"
        );
    }
}

#[test]
fn a_suspect_row_keeps_its_opening_time_and_is_due_at_once() {
    let event =
        Event::Answered { generation: G, failure: Failure::Spent, words: "HTTP 500".into() };
    let view = view(At::Pending);
    let row = after(&view, &event, &site()).change.row.expect("a row");
    assert_eq!(row.opened_at, now() - hours(2));
    assert_eq!((row.next_attempt_at, row.attempts), (now(), 0));
    assert_eq!(row.last_error.as_deref(), Some("HTTP 500"));
}

#[test]
fn a_row_that_moves_on_forgets_what_went_wrong() {
    let words = "HTTP 400".to_owned();
    let refused = Failure::Refused(refusal());
    let refused = Event::Answered { generation: G, failure: refused, words };
    let dead = Event::Dead { generation: G, customer: cus(X) };
    for event in [live(G, X), refused, dead] {
        let row = after(&view(At::Pending), &event, &site()).change.row.expect("a row");
        assert_eq!((row.attempts, row.last_error), (0, None), "{event:?}");
    }
    let row = after(&view(At::Suspect), &looked(Findings::None), &site()).change.row;
    assert_eq!(row.map(|row| (row.attempts, row.last_error)), Some((0, None)));
}

#[test]
fn a_quiet_time_is_never_shortened() {
    let table = [
        (hours(9), "S3 +9h"),
        (hours(5), "S3 +5h"),
        (minutes(10), "S3 +5h"),
        (-hours(9), "S3 +5h"),
    ];
    for (quiet, expected) in table {
        let mut view = view(At::Suspect);
        if let Some(row) = &mut view.row {
            row.state = suspect(now() + quiet, true);
        }
        let cell = format!("{expected} surplus cus_x late [surplus suspected]");
        check("older generation", &view, &live(G - 1, X), &site(), &cell);
    }
}

#[test]
fn a_row_that_is_given_up_to_an_older_answer_looks_for_what_the_sender_asked() {
    let mut asked = request(G - 1);
    asked.body = asked.body.replace("jane", "joan");
    let (generation, customer) = (G - 1, cus(X));
    let event =
        Event::Live { generation, customer, request: Some(asked.clone()), how: How::Created };
    for at in [At::Vacant, At::Pending, At::Suspect, At::Rejected] {
        let row = after(&view(at), &event, &site()).change.row.expect("a row");
        assert_eq!(row.state.request(), Some(&asked), "{at:?}");
    }
}

/// What a look leaves of a suspect row when there is certainly none.
fn reopened(state: State) -> Row {
    let view = unbound(Some(row_in(state)));
    let change = after(&view, &looked(Findings::None), &site()).change;
    change.row.expect("a row")
}

#[test]
fn certainly_none_freezes_the_rows_own_fields_anew() {
    let mut old = request(G);
    old.stripe_version = "2020-08-27".into();
    old.account = account("acct_ours", Mode::Live);
    for (sent, generation) in [(true, G + 1), (false, G)] {
        let quiet_until = now();
        let row = reopened(State::Suspect { request: old.clone(), quiet_until, sent });
        let expected = FrozenRequest::freeze(&site().origin, &tenant(), generation, &DETAILS);
        assert_eq!(row.state, State::Pending(expected));
        assert_eq!((row.generation, row.opened_at, row.attempts), (generation, now(), 0));
        assert!(row.next_attempt_at > now(), "who reopened it sends it");
        let State::Pending(request) = &row.state else { panic!() };
        assert_eq!(request.stripe_version, STRIPE_VERSION);
    }
}

#[test]
fn certainly_none_sends_nothing_that_cannot_be_read_back() {
    let mut request = request(G);
    request.body = "name=x".into();
    let view = unbound(Some(row_in(State::Suspect { request, quiet_until: now(), sent: true })));
    check("unreadable", &view, &looked(Findings::None), &site(), "paced [look_failed]");
}

#[test]
fn an_opening_freezes_what_was_asked() {
    for (at, was, generation) in
        [(At::NoRow, None, 1), (At::Vacant, Some(7), G), (At::Rejected, Some(7), G + 1)]
    {
        let Step::Commit(change) = next(&view(at), caller(&OTHER), &site()) else {
            panic!("{at:?}")
        };
        let row = change.row.clone().expect("a row");
        let expected = FrozenRequest::freeze(&site().origin, &tenant(), generation, &OTHER);
        assert_eq!(row.state, State::Pending(expected));
        assert_eq!((change.was, row.opened_at, row.attempts), (was, now(), 0));
        assert!(
            row.next_attempt_at > now() + SignedDuration::from_secs(10),
            "past the caller's deadline"
        );
        assert_eq!((change.column, row.last_error), (Column::Keep, None));
    }
}

#[test]
fn a_look_first_opening_is_due_at_once_and_a_look_opens_its_own_generation() {
    for (at, generation) in [(At::NoRow, 1), (At::Vacant, G), (At::Rejected, G + 1)] {
        let next = |view: &View| next(view, caller(&OTHER), &look_first());
        let Step::Commit(change) = next(&view(at)) else { panic!("{at:?}") };
        let opened = view(at).changed(*change);
        let Step::Look(look) = next(&opened) else { panic!("{at:?}") };
        assert_eq!(look.events_since, now() - hours(30 * 24));
        let event = Event::Looked { generation, look, findings: Findings::None };
        let change = after(&opened, &event, &look_first()).change;
        let expected = FrozenRequest::freeze(&site().origin, &tenant(), generation, &OTHER);
        assert_eq!(next(&opened.changed(change)), Step::Send(expected));
    }
}

/// Rows are never deleted, so a trail without a row is a loss: given up as of now, and looked for as far
/// back as events reach.
#[test]
fn a_tenant_whose_row_was_lost_is_looked_for_before_the_next_generation() {
    let lost = View { lost_generation: G, ..view(At::NoRow) };
    let said = step(&lost, caller(&OTHER), &site());
    assert_eq!(said, format!("S{G} +5h guarded [suspected]"));
    let Step::Commit(change) = next(&lost, caller(&OTHER), &site()) else { panic!("gives up") };
    let suspect = lost.changed(*change);
    let Step::Look(look) = next(&suspect, caller(&OTHER), &site()) else { panic!("looks") };
    assert_eq!((look.events_since, look.needs_search), (now() - hours(29 * 24), false));
    let after_the_quiet = View { now: now() + hours(23), ..suspect.clone() };
    assert!(!look_of(&after_the_quiet).needs_search, "an account without search can conclude");
    let event = |began| {
        let look = Look { began, ..look.clone() };
        Event::Looked { generation: G, look, findings: Findings::None }
    };
    check("too early", &suspect, &event(now() + hours(5) - SECOND), &site(), "paced [look_failed]");
    let certain = format!("P{} guarded [reopened]", G + 1);
    check("in time", &suspect, &event(now() + hours(5)), &site(), &certain);
}

#[test]
fn a_restore_is_remembered_by_the_rows_that_it_concerns() {
    let at = now() - hours(1);
    let Step::Commit(change) = next(&view(At::NoRow), caller(&OTHER), &restored(at)) else {
        panic!("opens")
    };
    let row = change.row.expect("a row");
    let State::Suspect { quiet_until, .. } = row.state else { panic!("{row:?}") };
    assert_eq!(quiet_until, at + hours(5));
    // A row from before it learns of it by the first look that finds none.
    let none = looked(Findings::None);
    let row = after(&view(At::Suspect), &none, &restored(at)).change.row.expect("a row");
    let State::Suspect { quiet_until, .. } = row.state else { panic!("{row:?}") };
    assert_eq!(quiet_until, at + hours(5));
}

/// What a backup has lost may have used any generation that counting leads to, up to a row's own.
#[test]
fn after_a_restore_no_generation_is_used_that_may_have_been_used_before() {
    let restored_at = now() - hours(6);
    let unused = u64::try_from(restored_at.as_millisecond()).expect("after 1970");
    let site = restored(restored_at);
    let opened = |view: &View, site: &Site| {
        let Step::Commit(change) = next(view, caller(&OTHER), site) else { panic!("opens") };
        change.row.expect("a row")
    };
    for at in [At::NoRow, At::Vacant, At::Rejected] {
        let row = opened(&view(at), &site);
        let State::Suspect { request, sent, .. } = &row.state else { panic!("{row:?}") };
        let key = request.key.parts().expect("a key of ours");
        assert_eq!((row.generation, key.generation, *sent), (unused, unused, false));
    }
    // One that a look before the restore had opened, and that may have been sent since.
    for sent in [true, false] {
        let mut view = view(At::Suspect);
        if let Some(row) = &mut view.row {
            row.state = suspect(now() - hours(7), sent);
        }
        let expected = format!("P{unused} guarded [reopened]");
        check("restored", &view, &looked(Findings::None), &site, &expected);
    }
    // From there on it counts as ever.
    for (at, expected) in [(At::Vacant, unused + 3), (At::Rejected, unused + 4)] {
        let mut view = view(at);
        if let Some(row) = &mut view.row {
            row.generation = unused + 3;
        }
        assert_eq!(opened(&view, &site).generation, expected);
    }
    let before_1970 = restored(Timestamp::from_second(-1).expect("a time"));
    assert_eq!(opened(&view(At::Vacant), &before_1970).generation, G);
}

#[test]
fn a_request_that_was_frozen_for_another_account_is_not_sent() {
    let mut view = view(At::Pending);
    if let Some(Row { state: State::Pending(request), .. }) = &mut view.row {
        request.account.id = "acct_other".parse().expect("an id");
    }
    let step = next(&view, Asker::Worker, &site());
    assert!(matches!(step, Step::Stop(Stop::WrongAccount(_))), "{step:?}");
}

#[test]
fn an_opening_waits_as_long_as_anybody_likes() {
    for wait in [SignedDuration::ZERO, hours(24), SignedDuration::MAX] {
        let said = step(&view(At::NoRow), Asker::Caller(&DETAILS, wait), &site());
        assert_eq!(said, "P1 guarded [opened]", "{wait:?}");
    }
}

#[test]
fn a_rejection_is_final_only_for_the_same_request() {
    let plain = |email: &str| CustomerDetails::new(Email::parse(email).expect("an address"));
    let email = DETAILS.email().as_str();
    let table = [
        ((*DETAILS).clone(), "refused"),
        (details(email), "refused"),
        (plain(email), "P4 guarded [opened]"),
        (details(&email.to_uppercase()), "P4 guarded [opened]"),
        (details("jane.doe@example.net"), "P4 guarded [opened]"),
    ];
    for (asked, expected) in table {
        assert_eq!(step(&view(At::Rejected), caller(&asked), &site()), expected);
    }
}

#[test]
fn looks_that_decide_nothing_are_spread_out_up_to_ten_minutes() {
    let table = [(0, 5), (1, 10), (2, 20), (6, 320), (7, 600), (8, 600), (u32::MAX - 1, 600)];
    for (attempts, seconds) in table {
        let mut view = view(At::Suspect);
        view.row.iter_mut().for_each(|row| row.attempts = attempts);
        let failed = looked(Findings::Failed("HTTP 500".into()));
        let row = after(&view, &failed, &site()).change.row.expect("a row");
        let due = now() + SignedDuration::from_secs(seconds);
        assert_eq!((row.next_attempt_at, row.attempts), (due, attempts + 1));
    }
}

#[test]
fn recovery_of_failed_sends_is_spread_out_up_to_ten_minutes_and_leaves_callers_alone() {
    let table = [
        // age, when it was due, when it is due
        (NOW, -SECOND, 5 * SECOND),
        (5 * SECOND, -SECOND, 5 * SECOND),
        (minutes(1), -SECOND, minutes(1)),
        (minutes(10), -SECOND, minutes(10)),
        (hours(19), -SECOND, minutes(10)),
        (2 * SECOND, 13 * SECOND, 13 * SECOND),
        (2 * SECOND, hours(1), hours(1)),
    ];
    for (age, was_due, due) in table {
        let mut view = view(At::Pending).aged(age);
        view.row.iter_mut().for_each(|row| row.next_attempt_at = now() + was_due);
        let (failure, words) = (Failure::Again(None), "HTTP 500".into());
        let event = Event::Answered { generation: G, failure, words };
        let row = after(&view, &event, &site()).change.row.expect("a row");
        assert_eq!((row.next_attempt_at, row.attempts), (now() + due, 3), "{age:#}");
    }
}

#[test]
fn a_suspect_row_is_due_again_when_a_look_begins_to_count() {
    let mut view = view(At::Suspect);
    if let Some(row) = &mut view.row {
        (row.attempts, row.state) = (7, suspect(now() + minutes(3), true));
    }
    let row = after(&view, &looked(Findings::None), &site()).change.row.expect("a row");
    assert_eq!(row.next_attempt_at, now() + minutes(3));
}

#[test]
fn nothing_is_opened_sent_or_bound_on_another_account() {
    for recorded in [account("acct_theirs", Mode::Live), account("acct_ours", Mode::Test)] {
        for at in COLUMNS {
            let mut view = view(at);
            view.account = Some(recorded.clone());
            let stop = Step::Stop(Stop::WrongAccount(recorded.clone()));
            assert_eq!(next(&view, Asker::Worker, &site()), stop, "{at:?}");
            let asked = next(&view, caller(&DETAILS), &site());
            let bound = Step::Done(cus(CID));
            assert_eq!(asked, if at == At::Settled { bound } else { stop }, "{at:?}");
            for event in [live(G, X), looked(found(&[X])), looked(found(&["cus_old", X]))] {
                let outcome = after(&view, &event, &site());
                let under_way = matches!(at, At::Pending | At::Suspect);
                assert!(outcome.change.is_nothing() || !under_way, "{at:?}");
                assert_eq!(outcome.change.column, Column::Keep, "{at:?}");
                let pending =
                    outcome.change.row.is_some_and(|row| matches!(row.state, State::Pending(_)));
                assert!(!pending, "{at:?}");
            }
        }
    }
}
