//! The life of one request, from its arrival to its ending, with faults and idempotency.
//!
//! A fault strikes before the work, inside it or after it. The work itself is one step under the
//! state's lock, so a connection that breaks can never leave half of it behind.

use std::sync::Arc;
use std::time::Duration;

use super::error::ApiError;
use super::guard::{Hold, Pass};
use super::job::{Done, Failing, Job, Manner};
use super::request::{Call, Request};
use super::{account, customers, events, post, search, webhooks};
use crate::clock::pause;
use crate::fault::{Fault, When};
use crate::ids;
use crate::report::RequestRecord;
use crate::world::World;

#[derive(Debug)]
pub(crate) enum Ending {
    /// Stripe's answer, sent at a pace.
    Answer(Reply, Pace),
    /// A proxy's 502.
    Gateway,
    /// Nothing: the connection is closed.
    Close,
    /// Nothing: the connection is reset.
    Reset,
    /// Nothing, and nobody can connect for so long.
    Refuse(Duration),
}

/// The pace at which an answer is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// All of it at once.
    Whole,
    /// The headers and half the body, and then nothing but the end of the connection.
    Half,
    /// The headers over so long a time.
    SlowHeaders(Duration),
    /// The body over so long a time.
    SlowBody(Duration),
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// How the log calls the outcome. There is none if the fault took the answer's place.
    outcome: Option<&'static str>,
}

impl Ending {
    fn whole(reply: Reply) -> Ending {
        Ending::Answer(reply, Pace::Whole)
    }
}

pub(crate) async fn exchange(world: &Arc<World>, call: Call) -> Ending {
    let request = Request::read(world, call);
    let pass = match Pass::take(world, &request) {
        Ok(pass) => pass,
        Err(reason) => {
            let ending = Ending::whole(limited(&request, reason));
            note(world, &request, None, &ending);
            return ending;
        }
    };
    let fault = world.arsenal().draw(request.view());
    let Some(Fault::Delay { ms, when }) = fault else {
        let ending = at_once(world, &request, fault.as_ref());
        note(world, &request, fault.as_ref(), &ending);
        return ending;
    };
    // The key is held before anything else gets a turn, so that the next request with this key
    // finds it in flight.
    let hold = Hold::take(world, &request);
    // The work is a task of its own, because Stripe goes on with a request whose caller has hung
    // up.
    let world = Arc::clone(world);
    let work = tokio::spawn(async move {
        let _pass = pass;
        let span = Duration::from_millis(ms);
        let ending = match hold {
            Ok(hold) => delayed(&world, &request, hold, span, when).await,
            Err(conflict) => Ending::whole(reply(&world, &request, Err(conflict))),
        };
        note(&world, &request, fault.as_ref(), &ending);
        ending
    });
    work.await.unwrap_or(Ending::Close)
}

fn at_once(world: &World, request: &Request, fault: Option<&Fault>) -> Ending {
    let refuse = |error| reply(world, request, Err(error));
    // These faults strike before the work.
    match fault {
        Some(Fault::RequestLost) => return Ending::Close,
        Some(Fault::Reset { when: When::Before }) => return Ending::Reset,
        Some(Fault::BadGateway { when: When::Before }) => return Ending::Gateway,
        Some(Fault::ConnectionRefused { ms }) => return Ending::Refuse(Duration::from_millis(*ms)),
        Some(Fault::RateLimited { retry_after }) => {
            let mut reply = limited(request, "global-rate");
            reply.outcome = None;
            reply.headers.extend(retry_after.map(|s| ("Retry-After", s.to_string())));
            return Ending::whole(reply);
        }
        Some(Fault::LockTimeout { status }) => {
            let reply = refuse(ApiError::lock_timeout(*status));
            return Ending::whole(Reply { outcome: None, ..reply });
        }
        Some(Fault::ServerError { should_retry }) => {
            let mut reply = refuse(ApiError::server(&request.id));
            reply.outcome = None;
            let again = should_retry.then(|| ("Stripe-Should-Retry", "true".to_owned()));
            reply.headers.extend(again);
            return Ending::whole(reply);
        }
        _ => {}
    }
    let failure = match fault {
        Some(Fault::StoredError { side_effect: false }) => Some(Failing::Without),
        Some(Fault::StoredError { side_effect: true }) => Some(Failing::With { after_seconds: 0 }),
        Some(Fault::LateEffect { seconds }) => Some(Failing::With { after_seconds: *seconds }),
        _ => None,
    };
    let manner = Manner { failure, held_since_ms: None };
    let reply = reply(world, request, work(world, request, manner));
    // These strike after it.
    match fault {
        Some(Fault::AnswerLost) => Ending::Close,
        Some(Fault::Reset { .. }) => Ending::Reset,
        Some(Fault::BadGateway { .. }) => Ending::Gateway,
        Some(Fault::TruncatedBody) => Ending::Answer(Reply { outcome: None, ..reply }, Pace::Half),
        Some(Fault::SlowHeaders { ms }) => {
            Ending::Answer(reply, Pace::SlowHeaders(Duration::from_millis(*ms)))
        }
        Some(Fault::SlowBody { ms }) => {
            Ending::Answer(reply, Pace::SlowBody(Duration::from_millis(*ms)))
        }
        _ => Ending::whole(reply),
    }
}

