//! Accepting connections and answering on them.
//!
//! hyper is driven directly: a service that returns an error makes it drop the connection without
//! an answer, and that is exactly what a lost answer is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::payload::{Broken, Payload};
use super::socket::{Socket, Wire};
use crate::control;
use crate::stripe::Call;
use crate::stripe::exchange::{Ending, Reply, exchange};
use crate::world::{Outage, Outages, World};

/// No request of the API comes near this.
const LARGEST_BODY: usize = 1024 * 1024;

/// How long until what failed for want of something is tried again.
const RETRY: Duration = Duration::from_millis(10);

const GATEWAY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// Serves until the world stops; its connections end with it.
pub(crate) async fn serve(listener: TcpListener, world: Arc<World>, mut outages: Outages) {
    let mut connections = JoinSet::new();
    let mut stopped = world.stopped.clone();
    let mut listener = listener;
    loop {
        // When the sender of its news is gone, the connection ends as soon as it has nothing to say.
        let (open, closing) = watch::channel(());
        let outage = tokio::select! {
            outage = accept(&listener, &world, &closing, &mut connections, &mut outages) => outage,
            _ = stopped.changed() => break,
        };
        let address = listener.local_addr();
        drop(listener);
        drop(open);
        // Whoever waits for this knows that from now on nobody can connect.
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

/// Accepts connections until it is told not to.
async fn accept(
    listener: &TcpListener,
    world: &Arc<World>,
    closing: &watch::Receiver<()>,
    connections: &mut JoinSet<()>,
    outages: &mut Outages,
) -> Outage {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(world), closing.clone()));
                }
                // Out of file descriptors, most likely: they come back as connections end.
                Err(_) => crate::clock::pause(RETRY).await,
            },
            Some(_) = connections.join_next() => {}
            Some(outage) = outages.recv() => return outage,
        }
    }
}

/// Listens again where it listened before. Another may have taken the port meanwhile, and then this
/// waits until it is free.
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

async fn connection(stream: TcpStream, world: Arc<World>, mut closing: watch::Receiver<()>) {
    // Without it a small answer may wait for the other side's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let wire = Wire::default();
    let socket = TokioIo::new(Socket::new(stream, wire.clone()));
    let service = service_fn(move |request| respond(request, Arc::clone(&world), wire.clone()));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(socket, service);
    tokio::pin!(connection);
    // It ends in an error whenever a fault ends it, or the caller does: nothing to report.
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
    // Read to its end even if it is not wanted: unread bytes would turn every close into a reset.
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| Broken)?.to_bytes();
    let path = head.uri.path();
    if let Some(what) = control::path(path) {
        let host = text(&head.headers, &HOST).unwrap_or_default();
        let page = control::answer(&world, head.method.as_str(), what, &body, &host).await;
        return Ok(response(page.status, &[], page.kind, Payload::whole(page.body)));
    }
    let call = call(&head, body);
    match exchange(&world, call).await {
        Ending::Answer(reply) => Ok(stripe(reply, Payload::whole)),
        Ending::Cut(reply) => Ok(stripe(reply, Payload::half)),
        Ending::SlowHeaders(reply, span) => {
            wire.slow_headers(span);
            Ok(stripe(reply, Payload::whole))
        }
        Ending::SlowBody(reply, span) => Ok(stripe(reply, |body| Payload::slow(body, span))),
        Ending::Gateway => Ok(response(502, &[], "text/html", Payload::whole(GATEWAY_PAGE))),
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

fn stripe(reply: Reply, payload: impl FnOnce(String) -> Payload) -> Response<Payload> {
    let Reply { status, body, headers, .. } = reply;
    response(status, &headers, "application/json", payload(body))
}

fn response(
    status: u16,
    headers: &[(&'static str, String)],
    kind: &'static str,
    payload: Payload,
) -> Response<Payload> {
    let mut response = Response::new(payload);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let written = response.headers_mut();
    written.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in headers {
        // What cannot stand in a header came from one, mangled; it is left out.
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            written.insert(name, value);
        }
    }
    response
}
