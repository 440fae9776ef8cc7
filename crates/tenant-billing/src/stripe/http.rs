//! The HTTP client below: where it connects to, how it is made, and how an answer is read whole.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use reqwest::{Client, Response, Url, redirect, retry};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use tenant_billing_core::{
    answer::Answer,
    ids::{Invalid, Mode},
};
use tokio::{sync::OnceCell, task::spawn_blocking};

use super::failure;

/// Name lookup, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A hundred Customers of 50 metadata entries each are some 3 MiB.
const LONGEST_BODY: usize = 32 << 20;

/// Whose client sends.
#[derive(Clone)]
pub(super) enum Http {
    /// Ours, made by the first request: reading the machine's trust roots takes longer than all else
    /// that a command does which needs no Stripe.
    Own(Arc<OnceCell<Client>>),
    /// The host's.
    Host(Client),
}

impl Default for Http {
    fn default() -> Self {
        Self::Own(Arc::default())
    }
}

impl Http {
    /// To be called when the base changes, which decides how ours is made.
    pub(super) fn forget(&mut self) {
        if let Self::Own(cell) = self {
            *cell = Arc::default();
        }
    }

    /// The client, or why it cannot be made; then the next call tries again.
    pub(super) async fn client(&self, base: &Url) -> Result<&Client, String> {
        match self {
            Self::Host(client) => Ok(client),
            Self::Own(cell) => {
                cell.get_or_try_init(|| async {
                    let base = base.clone();
                    let made = spawn_blocking(move || make(&base)).await;
                    made.unwrap_or_else(|_| Err("the HTTP client cannot be made".into()))
                })
                .await
            }
        }
    }
}

/// Checks and parses `STRIPE_API_BASE`.
pub(super) fn base(text: &str, mode: Mode) -> Result<Url, Invalid> {
    let wrong = |reason: &str| Err(Invalid::new("STRIPE_API_BASE", reason));
    let Ok(url) = Url::parse(text) else {
        return wrong("is not a URL of the form https://host");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("is neither http nor https");
    }
    if !url.has_host() {
        return wrong("has no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("has a user or password in it");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("has a query or fragment");
    }
    if mode == Mode::Live && url.scheme() == "http" && !is_loopback(&url) {
        return wrong("would send a live key unencrypted over the network");
    }
    Ok(url)
}

/// Reads an answer to its end. One whose body is shorter than announced, or without its last chunk,
/// is none; nor is one that goes on and on. (A body with no announced length ends with its connection:
/// over TLS that end is authenticated, and over plain HTTP it is taken at its word.)
pub(super) async fn whole(mut response: Response) -> Answer {
    let too_long = || Answer::NoAnswer("the answer's body is longer than 32 MiB".into());
    if response.content_length().is_some_and(|length| length > LONGEST_BODY as u64) {
        return too_long();
    }
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST_BODY => return too_long(),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Answer::NoAnswer(failure::of_body(&error)),
        }
    }
    let headers = response.headers().iter();
    Answer::Response {
        status: response.status().as_u16(),
        headers: headers
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
            .collect(),
        body: body.freeze(),
    }
}

fn make(base: &Url) -> Result<Client, String> {
    // Each said out loud, also where it is reqwest's default today or the feature is not ours: cargo
    // unites features, and a host that turns one on for itself must not change what is sent here.
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls(base)?)
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .connection_verbose(false)
        .connect_timeout(CONNECT_TIMEOUT);
    // `HTTPS_PROXY` and its kin hold for Stripe, as a closed network needs. A sandbox on this machine
    // is not behind any proxy, and plain HTTP through one would show it the secret key.
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    // Its text may hold a proxy's URL with a password in it.
    builder.build().map_err(|_| "the HTTP client cannot be made".into())
}

/// ring, handed in: a process-wide default is the program's to choose, never a library's.
fn tls(base: &Url) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| "TLS has no protocol version in common with its provider")?;
    let mut config = if base.scheme() == "https" {
        builder
            .with_platform_verifier()
            .map_err(|_| "the machine's TLS trust roots cannot be read")?
            .with_no_client_auth()
    } else {
        // No redirect is followed, so no TLS will be spoken: a container without certificates can
        // reach a sandbox.
        builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use parser_inputs::{SECRET, check, texts};
    use proptest::{
        prelude::{Strategy, any},
        sample::select,
    };

    use super::{Mode, base, is_loopback};

    #[test]
    fn base_urls() {
        const WORDS: &[&str] = &[
            "http://",
            "https://",
            "HTTPS:",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "api.stripe.com",
            ":80",
            "/",
            "@",
            "?",
            "#",
            "user",
            "..",
            "%2e",
            "xn--a",
            "0x7f.1",
        ];
        let good = [
            "https://api.stripe.com",
            "http://127.0.0.1:12111",
            "http://localhost/v/",
            "http://[::1]:1",
            "http://sandbox:12111",
            "https://proxy.example/stripe/",
        ];
        let inputs = (texts(select(good.to_vec()).prop_map(str::to_owned), WORDS), any::<bool>());
        check("STRIPE_API_BASE", inputs, |(text, live)| {
            let mode = if live { Mode::Live } else { Mode::Test };
            let url = match base(&text, mode) {
                Ok(url) => url,
                Err(invalid) => {
                    assert_eq!(invalid.field, "STRIPE_API_BASE");
                    assert!(!invalid.reason.contains(SECRET), "{text:?}: {invalid}");
                    return false;
                }
            };
            assert!(url.host_str().is_some_and(|host| !host.is_empty()), "{text:?}");
            assert!(!live || url.scheme() == "https" || is_loopback(&url), "{text:?}");
            assert!(
                !url.as_str().contains(['@', '?', '#']) || url.path().contains('@'),
                "{text:?}"
            );
            assert!(!url.cannot_be_a_base(), "paths are put behind it");
            assert_eq!(base(url.as_str(), mode).as_ref(), Ok(&url));
            true
        });
    }
}
