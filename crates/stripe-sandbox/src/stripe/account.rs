//! `GET /v1/account` and `GET /v1/accounts/{id}`: which account a key belongs to.

use serde_json::json;

use super::error::ApiError;
use super::fields;
use super::job::{Done, Job};

/// The account acted on.
pub(super) fn own(job: &Job<'_>) -> Result<Done, ApiError> {
    fields::allow(&job.request.form, fields::is_expand)?;
    let id = &job.caller.scope.account;
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
pub(super) fn retrieve(job: &Job<'_>, id: &str) -> Result<Done, ApiError> {
    if job.caller.scope.account == id {
        return own(job);
    }
    Err(ApiError::account(&job.caller.masked, id))
}
