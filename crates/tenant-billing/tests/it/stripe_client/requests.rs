//! What is sent: request line, headers and body of every endpoint.

use std::sync::Arc;

use jiff::Timestamp;
use tenant_billing::{
    SecretKey, StripeClient,
    ids::{AccountId, CustomerId},
    ports::Stripe,
};

use super::{
    BEGIN_BY, EMAIL, client, customer, frozen, response,
    wire::{Reply, Wire},
};

const ALWAYS: &str = "authorization: Bearer sk_test_wire4711
user-agent: tenant-billing/0.1.0
stripe-version: 2026-10-28.endive
";

/// One request, told as its line, its headers in their order, and its body.
fn told(wire: &Wire) -> String {
    let seen = wire.seen();
    assert_eq!(seen.requests.len(), 1, "{seen:?}");
    let host = wire.url.replacen("http://", "host: ", 1);
    let text = seen.requests[0].replace("\r\n", "\n");
    assert!(text.contains(&host), "{text}");
    text.replace(&format!("{host}\n"), "")
}

/// Calls once, and compares what arrived.
macro_rules! check {
    ($client:ident => $call:expr, $line:expr, $more_headers:expr, $body:expr) => {{
        let wire = Wire::new([Reply::json(r#"{"id":"x"}"#)]).await;
        let $client = client(&wire.url);
        assert_eq!(response($call.await), (200, r#"{"id":"x"}"#.into()));
        let expected =
            format!("{} HTTP/1.1\n{ALWAYS}{}accept: */*\n{}", $line, $more_headers, $body);
        assert_eq!(told(&wire), expected);
    }};
}

#[tokio::test]
async fn reads() {
    let cus = customer("cus_1");
    check!(c => c.account(), "GET /v1/account", "", "\n");
    check!(c => c.retrieve_customer(&cus), "GET /v1/customers/cus_1", "", "\n");
    check!(c => c.delete_customer(&cus), "DELETE /v1/customers/cus_1", "", "\n");
    check!(c => c.list_customers(EMAIL, None),
        "GET /v1/customers?email=ann%2B1%40example.com&limit=100", "", "\n");
    check!(c => c.list_customers("a b&c=ü@x.y", Some(&cus)),
        "GET /v1/customers?email=a+b%26c%3D%C3%BC%40x.y&limit=100&starting_after=cus_1", "", "\n");
    check!(c => c.search_customers("metadata['tenantId']:'t'", None),
        "GET /v1/customers/search?query=metadata%5B%27tenantId%27%5D%3A%27t%27&limit=100", "", "\n");
    check!(c => c.search_customers("q", Some("next/page=")),
        "GET /v1/customers/search?query=q&limit=100&page=next%2Fpage%3D", "", "\n");
    let since = Timestamp::from_millisecond(1_700_000_000_999).unwrap();
    check!(c => c.list_created_events(since, None),
        "GET /v1/events?type=customer.created&created%5Bgte%5D=1700000000&limit=100", "", "\n");
    check!(c => c.list_created_events(since, Some("evt_1")),
        "GET /v1/events?type=customer.created&created%5Bgte%5D=1700000000&limit=100&starting_after=evt_1",
        "", "\n");
}

#[tokio::test]
async fn a_creation_is_sent_as_it_was_frozen() {
    let key = "tenant-billing/installation-1/test/6f1c1a52-0d5f-4c6e-9a3e-5b7f0c9d2e11/0";
    let mut request = frozen();
    let headers =
        format!("content-type: application/x-www-form-urlencoded\nidempotency-key: {key}\n");
    let with_length = |body: &str| format!("content-length: {}\n\n{body}", body.len());
    let body = "email=ann%2B1%40example.com\
        &metadata%5BtenantId%5D=6f1c1a52-0d5f-4c6e-9a3e-5b7f0c9d2e11\
        &metadata%5BtenantBillingInstallation%5D=installation-1";
    check!(c => c.create_customer(&request, BEGIN_BY),
        "POST /v1/customers", headers, with_length(body));

    // Not a byte of it is this program's to choose: another version, another spelling, an account.
    request.stripe_version = "2019-01-01".into();
    request.stripe_account = Some(AccountId::parse("acct_frozen").unwrap());
    request.body = "email=a@b.c&x=%5b+é".into();
    let wire = Wire::new([Reply::json("{}")]).await;
    let client = client(&wire.url).with_account(AccountId::parse("acct_mine").unwrap());
    response(client.create_customer(&request, BEGIN_BY).await);
    let expected = format!(
        "POST /v1/customers HTTP/1.1\n\
         authorization: Bearer sk_test_wire4711\nuser-agent: tenant-billing/0.1.0\n\
         stripe-version: 2019-01-01\nstripe-account: acct_frozen\n{headers}accept: */*\n{}",
        with_length("email=a@b.c&x=%5b+é")
    );
    assert_eq!(told(&wire), expected);
}

#[tokio::test]
async fn a_declared_account_is_named_on_reads_only() {
    let wire = Wire::new([Reply::json("{}"), Reply::json("{}")]).await;
    let account = AccountId::parse("acct_mine").unwrap();
    let client = client(&wire.url).with_account(account.clone());
    assert_eq!(client.stripe_account(), Some(&account));
    response(client.account().await);
    response(client.create_customer(&frozen(), BEGIN_BY).await);
    let seen = wire.seen();
    assert!(seen.requests[0].contains("\r\nstripe-account: acct_mine\r\n"));
    assert!(!seen.requests[1].contains("stripe-account"), "{seen:?}");
    assert_eq!(seen.opened, 1, "the connection is kept");
}

#[tokio::test]
async fn ids_of_any_visible_ascii_stay_one_path_segment() {
    let all: String = (b'!'..=b'~').map(char::from).collect();
    for (id, expected) in [
        ("a/../b", "a%2F..%2Fb"),
        ("a?b#c", "a%3Fb%23c"),
        ("a%2Fb", "a%252Fb"),
        (
            &*format!("x{all}"),
            "x!%22%23$%25&'()*+,-.%2F0123456789:;%3C=%3E%3F@ABCDEFGHIJKLMNOPQRSTUVWXYZ[%5C]^_%60\
             abcdefghijklmnopqrstuvwxyz%7B|%7D~",
        ),
    ] {
        let wire = Wire::new([Reply::json("{}")]).await;
        let id = CustomerId::parse(id).unwrap();
        response(client(&wire.url).retrieve_customer(&id).await);
        let text = told(&wire);
        let path = text.split(' ').nth(1).unwrap();
        assert_eq!(path, format!("/v1/customers/{expected}"));
    }
}

#[tokio::test]
async fn a_base_may_have_a_prefix() {
    for (prefix, expected) in [("", ""), ("/", ""), ("/a/b", "/a/b"), ("/a/b/", "/a/b")] {
        let wire = Wire::new([Reply::json("{}")]).await;
        let client = client(&format!("{}{prefix}", wire.url));
        response(client.account().await);
        assert!(told(&wire).starts_with(&format!("GET {expected}/v1/account ")));
    }
}

#[test]
fn bases() {
    let new = || {
        let key = SecretKey::parse("rk_live_1").unwrap();
        StripeClient::new(key)
    };
    for good in ["https://api.stripe.com", "http://[::1]:12111/x/", "HTTP://localhost"] {
        assert!(new().with_base(good).is_ok(), "{good}");
    }
    let test = SecretKey::parse("sk_test_1").unwrap();
    let test = StripeClient::new(test);
    assert!(test.with_base("http://stripe-sandbox:12111").is_ok(), "as in a compose file");
    for (bad, reason) in [
        ("", "is not a URL of the form https://host"),
        ("api.stripe.com", "is not a URL of the form https://host"),
        ("http://", "is not a URL of the form https://host"),
        ("localhost:12111", "is neither http nor https"),
        ("ftp://host", "is neither http nor https"),
        ("file:///etc", "is neither http nor https"),
        ("https://user@host", "has a user or password in it"),
        ("https://:word@host", "has a user or password in it"),
        ("https://host/?a=b", "has a query or fragment"),
        ("https://host/#a", "has a query or fragment"),
        ("http://stripe.internal:12111", "would send a live key unencrypted over the network"),
    ] {
        let error = new().with_base(bad).unwrap_err();
        assert_eq!(error.field, "base_url");
        assert_eq!(error.reason, reason, "{bad}");
    }
}

/// With its own defaults, none of which may get past ours.
#[tokio::test]
async fn a_host_may_bring_its_client() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let host = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .user_agent("host/1")
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let wire = Wire::new([Reply::json("{}")]).await;
    let key = SecretKey::parse("sk_test_wire4711").unwrap();
    let client = StripeClient::new(key).with_http(host);
    let client = client.with_base(&wire.url).unwrap();
    response(client.account().await);
    let text = told(&wire);
    assert_eq!(text, format!("GET /v1/account HTTP/1.1\n{ALWAYS}accept: */*\n\n"));
}
