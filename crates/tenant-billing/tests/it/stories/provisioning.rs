//! The promise, over a real database and real HTTP.

use std::{sync::Arc, time::Duration};

use stripe_sandbox::{Fault, Rule, When};
use tenant_billing::{
    Billing, Error, Outcome, Policy, Problem, audit::EventKind as K, ids::TenantId,
};

use super::world::{World, brief, call, details, id};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_new_tenant_costs_one_creation_and_is_then_bound() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let first = call(&billing, &tenant).await.unwrap();
    assert_eq!(first.outcome, Outcome::Created);
    let requests: Vec<_> = world.sandbox.requests().iter().map(|it| it.path.clone()).collect();
    assert_eq!(requests, ["/v1/account", "/v1/customers"]);
    let made = &world.live()[0];
    assert_eq!(made.id, first.customer.as_str());
    assert_eq!(made.email.as_deref(), Some("owner@example.com"));
    assert_eq!(made.metadata["tenantId"], tenant.as_str());
    assert_eq!(made.metadata.len(), 2);
    assert_eq!(world.kinds(&tenant).await, [K::Opened, K::Created]);

    // Warm: by this process, by another, and in another spelling, without any request.
    let upper = tenant.as_str().to_uppercase();
    for again in [billing, world.billing()] {
        assert_eq!(call(&again, &tenant).await.unwrap().outcome, Outcome::Existing);
        let same = again.get_or_create_stripe_customer(&upper, "other@example.com").await;
        assert_eq!(same.unwrap(), first.customer);
        assert_eq!(again.lookup(&tenant).await.unwrap(), Some(first.customer.clone()));
    }
    assert_eq!(world.sandbox.requests().len(), 2);
}

#[tokio::test]
async fn more_details_reach_the_customer() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let details = details("a@example.com").with_name("Ärger & Söhne").unwrap();
    let details = details.with_metadata("plan", "pro 100%").unwrap();
    world.billing().get_or_create(&tenant, &details, Duration::from_secs(5)).await.unwrap();
    let made = &world.live()[0];
    assert_eq!(made.name.as_deref(), Some("Ärger & Söhne"));
    assert_eq!(made.metadata["plan"], "pro 100%");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_in_several_processes_get_one_customer_each() {
    let world = World::new().await;
    let processes = [world.billing(), world.billing(), world.billing()];
    let mut calls = tokio::task::JoinSet::new();
    for number in 1..=20 {
        let tenant = world.tenant(number).await;
        for billing in processes.iter().cycle().take(30) {
            let (billing, tenant) = (billing.clone(), tenant.clone());
            calls.spawn(async move {
                let id = tenant.as_str();
                let called = billing.get_or_create_stripe_customer(id, "a@example.com").await;
                (tenant, called.unwrap())
            });
        }
    }
    let mut answers = calls.join_all().await;
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 20);
    assert_eq!(world.live().len(), 20);
}

#[tokio::test]
async fn callers_in_one_process_share_one_request() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    world.fault(Fault::Delay { ms: 100, when: When::Before }, 1);
    let calls = (0..50).map(|_| call(&billing, &tenant));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap().outcome, Outcome::Created);
    }
    assert_eq!(world.creations(), 1);
}

#[tokio::test]
async fn bad_input_and_unknown_tenants_reach_neither_database_nor_stripe() {
    let world = World::new().await;
    let billing = world.billing();
    let tenant = world.tenant(1).await;
    for (tenant, email, field) in [
        ("", "a@example.com", "tenant_id"),
        ("with space", "a@example.com", "tenant_id"),
        ("not-a-uuid", "a@example.com", "tenant_id"),
        (tenant.as_str(), "not-an-email", "email"),
        (tenant.as_str(), "", "email"),
    ] {
        let error = billing.get_or_create_stripe_customer(tenant, email).await.unwrap_err();
        let Problem::Invalid(invalid) = error.problem() else { panic!("{error:?}") };
        assert_eq!(invalid.field, field);
        assert_eq!((error.code(), error.http_status()), ("invalid_input", 400));
    }
    let stranger = TenantId::parse("99999999-0000-4000-8000-000000000000").unwrap();
    let error = call(&billing, &stranger).await.unwrap_err();
    assert_eq!(error.problem(), &Problem::UnknownTenant(stranger.clone()));
    assert_eq!(
        billing.lookup(&stranger).await.map_err(Error::into_problem),
        Err(Problem::UnknownTenant(stranger.clone()))
    );
    assert_eq!(
        billing.history(&stranger).await.map_err(Error::into_problem),
        Err(Problem::UnknownTenant(stranger))
    );
    assert_eq!(billing.lookup(&tenant).await, Ok(None));
    assert_eq!(world.sandbox.requests().len(), 0);
    assert_eq!(world.state(&tenant).await, "no row");
}

