//! A server that says what it is told and remembers the bytes it was sent: no HTTP library in
//! between that could mend what a client does wrong.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What happens to a request.
pub(crate) enum Reply {
    /// It gets these bytes, and the connection stays.
    Say(String),
    /// It gets these bytes, and the connection ends.
    SayAndEnd(String),
    /// The connection ends as soon as the first of its bytes are there.
    Slam,
}

impl Reply {
    pub(crate) fn json(body: &str) -> Self {
        Self::Say(whole("200 OK", body))
    }
}

pub(crate) fn whole(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nRequest-Id: req_1\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[derive(Default, Clone, Debug)]
pub(crate) struct Seen {
    /// Connections that were opened, and those of them that have ended.
    pub(crate) opened: usize,
    pub(crate) ended: usize,
    /// Whole requests, as they came.
    pub(crate) requests: Vec<String>,
    /// What came of requests that did not come whole.
    pub(crate) scraps: Vec<String>,
}

struct State {
    seen: Seen,
    replies: VecDeque<Reply>,
}

pub(crate) struct Wire {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Wire {
    /// The replies are given in this order, on whatever connection; after the last, connections
    /// end.
    pub(crate) async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            seen: Seen::default(),
            replies: replies.into_iter().collect(),
        }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                shared.lock().unwrap().seen.opened += 1;
                tokio::spawn(serve(socket, Arc::clone(&shared)));
            }
        });
        Self { url, state }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.state.lock().unwrap().seen.clone()
    }

    /// What was seen once every connection has ended.
    pub(crate) async fn ended(&self) -> Seen {
        for _ in 0..100 {
            let seen = self.seen();
            if seen.opened == seen.ended {
                return seen;
            }
            super::moment().await;
        }
        panic!("a connection stays open: {:?}", self.seen());
    }
}

async fn serve(mut socket: TcpStream, state: Arc<Mutex<State>>) {
    let mut buffer = Vec::new();
    loop {
        let count = socket.read_buf(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            break;
        }
        let slam = matches!(state.lock().unwrap().replies.front(), Some(Reply::Slam));
        if !slam && !is_whole(&buffer) {
            continue;
        }
        let text = String::from_utf8_lossy(&mem::take(&mut buffer)).into_owned();
        let reply = {
            let mut state = state.lock().unwrap();
            let seen = &mut state.seen;
            match slam {
                true => seen.scraps.push(text),
                false => seen.requests.push(text),
            }
            state.replies.pop_front()
        };
        let (words, stay) = match reply {
            Some(Reply::Say(words)) => (words, true),
            Some(Reply::SayAndEnd(words)) => (words, false),
            Some(Reply::Slam) | None => break,
        };
        if socket.write_all(words.as_bytes()).await.is_err() || !stay {
            break;
        }
    }
    drop(socket);
    let seen = &mut state.lock().unwrap().seen;
    if !buffer.is_empty() {
        seen.scraps.push(String::from_utf8_lossy(&buffer).into_owned());
    }
    seen.ended += 1;
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.lines().next().unwrap().parse::<usize>().unwrap());
    body.len() >= length
}
