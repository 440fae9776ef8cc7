//! Connections that say nothing, or only half of something.

use std::time::Duration;

use stripe_sandbox::{Fault, Rule, Sandbox, When};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{create, soon};

const SHORT: Duration = Duration::from_millis(50);
const HALF: &[u8] = b"POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthor";
const WHOLE: &[u8] = b"GET /_sandbox/health HTTP/1.1\r\nHost: x\r\n\r\n";

async fn connect(sandbox: &Sandbox, text: &[u8]) -> TcpStream {
    let address = sandbox.url().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text).await.unwrap();
    stream
}

async fn read(stream: &mut TcpStream) -> String {
    let mut text = vec![0; 4096];
    let read = stream.read(&mut text).await.unwrap();
    String::from_utf8(text[..read].to_vec()).unwrap()
}

#[tokio::test]
async fn a_half_sent_header_is_closed() {
    let sandbox = Sandbox::start().header_timeout(SHORT).await.unwrap();
    let mut stream = connect(&sandbox, HALF).await;
    soon(stream.read_to_end(&mut Vec::new())).await.unwrap();
    assert_eq!(sandbox.counters().requests, 0);
}

/// The client of these tests is less patient than the sandbox is here, so a stop or an outage that
/// waited for the rest of the header would fail.
#[tokio::test]
async fn a_half_sent_header_holds_up_neither_a_stop_nor_an_outage() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut half = connect(&sandbox, HALF).await;
    let mut idle = connect(&sandbox, WHOLE).await;
    assert!(read(&mut idle).await.contains("\"ok\""));
    soon(sandbox.refuse_connections(Duration::ZERO)).await;
    soon(sandbox.stop()).await;
    for stream in [&mut half, &mut idle] {
        // The connection ends, with a reset if the sandbox had not read everything.
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_used_again_and_closed_at_last() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut stream = connect(&sandbox, WHOLE).await;
    for _ in 0..3 {
        assert!(read(&mut stream).await.contains("\"ok\""));
        stream.write_all(WHOLE).await.unwrap();
    }
    let sandbox = Sandbox::start().header_timeout(SHORT).await.unwrap();
    let mut stream = connect(&sandbox, WHOLE).await;
    assert!(read(&mut stream).await.contains("\"ok\""));
    assert_eq!(soon(read(&mut stream)).await, "");
}

/// The time of the work is not the time of the header.
#[tokio::test]
async fn a_slow_answer_is_not_cut_off() {
    let sandbox = Sandbox::start().header_timeout(SHORT).await.unwrap();
    sandbox.arm(Rule::new(Fault::Delay { ms: 200, when: When::After }));
    assert_eq!(create(&sandbox, &[]).send().await.status, 200);
}
