//! `GET /v1/account` and `GET /v1/accounts/{id}`: the account that a key belongs to.

use serde_json::json;

use super::error::ApiError;
use super::fields;
use super::job::{Done, Job};

/// Shows the account that the request acts on.
pub(super) fn own(job: &Job<'_>) -> Result<Done, ApiError> {
    fields::allow(&job.request.form, fields::is_expand)?;
    let id = &job.caller.scope.account;
    Ok(Done::ok(&json!({
        "id": id,
        "object": "account",
        "charges_enabled": true,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": true,
        "email": null,
        "payouts_enabled": true,
        "type": "standard",
    })))
}

/// Shows the same account by its id. No key sees any other.
pub(super) fn retrieve(job: &Job<'_>, id: &str) -> Result<Done, ApiError> {
    if job.caller.scope.account == id {
        return own(job);
    }
    Err(ApiError::account(&job.caller.masked, id))
}
