//! What the prose around the table demands: look windows, requests frozen anew, guards, accounts,
//! and what holds of every state and every event together.

use jiff::SignedDuration;
use tenant_billing_core::{
    answer::Failure,
    ids::Mode,
    provisioning::{Asker, Event, Findings, How, Step, Stop, after, next},
    request::{FrozenRequest, STRIPE_VERSION},
    state::{Change, Column, State, View},
};

use crate::{
    scene::{
        At, But, CID, COLUMNS, DETAILS, G, HOST, OTHER, SECOND, X, account, caller, cus, details,
        found, hours, live, look_first, looked, minutes, now, refusal, request, restored, row,
        site, suspect, tenant, unbound, view,
    },
    summary::{always, check, step},
};

fn look_of(view: &View) -> tenant_billing_core::provisioning::Look {
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
        (0 * SECOND, false, month, false),
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
fn reopened(state: State) -> tenant_billing_core::state::Row {
    let view = unbound(Some(row(state)));
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
    let view = unbound(Some(row(State::Suspect { request, quiet_until: now(), sent: true })));
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
        let Step::Commit(change) = next(&view(at), caller(&OTHER), &look_first()) else {
            panic!("{at:?}")
        };
        let opened = view(at).changed(*change);
        let Step::Look(look) = next(&opened, caller(&OTHER), &look_first()) else {
            panic!("{at:?}")
        };
        assert_eq!(look.events_since, now() - hours(30 * 24));
        let event = Event::Looked { generation, look, findings: Findings::None };
        let pending = opened.changed(after(&view_of(&change_of(at)), &event, &look_first()).change);
        let expected = FrozenRequest::freeze(&site().origin, &tenant(), generation, &OTHER);
        assert_eq!(next(&pending, caller(&OTHER), &look_first()), Step::Send(expected));
    }
}

fn change_of(at: At) -> Change {
    match next(&view(at), caller(&OTHER), &look_first()) {
        Step::Commit(change) => *change,
        step => panic!("{step:?}"),
    }
}

fn view_of(change: &Change) -> View {
    unbound(change.row.clone())
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
    let plain = |email: &str| {
        tenant_billing_core::request::CustomerDetails::new(
            tenant_billing_core::ids::Email::parse(email).expect("an address"),
        )
    };
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
fn failed_attempts_are_spread_out_up_to_ten_minutes() {
    let table = [(0, 5), (1, 10), (2, 20), (6, 320), (7, 600), (8, 600), (u32::MAX - 1, 600)];
    for (attempts, seconds) in table {
        for (at, event) in [
            (
                At::Pending,
                Event::Answered {
                    generation: G,
                    failure: Failure::Again(None),
                    words: "HTTP 500".into(),
                },
            ),
            (At::Suspect, looked(Findings::Failed("HTTP 500".into()))),
        ] {
            let mut view = view(at);
            if let Some(row) = &mut view.row {
                row.attempts = attempts;
            }
            let row = after(&view, &event, &site()).change.row.expect("a row");
            assert_eq!(
                row.next_attempt_at,
                now() + SignedDuration::from_secs(seconds),
                "{at:?} {attempts}"
            );
        }
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
            for event in [live(G, X), looked(found(&[X]))] {
                let outcome = after(&view, &event, &site());
                assert_eq!(outcome.change.column, Column::Keep, "{at:?}");
                let pending =
                    outcome.change.row.is_some_and(|row| matches!(row.state, State::Pending(_)));
                assert!(!pending, "{at:?}");
            }
        }
    }
}

