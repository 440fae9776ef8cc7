//! What the scenarios do not say of answers to sends.

use std::time::Duration;

use tenant_billing_core::{
    answer::{Failure, Refusal},
    provisioning::Observation,
    state::View,
};

use crate::{
    scene::{At, But, G, HOST, X, context, cus, live, rejection, view},
    summary::{check, row, row_if},
};

/// Whatever the column holds by now, the row says that it is provisioned with this Customer.
#[test]
fn a_row_that_is_provisioned_with_the_customer_stays_as_it_is() {
    for view in [
        view(At::Provisioned),
        view(At::Provisioned).nulled(),
        view(At::Provisioned).bound_to(HOST),
        view(At::Provisioned).gone(),
    ] {
        check("provisioned with the same", &view, &live(G, "cus_cid"), &context(), "–");
    }
}

#[test]
fn a_deleted_customer_of_another_generation_changes_nothing() {
    for generation in [G - 1, G + 1] {
        row(&Observation::CreatedButDeleted { generation, customer: cus(X) }, ["–"; 6]);
    }
}

#[test]
fn stripes_wish_to_wait_keeps_the_same_key() {
    let (failure, summary) = (Failure::Retry(Some(Duration::from_secs(7))), "HTTP 429".into());
    let answer = Observation::AnsweredWithoutCustomer { generation: G, failure, summary };
    row(&answer, ["–", "–", "postponed [send_failed]", "–", "–", "–"]);
}

#[test]
fn an_answer_changes_only_the_row_of_its_own_generation() {
    let failures = [
        Failure::Retry(None),
        Failure::InFlight,
        Failure::StoredFailure,
        Failure::Mismatched,
        Failure::Operator(Refusal::NotPermitted),
        Failure::Rejected(rejection()),
    ];
    for failure in failures {
        for generation in [G - 1, G + 1] {
            let (failure, summary) = (failure.clone(), "HTTP 500".into());
            row(&Observation::AnsweredWithoutCustomer { generation, failure, summary }, ["–"; 6]);
        }
    }
}

/// Stripe repeats an old answer for ever, so the record of the operator is all that counts.
#[test]
fn a_late_customer_that_an_operator_has_unbound_changes_nothing() {
    let unbound = |view: View| view.unbound_by_operator(X);
    row_if(unbound, &live(G - 1, X), ["–"; 6]);
}
