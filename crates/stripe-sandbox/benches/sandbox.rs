//! How fast the sandbox is and how much it needs: `cargo bench -p stripe-sandbox --bench sandbox`.
//!
//! Clients and sandbox share one process and its two worker threads. Each create has an idempotency
//! key, an e-mail address, a name and two metadata fields, like those of a program that gives each
//! of its tenants a Customer. Beside it run the least that a server over the same sockets can do,
//! and the memory that the same texts take by themselves.
//!
//! `STRIPE_SANDBOX_BENCH_CUSTOMERS` says how many Customers (1,000,000 unless said).

use std::time::{Duration, Instant};

use stripe_sandbox::Sandbox;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const CLIENTS: u64 = 16;
const PROBES: u64 = 2_000;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let count = std::env::var("STRIPE_SANDBOX_BENCH_CUSTOMERS").map_or(1_000_000, |text| {
        text.parse().expect("STRIPE_SANDBOX_BENCH_CUSTOMERS is a number")
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run(count));
}

async fn run(count: u64) {
    let few = count.min(50_000);
    let bare = per_second(few, drive(&bare().await, few).await);
    let filed = {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("state.jsonl");
        let sandbox = Sandbox::start().state(file).await.expect("a sandbox");
        per_second(few, drive(&sandbox.url(), few).await)
    };
    let before = resident();
    let sandbox = Sandbox::start().seed(1).await.expect("a sandbox");
    let took = drive(&sandbox.url(), count).await;
    let after = resident();
    let created = per_second(count, took);
    let texts: u64 =
        (0..count).map(|number| form(number).len() as u64 + key(number).len() as u64).sum();

    println!("{CLIENTS} clients, 2 threads for clients and sandbox together:");
    println!("  a server that answers at once     {bare:>9.0} requests/s");
    println!(
        "  creates, in memory                {created:>9.0} creates/s   {:.2} of that",
        created / bare
    );
    println!(
        "  creates, with a state file        {filed:>9.0} creates/s   {:.2} of that",
        filed / bare
    );
    println!("{count} Customers, with their events, saved answers, indexes and the log:");
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    println!(
        "  resident memory of the process    {:>9.1} MiB, {:.1} before",
        mib(after),
        mib(before)
    );
    let grown = after.saturating_sub(before);
    println!(
        "  a Customer                        {:>9.0} bytes      {:.2} of its form and key alone",
        grown as f64 / count as f64,
        grown as f64 / texts as f64,
    );
    println!("At that size, one after the other:");
    for (what, path) in [
        ("retrieve the first page", "/v1/customers?limit=100".to_owned()),
        ("list by e-mail", format!("/v1/customers?email={}", email(count / 2))),
        (
            "search by metadata",
            format!(
                "/v1/customers/search?query=metadata%5B%27tenantId%27%5D%3A%27{}%27",
                tenant(count / 2)
            ),
        ),
    ] {
        let took = probe(&sandbox.url(), &path).await;
        println!("  {what:<33} {:>9.0} µs", took.as_secs_f64() * 1e6 / PROBES as f64);
    }
}

/// Creates that many Customers; returns how long it took.
async fn drive(url: &str, count: u64) -> Duration {
    let address = url.strip_prefix("http://").expect("a URL").to_owned();
    let began = now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let address = address.clone();
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("connects");
            stream.set_nodelay(true).expect("a socket");
            let mut answer = Vec::new();
            for number in (client..count).step_by(CLIENTS as usize) {
                let form = form(number);
                let text = format!(
                    "POST /v1/customers HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer sk_test_1\r\n\
                     Idempotency-Key: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                     Content-Length: {}\r\n\r\n{form}",
                    key(number),
                    form.len()
                );
                exchange(&mut stream, text.as_bytes(), &mut answer).await;
            }
        });
    }
    clients.join_all().await;
    began.elapsed()
}

async fn probe(url: &str, path: &str) -> Duration {
    let address = url.strip_prefix("http://").expect("a URL");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.set_nodelay(true).expect("a socket");
    let text =
        format!("GET {path} HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer sk_test_1\r\n\r\n");
    let mut answer = Vec::new();
    let began = now();
    for _ in 0..PROBES {
        exchange(&mut stream, text.as_bytes(), &mut answer).await;
    }
    began.elapsed()
}

/// Sends a request and reads its whole answer, which has to be a 200.
async fn exchange(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) {
    stream.write_all(request).await.expect("sends");
    answer.clear();
    let whole = loop {
        assert_ne!(stream.read_buf(answer).await.expect("reads"), 0, "closed");
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = std::str::from_utf8(&answer[..end]).expect("a head").to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 200"), "{head}");
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            break end
                + 4
                + length.and_then(|length| length.parse::<usize>().ok()).expect("a length");
        }
    };
    while answer.len() < whole {
        assert_ne!(stream.read_buf(answer).await.expect("reads"), 0, "closed");
    }
}

/// A server that reads a request and answers with as many bytes as the sandbox does.
async fn bare() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let body = "x".repeat(900);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                // A request comes in one piece here.
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    stream.write_all(answer.as_bytes()).await.expect("answers");
                }
            });
        }
    });
    url
}

fn tenant(number: u64) -> String {
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        spread >> 32,
        spread >> 16 & 0xffff,
        spread & 0xfff,
        number & 0xfff,
        spread.rotate_left(17) & 0xffff_ffff_ffff
    )
}

fn email(number: u64) -> String {
    format!("owner{number}%40company{}.example", number % 9973)
}

fn form(number: u64) -> String {
    format!(
        "email={}&name=Company+{number}+Ltd&metadata%5BtenantId%5D={}&\
         metadata%5BtenantBillingInstallation%5D=018f3b1e-7d3c-4f5e-9a6b-2c1d0e9f8a7b",
        email(number),
        tenant(number)
    )
}

fn key(number: u64) -> String {
    format!("tenant-billing/018f3b1e-7d3c-4f5e-9a6b-2c1d0e9f8a7b/test/{}/1", tenant(number))
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// The memory that this process has now, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kib: u64 =
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib * 1024
}
