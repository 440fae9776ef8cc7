//! The signature of a delivery, as Stripe's SDKs check it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The `Stripe-Signature` of a body sent at `seconds` since the Unix epoch.
///
/// The time is the machine's and not the sandbox's, because a receiver compares it with its own
/// clock.
pub(super) fn header(secret: &str, seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length will do");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    let digest: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("t={seconds},v1={digest}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_an_hmac_over_time_and_body() {
        // By `printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test`.
        assert_eq!(
            super::header("whsec_test", 1_700_000_000, "{}"),
            "t=1700000000,v1=35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91"
        );
    }
}
