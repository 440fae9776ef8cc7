//! Idempotency keys: answers that are saved, replayed, refused and forgotten.

use std::time::Duration;

use serde_json::json;
use stripe_sandbox::{Fault, Rule, Sandbox, When};

use crate::client::{Request, create, get, post};

const ANNA: &[(&str, &str)] = &[("email", "anna@example.com"), ("metadata[tenantId]", "t1")];

#[tokio::test]
async fn a_saved_answer_is_replayed_word_for_word() {
    let sandbox = Sandbox::start().await.unwrap();
    let request = create(&sandbox, ANNA).key("k1");
    let first = request.send().await;
    // An edit in between does not change the saved answer.
    assert!(sandbox.edit_email(&first.id(), "new@example.com"));
    let again = request.send().await;

    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.body, again.body);
    let named =
        |name| (first.header(name).map(str::to_owned), again.header(name).map(str::to_owned));
    let first_id = first.header("request-id").unwrap().to_owned();
    assert_eq!(named("original-request"), (Some(first_id.clone()), Some(first_id.clone())));
    assert_ne!(again.header("request-id"), Some(first_id.as_str()));
    assert_eq!(named("idempotent-replayed"), (None, Some("true".to_owned())));
    assert_eq!(named("idempotency-key"), (Some("k1".to_owned()), Some("k1".to_owned())));
    assert_eq!(first.header("stripe-should-retry"), Some("false"));
    assert_eq!(sandbox.customers().len(), 1);
    assert_eq!(sandbox.counters().replays, 1);
}

#[tokio::test]
async fn the_order_of_parameters_is_no_matter() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut turned = ANNA.to_vec();
    turned.reverse();
    let first = create(&sandbox, ANNA).key("k").send().await;
    assert_eq!(create(&sandbox, &turned).key("k").send().await.id(), first.id());
}

#[tokio::test]
async fn a_key_belongs_to_its_parameters_and_its_endpoint() {
    let sandbox = Sandbox::start().await.unwrap();
    create(&sandbox, ANNA).key("k").send().await.id();
    let only = "Keys for idempotent requests can only be used";
    let other = "Try using a key other than 'k' if you meant to execute a different request.";
    let cases = [
        (
            create(&sandbox, &[("email", "bob@example.com")]),
            format!("{only} with the same parameters they were first used with. {other}"),
        ),
        // Saved keys are compared before parameters are judged.
        (
            create(&sandbox, &[("email", "nonsense")]),
            format!("{only} with the same parameters they were first used with. {other}"),
        ),
        (
            post(&sandbox, "/v1/charges", ANNA),
            format!(
                "{only} for the same endpoint they were first used for ('/v1/customers' vs \
                 '/v1/charges'). {other}"
            ),
        ),
    ];
    for (request, message) in cases {
        let answer = request.key("k").send().await;
        let expected = json!({"error": {"type": "idempotency_error", "message": message}});
        assert_eq!((answer.status, answer.json()), (400, expected));
    }
    assert_eq!(sandbox.customers().len(), 1);
}

#[tokio::test]
async fn a_key_in_flight_is_a_conflict() {
    let sandbox = Sandbox::start().await.unwrap();
    for when in [When::Before, When::After] {
        sandbox.arm(Rule::new(Fault::Delay { ms: 400, when }).method("POST"));
        let request = create(&sandbox, ANNA).key(&format!("{when:?}"));
        let (one, two) = tokio::join!(request.send(), request.send());
        let (done, refused) = if one.status == 200 { (one, two) } else { (two, one) };
        assert_eq!((done.status, refused.status), (200, 409), "{}", refused.body);
        let error = &refused.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["code"], "idempotency_key_in_use");
        // The conflict itself was not saved.
        let replay = request.send().await;
        assert_eq!((replay.status, replay.body), (200, done.body));
    }
    assert_eq!(sandbox.counters().conflicts, 2);
    assert_eq!(sandbox.customers().len(), 2);
}

#[tokio::test]
async fn work_goes_on_when_its_caller_hangs_up() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.arm(Rule::new(Fault::Delay { ms: 200, when: When::Before }));
    let request = create(&sandbox, ANNA).key("k");
    tokio::select! {
        biased;
        answer = request.try_send() => panic!("it was to be delayed: {answer:?}"),
        // Once the second sender is refused, the first is on its way; then it is dropped.
        () = until_refused(&request) => {}
    }
    while sandbox.requests().iter().all(|r| r.outcome != "answered") {
        tokio::task::yield_now().await;
    }
    assert_eq!(sandbox.customers().len(), 1);
    assert_eq!(request.send().await.header("idempotent-replayed"), Some("true"));
}

async fn until_refused(request: &Request) {
    assert_eq!(request.send().await.status, 409);
}

#[tokio::test]
async fn a_stored_failure_is_replayed_and_may_have_left_something_behind() {
    for (side_effect, left) in [(false, 0), (true, 1)] {
        let sandbox = Sandbox::start().await.unwrap();
        sandbox.arm(Rule::new(Fault::StoredError { side_effect }));
        let request = create(&sandbox, ANNA).key("k");
        let first = request.send().await;
        let again = request.send().await;
        assert_eq!((first.status, again.status), (500, 500));
        assert_eq!(first.json()["error"]["type"], "api_error");
        assert_eq!(first.body, again.body);
        assert_eq!(first.header("idempotent-replayed"), None);
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.header("original-request"), first.header("request-id"));
        let customers = sandbox.customers();
        assert_eq!(customers.len(), left, "side effect: {side_effect}");
        assert!(customers.iter().all(|c| c.idempotency_key.as_deref() == Some("k")));
    }
}