async fn delayed(
    world: &World,
    request: &Request,
    hold: Option<Hold>,
    span: Duration,
    when: When,
) -> Ending {
    if when == When::Before && !waited(world, span).await {
        return Ending::Close;
    }
    let held_since_ms = hold.as_ref().map(|hold| hold.since_ms);
    let done = work(world, request, Manner { failure: None, held_since_ms });
    let reply = reply(world, request, done);
    if when == When::After && !waited(world, span).await {
        return Ending::Close;
    }
    Ending::whole(reply)
}

/// Waits; false if the sandbox stopped meanwhile.
async fn waited(world: &World, span: Duration) -> bool {
    let mut stopped = world.stopped.clone();
    tokio::select! {
        () = pause(span) => true,
        _ = stopped.changed() => false,
    }
}

fn work(world: &World, request: &Request, manner: Manner) -> Result<Done, ApiError> {
    let job = &Job { world, request, caller: request.admit()?, manner };
    let failing = manner.failure.is_some() && request.method == "GET";
    if failing {
        return Err(ApiError::server(&request.id));
    }
    let id = &request.target;
    match request.route.name {
        "POST /v1/customers" => customers::create(job),
        "GET /v1/customers" => customers::list(job),
        "GET /v1/customers/search" => search::search(job),
        "GET /v1/customers/{id}" => customers::retrieve(job, id),
        "POST /v1/customers/{id}" => customers::update(job, id),
        "DELETE /v1/customers/{id}" => customers::delete(job, id),
        "GET /v1/account" => account::own(job),
        "GET /v1/accounts/{id}" => account::retrieve(job, id),
        "GET /v1/events" => events::list(job),
        "GET /v1/events/{id}" => events::retrieve(job, id),
        "POST /v1/webhook_endpoints" => webhooks::create(job),
        "GET /v1/webhook_endpoints" => webhooks::list(job),
        "GET /v1/webhook_endpoints/{id}" => webhooks::retrieve(job, id),
        "POST /v1/webhook_endpoints/{id}" => webhooks::update(job, id),
        "DELETE /v1/webhook_endpoints/{id}" => webhooks::delete(job, id),
        _ => {
            let mut state = world.state();
            let book = state.book(&job.caller.scope);
            let unrecognized = || ApiError::unrecognized(&request.method, &request.path);
            post::replay(job, book, world.clock.now_ms())?.ok_or_else(unrecognized)
        }
    }
}

fn reply(world: &World, request: &Request, done: Result<Done, ApiError>) -> Reply {
    let mut headers = vec![("Request-Id", request.id.clone())];
    headers.push(("Stripe-Version", request.version.clone()));
    let mut outcome = "answered";
    let (status, body) = match done {
        Ok(done) => {
            if let (Some(first), Some(key)) = (done.saved_by, &request.key) {
                if first != request.number {
                    outcome = "replayed";
                    headers.push(("Idempotent-Replayed", "true".to_owned()));
                }
                headers.push(("Idempotency-Key", key.clone()));
                headers.push(("Original-Request", ids::REQUEST.id(world.base, first)));
                headers.push(("Stripe-Should-Retry", "false".to_owned()));
            }
            (done.status, done.body)
        }
        Err(error) => {
            if error.status == 401 {
                headers.push(("WWW-Authenticate", "Basic realm=\"Stripe\"".to_owned()));
            }
            if error.status == 409 {
                outcome = "conflict";
            }
            (error.status, error.body())
        }
    };
    Reply { status, body, headers, outcome: Some(outcome) }
}

fn limited(request: &Request, reason: &str) -> Reply {
    let error = ApiError::rate_limit();
    let headers = vec![
        ("Request-Id", request.id.clone()),
        ("Stripe-Version", request.version.clone()),
        ("Stripe-Rate-Limited-Reason", reason.to_owned()),
    ];
    Reply { status: error.status, body: error.body(), headers, outcome: Some("limited") }
}

fn note(world: &World, request: &Request, fault: Option<&Fault>, ending: &Ending) {
    let kind = fault.map(|fault| fault.kind().name());
    let struck = kind.unwrap_or("stopped");
    let (status, outcome) = match ending {
        Ending::Answer(reply, _) => (Some(reply.status), reply.outcome.unwrap_or(struck)),
        Ending::Gateway => (Some(502), struck),
        Ending::Close | Ending::Reset | Ending::Refuse(_) => (None, struck),
    };
    let scope = request.caller.as_ref().ok().map(|caller| &caller.scope);
    let record = RequestRecord {
        id: request.id.clone(),
        at: request.came_ms.div_euclid(1000),
        method: request.method.clone(),
        path: request.path.clone(),
        account: scope.map(|scope| scope.account.clone()),
        livemode: scope.map(|scope| scope.livemode),
        idempotency_key: request.sent_key.clone(),
        status,
        outcome: outcome.to_owned(),
        fault: kind.map(str::to_owned),
    };
    world.log().note(request.route.name, &record);
}
