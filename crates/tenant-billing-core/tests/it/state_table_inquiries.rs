//! What the scenarios do not say of inquiries: when they began, what was written meanwhile, and
//! restores.

use jiff::Timestamp;
use tenant_billing_core::{
    provisioning::{Context, Findings, Inconclusive},
    state::{State, View},
};

use crate::{
    scene::{
        At, But, G, HOST, NOW, SECOND, X, context, cus, found, hours, in_doubt, inquired,
        inquired_at, minutes, now, restored, view,
    },
    summary::{check, row, row_if},
};

fn with(state: State) -> View {
    let mut view = view(At::InDoubt);
    view.row.iter_mut().for_each(|row| row.state = state.clone());
    view
}

#[test]
fn what_an_inquiry_finds_is_bound_whenever_it_began_and_whatever_was_written_meanwhile() {
    let adopted = "provisioned cus_x bind cus_x guarded [adopted]";
    for (version, began) in [(7, now() - hours(9)), (6, now()), (1, now() - hours(9))] {
        let observation = inquired_at(version, began, found(&[X]));
        for at in [At::Pending, At::InDoubt] {
            check("found", &view(at), &observation, &context(), adopted);
        }
        let never_sent = with(in_doubt(now() + hours(1), false));
        check("never sent", &never_sent, &observation, &context(), adopted);
    }
}

#[test]
fn a_proof_for_a_row_that_was_never_sent_counts_where_the_tenant_is_gone_or_bound_too() {
    let nothing = inquired(Findings::Nothing);
    let never_sent = with(in_doubt(now(), false));
    check("tenant gone", &never_sent.clone().gone(), &nothing, &context(), "V4 [vacated]");
    let bound = never_sent.bound_to(HOST);
    check("bound by the host", &bound, &nothing, &context(), "provisioned cus_host [closed]");
}

#[test]
fn an_inquiry_proves_nothing_for_a_row_that_has_changed_since_it_began() {
    for version in [1, 6, 8] {
        let nothing = inquired_at(version, now(), Findings::Nothing);
        row(&nothing, ["–"; 6]);
    }
    let mut moved_on = view(At::InDoubt);
    moved_on.row.iter_mut().for_each(|row| row.generation = G + 1);
    check("next generation", &moved_on, &inquired(Findings::Nothing), &context(), "–");
}

#[test]
fn an_inquiry_that_began_too_early_proves_nothing() {
    let early = "postponed [inquiry_failed]";
    let conclusive_from = now() - minutes(10);
    // How long after the row's moment, or after 5 h from the restore, the inquiry began, and
    // whether it is conclusive.
    for (after, counts) in [(-hours(9), false), (-SECOND, false), (NOW, true), (SECOND, true)] {
        let check = |case, conclusive_from, began, context: Context| {
            let next = context.restored_at.map_or(4, Timestamp::as_millisecond);
            let proof = format!("P{next} guarded [reopened]");
            let nothing = inquired_at(7, began, Findings::Nothing);
            let expected = if counts { &proof } else { early };
            check(case, &with(in_doubt(conclusive_from, true)), &nothing, &context, expected);
        };
        check("by the row", conclusive_from, conclusive_from + after, context());
        check("restored", conclusive_from, now() + after, restored(now() - hours(5)));
        // The later of the two counts.
        check("both", now(), now() + after, restored(now() - hours(9)));
        check("both", now(), now() + after, restored(now() - hours(5) - SECOND));
    }
    let never_sent = with(in_doubt(now() - hours(1), false));
    let restored = restored(now() - hours(1));
    check("never sent", &never_sent, &inquired(Findings::Nothing), &restored, early);
}

/// "Could not look" is never "there is none", whatever has become of the tenant.
#[test]
fn an_inconclusive_inquiry_says_so_also_for_a_tenant_that_is_gone_or_bound() {
    let table = [
        (Inconclusive::Unavailable("HTTP 503".into()), "postponed [inquiry_failed]"),
        (
            Inconclusive::NotPermitted("HTTP 403".into()),
            "postponed [inquiry_failed] operator: not permitted",
        ),
        (
            Inconclusive::UnknownCustomer(cus(X)),
            "postponed [inquiry_failed] operator: cus_x is unknown",
        ),
        (Inconclusive::OutOfReach, "postponed [inquiry_failed] operator: out of reach"),
        (
            Inconclusive::NoEmailToLookBy,
            "postponed [inquiry_failed] operator: no e-mail to look by",
        ),
    ];
    for (why, in_doubt) in table {
        let ended = inquired(Findings::Inconclusive(why));
        row_if(But::gone, &ended, ["–", "–", "–", in_doubt, "–", "–"]);
        row_if(|view| view.bound_to(X), &ended, ["–", "–", "–", in_doubt, "–", "–"]);
    }
}

/// What was found and then deleted or unbound was not created by this generation alone, so only
/// another inquiry can tell whether there is none.
#[test]
fn an_inquiry_whose_find_is_gone_meanwhile_is_no_proof() {
    let gone: [fn(View) -> View; 2] =
        [|view| view.deleted("cus_old"), |view| view.unbound_by_operator("cus_old")];
    for gone in gone {
        let view = gone(view(At::InDoubt));
        let bound = "provisioned cus_x bind cus_x guarded [adopted]";
        check("one is left", &view, &inquired(found(&["cus_old", X])), &context(), bound);
        let postponed = "postponed [inquiry_failed]";
        check("none is left", &view, &inquired(found(&["cus_old"])), &context(), postponed);
    }
    // The row of another generation does not wait for this inquiry.
    let mut newer = view(At::InDoubt).deleted(X);
    newer.row.iter_mut().for_each(|row| row.generation = G + 1);
    check("next generation", &newer, &inquired(found(&[X])), &context(), "–");
}
