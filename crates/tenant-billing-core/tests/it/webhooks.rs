//! Webhooks, operators, and the end of a process.

use std::time::Duration;

use tenant_billing_core::{
    OperatorError, Policy,
    audit::{EventKind, SurplusReason},
    ids::{Email, IdempotencyKey, KeyParts, Mode},
    request::CustomerDetails,
    state::State,
};

use crate::{
    answers::{API, MISSING, response},
    fakes::{created, retries, world},
    ids::parts,
    scene::{At, EMAIL, G, INSTALLATION, TENANT, X, cus, reason, request, view},
};

#[tokio::test(start_paused = true)]
async fn a_created_webhook_binds_what_our_key_created() {
    for at in [At::Pending, At::InDoubt] {
        let world = world(Policy::default());
        world.store.put(view(at));
        let key = request(G).key;
        // Any number of times.
        for _ in 0..2 {
            assert_eq!(world.billing.customer_created(key.as_str(), &cus(X)).await, Ok(()));
            assert_eq!(world.tenant().bound, Some(cus(X)), "{at:?}");
        }
        assert!(world.stripe.sent().is_empty());
    }
}

/// No row is left, so the details that the key was sent with are read from the Customer.
#[tokio::test(start_paused = true)]
async fn a_created_webhook_whose_row_was_lost_binds_its_customer_too() {
    let world = world(Policy::default());
    world.store.put(view(At::NoRow));
    let key = request(G).key;
    let shown = format!(
        r#"{{"object":"customer","id":"{X}","email":"{EMAIL}","name":"Jane Q. Doe","metadata":{{
            "plan":"gold","empty":"","tenantId":"{TENANT}"}}}}"#
    );
    world.stripe.shows("customer cus_x", &shown);
    assert_eq!(world.billing.customer_created(key.as_str(), &cus(X)).await, Ok(()));
    assert_eq!(world.tenant().bound, Some(cus(X)));
    let row = world.tenant().row.expect("a row");
    assert_eq!((row.generation, row.state), (G, State::Provisioned(cus(X))));
    let in_doubt = world.store.data().written[0].row.clone().expect("a row");
    assert_eq!(in_doubt.state.request(), Some(&request(G)));
}

