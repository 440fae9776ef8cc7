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
        "business_profile": {
            "mcc": null,
            "minority_owned_business_designation": null,
            "name": "Sandbox",
            "specified_commercial_transactions_act_url": null,
            "support_address": null,
            "support_email": null,
            "support_phone": null,
            "support_url": null,
            "url": null,
        },
        "business_type": null,
        "capabilities": {},
        "charges_enabled": true,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": true,
        "email": null,
        "payouts_enabled": true,
        "settings": {
            "branding": {
                "icon": null, "logo": null, "primary_color": null, "secondary_color": null,
            },
            "card_payments": {
                "statement_descriptor_prefix": null,
                "statement_descriptor_prefix_kana": null,
                "statement_descriptor_prefix_kanji": null,
            },
            "dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"},
            "payments": {
                "statement_descriptor": null,
                "statement_descriptor_kana": null,
                "statement_descriptor_kanji": null,
                "statement_descriptor_prefix_kana": null,
                "statement_descriptor_prefix_kanji": null,
            },
        },
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
