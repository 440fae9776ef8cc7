//! Every field and error of the sandbox's answers, against Stripe's published document.
//!
//! The expectations are recorded beside this file. Where `STRIPE_OPENAPI` names a copy of Stripe's
//! own OpenAPI document, the same check runs on that as well.

use std::fs;

use serde_json::Value;
use stripe_sandbox::{Fault, Rule, Sandbox};

use crate::client::{Answer, Request, create, delete, encode, get, post};
use crate::openapi::Document;

/// The recorded expectations, and Stripe's own document where one is at hand.
fn documents() -> Vec<Document> {
    let mut documents = vec![Document::read(include_str!("recorded.openapi.json"))];
    if let Some(path) = std::env::var_os("STRIPE_OPENAPI") {
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|why| panic!("STRIPE_OPENAPI is {}: {why}", path.display()));
        documents.push(Document::read(&text));
    }
    documents
}

/// Sends a request, and finds its answer as the document has it.
async fn conforms(document: &Document, method: &str, path: &str, request: Request) -> Answer {
    let answer = request.send().await;
    let schema = document.answer(document.operation(method, path), answer.status);
    let problems = document.problems(schema, &answer.json(), "answer");
    assert!(problems.is_empty(), "{method} {path}: {problems:#?}\n{}", answer.body);
    answer
}

#[tokio::test]
async fn every_answer_is_as_stripe_documents_it() {
    for document in &documents() {
        let sandbox = Sandbox::start().await.unwrap();
        let see = |method, path, request| conforms(document, method, path, request);
        let (customers, one) = ("/v1/customers", "/v1/customers/{customer}");
        let (hooks, hook) = ("/v1/webhook_endpoints", "/v1/webhook_endpoints/{webhook_endpoint}");

        let operation = document.operation("POST", customers);
        let mut form = samples(document, operation);
        for field in
            ["tax", "tax_ids", "cash_balance", "sources", "subscriptions", "invoice_credit_balance"]
        {
            form.push((format!("expand[{}]", form.len()), field.to_owned()));
        }
        let whole = see("POST", customers, filled(&sandbox, customers, &form)).await;
        let bare = see("POST", customers, create(&sandbox, &[]).key("k")).await.id();
        see("POST", customers, create(&sandbox, &[]).key("k")).await.id();
        let path = format!("/v1/customers/{}", whole.id());
        let form = samples(document, document.operation("POST", one));
        see("POST", one, filled(&sandbox, &path, &form)).await.id();
        see("GET", one, get(&sandbox, &path)).await.id();
        let clock = [("test_clock", "clock_1")];
        assert_eq!(see("GET", customers, get(&sandbox, customers)).await.ids(), [bare.as_str()]);
        assert_eq!(
            see("GET", customers, get(&sandbox, customers).query(&clock)).await.ids(),
            [whole.id()]
        );
        let search = get(&sandbox, "/v1/customers/search").query(&[("query", "created>0")]);
        let found = see("GET", "/v1/customers/search", search).await;
        assert_eq!(found.ids().len(), 2);
        let page = [("query", "created>0"), ("limit", "1")];
        let search = get(&sandbox, "/v1/customers/search").query(&page);
        assert!(see("GET", "/v1/customers/search", search).await.json()["next_page"].is_string());
        see("DELETE", one, delete(&sandbox, &path)).await.id();
        see("GET", one, get(&sandbox, &path)).await.id();

        let events = see("GET", "/v1/events", get(&sandbox, "/v1/events")).await;
        assert_eq!(events.ids().len(), 4);
        for event in events.json()["data"].as_array().unwrap() {
            let object = &event["data"]["object"];
            let problems = document.problems(document.schema("customer"), object, "data.object");
            assert!(problems.is_empty(), "{problems:#?}");
            let path = format!("/v1/events/{}", event["id"].as_str().unwrap());
            see("GET", "/v1/events/{id}", get(&sandbox, &path)).await.id();
        }
        see("GET", "/v1/account", get(&sandbox, "/v1/account")).await.id();
        let own = "/v1/accounts/acct_sandbox";
        see("GET", "/v1/accounts/{account}", get(&sandbox, own)).await.id();

        let form = samples(document, document.operation("POST", hooks));
        let endpoint = see("POST", hooks, filled(&sandbox, hooks, &form)).await;
        assert!(endpoint.json()["secret"].is_string());
        let path = format!("{hooks}/{}", endpoint.id());
        see("GET", hook, get(&sandbox, &path)).await.id();
        let form = samples(document, document.operation("POST", hook));
        see("POST", hook, filled(&sandbox, &path, &form)).await.id();
        assert_eq!(see("GET", hooks, get(&sandbox, hooks)).await.ids(), [endpoint.id()]);
        see("DELETE", hook, delete(&sandbox, &path)).await.id();
    }
}