/// Whatever happens to one request or answer, the same call ends with the one Customer.
#[tokio::test(flavor = "multi_thread")]
async fn one_fault_of_any_kind_is_survived_within_the_call() {
    let faults = [
        (Fault::RequestLost, Outcome::Created),
        (Fault::AnswerLost, Outcome::Created),
        (Fault::Reset { when: When::Before }, Outcome::Created),
        (Fault::Reset { when: When::After }, Outcome::Created),
        (Fault::TruncatedBody, Outcome::Created),
        (Fault::BadGateway { when: When::Before }, Outcome::Created),
        (Fault::BadGateway { when: When::After }, Outcome::Created),
        (Fault::RateLimited { retry_after: Some(1) }, Outcome::Created),
        (Fault::RateLimited { retry_after: None }, Outcome::Created),
        (Fault::ServerError { should_retry: false }, Outcome::Created),
        (Fault::StoredError { side_effect: true }, Outcome::Adopted),
    ];
    for (fault, outcome) in faults {
        let world = World::new().await;
        let (billing, tenant) = (world.billing(), world.tenant(1).await);
        world.fault(fault.clone(), 1);
        let answer = call(&billing, &tenant).await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!(answer.outcome, outcome, "{fault:?}");
        assert_eq!(world.live().len(), 1, "{fault:?}");
        let asked_for_patience = matches!(fault, Fault::RateLimited { retry_after: Some(_) });
        let kinds = world.kinds(&tenant).await;
        assert!(kinds.len() > 2, "{fault:?} is in the trail: {kinds:?} {asked_for_patience}");
    }
}

#[tokio::test]
async fn a_stored_failure_without_effect_is_waited_out_before_the_next_generation() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    world.fault(Fault::StoredError { side_effect: false }, 1);
    let error = brief(&billing, &tenant).await.unwrap_err();
    assert!(error.code() == "retry_later" && error.may_have_created(), "{error:?}");
    assert_eq!(world.state(&tenant).await, "in_doubt");
    world.pass(Duration::from_secs(9 * 60)).await;
    brief(&billing, &tenant).await.unwrap_err();
    assert_eq!(world.creations(), 2, "the same key twice, and no other");
    world.pass(Duration::from_secs(61)).await;
    assert_eq!(call(&billing, &tenant).await.unwrap().outcome, Outcome::Created);
    let key = world.live()[0].idempotency_key.clone().unwrap();
    assert!(key.ends_with("/2"), "{key}");
}

#[tokio::test]
async fn when_no_answer_ever_comes_recovery_binds_the_customer() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    world.created_unseen(&tenant).await;
    let recovery = world.billing();
    world.pass(Duration::from_secs(20)).await;
    let report = recovery.recover_once().await.unwrap();
    assert_eq!(report.provisioned.len(), 1);
    assert_eq!(report.backlog.rows, 0);
    assert_eq!(
        recovery.lookup(&tenant).await.unwrap(),
        Some(report.provisioned[0].customer.clone())
    );
}

#[tokio::test]
async fn a_day_after_a_lost_answer_the_customer_is_found_and_not_created_again() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    world.created_unseen(&tenant).await;
    let sent = world.creations();
    for hours in [21, 23, 25] {
        world
            .pass(match hours {
                21 => 21 * HOUR,
                _ => 2 * HOUR,
            })
            .await;
        let found = call(&world.billing(), &tenant).await;
        match hours {
            21 => assert!(found.as_ref().is_err_and(|it| it.code() == "retry_later"), "{found:?}"),
            _ => assert_eq!(found.unwrap().customer.as_str(), world.live()[0].id),
        }
    }
    assert_eq!(world.creations(), sent, "an aged key is never sent");
}

