//! `examples/axum.rs`, run as it is, and spoken to over HTTP.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use stripe_sandbox::{Fault, Rule, Sandbox};
use tenant_billing::{
    SecretKey, StripeClient, SystemClock,
    deadpool_postgres::{Config, Runtime},
    tokio_postgres::NoTls,
    webhook::WebhookSecret,
};
use tokio::net::TcpListener;

use super::server::Database;

const WEBHOOK_SECRET: &str = "whsec_embedding";

#[allow(dead_code, reason = "its `main` is for those who run it by itself")]
#[path = "../../../examples/axum.rs"]
mod example;

#[tokio::test(flavor = "multi_thread")]
async fn a_small_saas_embeds_it() {
    let database = Database::fresh().await;
    let sandbox = Sandbox::start().await.unwrap();
    let config = Config { url: Some(database.url()), ..Config::default() };
    let pool = config.create_pool(Some(Runtime::Tokio1), NoTls).unwrap();
    let stripe = StripeClient::new(SecretKey::parse("sk_test_1").unwrap());
    let stripe = stripe.with_base(&sandbox.url()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let secrets = [WebhookSecret::parse(WEBHOOK_SECRET).unwrap()].into_iter().collect();
    tokio::spawn(async move { example::serve(listener, pool, stripe, secrets).await.unwrap() });

    let http = reqwest_client();
    let sign_up = async |email: &str| -> Value {
        let body = json!({ "email": email }).to_string();
        let request = http.post(format!("{base}/tenants")).body(body);
        let answer = request.header("Content-Type", "application/json").send().await.unwrap();
        assert_eq!(answer.status(), 201);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    let customer = async |tenant: &Value| -> Value {
        let tenant = tenant["tenant_id"].as_str().unwrap();
        let url = format!("{base}/tenants/{tenant}/customer");
        let answer = http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    let first = sign_up("a@example.com").await;
    assert_eq!(customer(&first).await, first);

    // Stripe is away when the second one signs up. The sign-up stands, and the next call goes on.
    sandbox.arm(Rule::new(Fault::RequestLost).method("POST").always());
    let second = sign_up("b@example.com").await;
    assert_eq!(second["stripe_customer_id"], Value::Null);
    sandbox.disarm();
    let found = customer(&second).await;
    let live = sandbox.customers();
    assert_eq!(live.len(), 2);
    assert!(live.iter().any(|it| found["stripe_customer_id"] == *it.id));
    // A signed webhook is taken in, and one without its signature is not.
    let deleted = found["stripe_customer_id"].as_str().unwrap();
    assert!(sandbox.delete_customer(deleted));
    let event = json!({"id": "evt_1", "object": "event", "type": "customer.deleted",
                       "data": {"object": {"id": deleted, "object": "customer"}}});
    let event = event.to_string();
    for (signature, status) in [("t=1,v1=00".to_owned(), 400), (sign(&event), 200)] {
        let request = http.post(format!("{base}/stripe/webhook")).body(event.clone());
        let answer = request.header("Stripe-Signature", signature).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }
    assert_ne!(customer(&second).await, found, "another one, since that is deleted");
    let url = format!("{base}/tenants/{}/billing-history", second["tenant_id"].as_str().unwrap());
    let answer = http.get(url).send().await.unwrap();
    let history: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let events = history["events"].as_array().unwrap();
    assert!(events.iter().any(|it| it["event"]["kind"] == "cleared"), "{history}");
    let nobody = format!("{base}/tenants/00000000-0000-4000-8000-000000000000/customer");
    assert_eq!(http.get(nobody).send().await.unwrap().status(), 404);
}

/// The signature that Stripe would make now.
fn sign(body: &str) -> String {
    let time = SystemClock::shared().now().as_second();
    let mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap();
    let mac = mac.chain_update(format!("{time}.{body}")).finalize().into_bytes();
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={hex}")
}

fn reqwest_client() -> reqwest::Client {
    let roots = rustls::RootCertStore::empty();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::Client::builder().use_preconfigured_tls(tls);
    client.timeout(Duration::from_secs(30)).build().unwrap()
}
