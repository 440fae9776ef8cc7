//! What holds across the table: no live Customer is lost, and nothing is created without proof.

use tenant_billing_core::{
    answer::{Failure, Refusal},
    audit::SurplusReason,
    decide::{after, deletion, next, unbinding},
    provisioning::{Asker, Findings, Inconclusive, Observation},
    state::{Change, Column, State, View},
};

use crate::scene::another;
use crate::{
    scene::{
        At, But, CID, COLUMNS, DETAILS, G, HOST, OLD, OTHER, X, caller, context, cus, found, hours,
        in_doubt, inquire_first, inquired, live, now, reason, rejection, request, restored, row_in,
        unbound, view,
    },
    summary::{always, step},
};

#[test]
fn a_newer_generation_than_a_restored_row_knows_of_may_have_been_sent() {
    for sent in [true, false] {
        let view = unbound(Some(row_in(in_doubt(now(), sent))));
        let row = after(&view, &live(G + 1, X), &context()).change.row.expect("a row");
        let State::InDoubt { sent, .. } = row.state else { panic!("{row:?}") };
        assert_eq!((row.generation, sent), (G + 1, true));
    }
}

fn observations() -> Vec<Observation> {
    let failures = [
        Failure::Retry(None),
        Failure::InFlight,
        Failure::StoredFailure,
        Failure::Mismatched,
        Failure::Operator(Refusal::NotPermitted),
        Failure::Rejected(rejection()),
    ];
    let mut observations =
        vec![Observation::StillExists(cus(X)), Observation::StillExists(cus(CID))];
    for generation in [1, G - 1, G, G + 1] {
        let summary = "HTTP 500".to_owned();
        observations.extend(failures.iter().map(|failure| Observation::AnsweredWithoutCustomer {
            generation,
            failure: failure.clone(),
            summary: summary.clone(),
        }));
        observations.extend(
            [None, Some(request(generation))].map(|request| Observation::CreatedAlive {
                generation,
                customer: cus(X),
                request,
            }),
        );
        observations.push(Observation::CreatedButDeleted { generation, customer: cus(X) });
    }
    let findings = [
        found(&[X]),
        found(&[CID]),
        found(&[OLD, X, CID]),
        Findings::Nothing,
        Findings::Inconclusive(Inconclusive::Foreign(cus(X), another())),
        Findings::Inconclusive(Inconclusive::Unmarked(vec![cus(X)])),
        Findings::Inconclusive(Inconclusive::OutOfReach),
        Findings::Inconclusive(Inconclusive::UnknownCustomer(cus(X))),
        Findings::Inconclusive(Inconclusive::Unavailable("HTTP 500".into())),
        Findings::Inconclusive(Inconclusive::NotPermitted("HTTP 403".into())),
        Findings::Inconclusive(Inconclusive::BadKey("HTTP 401".into())),
        Findings::Inconclusive(Inconclusive::Untrusted("not sent: …".into())),
    ];
    observations.extend(findings.map(inquired));
    observations
}

/// In every column, with every oddity of a view, on every observation: neither function panics, and
/// what always holds does hold.
#[test]
fn every_state_against_every_observation() {
    let buts: [fn(View) -> View; 11] = [
        |view| view,
        But::nulled,
        But::gone,
        |view| view.bound_to(X),
        |view| view.bound_to(HOST),
        |view| view.nulled().deleted(X),
        |view| view.nulled().bound_elsewhere(X),
        |view| view.nulled().unbound_by_operator(X),
        |view| view.nulled().bound_elsewhere(OLD).deleted(CID),
        |view| View { facts: [].into(), ..view },
        |view| view.aged(hours(800)),
    ];
    let observations = observations();
    let mut decisions = 0;
    for (at, but) in COLUMNS.into_iter().flat_map(|at| buts.map(|but| (at, but))) {
        let view = but(view(at));
        for context in [context(), inquire_first(), restored(now() - hours(1))] {
            for asker in [Asker::Worker, caller(&DETAILS), caller(&OTHER)] {
                step(&view, asker, &context);
            }
            for observation in &observations {
                let decision = after(&view, observation, &context);
                always(&format!("{at:?}"), &view, observation, &decision);
                decisions += 1;
                let _ = next(&view.clone().changed(decision.change), Asker::Worker, &context);
            }
        }
        for customer in [X, CID] {
            let change = deletion(&view, &cus(customer));
            assert!(change.surplus.is_empty(), "{at:?}");
            let unbound = unbinding(&view, &cus(customer), &reason()).change;
            assert!(unbound.surplus.iter().all(|(it, _)| *it == cus(customer)), "{at:?}");
        }
    }
    assert_eq!(decisions, 6 * 11 * 3 * observations.len());
}

