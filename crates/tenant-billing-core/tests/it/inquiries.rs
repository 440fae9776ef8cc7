//! Inquiries: each source alone is enough to find a Customer, and only all of them together can
//! prove that there is none.

mod sources;
mod whose;

use jiff::SignedDuration;
use tenant_billing_core::{
    Details, OperatorError, Outcome, Policy,
    answer::Answer,
    audit::{Surplus, SurplusReason},
    ids::{IdempotencyKey, Mode, TenantId},
    state::{State, View},
};

use crate::{
    answers::{API, INVALID, MISSING, response},
    fakes::{Called, DEADLINE, World, created, event, retries, world},
    ids::parts,
    scene::{
        At, But, DETAILS, EMAIL, G, INSTALLATION, OTHER, TENANT, X, cus, hours, in_doubt, now,
        request, row_in, tenant, unbound, view,
    },
};

const EVENTS: &str = "events";

fn list() -> String {
    format!("list {EMAIL}")
}

fn search() -> String {
    search_by("tenantId")
}

/// The search for the tenant under this metadata key: in every common spelling.
fn search_by(key: &str) -> String {
    let (upper, simple) = (TENANT.to_uppercase(), TENANT.replace('-', ""));
    let spellings = [
        TENANT.to_owned(),
        upper.clone(),
        simple.to_uppercase(),
        simple,
        format!("{{{upper}}}"),
        format!("{{{TENANT}}}"),
    ];
    let clauses = spellings.map(|it| format!("metadata['{key}']:'{it}'"));
    format!("search {}", clauses.join(" OR "))
}

/// A tenant whose row is in doubt and two hours old, and for which an inquiry is conclusive.
fn tenant_in_doubt() -> World {
    put(world(Policy::default()))
}

fn put(world: World) -> World {
    world.store.put(unbound(Some(row_in(in_doubt(now(), true)))));
    world
}

fn adopted(id: &str) -> Called {
    Ok((id.to_owned(), Outcome::Adopted))
}

