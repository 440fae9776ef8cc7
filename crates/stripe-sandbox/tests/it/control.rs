//! `/_sandbox/…`.

use serde_json::{Value, json};
use stripe_sandbox::{Chaos, Fault, FaultKind, Rule, Sandbox, When};

use crate::client::{Answer, create, get, request, until};

async fn control(sandbox: &Sandbox, method: &str, what: &str, body: &Value) -> Answer {
    let request = request(&sandbox.url(), method, &format!("/_sandbox/{what}"));
    request.body(&body.to_string()).send().await
}

async fn look(sandbox: &Sandbox, what: &str) -> Value {
    let answer = control(sandbox, "GET", what, &json!({})).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

#[tokio::test]
async fn what_happened_can_be_looked_up() {
    let sandbox = Sandbox::start().await.unwrap();
    assert_eq!(look(&sandbox, "health").await, json!({"status": "ok"}));
    let fields = [("email", "anna@example.com"), ("metadata[tenantId]", "t1")];
    let id = create(&sandbox, &fields).key("k").send().await.id();
    create(&sandbox, &fields).key("k").send().await.id();
    get(&sandbox, "/v1/customers").auth("nonsense").send().await;
    assert!(sandbox.delete_customer(&id));

    let created = sandbox.customers()[0].created;
    let customer = json!({
        "id": id, "account": "acct_sandbox", "livemode": false, "email": "anna@example.com",
        "name": null, "metadata": {"tenantId": "t1"}, "created": created, "deleted": true,
        "idempotency_key": "k",
    });
    assert_eq!(look(&sandbox, "customers").await, json!({"customers": [customer]}));
    assert_eq!(
        look(&sandbox, "counters").await,
        json!({
            "requests": 3,
            "by_endpoint": {"POST /v1/customers": 2, "GET /v1/customers": 1},
            "customers_created": 1, "customers_deleted": 1, "replays": 1, "conflicts": 0,
            "rate_limited": 0, "webhooks_delivered": 0, "webhooks_failed": 0, "faults": {},
        })
    );
    let log = look(&sandbox, "requests").await;
    let told = |at: usize, what: &str| log["requests"][at][what].clone();
    assert_eq!([told(0, "outcome"), told(1, "outcome")], ["answered", "replayed"]);
    assert_eq!([told(0, "idempotency_key"), told(2, "idempotency_key")], [json!("k"), Value::Null]);
    assert_eq!([told(1, "account"), told(2, "account")], [json!("acct_sandbox"), Value::Null]);
    assert_eq!([told(1, "status"), told(2, "status")], [json!(200), json!(401)]);
    assert_eq!([told(2, "method"), told(2, "path")], ["GET", "/v1/customers"]);
}

#[tokio::test]
async fn the_clock_goes_forward() {
    let sandbox = Sandbox::start().await.unwrap();
    let before = look(&sandbox, "clock").await["now"].as_i64().unwrap();
    let after =
        control(&sandbox, "POST", "clock", &json!({"advance_seconds": 86_400})).await.json();
    let passed = after["now"].as_i64().unwrap() - before;
    assert!((86_400..86_460).contains(&passed), "{passed}");
    assert_eq!(after["ahead_seconds"], 86_400);
    let created = create(&sandbox, &[]).send().await.json()["created"].as_i64().unwrap();
    assert!((86_400..86_460).contains(&(created - before)));
}

#[tokio::test]
async fn faults_are_armed_and_disarmed() {
    let sandbox = Sandbox::start().await.unwrap();
    let rule = json!({
        "method": "post", "path_prefix": "/v1/customers", "tenant": "t1", "idempotency_key_contains": "k",
        "times": 2, "fault": {"kind": "bad_gateway", "when": "after"},
    });
    assert_eq!(control(&sandbox, "POST", "faults", &rule).await.status, 200);
    let fields = [("metadata[tenantId]", "t1")];
    let statuses = async |key: &str| create(&sandbox, &fields).key(key).send().await.status;
    assert_eq!([statuses("k1").await, statuses("k1").await, statuses("k1").await], [502, 502, 200]);
    let mut armed = rule.clone();
    armed["method"] = "POST".into();
    (armed["matched"], armed["struck"]) = (3.into(), 2.into());
    assert_eq!(look(&sandbox, "faults").await, json!({"rules": [armed], "chaos": null}));

    let chaos = json!({"seed": 1, "probabilities": {"request_lost": 1.0}, "methods": ["GET"], "max_delay_ms": 5});
    assert_eq!(control(&sandbox, "PUT", "chaos", &chaos).await.json()["chaos"], chaos);
    assert!(get(&sandbox, "/v1/customers").try_send().await.is_err());
    control(&sandbox, "DELETE", "faults", &json!({})).await;
    assert_eq!(look(&sandbox, "faults").await, json!({"rules": [], "chaos": null}));
    assert_eq!(get(&sandbox, "/v1/customers").send().await.status, 200);
}

#[tokio::test]
async fn every_fault_can_be_named_in_json() {
    let sandbox = Sandbox::start().await.unwrap();
    for fault in [
        json!({"kind": "request_lost"}),
        json!({"kind": "answer_lost"}),
        json!({"kind": "delay", "ms": 5, "when": "after"}),
        json!({"kind": "reset", "when": "before"}),
        json!({"kind": "truncated_body"}),
        json!({"kind": "bad_gateway", "when": "before"}),
        json!({"kind": "rate_limited", "retry_after": 1}),
        json!({"kind": "server_error", "should_retry": true}),
        json!({"kind": "stored_error", "side_effect": true}),
        json!({"kind": "late_effect", "seconds": 60}),
        json!({"kind": "slow_headers", "ms": 5}),
        json!({"kind": "slow_body", "ms": 5}),
        json!({"kind": "lock_timeout", "status": 409}),
        json!({"kind": "connection_refused", "ms": 5}),
    ] {
        let rule = json!({"fault": fault, "nth": 1});
        let armed = control(&sandbox, "POST", "faults", &rule).await.json();
        assert_eq!(armed["rules"].as_array().unwrap().last().unwrap()["fault"], fault);
    }
}

#[tokio::test]
async fn bad_input_is_refused_by_the_name_of_its_field() {
    let sandbox = Sandbox::start().await.unwrap();
    let answer_lost = json!({"kind": "answer_lost"});
    for (method, what, body, field) in [
        ("POST", "clock", json!({}), "advance_seconds"),
        ("POST", "clock", json!({"advance_seconds": -1}), "advance_seconds"),
        ("POST", "clock", json!({"advance_seconds": 1, "x": 1}), "x"),
        ("POST", "clock", json!([]), "(body)"),
        ("PUT", "lag", json!({"search_seconds": "1"}), "search_seconds"),
        ("PUT", "lag", json!({"search": 1}), "search"),
        ("POST", "faults", json!({}), "fault"),
        ("POST", "faults", json!({"fault": "answer_lost"}), "fault"),
        ("POST", "faults", json!({"fault": {}}), "fault.kind"),
        ("POST", "faults", json!({"fault": {"kind": "sloth"}}), "fault.kind"),
        ("POST", "faults", json!({"fault": {"kind": "delay"}}), "fault.ms"),
        ("POST", "faults", json!({"fault": {"kind": "reset", "when": "now"}}), "fault.when"),
        ("POST", "faults", json!({"fault": {"kind": "reset", "ms": 1}}), "fault.ms"),
        ("POST", "faults", json!({"fault": {"kind": "stored_error"}}), "fault.side_effect"),
        ("POST", "faults", json!({"fault": answer_lost, "nth": 0}), "nth"),
        ("POST", "faults", json!({"fault": answer_lost, "times": 1.5}), "times"),
        ("POST", "faults", json!({"fault": answer_lost, "method": 1}), "method"),
        ("POST", "faults", json!({"fault": answer_lost, "path": "/v1"}), "path"),
        ("PUT", "chaos", json!({"probabilities": {}}), "seed"),
        ("PUT", "chaos", json!({"seed": 1}), "probabilities"),
        ("PUT", "chaos", json!({"seed": 1, "probabilities": {"sloth": 1}}), "probabilities.sloth"),
        (
            "PUT",
            "chaos",
            json!({"seed": 1, "probabilities": {"delay": 1.1}}),
            "probabilities.delay",
        ),
        (
            "PUT",
            "chaos",
            json!({"seed": 1, "probabilities": {"delay": 0.6, "reset": 0.6}}),
            "probabilities",
        ),
        ("PUT", "chaos", json!({"seed": 1, "probabilities": {}, "methods": "GET"}), "methods"),
    ] {
        let answer = control(&sandbox, method, what, &body).await;
        assert_eq!(answer.status, 400, "{what} {body}");
        assert_eq!(answer.json()["error"]["field"], field, "{what} {body}");
    }
    assert_eq!(look(&sandbox, "faults").await, json!({"rules": [], "chaos": null}));
    assert_eq!(control(&sandbox, "GET", "nothing", &json!({})).await.status, 404);
    assert_eq!(control(&sandbox, "PATCH", "clock", &json!({})).await.status, 404);
}

#[tokio::test]
async fn lag_is_set_field_by_field_and_reset_forgets_everything() {
    let sandbox = Sandbox::start().await.unwrap();
    control(&sandbox, "PUT", "lag", &json!({"search_seconds": 5})).await;
    let lag = control(&sandbox, "PUT", "lag", &json!({"events_seconds": 7})).await;
    assert_eq!(lag.json(), json!({"search_seconds": 5, "events_seconds": 7}));
    let old = create(&sandbox, &[]).key("k").send().await.id();
    control(&sandbox, "POST", "clock", &json!({"advance_seconds": 60})).await;
    control(&sandbox, "POST", "faults", &json!({"fault": {"kind": "reset"}, "times": 9})).await;

    assert_eq!(control(&sandbox, "POST", "reset", &json!({})).await.status, 200);
    assert_eq!(look(&sandbox, "customers").await, json!({"customers": []}));
    assert_eq!(look(&sandbox, "requests").await, json!({"requests": []}));
    assert_eq!(look(&sandbox, "counters").await["requests"], 0);
    assert_eq!(look(&sandbox, "clock").await["ahead_seconds"], 0);
    assert_eq!(look(&sandbox, "lag").await, json!({"search_seconds": 0, "events_seconds": 0}));
    assert_eq!(get(&sandbox, "/v1/events").send().await.ids(), [""; 0]);
    // A key is new again, but no id is minted twice.
    let new = create(&sandbox, &[]).key("k").send().await;
    assert_eq!(new.header("idempotent-replayed"), None);
    assert_ne!(new.id(), old);
}

#[tokio::test]
async fn every_control_is_as_its_document_says() {
    let sandbox = Sandbox::start().await.unwrap();
    let text = request(&sandbox.url(), "GET", "/_sandbox/openapi.json").send().await.body;
    let document = crate::openapi::Document::read(&text);
    // A little of everything to look at.
    let hook = [("url", "http://127.0.0.1:9/"), ("enabled_events[]", "*")];
    crate::client::post(&sandbox, "/v1/webhook_endpoints", &hook).send().await.id();
    control(&sandbox, "PUT", "webhooks", &json!({"held": true})).await;
    let mut seen = 0;
    for (method, path, operation) in document.operations() {
        let id = create(&sandbox, &[("metadata[tenantId]", "t1")]).send().await.id();
        let mut call = request(&sandbox.url(), &method.to_uppercase(), &path.replace("{id}", &id));
        let body = &operation["requestBody"]["content"]["application/json"];
        if let Some(example) = body.get("example") {
            let problems = document.problems(&body["schema"], example, "example");
            assert!(problems.is_empty(), "{method} {path}: {problems:#?}");
            call = call.body(&example.to_string());
            // Whatever is not in the document is refused.
            let wrong = call.clone().body(r#"{"colour": "red"}"#).send().await;
            assert_eq!(wrong.status, 400, "{method} {path}");
            let schema = document.answer(operation, 400);
            assert_eq!(document.problems(schema, &wrong.json(), "answer"), [""; 0]);
        }
        let answer = call.send().await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        if path == "/_sandbox/" {
            assert!(operation["responses"]["200"]["content"]["text/html"].is_object());
        } else {
            let schema = document.answer(operation, 200);
            let problems = document.problems(schema, &answer.json(), "answer");
            assert!(problems.is_empty(), "{method} {path}: {problems:#?}");
        }
        if path.contains("{id}") {
            let nobody =
                request(&sandbox.url(), &method.to_uppercase(), &path.replace("{id}", "cus_none"));
            let nobody = nobody.body(&body["example"].to_string()).send().await;
            assert_eq!(nobody.status, 404);
            let schema = document.answer(operation, 404);
            assert_eq!(document.problems(schema, &nobody.json(), "answer"), [""; 0]);
        }
        // The next control does not find anything that this one has set.
        sandbox.disarm();
        sandbox.set_rate_limits(Default::default());
        let health = request(&sandbox.url(), "GET", "/_sandbox/health");
        until(async || health.try_send().await.is_ok()).await;
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[tokio::test]
async fn the_status_page_shows_what_there_is_and_loads_nothing() {
    let sandbox = Sandbox::start().await.unwrap();
    let page = async |path: &str| {
        let host = "sandbox\"><script>";
        let page = request(&sandbox.url(), "GET", path).header("Host", host).send().await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        page.body
    };
    let empty = page("/_sandbox/").await;
    assert!(empty.contains("None. Every request is answered as it should be."), "{empty}");
    let fields = [("email", "<b>anna</b>@example.com"), ("metadata[k]", "a&b")];
    let id = create(&sandbox, &fields).key("<i>key</i>").send().await.id();
    sandbox.arm(Rule::new(Fault::Delay { ms: 5, when: When::After }).tenant("<u>").nth(3));
    sandbox.chaos(Some(Chaos::new(7).with(FaultKind::Reset, 0.5)));
    sandbox.advance(std::time::Duration::from_secs(90_061));
    let page = page("/_sandbox").await;
    for shown in [
        &id,
        "&lt;b&gt;anna&lt;/b&gt;@example.com",
        "k=a&amp;b",
        "&lt;i&gt;key&lt;/i&gt;",
        "tenant &lt;u&gt;",
        "only number 3",
        "seed 7, on POST: reset 0.5",
        "1 d 01:01:01 ahead of real time",
        "sandbox&quot;&gt;&lt;script&gt;",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
    for (opening, count) in
        [("<script", 0), (" src=", 0), ("@import", 0), ("url(", 0), (" href=", 2)]
    {
        assert_eq!(page.matches(opening).count(), count, "{opening}");
    }
    // The icon that it has not, and the document.
    assert!(page.contains("href=\"data:,\"") && page.contains("href=\"/_sandbox/openapi.json\""));
}