#[tokio::test]
async fn a_lost_row_is_recovered_at_once_whatever_the_email() {
    for (email, outcome) in
        [("owner@example.com", Outcome::Created), ("another@example.com", Outcome::Adopted)]
    {
        let world = World::new().await;
        let tenant = world.tenant(1).await;
        let first = call(&world.billing(), &tenant).await.unwrap().customer;
        // The trail tells that there was a row.
        world.sql("DELETE FROM customer_provisioning; DELETE FROM tenant_config").await;
        let again = world.billing();
        let details = details(email);
        let patience = Duration::from_secs(5);
        let found = again.get_or_create(&tenant, &details, patience).await.unwrap();
        assert_eq!((&found.customer, found.outcome), (&first, Outcome::Adopted));
        assert_eq!(world.creations(), 1);
        // Nothing tells, so the same key is sent: replayed, or refused for its other body.
        world.forget().await;
        let found = world.billing().get_or_create(&tenant, &details, patience).await.unwrap();
        assert_eq!((&found.customer, found.outcome), (&first, outcome));
        assert_eq!(world.creations(), 2);
    }
}

#[tokio::test]
async fn a_lost_row_is_recovered_also_after_generations_that_created_nothing() {
    for hours in [0, 25] {
        let world = World::new().await;
        let (billing, tenant) = (world.billing(), world.tenant(1).await);
        let refused = billing.get_or_create_stripe_customer(tenant.as_str(), "who@com").await;
        assert!(refused.as_ref().is_err_and(|it| it.code() == "rejected_by_stripe"), "{refused:?}");
        let second = call(&billing, &tenant).await.unwrap().customer;
        world.sql("DELETE FROM customer_provisioning; DELETE FROM tenant_config").await;
        world.pass(hours * HOUR).await;
        let again = world.billing();
        let same = again.get_or_create_stripe_customer(tenant.as_str(), "b@example.com").await;
        assert_eq!(same.unwrap(), second);
    }
}

#[tokio::test]
async fn a_call_whose_tenant_is_gone_after_it_has_sent_says_that_it_may_have_created() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    world.sandbox.arm(Rule::new(Fault::RequestLost).method("POST").always());
    let pending = tokio::spawn({
        let (billing, tenant) = (billing.clone(), tenant.clone());
        async move { call(&billing, &tenant).await }
    });
    while world.creations() == 0 {
        tokio::task::yield_now().await;
    }
    world.sql("DELETE FROM tenants").await;
    let error = pending.await.unwrap().unwrap_err();
    assert!(error.code() == "unknown_tenant" && error.may_have_created(), "{error:?}");
}

#[tokio::test]
async fn a_row_lost_for_more_than_a_day_is_found_by_an_inquiry_first() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let first = call(&billing, &tenant).await.unwrap();
    world.forget().await;
    world.pass(25 * HOUR).await;
    let found = call(&world.inquire_first(), &tenant).await.unwrap();
    assert_eq!((found.customer, found.outcome), (first.customer, Outcome::Adopted));
    let history = billing.history(&tenant).await.unwrap();
    let adopted = &history.events.last().unwrap().event;
    assert_eq!(adopted.kind, K::Adopted);
    assert!(adopted.request_id.is_some(), "whatever Stripe told, its request id is on record");
    // And where there is none, it makes one, under this generation's own key.
    let other = world.tenant(2).await;
    assert_eq!(call(&world.inquire_first(), &other).await.unwrap().outcome, Outcome::Created);
    let kinds = world.kinds(&other).await;
    assert_eq!(kinds, [K::Opened, K::Reopened, K::Created]);
    assert!(world.live().iter().all(|it| it.idempotency_key.as_deref().unwrap().ends_with("/1")));
}