/// Details that a caller could not give are left out.
#[tokio::test(start_paused = true)]
async fn a_created_webhook_takes_the_details_that_the_customer_shows() {
    let bare = |email: &str| CustomerDetails::new(Email::parse(email).expect("an address"));
    let long = "x".repeat(257);
    let table = [
        (format!(r#""email":"{EMAIL}""#), bare(EMAIL)),
        (format!(r#""email":"{EMAIL}","name":"{long}""#), bare(EMAIL)),
        (format!(r#""email":"{EMAIL}","metadata":{{"a[b":"c"}}"#), bare(EMAIL)),
        (r#""email":"nobody""#.to_owned(), CustomerDetails::without_email()),
        (r#""email":null"#.to_owned(), CustomerDetails::without_email()),
    ];
    for (shown, details) in table {
        let world = world(Policy::default());
        world.store.put(view(At::NoRow));
        world
            .stripe
            .shows("customer cus_x", &format!(r#"{{"object":"customer","id":"{X}",{shown}}}"#));
        let told = world.billing.customer_created(request(G).key.as_str(), &cus(X)).await;
        assert_eq!(told, Ok(()));
        let written = world.store.data().written[0].row.clone();
        let asked = written.and_then(|row| row.state.request().cloned());
        assert_eq!(asked.and_then(|it| it.details().ok()), Some(details), "{shown}");
        assert_eq!(world.tenant().bound, Some(cus(X)), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_created_webhook_of_a_key_that_is_not_ours_does_nothing() {
    let of = |parts: &KeyParts| IdempotencyKey::of(parts).to_string();
    let keys = [
        of(&parts("another-installation", Mode::Live, TENANT, G)),
        of(&parts(INSTALLATION, Mode::Test, TENANT, G)),
        of(&parts("another-installation", Mode::Test, TENANT, G)),
        "order-7".to_owned(),
        String::new(),
    ];
    for key in keys {
        let world = world(Policy::default());
        world.store.put(view(At::Pending));
        assert_eq!(world.billing.customer_created(&key, &cus(X)).await, Ok(()), "{key}");
        assert!(!world.stripe.asked().contains(&"customer cus_x".to_owned()), "{key}");
        assert!(world.store.data().written.is_empty(), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_created_webhook_that_cannot_be_confirmed_is_delivered_again() {
    for (status, code) in [(503, "retry_later"), (403, "operator_must_act")] {
        let world = world(Policy::default());
        world.store.put(view(At::Pending));
        world.stripe.says("customer cus_x", [response(status, &[], API)]);
        let told = world.billing.customer_created(request(G).key.as_str(), &cus(X)).await;
        assert_eq!(told.map_err(|error| error.code()), Err(code));
        assert_eq!(world.tenant().bound, None);
    }
}

/// Delivering it again would not help, so the error names what a person has to check.
#[tokio::test(start_paused = true)]
async fn a_created_webhook_of_a_customer_that_stripe_does_not_know_is_for_an_operator() {
    for status in [404, 400] {
        let world = world(Policy::default());
        world.store.put(view(At::Pending));
        world.stripe.says("customer cus_x", [response(status, &[], MISSING)]);
        let told = world.billing.customer_created(request(G).key.as_str(), &cus(X)).await;
        assert_eq!(told, Err(OperatorError::UnknownCustomer(cus(X)).into()), "{status}");
        assert!(world.store.data().written.is_empty(), "{status}");
    }
}

/// The retrieve of a webhook may show the Customer deleted already.
#[tokio::test(start_paused = true)]
async fn a_created_webhook_of_a_deleted_customer_opens_the_next_generation() {
    let world = world(Policy::default());
    world.store.put(view(At::Pending));
    world.stripe.shows("customer cus_x", r#"{"object":"customer","id":"cus_x","deleted":true}"#);
    assert_eq!(world.billing.customer_created(request(G).key.as_str(), &cus(X)).await, Ok(()));
    assert_eq!(world.store.data().deleted, [cus(X)]);
    let row = world.tenant().row.expect("a row");
    assert_eq!((row.generation, row.state), (G + 1, State::Vacant));
}

#[tokio::test(start_paused = true)]
async fn after_a_deleted_webhook_the_next_caller_gets_another_customer() {
    let world = world(Policy::default());
    world.store.put(view(At::Provisioned));
    assert_eq!(world.billing.customer_deleted(&cus("cus_cid")).await, Ok(()));
    assert_eq!(world.tenant().bound, None);
    assert_eq!(world.store.data().deleted, [cus("cus_cid")]);
    assert_eq!(world.call().await, created("cus_new1"));
    assert_eq!(world.stripe.sent(), [request(G + 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_unbinds_a_customer_unless_a_creation_is_under_way() {
    let world = world(Policy::default());
    let (tenant, ours) = (crate::scene::tenant(), cus("cus_cid"));
    for at in [At::Pending, At::InDoubt] {
        world.store.put(view(at));
        let told =
            world.billing.unbind(&tenant, &ours, &reason()).await.expect_err("it is under way");
        assert_eq!(told.retry_after(), Some(Duration::from_secs(10)));
        assert!(told.may_have_created() && world.store.data().written.is_empty());
    }
    world.store.put(view(At::Provisioned));
    // Only the Customer that is bound, and only once.
    for (customer, written) in [(X, 0), ("cus_cid", 1), ("cus_cid", 1)] {
        let before = world.store.data().written.len();
        let unbound = world.billing.unbind(&tenant, &cus(customer), &reason()).await;
        assert_eq!(unbound, Ok(before < written), "{customer}");
        assert_eq!(world.store.data().written.len(), written, "{customer}");
    }
    let data = world.store.data();
    let kinds: Vec<_> = data.written[0].events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Cleared, EventKind::Surplus, EventKind::Vacated]);
    assert_eq!(data.surplus[0].reason, SurplusReason::Unbound);
    assert!(world.stripe.asked().is_empty() && world.stripe.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_shuts_down_takes_no_calls_and_waits_for_the_work_in_flight() {
    let idle = world(Policy::default());
    assert!(idle.billing.shutdown(Duration::ZERO).await);
    assert!(idle.stripe.asked().is_empty());

    let world = world(Policy::default());
    world.stripe.takes(Duration::from_secs(5));
    let close = async {
        world.sent(1).await;
        let early = world.billing.shutdown(Duration::from_secs(1)).await;
        (early, world.billing.shutdown(Duration::from_secs(100)).await)
    };
    let (called, closed) = tokio::join!(world.call(), close);
    assert_eq!((called, closed), (created("cus_new1"), (false, true)));

    // A bound tenant still gets its Customer, and nothing new is begun.
    assert!(world.call().await.is_ok());
    let mut other = view(At::NoRow);
    other.tenant = "another".parse().expect("a tenant id");
    world.store.put(other.clone());
    let details = &crate::scene::DETAILS;
    let told = world.billing.get_or_create(&other.tenant, details, Duration::from_secs(1)).await;
    assert!(retries(&told, false), "{told:?}");
    let told = world.billing.customer_created(request(G).key.as_str(), &cus(X)).await;
    assert!(retries(&told, true), "{told:?}");
    assert_eq!(world.stripe.sent().len(), 1);
    assert!(world.billing.shutdown(Duration::ZERO).await);
}
