//! `GET /v1/account` and `GET /v1/accounts/{id}`: which account a key belongs to.

use serde_json::json;

use super::auth::Caller;
use super::error::ApiError;
use super::exchange::Done;
use super::fields;
use super::request::Request;

/// The account acted on.
pub(super) fn own(request: &Request, caller: &Caller) -> Result<Done, ApiError> {
    fields::allow(&request.form, fields::is_expand)?;
    let id = &caller.scope.account;
    Ok(Done::ok(&json!({
        "id": id,
        "object": "account",
        "business_profile": {"name": "Sandbox", "url": null},
        "business_type": null,
        "capabilities": {},
        "charges_enabled": true,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": true,
        "email": null,
        "payouts_enabled": true,
        "settings": {"dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"}},
        "type": "standard",
    })))
}

/// The same by its id; no key sees any other.
pub(super) fn retrieve(request: &Request, caller: &Caller, id: &str) -> Result<Done, ApiError> {
    if caller.scope.account == id {
        return own(request, caller);
    }
    Err(ApiError::account(&caller.masked, id))
}