/// A Customer that names a tenant and, if one is given, an installation.
fn naming(id: &str, created: i64, tenant: &str, installation: Option<&str>) -> String {
    let installation = installation
        .map(|it| format!(r#","tenantBillingInstallation":"{it}""#))
        .unwrap_or_default();
    format!(
        r#"{{"object":"customer","id":"{id}","created":{created},"metadata":{{"tenantId":"{tenant}"{installation}}}}}"#
    )
}

fn page(entries: &[String], more: &str) -> String {
    format!(r#"{{"data":[{}],"has_more":{more}}}"#, entries.join(","))
}

/// An entry of this source for `id`, which this row's key created or which names this tenant.
fn entry(source: &str, id: &str) -> String {
    match source {
        EVENTS => event(&format!("evt_{id}"), request(G).key.as_str(), id),
        _ => naming(id, 1, TENANT, None),
    }
}

fn on_record(world: &World, customer: &str, reason: SurplusReason, resolved: bool) {
    let (customer, found_at) = (cus(customer), now());
    let resolved_at = resolved.then(now);
    world.store.data().surplus.push(Surplus { customer, reason, found_at, resolved_at });
}

/// Those of the request that is in doubt; of what others have made, nobody's.
#[tokio::test(start_paused = true)]
async fn a_caller_is_told_whose_details_an_adopted_customer_has() {
    let earlier = Details::OfAnEarlierCall;
    for (sent, mark, email, details, told) in [
        (true, Some(INSTALLATION), EMAIL, &*DETAILS, Some(Details::AsGiven)),
        (true, Some(INSTALLATION), EMAIL, &OTHER, Some(earlier)),
        // The request that was sent is lost.
        (true, Some(INSTALLATION), "lost@example.com", &DETAILS, Some(earlier)),
        (true, None, EMAIL, &OTHER, None),
        (false, Some(INSTALLATION), EMAIL, &OTHER, None),
    ] {
        let world = world(Policy::default());
        world.store.put(unbound(Some(row_in(in_doubt(now(), sent)))));
        let shown = naming(X, 1, TENANT, mark);
        let shown = shown.replace("{\"object\"", &format!("{{\"email\":\"{email}\",\"object\""));
        world.stripe.shows("customer cus_x", &shown);
        world.stripe.shows(&list(), &page(&[shown], "false"));
        let tenant = tenant();
        let called = world.billing.get_or_create(&tenant, details, DEADLINE).await;
        let called = called.map(|it| (it.outcome, it.details));
        assert_eq!(called, Ok((Outcome::Adopted, told)), "{sent} {mark:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_source_alone_is_enough() {
    for source in [EVENTS, &list(), &search()] {
        let world = tenant_in_doubt();
        world.stripe.shows(source, &page(&[entry(source, X)], "false"));
        assert_eq!(world.call().await, adopted(X), "{source}");
        assert!(world.stripe.sent().is_empty());
        let asked = world.stripe.asked();
        assert_eq!(asked, ["account", EVENTS, &list(), &search(), "customer cus_x"]);
        assert_eq!(world.stripe.since(), [now() - hours(26)]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_key_created_or_names_another_tenant_is_passed_over() {
    let keys = [
        parts("another-installation", Mode::Live, TENANT, G),
        parts(INSTALLATION, Mode::Test, TENANT, G),
        parts(INSTALLATION, Mode::Live, "another", G),
    ];
    for key in keys {
        let world = tenant_in_doubt();
        let key = IdempotencyKey::of(&key);
        world.stripe.event(key.as_str(), X);
        assert_eq!(world.call().await, created("cus_new1"), "{key}");
        assert!(!world.stripe.asked().contains(&"customer cus_x".to_owned()), "{key}");
    }
    for source in [list(), search()] {
        let world = tenant_in_doubt();
        let others = naming(X, 1, "another", None);
        world.stripe.shows(&source, &page(std::slice::from_ref(&others), "false"));
        world.stripe.shows("customer cus_x", &others);
        assert_eq!(world.call().await, created("cus_new1"), "{source}");
    }
}

/// Its metadata may have been edited since.
#[tokio::test(start_paused = true)]
async fn what_any_of_our_keys_created_is_ours_whatever_it_names_now() {
    for generation in [1, G, G + 1] {
        let world = tenant_in_doubt();
        world.stripe.event(request(generation).key.as_str(), X);
        world.stripe.shows("customer cus_x", &naming(X, 1, "another", Some("another")));
        assert_eq!(world.call().await, adopted(X), "{generation}");
    }
}

/// Other sources, or the same one once more, may name it too.
#[tokio::test(start_paused = true)]
async fn what_our_key_created_stays_ours_however_often_it_is_named() {
    let theirs = naming(X, 1, "another", Some("another"));
    let key = request(G).key;
    let twice = [event("evt_1", key.as_str(), X), event("evt_2", key.as_str(), X)];
    let world = tenant_in_doubt();
    world.stripe.shows(EVENTS, &page(&twice, "false"));
    world.stripe.shows(&search(), &page(std::slice::from_ref(&theirs), "false"));
    world.stripe.shows("customer cus_x", &theirs);
    assert_eq!(world.call().await, adopted(X));

    let on_record_too = tenant_in_doubt();
    on_record(&on_record_too, X, SurplusReason::Late, false);
    on_record_too.stripe.shows(&search(), &page(std::slice::from_ref(&theirs), "false"));
    on_record_too.stripe.shows("customer cus_x", &theirs);
    assert_eq!(on_record_too.call().await, adopted(X));
}

#[tokio::test(start_paused = true)]
async fn what_was_named_is_retrieved_before_it_is_believed() {
    let gone = tenant_in_doubt();
    gone.stripe.event(request(G).key.as_str(), X);
    gone.stripe.shows("customer cus_x", r#"{"object":"customer","id":"cus_x","deleted":true}"#);
    assert_eq!(gone.call().await, created("cus_new1"));
    assert_eq!(gone.store.data().deleted, [cus(X)]);

    for answer in
        [response(200, &[], r#"{"object":"customer","id":"cus_other"}"#), response(503, &[], API)]
    {
        let world = named_and_answered(answer);
        let told = world.call().await;
        assert!(retries(&told, true), "{told:?}");
        stays_in_doubt(&world, "could not read Customer cus_x");
    }
}

/// A tenant in doubt, for which events name [`X`], and a retrieve of it gets this answer.
fn named_and_answered(answer: Answer) -> World {
    let world = tenant_in_doubt();
    world.stripe.event(request(G).key.as_str(), X);
    world.stripe.says("customer cus_x", [answer]);
    world
}

fn stays_in_doubt(world: &World, why: &str) {
    let row = world.tenant().row.expect("a row");
    assert!(matches!(row.state, State::InDoubt { .. }), "{row:?}");
    assert_eq!(row.last_error.as_deref(), Some(why));
    assert_eq!((world.stripe.sent(), world.tenant().bound), (vec![], None));
}

/// `resource_missing` proves neither that there is no Customer nor that it is deleted.
#[tokio::test(start_paused = true)]
async fn a_customer_that_stripe_does_not_know_is_for_an_operator() {
    for status in [404, 400] {
        let world = named_and_answered(response(status, &[], MISSING));
        let told = world.call().await;
        assert_eq!(told, Err(OperatorError::UnknownCustomer(cus(X)).into()), "{status}");
        stays_in_doubt(&world, "Stripe does not know cus_x");
    }
}

#[tokio::test(start_paused = true)]
async fn a_customer_that_the_key_may_not_retrieve_is_for_an_operator() {
    let summary = |status| format!("Customer cus_x: HTTP {status} type=invalid_request_error");
    let not_sent = "Customer cus_x: not sent: the certificate has expired";
    for (answer, error, trail) in [
        (
            response(403, &[], INVALID),
            OperatorError::NotPermitted(format!("read {}", summary(403))),
            format!("may not read {}", summary(403)),
        ),
        (
            response(401, &[], INVALID),
            OperatorError::BadKey(summary(401)),
            format!("the key is refused: {}", summary(401)),
        ),
        (
            Answer::Untrusted("the certificate has expired".into()),
            OperatorError::TlsUntrusted(not_sent.into()),
            format!("could not read {not_sent}"),
        ),
    ] {
        let world = named_and_answered(answer);
        assert_eq!(world.call().await, Err(error.into()), "{trail}");
        stays_in_doubt(&world, &trail);
    }
}

/// The record of a Customer that was not bound outlives what Stripe lists.
#[tokio::test(start_paused = true)]
async fn what_is_on_record_as_surplus_is_a_source_too() {
    let world = tenant_in_doubt();
    on_record(&world, X, SurplusReason::Late, false);
    assert_eq!(world.call().await, adopted(X));

    let resolved = tenant_in_doubt();
    on_record(&resolved, X, SurplusReason::Late, true);
    assert_eq!(resolved.call().await, created("cus_new1"));
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_has_unbound_is_passed_over_and_nothing_else_is() {
    let world = tenant_in_doubt();
    on_record(&world, "cus_off", SurplusReason::Unbound, false);
    let off = entry(EVENTS, "cus_off");
    world.stripe.shows(EVENTS, &page(&[off, entry(EVENTS, X)], "false"));
    assert_eq!(world.call().await, adopted(X));
    assert!(!world.stripe.asked().contains(&"customer cus_off".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn of_several_the_oldest_is_bound_and_the_others_are_on_record() {
    let world = tenant_in_doubt();
    let customers = [("cus_a", 7), ("cus_b", 5), ("cus_c", 5)];
    let entries = customers.map(|(id, _)| entry(EVENTS, id));
    world.stripe.shows(EVENTS, &page(&entries, "false"));
    for (id, made) in customers {
        world.stripe.says(
            &format!("customer {id}"),
            [response(
                200,
                &[("Request-Id", &format!("req_{id}"))],
                &naming(id, made, TENANT, None),
            )],
        );
    }
    assert_eq!(world.call().await, adopted("cus_b"));
    let data = world.store.data();
    let surplus: Vec<_> = data.surplus.iter().map(|it| (it.customer.as_str(), it.reason)).collect();
    let duplicate = SurplusReason::Duplicate;
    assert_eq!(surplus, [("cus_c", duplicate), ("cus_a", duplicate)]);
    // The trail names the answer of Stripe that it rests on.
    for event in &data.written[0].events {
        assert_eq!(event.request_id.as_deref(), Some("req_cus_b"));
    }
}

/// The oldest is bound. What another tenant's column holds is in use there.
#[tokio::test(start_paused = true)]
async fn of_several_the_one_that_another_tenant_holds_is_not_on_record() {
    let world = tenant_in_doubt();
    let tenant = TenantId::parse("another").expect("a tenant id");
    world.store.put(View { tenant, ..view(At::Provisioned).bound_to("cus_b") });
    let entries = ["cus_a", "cus_b", "cus_c"].map(|id| entry(EVENTS, id));
    world.stripe.shows(EVENTS, &page(&entries, "false"));
    assert_eq!(world.call().await, adopted("cus_a"));
    let data = world.store.data();
    let surplus: Vec<_> = data.surplus.iter().map(|it| it.customer.as_str()).collect();
    assert_eq!(surplus, ["cus_c"]);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_request_that_cannot_be_read_back_proves_nothing() {
    let world = world(Policy::default());
    let mut request = request(G);
    request.body = "name=x".into();
    let (conclusive_from, sent) = (now() - SignedDuration::from_hours(1), true);
    let state = State::InDoubt { request, conclusive_from, sent };
    world.store.put(unbound(Some(row_in(state))));
    let told = world.call().await;
    assert!(retries(&told, true), "{told:?}");
    assert!(world.stripe.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_begins_with_an_inquiry_creates_a_customer_after_it() {
    let world = world(Policy { inquire_first: true, ..Policy::default() });
    world.store.put(view(At::NoRow));
    assert_eq!(world.call().await, created("cus_new1"));
    assert_eq!(world.stripe.asked()[1..], [EVENTS.to_owned(), format!("list {EMAIL}"), search()]);
    assert_eq!(world.tenant().tenant, tenant());
}
