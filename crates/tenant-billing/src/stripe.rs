//! Stripe over HTTP: each call is one request and returns its [`Answer`].
//!
//! The protocol decides from status, headers and raw body whether a creation is sent again. So
//! nothing here retries, follows a redirect or parses a body. An HTML 502, a 200 that is not JSON
//! and a connection that breaks in the middle all reach [`judge`] unchanged. Everything but a whole
//! response is [`Answer::NoAnswer`], or [`Answer::Untrusted`] if the server's certificate was not
//! accepted, so that nothing was sent; each has a reason without personal data.
//!
//! This client keeps three promises:
//!
//! - **A creation is sent in time or not at all.** Its body checks the clock when the connection
//!   asks for it, after every queue, name lookup and handshake (`stripe/body.rs`).
//! - **Each call sends one request.** There is one repetition below us, and it is harmless: if a
//!   pooled connection turns out to be closed *before the request was handed to its writer*,
//!   hyper-util takes another connection. No byte of the request has left by then, and the clock is
//!   checked again. Once a byte may have left, the failure is returned. The body of a creation is a
//!   stream that cannot be cloned, so no layer below could send it twice.
//! - **No personal data is logged.** At any level, reqwest (through `log`) and hyper-util (through
//!   `tracing`) log hosts, addresses and why connections ended, and never a path, query, header or
//!   body. `connection_verbose` would, and is off. The logging of hyper and rustls needs features
//!   that nothing here turns on. A test listens to both.
//!
//! The client keeps connections on the tokio runtime that first used them, so create one for each
//! runtime.
//!
//! [`judge`]: tenant_billing_core::answer::judge

mod body;
mod failure;
mod http;
mod key;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::{
    Method, Request, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT},
};
use tenant_billing_core::{
    answer::Answer,
    ids::{AccountId, CustomerId, InstallationId, Invalid, Mode},
    ports::{Clock, Stripe},
    request::{FrozenRequest, STRIPE_VERSION},
};

pub use self::key::SecretKey;
use self::{body::TimedBody, http::Http};
use crate::system::SystemClock;

const STRIPE_URL: &str = "https://api.stripe.com";
const USER_AGENT_TEXT: &str = concat!("tenant-billing/", env!("CARGO_PKG_VERSION"));

/// How long a request may take, from the name lookup to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The query parameter for the largest page that Stripe allows.
const PAGE_LIMIT: (&str, &str) = ("limit", "100");

/// A client of Stripe's API with one secret key. Cloning is cheap, and clones share their
/// connections.
#[derive(Clone)]
pub struct StripeClient {
    key: Arc<SecretKey>,
    clock: Arc<dyn Clock>,
    base: Url,
    account: Option<AccountId>,
    http: Http,
    timeout: Duration,
}

impl StripeClient {
    /// A client of `https://api.stripe.com`. Creating it is cheap: the first request sets up HTTP
    /// and TLS.
    pub fn new(key: SecretKey) -> Self {
        Self {
            key: Arc::new(key),
            clock: SystemClock::shared(),
            base: Url::parse(STRIPE_URL).expect("a constant that is a URL"),
            account: None,
            http: Http::default(),
            timeout: TIMEOUT,
        }
    }

    /// Uses this clock instead of the system's, for tests.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Uses this base URL instead of Stripe's own, such as a sandbox's. If it has a path, every
    /// request's path begins with it.
    ///
    /// # Errors
    /// [`Invalid`] for field `base_url` unless it is an `http` or `https` URL with a host, and
    /// without user, password, query and fragment. With a live key, it must also be `https` or lead
    /// to this machine.
    pub fn with_base(mut self, url: &str) -> Result<Self, Invalid> {
        self.base = http::parse_base(url, self.key.mode())?;
        self.http.reset();
        Ok(self)
    }

    /// Acts for a connected account: every request names it in `Stripe-Account`. (A creation names
    /// the account that was frozen with its request.)
    #[must_use]
    pub fn with_account(mut self, account: AccountId) -> Self {
        self.account = Some(account);
        self
    }

    /// Sends requests through a client of the host's own, with its proxies, trust roots and pool.
    ///
    /// That client must not follow redirects (`redirect(Policy::none())`): a redirected creation
    /// turns into a GET, and we would take its answer for the creation's. It must not retry
    /// (`retry(never())`), nor add an `Idempotency-Key` or other Stripe headers by default, nor be
    /// `connection_verbose`, which logs the secret key and e-mail addresses. Each request has a
    /// timeout of 30 s, whatever the client's own timeout is. The host sets the connect timeout.
    #[must_use]
    pub fn with_http(mut self, client: reqwest::Client) -> Self {
        self.http = Http::Host(client);
        self
    }

    /// `DELETE /v1/customers/{id}`. The deletion is permanent and cancels the Customer's
    /// subscriptions at once. The protocol never deletes a Customer, so the port has no such
    /// method.
    pub async fn delete_customer(&self, id: &CustomerId) -> Answer {
        let url = self.url(&["v1", "customers", id.as_str()], &[]);
        self.send(self.protocol_request(Method::DELETE, url)).await
    }

    async fn get(&self, path: &[&str], query: &[(&str, Option<&str>)]) -> Answer {
        self.send(self.protocol_request(Method::GET, self.url(path, query))).await
    }

