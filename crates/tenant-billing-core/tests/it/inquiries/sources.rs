//! Reading every source to its end, and what it means where that fails.

use tenant_billing_core::{
    Error, OperatorError, Outcome, Policy, Problem,
    ids::TenantId,
    request::FrozenRequest,
    state::{State, View},
};

use super::{EVENTS, adopted, entry, list, naming, page, search, tenant_in_doubt};
use crate::{
    answers::{API, INVALID, MISSING, response},
    fakes::{DEADLINE, World, created, event, world},
    scene::{
        BARE, But, G, OTHER, TENANT, X, context, hours, in_doubt, now, request, row_in, tenant,
        unbound,
    },
};

#[tokio::test(start_paused = true)]
async fn every_page_is_read() {
    let sources = [(EVENTS.to_owned(), "evt_cus_a"), (list(), "cus_a"), (search(), "page_2")];
    for (source, cursor) in sources {
        let world = tenant_in_doubt();
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

/// The same holds of every page after the first.
#[tokio::test(start_paused = true)]
async fn a_source_that_could_not_be_read_proves_nothing() {
    let table = [
        (503, API, "retry_later", ""),
        (401, INVALID, "operator_must_act", "HTTP 401"),
        (403, INVALID, "operator_must_act", "HTTP 403"),
        (200, r#"{"data":[],"has_more":true}"#, "retry_later", "to their end"),
        (200, r#"{"data":[]}"#, "retry_later", "HTTP 200"),
    ];
    for (source, cursor) in [(EVENTS.to_owned(), "evt_1"), (list(), "cus_a")] {
        for (status, body, code, says) in table {
            for first in [true, false] {
                let world = tenant_in_doubt();
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
                let error = world.call().await.expect_err("it is unknown whether there is one");
                assert_eq!(error.code(), code, "{broken} {status}");
                let row = world.tenant().row.expect("a row");
                let told = row.last_error.clone().expect("what went wrong");
                assert!(told.contains(says), "{broken} {status}: {told}");
                assert!(
                    matches!(row.state, State::InDoubt { .. }) && world.stripe.sent().is_empty()
                );
            }
        }
    }
}

/// Not every account has search, and a young row can do without.
#[tokio::test(start_paused = true)]
async fn only_an_old_row_needs_the_search() {
    let missing = MISSING;
    let table = [
        // whether the row is old, what the search says, expected
        (false, 200, r#"{"data":[],"has_more":false}"#, "created"),
        (false, 403, INVALID, "created"),
        (false, 404, missing, "created"),
        (false, 401, INVALID, "operator_must_act"),
        (false, 503, API, "retry_later"),
        (true, 200, r#"{"data":[],"has_more":false}"#, "created"),
        (true, 403, INVALID, "out of reach"),
        (true, 404, missing, "out of reach"),
    ];
    for (old, status, body, expected) in table {
        let world = tenant_in_doubt();
        if old {
            let row = unbound(Some(row_in(in_doubt(now(), true)))).aged(hours(800));
            world.store.put(row);
        }
        world.stripe.says(&search(), [response(status, &[], body)]);
        let came = match world.call().await.map_err(Error::into_problem) {
            Ok((_, outcome)) => outcome.as_str(),
            Err(Problem::Operator(OperatorError::OutOfReach)) => "out of reach",
            Err(problem) => Error::from(problem).code(),
        };
        assert_eq!(came, expected, "{old} {status}");
    }
}

/// No list is read, and what is older than the events is left to the search.
#[tokio::test(start_paused = true)]
async fn a_tenant_without_an_email_is_looked_for_by_events_and_search() {
    let tenant = tenant();
    for (sent, age, search_status, expected) in [
        (true, 2, 403, "created"),
        (true, 800, 403, "out of reach"),
        (true, 800, 200, "created"),
        (false, 2, 200, "created"),
        (false, 2, 403, "no e-mail to look by"),
        (false, 800, 403, "no e-mail to look by"),
    ] {
        let world = world(Policy::default());
        let frozen = FrozenRequest::freeze(&context().identity, &tenant, G, &BARE);
        let state = State::InDoubt { request: frozen, conclusive_from: now(), sent };
        world.store.put(unbound(Some(row_in(state))).aged(hours(age)));
        // Whoever reads the list by this address has mistaken the caller's for the row's.
        world.stripe.says(&list(), [response(401, &[], INVALID)]);
        let empty = r#"{"data":[],"has_more":false}"#;
        world.stripe.says(&search(), [response(search_status, &[], empty)]);
        let call = world.billing.get_or_create(&tenant, &BARE, DEADLINE);
        let came = match call.await.map_err(Error::into_problem) {
            Ok(it) => it.outcome.as_str(),
            Err(Problem::Operator(OperatorError::OutOfReach)) => "out of reach",
            Err(Problem::Operator(OperatorError::NoEmailToLookBy)) => "no e-mail to look by",
            Err(problem) => Error::from(problem).code(),
        };
        assert_eq!(came, expected, "{sent} {age} {search_status}");
        if expected == "no e-mail to look by" {
            // An address helps, since the list by it can be read.
            world.stripe.says(&list(), [response(200, &[], empty)]);
            assert_eq!(world.call().await, created("cus_new1"));
            assert_eq!(world.stripe.sent(), [request(G)]);
        }
    }
}

/// That another caller gave no e-mail address to look by says nothing to one who gives one.
#[tokio::test(start_paused = true)]
async fn a_caller_with_an_address_is_not_told_that_there_is_none() {
    let world = world(Policy { inquire_first: true, ..Policy::default() });
    world.stripe.says(&search(), [response(403, &[], API)]);
    let tenant = tenant();
    let call = |details| world.billing.get_or_create(&tenant, details, DEADLINE);
    let (bare, twin, other) = tokio::join!(call(&BARE), call(&BARE), call(&OTHER));
    for told in [bare, twin] {
        assert_eq!(told.map_err(|error| error.cause()), Err("no_email_to_look_by"));
    }
    assert_eq!(other.map(|it| it.outcome), Ok(Outcome::Created));
}

#[tokio::test(start_paused = true)]
async fn a_search_quotes_a_tenant_whose_id_has_quotes() {
    let world = world(Policy::default());
    let tenant = TenantId::parse(r"it's\7").expect("a tenant id");
    world.store.put(unbound(Some(row_in(in_doubt(now(), true)))));
    let view = world.tenant();
    world.store.put(View { tenant: tenant.clone(), ..view });
    let details = &crate::scene::DETAILS;
    let call = world.billing.get_or_create(&tenant, details, crate::fakes::DEADLINE);
    assert!(call.await.is_ok());
    let query = r"search metadata['tenantId']:'it\'s\\7'".to_owned();
    assert!(world.stripe.asked().contains(&query), "{:?}", world.stripe.asked());
}

/// A list may lose the entry that its next page should start after. Reading all of it again helps,
/// and on a first page there is no such entry.
#[tokio::test(start_paused = true)]
async fn a_list_that_changed_between_two_pages_is_read_again() {
    let sources = [
        (EVENTS.to_owned(), "evt_1", "true"),
        (list(), "cus_a", "true"),
        (search(), "page_2", r#"true,"next_page":"page_2""#),
    ];
    for (source, cursor, more) in sources {
        for status in [400, 404] {
            let world = tenant_in_doubt();
            let other = match &*source {
                EVENTS => event("evt_1", "order-7", "cus_a"),
                _ => naming("cus_a", 1, "another", None),
            };
            world.stripe.shows("customer cus_a", &naming("cus_a", 1, "another", None));
            world.stripe.shows(&source, &page(&[other], more));
            let second = format!("{source} after {cursor}");
            world.stripe.says(&second, [response(status, &[], MISSING)]);
            let told = world.call().await.map_err(Error::into_problem);
            assert!(matches!(told, Err(Problem::Retry { .. })), "{source} {status}: {told:?}");
            let why = world.tenant().row.and_then(|row| row.last_error).expect("why");
            assert!(why.starts_with("could not read"), "{source} {status}: {why}");
            assert!(world.stripe.sent().is_empty());

            if source == search() {
                continue;
            }
            let first = tenant_in_doubt();
            first.stripe.says(&source, [response(status, &[], MISSING)]);
            let told = first.call().await.map_err(Error::into_problem);
            let operator = matches!(told, Err(Problem::Operator(OperatorError::NotPermitted(_))));
            assert!(operator, "{source} {status}: {told:?}");
        }
    }
}

/// What needs a person is said before what may pass by itself.
#[tokio::test(start_paused = true)]
async fn of_several_reasons_the_one_that_needs_a_person_is_said() {
    let foreign = naming("cus_f", 1, TENANT, Some("another-installation"));
    let theirs = page(std::slice::from_ref(&foreign), "false");
    let forbidden = || response(403, &[], INVALID);
    let unavailable = || response(503, &[], API);
    let missing = || response(404, &[], MISSING);
    // Each line adds something that is said before all the lines above.
    let world = || {
        let world = world(Policy::default());
        world.store.put(unbound(Some(row_in(in_doubt(now(), true)))).aged(hours(800)));
        world.stripe.says(&search(), [forbidden()]);
        world
    };
    let reason = async |world: World| match world.call().await.map_err(Error::into_problem) {
        Err(Problem::Operator(error)) => match error {
            OperatorError::OutOfReach => "out of reach",
            OperatorError::UnknownCustomer(_) => "unknown",
            OperatorError::NotPermitted(_) => "not permitted",
            OperatorError::ForeignCustomer { .. } => "foreign",
            _ => "another error",
        },
        Err(Problem::Retry { .. }) => "unavailable",
        _ => "no error",
    };
    let named = |world: &World| {
        world.stripe.event(request(G).key.as_str(), X);
        world.stripe.says("customer cus_x", [missing()]);
    };
    assert_eq!(reason(world()).await, "out of reach");
    let second = world();
    second.stripe.says(&list(), [unavailable()]);
    assert_eq!(reason(second).await, "unavailable");
    let third = world();
    third.stripe.says(&list(), [unavailable()]);
    named(&third);
    assert_eq!(reason(third).await, "unknown");
    let fourth = world();
    named(&fourth);
    fourth.stripe.says(&list(), [forbidden()]);
    assert_eq!(reason(fourth).await, "not permitted");
    let fifth = world();
    fifth.stripe.says(EVENTS, [forbidden()]);
    fifth.stripe.shows(&list(), &theirs);
    fifth.stripe.shows("customer cus_f", &foreign);
    assert_eq!(reason(fifth).await, "foreign");
}

#[tokio::test(start_paused = true)]
async fn an_inquiry_waits_until_its_callers_deadline_with_growing_pauses() {
    let world = tenant_in_doubt();
    let empty = page(&[], "false");
    world.stripe.says(EVENTS, [response(503, &[], API), response(200, &[], &empty)]);
    assert_eq!(world.call().await, created("cus_new1"));

    let away = tenant_in_doubt();
    away.stripe.says(EVENTS, [response(503, &[], API)]);
    let told = away.call_within(std::time::Duration::from_secs(60)).await;
    assert!(told.is_err(), "{told:?}");
    let asked = away.stripe.asked().iter().filter(|asked| *asked == EVENTS).count();
    assert!((10..=15).contains(&asked), "{asked} questions in a minute");
}
