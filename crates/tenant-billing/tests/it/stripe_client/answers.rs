//! How answers are read: a whole response is handed on as it is, and everything else is no answer.

use std::sync::Arc;

use tenant_billing::{answer::Answer, ports::Stripe};

use super::{
    BEGIN_BY, EMAIL, client, frozen, frozen_for, moment, no_answer, response,
    wire::{Reply, Wire, whole},
};

#[tokio::test]
async fn whatever_comes_whole_is_a_response() {
    for (status, body) in [
        ("200 OK", "no JSON"),
        ("204 No Content", ""),
        ("402 Payment Required", "{}"),
        ("502 Bad Gateway", "<html>"),
        ("599 Whatever", ""),
    ] {
        let wire = Wire::new([Reply::Say(whole(status, body))]).await;
        let answer = client(&wire.url).create_customer(&frozen(), BEGIN_BY).await;
        let Answer::Response { headers, .. } = &answer else {
            panic!("{status}");
        };
        assert_eq!(headers.get("request-ID"), Some("req_1"));
        let code = status[..3].parse().unwrap();
        assert_eq!(response(answer), (code, body.to_owned()));
    }
}

#[tokio::test]
async fn bodies_may_come_in_chunks_or_until_the_end() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let wire = Wire::new([Reply::Say(chunked.into())]).await;
    assert_eq!(response(client(&wire.url).account().await).1, "abcde");
    let wire = Wire::new([Reply::SayAndEnd("HTTP/1.1 200 OK\r\n\r\nabc".into())]).await;
    assert_eq!(response(client(&wire.url).account().await).1, "abc");
}

#[tokio::test]
async fn redirects_are_answers() {
    for status in ["301", "302", "303", "307", "308"] {
        let elsewhere = Wire::new([]).await;
        let reply = format!(
            "HTTP/1.1 {status} Moved\r\nLocation: {}/v1/x\r\nContent-Length: 0\r\n\r\n",
            elsewhere.url
        );
        let wire = Wire::new([Reply::Say(reply.clone()), Reply::Say(reply)]).await;
        let client = client(&wire.url);
        let code: u16 = status.parse().unwrap();
        let answer = client.create_customer(&frozen(), BEGIN_BY).await;
        assert_eq!(response(answer).0, code);
        assert_eq!(response(client.account().await).0, code);
        assert_eq!(wire.seen().requests.len(), 2);
        assert_eq!(elsewhere.seen().opened, 0);
    }
}

#[tokio::test]
async fn what_does_not_come_whole_is_no_answer() {
    const BROKEN: &str = "the connection ended, or spoke no HTTP, before an answer";
    const CUT: &str = "the answer's body was cut off";
    const LONG: &str = "the answer's body is longer than 32 MiB";
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    let endless =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(33));
    for (reply, expected) in [
        ("", BROKEN),
        ("HTTP/1.1 200 OK\r\nContent-Le", BROKEN),
        ("SSH-2.0-OpenSSH_9.6 ann@example.com\r\n\r\n", BROKEN),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", BROKEN),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", CUT),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"id\":\"c", CUT),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", CUT),
        ("HTTP/1.1 200 OK\r\nContent-Length: 33554433\r\n\r\n", LONG),
        (&endless, LONG),
    ] {
        let reply = || Reply::SayAndEnd(reply.to_owned());
        let wire = Wire::new([reply(), reply()]).await;
        let client = client(&wire.url);
        let answer = client.create_customer(&frozen(), BEGIN_BY).await;
        assert!(no_answer(answer).starts_with(expected));
        let answer = client.list_customers(EMAIL, None).await;
        assert!(no_answer(answer).starts_with(expected));
        assert_eq!(wire.seen().requests.len(), 2, "each was sent once");
    }
}

