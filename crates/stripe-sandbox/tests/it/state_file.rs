//! The state file: the state that it brings back, the damage that it survives, and its lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use stripe_sandbox::{Config, Fault, Rule, Sandbox, When};
use tempfile::TempDir;

use crate::client::{create, delete, get, post, until};

fn file() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stripe.jsonl");
    (dir, path)
}

async fn open(path: &Path) -> Sandbox {
    try_open(path).await.unwrap()
}

async fn try_open(path: &Path) -> std::io::Result<Sandbox> {
    let state = Some(path.to_owned());
    Sandbox::start_with(Config { state, seed: 1, ..Config::default() }).await
}

#[tokio::test]
async fn everything_answered_is_there_again() {
    let (_dir, path) = file();
    let sandbox = open(&path).await;
    let fields = [("email", "anna@example.com"), ("metadata[tenantId]", "t1")];
    let anna = create(&sandbox, &fields).key("k1").send().await;
    let gone = create(&sandbox, &[]).key("k2").send().await.id();
    delete(&sandbox, &format!("/v1/customers/{gone}")).send().await.id();
    sandbox.arm(Rule::new(Fault::StoredError { side_effect: false }));
    let failed = create(&sandbox, &fields).key("k3").send().await;
    sandbox.arm(Rule::new(Fault::StoredError { side_effect: true }));
    create(&sandbox, &fields).key("k4").send().await;
    sandbox.arm(Rule::new(Fault::AnswerLost));
    create(&sandbox, &fields).key("k5").try_send().await.unwrap_err();
    create(&sandbox, &fields).auth("sk_live_acct_shop").send().await.id();
    assert!(sandbox.edit_email(&anna.id(), "new@example.com"));
    sandbox.advance(Duration::from_secs(3600));
    let customers = sandbox.customers();
    let events = get(&sandbox, "/v1/events").send().await.body;
    drop(sandbox);

    // The second opening reads the line that the first one wrote.
    for _ in 0..2 {
        let sandbox = open(&path).await;
        assert_eq!(sandbox.customers(), customers);
        assert_eq!(get(&sandbox, "/v1/events").send().await.body, events);
        let replay = create(&sandbox, &fields).key("k1").send().await;
        assert_eq!(
            (replay.header("idempotent-replayed"), &replay.body),
            (Some("true"), &anna.body)
        );
        assert_ne!(replay.header("request-id"), replay.header("original-request"));
        let replay = create(&sandbox, &fields).key("k3").send().await;
        assert_eq!((replay.status, &replay.body), (500, &failed.body));
        assert_eq!(create(&sandbox, &fields).key("k4").send().await.status, 500);
        assert_eq!(
            create(&sandbox, &fields).key("k5").send().await.header("idempotent-replayed"),
            Some("true")
        );
        let search = [("query", "metadata['tenantId']:'t1'")];
        let found = get(&sandbox, "/v1/customers/search").query(&search).send().await;
        assert_eq!(found.ids().len(), 3);
        // The clock did not fall back either: k1 is an hour old.
        sandbox.stop().await;
    }
    let sandbox = open(&path).await;
    sandbox.advance(Duration::from_secs(23 * 3600));
    assert_eq!(
        create(&sandbox, &fields).key("k1").send().await.header("idempotent-replayed"),
        None
    );
}

#[tokio::test]
async fn webhooks_that_wait_are_there_again() {
    let (_dir, path) = file();
    let sandbox = open(&path).await;
    let receiver = crate::receiver::Receiver::start().await;
    let form = [("url", receiver.url.as_str()), ("enabled_events[]", "customer.created")];
    let endpoint = post(&sandbox, "/v1/webhook_endpoints", &form).key("hook").send().await;
    create(&sandbox, &[]).send().await.id();
    receiver.take(1).await;
    // The first was delivered; of the others the one was tried and the other was not.
    until(async || sandbox.counters().webhooks_delivered == 1).await;
    receiver.answer(500);
    let tried = create(&sandbox, &[]).send().await.id();
    receiver.take(1).await;
    until(async || sandbox.counters().webhooks_failed == 1).await;
    receiver.answer(200);
    sandbox.hold_webhooks(true);
    let waiting = create(&sandbox, &[]).send().await.id();
    let updated = post(&sandbox, &format!("/v1/customers/{waiting}"), &[("name", "x")]).key("u");
    let updated = updated.send().await;
    let look = async |sandbox: &Sandbox| {
        let webhooks = crate::client::request(&sandbox.url(), "GET", "/_sandbox/webhooks");
        webhooks.send().await.json()["deliveries"].clone()
    };
    let deliveries = look(&sandbox).await;
    assert_eq!(deliveries.as_array().unwrap().len(), 2);
    drop(sandbox);

    let sandbox = open(&path).await;
    let got = &receiver.take(1).await[0].event();
    assert_eq!(got["data"]["object"]["id"], waiting.as_str());
    until(async || look(&sandbox).await.as_array().unwrap().len() == 1).await;
    assert_eq!(look(&sandbox).await[0], deliveries[0], "tried, and to be tried again");
    sandbox.advance(Duration::from_secs(301));
    assert_eq!(receiver.take(1).await[0].event()["data"]["object"]["id"], tried.as_str());
    // The secret is still the same, and so is the answer.
    let again = post(&sandbox, "/v1/webhook_endpoints", &form).key("hook").send().await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), (Some("true"), &endpoint.body));
    let path = format!("/v1/customers/{waiting}");
    let again = post(&sandbox, &path, &[("name", "x")]).key("u").send().await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), (Some("true"), &updated.body));
}

