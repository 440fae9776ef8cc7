//! A webhook endpoint that keeps the requests that it gets.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// One request to the endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) signature: String,
    pub(crate) body: String,
}

impl Letter {
    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Listens until it is dropped.
pub(crate) struct Receiver {
    pub(crate) url: String,
    letters: Arc<Mutex<Vec<Letter>>>,
    news: Arc<Notify>,
    /// The status that the endpoint answers with.
    status: Arc<Mutex<u16>>,
    listening: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
        let (letters, news) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let status = Arc::new(Mutex::new(200));
        let (kept, told, answer) = (Arc::clone(&letters), Arc::clone(&news), Arc::clone(&status));
        let listening = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut text = String::new();
                let mut buffer = vec![0; 65_536];
                let whole = |text: &str| {
                    let (head, body) = text.split_once("\r\n\r\n")?;
                    let length =
                        head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    (body.len() == length?.parse::<usize>().ok()?)
                        .then(|| (head.to_owned(), body.to_owned()))
                };
                let (head, body) = loop {
                    let read = stream.read(&mut buffer).await.unwrap();
                    assert_ne!(read, 0, "half a request: {text}");
                    text += std::str::from_utf8(&buffer[..read]).unwrap();
                    if let Some(parts) = whole(&text) {
                        break parts;
                    }
                };
                assert!(head.starts_with("POST /hook?a=b HTTP/1.1"), "{head}");
                let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
                assert_eq!(header("content-type: "), Some("application/json; charset=utf-8"));
                let signature = header("stripe-signature: ").unwrap().to_owned();
                kept.lock().unwrap().push(Letter { signature, body });
                let status = *answer.lock().unwrap();
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                told.notify_one();
            }
        });
        Receiver { url, letters, news, status, listening }
    }

    pub(crate) fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    pub(crate) fn count(&self) -> usize {
        self.letters.lock().unwrap().len()
    }

    /// Waits for so many letters, and takes all that there are.
    pub(crate) async fn take(&self, count: usize) -> Vec<Letter> {
        let come = async {
            while self.count() < count {
                self.news.notified().await;
            }
        };
        crate::client::soon(come).await;
        std::mem::take(&mut self.letters.lock().unwrap())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
