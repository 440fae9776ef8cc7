//! The server: it accepts connections and answers on them.
//!
//! The server drives hyper directly. A service that returns an error makes hyper drop the
//! connection without an answer, and that is exactly what a lost answer is. Only HTTP/1.1 is
//! served, as the faults are about connections with one request at a time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answer::{Broken, Payload, plain, stripe};
use super::socket::{Socket, Wire};
use crate::control;
use crate::stripe::Call;
use crate::stripe::exchange::{Ending, Pace, exchange};
use crate::world::{Outage, Outages, World};

/// The largest body that is read. No request of the API comes near this.
const LARGEST_BODY: usize = 1024 * 1024;

/// How long a client may take to send the headers of a request, or stay idle between two requests.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server waits before it tries again to accept a connection or to bind its port.
const RETRY: Duration = Duration::from_millis(10);

const GATEWAY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// Serves until the world stops. All connections end with it.
pub(crate) async fn serve(
    listener: TcpListener,
    world: Arc<World>,
    mut outages: Outages,
    header_timeout: Duration,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_timeout);
    let mut connections = JoinSet::new();
    let mut stopped = world.stopped.clone();
    let mut listener = listener;
    loop {
        // Dropping `open` asks every connection to end as soon as it has no answer to send.
        let (open, closing) = watch::channel(());
        let outage = tokio::select! {
            outage = accept(&listener, &mut connections, &mut outages, |stream| {
                connection(http.clone(), stream, Arc::clone(&world), closing.clone())
            }) => outage,
            _ = stopped.changed() => break,
        };
        let address = listener.local_addr();
        drop(listener);
        drop(open);
        // From now on nobody can connect, and a caller may be waiting to hear that.
        let _ = outage.begun.send(());
        let again = async {
            crate::clock::pause(outage.span).await;
            bind(address).await
        };
        tokio::select! {
            bound = again => listener = bound,
            _ = stopped.changed() => break,
        }
    }
    connections.shutdown().await;
}

/// Accepts connections until there is an outage.
async fn accept<C: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    connections: &mut JoinSet<()>,
    outages: &mut Outages,
    connection: impl Fn(TcpStream) -> C,
) -> Outage {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream))),
                // Most likely there are no file descriptors left. Connections that end free some.
                Err(_) => crate::clock::pause(RETRY).await,
            },
            Some(_) = connections.join_next() => {}
            Some(outage) = outages.recv() => return outage,
        }
    }
}

/// Listens again on the same address. If another program has taken the port meanwhile, this waits
/// until the port is free.
async fn bind(address: io::Result<SocketAddr>) -> TcpListener {
    loop {
        if let Ok(address) = address
            && let Ok(listener) = TcpListener::bind(address).await
        {
            return listener;
        }
        crate::clock::pause(RETRY).await;
    }
}

async fn connection(
    http: http1::Builder,
    stream: TcpStream,
    world: Arc<World>,
    mut closing: watch::Receiver<()>,
) {
    // Otherwise a small answer may wait for the other side's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let wire = Wire::default();
    let socket = TokioIo::new(Socket::new(stream, wire.clone()));
    let service = service_fn(move |request| respond(request, Arc::clone(&world), wire.clone()));
    let connection = http.serve_connection(socket, service);
    tokio::pin!(connection);
    // A connection ends in an error whenever a fault or its client ends it. That is not reported.
    tokio::select! {
        _ = &mut connection => return,
        _ = closing.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn respond(
    request: hyper::Request<Incoming>,
    world: Arc<World>,
    wire: Wire,
) -> Result<Response<Payload>, Broken> {
    let (head, body) = request.into_parts();
    // The body is always read to its end, because unread bytes would turn every close into a reset.
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| Broken)?.to_bytes();
    let path = head.uri.path();
    if control::is_control(path) {
        let host = text(&head.headers, &HOST).unwrap_or_default();
        let page = control::answer(&world, head.method.as_str(), path, &body, &host).await;
        return Ok(plain(page.status, page.kind, page.body, Pace::Whole));
    }
    let call = call(&head, body);
    match exchange(&world, call).await {
        Ending::Answer(reply, pace) => {
            if let Pace::SlowHeaders(span) = pace {
                wire.slow_headers(span);
            }
            Ok(stripe(reply, pace))
        }
        Ending::Gateway => Ok(plain(502, "text/html", GATEWAY_PAGE, Pace::Whole)),
        Ending::Close => Err(Broken),
        Ending::Reset => {
            wire.reset();
            Err(Broken)
        }
        Ending::Refuse(span) => {
            world.refuse(span).await;
            Err(Broken)
        }
    }
}

fn call(head: &hyper::http::request::Parts, body: Bytes) -> Call {
    let header = |name: &HeaderName| text(&head.headers, name);
    Call {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: header(&AUTHORIZATION),
        account: header(&HeaderName::from_static("stripe-account")),
        version: header(&HeaderName::from_static("stripe-version")),
        key: header(&HeaderName::from_static("idempotency-key")),
        content_type: header(&CONTENT_TYPE),
        body,
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
