//! What is surplus, and what is not: whatever a tenant's column holds is in use.

use tenant_billing_core::{
    OperatorError, Problem,
    decide::after,
    ids::CustomerId,
    provisioning::Observation,
    state::{Column, State, View},
};

use crate::{
    scene::{At, But, CID, COLUMNS, G, OLD, X, YOUNG, context, cus, found, inquired, live, view},
    summary::{always, check, row_if},
};

const FOUND: [&str; 3] = [OLD, X, YOUNG];

/// Every subset of what was found.
fn subsets() -> impl Iterator<Item = Vec<&'static str>> {
    (0..8).map(|bits| {
        let chosen = FOUND.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0);
        chosen.map(|(_, id)| *id).collect()
    })
}

fn surplus(view: &View, observation: &Observation) -> Vec<CustomerId> {
    let decision = after(view, observation, &context());
    always("surplus", view, observation, &decision);
    decision.change.surplus.into_iter().map(|(customer, _)| customer).collect()
}

/// Whichever of three that an inquiry finds are bound to other tenants, in every state: those are
/// not surplus, and the rest is bound or surplus unless an operator has to act first.
#[test]
fn a_customer_of_another_tenant_is_never_surplus() {
    for at in COLUMNS {
        for elsewhere in subsets() {
            let mut view = view(at);
            for id in &elsewhere {
                view = view.bound_elsewhere(id);
            }
            let surplus = surplus(&view, &inquired(found(&FOUND)));
            let expected = FOUND.into_iter().filter(|id| {
                let bound = matches!(at, At::Pending | At::InDoubt) && *id == OLD;
                let stopped = matches!(at, At::Pending | At::InDoubt) && elsewhere.contains(&OLD);
                !elsewhere.contains(id) && !bound && !stopped
            });
            let mut expected: Vec<_> = expected.map(cus).collect();
            expected.sort();
            let mut surplus_sorted = surplus.clone();
            surplus_sorted.sort();
            assert_eq!(surplus_sorted, expected, "{at:?}, elsewhere: {elsewhere:?}");
        }
        for observation in [live(G, X), live(G - 1, X), inquired(found(&[X]))] {
            assert_eq!(surplus(&view(at).bound_elsewhere(X), &observation), [], "{at:?}");
        }
    }
}

/// The same for what is deleted, and for what an operator has unbound: it is no longer a find.
#[test]
fn a_customer_that_is_deleted_or_unbound_is_never_surplus() {
    let facts: [fn(View, &str) -> View; 2] = [But::deleted, But::unbound_by_operator];
    for (at, fact) in COLUMNS.into_iter().flat_map(|at| facts.map(|fact| (at, fact))) {
        for gone in subsets() {
            let view = gone.iter().fold(view(at), |view, id| fact(view, id));
            let surplus = surplus(&view, &inquired(found(&FOUND)));
            assert!(gone.iter().all(|id| !surplus.contains(&cus(id))), "{at:?}: {gone:?}");
        }
        for observation in [live(G, X), live(G - 1, X), inquired(found(&[X]))] {
            assert_eq!(surplus(&fact(view(at), X), &observation), [], "{at:?}");
        }
    }
}

#[test]
fn the_oldest_is_bound_and_a_younger_one_of_another_tenant_is_not_surplus() {
    let two = inquired(found(&[OLD, X]));
    let elsewhere = |view: View| view.bound_elsewhere(X);
    let bound = "provisioned cus_old bind cus_old guarded [adopted]";
    let late = "D3 +5h surplus cus_old late [surplus in_doubt]";
    row_if(
        elsewhere,
        &two,
        [late, late, bound, bound, late, "surplus cus_old duplicate [surplus]"],
    );
}

#[test]
fn a_provisioned_row_and_a_customer_of_another_tenant_change_nothing() {
    let two = inquired(found(&[CID, X]));
    let view = view(At::Provisioned).bound_elsewhere(X);
    check("provisioned", &view, &two, &context(), "–");
    check("provisioned, null", &view.nulled(), &two, &context(), "–");
}

#[test]
fn the_oldest_of_another_tenant_is_for_an_operator() {
    let two = inquired(found(&[OLD, X]));
    for (at, cell) in [
        (At::Pending, "D3 +5h [in_doubt] operator: cus_old is another tenant's"),
        (At::InDoubt, "postponed [inquiry_failed] operator: cus_old is another tenant's"),
    ] {
        let view = view(at).bound_elsewhere(OLD);
        check("oldest elsewhere", &view, &two, &context(), cell);
        let problem = after(&view, &two, &context()).problem;
        let expected = Problem::Operator(OperatorError::BoundElsewhere(cus(OLD)));
        assert_eq!(problem, Some(expected), "{at:?}");
    }
}

