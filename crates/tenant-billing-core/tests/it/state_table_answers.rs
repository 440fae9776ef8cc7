//! The rows of the table that are about answers to sends, and binds. Columns: no row, vacant, pending,
//! suspect, rejected, settled; every row that is there is of generation 3.

use std::time::Duration;

use tenant_billing_core::{
    answer::Failure,
    provisioning::{Event, How, after},
    state::{State, View},
};

use crate::{
    scene::{At, But, G, HOST, X, cus, live, refusal, request, site, view},
    summary::{check, row, row_if},
};

fn answered(failure: Failure) -> Event {
    let words = "HTTP 400 type=some_error".into();
    Event::Answered { generation: G, failure, words }
}

#[test]
fn created_by_a_fresh_answer_of_its_own_generation() {
    row(
        &live(G, X),
        [
            "S3 +5h surplus cus_x late [surplus suspected], then settled cus_x bind cus_x guarded [created]",
            "n/a",
            "settled cus_x bind cus_x guarded [created]",
            "settled cus_x bind cus_x guarded [created]",
            "S3 +5h surplus cus_x late [surplus suspected], then settled cus_x bind cus_x guarded [created]",
            "surplus cus_x late [surplus]",
        ],
    );
    // However the column came to hold another or none: it is on record as what the row settled with.
    for view in [
        view(At::Settled),
        view(At::Settled).nulled(),
        host_bound(view(At::Settled)),
        view(At::Settled).gone(),
    ] {
        check("settled with the same", &view, &live(G, "cus_cid"), &site(), "–");
    }
}

/// A retrieve precedes it. Live: as fresh. Failed: nothing is written. Deleted: this.
#[test]
fn a_replayed_answer_names_a_deleted_customer() {
    let (generation, customer) = (G, cus(X));
    let dead = Event::Dead { generation, customer };
    row(&dead, ["–", "n/a", "V4 [vacated]", "V4 [vacated]", "–", "–"]);
    let (generation, customer) = (G - 1, cus(X));
    row(&Event::Dead { generation, customer }, ["–"; 6]);
}

#[test]
fn created_by_an_answer_of_an_older_generation() {
    let late = "S3 +5h surplus cus_x late [surplus suspected]";
    row(&live(G - 1, X), ["n/a", late, late, late, late, "surplus cus_x late [surplus]"]);
}

#[test]
fn no_news_keeps_the_same_key() {
    let table = [
        (Failure::Again(None), "paced [send_failed]"),
        (Failure::Again(Some(Duration::from_secs(7))), "paced [send_failed]"),
        (Failure::InFlight, "–"),
    ];
    for (failure, pending) in table {
        row(&answered(failure), ["–", "–", pending, "–", "–", "–"]);
    }
}

#[test]
fn a_replayed_failure_spends_the_key() {
    let spent = "S3 +10m [suspected]";
    row(&answered(Failure::Spent), ["–", "–", spent, "–", spent, "–"]);
}

#[test]
fn an_idempotency_error_shows_an_earlier_use_of_the_key() {
    row(&answered(Failure::Mismatched), ["–", "–", "S3 +1h 10m [suspected]", "–", "–", "–"]);
}

#[test]
fn a_definite_refusal_rejects_the_request() {
    row(&answered(Failure::Refused(refusal())), ["–", "–", "R3 [rejected]", "–", "–", "–"]);
}

#[test]
fn a_refused_key_calls_an_operator() {
    row(&answered(Failure::Operator), ["–", "–", "paced [send_failed] operator", "–", "–", "–"]);
}

#[test]
fn an_answer_changes_only_the_row_of_its_own_generation() {
    let failures = [
        Failure::Again(None),
        Failure::InFlight,
        Failure::Spent,
        Failure::Mismatched,
        Failure::Refused(refusal()),
    ];
    for failure in failures {
        for generation in [G - 1, G + 1] {
            let (failure, words) = (failure.clone(), "HTTP 500".into());
            row(&Event::Answered { generation, failure, words }, ["–"; 6]);
        }
    }
}

fn host_bound(view: View) -> View {
    view.bound_to(HOST)
}

#[test]
fn a_bind_finds_another_id() {
    let surplus = "settled cus_x surplus cus_x host_bound_another [surplus settled]";
    row_if(
        host_bound,
        &live(G, X),
        ["no bind", "no bind", surplus, surplus, "no bind", "surplus cus_x late [surplus]"],
    );
}

#[test]
fn a_bind_finds_its_own_id() {
    for at in [At::Pending, At::Suspect] {
        let outcome = after(&view(at).bound_to(X), &live(G, X), &site());
        let row = outcome.change.row.expect("a row");
        assert_eq!(row.state, State::Settled(cus(X)));
        assert_eq!((outcome.change.surplus, outcome.problem), (vec![], None));
    }
}

#[test]
fn the_id_is_bound_to_another_tenant() {
    row_if(
        But::bound_elsewhere,
        &live(G, X),
        [
            "no bind",
            "no bind",
            "S3 +5h [suspected] operator: cus_x is another's",
            "paced [look_failed] operator: cus_x is another's",
            "no bind",
            "–",
        ],
    );
}

#[test]
fn the_tenant_is_gone_at_the_bind() {
    let surplus = "settled cus_x surplus cus_x tenant_gone [surplus settled]";
    row_if(
        But::gone,
        &live(G, X),
        [
            "surplus cus_x late [surplus]",
            "no bind",
            surplus,
            surplus,
            "no bind",
            "surplus cus_x late [surplus]",
        ],
    );
}

#[test]
fn a_created_webhook_with_the_key_of_this_generation() {
    // Made from the retrieved Customer, or from nothing if that has no usable e-mail address.
    for request in [Some(request(G)), None] {
        let event = Event::Live {
            generation: G,
            customer: cus(X),
            request: request.clone(),
            how: How::Created,
        };
        let bound = "settled cus_x bind cus_x guarded [created]";
        let then = "S3 +5h surplus cus_x late [surplus suspected], then settled cus_x bind cus_x guarded [created]";
        let no_row = if request.is_some() { then } else { "surplus cus_x late [surplus]" };
        // Vacant: no key of this generation was ever sent, says the table. If the row was restored,
        // one was, and the promise that no Customer is lost comes before the table's "–".
        row(&event, [no_row, "no bind", bound, bound, then, "surplus cus_x late [surplus]"]);
    }
}

#[test]
fn a_created_webhook_of_a_customer_that_an_operator_took_off() {
    let late = Event::Live {
        generation: G - 1,
        customer: cus(X),
        request: Some(request(G - 1)),
        how: How::Created,
    };
    row_if(But::taken_off, &live(G, X), ["–", "–", "V4 [vacated]", "V4 [vacated]", "–", "–"]);
    row_if(But::taken_off, &late, ["–"; 6]);
}
