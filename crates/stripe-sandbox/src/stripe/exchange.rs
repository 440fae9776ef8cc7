//! The life of one request, from its arrival to what leaves, faults and idempotency included.
//!
//! A fault strikes before the work, inside it or after it. The work itself is one step under the
//! state's lock: the key is looked up, the change is written to the journal and applied, and the
//! answer is saved, so a connection that breaks can never leave half of it behind.

use std::sync::Arc;
use std::time::Duration;

use super::error::ApiError;
use super::request::{Call, Request, Route};
use super::{account, customers, events, search};
use crate::clock::pause;
use crate::fault::{Fault, When};
use crate::report::RequestRecord;
use crate::state::book::Book;
use crate::state::mutation::{Save, Scope};
use crate::state::saved::{Answer, Found};
use crate::world::World;

/// What leaves.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Stripe's answer.
    Answer(Reply),
    /// The headers of Stripe's answer, and half its body.
    Cut(Reply),
    /// A proxy's 502.
    Gateway,
    /// Nothing: the connection is closed.
    Close,
    /// Nothing: the connection is reset.
    Reset,
}

/// An answer of Stripe's.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    outcome: &'static str,
}

/// What the work came to.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) status: u16,
    pub(super) body: String,
    /// The request whose answer is saved under the key, if one is.
    pub(super) saved_by: Option<String>,
}

impl Done {
    /// A plain 200.
    pub(super) fn ok(value: &impl serde::Serialize) -> Done {
        Done { status: 200, body: super::pretty(value), saved_by: None }
    }
}

/// How the work is to be done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// It ends in a 500 that is saved: with what it does done, or not.
    pub(super) failure: Option<Failing>,
    /// The request holds its key in flight since then.
    pub(super) held_since_ms: Option<i64>,
}

/// What a [`Fault::StoredError`] leaves behind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failing {
    pub(super) side_effect: bool,
}

/// Takes a request to its end.
pub(crate) async fn exchange(world: &Arc<World>, call: Call) -> Ending {
    let request = Request::read(world, call);
    let fault = world.arsenal().draw(request.target());
    let Some(Fault::Delay { ms, when }) = fault else {
        let ending = at_once(world, &request, fault.as_ref());
        note(world, &request, fault.as_ref(), &ending);
        return ending;
    };
    // Before anything else gets a turn: whoever comes next with this key finds it in flight.
    let hold = Hold::take(world, &request);
    // A task of its own: Stripe goes on with a request whose caller has hung up.
    let world = Arc::clone(world);
    let work = tokio::spawn(async move {
        let span = Duration::from_millis(ms);
        let ending = match hold {
            Ok(hold) => delayed(&world, &request, hold, span, when).await,
            Err(conflict) => Ending::Answer(reply(&request, Err(conflict))),
        };
        note(&world, &request, fault.as_ref(), &ending);
        ending
    });
    work.await.unwrap_or(Ending::Close)
}

