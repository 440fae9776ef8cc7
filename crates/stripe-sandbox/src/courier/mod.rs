//! Delivers webhooks: signed, more than once, out of order and late, as configured.
//!
//! What is to be delivered is state, and so survives a crash; how, is here. Each endpoint gets its
//! deliveries one after the other, in the order they are due, so that disorder is what somebody asked
//! for and not what the scheduler made. All chances are a function of a seed, the event and the
//! endpoint.

mod http;
mod sign;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock;
use crate::ids;
use crate::state::State;
use crate::state::hooks::Target;
use crate::state::mutation::{Mutation, Scope};
use crate::stripe::{events, pretty, webhooks};
use crate::world::World;

/// An endpoint that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many deliveries are handed to an endpoint's task at once.
const BATCH: usize = 100;

/// How long what cannot be written down is left alone.
const BREATH: Duration = Duration::from_secs(1);

/// Nothing further off than this is waited for in one go.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Chances that deliveries come twice, or late and so out of order.
///
/// ```
/// use stripe_sandbox::WebhookChaos;
///
/// let chaos = WebhookChaos::new(7).duplicates(0.5).delays(0.3, 2_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[must_use]
pub struct WebhookChaos {
    pub(crate) seed: u64,
    pub(crate) duplicate: f64,
    pub(crate) delay: f64,
    pub(crate) max_delay_ms: u64,
}

impl WebhookChaos {
    /// No chances yet.
    pub fn new(seed: u64) -> WebhookChaos {
        WebhookChaos { seed, duplicate: 0.0, delay: 0.0, max_delay_ms: 0 }
    }

    /// How likely a delivery is to come twice, from 0 to 1; the second time after others.
    pub fn duplicates(mut self, probability: f64) -> WebhookChaos {
        self.duplicate = probability;
        self
    }

    /// How likely a first attempt is to come late, from 0 to 1, by up to so many milliseconds of
    /// sandbox time.
    pub fn delays(mut self, probability: f64, max_delay_ms: u64) -> WebhookChaos {
        self.delay = probability;
        self.max_delay_ms = max_delay_ms;
        self
    }
}

/// In which order deliveries that were held back are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookOrder {
    /// As the events happened.
    AsMade,
    /// The last one first.
    Reversed,
    /// As this seed has it.
    Shuffled(u64),
}

/// How deliveries are made at present.
#[derive(Debug, Default)]
pub(crate) struct Courier {
    settings: std::sync::Mutex<Settings>,
    news: Notify,
}

/// What somebody asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settings {
    pub(crate) held: bool,
    pub(crate) chaos: Option<WebhookChaos>,
}

impl Courier {
    pub(crate) fn settings(&self) -> Settings {
        *crate::world::locked(&self.settings)
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut crate::world::locked(&self.settings));
        self.wake();
    }

    /// Says that there may be something to do.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }
}

/// Whose endpoint, and which.
type Address = (Scope, u32);

fn address(target: &Target) -> Address {
    let livemode = target.scope.livemode;
    (Scope { account: target.owner.clone(), livemode }, target.endpoint)
}

/// Delivers until the world stops.
pub(crate) async fn run(world: Arc<World>) {
    let mut stopped = world.stopped.clone();
    let mut busy: HashSet<Address> = HashSet::new();
    let mut tasks: JoinSet<Address> = JoinSet::new();
    loop {
        let (batches, wait) = plan(&world, &busy);
        for (address, batch) in batches {
            busy.insert(address.clone());
            let world = Arc::clone(&world);
            tasks.spawn(async move {
                for (target, again) in batch {
                    if world.courier.settings().held {
                        break;
                    }
                    deliver(&world, &target, again).await;
                }
                address
            });
        }
        tokio::select! {
            Some(done) = tasks.join_next() => match done {
                Ok(address) => { busy.remove(&address); }
                // It panicked: which one it was is lost with it, so all may be tried again.
                Err(_) => busy.clear(),
            },
            () = world.courier.news.notified() => {}
            () = clock::pause(wait) => {}
            _ = stopped.changed() => return,
        }
    }
}

/// A delivery, and whether it is one that comes again.
type Batch = Vec<(Target, bool)>;

