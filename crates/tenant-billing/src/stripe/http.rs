//! The HTTP client: its base URL, its setup, and how it reads an answer.

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

/// How long connecting may take: name lookup, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest body that is read. A page of 100 Customers with 50 metadata entries each has about
/// 3 MiB.
const MAX_BODY: usize = 32 << 20;

/// The HTTP client that requests are sent through.
#[derive(Clone)]
pub(super) enum Http {
    /// Our own. The first request builds it, since that reads the machine's trust roots, which
    /// takes longer than anything else in a process that never calls Stripe.
    Own(Arc<OnceCell<Client>>),
    /// The host's own.
    Host(Client),
}

impl Default for Http {
    fn default() -> Self {
        Self::Own(Arc::default())
    }
}

impl Http {
    /// Makes the next request build our own client again. This is necessary when the base URL
    /// changes, since the client's setup depends on it.
    pub(super) fn reset(&mut self) {
        if let Self::Own(cell) = self {
            *cell = Arc::default();
        }
    }

    /// The client, or the answer if it cannot be built. After that, the next call tries again.
    pub(super) async fn client(&self, base: &Url) -> Result<&Client, Answer> {
        match self {
            Self::Host(client) => Ok(client),
            Self::Own(cell) => {
                cell.get_or_try_init(|| async {
                    let base = base.clone();
                    let built = spawn_blocking(move || build(&base)).await;
                    built.unwrap_or_else(|_| Err(unusable()))
                })
                .await
            }
        }
    }
}

/// Parses and checks a base URL.
pub(super) fn parse_base(text: &str, mode: Mode) -> Result<Url, Invalid> {
    let wrong = |reason: &str| Err(Invalid::new("base_url", reason));
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

/// Reads an answer to its end. An answer counts as none if its body is shorter than announced,
/// lacks its last chunk, or is longer than 32 MiB. (A body without an announced length ends with
/// its connection. Over TLS that end is authenticated; over plain HTTP it is trusted.)
pub(super) async fn read_whole(mut response: Response) -> Answer {
    let too_long = || Answer::NoAnswer("the answer's body is longer than 32 MiB".into());
    if response.content_length().is_some_and(|length| length > MAX_BODY as u64) {
        return too_long();
    }
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY => return too_long(),
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

fn unusable() -> Answer {
    Answer::NoAnswer("the HTTP client cannot be built".into())
}

fn build(base: &Url) -> Result<Client, Answer> {
    // Every setting is explicit, even if it is reqwest's default today or needs a feature that we
    // do not turn on: cargo unites features, and a feature that a host turns on for itself must not
    // change what is sent here. (That nothing retries is reqwest's default over HTTP/1.)
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
    // For Stripe, `HTTPS_PROXY` and similar variables are obeyed, as a closed network needs. A
    // sandbox on this machine is not behind a proxy, and plain HTTP would show the proxy the secret
    // key.
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    // The error is dropped, since its text may hold a proxy's URL with a password in it.
    builder.build().map_err(|_| unusable())
}

/// The TLS setup. It names ring as its provider, since a process-wide default is for the program to
/// choose and not for a library.
fn tls(base: &Url) -> Result<ClientConfig, Answer> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| unusable())?;
    let mut config = if base.scheme() == "https" {
        builder
            .with_platform_verifier()
            .map_err(|_| Answer::Untrusted("this machine has no certificate authorities".into()))?
            .with_no_client_auth()
    } else {
        // Without redirects, plain HTTP never turns into TLS, so no trust roots are needed. A
        // container without certificates can thus reach a sandbox.
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

    use super::{Mode, is_loopback, parse_base};

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
        check("base URL", inputs, |(text, live)| {
            let mode = if live { Mode::Live } else { Mode::Test };
            let url = match parse_base(&text, mode) {
                Ok(url) => url,
                Err(invalid) => {
                    assert_eq!(invalid.field, "base_url");
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
            assert!(!url.cannot_be_a_base(), "paths are appended to it");
            assert_eq!(parse_base(url.as_str(), mode).as_ref(), Ok(&url));
            true
        });
    }
}
