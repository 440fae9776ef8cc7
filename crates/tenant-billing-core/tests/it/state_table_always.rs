//! What holds across the table: no live Customer is lost, none is surplus that is in use, and nothing
//! is created without certainty.

use tenant_billing_core::{
    answer::Failure,
    audit::SurplusReason,
    provisioning::{Asker, Event, Findings, How, after, next},
    state::{Change, Column, State, View},
};

use crate::{
    scene::{
        At, But, CID, COLUMNS, DETAILS, G, HOST, OTHER, X, caller, cus, found, hours, live,
        look_first, looked, now, refusal, request, restored, row_in, site, suspect, unbound, view,
    },
    summary::{always, step},
};

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
        let view = unbound(Some(row_in(suspect(now(), sent))));
        let row = after(&view, &live(G + 1, X), &site()).change.row.expect("a row");
        let State::Suspect { sent, .. } = row.state else { panic!("{row:?}") };
        assert_eq!((row.generation, sent), (G + 1, true));
    }
}

/// Every column, every oddity of a view, every event: neither function panics, and what always holds
/// holds.
#[test]
fn every_state_against_every_event() {
    let buts: [fn(View) -> View; 9] = [
        |view| view,
        But::nulled,
        But::gone,
        |view| view.bound_to(X),
        |view| view.bound_to(HOST),
        |view| view.nulled().known_deleted(),
        |view| view.nulled().bound_elsewhere(),
        |view| view.nulled().taken_off(),
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
        found(&[]),
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
    assert_eq!(outcomes, 6 * 9 * 3 * events.len());
}

/// The oldest was deleted between its retrieve and the bind. It need not be what this generation's key
/// made, so only another look can tell whether there is none.
#[test]
fn a_look_whose_find_is_deleted_meanwhile_is_no_certainty() {
    for found_ids in [&["cus_old", X][..], &["cus_old"]] {
        let known = view(At::Suspect).known_deleted();
        let change = after(&known, &looked(found(found_ids)), &site()).change;
        let row = change.row.or(known.row).expect("a row");
        let looks_again = matches!(row.state, State::Suspect { .. });
        let bound = row.state == State::Settled(cus(X));
        assert!(looks_again || bound, "{found_ids:?}: {row:?}");
    }
}

#[test]
fn a_change_is_nothing_only_where_it_writes_nothing() {
    let nothing = || Change::none(&view(At::Pending));
    assert!(nothing().is_nothing());
    let event = after(&view(At::Settled), &live(G, X), &site()).change.events.remove(0);
    for change in [
        Change { row: view(At::Vacant).row, ..nothing() },
        Change { column: Column::Clear(cus(X)), ..nothing() },
        Change { surplus: vec![(cus(X), SurplusReason::Late)], ..nothing() },
        Change { events: vec![event], ..nothing() },
    ] {
        assert!(!change.is_nothing(), "{change:?}");
    }
}

/// The trail is read by people.
#[test]
fn the_trail_says_why_a_customer_is_surplus() {
    for at in [At::Pending, At::Suspect] {
        let table = [
            (view(at).gone(), "the tenant is gone"),
            (view(at).bound_to(HOST), "the host has bound another one"),
        ];
        for (view, why) in table {
            let change = after(&view, &live(G, X), &site()).change;
            assert_eq!(change.events[0].detail, why);
        }
    }
    let change = after(&view(At::Settled), &live(G, X), &site()).change;
    assert_eq!(change.events[0].detail, "answered after its generation was given up or lost");
    let change = after(&view(At::Suspect), &looked(found(&[CID, X])), &site()).change;
    assert_eq!(change.events[0].detail, "the tenant has an older one");
    let change = after(&view(At::Settled), &Event::Unbound(cus(CID)), &site()).change;
    assert_eq!(change.events[1].detail, "unbound by an operator");
}
