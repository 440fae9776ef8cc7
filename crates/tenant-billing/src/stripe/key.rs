//! The secret key: parsed once, shown to nobody.

use std::fmt;

use reqwest::header::HeaderValue;
use tenant_billing_core::ids::{Invalid, Mode};
use zeroize::Zeroizing;

const LONGEST: usize = 255;

/// A Stripe secret key (`sk_test_…`, `sk_live_…`) or restricted key (`rk_test_…`, `rk_live_…`).
///
/// It cannot be printed: its `Debug` shows the mode and nothing else. Its own memory is wiped when it
/// is dropped; the copies that the HTTP layer makes of a header are not ours to wipe.
pub struct SecretKey {
    text: Zeroizing<String>,
    mode: Mode,
}

impl SecretKey {
    /// # Errors
    /// [`Invalid`] for field `STRIPE_SECRET_KEY` unless it is a prefix as above followed by letters,
    /// digits or `_`, at most 255 characters in all. The reason never repeats the key.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |reason: &str| Err(Invalid::new("STRIPE_SECRET_KEY", reason));
        if text.is_empty() {
            return wrong("is empty");
        }
        if text.trim() != text {
            return wrong("has a space or a line break around it");
        }
        if text.len() > LONGEST {
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
            return wrong("has a character that is no letter, digit or _");
        }
        let text = Zeroizing::new(text.to_owned());
        Ok(Self { text, mode })
    }

    /// The mode that it opens.
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
