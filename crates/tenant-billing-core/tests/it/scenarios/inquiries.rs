//! An inquiry of this row's generation ends.

use tenant_billing_core::{
    provisioning::{Findings, Inconclusive, Observation},
    state::View,
};

use super::{Scenario, observed, provisioned_with_x};
use crate::scene::another;
use crate::scene::{
    At, But, CID, G, HOST, OLD, SECOND, X, YOUNG, cus, found, in_doubt, inquired, inquired_at,
    minutes, now,
};

const ADOPTED: &str = "provisioned cus_x bind cus_x guarded [adopted]";
const DOUBT: &str = "D3 +5h surplus cus_x late [surplus in_doubt]";

fn ended(name: &'static str, observation: Observation) -> Scenario {
    observed(name, "an inquiry", observation)
}

fn finds(name: &'static str, ids: &[&str]) -> Scenario {
    ended(name, inquired(found(ids))).cause("an inquiry finds a Customer")
}

fn nothing(name: &'static str) -> Scenario {
    let cause = "an inquiry proves that there is no Customer";
    ended(name, inquired(Findings::Nothing)).cause(cause)
}

fn inconclusive(name: &'static str, why: Inconclusive) -> Scenario {
    ended(name, inquired(Findings::Inconclusive(why))).cause("an inquiry decides nothing")
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let several = "Found: `cus_old`, `cus_x` and `cus_young`, created in this order";
    let two = [OLD, X];
    vec![
        finds("Found: `cus_x`", &[X]).cells([
            "D3 +5h surplus cus_x late [surplus in_doubt]",
            DOUBT,
            ADOPTED,
            ADOPTED,
            DOUBT,
            "surplus cus_x duplicate [surplus]",
        ]),
        finds("Found: `cus_cid`", &[CID]).cells([
            "D3 +5h surplus cus_cid late [surplus in_doubt]",
            "D3 +5h surplus cus_cid late [surplus in_doubt]",
            "provisioned cus_cid bind cus_cid guarded [adopted]",
            "provisioned cus_cid bind cus_cid guarded [adopted]",
            "D3 +5h surplus cus_cid late [surplus in_doubt]",
            "–",
        ]),
        finds(several, &[OLD, X, YOUNG]).cells([
            "D3 +5h surplus cus_x duplicate surplus cus_young duplicate surplus cus_old late [surplus surplus surplus in_doubt]",
            "D3 +5h surplus cus_x duplicate surplus cus_young duplicate surplus cus_old late [surplus surplus surplus in_doubt]",
            "provisioned cus_old bind cus_old guarded surplus cus_x duplicate surplus cus_young duplicate [surplus surplus adopted]",
            "provisioned cus_old bind cus_old guarded surplus cus_x duplicate surplus cus_young duplicate [surplus surplus adopted]",
            "D3 +5h surplus cus_x duplicate surplus cus_young duplicate surplus cus_old late [surplus surplus surplus in_doubt]",
            "surplus cus_old duplicate surplus cus_x duplicate surplus cus_young duplicate [surplus surplus surplus]",
        ]),
        finds("Found: `cus_old` and `cus_x`; another tenant's column holds `cus_x`", &two)
            .but(|view| view.bound_elsewhere(X))
            .cells(["D3 +5h surplus cus_old late [surplus in_doubt]", "D3 +5h surplus cus_old late [surplus in_doubt]", "provisioned cus_old bind cus_old guarded [adopted]", "provisioned cus_old bind cus_old guarded [adopted]", "D3 +5h surplus cus_old late [surplus in_doubt]", "surplus cus_old duplicate [surplus]"]),
        finds("Found: `cus_old` and `cus_x`; another tenant's column holds `cus_old`", &two)
            .but(|view| view.bound_elsewhere(OLD))
            .cause("another tenant holds the Customer")
            .cells(["D3 +5h surplus cus_x duplicate [surplus in_doubt]", "D3 +5h surplus cus_x duplicate [surplus in_doubt]", "D3 +5h [in_doubt] operator: cus_old is another tenant's", "postponed [inquiry_failed] operator: cus_old is another tenant's", "D3 +5h surplus cus_x duplicate [surplus in_doubt]", "surplus cus_x duplicate [surplus]"]),
        finds("Found: `cus_old` and `cus_x`; `cus_old` is deleted by now", &two)
            .but(|view| view.deleted(OLD))
            .cells(["D3 +5h surplus cus_x late [surplus in_doubt]", "D3 +5h surplus cus_x late [surplus in_doubt]", ADOPTED, ADOPTED, "D3 +5h surplus cus_x late [surplus in_doubt]", "surplus cus_x duplicate [surplus]"]),
        finds("Found: `cus_old` and `cus_x`; an operator has unbound `cus_old` meanwhile", &two)
            .but(|view| view.unbound_by_operator(OLD))
            .cells(["D3 +5h surplus cus_x late [surplus in_doubt]", "D3 +5h surplus cus_x late [surplus in_doubt]", ADOPTED, ADOPTED, "D3 +5h surplus cus_x late [surplus in_doubt]", "surplus cus_x duplicate [surplus]"]),
        finds("Found: `cus_x`, which is deleted by now", &[X])
            .but(|view| view.deleted(X))
            .cause("an inquiry decides nothing").cells(["–", "–", "–", "postponed [inquiry_failed]", "–", "–"]),
        finds("Found: `cus_x`; the host has bound another Customer itself", &[X])
            .but(|view| view.bound_to(HOST))
            .cells([
                "D3 +5h surplus cus_x late [surplus in_doubt]",
                "D3 +5h surplus cus_x late [surplus in_doubt]",
                "provisioned cus_x surplus cus_x host_bound_another [surplus closed]",
                "provisioned cus_x surplus cus_x host_bound_another [surplus closed]",
                "D3 +5h surplus cus_x late [surplus in_doubt]",
                "surplus cus_x duplicate [surplus]",
            ]),
        finds("Found: `cus_x`; what is on record of it was not read", &[X])
            .but(|mut view| {
                view.facts.clear();
                view
            })
            .cells(["retry"; 6]),
        finds("Found: `cus_x`; the row went on to generation 4 meanwhile", &[X])
            .but(|mut view| {
                view.row.iter_mut().for_each(|row| row.generation = G + 1);
                view
            })
            .cause("an older inquiry finds a Customer")
            .cells([
                "D3 +5h surplus cus_x late [surplus in_doubt]",
                "D4 +5h surplus cus_x late [surplus in_doubt]",
                "D4 +5h surplus cus_x late [surplus in_doubt]",
                "D4 +5h surplus cus_x late [surplus in_doubt]",
                "D4 +5h surplus cus_x late [surplus in_doubt]",
                "surplus cus_x duplicate [surplus]",
            ]),
        nothing("Nothing found, conclusively")
            .cells(["–", "–", "–", "P4 guarded [reopened]", "–", "–"]),
        nothing("Nothing found, conclusively, and the row was never sent")
            .but(|view| with(view, now(), false))
            .only(At::InDoubt, "P3 guarded [reopened]"),
        nothing("Nothing found, conclusively, and the tenant does not exist any more")
            .cause("an inquiry proves that there is no Customer, and the tenant is gone")
            .but(But::gone)
            .only(At::InDoubt, "V4 [vacated]"),
        nothing("Nothing found, conclusively, and the host has bound a Customer itself")
            .cause("an inquiry proves that there is no other Customer than the host's")
            .but(|view| view.bound_to(HOST))
            .only(At::InDoubt, "provisioned cus_host [closed]"),
        ended("Nothing found, but the row has changed since it began", inquired_at(6, now(), Findings::Nothing))
            .cells(["–", "–", "–", "–", "–", "–"]),
        ended(
            "Nothing found, but it began too early to be conclusive",
            inquired_at(7, now() - minutes(10) - SECOND, Findings::Nothing),
        )
        .cause("an inquiry decides nothing").cells(["–", "–", "–", "postponed [inquiry_failed]", "–", "–"]),
        inconclusive(
            "Something could not be read",
            Inconclusive::Unavailable("customers: HTTP 503".into()),
        )
        .cells(["–", "–", "–", "postponed [inquiry_failed]", "–", "–"]),
        inconclusive(
            "The key may not read something",
            Inconclusive::NotPermitted("events: HTTP 403".into()),
        )
        .cells(["–", "–", "–", "postponed [inquiry_failed] operator: not permitted", "–", "–"]),
        inconclusive("Stripe does not accept the key", Inconclusive::BadKey("HTTP 401".into()))
            .cells(["–", "–", "–", "postponed [inquiry_failed] operator: bad key", "–", "–"]),
        inconclusive(
            "No TLS connection can be trusted",
            Inconclusive::Untrusted("events: not sent".into()),
        )
        .cells(["–", "–", "–", "postponed [inquiry_failed] operator: no trusted TLS", "–", "–"]),
        inconclusive(
            "Stripe does not know `cus_x`, which a source named",
            Inconclusive::UnknownCustomer(cus(X)),
        )
        .cells(["–", "–", "–", "postponed [inquiry_failed] operator: cus_x is unknown", "–", "–"]),
        inconclusive(
            "In live mode, another installation has created `cus_x` for a tenant of this id",
            Inconclusive::Foreign(cus(X), another()),
        )
        .cells(["–", "–", "–", "postponed [inquiry_failed] operator: cus_x is foreign", "–", "–"]),
        inconclusive(
            "`cus_x` names a tenant of this id, and may be another application's",
            Inconclusive::Unmarked(cus(X)),
        )
        .cells(["–", "–", "–", "postponed [inquiry_failed] operator: cus_x is unmarked", "–", "–"]),
        inconclusive(
            "Events do not reach back far enough, and there is no search",
            Inconclusive::OutOfReach,
        )
        .cells(["–", "–", "–", "postponed [inquiry_failed] operator: out of reach", "–", "–"]),
        finds("Found: `cus_old`, `cus_x` and `cus_young`; the row is provisioned with `cus_x`", &[OLD, X, YOUNG])
            .but(|view| provisioned_with_x(view).bound_to(X))
            .only(
                At::Provisioned,
                "surplus cus_old duplicate surplus cus_young duplicate [surplus surplus]",
            ),
        finds("Found: `cus_cid` and `cus_x`; another tenant's column holds `cus_x`", &[CID, X])
            .but(|view| view.bound_elsewhere(X))
            .only(At::Provisioned, "–"),
    ]
}

fn with(mut view: View, conclusive_from: jiff::Timestamp, sent: bool) -> View {
    view.row.iter_mut().for_each(|row| row.state = in_doubt(conclusive_from, sent));
    view
}