#[test]
fn the_next_oldest_is_bound_if_the_oldest_is_deleted_meanwhile() {
    next_oldest(|view| view.deleted(OLD));
}

#[test]
fn the_next_oldest_is_bound_if_an_operator_has_unbound_the_oldest_meanwhile() {
    next_oldest(|view| view.unbound_by_operator(OLD));
}

fn next_oldest(gone: fn(View) -> View) {
    let three = inquired(found(&FOUND));
    let bound =
        "provisioned cus_x bind cus_x guarded surplus cus_young duplicate [surplus adopted]";
    let late = "D3 +5h surplus cus_young duplicate surplus cus_x late [surplus surplus in_doubt]";
    let surplus = "surplus cus_x duplicate surplus cus_young duplicate [surplus surplus]";
    row_if(gone, &three, [late, late, bound, bound, late, surplus]);
}

/// However the column came to hold it, a Customer in use is not surplus.
#[test]
fn a_bound_customer_is_never_left_on_record_as_surplus() {
    let table = [
        ("our row was lost, the host's was not", view(At::NoRow).bound_to(X), live(G, X)),
        ("vacant, and bound by the host", view(At::Vacant).bound_to(X), live(G - 1, X)),
        ("rejected, and bound by the host", view(At::Rejected).bound_to(X), live(G, X)),
        (
            "provisioned, and overwritten by the host",
            view(At::Provisioned).bound_to(X),
            live(G - 1, X),
        ),
        (
            "overwritten with one that an inquiry finds",
            view(At::InDoubt).bound_to(X),
            inquired(found(&[OLD, X])),
        ),
        (
            "provisioned, and an inquiry finds the host's",
            view(At::Provisioned).bound_to(X),
            inquired(found(&[CID, X])),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, mut view, observation) in table {
        let mut surplus = false;
        for _ in 0..2 {
            let change = after(&view, &observation, &context()).change;
            surplus |= change.surplus.iter().any(|(it, _)| *it == cus(X));
            // To bind it resolves the record.
            surplus &= change.column != Column::Bind(cus(X));
            view = View { facts: view.facts.clone(), ..view.changed(change) };
        }
        if surplus {
            wrong.push(name);
        }
    }
    assert_eq!(wrong, Vec::<&str>::new());
}

/// Only a live Customer can be surplus, or move a row in doubt that had gone on.
#[test]
fn a_customer_known_to_be_deleted_changes_no_row_that_did_not_ask_for_it() {
    for at in [At::NoRow, At::Vacant, At::Rejected, At::Provisioned] {
        for observation in [live(G - 1, X), live(G, X), inquired(found(&[X]))] {
            let change = after(&view(at).deleted(X), &observation, &context()).change;
            assert!(change.surplus.is_empty() && change.row.is_none(), "{at:?}: {observation:?}");
        }
    }
}

/// Where not every fact was read, nothing is decided, and the caller is to retry.
#[test]
fn nothing_is_decided_about_a_customer_of_which_nothing_was_read() {
    let table = [
        (vec![X], live(G, X)),
        (vec![X], live(G - 1, X)),
        (vec![CID], Observation::StillExists(cus(CID))),
        (vec![OLD, X, YOUNG], inquired(found(&FOUND))),
    ];
    for (customers, observation) in table {
        let expected: Vec<_> = customers.iter().map(|id| cus(id)).collect();
        assert_eq!(observation.customers(), expected);
        for at in COLUMNS {
            for missing in &customers {
                let mut view = view(at).nulled();
                view.facts.remove(&cus(missing));
                let decision = after(&view, &observation, &context());
                assert!(decision.change.is_nothing(), "{at:?} without {missing}");
                let retry = matches!(decision.problem, Some(Problem::Retry { .. }));
                assert!(retry, "{at:?} without {missing}: {:?}", decision.problem);
            }
        }
    }
}

/// A row that is written is read again before anything else is decided from it.
#[test]
fn a_view_after_a_change_knows_nothing_of_any_customer() {
    let view = view(At::Pending);
    let change = after(&view, &live(G, X), &context()).change;
    let changed = view.changed(change);
    assert_eq!(changed.bound, Some(cus(X)));
    assert!(matches!(changed.row, Some(row) if row.state == State::Provisioned(cus(X))));
    assert!(changed.facts.is_empty());
}
