//! Slow answers, refused connections, and effects that come later.

use std::io::ErrorKind;
use std::time::Duration;

use stripe_sandbox::{Config, Fault, Lag, Rule, Sandbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{create, get, post, request, soon, until};

/// Sends a create and reads its answer; returns the sizes of the pieces it came in.
async fn pieces(sandbox: &Sandbox) -> (String, Vec<usize>) {
    let address = sandbox.url().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = "POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_test_1\r\n\
                Connection: close\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(text.as_bytes()).await.unwrap();
    let (mut answer, mut pieces) = (Vec::with_capacity(8192), Vec::new());
    loop {
        let read = stream.read_buf(&mut answer).await.unwrap();
        if read == 0 {
            return (String::from_utf8(answer).unwrap(), pieces);
        }
        pieces.push(read);
    }
}

#[tokio::test]
async fn slow_answers_trickle() {
    let sandbox = Sandbox::start().await.unwrap();
    let (plain, at_once) = pieces(&sandbox).await;
    assert!(at_once.len() <= 2, "{at_once:?}");
    let size = plain.len();
    let headers = plain.split_once("\r\n\r\n").unwrap().0.len() + 4;
    for (fault, slow_headers) in
        [(Fault::SlowHeaders { ms: 320 }, true), (Fault::SlowBody { ms: 320 }, false)]
    {
        sandbox.arm(Rule::new(fault));
        let (answer, pieces) = pieces(&sandbox).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("}\n"), "{answer}");
        assert!(answer.len().abs_diff(size) < 8, "{answer}");
        assert!(pieces.len() >= 10, "{pieces:?}");
        // Which part it is that is slow.
        assert_eq!(pieces[0] + 8 < headers, slow_headers, "{pieces:?}");
        assert_eq!(pieces.last().copied().unwrap() > size / 3, slow_headers, "{pieces:?}");
    }
    assert_eq!(sandbox.customers().len(), 3);
}

#[tokio::test]
async fn a_slow_answers_key_is_saved_and_not_in_flight() {
    let sandbox = Sandbox::start().await.unwrap();
    for fault in [Fault::SlowHeaders { ms: 60_000 }, Fault::SlowBody { ms: 60_000 }] {
        sandbox.arm(Rule::new(fault));
        let request = create(&sandbox, &[]).key(&format!("{}", sandbox.customers().len()));
        let slow = tokio::spawn({
            let request = request.clone();
            async move { request.send().await }
        });
        let before = sandbox.customers().len();
        until(async || sandbox.customers().len() > before).await;
        assert_eq!(request.send().await.header("idempotent-replayed"), Some("true"));
        slow.abort();
    }
}

