//! Events: which Customer came of which key.

use std::time::Duration;

use serde_json::{Value, json};
use stripe_sandbox::{Lag, Sandbox};

use crate::client::{create, delete, get};

#[tokio::test]
async fn an_event_names_the_request_and_its_key() {
    let sandbox = Sandbox::start().await.unwrap();
    let anna = create(&sandbox, &[("email", "anna@example.com")]).key("k1").send().await;
    let bob = create(&sandbox, &[("email", "bob@example.com")]).send().await;
    let gone = delete(&sandbox, &format!("/v1/customers/{}", anna.id())).key("k2").send().await;
    assert!(sandbox.edit_email(&bob.id(), "rob@example.com"));
    assert!(sandbox.delete_customer(&bob.id()));

    let list = get(&sandbox, "/v1/events").send().await.json();
    assert_eq!((&list["object"], &list["url"]), (&json!("list"), &json!("/v1/events")));
    let events = list["data"].as_array().unwrap();
    let id_of = |answer: &crate::client::Answer| json!(answer.header("request-id").unwrap());
    let mut robert = bob.json();
    robert["email"] = "rob@example.com".into();
    // Newest first: type, request, key, and the Customer as it was.
    let expected = [
        ("customer.deleted", Value::Null, Value::Null, robert.clone()),
        ("customer.updated", Value::Null, Value::Null, robert),
        ("customer.deleted", id_of(&gone), Value::Null, anna.json()),
        ("customer.created", id_of(&bob), Value::Null, bob.json()),
        ("customer.created", id_of(&anna), json!("k1"), anna.json()),
    ];
    assert_eq!(events.len(), expected.len());
    for (event, (kind, request, key, object)) in events.iter().zip(expected) {
        assert_eq!(event["type"], kind);
        assert_eq!(event["request"], json!({"id": request, "idempotency_key": key}), "{kind}");
        assert_eq!(event["data"]["object"], object, "{kind}");
        assert_eq!((&event["livemode"], event.get("account")), (&json!(false), None));
        let one = get(&sandbox, &format!("/v1/events/{}", event["id"].as_str().unwrap()));
        assert_eq!(&one.send().await.json(), event);
    }
    let before = &events[1]["data"]["previous_attributes"];
    assert_eq!(before, &json!({"email": "bob@example.com"}));
}

#[tokio::test]
async fn events_are_filtered_and_paged() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut ids = Vec::new();
    for number in 0..6 {
        let id = create(&sandbox, &[]).send().await.id();
        if number % 2 == 0 {
            delete(&sandbox, &format!("/v1/customers/{id}")).send().await.id();
        }
        ids.push(id);
        sandbox.advance(Duration::from_secs(100));
    }
    let fourth = sandbox.customers()[3].created.to_string();
    for (query, count) in [
        (vec![], 9),
        (vec![("type", "customer.created")], 6),
        (vec![("type", "customer.deleted")], 3),
        (vec![("type", "customer.*")], 9),
        (vec![("type", "charge.created")], 0),
        (vec![("type", "customer.created"), ("created[gte]", fourth.as_str())], 3),
        (vec![("type", "customer.deleted"), ("created[lt]", fourth.as_str())], 2),
    ] {
        let whole = get(&sandbox, "/v1/events").query(&query).send().await.ids();
        assert_eq!(whole.len(), count, "{query:?}");
        let mut walked: Vec<String> = Vec::new();
        loop {
            let after = walked.last().cloned();
            let mut query = query.clone();
            query.push(("limit", "2"));
            query.extend(after.as_deref().map(|after| ("starting_after", after)));
            let page = get(&sandbox, "/v1/events").query(&query).send().await;
            walked.extend(page.ids());
            if page.json()["has_more"] == false {
                break;
            }
        }
        assert_eq!(walked, whole, "{query:?}");
    }
}

#[tokio::test]
async fn several_types_can_be_asked_for_and_no_nonsense() {
    let sandbox = Sandbox::start().await.unwrap();
    let id = create(&sandbox, &[]).send().await.id();
    assert!(sandbox.edit_email(&id, "new@example.com") && sandbox.delete_customer(&id));
    let list = |query: &[(&str, &str)]| get(&sandbox, "/v1/events").query(query);
    for (query, count) in [
        (vec![("types[]", "customer.created"), ("types[]", "customer.updated")], 2),
        (vec![("types[0]", "customer.deleted")], 1),
        (vec![("types[]", "charge.*"), ("types[]", "customer.*")], 3),
        (vec![("delivery_success", "true")], 3),
        (vec![("delivery_success", "false")], 0),
        (vec![("expand[]", "data.data")], 3),
    ] {
        assert_eq!(list(&query).send().await.ids().len(), count, "{query:?}");
    }
    let many = vec![("types[]", "customer.created"); 21];
    for (query, param) in [
        (vec![("type", "customer.created"), ("types[]", "customer.updated")], "type"),
        (vec![("delivery_success", "maybe")], "delivery_success"),
        (vec![("kind", "customer.created")], "kind"),
        (many, "types"),
    ] {
        let answer = list(&query).send().await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, error["param"].as_str()), (400, Some(param)), "{query:?}");
    }
}

#[tokio::test]
async fn a_connected_accounts_events_name_it_to_its_platform() {
    let sandbox = Sandbox::start().await.unwrap();
    create(&sandbox, &[]).account("acct_shop").send().await.id();
    let list = get(&sandbox, "/v1/events");
    let seen = async |request: crate::client::Request| request.send().await.json()["data"].clone();
    assert_eq!(seen(list.clone()).await, json!([]));
    assert_eq!(seen(list.clone().account("acct_shop")).await[0]["account"], "acct_shop");
    assert_eq!(seen(list.clone().auth("sk_test_acct_shop")).await[0].get("account"), None);
    assert_eq!(seen(list.auth("sk_live_acct_shop")).await, json!([]));
}

#[tokio::test]
async fn events_come_late_and_go_after_30_days() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.set_lag(Lag { search_seconds: 0, events_seconds: 600 });
    create(&sandbox, &[]).send().await.id();
    let list = get(&sandbox, "/v1/events");
    let mut event = None;
    // Seconds to let pass, and whether the event can be seen then.
    for (seconds, visible) in
        [(0, false), (590, false), (10, true), (30 * 86_400 - 700, true), (100, false)]
    {
        sandbox.advance(Duration::from_secs(seconds));
        let ids = list.send().await.ids();
        assert_eq!(ids.len(), usize::from(visible), "after {seconds} more seconds");
        event = event.or(ids.first().cloned());
        if let Some(id) = &event {
            let status = get(&sandbox, &format!("/v1/events/{id}")).send().await.status;
            assert_eq!(status, if visible { 200 } else { 404 });
        }
    }
    assert_eq!(get(&sandbox, "/v1/customers").send().await.ids().len(), 1);
}