#[tokio::test]
async fn every_error_is_as_stripe_documents_it() {
    let customers = "/v1/customers";
    for document in &documents() {
        let sandbox = Sandbox::start().await.unwrap();
        create(&sandbox, &[]).key("used").send().await.id();
        let faults = [
            Fault::RateLimited { retry_after: None },
            Fault::LockTimeout { status: 429 },
            Fault::LockTimeout { status: 409 },
            Fault::ServerError { should_retry: true },
            Fault::StoredError { side_effect: false },
            Fault::LateEffect { seconds: 1 },
        ];
        for fault in faults {
            sandbox.arm(Rule::new(fault));
            assert!(
                conforms(document, "POST", customers, create(&sandbox, &[])).await.status >= 409
            );
        }
        let plain = || create(&sandbox, &[]);
        for (request, status) in [
            (create(&sandbox, &[("email", "nonsense")]), 400),
            (create(&sandbox, &[("colour", "red")]), 400),
            (create(&sandbox, &[("balance", "much")]), 400),
            (create(&sandbox, &[("shipping[name]", "x")]), 400),
            (create(&sandbox, &[("name", "other")]).key("used"), 400),
            (plain().key(&"k".repeat(256)), 400),
            (plain().auth("sk_test_invalid"), 401),
            (plain().auth("rk_test_nocustomerwrite"), 403),
            (plain().account("nobody"), 403),
            (plain().header("Stripe-Version", "soon"), 400),
            (plain().header("Content-Type", "application/json").body("{}"), 400),
        ] {
            assert_eq!(conforms(document, "POST", customers, request).await.status, status);
        }
        for (path, template) in [
            ("/v1/customers/cus_none", "/v1/customers/{customer}"),
            ("/v1/events/evt_none", "/v1/events/{id}"),
            ("/v1/webhook_endpoints/we_none", "/v1/webhook_endpoints/{webhook_endpoint}"),
        ] {
            assert_eq!(conforms(document, "GET", template, get(&sandbox, path)).await.status, 404);
        }
        // A path that is not in the document is answered with an error of the same form.
        let nowhere = get(&sandbox, "/v1/nowhere").send().await;
        assert_eq!(document.problems(document.schema("error"), &nowhere.json(), "answer"), [""; 0]);
    }
}

#[tokio::test]
async fn every_documented_query_parameter_is_known() {
    for document in &documents() {
        let sandbox = Sandbox::start().await.unwrap();
        let id = create(&sandbox, &[]).send().await.id();
        for path in ["/v1/customers", "/v1/customers/search", "/v1/events", "/v1/webhook_endpoints"]
        {
            let parameters =
                document.operation("GET", path)["parameters"].as_array().unwrap().clone();
            assert!(parameters.len() >= 4, "{path}");
            for parameter in parameters {
                let name = parameter["name"].as_str().unwrap();
                for (name, value) in sample(document, name, &parameter["schema"]) {
                    let value = if name.contains("ending") || name.contains("starting") {
                        &id
                    } else {
                        &value
                    };
                    let answer = get(&sandbox, path).query(&[(&name, value)]).send().await;
                    let code = answer.json()["error"]["code"].clone();
                    assert_ne!(code, "parameter_unknown", "{path}?{name}={value}");
                }
            }
        }
    }
}

fn filled(sandbox: &Sandbox, path: &str, form: &[(String, String)]) -> Request {
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
    post(sandbox, path, &[]).body(&encode(&form))
}

