//! The Stripe client of the two other programs. It behaves as Stripe's own library for Node does
//! with its defaults.
//!
//! It retries a lost connection, a 409 and a 5xx twice, unless Stripe says otherwise, after half a
//! second or more, with jitter. If the program gives no idempotency key, each call gets a random
//! one, so that the client's own retries are safe. In one point it does more than the original: it
//! retries when an answer is cut off, instead of failing because of bad JSON.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, StatusCode, redirect, retry};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde::Deserialize;
use tenant_billing::ports::Clock;
use tokio::sync::Semaphore;

use crate::{causes, failure::Failure};

const RETRIES: u32 = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The maximum number of open sockets.
const SOCKETS: usize = 64;
/// The default of Stripe's library.
const TIMEOUT: Duration = Duration::from_secs(80);

/// A client of Stripe.
pub(super) struct Sdk {
    http: Client,
    url: String,
    sockets: Semaphore,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Customer {
    id: String,
}

/// The result of one request.
enum Sent {
    Customer(String),
    Error { message: String, retry: bool },
}

impl Sdk {
    /// A client of the Stripe at this URL.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub(super) fn new(url: &str, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let failed = |why: String| Failure::new(causes::MACHINE, why);
        // The sandbox speaks no TLS, but the HTTP client needs a TLS configuration.
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let http = Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let (url, sockets) = (format!("{url}/v1/customers"), Semaphore::new(SOCKETS));
        Ok(Self { http, url, sockets, clock })
    }

    /// `stripe.customers.create({email, metadata: {tenantId}}, {idempotencyKey})`.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub(super) async fn create_customer(
        &self,
        tenant: &str,
        email: &str,
        idempotency_key: Option<&str>,
    ) -> Result<String, String> {
        let key = idempotency_key.map_or_else(|| self.random_key(), str::to_owned);
        let mut retries = 0;
        loop {
            match self.post(tenant, email, &key).await {
                Sent::Customer(id) => return Ok(id),
                Sent::Error { retry: true, .. } if retries < RETRIES => {
                    self.clock.sleep(self.pause(retries)).await;
                    retries += 1;
                }
                Sent::Error { message, .. } => return Err(message),
            }
        }
    }

    async fn post(&self, tenant: &str, email: &str, key: &str) -> Sent {
        let _socket = self.sockets.acquire().await;
        let form = [("email", email), ("metadata[tenantId]", tenant)];
        let body = reqwest::Url::parse_with_params("form:", form);
        let body = body.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default();
        let request = self
            .http
            .post(&self.url)
            .bearer_auth("sk_test_sandbox")
            .header("Idempotency-Key", key)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body);
        let no_answer = || Sent::Error { message: "no answer".to_owned(), retry: true };
        let Ok(response) = request.send().await else {
            return no_answer();
        };
        let status = response.status();
        let should_retry = response.headers().get("Stripe-Should-Retry").map(|it| it == "true");
        let Ok(body) = response.bytes().await else {
            return no_answer();
        };
        if status.is_success() {
            return match serde_json::from_slice::<Customer>(&body) {
                Ok(customer) => Sent::Customer(customer.id),
                Err(_) => no_answer(),
            };
        }
        let by_status = status == StatusCode::CONFLICT || status.is_server_error();
        Sent::Error { message: format!("HTTP {status}"), retry: should_retry.unwrap_or(by_status) }
    }

    /// The pause before a retry: half a second, doubled each time up to five seconds, minus up to
    /// half of it at random, but never less than half a second.
    fn pause(&self, retries: u32) -> Duration {
        let longest = (FIRST_PAUSE * 2u32.pow(retries)).min(LONGEST_PAUSE);
        let jitter = 1.0 - 0.5 * (self.clock.random() as f64 / u64::MAX as f64);
        longest.mul_f64(jitter).max(FIRST_PAUSE)
    }

    fn random_key(&self) -> String {
        format!("stripe-node-retry-{:016x}{:016x}", self.clock.random(), self.clock.random())
    }
}
