//! A request, read but not yet worked on.

use bytes::Bytes;

use super::API_VERSION;
use super::auth::Caller;
use super::customer::Expand;
use super::error::ApiError;
use super::route::Route;
use crate::arsenal::Target;
use crate::form::Form;
use crate::ids;
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

/// A request, read but not yet worked on.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) number: u64,
    /// Its `Request-Id`, which is its number in disguise.
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) route: Route,
    pub(crate) form: Form,
    pub(crate) caller: Result<Caller, ApiError>,
    /// The idempotency key; other methods than POST have none.
    pub(crate) key: Option<String>,
    /// The key as it was sent, for the log.
    pub(crate) sent_key: Option<String>,
    pub(crate) version: String,
    /// When it came, in sandbox time.
    pub(crate) came_ms: i64,
    is_form: bool,
    expand: Expand,
}

impl Request {
    pub(crate) fn read(world: &World, call: Call) -> Request {
        let sent_key = call.key.filter(|key| !key.is_empty());
        let json = call.content_type.is_some_and(|kind| kind.starts_with("application/json"));
        let is_form = !json || call.body.is_empty();
        let body: &[u8] = if is_form { &call.body } else { &[] };
        let form = Form::decode(call.query.as_bytes(), body);
        let number = world.requests.next();
        Request {
            number,
            id: ids::REQUEST.id(world.base, number),
            route: Route::of(&call.method, &call.path),
            expand: Expand::read(&form),
            form,
            caller: Caller::read(call.authorization.as_deref(), call.account.as_deref()),
            key: sent_key.clone().filter(|_| call.method == "POST"),
            sent_key,
            version: call.version.unwrap_or_else(|| API_VERSION.to_owned()),
            came_ms: world.clock.now_ms(),
            is_form,
            method: call.method,
            path: call.path,
        }
    }

    /// What faults look at.
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            method: &self.method,
            path: &self.path,
            tenant: self.form.get("metadata[tenantId]"),
            key: self.sent_key.as_deref(),
        }
    }

    /// What it wants to see beyond the usual.
    pub(crate) fn expand(&self) -> &Expand {
        &self.expand
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
        caller.may(&self.route)?;
        if !self.is_form {
            return Err(ApiError::content_type());
        }
        let length = self.key.as_ref().map_or(0, |key| key.chars().count());
        if length > 255 { Err(ApiError::long_key(length)) } else { Ok(caller) }
    }
}

/// A date, and since 2024 a name after it.
pub(super) fn is_version(version: &str) -> bool {
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
