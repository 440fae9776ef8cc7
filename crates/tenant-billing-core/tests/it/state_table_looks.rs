//! The rows of the table that are about looks, deletions and operators. Columns: no row, vacant,
//! pending, suspect, rejected, settled; every row that is there is of generation 3.

use jiff::Timestamp;
use tenant_billing_core::{
    provisioning::{Event, Findings, Site},
    state::{State, View},
};

use crate::{
    scene::{
        At, But, CID, G, HOST, NOW, SECOND, X, cus, found, hours, live, looked, looked_at, minutes,
        now, restored, site, suspect, view,
    },
    summary::{check, row, row_if},
};

fn bound(view: View) -> View {
    view.bound_to(X)
}

fn settled_with_x(mut view: View) -> View {
    if let Some(row) = &mut view.row {
        row.state = State::Settled(cus(X));
    }
    view
}

#[test]
fn a_customer_that_is_not_bound_is_deleted() {
    // That it is on record is the store's part.
    let deleted = Event::Deleted(cus(X));
    row(&deleted, ["–"; 6]);
    row_if(But::nulled, &deleted, ["–"; 6]);
    let its = settled_with_x(view(At::Settled));
    check("settled with it, null", &its.clone().nulled(), &deleted, &site(), "V4 [vacated]");
    check("settled with it, overwritten", &its.bound_to(HOST), &deleted, &site(), "V4 [vacated]");
    for at in [At::Pending, At::Suspect] {
        let known = view(at).known_deleted();
        check("bound after that", &known, &live(G, X), &site(), "V4 [vacated]");
    }
}

#[test]
fn a_customer_that_is_bound_is_deleted() {
    let cleared = "clear cus_x [cleared]";
    row_if(bound, &Event::Deleted(cus(X)), [cleared; 6]);
    let its = settled_with_x(view(At::Settled)).bound_to(X);
    check(
        "settled with it",
        &its,
        &Event::Deleted(cus(X)),
        &site(),
        "V4 clear cus_x [cleared vacated]",
    );
}

#[test]
fn a_look_found_ours() {
    let late = "S3 +5h surplus cus_x late [surplus suspected]";
    let adopted = "settled cus_x bind cus_x guarded [adopted]";
    row(
        &looked(found(&[X])),
        ["n/a", late, adopted, adopted, late, "surplus cus_x duplicate [surplus]"],
    );
    row(
        &looked(found(&[CID])),
        [
            "n/a",
            "no bind",
            "settled cus_cid bind cus_cid guarded [adopted]",
            "settled cus_cid bind cus_cid guarded [adopted]",
            "no bind",
            "–",
        ],
    );
}

#[test]
fn a_look_found_ours_whenever_it_began_and_whatever_was_written_meanwhile() {
    let adopted = "settled cus_x bind cus_x guarded [adopted]";
    for (version, began) in [(7, now() - hours(9)), (6, now()), (1, now() - hours(9))] {
        let event = looked_at(version, began, found(&[X]));
        for at in [At::Pending, At::Suspect] {
            check("found", &view(at), &event, &site(), adopted);
        }
        check("never sent", &with(suspect(now() + hours(1), false)), &event, &site(), adopted);
    }
}

#[test]
fn a_look_found_ours_for_a_row_that_went_on_to_another_generation() {
    let late = "S4 +5h surplus cus_x late [surplus suspected]";
    for (at, expected) in [
        (At::Vacant, late),
        (At::Pending, late),
        (At::Suspect, late),
        (At::Rejected, late),
        (At::Settled, "surplus cus_x duplicate [surplus]"),
    ] {
        let mut view = view(at);
        if let Some(row) = &mut view.row {
            row.generation = G + 1;
        }
        check("older", &view, &looked(found(&[X])), &site(), expected);
    }
}

#[test]
fn a_look_found_a_foreign_customer() {
    // In live mode. In test mode the look passes it over, and finds none.
    let foreign = looked(Findings::Foreign(cus(X)));
    row(&foreign, ["n/a", "–", "–", "paced [look_failed] operator: cus_x is foreign", "–", "–"]);
}

#[test]
fn a_look_found_several() {
    let several = looked(found(&["cus_old", X, "cus_young"]));
    let oldest = "settled cus_old bind cus_old guarded surplus cus_x duplicate surplus cus_young duplicate [surplus surplus adopted]";
    let all_but = "surplus cus_old duplicate surplus cus_x duplicate surplus cus_young duplicate [surplus surplus surplus]";
    row(&several, ["n/a", "no bind", oldest, oldest, "no bind", all_but]);
    let all_but = "surplus cus_old duplicate surplus cus_young duplicate [surplus surplus]";
    check("one is cid", &settled_with_x(view(At::Settled)).bound_to(X), &several, &site(), all_but);
}

