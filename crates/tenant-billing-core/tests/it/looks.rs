//! A look at Stripe: each source alone is enough to find a Customer, and only all of them together
//! can show that there is none.

use jiff::SignedDuration;
use tenant_billing_core::{
    Error, OperatorError, Outcome, Policy,
    audit::{Surplus, SurplusReason},
    ids::{IdempotencyKey, Mode, TenantId},
    state::State,
};

use crate::{
    answers::{API, INVALID, response},
    fakes::{Called, Script, World, created, event, world, world_with},
    ids::parts,
    scene::{
        At, But, EMAIL, G, INSTALLATION, TENANT, X, account, cus, hours, now, request, row_in,
        suspect, tenant, unbound, view,
    },
};

const EVENTS: &str = "events";

fn list() -> String {
    format!("list {EMAIL}")
}

fn search() -> String {
    format!("search metadata['tenantId']:'{TENANT}'")
}

/// A row whose look would count, two hours old.
fn suspected() -> World {
    put(world(Policy::default()))
}

fn put(world: World) -> World {
    world.store.put(unbound(Some(row_in(suspect(now(), true)))));
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
        r#"{{"id":"{id}","created":{created},"metadata":{{"tenantId":"{tenant}"{installation}}}}}"#
    )
}

fn page(entries: &[String], more: &str) -> String {
    format!(r#"{{"data":[{}],"has_more":{more}}}"#, entries.join(","))
}

/// An entry of the source that leads to `id`, made by this row's key or naming this tenant.
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

#[tokio::test(start_paused = true)]
async fn each_source_alone_is_enough() {
    for source in [EVENTS, &list(), &search()] {
        let world = suspected();
        world.stripe.shows(source, &page(&[entry(source, X)], "false"));
        assert_eq!(world.call().await, adopted(X), "{source}");
        assert!(world.stripe.sent().is_empty());
        let asked = world.stripe.asked();
        assert_eq!(asked, ["account", EVENTS, &list(), &search(), "customer cus_x"]);
        assert_eq!(world.stripe.since(), [now() - hours(26)]);
    }
}

#[tokio::test(start_paused = true)]
async fn every_page_is_read() {
    let sources = [(EVENTS.to_owned(), "evt_cus_a"), (list(), "cus_a"), (search(), "page_2")];
    for (source, cursor) in sources {
        let world = suspected();
        let other = match &*source {
            EVENTS => event("evt_cus_a", "order-7", "cus_a"),
            _ => naming("cus_a", 1, "another", None),
        };
        let more = if cursor == "page_2" { r#"true,"next_page":"page_2""# } else { "true" };
        world.stripe.shows("customer cus_a", &naming("cus_a", 1, "another", None));
        world.stripe.shows(&source, &page(&[other], more));
        let second = format!("{source} after {cursor}");
        world.stripe.shows(&second, &page(&[entry(&source, X)], "false"));
        assert_eq!(world.call().await, adopted(X), "{source}");
        assert!(world.stripe.asked().contains(&second));
    }
}

/// Also of what is on another page than the first.
#[tokio::test(start_paused = true)]
async fn a_source_that_could_not_be_read_is_no_none() {
    let table = [
        (503, API, "try_again_later", ""),
        (401, INVALID, "operator_must_act", "HTTP 401"),
        (403, INVALID, "operator_must_act", "HTTP 403"),
        (200, r#"{"data":[],"has_more":true}"#, "try_again_later", "does not say where"),
        (200, r#"{"data":[]}"#, "try_again_later", "HTTP 200"),
    ];
    for (source, cursor) in [(EVENTS.to_owned(), "evt_1"), (list(), "cus_a")] {
        for (status, body, code, says) in table {
            for first in [true, false] {
                let world = suspected();
                let other = match &*source {
                    EVENTS => event("evt_1", "order-7", "cus_a"),
                    _ => naming("cus_a", 1, "another", None),
                };
                let broken = if first {
                    source.clone()
                } else {
                    world.stripe.shows(&source, &page(&[other], "true"));
                    format!("{source} after {cursor}")
                };
                world.stripe.says(&broken, [response(status, &[], body)]);
                let error = world.call().await.expect_err("nobody knows whether there is one");
                assert_eq!(error.code(), code, "{broken} {status}");
                let row = world.tenant().row.expect("a row");
                let told = row.last_error.clone().expect("what went wrong");
                assert!(told.contains(says), "{broken} {status}: {told}");
                assert!(
                    matches!(row.state, State::Suspect { .. }) && world.stripe.sent().is_empty()
                );
            }
        }
    }
}

/// Not every account has search, and a young row can do without.
#[tokio::test(start_paused = true)]
async fn only_an_old_row_needs_search() {
    let missing = r#"{"error":{"type":"invalid_request_error","code":"resource_missing"}}"#;
    let table = [
        // Whether the row is old, what search says, what comes of it.
        (false, 200, r#"{"data":[],"has_more":false}"#, "created"),
        (false, 403, INVALID, "created"),
        (false, 404, missing, "created"),
        (false, 401, INVALID, "operator_must_act"),
        (false, 503, API, "try_again_later"),
        (true, 200, r#"{"data":[],"has_more":false}"#, "created"),
        (true, 403, INVALID, "out of reach"),
        (true, 404, missing, "out of reach"),
    ];
    for (old, status, body, expected) in table {
        let world = suspected();
        if old {
            let row = unbound(Some(row_in(suspect(now(), true)))).aged(hours(800));
            world.store.put(row);
        }
        world.stripe.says(&search(), [response(status, &[], body)]);
        let came = match world.call().await {
            Ok((_, outcome)) => outcome.as_str(),
            Err(Error::Operator(OperatorError::OutOfReach)) => "out of reach",
            Err(error) => error.code(),
        };
        assert_eq!(came, expected, "{old} {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_quotes_a_tenant_whose_id_has_quotes() {
    let world = world(Policy::default());
    let tenant = TenantId::parse(r"it's\7").expect("a tenant id");
    world.store.put(unbound(Some(row_in(suspect(now(), true)))));
    let view = world.tenant();
    world.store.put(tenant_billing_core::state::View { tenant: tenant.clone(), ..view });
    let details = &crate::scene::DETAILS;
    let call = world.billing.get_or_create(&tenant, details, crate::fakes::DEADLINE);
    assert!(call.await.is_ok());
    let query = r"search metadata['tenantId']:'it\'s\\7'".to_owned();
    assert!(world.stripe.asked().contains(&query), "{:?}", world.stripe.asked());
}

#[tokio::test(start_paused = true)]
async fn what_another_key_made_or_names_another_tenant_is_passed_over() {
    let keys = [
        parts("another-installation", Mode::Live, TENANT, G),
        parts(INSTALLATION, Mode::Test, TENANT, G),
        parts(INSTALLATION, Mode::Live, "another", G),
    ];
    for key in keys {
        let world = suspected();
        let key = IdempotencyKey::of(&key);
        world.stripe.event(key.as_str(), X);
        assert_eq!(world.call().await, created("cus_new1"), "{key}");
        assert!(!world.stripe.asked().contains(&"customer cus_x".to_owned()), "{key}");
    }
    for source in [list(), search()] {
        let world = suspected();
        let others = naming(X, 1, "another", None);
        world.stripe.shows(&source, &page(std::slice::from_ref(&others), "false"));
        world.stripe.shows("customer cus_x", &others);
        assert_eq!(world.call().await, created("cus_new1"), "{source}");
    }
}

/// Its metadata may have been edited since.
#[tokio::test(start_paused = true)]
async fn what_any_of_our_keys_made_is_ours_whatever_it_names_now() {
    for generation in [1, G, G + 1] {
        let world = suspected();
        world.stripe.event(request(generation).key.as_str(), X);
        world.stripe.shows("customer cus_x", &naming(X, 1, "another", Some("another")));
        assert_eq!(world.call().await, adopted(X), "{generation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_customer_that_another_installation_made_is_for_an_operator_in_live_mode_only() {
    let foreign = naming(X, 1, TENANT, Some("another-installation"));
    let theirs = page(std::slice::from_ref(&foreign), "false");
    let live = suspected();
    live.stripe.shows(&list(), &theirs);
    live.stripe.shows("customer cus_x", &foreign);
    let told = live.call().await;
    assert_eq!(told, Err(OperatorError::ForeignCustomer(cus(X)).into()));
    assert!(live.stripe.sent().is_empty());

    // One of ours beside it goes first.
    let both = [foreign.clone(), naming("cus_y", 2, TENANT, Some(INSTALLATION))];
    live.stripe.shows(&list(), &page(&both, "false"));
    live.stripe.shows("customer cus_y", &both[1]);
    live.store.put(unbound(Some(row_in(suspect(now(), true)))));
    assert_eq!(live.call().await, adopted("cus_y"));

    let mut stripe = Script::default();
    stripe.test_mode = true;
    let test = put(world_with(Policy::default(), stripe));
    let mut view = test.tenant();
    view.account = Some(account("acct_ours", Mode::Test));
    test.store.put(view);
    test.stripe.shows(&list(), &theirs);
    test.stripe.shows("customer cus_x", &foreign);
    assert_eq!(test.call().await, created("cus_new1"));
}

#[tokio::test(start_paused = true)]
async fn what_was_found_is_retrieved_before_it_is_believed() {
    let gone = suspected();
    gone.stripe.event(request(G).key.as_str(), X);
    gone.stripe.shows("customer cus_x", r#"{"id":"cus_x","deleted":true}"#);
    assert_eq!(gone.call().await, created("cus_new1"));
    assert_eq!(gone.store.data().deleted, [cus(X)]);

    for answer in [
        response(200, &[], r#"{"id":"cus_other"}"#),
        response(503, &[], API),
        response(403, &[], INVALID),
        response(404, &[], r#"{"error":{"code":"resource_missing"}}"#),
    ] {
        let world = suspected();
        world.stripe.event(request(G).key.as_str(), X);
        world.stripe.says("customer cus_x", [answer]);
        let told = world.call().await;
        assert!(matches!(told, Err(Error::Later { unsettled: true, .. })), "{told:?}");
        assert_eq!((world.stripe.sent(), world.tenant().bound), (vec![], None));
    }
}

/// The record of a Customer that was not bound outlives what Stripe lists.
#[tokio::test(start_paused = true)]
async fn what_is_on_record_as_surplus_is_a_source_too() {
    let world = suspected();
    on_record(&world, X, SurplusReason::Late, false);
    assert_eq!(world.call().await, adopted(X));

    let resolved = suspected();
    on_record(&resolved, X, SurplusReason::Late, true);
    assert_eq!(resolved.call().await, created("cus_new1"));
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_took_off_is_passed_over_and_nothing_else_is() {
    let world = suspected();
    on_record(&world, "cus_off", SurplusReason::Unbound, false);
    let off = entry(EVENTS, "cus_off");
    world.stripe.shows(EVENTS, &page(&[off, entry(EVENTS, X)], "false"));
    assert_eq!(world.call().await, adopted(X));
    assert!(!world.stripe.asked().contains(&"customer cus_off".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn of_several_the_oldest_is_bound_and_the_others_are_on_record() {
    let world = suspected();
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
    // The trail says which answer of Stripe's it rests on.
    for event in &data.written[0].events {
        assert_eq!(event.request_id.as_deref(), Some("req_cus_b"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_is_as_patient_as_its_caller_and_pesters_nobody() {
    let world = suspected();
    let empty = page(&[], "false");
    world.stripe.says(EVENTS, [response(503, &[], API), response(200, &[], &empty)]);
    assert_eq!(world.call().await, created("cus_new1"));

    let away = suspected();
    away.stripe.says(EVENTS, [response(503, &[], API)]);
    let told = away.call_within(std::time::Duration::from_secs(60)).await;
    assert!(told.is_err(), "{told:?}");
    let asked = away.stripe.asked().iter().filter(|asked| *asked == EVENTS).count();
    assert!((10..=15).contains(&asked), "{asked} questions in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_request_that_cannot_be_read_back_is_no_none() {
    let world = world(Policy::default());
    let mut request = request(G);
    request.body = "name=x".into();
    let (quiet_until, sent) = (now() - SignedDuration::from_hours(1), true);
    let state = State::Suspect { request, quiet_until, sent };
    world.store.put(unbound(Some(row_in(state))));
    let told = world.call().await;
    assert!(matches!(told, Err(Error::Later { unsettled: true, .. })), "{told:?}");
    assert!(world.stripe.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_look_first_call_looks_and_then_creates() {
    let world = world(Policy { look_first: true, ..Policy::default() });
    world.store.put(view(At::NoRow));
    assert_eq!(world.call().await, created("cus_new1"));
    assert_eq!(world.stripe.asked()[1..], [EVENTS.to_owned(), format!("list {EMAIL}"), search()]);
    assert_eq!(world.tenant().tenant, tenant());
}
