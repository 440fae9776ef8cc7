//! Versions of the Stripe API.

/// The version of a request without a `Stripe-Version`, and the version in which events are made.
pub(crate) const API_VERSION: &str = "2026-10-28.endive";

/// Whether a text has the form of a version: a date, and since 2024 a name after it.
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