#[tokio::test]
async fn no_id_is_minted_twice() {
    let (_dir, path) = file();
    let mut ids = std::collections::HashSet::new();
    for _ in 0..3 {
        let sandbox = open(&path).await;
        let answer = create(&sandbox, &[]).send().await;
        assert!(ids.insert(answer.id()));
        assert!(ids.insert(answer.header("request-id").unwrap().to_owned()));
    }
}

#[tokio::test]
async fn a_torn_last_line_is_cut_away() {
    let (_dir, path) = file();
    let sandbox = open(&path).await;
    let kept = create(&sandbox, &[]).key("k1").send().await.id();
    create(&sandbox, &[]).key("k2").send().await.id();
    drop(sandbox);
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for torn_at in [last + 1, last + 40, whole.len() - 1] {
        fs::write(&path, &whole[..torn_at]).unwrap();
        let sandbox = open(&path).await;
        assert_eq!(sandbox.customers().len(), 1, "torn at {torn_at} of {}", whole.len());
        assert_eq!(sandbox.customers()[0].id, kept);
        let again = create(&sandbox, &[]).key("k2").send().await;
        assert_eq!(again.header("idempotent-replayed"), None);
        drop(sandbox);
        assert_eq!(open(&path).await.customers().len(), 2);
    }
    // Torn in the very first line.
    fs::write(&path, &whole[..5]).unwrap();
    assert!(open(&path).await.customers().is_empty());
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_is_left_alone() {
    let (_dir, path) = file();
    for text in ["dear diary", "dear diary\n", "{\"did\":\"sleep\"}\n{}\n", "a\nb"] {
        fs::write(&path, text).unwrap();
        let refused = try_open(&path).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidData, "{text:?}");
        assert!(refused.to_string().contains("no sandbox wrote this file: "), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

/// Each was a panic once.
#[tokio::test]
async fn a_line_about_what_is_not_there_is_told() {
    let scope = r#"{"account":"acct_sandbox","livemode":false}"#;
    let changed = |at_ms: i64, what: &str| {
        format!(
            r#"{{"did":"changed","change":{{"scope":{scope},"at_ms":{at_ms},"by":null,"what":{what}}},"save":null}}"#
        )
    };
    let (_dir, path) = file();
    for line in [
        changed(1, r#"{"updated":{"customer":0,"form":{"email":""}}}"#),
        changed(1, r#"{"endpoint_deleted":{"endpoint":3}}"#),
        changed(i64::MIN, r#"{"created":{"form":{}}}"#),
        r#"{"did":"opened","time":18446744073709551615,"base":1}"#.to_owned(),
        r#"{"did":"clock","offset_ms":-1}"#.to_owned(),
    ] {
        let text = format!("{line}\n");
        fs::write(&path, &text).unwrap();
        let refused = try_open(&path).await.unwrap_err().to_string();
        assert!(
            refused.contains("line 1: it does not follow from the lines before it"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_opener_waits_for_the_first_to_end() {
    let (_dir, path) = file();
    let first = open(&path).await;
    let id = create(&first, &[]).send().await.id();
    let (opened, news) = mpsc::channel();
    let waiting = tokio::spawn(async move {
        let second = open(&path).await;
        opened.send(second.customers()[0].id.clone()).unwrap();
    });
    assert!(news.recv_timeout(Duration::from_millis(200)).is_err(), "it did not wait");
    drop(first);
    assert_eq!(news.recv_timeout(Duration::from_secs(20)).unwrap(), id);
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_sandbox_that_ends_is_gone_from_its_port_and_its_file() {
    let (_dir, path) = file();
    for politely in [true, false] {
        let sandbox = open(&path).await;
        // A request that is still being worked on, with its key in flight, does not keep it alive.
        sandbox.arm(Rule::new(Fault::Delay { ms: 3_600_000, when: When::Before }));
        let request = create(&sandbox, &[]).key("k");
        let waiting = tokio::spawn({
            let request = request.clone();
            async move { request.try_send().await }
        });
        let faults = crate::client::request(&sandbox.url(), "GET", "/_sandbox/faults");
        while faults.send().await.json()["rules"][0]["struck"] == 0 {}
        if politely {
            sandbox.stop().await;
            assert!(request.try_send().await.is_err());
        } else {
            drop(sandbox);
        }
        assert!(waiting.await.unwrap().is_err());
        while request.try_send().await.is_ok() {}
        open(&path).await.stop().await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let (_dir, path) = file();
    let _sandbox = open(&path).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