#[test]
fn certainly_none() {
    let none = looked(Findings::None);
    row(&none, ["n/a", "–", "–", "P4 guarded [reopened]", "–", "–"]);
    let never_sent = with(suspect(now(), false));
    check("never sent", &never_sent, &none, &site(), "P3 guarded [reopened]");
    for view in [never_sent, view(At::Suspect)] {
        check("tenant gone", &view.clone().gone(), &none, &site(), "V4 [vacated]");
        check("bound by host", &view.bound_to(HOST), &none, &site(), "settled cus_host [settled]");
    }
}

fn with(state: State) -> View {
    let mut view = view(At::Suspect);
    if let Some(row) = &mut view.row {
        row.state = state;
    }
    view
}

#[test]
fn none_in_a_look_that_the_row_has_outrun() {
    for version in [1, 6, 8] {
        let none = looked_at(version, now(), Findings::None);
        row(&none, ["n/a", "–", "–", "–", "–", "–"]);
    }
    let mut moved_on = view(At::Suspect);
    if let Some(row) = &mut moved_on.row {
        row.generation = G + 1;
    }
    check("next generation", &moved_on, &looked(Findings::None), &site(), "–");
}

#[test]
fn none_in_a_look_that_began_too_early() {
    let early = "paced [look_failed]";
    let quiet_until = now() - minutes(10);
    row(&looked_at(7, quiet_until - SECOND, Findings::None), ["n/a", "–", "–", early, "–", "–"]);
    // How long after the quiet, or after 5 h from the restore, the look began, and whether it counts.
    for (after, counts) in [(-hours(9), false), (-SECOND, false), (NOW, true), (SECOND, true)] {
        let check = |case, quiet_until, began, site: Site| {
            let next = site.restored_at.map_or(4, Timestamp::as_millisecond);
            let certain = format!("P{next} guarded [reopened]");
            let none = looked_at(7, began, Findings::None);
            let expected = if counts { &certain } else { early };
            check(case, &with(suspect(quiet_until, true)), &none, &site, expected);
        };
        check("quiet", quiet_until, quiet_until + after, site());
        check("restored", quiet_until, now() + after, restored(now() - hours(5)));
        // The later of the two counts.
        check("both", now(), now() + after, restored(now() - hours(9)));
        check("both", now(), now() + after, restored(now() - hours(5) - SECOND));
    }
    let never_sent = with(suspect(now() - hours(1), false));
    check("any row", &never_sent, &looked(Findings::None), &restored(now() - hours(1)), early);
}

#[test]
fn a_look_failed() {
    let table = [
        (Findings::Failed("customers: HTTP 503".into()), "paced [look_failed]"),
        (Findings::Forbidden("events: HTTP 403".into()), "paced [look_failed] operator"),
        (Findings::OutOfReach, "paced [look_failed] operator: out of reach"),
    ];
    for (findings, suspect) in table {
        row(&looked(findings.clone()), ["n/a", "–", "–", suspect, "–", "–"]);
        // Also of a tenant that is gone or bound: could not look is never none.
        row_if(But::gone, &looked(findings.clone()), ["n/a", "–", "–", suspect, "–", "–"]);
        row_if(bound, &looked(findings), ["n/a", "–", "–", suspect, "–", "–"]);
    }
}

#[test]
fn an_operator_unbinds_a_customer() {
    let off = "clear cus_x surplus cus_x unbound [cleared surplus]";
    let unbound = Event::Unbound(cus(X));
    row_if(bound, &unbound, [off, off, "refuse", "refuse", off, off]);
    let settled = |view: View| settled_with_x(view).bound_to(X);
    let vacated = "V4 clear cus_x surplus cus_x unbound [cleared surplus vacated]";
    check("settled with it", &settled(view(At::Settled)), &unbound, &site(), vacated);
}

#[test]
fn an_operator_unbinds_a_customer_that_the_column_has_lost() {
    let vacated = "V4 surplus cus_x unbound [surplus vacated]";
    let unbound = Event::Unbound(cus(X));
    let settled = settled_with_x(view(At::Settled));
    check("null", &settled.clone().nulled(), &unbound, &site(), vacated);
    check("overwritten", &settled.bound_to(HOST), &unbound, &site(), vacated);
    row(&unbound, ["–", "–", "refuse", "refuse", "–", "–"]);
}

/// A look never says so, and the function is total all the same.
#[test]
fn a_look_that_found_nobody_in_particular_changes_nothing() {
    row(&looked(found(&[])), ["–"; 6]);
}
