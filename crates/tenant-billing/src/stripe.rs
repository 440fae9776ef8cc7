//! Stripe over HTTP: one call, one request, one [`Answer`].
//!
//! What decides whether a creation is sent again is status, headers and raw bytes, and the protocol
//! above decides it. So nothing here retries, follows a redirect, or parses a body: an HTML 502, a 200
//! that is no JSON and a connection that breaks in the middle all reach [`judge`] as what they were.
//! Whatever is not a whole response is [`Answer::NoAnswer`], with words that name nobody.
//!
//! Three promises are kept below the port:
//!
//! - **A creation leaves in time or not at all.** Its body looks at the clock when the connection asks
//!   for it, after every queue, name lookup and handshake (`stripe/body.rs`).
//! - **One request a call.** The one repetition below us is harmless: hyper-util takes another
//!   connection where a pooled one was found closed *before the request was handed to its writer*: not
//!   a byte of it has left, and the clock is asked again. Once a byte may have left, the failure comes
//!   back. The body of a creation is a stream that cannot be cloned, so no layer could send it twice if
//!   it wanted to.
//! - **Nobody is named in a log.** At any level, reqwest (through `log`) and hyper-util (through
//!   `tracing`) tell hosts, addresses and why connections ended, and never a path, query, header or
//!   body; `connection_verbose`, which we leave off, would. The logging of hyper and rustls is behind
//!   features that nothing here turns on. A test listens to both.
//!
//! The client keeps connections on the tokio runtime that first used them: make one for each runtime.
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
    ids::{AccountId, CustomerId, Invalid, Mode},
    ports::{Clock, Stripe},
    request::{FrozenRequest, STRIPE_VERSION},
};

pub use self::key::SecretKey;
use self::{body::TimedBody, http::Http};

const STRIPE: &str = "https://api.stripe.com";
const CLIENT: &str = concat!("tenant-billing/", env!("CARGO_PKG_VERSION"));

/// From the first name lookup to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Stripe's own page limit, as it stands in a query.
const PAGE: (&str, &str) = ("limit", "100");

/// Stripe's API through one secret key. Cloning is cheap, and clones share their connections.
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
    /// A client of `https://api.stripe.com`. Costs nothing: what HTTP and TLS need is made ready by
    /// the first request.
    pub fn new(key: SecretKey, clock: Arc<dyn Clock>) -> Self {
        Self {
            key: Arc::new(key),
            clock,
            base: Url::parse(STRIPE).expect("a constant that is a URL"),
            account: None,
            http: Http::default(),
            timeout: TIMEOUT,
        }
    }

    /// Another address than Stripe's own, such as a sandbox's. A path on it is kept as a prefix.
    ///
    /// # Errors
    /// [`Invalid`] for field `STRIPE_API_BASE` unless it is an `http` or `https` URL with a host, and
    /// without user, password, query and fragment; and for a live key unless it is `https` or this
    /// machine.
    pub fn with_base(mut self, url: &str) -> Result<Self, Invalid> {
        self.base = http::base(url, self.key.mode())?;
        self.http.forget();
        Ok(self)
    }

    /// Acts for a connected account, named in `Stripe-Account` on every request but a creation, which
    /// has its own.
    #[must_use]
    pub fn with_account(mut self, account: AccountId) -> Self {
        self.account = Some(account);
        self
    }

    /// Sends through a client of the host's own, with its proxies, trust roots and pool.
    ///
    /// It must not follow redirects (`redirect(Policy::none())`): a redirected creation turns into a
    /// GET, whose answer would be taken for the creation's. It must not retry (`retry(never())`), add
    /// an `Idempotency-Key` or other Stripe headers by default, or be `connection_verbose`, which
    /// writes the secret key and e-mail addresses to the log. Each request has a timeout of 30 s,
    /// whatever the client's own; a connect timeout is the host's to set.
    #[must_use]
    pub fn with_http(mut self, client: reqwest::Client) -> Self {
        self.http = Http::Host(client);
        self
    }

    /// `DELETE /v1/customers/{id}`. It is permanent, and cancels subscriptions at once. The protocol
    /// never deletes, so this is no part of the port.
    pub async fn delete_customer(&self, id: &CustomerId) -> Answer {
        let url = self.url(&["v1", "customers", id.as_str()], &[]);
        self.send(self.plain(Method::DELETE, url)).await
    }

    async fn get(&self, path: &[&str], query: &[(&str, Option<&str>)]) -> Answer {
        self.send(self.plain(Method::GET, self.url(path, query))).await
    }

    /// The base, one path segment each, and the parameters that have a value.
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

    fn plain(&self, method: Method, url: Url) -> Option<Request> {
        self.request(method, url, STRIPE_VERSION, self.account.as_ref())
    }

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

    /// `None` if a header cannot be written, which no text that was parsed or frozen can cause.
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
        headers.insert(USER_AGENT, HeaderValue::from_static(CLIENT));
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
            Err(why) => return Answer::NoAnswer(why),
        };
        match client.execute(request).await {
            Ok(response) => http::whole(response).await,
            Err(error) => Answer::NoAnswer(failure::of_request(&error)),
        }
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) -> Option<()> {
    headers.insert(name, HeaderValue::from_str(value).ok()?);
    Some(())
}