#[tokio::test]
async fn connections_are_refused_for_a_while() {
    let sandbox = Sandbox::start().await.unwrap();
    let list = get(&sandbox, "/v1/customers");
    // A connection that is open already is closed, once it has nothing to say.
    let mut open = TcpStream::connect(sandbox.url().replace("http://", "")).await.unwrap();
    open.write_all(b"GET /_sandbox/health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 1000];
    assert_ne!(open.read(&mut answer).await.unwrap(), 0);

    for by in ["fault", "control", "handle"] {
        let ms = 150;
        match by {
            "fault" => {
                sandbox.arm(Rule::new(Fault::ConnectionRefused { ms }));
                assert!(list.try_send().await.is_err());
            }
            "control" => {
                let outage = request(&sandbox.url(), "POST", "/_sandbox/outage");
                assert_eq!(outage.body("{\"ms\": 150}").send().await.status, 200);
            }
            _ => sandbox.refuse_connections(Duration::from_millis(ms)).await,
        }
        let refused = list.try_send().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{by}");
        let again = soon(async {
            loop {
                match list.try_send().await {
                    Ok(answer) => break answer,
                    Err(why) => assert_eq!(why.kind(), ErrorKind::ConnectionRefused, "{by}"),
                }
            }
        });
        let again = again.await;
        assert_eq!(again.status, 200);
    }
    assert_eq!(soon(open.read(&mut answer)).await.unwrap(), 0, "it is still open");
}

#[tokio::test]
async fn an_effect_comes_about_when_it_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let state = Some(dir.path().join("state"));
    let start =
        || Sandbox::start_with(Config { state: state.clone(), seed: 1, ..Default::default() });
    let sandbox = start().await.unwrap();
    let old = create(&sandbox, &[("name", "old")]).send().await.id();
    sandbox.arm(Rule::new(Fault::LateEffect { seconds: 600 }).times(3));
    let late = create(&sandbox, &[("name", "late")]).key("late");
    let failed = late.send().await;
    assert_eq!(failed.status, 500);
    let path = format!("/v1/customers/{old}");
    assert_eq!(post(&sandbox, &path, &[("name", "new")]).send().await.status, 500);
    assert_eq!(get(&sandbox, "/v1/nothing").send().await.status, 500);
    sandbox.advance(Duration::from_secs(540));
    let between = create(&sandbox, &[("name", "between")]).send().await.id();
    drop(sandbox);

    // The effect that was put off is not forgotten, and comes after the earlier changes.
    let sandbox = start().await.unwrap();
    assert_eq!(get(&sandbox, "/v1/customers").send().await.ids(), [between.clone(), old.clone()]);
    sandbox.advance(Duration::from_secs(61));
    let ids = get(&sandbox, "/v1/customers").send().await.ids();
    assert_eq!((ids.len(), &ids[1..]), (3, &[between, old.clone()][..]));
    assert_eq!(get(&sandbox, &path).send().await.json()["name"], "new");
    let events = get(&sandbox, "/v1/events").send().await.json();
    assert_eq!(events["data"][1]["request"]["idempotency_key"], "late");
    assert_eq!(events["data"][0]["type"], "customer.updated");
    let created = events["data"][1]["created"].as_i64().unwrap();
    assert!((540..=660).contains(&(created - sandbox.customers()[0].created)), "{created}");
    drop(sandbox);
    // And not twice.
    let sandbox = start().await.unwrap();
    assert_eq!(get(&sandbox, "/v1/customers").send().await.ids(), ids);
    assert_eq!(sandbox.counters().customers_created, 0, "since the start");
    let again = create(&sandbox, &[("name", "late")]).key("late").send().await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), (Some("true"), &failed.body));
}

#[tokio::test]
async fn an_effect_on_what_is_gone_by_then_is_none() {
    let sandbox = Sandbox::start().await.unwrap();
    let id = create(&sandbox, &[]).send().await.id();
    let path = format!("/v1/customers/{id}");
    sandbox.arm(Rule::new(Fault::LateEffect { seconds: 60 }).times(2));
    assert_eq!(post(&sandbox, &path, &[("name", "new")]).send().await.status, 500);
    assert_eq!(crate::client::delete(&sandbox, &path).send().await.status, 500);
    assert!(sandbox.delete_customer(&id));
    sandbox.advance(Duration::from_secs(60));
    let events = get(&sandbox, "/v1/events").send().await;
    assert_eq!(events.ids().len(), 2, "{}", events.body);
    assert_eq!(sandbox.counters().customers_deleted, 1);
}

#[tokio::test]
async fn search_can_be_hours_behind() {
    let sandbox = Sandbox::start().search_lag(5 * 3600).await.unwrap();
    let id = create(&sandbox, &[("name", "Anna")]).send().await.id();
    let search = get(&sandbox, "/v1/customers/search").query(&[("query", "name:'Anna'")]);
    sandbox.advance(Duration::from_secs(5 * 3600 - 60));
    assert_eq!(search.send().await.ids(), [""; 0]);
    sandbox.advance(Duration::from_secs(60));
    assert_eq!(search.send().await.ids(), [id]);
    sandbox.set_lag(Lag::default());
}