#[tokio::test]
async fn nobody_there() {
    let gone = Wire::new([]).await.url.clone();
    // The listener lives on in its task; a port that nobody listens on is one that was given back.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let broken = "the connection ended, or spoke no HTTP, before an answer";
    for (url, expected) in [(&*free, "cannot connect: connection refused"), (&*gone, broken)] {
        let answer = client(url).list_customers(EMAIL, None).await;
        assert_eq!(no_answer(answer), expected);
    }
    // Where a proxy is set, it is the proxy that cannot be reached, or that answers for the name.
    let known = ["the host's name cannot be resolved", "cannot connect", "connecting timed out"];
    match client("https://nobody.invalid").list_customers(EMAIL, None).await {
        answer @ Answer::NoAnswer(_) => {
            let why = no_answer(answer);
            assert!(known.iter().any(|it| why.starts_with(it)), "{why}");
        }
        Answer::Response { status, .. } => assert!(status >= 400),
        // A machine without authorities connects to nobody.
        Answer::Untrusted(_) => {}
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_connect() {
    for (status, expected) in [
        ("407 Proxy Authentication Required", "asks for a user and a password"),
        ("403 Forbidden", "refuses to connect"),
    ] {
        let wire = Wire::new([Reply::Say(whole(status, ""))]).await;
        let proxy = reqwest::Proxy::all(&wire.url).unwrap();
        let http = through(proxy);
        let client = client("https://nobody.invalid").with_http(http);
        let why = no_answer(client.create_customer(&frozen(), BEGIN_BY).await);
        assert_eq!(why, format!("the proxy in HTTPS_PROXY {expected}"));
        let seen = wire.seen().requests;
        assert!(seen.len() == 1 && seen[0].starts_with("CONNECT nobody.invalid:443 "), "{seen:?}");
    }
}

/// A client with a proxy, which trusts nobody.
fn through(proxy: reqwest::Proxy) -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).proxy(proxy).build().unwrap()
}

/// Also shows that TLS is made ready without a process-wide provider.
#[tokio::test]
async fn a_server_without_tls() {
    let wire = Wire::new([Reply::Slam]).await;
    let url = wire.url.replace("http:", "https:");
    let why = no_answer(client(&url).list_customers(EMAIL, None).await);
    let known = ["cannot connect", "TLS failed"];
    assert!(known.iter().any(|it| why.starts_with(it)), "{why}");
    for scrap in wire.seen().scraps {
        assert!(!scrap.contains("HTTP/1.1"), "nothing goes in the clear");
    }
}

#[tokio::test]
async fn a_pooled_connection_that_has_ended_is_replaced() {
    let end = || Reply::SayAndEnd(whole("200 OK", "{}"));
    let wire = Wire::new([end(), end(), end()]).await;
    let client = client(&wire.url);
    for sent in 1..=3 {
        let answer = client.create_customer(&frozen(), BEGIN_BY).await;
        assert_eq!(response(answer).0, 200);
        moment().await;
        let seen = wire.seen();
        assert_eq!((seen.opened, seen.requests.len()), (sent, sent));
    }
}

/// Once a byte has left it is not for us to send it again, whatever is known of the connection.
#[tokio::test]
async fn nothing_is_sent_twice() {
    let slammed = Wire::new([Reply::json("{}"), Reply::Slam]).await;
    let unanswered = Wire::new([Reply::json("{}"), Reply::SayAndEnd(String::new())]).await;
    for wire in [slammed, unanswered] {
        let client = client(&wire.url);
        response(client.account().await);
        no_answer(client.create_customer(&frozen(), BEGIN_BY).await);
        moment().await;
        let seen = wire.seen();
        assert_eq!(seen.opened, 1, "{seen:?}");
        assert_eq!(seen.requests.len() + seen.scraps.len(), 2, "{seen:?}");
    }
}

/// The server ends each connection right after its answer, and the next request races that end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_twice_in_a_race_either() {
    let replies = (0..1000).map(|_| Reply::SayAndEnd(whole("200 OK", "{}")));
    let wire = Wire::new(replies).await;
    let client = client(&wire.url);
    let (mut answered, calls) = (0, 200);
    for call in 0..calls {
        let request = frozen_for(&format!("tenant-{call}"), EMAIL);
        match client.create_customer(&request, BEGIN_BY).await {
            Answer::Response { .. } => answered += 1,
            answer => drop(no_answer(answer)),
        }
    }
    let seen = wire.ended().await;
    for call in 0..calls {
        let tenant = format!("/tenant-{call}/");
        let all = seen.requests.iter().chain(&seen.scraps);
        let sent = all.filter(|it| it.contains(&tenant)).count();
        assert!(sent <= 1, "{tenant} was sent {sent} times");
    }
    assert!(answered > 0, "the race was lost every time");
}