/// A Customer in use is none that must not exist, however the column came to hold it.
#[test]
fn a_bound_customer_is_never_left_on_record_as_surplus() {
    let table = [
        ("our row was lost, the host's was not", view(At::NoRow).bound_to(X), live(G, X)),
        ("vacant, and bound by the host", view(At::Vacant).bound_to(X), live(G - 1, X)),
        ("rejected, and bound by the host", view(At::Rejected).bound_to(X), live(G, X)),
        ("settled, and overwritten by the host", view(At::Settled).bound_to(X), live(G - 1, X)),
        (
            "overwritten with one that a look finds",
            view(At::Suspect).bound_to(X),
            looked(found(&["cus_old", X])),
        ),
        (
            "settled, and a look finds the host's",
            view(At::Settled).bound_to(X),
            looked(found(&[CID, X])),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, mut view, event) in table {
        let mut surplus = false;
        for _ in 0..2 {
            let change = after(&view, &event, &site()).change;
            surplus |= change.surplus.iter().any(|(it, _)| *it == cus(X));
            // To bind it resolves the record.
            surplus &= change.column != Column::Bind(cus(X));
            view = view.changed(change);
        }
        if surplus {
            wrong.push(name);
        }
    }
    assert_eq!(wrong, Vec::<&str>::new());
}

#[test]
fn a_customer_of_another_tenant_is_never_surplus() {
    let mut wrong = Vec::new();
    for at in COLUMNS {
        for event in [live(G, X), live(G - 1, X), looked(found(&[X]))] {
            let change = after(&view(at).bound_elsewhere(), &event, &site()).change;
            if !change.surplus.is_empty() {
                wrong.push((at, step_name(&event)));
            }
        }
    }
    assert_eq!(wrong, vec![]);
}

/// Only a live Customer can be surplus, or make a row that had begun anew suspect again.
#[test]
fn a_customer_known_to_be_deleted_disturbs_nobody() {
    let mut wrong = Vec::new();
    for at in [At::NoRow, At::Vacant, At::Rejected, At::Settled] {
        for event in [live(G - 1, X), live(G, X), looked(found(&[X]))] {
            let change = after(&view(at).known_deleted(), &event, &site()).change;
            if !change.surplus.is_empty() || change.row.is_some() {
                wrong.push((at, step_name(&event)));
            }
        }
    }
    assert_eq!(wrong, vec![]);
}

fn step_name(event: &Event) -> &'static str {
    match event {
        Event::Live { generation: G, .. } => "answered",
        Event::Live { .. } => "answered late",
        _ => "found",
    }
}

#[test]
fn a_newer_generation_than_a_restored_row_knows_of_may_have_been_sent() {
    for sent in [true, false] {
        let view = unbound(Some(row(suspect(now(), sent))));
        let row = after(&view, &live(G + 1, X), &site()).change.row.expect("a row");
        let State::Suspect { sent, .. } = row.state else { panic!("{row:?}") };
        assert_eq!((row.generation, sent), (G + 1, true));
    }
}

/// Every column, every oddity of a view, every event: neither function panics, and what always holds
/// holds.
#[test]
fn every_state_against_every_event() {
    let buts: [fn(View) -> View; 8] = [
        |view| view,
        But::nulled,
        But::gone,
        |view| view.bound_to(X),
        |view| view.bound_to(HOST),
        |view| view.nulled().known_deleted(),
        |view| view.nulled().bound_elsewhere(),
        |view| view.aged(hours(800)),
    ];
    let failures = [
        Failure::Again(None),
        Failure::InFlight,
        Failure::Spent,
        Failure::Mismatched,
        Failure::Operator,
        Failure::Refused(refusal()),
    ];
    let mut events = vec![
        Event::StillLive(cus(X)),
        Event::StillLive(cus(CID)),
        Event::Deleted(cus(X)),
        Event::Deleted(cus(CID)),
        Event::Unbound(cus(X)),
        Event::Unbound(cus(CID)),
    ];
    for generation in [1, G - 1, G, G + 1] {
        let words = "HTTP 500".to_owned();
        events.extend(failures.iter().map(|failure| Event::Answered {
            generation,
            failure: failure.clone(),
            words: words.clone(),
        }));
        for how in [How::Created, How::Adopted] {
            events.extend([None, Some(request(generation))].map(|request| Event::Live {
                generation,
                customer: cus(X),
                request,
                how,
            }));
        }
        events.push(Event::Dead { generation, customer: cus(X) });
    }
    let findings = [
        found(&[X]),
        found(&[CID]),
        found(&["cus_old", X, CID]),
        Findings::Foreign(cus(X)),
        Findings::None,
        Findings::OutOfReach,
        Findings::Failed("HTTP 500".into()),
        Findings::Forbidden("HTTP 403".into()),
    ];
    events.extend(findings.map(looked));
    let mut outcomes = 0;
    for (at, but) in COLUMNS.into_iter().flat_map(|at| buts.map(|but| (at, but))) {
        let view = but(view(at));
        for site in [site(), look_first(), restored(now() - hours(1))] {
            for asker in [Asker::Worker, caller(&DETAILS), caller(&OTHER)] {
                step(&view, asker, &site);
            }
            for event in &events {
                let outcome = after(&view, event, &site);
                let name = format!("{at:?}");
                always(&name, &view, event, &outcome);
                outcomes += 1;
                let _ = next(&view.clone().changed(outcome.change), Asker::Worker, &site);
            }
        }
    }
    assert_eq!(outcomes, 6 * 8 * 3 * events.len());
}