/// In Stripe's document, and neither in its reference nor in its SDKs any more.
const BYGONE: [&str; 5] =
    ["bank_account", "card", "default_alipay_account", "default_bank_account", "default_card"];

/// A value for every parameter in an operation's form.
fn samples(document: &Document, operation: &Value) -> Vec<(String, String)> {
    let schema =
        &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
    let fields = schema["properties"].as_object().expect("a form");
    let fields = fields.iter().filter(|(name, _)| !BYGONE.contains(&name.as_str()));
    fields.flat_map(|(name, schema)| sample(document, name, schema)).collect()
}

/// Values for a parameter and all below it.
fn sample(document: &Document, name: &str, schema: &Value) -> Vec<(String, String)> {
    let schema = document.resolve(schema);
    // The other choice is to unset it.
    if let Some(choice) = schema["anyOf"].as_array().and_then(|choices| choices.first()) {
        return sample(document, name, choice);
    }
    match schema["type"].as_str() {
        Some("object") => match schema["properties"].as_object() {
            Some(fields) => fields
                .iter()
                .flat_map(|(field, schema)| sample(document, &format!("{name}[{field}]"), schema))
                .collect(),
            None => vec![(format!("{name}[key]"), "value".to_owned())],
        },
        Some("array") => sample(document, &format!("{name}[0]"), &schema["items"]),
        Some("integer") => vec![(name.to_owned(), "7".to_owned())],
        Some("boolean") => vec![(name.to_owned(), "true".to_owned())],
        _ => vec![(name.to_owned(), text(name, schema))],
    }
}

/// A text that will do for a parameter.
fn text(name: &str, schema: &Value) -> String {
    let special = [
        ("email", "anna@example.com"),
        ("invoice_prefix", "ANNA1"),
        ("payment_method", "pm_1"),
        ("source", "src_1"),
        ("template", "inrtem_1"),
        ("test_clock", "clock_1"),
        ("country", "DE"),
        ("url", "http://127.0.0.1:9/hook"),
        // The account's own mode is answered as the mode that it is.
        ("reconciliation_mode", "manual"),
        ("tax_id_data[0][type", "eu_vat"),
        ("query", "name:'x'"),
    ];
    let choices: Vec<&str> =
        schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let end = name.trim_end_matches(']');
    let own = special.iter().find(|(special, _)| end.ends_with(special)).map(|(_, text)| *text);
    let own = own.filter(|own| choices.is_empty() || choices.contains(own));
    own.or(choices.last().copied()).unwrap_or("text").to_owned()
}

/// Every field is kept as it was sent.
#[tokio::test]
async fn every_documented_field_is_answered_as_it_was_sent() {
    let sandbox = Sandbox::start().await.unwrap();
    let document = &documents()[0];
    let mut form = samples(document, document.operation("POST", "/v1/customers"));
    form.push(("expand[0]".to_owned(), "tax_ids".to_owned()));
    form.push(("expand[1]".to_owned(), "tax".to_owned()));
    form.push(("expand[2]".to_owned(), "cash_balance".to_owned()));
    let customer = filled(&sandbox, "/v1/customers", &form).send().await;
    let customer = customer.json();
    // They concern the request, or show only elsewhere.
    let passing = ["expand", "validate", "payment_method", "tax[validate_location]", "source"];
    for (name, value) in
        form.iter().filter(|(name, _)| !passing.iter().any(|p| name.starts_with(p)))
    {
        let path = match name.strip_prefix("tax_id_data") {
            Some(rest) => format!("tax_ids[data]{rest}"),
            None => name.clone(),
        };
        let mut at = &customer;
        for part in path.split(['[', ']']).filter(|part| !part.is_empty()) {
            at = part.parse::<usize>().map_or_else(|_| &at[part], |place| &at[place]);
        }
        // Numbers were sent as texts.
        let said = at.as_str().map_or_else(|| at.to_string(), str::to_owned);
        assert_eq!(said, *value, "{name}");
    }
    assert_eq!(customer["default_source"], "src_1");
}
