//! Webhooks: the endpoints that get an event, the number and order of deliveries, and signatures.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use stripe_sandbox::{Sandbox, WebhookChaos, WebhookOrder};

use crate::client::{create, delete, get, post, request, until};
use crate::receiver::{Letter, Receiver};

async fn listen(sandbox: &Sandbox, receiver: &Receiver, more: &[(&str, &str)]) -> Value {
    let mut form = vec![("url", receiver.url.as_str())];
    form.extend(more);
    if !more.iter().any(|(name, _)| name.starts_with("enabled_events")) {
        form.push(("enabled_events[]", "*"));
    }
    let answer = post(sandbox, "/v1/webhook_endpoints", &form).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn customers(letters: &[Letter]) -> Vec<String> {
    let id = |letter: &Letter| letter.event()["data"]["object"]["id"].as_str().unwrap().to_owned();
    letters.iter().map(id).collect()
}

/// Waits until so many deliveries are known to have come.
async fn delivered(sandbox: &Sandbox, count: u64) {
    until(async || sandbox.counters().webhooks_delivered >= count).await;
}

async fn create_many(sandbox: &Sandbox, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(create(sandbox, &[]).send().await.id());
    }
    ids
}

#[tokio::test]
async fn a_delivery_is_the_event_and_is_signed() {
    let sandbox = Sandbox::start().await.unwrap();
    // However far its clock is ahead, a signature has the time that its reader has.
    sandbox.advance(Duration::from_secs(7 * 86_400));
    let receiver = Receiver::start().await;
    let endpoint = listen(&sandbox, &receiver, &[("api_version", "2025-01-01.acacia")]).await;
    let id = create(&sandbox, &[("email", "anna@example.com")]).key("k1").send().await.id();
    let letter = &receiver.take(1).await[0];

    let event = letter.event();
    assert_eq!(
        (&event["type"], &event["data"]["object"]["id"]),
        (&json!("customer.created"), &json!(id))
    );
    assert_eq!(event["request"]["idempotency_key"], "k1");
    assert_eq!(
        (&event["api_version"], &event["pending_webhooks"]),
        (&json!("2025-01-01.acacia"), &json!(1))
    );
    assert_eq!(event.get("account"), None);

    let (time, signature) = letter.signature.split_once(",v1=").unwrap();
    let time = time.strip_prefix("t=").unwrap();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(endpoint["secret"].as_str().unwrap().as_bytes()).unwrap();
    mac.update(format!("{time}.{}", letter.body).as_bytes());
    let expected: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(signature, expected);
    let now = event["created"].as_i64().unwrap() - 7 * 86_400;
    assert!((time.parse::<i64>().unwrap() - now).abs() < 60, "{time} {now}");
}

#[tokio::test]
async fn an_endpoint_gets_what_it_asked_for_and_in_order() {
    let sandbox = Sandbox::start().await.unwrap();
    let (all, deleted, live) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    listen(&sandbox, &all, &[]).await;
    listen(&sandbox, &deleted, &[("enabled_events[0]", "customer.deleted")]).await;
    let form = [("url", live.url.as_str()), ("enabled_events[]", "*")];
    post(&sandbox, "/v1/webhook_endpoints", &form).auth("sk_live_1").send().await.id();
    let ids = create_many(&sandbox, 5).await;
    delete(&sandbox, &format!("/v1/customers/{}", ids[2])).send().await.id();
    assert!(sandbox.edit_email(&ids[0], "new@example.com"));

    let letters = all.take(7).await;
    let mut expected = ids.clone();
    expected.extend([ids[2].clone(), ids[0].clone()]);
    assert_eq!(customers(&letters), expected);
    let kinds = ["customer.deleted", "customer.updated"];
    assert_eq!(
        [&letters[5].event()["type"], &letters[6].event()["type"]],
        kinds.map(|k| json!(k)).each_ref()
    );
    assert_eq!(letters[6].event()["data"]["previous_attributes"], json!({"email": null}));
    assert_eq!(customers(&deleted.take(1).await), [ids[2].clone()]);
    assert_eq!(live.count(), 0);
    delivered(&sandbox, 8).await;
}

#[tokio::test]
async fn a_platform_is_told_of_its_connected_accounts() {
    let sandbox = Sandbox::start().await.unwrap();
    let (platform, own) = (Receiver::start().await, Receiver::start().await);
    listen(&sandbox, &platform, &[("connect", "true")]).await;
    let form = [("url", own.url.as_str()), ("enabled_events[]", "*")];
    post(&sandbox, "/v1/webhook_endpoints", &form).account("acct_shop").send().await.id();
    create(&sandbox, &[]).send().await.id();
    let id = create(&sandbox, &[]).account("acct_shop").send().await.id();
    let letter = &platform.take(1).await[0];
    assert_eq!(
        (&letter.event()["account"], &customers(std::slice::from_ref(letter))[0]),
        (&json!("acct_shop"), &id)
    );
    assert_eq!(own.take(1).await[0].event().get("account"), None);
    assert_eq!(platform.count() + own.count(), 0);
}