    /// The base URL with these path segments, and with those parameters that have a value.
    fn url(&self, path: &[&str], query: &[(&str, Option<&str>)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        url
    }

    /// A request with our Stripe version and account.
    fn protocol_request(&self, method: Method, url: Url) -> Option<Request> {
        self.request(method, url, STRIPE_VERSION, self.account.as_ref())
    }

    /// A creation, exactly as frozen.
    fn creation(&self, frozen: &FrozenRequest, begin_by: Duration) -> Option<Request> {
        let mut request = self.request(
            Method::POST,
            self.url(&["v1", "customers"], &[]),
            &frozen.stripe_version,
            frozen.stripe_account.as_ref(),
        )?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        insert(request.headers_mut(), "idempotency-key", frozen.key.as_str())?;
        let body = TimedBody::new(frozen.body.clone(), begin_by, Arc::clone(&self.clock));
        *request.body_mut() = Some(reqwest::Body::wrap(body));
        Some(request)
    }

    /// A request with the headers that all requests have. It is `None` if a header cannot be
    /// written, which cannot happen with a text that was parsed or frozen.
    fn request(
        &self,
        method: Method,
        url: Url,
        version: &str,
        account: Option<&AccountId>,
    ) -> Option<Request> {
        let mut request = Request::new(method, url);
        *request.timeout_mut() = Some(self.timeout);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.key.bearer()?);
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
        insert(headers, "stripe-version", version)?;
        if let Some(account) = account {
            insert(headers, "stripe-account", account.as_str())?;
        }
        Some(request)
    }

    async fn send(&self, request: Option<Request>) -> Answer {
        let Some(request) = request else {
            return Answer::NoAnswer("the request cannot be written as HTTP".into());
        };
        let client = match self.http.client(&self.base).await {
            Ok(client) => client,
            Err(answer) => return answer,
        };
        match client.execute(request).await {
            Ok(response) => http::read_whole(response).await,
            Err(error) => failure::of_request(&error),
        }
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) -> Option<()> {
    headers.insert(name, HeaderValue::from_str(value).ok()?);
    Some(())
}

#[async_trait]
impl Stripe for StripeClient {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    fn mode(&self) -> Mode {
        self.key.mode()
    }

    fn stripe_account(&self) -> Option<&AccountId> {
        self.account.as_ref()
    }

    fn fingerprint(&self, installation: &InstallationId) -> Option<String> {
        let account = self.account.as_ref().map_or("", AccountId::as_str);
        Some(self.key.fingerprint(installation, &[self.base.as_str(), account]))
    }

    async fn account(&self) -> Answer {
        self.get(&["v1", "account"], &[]).await
    }

    async fn create_customer(&self, request: &FrozenRequest, begin_by: Duration) -> Answer {
        // The body checks again when it is sent. This check only avoids opening a connection.
        if self.clock.uptime() > begin_by {
            return Answer::NoAnswer(body::TooLate.to_string());
        }
        self.send(self.creation(request, begin_by)).await
    }

    async fn retrieve_customer(&self, customer: &CustomerId) -> Answer {
        self.get(&["v1", "customers", customer.as_str()], &[]).await
    }

    async fn list_customers(&self, email: &str, after: Option<&CustomerId>) -> Answer {
        let query = [
            ("email", Some(email)),
            (PAGE_LIMIT.0, Some(PAGE_LIMIT.1)),
            ("starting_after", after.map(CustomerId::as_str)),
        ];
        self.get(&["v1", "customers"], &query).await
    }

    async fn search_customers(&self, query: &str, page: Option<&str>) -> Answer {
        let query = [("query", Some(query)), (PAGE_LIMIT.0, Some(PAGE_LIMIT.1)), ("page", page)];
        self.get(&["v1", "customers", "search"], &query).await
    }

    async fn list_created_events(&self, since: Timestamp, after: Option<&str>) -> Answer {
        let since = floor(since).to_string();
        let query = [
            ("type", Some("customer.created")),
            ("created[gte]", Some(&*since)),
            (PAGE_LIMIT.0, Some(PAGE_LIMIT.1)),
            ("starting_after", after),
        ];
        self.get(&["v1", "events"], &query).await
    }
}

/// Whole seconds since 1970, rounded down, so that no event of that second is missed.
fn floor(time: Timestamp) -> i64 {
    // `as_second` rounds towards 1970, so a time before 1970 would be rounded up.
    time.as_second() - i64::from(time.subsec_nanosecond() < 0)
}

impl fmt::Debug for StripeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeClient")
            .field("base", &self.base.as_str())
            .field("key", &self.key)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The kernel accepts the connection, and nobody reads from it or answers.
    #[tokio::test]
    async fn a_silent_server_times_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = SecretKey::parse("sk_test_1").unwrap();
        let mut client = StripeClient::new(key).with_base(&url).unwrap();
        client.timeout = Duration::from_millis(50);
        let Answer::NoAnswer(why) = client.account().await else {
            panic!("nobody answered");
        };
        assert_eq!(why, "timed out");
    }

    #[test]
    fn event_times_are_rounded_down() {
        for (nanoseconds, expected) in [
            (1_700_000_000_000_000_000, 1_700_000_000),
            (1_700_000_000_999_999_999, 1_700_000_000),
            (0, 0),
            (-1, -1),
            (-1_000_000_000, -1),
        ] {
            let time = Timestamp::from_nanosecond(nanoseconds).unwrap();
            assert_eq!(floor(time), expected, "{nanoseconds}");
        }
    }
}