/// What is due now at endpoints that are not busy, and how long until the next is.
fn plan(world: &World, busy: &HashSet<Address>) -> (BTreeMap<Address, Batch>, Duration) {
    let settings = world.courier.settings();
    let mut batches: BTreeMap<Address, Batch> = BTreeMap::new();
    if settings.held {
        return (batches, LONGEST_WAIT);
    }
    let state = world.state();
    let now_ms = world.clock.now_ms();
    let mut wait_ms = LONGEST_WAIT.as_millis() as i64;
    let mut due: Vec<(i64, &Target)> = Vec::new();
    for (target, delivery) in state.deliveries.iter() {
        let (Some(due_ms), false) = (delivery.due_ms, busy.contains(&address(target))) else {
            continue;
        };
        let late = if delivery.attempts == 0 { draws(&settings, target).1 } else { 0 };
        let at_ms = due_ms.saturating_add(late);
        if !is_open(&state, target) {
            continue;
        }
        if at_ms > now_ms {
            wait_ms = wait_ms.min(at_ms - now_ms);
        } else {
            due.push((at_ms, target));
        }
    }
    due.sort();
    for (_, target) in due {
        let batch = batches.entry(address(target)).or_default();
        if batch.len() < BATCH {
            batch.push((target.clone(), false));
        }
    }
    for batch in batches.values_mut() {
        let twice: Vec<_> = batch.iter().filter(|(target, _)| draws(&settings, target).0).collect();
        let twice: Batch = twice.into_iter().map(|(target, _)| (target.clone(), true)).collect();
        batch.extend(twice);
    }
    (batches, Duration::from_millis(wait_ms.unsigned_abs()))
}

/// Whether a delivery is to come twice, and by how many milliseconds it is late.
fn draws(settings: &Settings, target: &Target) -> (bool, i64) {
    let Some(chaos) = settings.chaos else {
        return (false, 0);
    };
    let identity = ids::hash(format!("{} {}", target.owner, target.scope.account).as_bytes());
    let places = u64::from(target.event) << 32 | u64::from(target.endpoint);
    let draw = ids::mix(ids::mix(chaos.seed) ^ identity ^ ids::mix(places));
    let next = ids::mix(draw);
    let late = if ids::unit(next) < chaos.delay {
        (ids::unit(ids::mix(next)) * chaos.max_delay_ms as f64) as i64
    } else {
        0
    };
    (ids::unit(draw) < chaos.duplicate, late)
}

fn is_open(state: &State, target: &Target) -> bool {
    let (owner, at) = address(target);
    let endpoint = state.known(&owner).and_then(|book| book.endpoints.get(at as usize));
    endpoint.is_some_and(crate::state::hooks::Endpoint::is_enabled)
}

/// Sends everything that is on its way now, due or not, each so many times; returns how many were
/// sent. Between two copies of one come the others.
pub(crate) async fn flush(world: &World, order: WebhookOrder, copies: u32) -> usize {
    let mut targets: Vec<Target> = {
        let state = world.state();
        let pending = state.deliveries.iter().filter(|(_, delivery)| delivery.due_ms.is_some());
        pending.map(|(target, _)| target.clone()).filter(|target| is_open(&state, target)).collect()
    };
    match order {
        WebhookOrder::AsMade => {}
        WebhookOrder::Reversed => targets.reverse(),
        WebhookOrder::Shuffled(seed) => targets.sort_by_key(|target| {
            ids::mix(
                ids::mix(seed) ^ ids::mix(u64::from(target.event)) ^ u64::from(target.endpoint),
            )
        }),
    }
    let mut sent = 0;
    for copy in 0..copies {
        for target in &targets {
            sent += usize::from(deliver(world, target, copy > 0).await);
        }
    }
    sent
}

/// Makes an attempt, and writes down how it went unless it is one that came `again`; false if there
/// was nothing to send any more.
async fn deliver(world: &World, target: &Target, again: bool) -> bool {
    let letter = letter(world, target, again);
    let sent = letter.is_some();
    let mut status = None;
    if let Some((url, secret, body)) = letter {
        let signature = sign::header(&secret, clock::real_seconds(), &body);
        status = tokio::select! {
            status = http::post(&url, &signature, body) => status.ok(),
            () = clock::pause(PATIENCE) => None,
        };
        world.log().counters.webhook(status.is_some_and(|status| (200..300).contains(&status)));
    }
    if !again {
        // What cannot be sent has failed as well, or it would be tried for ever.
        let at_ms = world.clock.now_ms();
        let attempted = Mutation::Attempted { target: target.clone(), at_ms, status };
        let written = world.state().commit(&attempted);
        // If it cannot be written down, it is delivered again: at least once, but not at once.
        if written.is_err() {
            clock::pause(BREATH).await;
        }
    }
    sent
}

/// Where a delivery goes, the secret it is signed with, and what it says; none if it is no more to be
/// made.
fn letter(world: &World, target: &Target, again: bool) -> Option<(String, String, String)> {
    let state = world.state();
    if !again && state.deliveries.get(target)?.due_ms.is_none() {
        return None;
    }
    let (owner, at) = address(target);
    let book = state.known(&owner)?;
    let endpoint = book.endpoints.get(at as usize).filter(|endpoint| endpoint.is_enabled())?;
    let account = Some(&*target.scope.account).filter(|account| *account != target.owner);
    let version = webhooks::version(endpoint);
    let event = events::object(&state, &target.scope, target.event, account, version)?;
    let url = endpoint.details.get("url")?.to_owned();
    Some((url, book.secret(at), pretty(&event)))
}