#[tokio::test]
async fn what_is_held_back_comes_when_and_as_often_as_it_is_told() {
    let sandbox = Sandbox::start().await.unwrap();
    let receiver = Receiver::start().await;
    listen(&sandbox, &receiver, &[]).await;
    for (order, place) in [
        (WebhookOrder::AsMade, [0, 1, 2, 3]),
        (WebhookOrder::Reversed, [3, 2, 1, 0]),
        // The same seed always leads to the same order.
        (WebhookOrder::Shuffled(1), [2, 0, 3, 1]),
    ] {
        sandbox.hold_webhooks(true);
        let ids = create_many(&sandbox, 4).await;
        let waiting = get(&sandbox, "/v1/events").query(&[("delivery_success", "false")]);
        assert_eq!(waiting.send().await.ids().len(), 4);
        assert_eq!(receiver.count(), 0);
        assert_eq!(sandbox.flush_webhooks(order, 2).await, 8);
        let got = customers(&receiver.take(8).await);
        let once: Vec<String> = got[..4].to_vec();
        assert_eq!(once, got[4..], "the second time as the first");
        let places: Vec<usize> =
            once.iter().map(|id| ids.iter().position(|known| known == id).unwrap()).collect();
        if let WebhookOrder::Shuffled(_) = order {
            assert_ne!(places, [0, 1, 2, 3]);
        } else {
            assert_eq!(places, place);
        }
        assert_eq!(waiting.send().await.ids().len(), 0);
        sandbox.hold_webhooks(false);
    }
    // Once they are let go they come by themselves.
    sandbox.hold_webhooks(true);
    create_many(&sandbox, 2).await;
    sandbox.hold_webhooks(false);
    receiver.take(2).await;
}

#[tokio::test]
async fn chance_makes_them_come_twice_and_late_and_the_same_again() {
    let mut orders = Vec::new();
    for seed in [7, 7, 8] {
        let sandbox = Sandbox::start().seed(1).await.unwrap();
        let receiver = Receiver::start().await;
        listen(&sandbox, &receiver, &[]).await;
        sandbox.hold_webhooks(true);
        let ids = create_many(&sandbox, 40).await;
        sandbox
            .webhook_chaos(Some(WebhookChaos::new(seed).duplicates(0.25).delays(0.5, 604_800_000)));
        // All are late by now, each by its own time, beside which that of its making is nothing.
        sandbox.advance(Duration::from_secs(8 * 86_400));
        sandbox.hold_webhooks(false);
        let waiting = get(&sandbox, "/v1/events").query(&[("delivery_success", "false")]);
        until(async || waiting.send().await.ids().is_empty()).await;
        // The doubles come last.
        delivered(&sandbox, 41).await;
        let got = customers(&receiver.take(41).await);
        assert!(ids.iter().all(|id| got.contains(id)), "each at least once");
        assert_ne!(got[..40], ids, "out of order");
        orders
            .push(got[..40].iter().map(|id| ids.iter().position(|k| k == id)).collect::<Vec<_>>());
    }
    assert_eq!(orders[0], orders[1]);
    assert_ne!(orders[0], orders[2]);
}

#[tokio::test]
async fn what_fails_is_tried_again_and_given_up_at_last() {
    let sandbox = Sandbox::start().await.unwrap();
    let receiver = Receiver::start().await;
    receiver.answer(500);
    listen(&sandbox, &receiver, &[]).await;
    create(&sandbox, &[]).send().await.id();
    let state = async || request(&sandbox.url(), "GET", "/_sandbox/webhooks").send().await.json();
    // Seconds until each further attempt, in test mode.
    for (attempt, wait) in [(1, 300), (2, 1800), (3, 7200), (4, 0)] {
        receiver.take(1).await;
        until(async || state().await["deliveries"][0]["attempts"] == attempt).await;
        let delivery = state().await["deliveries"][0].clone();
        assert_eq!(delivery["last_status"], 500);
        assert_eq!(delivery["due"].is_null(), wait == 0, "{delivery}");
        // Not a moment before it is due.
        sandbox.advance(Duration::from_secs(u64::max(wait, 40) - 40));
        assert_eq!(sandbox.flush_webhooks(WebhookOrder::AsMade, 0).await, 0);
        assert_eq!(receiver.count(), 0);
        sandbox.advance(Duration::from_secs(41));
    }
    let event = get(&sandbox, "/v1/events").query(&[("delivery_success", "false")]).send().await;
    assert_eq!(event.json()["data"][0]["pending_webhooks"], 0);
    assert_eq!(sandbox.counters().webhooks_failed, 4);
    // Nobody listens at the first URL, and the second needs TLS.
    for url in ["http://127.0.0.1:1/", "https://127.0.0.1:1/"] {
        let form = [("url", url), ("enabled_events[]", "customer.deleted")];
        post(&sandbox, "/v1/webhook_endpoints", &form).send().await.id();
    }
    let id = create(&sandbox, &[]).send().await.id();
    assert!(sandbox.delete_customer(&id));
    until(async || sandbox.counters().webhooks_failed == 8).await;
}

