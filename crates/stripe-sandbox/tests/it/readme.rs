//! The README's lines in Rust, as they stand there.

use std::time::Duration;
use stripe_sandbox::{Chaos, Fault, FaultKind, Lag, RateLimits, Rule, Sandbox, WebhookOrder};

#[tokio::test]
async fn the_readmes_lines_do_what_they_say() -> std::io::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = |name: &str| dir.path().join(name);
    let my_client =
        |url: &str, key: &str| crate::client::request(url, "GET", "/v1/customers").auth(key);

    // A free port, in memory; the answer to the first POST gets lost.
    let sandbox = Sandbox::start().lose_answer(1).await?;
    let client = my_client(&sandbox.url(), "sk_test_1");

    sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").tenant("t1").times(3));
    sandbox.chaos(Some(Chaos::new(7).with(FaultKind::Reset, 0.1)));
    sandbox.disarm();
    sandbox.set_lag(Lag { search_seconds: 60, events_seconds: 0 });
    sandbox.set_rate_limits(RateLimits { account_per_second: Some(25), ..RateLimits::default() });
    sandbox.advance(Duration::from_secs(24 * 3600)); // keys expire
    sandbox.hold_webhooks(true);
    sandbox.flush_webhooks(WebhookOrder::Reversed, 2).await;
    sandbox.delete_customer("cus_…"); // as in the dashboard
    assert_eq!(sandbox.customers().iter().filter(|c| !c.deleted).count(), 0);

    let kept = Sandbox::start().state(file("sandbox.jsonl")).seed(7).await?;

    assert_eq!(client.send().await.status, 200);
    assert!(file("sandbox.jsonl").exists());
    drop(kept);
    Ok(())
}

#[test]
fn they_are_the_readmes_lines() {
    let code = |text: &str| {
        let text = text.replace("file(\"sandbox.jsonl\")", "\"sandbox.jsonl\"");
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let readme = include_str!("../../README.md");
    let block = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let here = code(include_str!("readme.rs"));
    let missing: Vec<_> = code(block).into_iter().filter(|line| !here.contains(line)).collect();
    assert!(missing.is_empty(), "the README has what is not tested: {missing:#?}");
}
