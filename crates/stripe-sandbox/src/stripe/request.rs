//! A request, after it was read and before it is worked on.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::auth::Caller;
use super::error::ApiError;
use super::expand::Expand;
use super::route::{self, Route};
use super::version::{API_VERSION, is_version};
use crate::form::Form;
use crate::ids;
use crate::rule::RequestView;
use crate::world::World;

/// The parts of an HTTP request that the API looks at.
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

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) number: u64,
    /// Its `Request-Id`, made from its number.
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) route: &'static Route,
    /// The id in the path, which is empty if there is none.
    pub(super) target: String,
    pub(crate) form: Form,
    pub(crate) caller: Result<Caller, ApiError>,
    /// The idempotency key. Only a POST has one.
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
        let number = world.requests.fetch_add(1, Ordering::Relaxed);
        let (route, target) = route::find(&call.method, &call.path);
        Request {
            number,
            id: ids::REQUEST.id(world.base, number),
            route,
            target: target.to_owned(),
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

    /// The parts of the request that faults look at.
    pub(crate) fn view(&self) -> RequestView<'_> {
        RequestView {
            method: &self.method,
            path: &self.path,
            tenant: self.form.get("metadata[tenantId]"),
            key: self.sent_key.as_deref(),
        }
    }

    /// The fields that the request wants to see expanded.
    pub(crate) fn expand(&self) -> &Expand {
        &self.expand
    }

    /// Checks everything that does not depend on the endpoint, and returns the caller.
    pub(crate) fn admit(&self) -> Result<&Caller, ApiError> {
        if self.route == route::UNKNOWN && self.caller.is_err() {
            return Err(ApiError::unrecognized(&self.method, &self.path));
        }
        let caller = self.caller.as_ref().map_err(Clone::clone)?;
        if !is_version(&self.version) {
            return Err(ApiError::version(&self.version));
        }
        caller.may(self.route)?;
        if !self.is_form {
            return Err(ApiError::content_type());
        }
        let length = self.key.as_ref().map_or(0, |key| key.chars().count());
        if length > 255 { Err(ApiError::long_key(length)) } else { Ok(caller) }
    }
}