#[test]
fn a_change_is_nothing_only_where_it_writes_nothing() {
    let nothing = || Change::none(&view(At::Pending));
    assert!(nothing().is_nothing());
    let event = after(&view(At::Provisioned), &live(G, X), &context()).change.events.remove(0);
    for change in [
        Change { row: view(At::Vacant).row, ..nothing() },
        Change { column: Column::Clear(cus(X)), ..nothing() },
        Change { surplus: vec![(cus(X), SurplusReason::Late)], ..nothing() },
        Change { events: vec![event], ..nothing() },
    ] {
        assert!(!change.is_nothing(), "{change:?}");
    }
}

/// People read the audit trail.
#[test]
fn the_trail_says_why_a_customer_is_surplus() {
    for at in [At::Pending, At::InDoubt] {
        let table = [
            (view(at).gone(), "the tenant is gone"),
            (view(at).bound_to(HOST), "the host has bound another one"),
        ];
        for (view, why) in table {
            let change = after(&view, &live(G, X), &context()).change;
            assert_eq!(change.events[0].detail, why);
        }
    }
    let change = after(&view(At::Provisioned), &live(G, X), &context()).change;
    assert_eq!(change.events[0].detail, "answered after its generation was given up or lost");
    let change = after(&view(At::InDoubt), &inquired(found(&[CID, X])), &context()).change;
    assert_eq!(change.events[0].detail, "the tenant has an older one");
    let change = unbinding(&view(At::Provisioned), &cus(CID), &reason()).change;
    let why = "unbound by an operator: they pay in another currency";
    let said = change.events.iter().map(|it| &*it.detail).collect::<Vec<_>>();
    assert_eq!(said, [why, "unbound by an operator", why]);
}

/// The trail, and the row's last error, say why an inquiry decided nothing, or what it proved.
#[test]
fn the_trail_says_why_an_inquiry_decided_nothing() {
    let table = [
        (Inconclusive::Unavailable("events: HTTP 503".into()), "could not read events: HTTP 503"),
        (Inconclusive::NotPermitted("events: HTTP 403".into()), "may not read events: HTTP 403"),
        (Inconclusive::BadKey("events: HTTP 401".into()), "the key is refused: events: HTTP 401"),
        (Inconclusive::Untrusted("events: not sent".into()), "could not read events: not sent"),
        (Inconclusive::UnknownCustomer(cus(X)), "Stripe does not know cus_x"),
        (
            Inconclusive::Unmarked(vec![cus(X)]),
            "without our mark, and perhaps another application's: cus_x",
        ),
        (
            Inconclusive::Foreign(cus(X), another()),
            "installation another-1 has created cus_x for a tenant of this id",
        ),
        (Inconclusive::OutOfReach, "events do not reach back far enough"),
        (Inconclusive::NoEmailToLookBy, "there is no e-mail address to look by, and no search"),
    ];
    for (why, says) in table {
        let findings = Findings::Inconclusive(why);
        let change = after(&view(At::InDoubt), &inquired(findings), &context()).change;
        assert_eq!(change.events[0].detail, says);
        assert_eq!(change.row.and_then(|row| row.last_error).as_deref(), Some(says));
    }
    let proof = after(&view(At::InDoubt), &inquired(Findings::Nothing), &context()).change;
    let says = &proof.events[0].detail;
    assert!(says.contains("no Customer") && says.contains(request(G + 1).key.as_str()), "{says}");
}

/// Somebody else may change it from then on, so it is read again before the next decision.
#[test]
fn what_was_known_of_customers_is_no_longer_known_once_something_is_written() {
    for at in [At::NoRow, At::Pending, At::InDoubt, At::Provisioned] {
        let view = view(at);
        assert!(!view.facts.is_empty());
        let change = Change::none(&view);
        assert!(view.changed(change).facts.is_empty(), "{at:?}");
    }
}
