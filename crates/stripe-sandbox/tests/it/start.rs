//! Starting with something about to go wrong.

use stripe_sandbox::{Chaos, Fault, FaultKind, RateLimits, Rule, Sandbox, WebhookChaos};

use crate::client::{create, get, request};

#[tokio::test]
async fn answers_are_lost_from_the_start() {
    let sandbox = Sandbox::start().lose_answer(2).await.unwrap();
    let request = create(&sandbox, &[]).key("k");
    assert!(get(&sandbox, "/v1/customers").send().await.ids().is_empty(), "only POSTs");
    for _ in 0..2 {
        assert!(request.try_send().await.is_err());
    }
    assert_eq!(request.send().await.header("idempotent-replayed"), Some("true"));
    assert_eq!(sandbox.customers().len(), 1);
}

#[tokio::test]
async fn each_beginning_is_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let limits = RateLimits { account_per_second: Some(9), ..RateLimits::default() };
    let sandbox = Sandbox::start()
        .state(dir.path().join("state"))
        .seed(7)
        .lose_request(1)
        .arm(Rule::new(Fault::TruncatedBody).nth(9))
        .chaos(Chaos::new(3).with(FaultKind::Reset, 0.25))
        .webhook_chaos(WebhookChaos::new(4).duplicates(0.5))
        .search_lag(5)
        .rate_limits(limits)
        .await
        .unwrap();
    let look = async |what: &str| {
        request(&sandbox.url(), "GET", &format!("/_sandbox/{what}")).send().await.json()
    };
    let faults = look("faults").await;
    let kinds = faults["rules"].as_array().unwrap().iter().map(|rule| &rule["fault"]["kind"]);
    let expected = ["request_lost", "truncated_body"];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    assert_eq!(faults["chaos"]["seed"], 3);
    assert_eq!(look("webhooks").await["chaos"]["seed"], 4);
    let lag = serde_json::json!({"search_seconds": 5, "events_seconds": 0});
    assert_eq!(look("lag").await, lag);
    assert_eq!(look("limits").await["account_per_second"], 9);
    assert!(dir.path().join("state").exists());

    sandbox.disarm();
    let id = create(&sandbox, &[]).send().await.id();
    let twin = Sandbox::start().seed(7).await.unwrap();
    assert_eq!(create(&twin, &[]).send().await.id(), id);
}

#[test]
fn a_runtime_can_block_on_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sandbox = runtime.block_on(Sandbox::start()).unwrap();
    assert!(sandbox.customers().is_empty());
}