#[async_trait]
impl Stripe for StripeClient {
    fn mode(&self) -> Mode {
        self.key.mode()
    }

    fn stripe_account(&self) -> Option<&AccountId> {
        self.account.as_ref()
    }

    async fn account(&self) -> Answer {
        self.get(&["v1", "account"], &[]).await
    }

    async fn create_customer(&self, request: &FrozenRequest, begin_by: Duration) -> Answer {
        // The body asks again when it is its turn; this only spares a connection.
        if self.clock.uptime() > begin_by {
            return Answer::NoAnswer(body::WindowClosed.to_string());
        }
        self.send(self.creation(request, begin_by)).await
    }

    async fn retrieve_customer(&self, customer: &CustomerId) -> Answer {
        self.get(&["v1", "customers", customer.as_str()], &[]).await
    }

    async fn list_customers(&self, email: &str, after: Option<&CustomerId>) -> Answer {
        let query = [
            ("email", Some(email)),
            (PAGE.0, Some(PAGE.1)),
            ("starting_after", after.map(CustomerId::as_str)),
        ];
        self.get(&["v1", "customers"], &query).await
    }

    async fn search_customers(&self, query: &str, page: Option<&str>) -> Answer {
        let query = [("query", Some(query)), (PAGE.0, Some(PAGE.1)), ("page", page)];
        self.get(&["v1", "customers", "search"], &query).await
    }

    async fn list_created_events(&self, since: Timestamp, after: Option<&str>) -> Answer {
        let since = floor(since).to_string();
        let query = [
            ("type", Some("customer.created")),
            ("created[gte]", Some(&*since)),
            (PAGE.0, Some(PAGE.1)),
            ("starting_after", after),
        ];
        self.get(&["v1", "events"], &query).await
    }
}

/// Whole seconds since 1970, rounded towards the past, so that no event of that second is missed.
fn floor(time: Timestamp) -> i64 {
    // `as_second` rounds towards 1970, which before 1970 is towards the future.
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
    use crate::SystemClock;

    /// Accepts a connection (the kernel does), reads nothing and says nothing.
    #[tokio::test]
    async fn a_silent_server_times_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = SecretKey::parse("sk_test_1").unwrap();
        let mut client = StripeClient::new(key, SystemClock::shared()).with_base(&url).unwrap();
        client.timeout = Duration::from_millis(50);
        let Answer::NoAnswer(why) = client.account().await else {
            panic!("nobody answered");
        };
        assert_eq!(why, "timed out");
    }

    #[test]
    fn event_times_round_towards_the_past() {
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
