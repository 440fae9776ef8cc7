//! Refusals, by their exact bodies.

use serde_json::{Value, json};
use stripe_sandbox::Sandbox;

use crate::client::{create, delete, get, post, request};

#[tokio::test]
async fn each_refusal_has_stripes_own_body() {
    let sandbox = Sandbox::start().await.unwrap();
    let docs = |code: &str| format!("https://stripe.com/docs/error-codes/{code}");
    let none = request(&sandbox.url(), "GET", "/v1/customers");
    let cases = [
        (
            create(&sandbox, &[("email", "a@com")]),
            400,
            json!({"code": "email_invalid", "doc_url": docs("email-invalid"), "param": "email",
                "message": "Invalid email address: a@com"}),
        ),
        (
            create(&sandbox, &[("colour", "red"), ("email", "x")]),
            400,
            json!({"code": "parameter_unknown", "doc_url": docs("parameter-unknown"),
                "param": "colour", "message": "Received unknown parameter: colour"}),
        ),
        (
            create(&sandbox, &[("colour", "red"), ("size", "9")]),
            400,
            json!({"code": "parameter_unknown", "doc_url": docs("parameter-unknown"),
                "param": "colour", "message": "Received unknown parameters: colour, size"}),
        ),
        (
            get(&sandbox, "/v1/customers/cus_x"),
            404,
            json!({"code": "resource_missing", "doc_url": docs("resource-missing"), "param": "id",
                "message": "No such customer: 'cus_x'"}),
        ),
        (
            delete(&sandbox, "/v1/customers/cus_x"),
            404,
            json!({"code": "resource_missing", "doc_url": docs("resource-missing"), "param": "id",
                "message": "No such customer: 'cus_x'"}),
        ),
        (
            get(&sandbox, "/v1/customers").query(&[("starting_after", "cus_x")]),
            400,
            json!({"code": "resource_missing", "doc_url": docs("resource-missing"),
                "param": "starting_after", "message": "No such customer: 'cus_x'"}),
        ),
        (
            get(&sandbox, "/v1/events/evt_x"),
            404,
            json!({"code": "resource_missing", "doc_url": docs("resource-missing"), "param": "id",
                "message": "No such event: 'evt_x'"}),
        ),
        (
            get(&sandbox, "/v1/customers").query(&[("limit", "ten")]),
            400,
            json!({"code": "parameter_invalid_integer", "doc_url": docs("parameter-invalid-integer"),
                "param": "limit", "message": "Invalid integer: ten"}),
        ),
        (
            get(&sandbox, "/v1/customers").query(&[("limit", "101")]),
            400,
            json!({"code": "parameter_invalid_integer", "doc_url": docs("parameter-invalid-integer"),
                "param": "limit",
                "message": "This value must be less than or equal to 100 (it currently is '101')."}),
        ),
        (
            get(&sandbox, "/v1/events").query(&[("created[gte]", "soon")]),
            400,
            json!({"code": "parameter_invalid_integer", "doc_url": docs("parameter-invalid-integer"),
                "param": "created[gte]", "message": "Invalid integer: soon"}),
        ),
        (
            get(&sandbox, "/v1/x"),
            404,
            json!({"message": "Unrecognized request URL (GET: /v1/x). If you are trying to list \
                objects, remove the trailing slash. If you are trying to retrieve an object, make \
                sure you passed a valid (non-empty) identifier in your code. Please see \
                https://stripe.com/docs or we can help at https://support.stripe.com/."}),
        ),
        (
            none,
            401,
            json!({"message": "You did not provide an API key. You need to provide your API key in \
                the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer \
                YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or \
                we can help at https://support.stripe.com/."}),
        ),
        (
            get(&sandbox, "/v1/customers").auth("sk_test_invalid1234"),
            401,
            json!({"message": "Invalid API Key provided: sk_test_*******1234"}),
        ),
        (
            get(&sandbox, "/v1/customers").auth("pk_test_12345678"),
            401,
            json!({"message": "Invalid API Key provided: ************5678"}),
        ),
        (
            get(&sandbox, "/v1/account").auth("rk_test_noaccount12"),
            403,
            json!({"message": "The provided key 'rk_test_*******nt12' does not have the required \
                permissions for this endpoint on account 'acct_sandbox'. Having the \
                'rak_accounts_kyc_basic_read' permission would allow this request to continue."}),
        ),
        (
            create(&sandbox, &[]).header("Content-Type", "application/json").body("{}"),
            400,
            json!({"message": "Invalid request (check that your POST content type is \
                application/x-www-form-urlencoded). If you have any questions, we can help at \
                https://support.stripe.com/."}),
        ),
    ];
    for (request, status, mut error) in cases {
        error["type"] = "invalid_request_error".into();
        let answer = request.send().await;
        assert_eq!((answer.status, answer.json()), (status, json!({"error": error})));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert!(sandbox.customers().is_empty());
}

#[tokio::test]
async fn an_email_address_is_judged_as_stripe_judges_it() {
    let sandbox = Sandbox::start().await.unwrap();
    let long = |length: usize| format!("{}@example.com", "a".repeat(length - "@example.com".len()));
    let cases = [
        ("anna@example.com".to_owned(), true),
        ("ANNA.b+c_d'e@ex-ample.co.uk".to_owned(), true),
        ("jürgen@müller.example".to_owned(), true),
        (long(512), true),
        (long(513), false),
        ("anna".to_owned(), false),
        ("a@com".to_owned(), false),
        ("a@example.".to_owned(), false),
        ("a@.com".to_owned(), false),
        ("@example.com".to_owned(), false),
        ("a@b@example.com".to_owned(), false),
        (" anna@example.com".to_owned(), false),
        ("anna@example.com ".to_owned(), false),
        ("an na@example.com".to_owned(), false),
        ("anna\u{a0}@example.com".to_owned(), false),
        ("anna＠example.com".to_owned(), false),
    ];
    for (email, good) in cases {
        let answer = create(&sandbox, &[("email", &email)]).send().await;
        let error = &answer.json()["error"];
        if good {
            assert_eq!((answer.status, &answer.json()["email"]), (200, &json!(email)));
        } else {
            assert_eq!(
                (answer.status, &error["code"]),
                (400, &json!("email_invalid")),
                "{email:?}"
            );
            assert_eq!(error["param"], "email");
        }
    }
    // An empty key counts as no key.
    assert_eq!(create(&sandbox, &[("email", "")]).send().await.json()["email"], Value::Null);
}

#[tokio::test]
async fn metadata_has_stripes_limits() {
    let sandbox = Sandbox::start().await.unwrap();
    let keys: Vec<String> = (0..51).map(|n| format!("metadata[k{n}]")).collect();
    let many = |count: usize| keys[..count].iter().map(|k| (k.as_str(), "v")).collect::<Vec<_>>();
    let (k40, k41) =
        (format!("metadata[{}]", "ä".repeat(40)), format!("metadata[{}]", "k".repeat(41)));
    let (v500, v501) = ("ä".repeat(500), "v".repeat(501));
    let cases = [
        (many(50), None),
        (many(51), Some("metadata")),
        (vec![(k40.as_str(), "v")], None),
        (vec![(k41.as_str(), "v")], Some(k41.as_str())),
        (vec![("metadata[k]", v500.as_str())], None),
        (vec![("metadata[k]", v501.as_str())], Some("metadata[k]")),
        (vec![("metadata[a[b]]", "v")], Some("metadata[a[b]]")),
        (vec![("metadata[a][b]", "v")], Some("metadata[a][b]")),
        (vec![("metadata[]", "v")], Some("metadata[]")),
        (vec![("metadata", "v")], Some("metadata")),
        (vec![("metadata", "")], None),
        (vec![("name", v500.as_str())], Some("name")),
    ];
    for (fields, param) in cases {
        let answer = create(&sandbox, &fields).send().await;
        let expected = if param.is_some() { 400 } else { 200 };
        assert_eq!(answer.status, expected, "{fields:?}: {}", answer.body);
        assert_eq!(answer.json()["error"]["param"].as_str(), param);
    }
}

#[tokio::test]
async fn a_method_that_an_endpoint_lacks_is_an_unrecognized_url() {
    let sandbox = Sandbox::start().await.unwrap();
    for request in [
        post(&sandbox, "/v1/events", &[]),
        delete(&sandbox, "/v1/customers"),
        get(&sandbox, "/v1/customers/"),
        get(&sandbox, "/v2/customers"),
        request(&sandbox.url(), "GET", "/"),
    ] {
        let answer = request.send().await;
        assert_eq!(answer.status, 404);
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("Unrecognized request URL ("), "{message}");
    }
}
