//! The secret key. It is checked when it is parsed, and is never printed.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::HeaderValue;
use sha2::Sha256;
use tenant_billing_core::ids::{InstallationId, Invalid, Mode};
use zeroize::Zeroizing;

/// The largest number of characters in a key.
const MAX_LENGTH: usize = 255;

/// A Stripe secret key (`sk_test_…`, `sk_live_…`) or restricted key (`rk_test_…`, `rk_live_…`).
///
/// It cannot be printed: its `Debug` shows only the mode. Its memory is wiped when it is dropped,
/// but not the copies that the HTTP layer makes of a header.
pub struct SecretKey {
    text: Zeroizing<String>,
    mode: Mode,
}

impl SecretKey {
    /// Parses a key.
    ///
    /// # Errors
    /// [`Invalid`] for field `secret_key` unless it is one of the prefixes above followed by
    /// letters, digits or `_`, at most 255 characters in all. The reason never repeats the key.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |reason: &str| Err(Invalid::new("secret_key", reason));
        if text.is_empty() {
            return wrong("is empty");
        }
        if text.trim() != text {
            return wrong("has a space or a line break around it");
        }
        if text.starts_with(['"', '\'']) {
            return wrong("has quotation marks around it");
        }
        if text.len() > MAX_LENGTH {
            return wrong("is longer than 255 characters");
        }
        if text.starts_with("pk_") {
            return wrong("is a publishable key; a secret key begins with sk_ or rk_");
        }
        if text.starts_with("whsec_") {
            return wrong(
                "is the secret of a webhook endpoint; a secret key begins with sk_ or rk_",
            );
        }
        if text.starts_with("sk_org_") {
            return wrong(
                "is an organization's key, which opens many accounts and names no mode; use a secret \
                 key (sk_…) or a restricted key (rk_…) of the one account",
            );
        }
        let Some(rest) = ["sk_", "rk_"].iter().find_map(|it| text.strip_prefix(it)) else {
            return wrong("does not begin with sk_ or rk_");
        };
        let (mode, rest) = if let Some(rest) = rest.strip_prefix("test_") {
            (Mode::Test, rest)
        } else if let Some(rest) = rest.strip_prefix("live_") {
            (Mode::Live, rest)
        } else {
            return wrong("does not say test or live, as sk_test_… and sk_live_… do");
        };
        if rest.is_empty() {
            return wrong("is only the beginning of a key");
        }
        if !rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return wrong("has a character other than a letter, a digit or _");
        }
        let text = Zeroizing::new(text.to_owned());
        Ok(Self { text, mode })
    }

    /// A hash of the key and what goes with it, keyed with the installation's id, so that two databases
    /// hold different hashes of the same key.
    pub(super) fn fingerprint(&self, installation: &InstallationId, with: &[&str]) -> String {
        let keyed = Hmac::<Sha256>::new_from_slice(installation.as_str().as_bytes());
        let mut hash = keyed.expect("HMAC takes a key of any length");
        for part in [self.text.as_str()].iter().chain(with) {
            hash.update(part.as_bytes());
            hash.update(b"\0");
        }
        let digits = hash.finalize().into_bytes().into_iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }

    /// The key's mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The value of `Authorization`, marked so that a header's `Debug` hides it.
    pub(super) fn bearer(&self) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("Bearer {}", *self.text));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.mode)
    }
}

#[cfg(test)]
mod tests {
    use parser_inputs::{LETTERS, about, assert_silent, check, letters, texts};
    use proptest::{prelude::Strategy, prop_oneof, sample::select};

    use super::{MAX_LENGTH, SecretKey};

    #[test]
    fn secret_keys() {
        const WORDS: &[&str] = &[
            "sk_", "rk_", "org_", "pk_", "whsec_", "test_", "live_", "a", "7", "_", "-", " ", "\n",
        ];
        let prefixes = ["sk_test_", "sk_live_", "rk_test_", "rk_live_", "pk_test_", "whsec_"];
        let short = || {
            (select(prefixes.to_vec()), letters(LETTERS, 0..=32))
                .prop_map(|(a, b)| format!("{a}{b}"))
        };
        let near = prop_oneof![9 => short(), 1 => about(MAX_LENGTH, short())];
        check("secret key", texts(near, WORDS), |text| {
            let prefix = prefixes[..4].iter().find(|it| text.starts_with(**it));
            let rest = prefix.map_or("", |it| &text[it.len()..]);
            let rule = text.len() <= MAX_LENGTH
                && !rest.is_empty()
                && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            match SecretKey::parse(&text) {
                Ok(key) => {
                    assert!(rule, "{text:?} was accepted");
                    assert!(text[3..].starts_with(key.mode().as_str()));
                    assert_eq!(format!("{key:?}"), format!("SecretKey({})", key.mode()));
                    let header = key.bearer().expect("a header");
                    assert_eq!(header.as_bytes(), format!("Bearer {text}").as_bytes());
                    assert!(header.is_sensitive());
                }
                Err(invalid) => {
                    assert!(!rule, "{text:?} was refused");
                    assert_eq!(invalid.field, "secret_key");
                    assert_silent(&invalid.to_string(), &text);
                }
            }
            rule
        });
    }
}