#[tokio::test]
async fn what_never_began_is_not_saved() {
    let sandbox = Sandbox::start().await.unwrap();
    let invalid = create(&sandbox, &[("email", "nonsense")]);
    let unauthorized = create(&sandbox, ANNA).auth("sk_test_invalid");
    let cases = [
        ("a validation failure", invalid, None, 400),
        ("a refused API key", unauthorized, None, 401),
        (
            "a rate limit",
            create(&sandbox, ANNA),
            Some(Fault::RateLimited { retry_after: None }),
            429,
        ),
        (
            "a failure before the work",
            create(&sandbox, ANNA),
            Some(Fault::ServerError { should_retry: false }),
            500,
        ),
        ("a proxy", create(&sandbox, ANNA), Some(Fault::BadGateway { when: When::Before }), 502),
        ("an unknown endpoint", post(&sandbox, "/v1/charges", ANNA), None, 404),
    ];
    for (case, request, fault, status) in cases {
        if let Some(fault) = fault {
            sandbox.arm(Rule::new(fault));
        }
        let refused = request.key(case).send().await;
        assert_eq!(refused.status, status, "{case}");
        for header in ["idempotency-key", "original-request", "idempotent-replayed"] {
            assert_eq!(refused.header(header), None, "{case}");
        }
        let after = create(&sandbox, ANNA).key(case).send().await;
        assert_eq!(after.header("original-request"), after.header("request-id"), "{case}");
        assert_eq!(after.status, 200, "{case}");
    }
}

#[tokio::test]
async fn a_key_is_forgotten_after_24_hours() {
    let sandbox = Sandbox::start().await.unwrap();
    let request = create(&sandbox, ANNA).key("k");
    let first = request.send().await;
    sandbox.advance(Duration::from_secs(24 * 3600 - 60));
    // Other requests come, and the old records are dropped.
    create(&sandbox, ANNA).key("other").send().await.id();
    let replay = request.send().await;
    assert_eq!(replay.id(), first.id());
    // Counted from its first use, which the replay does not renew.
    sandbox.advance(Duration::from_secs(60));
    let second = create(&sandbox, &[("email", "bob@example.com")]).key("k").send().await;
    assert_ne!(second.id(), first.id());
    assert_eq!(second.header("idempotent-replayed"), None);
    assert_eq!(sandbox.customers().len(), 3);
}

#[tokio::test]
async fn a_key_is_used_from_when_its_request_came() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.arm(Rule::new(Fault::Delay { ms: 300, when: When::Before }));
    let request = create(&sandbox, ANNA).key("k");
    let day = Duration::from_secs(24 * 3600);
    let (first, ()) = tokio::join!(request.send(), async {
        until_refused(&request).await;
        sandbox.advance(day);
    });
    assert_ne!(request.send().await.id(), first.id());
}

#[tokio::test]
async fn a_key_means_something_else_in_another_mode_or_account() {
    let sandbox = Sandbox::start().await.unwrap();
    let request = create(&sandbox, ANNA).key("k");
    let elsewhere = [
        request.clone(),
        request.clone().auth("sk_live_123"),
        request.clone().auth("sk_test_acct_other"),
        request.clone().account("acct_connected"),
    ];
    for request in &elsewhere {
        assert_eq!(request.send().await.header("idempotent-replayed"), None);
    }
    // And the same everywhere else: through another key of the account, or its platform.
    let same = [
        request.clone().auth("rk_test_456"),
        request.clone().auth("sk_test_acct_connected"),
        request.clone().account("acct_other"),
    ];
    for request in &same {
        assert_eq!(request.send().await.header("idempotent-replayed"), Some("true"));
    }
    assert_eq!(sandbox.customers().len(), elsewhere.len());
}

#[tokio::test]
async fn only_posts_have_keys() {
    let sandbox = Sandbox::start().await.unwrap();
    let id = create(&sandbox, ANNA).key("k").send().await.id();
    let path = format!("/v1/customers/{id}");
    let found = get(&sandbox, &path).key("k").send().await;
    assert_eq!((found.status, found.header("idempotent-replayed")), (200, None));
    let deleted = crate::client::delete(&sandbox, &path).key("k").send().await;
    assert_eq!((deleted.status, deleted.header("idempotency-key")), (200, None));
    assert_eq!(crate::client::delete(&sandbox, &path).key("k").send().await.status, 404);
}

#[tokio::test]
async fn a_key_has_at_most_255_characters() {
    let sandbox = Sandbox::start().await.unwrap();
    for (length, status) in [(255, 200), (256, 400)] {
        let answer = create(&sandbox, ANNA).key(&"k".repeat(length)).send().await;
        assert_eq!(answer.status, status, "{length}");
    }
}

#[tokio::test]
async fn racing_creates_with_one_key_make_one_customer() {
    let sandbox = Sandbox::start().await.unwrap();
    let request = create(&sandbox, ANNA).key("k");
    let racers: Vec<_> = (0..32)
        .map(|_| {
            let request = request.clone();
            tokio::spawn(async move { request.send().await.id() })
        })
        .collect();
    for racer in racers {
        assert_eq!(racer.await.unwrap(), sandbox.customers()[0].id);
    }
    assert_eq!(sandbox.customers().len(), 1);
}
