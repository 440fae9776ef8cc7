//! A client that hides nothing: one connection for each request, read to its end.

use std::io;

use serde_json::Value;
use stripe_sandbox::Sandbox;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const KEY: &str = "sk_test_123";

/// Waits for something that has to happen, but not for ever: a test that hangs says nothing.
#[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, what).await.expect("it has not come about after 20 seconds")
}

/// Waits until something holds.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    soon(wait).await;
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {}", self.body))
    }

    pub(crate) fn id(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()["id"].as_str().expect("an id").to_owned()
    }

    /// The ids of a list, in its order.
    pub(crate) fn ids(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.body);
        let data = self.json()["data"].as_array().expect("a list").clone();
        data.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Whether the body is as long as its headers say.
    pub(crate) fn is_whole(&self) -> bool {
        self.header("content-length") == Some(&self.body.len().to_string())
    }
}

/// A request in the making.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    address: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A request without an API key.
pub(crate) fn request(url: &str, method: &str, path: &str) -> Request {
    let address = url.strip_prefix("http://").expect("a URL").to_owned();
    let (method, path) = (method.to_owned(), path.to_owned());
    Request { address, method, path, headers: Vec::new(), body: Vec::new() }
}

pub(crate) fn get(sandbox: &Sandbox, path: &str) -> Request {
    request(&sandbox.url(), "GET", path).auth(KEY)
}

pub(crate) fn delete(sandbox: &Sandbox, path: &str) -> Request {
    request(&sandbox.url(), "DELETE", path).auth(KEY)
}

/// A create, with these form fields.
pub(crate) fn create(sandbox: &Sandbox, fields: &[(&str, &str)]) -> Request {
    post(sandbox, "/v1/customers", fields)
}

pub(crate) fn post(sandbox: &Sandbox, path: &str, fields: &[(&str, &str)]) -> Request {
    request(&sandbox.url(), "POST", path).auth(KEY).body(&encode(fields))
}

pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn auth(self, key: &str) -> Request {
        self.header("Authorization", &format!("Bearer {key}"))
    }

    pub(crate) fn key(self, key: &str) -> Request {
        self.header("Idempotency-Key", key)
    }

    pub(crate) fn account(self, account: &str) -> Request {
        self.header("Stripe-Account", account)
    }

    pub(crate) fn query(mut self, fields: &[(&str, &str)]) -> Request {
        self.path = format!("{}?{}", self.path, encode(fields));
        self
    }

    pub(crate) fn body(self, body: &str) -> Request {
        self.bytes(body.as_bytes().to_vec())
    }

    pub(crate) fn bytes(mut self, body: Vec<u8>) -> Request {
        self.body = body;
        self
    }

    /// The answer. An error is a connection that ended without one.
    pub(crate) async fn try_send(&self) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if self.headers.iter().all(|(name, _)| name != "Host") {
            text += "Host: sandbox\r\n";
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let length = self.body.len();
        text += &format!("Content-Length: {length}\r\nConnection: close\r\n\r\n");
        stream.write_all(&[text.as_bytes(), &self.body].concat()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let text = String::from_utf8(bytes).expect("UTF-8");
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer"));
        };
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let header = |line: &str| {
            line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        Ok(Answer {
            status: status.expect("a status"),
            headers: lines.filter_map(header).collect(),
            body: body.to_owned(),
        })
    }

    pub(crate) async fn send(&self) -> Answer {
        self.try_send().await.unwrap_or_else(|why| panic!("{} {}: {why}", self.method, self.path))
    }
}
