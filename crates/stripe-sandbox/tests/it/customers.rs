//! Customers: their shape, their deletion, and that modes and accounts never meet.

use serde_json::json;
use stripe_sandbox::Sandbox;

use crate::client::{create, delete, get, post, request};

#[tokio::test]
async fn a_customer_has_the_fields_that_stripes_has() {
    let sandbox = Sandbox::start().await.unwrap();
    let answer = create(
        &sandbox,
        &[
            ("email", "Anna+x@Example.COM"),
            ("name", "Änna & Sons"),
            ("description", "a=b;c"),
            ("phone", "+49 30 1"),
            ("metadata[tenantId]", " T1 "),
            ("metadata[empty]", ""),
        ],
    )
    .send()
    .await;
    assert!(answer.body.starts_with("{\n  \"id\": \"cus_"), "{}", answer.body);
    let mut customer = answer.json();
    let taken = |customer: &mut serde_json::Value, name: &str| customer[name].take();
    let id = answer.id();
    assert!(id.len() == 18 && id.starts_with("cus_"), "{id}");
    assert!(id[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert!(taken(&mut customer, "created").as_i64().unwrap() > 1_700_000_000);
    assert_eq!(taken(&mut customer, "invoice_prefix").as_str().unwrap().len(), 8);
    assert_eq!(
        customer,
        json!({
            "id": id, "object": "customer", "address": null, "balance": 0, "created": null,
            "currency": null, "customer_account": null, "default_source": null, "delinquent": false, "description": "a=b;c",
            "discount": null, "email": "Anna+x@Example.COM", "invoice_prefix": null,
            "invoice_settings": {"custom_fields": null, "default_payment_method": null,
                "footer": null, "rendering_options": null},
            "livemode": false, "metadata": {"tenantId": " T1 "}, "name": "Änna & Sons",
            "next_invoice_sequence": 1, "phone": "+49 30 1", "preferred_locales": [],
            "shipping": null, "tax_exempt": "none", "test_clock": null,
        })
    );
    assert_eq!(get(&sandbox, &format!("/v1/customers/{id}")).send().await.body, answer.body);
}

/// It was a panic in the middle of the answer.
#[tokio::test]
async fn an_eu_tax_id_may_begin_with_any_character() {
    let sandbox = Sandbox::start().await.unwrap();
    let form = [
        ("tax_id_data[0][type]", "eu_vat"),
        ("tax_id_data[0][value]", "€5"),
        ("tax_id_data[1][type]", "eu_vat"),
        ("tax_id_data[1][value]", "DE123456789"),
        ("expand[]", "tax_ids"),
    ];
    let customer = create(&sandbox, &form).send().await.json();
    let countries = [0, 1].map(|at| customer["tax_ids"]["data"][at]["country"].clone());
    assert_eq!(countries, ["€5", "DE"]);
}

#[tokio::test]
async fn a_deleted_customer_is_a_stub_for_good() {
    let sandbox = Sandbox::start().await.unwrap();
    let id = create(&sandbox, &[("email", "anna@example.com")]).key("k").send().await.id();
    let path = format!("/v1/customers/{id}");
    let stub = json!({"id": id, "object": "customer", "deleted": true});
    for request in [delete(&sandbox, &path), get(&sandbox, &path)] {
        let answer = request.send().await;
        assert_eq!((answer.status, answer.json()), (200, stub.clone()));
    }
    assert_eq!(delete(&sandbox, &path).send().await.status, 404);
    assert!(get(&sandbox, "/v1/customers").send().await.ids().is_empty());
    // The saved answer does not know of the deletion.
    let replay = create(&sandbox, &[("email", "anna@example.com")]).key("k").send().await;
    assert_eq!((replay.id(), replay.json()["deleted"].is_null()), (id.clone(), true));

    let record = &sandbox.customers()[0];
    assert_eq!((record.deleted, record.email.as_deref()), (true, Some("anna@example.com")));
    assert!(!sandbox.delete_customer(&id) && !sandbox.edit_email(&id, "b@example.com"));
}

#[tokio::test]
async fn modes_and_accounts_never_meet() {
    let sandbox = Sandbox::start().await.unwrap();
    let post = |key: &str| create(&sandbox, &[]).auth(key);
    let test = post("sk_test_1").send().await.id();
    let live = post("rk_live_1").send().await.id();
    let other = post("sk_test_acct_other_1").send().await.id();
    let connected = post("sk_test_1").account("acct_shop").send().await.id();
    let similar = |there, here| {
        format!(
            "'; a similar object exists in {there} mode, but a {here} mode key was used to make this \
             request."
        )
    };
    // A key, perhaps an account, an id, and the end of the message where it is not there.
    let cases = [
        ("sk_test_2", None, &test, None),
        ("sk_live_2", None, &live, None),
        ("sk_test_acct_other", None, &other, None),
        ("sk_test_acct_shop", None, &connected, None),
        ("sk_test_acct_other", Some("acct_shop"), &connected, None),
        ("sk_live_2", None, &test, Some(similar("test", "live"))),
        ("sk_test_2", None, &live, Some(similar("live", "test"))),
        ("sk_test_2", None, &other, Some("'".to_owned())),
        ("sk_test_2", None, &connected, Some("'".to_owned())),
        ("sk_live_2", Some("acct_shop"), &connected, Some(similar("test", "live"))),
    ];
    for (key, account, id, refusal) in cases {
        let mut request = get(&sandbox, &format!("/v1/customers/{id}")).auth(key);
        if let Some(account) = account {
            request = request.account(account);
        }
        let answer = request.send().await;
        match refusal {
            None => assert_eq!(&answer.id(), id, "{key} {account:?}"),
            Some(end) => {
                assert_eq!(answer.status, 404, "{key} {account:?}");
                let error = &answer.json()["error"];
                assert_eq!(
                    (&error["code"], &error["param"]),
                    (&json!("resource_missing"), &json!("id"))
                );
                assert_eq!(error["message"], format!("No such customer: '{id}{end}"));
            }
        }
    }
    let whose: Vec<_> =
        sandbox.customers().into_iter().map(|c| (c.account, c.livemode, c.id)).collect();
    assert_eq!(
        whose,
        [
            ("acct_other".to_owned(), false, other),
            ("acct_sandbox".to_owned(), false, test),
            ("acct_sandbox".to_owned(), true, live),
            ("acct_shop".to_owned(), false, connected),
        ]
    );
}

#[tokio::test]
async fn the_account_is_the_keys_own_or_the_one_acted_on() {
    let sandbox = Sandbox::start().await.unwrap();
    let cases = [
        ("sk_test_1", None, "/v1/account", Ok("acct_sandbox")),
        ("sk_test_acct_", None, "/v1/account", Ok("acct_sandbox")),
        ("rk_live_acct_Shop9_more", None, "/v1/account", Ok("acct_Shop9")),
        ("sk_test_1", Some("acct_shop"), "/v1/account", Ok("acct_shop")),
        ("sk_test_1", None, "/v1/accounts/acct_sandbox", Ok("acct_sandbox")),
        ("sk_test_1", None, "/v1/accounts/acct_shop", Err(403)),
        ("sk_test_1", Some("shop"), "/v1/account", Err(403)),
        ("rk_test_noaccount1", None, "/v1/account", Err(403)),
        ("rk_test_noaccount1", None, "/v1/accounts/acct_sandbox", Err(403)),
        ("sk_test_noaccount1", None, "/v1/account", Ok("acct_sandbox")),
    ];
    for (key, account, path, expected) in cases {
        let mut request = get(&sandbox, path).auth(key);
        if let Some(account) = account {
            request = request.account(account);
        }
        let answer = request.send().await;
        let error = answer.json()["error"]["type"].clone();
        match expected {
            Ok(id) => {
                assert_eq!(
                    (answer.id().as_str(), &answer.json()["object"]),
                    (id, &json!("account"))
                );
            }
            Err(status) => {
                assert_eq!(
                    (answer.status, error),
                    (status, json!("invalid_request_error")),
                    "{key}"
                );
            }
        }
    }
    // Such a key may do everything else.
    assert_eq!(create(&sandbox, &[]).auth("rk_test_noaccount1").send().await.status, 200);
}

#[tokio::test]
async fn a_restricted_key_may_lack_a_permission() {
    let sandbox = Sandbox::start().await.unwrap();
    let id = create(&sandbox, &[]).send().await.id();
    let one = format!("/v1/customers/{id}");
    let hook = [("url", "http://127.0.0.1:1/"), ("enabled_events[]", "*")];
    // A request, the word that forbids it, and the permission that is missed.
    let requests = [
        (create(&sandbox, &[]), "nocustomerwrite", "rak_customer_write"),
        (post(&sandbox, &one, &[]), "nocustomerwrite", "rak_customer_write"),
        (get(&sandbox, &one), "nocustomerread", "rak_customer_read"),
        (get(&sandbox, "/v1/customers"), "nocustomerread", "rak_customer_read"),
        (
            get(&sandbox, "/v1/customers/search?query=name:'x'"),
            "nocustomerread",
            "rak_customer_read",
        ),
        (get(&sandbox, "/v1/events"), "noevents", "rak_event_read"),
        (get(&sandbox, "/v1/webhook_endpoints"), "nowebhooks", "rak_webhook_read"),
        (post(&sandbox, "/v1/webhook_endpoints", &hook), "nowebhooks", "rak_webhook_write"),
        (get(&sandbox, "/v1/account"), "noaccount", "rak_accounts_kyc_basic_read"),
        (delete(&sandbox, &one), "nocustomerwrite", "rak_customer_write"),
    ];
    for (request, word, permission) in requests {
        for key in [format!("rk_test_{word}1"), format!("rk_test_acct_sandbox_{word}_1")] {
            let answer = request.clone().auth(&key).send().await;
            let message = answer.json()["error"]["message"].clone();
            assert_eq!(answer.status, 403, "{key}: {}", answer.body);
            assert!(message.as_str().unwrap().contains(&format!("'{permission}'")), "{message}");
        }
        for key in ["rk_test_nothing".to_owned(), format!("sk_test_{word}")] {
            assert_eq!(request.clone().auth(&key).send().await.status, 200, "{key} {permission}");
            // A request that can succeed only once is not repeated.
            if permission == "rak_customer_write" {
                break;
            }
        }
    }
}

#[tokio::test]
async fn keys_come_as_bearer_or_as_basic_user() {
    let sandbox = Sandbox::start().await.unwrap();
    // "sk_live_1:" and "sk_live_1", in base64.
    for header in
        ["Bearer sk_live_1", "bearer  sk_live_1", "Basic c2tfbGl2ZV8xOg==", "Basic c2tfbGl2ZV8x"]
    {
        let request = request(&sandbox.url(), "POST", "/v1/customers");
        let answer = request.header("Authorization", header).send().await;
        assert_eq!((answer.status, &answer.json()["livemode"]), (200, &json!(true)), "{header}");
    }
}

#[tokio::test]
async fn answers_carry_their_request_id_and_version() {
    let sandbox = Sandbox::start().await.unwrap();
    let cases = [
        (get(&sandbox, "/v1/customers"), "2026-10-28.endive"),
        (get(&sandbox, "/v1/nothing"), "2026-10-28.endive"),
        (get(&sandbox, "/v1/customers").header("Stripe-Version", "2020-08-27"), "2020-08-27"),
        (
            post(&sandbox, "/v1/customers", &[]).header("Stripe-Version", "2025-01-01.x"),
            "2025-01-01.x",
        ),
    ];
    let mut seen = std::collections::HashSet::new();
    for (request, version) in cases {
        let answer = request.send().await;
        assert_eq!(answer.header("stripe-version"), Some(version));
        let id = answer.header("request-id").unwrap();
        assert!(id.len() == 18 && id.starts_with("req_"), "{id}");
        assert!(seen.insert(id.to_owned()));
    }
    let bad = get(&sandbox, "/v1/customers").header("Stripe-Version", "latest").send().await;
    assert_eq!(bad.json()["error"]["message"], "Invalid Stripe API version: latest");
}

#[tokio::test]
async fn a_seed_decides_the_ids() {
    let start = |seed| Sandbox::start_with(stripe_sandbox::Config { seed, ..Default::default() });
    let mut ids = Vec::new();
    for seed in [1, 1, 2] {
        let sandbox = start(seed).await.unwrap();
        create(&sandbox, &[]).send().await;
        ids.push(create(&sandbox, &[]).send().await.id());
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
    let (one, two) = (Sandbox::start().await.unwrap(), Sandbox::start().await.unwrap());
    assert_ne!(create(&one, &[]).send().await.id(), create(&two, &[]).send().await.id());
}
