//! The sandbox's own rate limits.

use std::time::Duration;

use stripe_sandbox::{Fault, RateLimits, Rule, Sandbox, When};

use crate::client::{Request, create, get};

const REASON: &str = "stripe-rate-limited-reason";

/// Sends requests until one is refused; returns how many passed, and the reason.
async fn passed(request: &Request) -> (usize, String) {
    for count in 0..100 {
        let answer = request.send().await;
        if answer.status == 429 {
            assert_eq!(answer.json()["error"]["code"], "rate_limit");
            return (count, answer.header(REASON).unwrap().to_owned());
        }
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    panic!("a hundred requests passed")
}

#[tokio::test]
async fn there_are_none_unless_somebody_sets_them() {
    let sandbox = Sandbox::start().await.unwrap();
    for _ in 0..300 {
        assert_eq!(get(&sandbox, "/v1/customers").send().await.status, 200);
    }
}

#[tokio::test]
async fn each_limit_says_which_it_is() {
    let list = "/v1/customers";
    let search = "/v1/customers/search?query=name:'x'";
    // Limits, a request, how many pass at once, and why the next one does not.
    for (limits, path, count, reason) in [
        (RateLimits { account_per_second: Some(2), ..Default::default() }, list, 2, "global-rate"),
        (
            RateLimits { endpoint_per_second: Some(1), ..Default::default() },
            list,
            1,
            "endpoint-rate",
        ),
        (
            RateLimits {
                endpoint_per_second: Some(9),
                search_per_second: Some(1),
                ..Default::default()
            },
            search,
            1,
            "endpoint-rate",
        ),
        (RateLimits { account_per_second: Some(0), ..Default::default() }, list, 0, "global-rate"),
        (
            RateLimits { account_concurrent: Some(0), ..Default::default() },
            list,
            0,
            "global-concurrency",
        ),
        (
            RateLimits { endpoint_concurrent: Some(0), ..Default::default() },
            list,
            0,
            "endpoint-concurrency",
        ),
    ] {
        let sandbox = Sandbox::start().rate_limits(limits).await.unwrap();
        let request = get(&sandbox, path);
        assert_eq!(passed(&request).await, (count, reason.to_owned()));
        // Another account, and the other mode, have limits of their own.
        for key in ["sk_test_acct_other", "sk_live_1"] {
            assert_eq!(passed(&request.clone().auth(key)).await.0, count);
        }
        sandbox.advance(Duration::from_secs(1));
        assert_eq!(passed(&request).await.0, count, "a second later");
        assert_eq!(sandbox.counters().rate_limited, 4);
        assert_eq!(sandbox.requests().last().unwrap().outcome, "limited");
        sandbox.set_rate_limits(RateLimits::default());
        assert_eq!(request.send().await.status, 200);
    }
}

#[tokio::test]
async fn what_is_refused_was_not_begun() {
    let limits = RateLimits { account_per_second: Some(1), ..RateLimits::default() };
    let sandbox = Sandbox::start().lose_request(1).rate_limits(limits).await.unwrap();
    get(&sandbox, "/v1/customers").send().await;
    // Neither counted by a rule nor saved under its key.
    let request = create(&sandbox, &[]).key("k");
    assert_eq!(request.send().await.status, 429);
    sandbox.set_rate_limits(RateLimits::default());
    assert!(request.try_send().await.is_err(), "the rule was still armed");
    assert_eq!(request.send().await.header("idempotent-replayed"), None);
}

#[tokio::test]
async fn requests_at_the_same_time_are_counted() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.set_rate_limits(RateLimits { endpoint_concurrent: Some(1), ..RateLimits::default() });
    sandbox.arm(Rule::new(Fault::Delay { ms: 300, when: When::After }).method("POST").always());
    let (one, two) = (create(&sandbox, &[]), create(&sandbox, &[]));
    let list = get(&sandbox, "/v1/customers");
    // Another endpoint is free all the while.
    let (one, two, other) = tokio::join!(one.send(), two.send(), list.send());
    assert_eq!(other.status, 200);
    let (done, refused) = if one.status == 200 { (one, two) } else { (two, one) };
    assert_eq!((done.status, refused.status), (200, 429));
    assert_eq!(refused.header(REASON), Some("endpoint-concurrency"));
    sandbox.disarm();
    assert_eq!(create(&sandbox, &[]).send().await.status, 200);
}
