//! One POST to a webhook endpoint.

use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Posts an event and returns the status of the answer.
///
/// # Errors
/// When there is no answer. The sandbox speaks no TLS, so `https` gets none.
pub(super) async fn post(url: &str, signature: &str, body: String) -> io::Result<u16> {
    let (host, port, request) = written(url, signature, body)?;
    let stream = TcpStream::connect((&*host, port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answer = &mut answer => Ok(answer.map_err(io::Error::other)?.status().as_u16()),
        // It may end right after the answer came.
        ended = &mut connection => {
            ended.map_err(io::Error::other)?;
            Ok(answer.await.map_err(io::Error::other)?.status().as_u16())
        }
    }
}

/// Where a POST goes, host and port, and the POST itself.
fn written(
    url: &str,
    signature: &str,
    body: String,
) -> io::Result<(String, u16, Request<Full<Bytes>>)> {
    let uri: Uri = url.parse().map_err(io::Error::other)?;
    if uri.scheme_str() != Some("http") {
        return Err(io::Error::other("only http"));
    }
    let authority = uri.authority().ok_or_else(|| io::Error::other("no host"))?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(80);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::post(path)
        .header(HOST, authority.as_str())
        .header(CONNECTION, "close")
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("Stripe-Signature", signature)
        .body(Full::new(Bytes::from(body)))
        .map_err(io::Error::other)?;
    Ok((host, port, request))
}

#[cfg(test)]
mod tests {
    use parser_inputs::{check, texts};
    use proptest::{prelude::Strategy, sample::select};

    use super::{HOST, written};

    #[test]
    fn urls_of_endpoints() {
        const WORDS: &[&str] = &[
            "http://",
            "https:",
            "h",
            "[::1]",
            "127.0.0.1",
            ":80",
            ":",
            "/a",
            "?b=c",
            "#d",
            "@",
            "u:p",
            "%20",
            ".",
        ];
        let good = [
            "http://127.0.0.1:1/hook?a=b",
            "http://[::1]:99",
            "http://u:p@h/",
            "http://localhost",
            "https://h/",
        ];
        check(
            "URL of an endpoint",
            texts(select(good.to_vec()).prop_map(str::to_owned), WORDS),
            |url| {
                let Ok((host, _, request)) = written(&url, "t=1,v1=0", String::new()) else {
                    return false;
                };
                assert!(url.contains(&host), "{url:?}");
                assert!(request.headers().contains_key(HOST));
                assert!(request.uri().path().starts_with('/'), "{url:?}");
                true
            },
        );
    }
}
