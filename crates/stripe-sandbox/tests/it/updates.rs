//! Updates: the fields that they change and leave, and the events that they cause.

use serde_json::{Value, json};
use stripe_sandbox::{Fault, Rule, Sandbox};

use crate::client::{create, delete, get, post};

/// A form, and the changed fields before and after it.
type Case = (&'static [(&'static str, &'static str)], Value, Value);

#[tokio::test]
async fn an_update_merges_and_unsets() {
    let start = [
        ("email", "anna@example.com"),
        ("name", "Anna"),
        ("address[city]", "Berlin"),
        ("address[line1]", "Weg 1"),
        ("shipping[name]", "Lager"),
        ("shipping[address][city]", "Bonn"),
        ("preferred_locales[]", "de"),
        ("preferred_locales[]", "en"),
        ("metadata[a]", "1"),
        ("metadata[b]", "2"),
        ("invoice_settings[footer]", "thanks"),
        ("invoice_settings[custom_fields][][name]", "PO"),
        ("invoice_settings[custom_fields][][value]", "17"),
    ];
    let cases: [Case; 12] = [
        (&[], json!({}), json!({})),
        (&[("name", "Anna")], json!({}), json!({})),
        (&[("name", "Bob")], json!({"name": "Anna"}), json!({"name": "Bob"})),
        (&[("name", "")], json!({"name": "Anna"}), json!({"name": null})),
        (&[("balance", "5")], json!({"balance": 0}), json!({"balance": 5})),
        (
            &[("metadata[a]", ""), ("metadata[c]", "3")],
            json!({"metadata": {"a": "1", "c": null}}),
            json!({"metadata": {"b": "2", "c": "3"}}),
        ),
        (&[("metadata", "")], json!({"metadata": {"a": "1", "b": "2"}}), json!({"metadata": {}})),
        (
            &[("address[city]", "Bonn"), ("address[line1]", "")],
            json!({"address": {"city": "Berlin", "line1": "Weg 1"}}),
            json!({"address": {"city": "Bonn", "country": null, "line1": null, "line2": null,
                "postal_code": null, "state": null}}),
        ),
        (
            &[("preferred_locales[]", "fr")],
            json!({"preferred_locales": ["de", "en"]}),
            json!({"preferred_locales": ["fr"]}),
        ),
        (
            &[("invoice_settings[footer]", "bye")],
            json!({"invoice_settings": {"footer": "thanks"}}),
            json!({"invoice_settings": {"custom_fields": [{"name": "PO", "value": "17"}],
                "default_payment_method": null, "footer": "bye", "rendering_options": null}}),
        ),
        (
            &[("invoice_settings[custom_fields]", "")],
            json!({"invoice_settings": {"custom_fields": [{"name": "PO", "value": "17"}]}}),
            json!({"invoice_settings": {"custom_fields": null, "default_payment_method": null,
                "footer": "thanks", "rendering_options": null}}),
        ),
        (
            &[("tax_exempt", "exempt")],
            json!({"tax_exempt": "none"}),
            json!({"tax_exempt": "exempt"}),
        ),
    ];
    for (form, was, is) in cases {
        let sandbox = Sandbox::start().await.unwrap();
        let before = create(&sandbox, &start).send().await;
        let path = format!("/v1/customers/{}", before.id());
        let updated = post(&sandbox, &path, form).send().await;
        let mut expected = before.json();
        for (name, value) in is.as_object().unwrap() {
            expected[name] = value.clone();
        }
        assert_eq!(updated.json(), expected, "{form:?}");
        assert_eq!(get(&sandbox, &path).send().await.body, updated.body);
        let event = get(&sandbox, "/v1/events").send().await.json()["data"][0].clone();
        assert_eq!(event["type"], "customer.updated");
        assert_eq!(
            event["data"],
            json!({"object": expected, "previous_attributes": was}),
            "{form:?}"
        );
    }
}

#[tokio::test]
async fn an_update_is_found_by_what_it_says() {
    let sandbox = Sandbox::start().await.unwrap();
    let id = create(&sandbox, &[("email", "old@example.com")]).send().await.id();
    let path = format!("/v1/customers/{id}");
    let form = [("email", "new@example.com"), ("metadata[tenantId]", "t1")];
    post(&sandbox, &path, &form).send().await.id();
    let list = async |email: &str| {
        get(&sandbox, "/v1/customers").query(&[("email", email)]).send().await.ids()
    };
    assert_eq!(list("old@example.com").await, [""; 0]);
    assert_eq!(list("new@example.com").await, std::slice::from_ref(&id));
    let search = [("query", "metadata['tenantId']:'t1'")];
    assert_eq!(get(&sandbox, "/v1/customers/search").query(&search).send().await.ids(), [id]);
}

#[tokio::test]
async fn an_update_is_saved_under_its_key() {
    let sandbox = Sandbox::start().await.unwrap();
    let id = create(&sandbox, &[]).send().await.id();
    let path = format!("/v1/customers/{id}");
    let request = post(&sandbox, &path, &[("name", "Anna")]).key("k");
    let first = request.send().await;
    post(&sandbox, &path, &[("name", "Bob")]).send().await.id();
    delete(&sandbox, &path).send().await.id();
    let again = request.send().await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), (Some("true"), &first.body));
    let other = post(&sandbox, &path, &[("name", "Eve")]).key("k").send().await;
    assert_eq!(other.json()["error"]["type"], "idempotency_error");
    let create = create(&sandbox, &[("name", "Anna")]).key("k").send().await;
    assert_eq!(create.json()["error"]["type"], "idempotency_error");
    let event = get(&sandbox, "/v1/events").query(&[("type", "customer.updated")]).send().await;
    let event = event.json()["data"][1].clone();
    assert_eq!(event["request"]["idempotency_key"], "k");
    assert_eq!(event["request"]["id"].as_str(), first.header("request-id"));
}

