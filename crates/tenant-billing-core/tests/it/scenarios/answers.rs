//! Stripe answers a send, or a webhook names the Customer that a key created.

use tenant_billing_core::{
    answer::{Failure, Refusal},
    ids::Mode,
    provisioning::Observation,
    state::View,
};

use super::{Scenario, observed};
use crate::scene::{At, But, G, HOST, X, account, cus, live, rejection};

const BY: &str = "Stripe's answer";
const LATE: &str = "surplus cus_x late [surplus]";
const BOUND: &str = "provisioned cus_x bind cus_x guarded [created]";
const DOUBT_THEN_BOUND: &str = "D3 +5h surplus cus_x late [surplus in_doubt], then provisioned cus_x bind cus_x guarded [created]";
const DOUBT: &str = "D3 +5h surplus cus_x late [surplus in_doubt]";

fn failed(name: &'static str, failure: Failure) -> Scenario {
    let summary = "HTTP 400 type=some_error".into();
    observed(name, BY, Observation::AnsweredWithoutCustomer { generation: G, failure, summary })
        .cause("a send brings no Customer")
}

fn created(name: &'static str) -> Scenario {
    observed(name, BY, live(G, X)).cause("Stripe answers with a Customer")
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let without_request =
        Observation::CreatedAlive { generation: G, customer: cus(X), request: None };
    vec![
        created("Created: `cus_x`").cells([
            DOUBT_THEN_BOUND,
            DOUBT_THEN_BOUND,
            BOUND,
            BOUND,
            DOUBT_THEN_BOUND,
            LATE,
        ]),
        observed(
            "Created: `cus_x`; a webhook says so, and the Customer does not show its request",
            "a webhook",
            without_request,
        )
        .cause("Stripe answers with a Customer")
        .cells([LATE, LATE, BOUND, BOUND, DOUBT_THEN_BOUND, LATE]),
        observed(
            "Created by an older generation: `cus_x`",
            BY,
            live(G - 1, X),
        )
        .cause("Stripe answers an older request with a Customer")
        .cells(["D2 +5h surplus cus_x late [surplus in_doubt], then provisioned cus_x bind cus_x guarded [created]", DOUBT, DOUBT, DOUBT, DOUBT, LATE]),
        observed(
            "Created: `cus_x`, which is deleted by now",
            BY,
            Observation::CreatedButDeleted { generation: G, customer: cus(X) },
        )
        .cause("the Customer that was created is deleted")
        .cells(["–", "–", "V4 [vacated]", "V4 [vacated]", "–", "–"]),
        created("Created: `cus_x`; the host has bound another Customer itself")
            .but(|view| view.bound_to(HOST))
            .cells([
                "D3 +5h surplus cus_x late [surplus in_doubt], then provisioned cus_x surplus cus_x host_bound_another [surplus closed]",
                "D3 +5h surplus cus_x late [surplus in_doubt], then provisioned cus_x surplus cus_x host_bound_another [surplus closed]",
                "provisioned cus_x surplus cus_x host_bound_another [surplus closed]",
                "provisioned cus_x surplus cus_x host_bound_another [surplus closed]",
                "D3 +5h surplus cus_x late [surplus in_doubt], then provisioned cus_x surplus cus_x host_bound_another [surplus closed]",
                LATE,
            ]),
        created("Created: `cus_x`; the host has bound `cus_x` itself").but(|view| view.bound_to(X)).cells([
            "D3 +5h [in_doubt], then provisioned cus_x holds cus_x [closed]",
            "D3 +5h [in_doubt], then provisioned cus_x holds cus_x [closed]",
            "provisioned cus_x holds cus_x [closed]",
            "provisioned cus_x holds cus_x [closed]",
            "D3 +5h [in_doubt], then provisioned cus_x holds cus_x [closed]",
            "–",
        ]),
        created("Created: `cus_x`; another tenant's column holds `cus_x`")
            .cause("another tenant holds the Customer")
            .but(|view| view.bound_elsewhere(X))
            .cells([
                "D3 +5h [in_doubt], then postponed [inquiry_failed] operator: cus_x is another tenant's",
                "D3 +5h [in_doubt], then postponed [inquiry_failed] operator: cus_x is another tenant's",
                "D3 +5h [in_doubt] operator: cus_x is another tenant's",
                "postponed [inquiry_failed] operator: cus_x is another tenant's",
                "D3 +5h [in_doubt], then postponed [inquiry_failed] operator: cus_x is another tenant's",
                "–",
            ]),
        created("Created: `cus_x`; the tenant does not exist any more").but(But::gone).cells([
            LATE,
            "D3 +5h surplus cus_x late [surplus in_doubt], then provisioned cus_x surplus cus_x tenant_gone [surplus closed]",
            "provisioned cus_x surplus cus_x tenant_gone [surplus closed]",
            "provisioned cus_x surplus cus_x tenant_gone [surplus closed]",
            "D3 +5h surplus cus_x late [surplus in_doubt], then provisioned cus_x surplus cus_x tenant_gone [surplus closed]",
            LATE,
        ]),
        created("Created: `cus_x`; `cus_x` is on record as deleted")
            .cause("the Customer that was created is deleted")
            .but(|view| view.deleted(X))
            .cells(["–", "–", "V4 [vacated]", "V4 [vacated]", "–", "–"]),
        created("Created: `cus_x`; an operator has unbound `cus_x`")
            .cause("an operator has unbound the Customer that was created")
            .but(|view| view.unbound_by_operator(X))
            .cells(["–", "–", "V4 [vacated]", "V4 [vacated]", "–", "–"]),
        created("Created: `cus_x`; the database belongs to another account")
            .but(|view| View { account: Some(account("acct_theirs", Mode::Live)), ..view })
            .cells(["D3 +5h surplus cus_x late [surplus in_doubt], then operator: acct_theirs in live mode", "D3 +5h surplus cus_x late [surplus in_doubt], then operator: acct_theirs in live mode", "operator: acct_theirs in live mode", "operator: acct_theirs in live mode", "D3 +5h surplus cus_x late [surplus in_doubt], then operator: acct_theirs in live mode", "surplus cus_x late [surplus]"]),
        created("Created: `cus_x`; what is on record of `cus_x` was not read")
            .but(|mut view| {
                view.facts.clear();
                view
            })
            .cells(["retry"; 6]),
        created("Created: `cus_cid`, which the row is provisioned with")
            .observing(live(G, "cus_cid"))
            .only(At::Provisioned, "–"),
        failed("No answer, an unstored error 5xx, or status 429", Failure::Retry(None)).cells([
            "–",
            "–",
            "postponed [send_failed]",
            "–",
            "–",
            "–",
        ]),
        failed("Status 409: the key is in use", Failure::InFlight).cells(["–"; 6]),
        failed("A stored failure is repeated", Failure::StoredFailure)
            .cause("Stripe repeats a stored failure")
            .cells(["–", "–", "D3 +10m [in_doubt]", "–", "D3 +10m [in_doubt]", "–"]),
        failed("The key was used with another request", Failure::Mismatched)
            .cause("the key was used with another request")
            .cells(["–", "–", "D3 +1h 10m [in_doubt]", "–", "–", "–"]),
        failed("A field of the request is refused", Failure::Rejected(rejection()))
            .cause("Stripe refuses a field")
            .cells(["–", "–", "R3 [rejected]", "–", "–", "–"]),
        refused("Status 401", Refusal::BadKey, "postponed [send_failed] operator: bad key"),
        refused(
            "Status 403: the key lacks a permission",
            Refusal::NotPermitted,
            "postponed [send_failed] operator: not permitted",
        ),
        refused(
            "Status 403: the key may not act for the account",
            Refusal::NotItsAccount,
            "postponed [send_failed] operator: not its account",
        ),
        refused(
            "Another status 4xx",
            Refusal::Unexpected,
            "postponed [send_failed] operator: unexpected answer",
        ),
        refused(
            "No TLS connection can be trusted",
            Refusal::Untrusted,
            "postponed [send_failed] operator: no trusted TLS",
        ),
    ]
}

fn refused(title: &'static str, refusal: Refusal, says: &'static str) -> Scenario {
    failed(title, Failure::Operator(refusal)).cells(["–", "–", says, "–", "–", "–"])
}

impl Scenario {
    fn observing(self, observation: Observation) -> Self {
        Self { happening: super::Happening::Observed(Box::new(observation)), ..self }
    }
}
