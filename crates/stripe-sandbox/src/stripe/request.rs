//! A request, read but not yet worked on.

use bytes::Bytes;

use super::API_VERSION;
use super::auth::Caller;
use super::error::ApiError;
use super::params::{Params, inner};
use crate::arsenal::Target;
use crate::world::World;

/// What came over the wire, of all that the API looks at.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Bytes,
}

/// The endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    CreateCustomer,
    ListCustomers,
    SearchCustomers,
    RetrieveCustomer(String),
    DeleteCustomer(String),
    OwnAccount,
    Account(String),
    ListEvents,
    RetrieveEvent(String),
    Unknown,
}

impl Route {
    fn of(method: &str, path: &str) -> Route {
        let parts: Vec<&str> = path.strip_prefix("/v1/").unwrap_or_default().split('/').collect();
        match (method, parts.as_slice()) {
            ("POST", ["customers"]) => Route::CreateCustomer,
            ("GET", ["customers"]) => Route::ListCustomers,
            ("GET", ["customers", "search"]) => Route::SearchCustomers,
            ("GET", ["customers", id]) if !id.is_empty() => {
                Route::RetrieveCustomer((*id).to_owned())
            }
            ("DELETE", ["customers", id]) if !id.is_empty() => {
                Route::DeleteCustomer((*id).to_owned())
            }
            ("GET", ["account"]) => Route::OwnAccount,
            ("GET", ["accounts", id]) if !id.is_empty() => Route::Account((*id).to_owned()),
            ("GET", ["events"]) => Route::ListEvents,
            ("GET", ["events", id]) if !id.is_empty() => Route::RetrieveEvent((*id).to_owned()),
            _ => Route::Unknown,
        }
    }

    /// The endpoint's name in the counters.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Route::CreateCustomer => "POST /v1/customers",
            Route::ListCustomers => "GET /v1/customers",
            Route::SearchCustomers => "GET /v1/customers/search",
            Route::RetrieveCustomer(_) => "GET /v1/customers/{id}",
            Route::DeleteCustomer(_) => "DELETE /v1/customers/{id}",
            Route::OwnAccount => "GET /v1/account",
            Route::Account(_) => "GET /v1/accounts/{id}",
            Route::ListEvents => "GET /v1/events",
            Route::RetrieveEvent(_) => "GET /v1/events/{id}",
            Route::Unknown => "unrecognized",
        }
    }
}

/// A request, read but not yet worked on.
#[derive(Debug)]
pub(crate) struct Request {
    /// Its `Request-Id`.
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) route: Route,
    pub(crate) params: Params,
    pub(crate) caller: Result<Caller, ApiError>,
    /// The idempotency key; other methods than POST have none.
    pub(crate) key: Option<String>,
    /// The key as it was sent, for the log.
    pub(crate) sent_key: Option<String>,
    pub(crate) version: String,
    pub(crate) form: bool,
}

impl Request {
    pub(crate) fn read(world: &World, call: Call) -> Request {
        let sent_key = call.key.filter(|key| !key.is_empty());
        let json = call.content_type.is_some_and(|kind| kind.starts_with("application/json"));
        let form = !json || call.body.is_empty();
        let body = if form { Params::decode(&call.body) } else { Params::default() };
        Request {
            id: world.ids.mint("req_", 14),
            route: Route::of(&call.method, &call.path),
            params: Params::decode(call.query.as_bytes()).and(body),
            caller: Caller::read(call.authorization.as_deref(), call.account.as_deref()),
            key: sent_key.clone().filter(|_| call.method == "POST"),
            sent_key,
            version: call.version.unwrap_or_else(|| API_VERSION.to_owned()),
            form,
            method: call.method,
            path: call.path,
        }
    }

    /// What faults look at.
    pub(crate) fn target(&self) -> Target<'_> {
        let tenant =
            self.params.iter().find(|(name, _)| inner(name, "metadata") == Some("tenantId"));
        Target {
            method: &self.method,
            path: &self.path,
            tenant: tenant.map(|(_, tenant)| tenant),
            key: self.sent_key.as_deref(),
        }
    }

    /// Checks what comes before any endpoint's own business, and says who is calling.
    pub(crate) fn admit(&self) -> Result<&Caller, ApiError> {
        if self.route == Route::Unknown && self.caller.is_err() {
            return Err(ApiError::unrecognized(&self.method, &self.path));
        }
        let caller = self.caller.as_ref().map_err(Clone::clone)?;
        if !is_version(&self.version) {
            return Err(ApiError::version(&self.version));
        }
        if !self.form {
            return Err(ApiError::content_type());
        }
        let length = self.key.as_ref().map_or(0, |key| key.chars().count());
        if length > 255 { Err(ApiError::long_key(length)) } else { Ok(caller) }
    }
}

/// A date, and since 2024 a name after it.
fn is_version(version: &str) -> bool {
    let (date, name) = version.split_once('.').unwrap_or((version, "named"));
    let shape = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    date.len() == 10
        && date.bytes().enumerate().all(shape)
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
