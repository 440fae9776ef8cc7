//! The courier's loop: it finds what is due and hands each endpoint its deliveries.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::deliver::{Address, address, deliver, is_open};
use super::settings::Settings;
use crate::clock;
use crate::ids;
use crate::state::mutation::Target;
use crate::world::World;

/// The most deliveries that are handed to an endpoint's task at once.
const BATCH: usize = 100;

/// The longest time that the courier sleeps without looking again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

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
                // The task panicked, and which endpoint it served is lost. All may be tried again.
                Err(_) => busy.clear(),
            },
            () = world.courier.news.notified() => {}
            () = clock::pause(wait) => {}
            _ = stopped.changed() => return,
        }
    }
}

/// Deliveries, and whether each is a repeated one.
type Batch = Vec<(Target, bool)>;

/// The deliveries that are due at endpoints that are not busy, and the time until the next one is.
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

/// Whether a delivery comes twice, and by how many milliseconds it is late.
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