#[tokio::test]
async fn a_failed_update_may_have_happened() {
    let sandbox = Sandbox::start().await.unwrap();
    let id = create(&sandbox, &[("name", "old")]).send().await.id();
    let path = format!("/v1/customers/{id}");
    for (fault, name) in [
        (Fault::StoredError { side_effect: false }, "old"),
        (Fault::StoredError { side_effect: true }, "new"),
    ] {
        sandbox.arm(Rule::new(fault));
        assert_eq!(post(&sandbox, &path, &[("name", "new")]).send().await.status, 500);
        assert_eq!(get(&sandbox, &path).send().await.json()["name"], name);
    }
}

#[tokio::test]
async fn an_update_is_refused_where_it_makes_no_sense() {
    let sandbox = Sandbox::start().await.unwrap();
    let id = create(&sandbox, &[("metadata[k]", "v")]).send().await.id();
    let path = format!("/v1/customers/{id}");
    let many: Vec<String> = (0..50).map(|n| format!("metadata[k{n}]")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
    for (form, param) in [
        (vec![("payment_method", "pm_1")], "payment_method"),
        (vec![("test_clock", "clock_1")], "test_clock"),
        (vec![("email", "nonsense")], "email"),
        (vec![("balance", "")], "balance"),
        (vec![("shipping[name]", "x")], "shipping[address]"),
        (vec![("address", "Berlin")], "address"),
        (vec![("address[town]", "Berlin")], "address[town]"),
        (vec![("address[country]", "Germany")], "address[country]"),
        (vec![("tax_exempt", "maybe")], "tax_exempt"),
        (vec![("invoice_prefix", "ab")], "invoice_prefix"),
        (vec![("default_source", "x")], "default_source"),
        (vec![("validate", "perhaps")], "validate"),
        (
            vec![("invoice_settings[custom_fields][0][name]", "x")],
            "invoice_settings[custom_fields][0][value]",
        ),
        (many, "metadata"),
    ] {
        let answer = post(&sandbox, &path, &form).send().await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, error["param"].as_str()), (400, Some(param)), "{form:?}");
    }
    let clock = create(&sandbox, &[("test_clock", "clock_1")]).auth("sk_live_1").send().await;
    assert_eq!(clock.json()["error"]["param"], "test_clock");
    assert_eq!(get(&sandbox, "/v1/events").send().await.ids().len(), 1);
}