#[tokio::test]
async fn an_event_that_is_no_more_cannot_be_delivered() {
    let sandbox = Sandbox::start().await.unwrap();
    let receiver = Receiver::start().await;
    listen(&sandbox, &receiver, &[]).await;
    sandbox.hold_webhooks(true);
    create(&sandbox, &[]).send().await.id();
    sandbox.advance(Duration::from_secs(31 * 86_400));
    let id = create(&sandbox, &[]).send().await.id();
    assert_eq!(sandbox.flush_webhooks(WebhookOrder::AsMade, 1).await, 1);
    assert_eq!(customers(&receiver.take(1).await), [id]);
    let state = request(&sandbox.url(), "GET", "/_sandbox/webhooks").send().await.json();
    // The delivery has failed, like one that nobody accepted.
    assert_eq!(state["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(state["deliveries"][0]["attempts"], 1);
}

#[tokio::test]
async fn an_endpoint_can_be_changed_disabled_and_deleted() {
    let sandbox = Sandbox::start().await.unwrap();
    let (first, second) = (Receiver::start().await, Receiver::start().await);
    let endpoint = listen(&sandbox, &first, &[("metadata[a]", "b"), ("description", "one")]).await;
    let path = format!("/v1/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
    let change = async |form: &[(&str, &str)]| post(&sandbox, &path, form).send().await.json();
    let changed = change(&[("url", &second.url), ("enabled_events[]", "customer.created")]).await;
    assert_eq!((&changed["url"], &changed["description"]), (&json!(second.url), &json!("one")));
    assert_eq!((&changed["metadata"], changed.get("secret")), (&json!({"a": "b"}), None));
    assert_eq!(changed["enabled_events"], json!(["customer.created"]));
    create(&sandbox, &[]).send().await.id();
    second.take(1).await;

    assert_eq!(change(&[("disabled", "true")]).await["status"], "disabled");
    create(&sandbox, &[]).send().await.id();
    assert_eq!(change(&[("disabled", "false")]).await["status"], "enabled");
    let id = create(&sandbox, &[]).send().await.id();
    assert_eq!(customers(&second.take(1).await), [id], "what happened meanwhile is not made good");

    sandbox.hold_webhooks(true);
    create(&sandbox, &[]).send().await.id();
    let gone = delete(&sandbox, &path).send().await.json();
    assert_eq!(gone, json!({"id": endpoint["id"], "object": "webhook_endpoint", "deleted": true}));
    assert_eq!(sandbox.flush_webhooks(WebhookOrder::AsMade, 1).await, 0);
    assert_eq!(get(&sandbox, "/v1/webhook_endpoints").send().await.ids(), [""; 0]);
    for request in [get(&sandbox, &path), delete(&sandbox, &path), post(&sandbox, &path, &[])] {
        assert_eq!(request.send().await.status, 404);
    }
}

#[tokio::test]
async fn an_endpoint_is_checked() {
    let sandbox = Sandbox::start().await.unwrap();
    let url = ("url", "http://127.0.0.1:1/");
    let all = ("enabled_events[]", "*");
    for (form, param) in [
        (vec![url], "enabled_events"),
        (vec![all], "url"),
        (vec![("url", "127.0.0.1"), all], "url"),
        (vec![("url", "ftp://example.com"), all], "url"),
        (vec![url, ("enabled_events[]", "everything")], "enabled_events[0]"),
        (vec![url, all, ("connect", "maybe")], "connect"),
        (vec![url, all, ("disabled", "true")], "disabled"),
        (vec![url, all, ("api_version", "soon")], "api_version"),
        (vec![url, all, ("metadata", "x")], "metadata"),
    ] {
        let answer = post(&sandbox, "/v1/webhook_endpoints", &form).send().await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, error["param"].as_str()), (400, Some(param)), "{form:?}");
    }
    let create = post(&sandbox, "/v1/webhook_endpoints", &[url, all]).key("k");
    let first = create.send().await;
    let again = create.send().await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), (Some("true"), &first.body));
    for _ in 1..16 {
        post(&sandbox, "/v1/webhook_endpoints", &[url, all]).send().await.id();
    }
    assert_eq!(post(&sandbox, "/v1/webhook_endpoints", &[url, all]).send().await.status, 400);
}