fn at_once(world: &World, request: &Request, fault: Option<&Fault>) -> Ending {
    use Fault::{
        AnswerLost, BadGateway, RateLimited, RequestLost, Reset, ServerError, StoredError,
    };

    // Before the work.
    match fault {
        Some(RequestLost) => return Ending::Close,
        Some(Reset { when: When::Before }) => return Ending::Reset,
        Some(BadGateway { when: When::Before }) => return Ending::Gateway,
        Some(RateLimited { retry_after }) => {
            let mut reply = reply(request, Err(ApiError::rate_limit()));
            reply.headers.push(("Stripe-Rate-Limited-Reason", "global-rate".to_owned()));
            reply.headers.extend(retry_after.map(|s| ("Retry-After", s.to_string())));
            return Ending::Answer(reply);
        }
        Some(ServerError { should_retry }) => {
            let mut reply = reply(request, Err(ApiError::server(&request.id)));
            let again = should_retry.then(|| ("Stripe-Should-Retry", "true".to_owned()));
            reply.headers.extend(again);
            return Ending::Answer(reply);
        }
        _ => {}
    }
    let failure = match fault {
        Some(StoredError { side_effect }) => Some(Failing { side_effect: *side_effect }),
        _ => None,
    };
    let manner = Manner { failure, held_since_ms: None };
    let reply = reply(request, work(world, request, manner));
    // After it.
    match fault {
        Some(AnswerLost) => Ending::Close,
        Some(Reset { .. }) => Ending::Reset,
        Some(BadGateway { .. }) => Ending::Gateway,
        Some(Fault::TruncatedBody) => Ending::Cut(reply),
        _ => Ending::Answer(reply),
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
    let reply = reply(request, work(world, request, Manner { failure: None, held_since_ms }));
    if when == When::After && !waited(world, span).await {
        return Ending::Close;
    }
    Ending::Answer(reply)
}

/// Waits; false if the sandbox stopped meanwhile.
async fn waited(world: &World, span: Duration) -> bool {
    let mut stopped = world.stopped.clone();
    tokio::select! {
        () = pause(span) => true,
        _ = stopped.changed() => false,
    }
}

/// A key in flight, for as long as this lives.
struct Hold {
    world: Arc<World>,
    scope: Scope,
    key: String,
    since_ms: i64,
}

impl Hold {
    /// Takes the request's key, if it has one and nothing is saved under it yet.
    fn take(world: &Arc<World>, request: &Request) -> Result<Option<Hold>, ApiError> {
        let (Ok(caller), Some(key)) = (request.admit(), &request.key) else {
            return Ok(None);
        };
        let mut state = world.state();
        let since_ms = world.clock.now_ms();
        let saved = &mut state.book(&caller.scope).saved;
        match saved.find(key, since_ms, false) {
            Found::InFlight => return Err(ApiError::key_in_use(key)),
            Found::Saved(_) => return Ok(None),
            Found::Nothing => saved.hold(key),
        }
        let (world, scope) = (Arc::clone(world), caller.scope.clone());
        Ok(Some(Hold { world, scope, key: key.clone(), since_ms }))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.world.state().book(&self.scope).saved.release(&self.key);
    }
}

/// What a request is for.
fn work(world: &World, request: &Request, manner: Manner) -> Result<Done, ApiError> {
    let caller = request.admit()?;
    let failing = manner.failure.is_some() && request.method == "GET";
    if failing {
        return Err(ApiError::server(&request.id));
    }
    match &request.route {
        Route::CreateCustomer => customers::create(world, request, caller, manner),
        Route::ListCustomers => customers::list(world, request, caller),
        Route::SearchCustomers => search::search(world, request, caller),
        Route::RetrieveCustomer(id) => customers::retrieve(world, request, caller, id),
        Route::DeleteCustomer(id) => customers::delete(world, request, caller, id, manner),
        Route::OwnAccount => account::own(request, caller),
        Route::Account(id) => account::retrieve(request, caller, id),
        Route::ListEvents => events::list(world, request, caller),
        Route::RetrieveEvent(id) => events::retrieve(world, request, caller, id),
        Route::Unknown => {
            let mut state = world.state();
            let now_ms = world.clock.now_ms();
            let book = state.book(&caller.scope);
            match replay(book, request, now_ms, caller.scope.livemode, manner)? {
                Some(done) => Ok(done),
                None => Err(ApiError::unrecognized(&request.method, &request.path)),
            }
        }
    }
}

/// What the request's key says: go on (`None`), the saved answer again, or a refusal.
pub(super) fn replay(
    book: &Book,
    request: &Request,
    now_ms: i64,
    livemode: bool,
    manner: Manner,
) -> Result<Option<Done>, ApiError> {
    let Some(key) = &request.key else {
        return Ok(None);
    };
    let record = match book.saved.find(key, now_ms, manner.held_since_ms.is_some()) {
        Found::Nothing => return Ok(None),
        Found::InFlight => return Err(ApiError::key_in_use(key)),
        Found::Saved(record) => record,
    };
    if *record.endpoint != *request.path {
        return Err(ApiError::other_endpoint(key, &record.endpoint, &request.path));
    }
    if record.parameters != request.params.fingerprint() {
        return Err(ApiError::other_parameters(key));
    }
    let (status, body) = match &record.answer {
        Answer::Failed { status, body, .. } => (*status, body.to_string()),
        Answer::Created(position) => {
            let customer = book.at(*position);
            (200, super::pretty(&customer.object(customer.version(0), livemode)))
        }
    };
    Ok(Some(Done { status, body, saved_by: Some(book.first_request(record).to_owned()) }))
}

/// Under what the answer to a request will be saved.
pub(super) fn save(request: &Request, now_ms: i64, manner: Manner) -> Option<Save> {
    request.key.as_ref().map(|key| Save {
        key: key.clone(),
        endpoint: request.path.clone(),
        parameters: request.params.fingerprint(),
        first_used_ms: manner.held_since_ms.unwrap_or(now_ms),
    })
}

fn reply(request: &Request, done: Result<Done, ApiError>) -> Reply {
    let mut headers = vec![("Request-Id", request.id.clone())];
    headers.push(("Stripe-Version", request.version.clone()));
    let mut outcome = "answered";
    let (status, body) = match done {
        Ok(done) => {
            if let (Some(first), Some(key)) = (done.saved_by, &request.key) {
                if first != request.id {
                    outcome = "replayed";
                    headers.push(("Idempotent-Replayed", "true".to_owned()));
                }
                headers.push(("Idempotency-Key", key.clone()));
                headers.push(("Original-Request", first));
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
    Reply { status, body, headers, outcome }
}

fn note(world: &World, request: &Request, fault: Option<&Fault>, ending: &Ending) {
    let kind = fault.map(|fault| fault.kind().name());
    let (status, outcome) = match ending {
        Ending::Answer(reply) => (Some(reply.status), reply.outcome),
        Ending::Cut(reply) => (Some(reply.status), "truncated_body"),
        Ending::Gateway => (Some(502), "bad_gateway"),
        Ending::Close | Ending::Reset => (None, kind.unwrap_or("stopped")),
    };
    let outcome = match fault {
        Some(Fault::RateLimited { .. } | Fault::ServerError { .. }) => kind.unwrap_or(outcome),
        _ => outcome,
    };
    let scope = request.caller.as_ref().ok().map(|caller| &caller.scope);
    let record = RequestRecord {
        id: request.id.clone(),
        method: request.method.clone(),
        path: request.path.clone(),
        account: scope.map(|scope| scope.account.clone()),
        livemode: scope.map(|scope| scope.livemode),
        idempotency_key: request.sent_key.clone(),
        status,
        outcome: outcome.to_owned(),
        fault: kind.map(str::to_owned),
    };
    world.log().note(request.route.name(), record);
}
