//! A single delivery, and the flush that makes every open delivery at once.

use std::time::Duration;

use super::settings::WebhookOrder;
use super::{http, sign};
use crate::clock;
use crate::ids;
use crate::state::State;
use crate::state::mutation::{Mutation, Scope, Target};
use crate::stripe::{endpoint, events, pretty};
use crate::world::World;

/// How long an endpoint may take to answer before the attempt has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the courier rests after a result that could not be written down.
const REST: Duration = Duration::from_secs(1);

/// An endpoint: its account and mode, and its position.
pub(super) type Address = (Scope, u32);

pub(super) fn address(target: &Target) -> Address {
    let livemode = target.scope.livemode;
    (Scope { account: target.owner.clone(), livemode }, target.endpoint)
}

/// Whether a delivery's endpoint is there and enabled.
pub(super) fn is_open(state: &State, target: &Target) -> bool {
    let (owner, at) = address(target);
    let endpoint = state.known(&owner).and_then(|book| book.endpoints.get(at as usize));
    endpoint.is_some_and(crate::state::hooks::Endpoint::is_enabled)
}

/// Makes all open deliveries now, due or not, each so many times, and returns how many were sent.
/// All other deliveries come between two copies of one.
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

/// Makes an attempt, and writes down how it went unless it is a repeated one. False if the delivery
/// is not open any more.
pub(super) async fn deliver(world: &World, target: &Target, again: bool) -> bool {
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
        // A delivery that cannot be sent has failed too, or it would be tried for ever.
        let at_ms = world.clock.now_ms();
        let attempted = Mutation::Attempted { target: target.clone(), at_ms, status };
        let written = world.state().commit(&attempted);
        // A result that cannot be written down leads to another delivery, after a rest.
        if written.is_err() {
            clock::pause(REST).await;
        }
    }
    sent
}

/// The URL of a delivery, the secret that signs it and its text. There is none if the delivery is
/// not open any more.
fn letter(world: &World, target: &Target, again: bool) -> Option<(String, String, String)> {
    let state = world.state();
    if !again && state.deliveries.get(target)?.due_ms.is_none() {
        return None;
    }
    let (owner, at) = address(target);
    let book = state.known(&owner)?;
    let hook = book.endpoints.get(at as usize).filter(|hook| hook.is_enabled())?;
    let account = Some(&*target.scope.account).filter(|account| *account != target.owner);
    let version = endpoint::version(hook);
    let event = events::object(&state, &target.scope, target.event, account, version)?;
    let url = hook.details.get("url")?.to_owned();
    Some((url, book.secret(at), pretty(&event)))
}