#[tokio::test]
async fn after_a_restore_nothing_counts_as_none_for_five_hours() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let policy =
        Policy { inquire_first: true, restored_at: Some(world.now()), ..Default::default() };
    let billing = world.billing_with("sk_test_1", policy);
    brief(&billing, &tenant).await.unwrap_err();
    world.pass(4 * HOUR).await;
    brief(&billing, &tenant).await.unwrap_err();
    assert_eq!(world.creations(), 0);
    world.pass(HOUR + Duration::from_secs(600)).await;
    assert_eq!(call(&billing, &tenant).await.unwrap().outcome, Outcome::Created);
}

#[tokio::test]
async fn an_email_that_stripe_rejects_is_final_for_that_email_alone() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    for _ in 0..2 {
        let error = billing.get_or_create_stripe_customer(tenant.as_str(), "who@com").await;
        let error = error.unwrap_err();
        let Problem::Rejected(rejection) = error.problem() else { panic!("{error:?}") };
        assert_eq!(rejection.code.as_deref(), Some("email_invalid"));
        assert_eq!((error.code(), error.http_status()), ("rejected_by_stripe", 422));
        assert!(!format!("{error} {error:?}").contains("who@com"), "{error}");
    }
    assert_eq!(world.creations(), 1, "a rejection is remembered");
    assert_eq!(call(&billing, &tenant).await.unwrap().outcome, Outcome::Created);
}

#[tokio::test]
async fn a_caller_with_a_good_email_survives_joining_one_with_a_bad() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    world.fault(Fault::Delay { ms: 300, when: When::Before }, 1);
    let bad = tokio::spawn({
        let (billing, tenant) = (billing.clone(), tenant.clone());
        async move { billing.get_or_create_stripe_customer(tenant.as_str(), "who@com").await }
    });
    while world.kinds(&tenant).await.is_empty() {
        tokio::task::yield_now().await;
    }
    let good = billing.get_or_create_stripe_customer(tenant.as_str(), "who@example.com").await;
    let bad = bad.await.unwrap();
    assert!(bad.as_ref().is_err_and(|it| it.code() == "rejected_by_stripe"), "{bad:?}");
    assert_eq!(good.unwrap().as_str(), world.live()[0].id);
}

#[tokio::test]
async fn a_caller_that_hangs_up_cancels_nothing() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    world.fault(Fault::Delay { ms: 300, when: When::After }, 1);
    let error = billing
        .get_or_create(&tenant, &details("a@example.com"), Duration::from_millis(100))
        .await
        .unwrap_err();
    assert!(error.may_have_created(), "{error:?}");
    assert!(!billing.shutdown(Duration::from_millis(1)).await, "it is still under way");
    assert!(billing.shutdown(Duration::from_secs(5)).await);
    assert!(billing.lookup(&tenant).await.unwrap().is_some());
    let closed = call(&billing, &world.tenant(2).await).await.unwrap_err();
    assert!(closed.code() == "retry_later" && !closed.may_have_created(), "{closed:?}");
}

#[tokio::test]
async fn a_created_customer_waits_for_the_database() {
    let world = World::new().await;
    let (billing, tenant) = (world.billing(), world.tenant(1).await);
    let pending = world.under_way(&billing, &tenant).await;
    // The table is gone when the answer comes, as after a botched restore, and then is there again.
    world.sql("ALTER TABLE deleted_customer RENAME TO elsewhere").await;
    let error = pending.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "operator_must_act", "{error:?}");
    world.sql("ALTER TABLE elsewhere RENAME TO deleted_customer").await;
    world.pass(Duration::from_secs(20)).await;
    world.recover_all(&billing).await;
    assert_eq!(billing.lookup(&tenant).await.unwrap(), Some(id(&world.live()[0].id)));
}

#[tokio::test]
async fn stripe_down_is_retry_later_and_the_next_call_succeeds() {
    let world = World::new().await;
    let tenant = world.tenant(1).await;
    let stripe = world.stripe("sk_test_1").with_base("http://127.0.0.1:9").unwrap();
    let billing = Billing::shared(world.store(), Arc::new(stripe), Policy::default());
    let error = brief(&billing, &tenant).await.unwrap_err();
    assert!(error.retry_after().is_some(), "{error:?}");
    assert_eq!((error.code(), error.http_status()), ("retry_later", 503));
    assert_eq!(call(&world.billing(), &tenant).await.unwrap().outcome, Outcome::Created);
}
