//! The controls themselves, by the names that their operations have in the OpenAPI document.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::input::{Millis, Refusal, Within, read};
use super::rule::WebhookChaosInput;
use super::{rule, view};
use crate::config::Lag;
use crate::courier;
use crate::courier::settings::WebhookOrder;
use crate::limits::RateLimits;
use crate::world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    email: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    /// At most a hundred years. Times beyond that make no sense.
    advance_seconds: Within<0, { 100 * 366 * 24 * 3600 }>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LagInput {
    search_seconds: Option<u64>,
    events_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outage {
    ms: Millis,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Webhooks {
    held: Option<bool>,
    chaos: Option<WebhookChaosInput>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flush {
    order: Option<Order>,
    seed: Option<u64>,
    copies: Option<Within<0, 100>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    AsMade,
    Reversed,
    Shuffled,
}

/// Does a control. `id` is the one in the path.
pub(super) async fn run(
    operation: &str,
    world: &World,
    id: &str,
    body: &[u8],
) -> Result<Value, Refusal> {
    let found = |found: bool| if found { Ok(ok()) } else { Err(Refusal::NoSuchCustomer) };
    match operation {
        "customers" => Ok(json!({"customers": world.customers(u32::MAX)})),
        "editCustomer" => found(world.edit_email(id, &read::<Edit>(body)?.email)),
        "deleteCustomer" => found(world.delete_customer(id)),
        "requests" => Ok(json!({"requests": world.log().last(usize::MAX)})),
        "counters" => Ok(json!(world.counters())),
        "clock" => Ok(view::clock(world)),
        "advanceClock" => {
            let span = Duration::from_secs(read::<Advance>(body)?.advance_seconds.0);
            world.advance(span).map_err(Refusal::File)?;
            Ok(view::clock(world))
        }
        "faults" => Ok(view::faults(world)),
        "armFault" => {
            world.arsenal().arm(rule::rule(body)?);
            Ok(view::faults(world))
        }
        "disarmFaults" => {
            world.arsenal().disarm();
            Ok(view::faults(world))
        }
        "setChaos" => {
            let chaos = rule::chaos(body)?;
            world.arsenal().set_chaos(Some(chaos));
            Ok(view::faults(world))
        }
        "endChaos" => {
            world.arsenal().set_chaos(None);
            Ok(view::faults(world))
        }
        "lag" => Ok(json!(world.lag())),
        "setLag" => {
            let (LagInput { search_seconds, events_seconds }, now) = (read(body)?, world.lag());
            world.set_lag(Lag {
                search_seconds: search_seconds.unwrap_or(now.search_seconds),
                events_seconds: events_seconds.unwrap_or(now.events_seconds),
            });
            Ok(json!(world.lag()))
        }
        "limits" => Ok(json!(world.limiter().limits)),
        "setLimits" => {
            let limits: RateLimits = read(body)?;
            world.limiter().set(limits);
            Ok(json!(limits))
        }
        "outage" => {
            let Millis { 0: ms } = read::<Outage>(body)?.ms;
            world.refuse(Duration::from_millis(ms)).await;
            Ok(json!({"ms": ms}))
        }
        "webhooks" => Ok(view::webhooks(world)),
        "setWebhooks" => {
            let Webhooks { held, chaos } = read(body)?;
            world.courier.set(|settings| {
                settings.held = held.unwrap_or(settings.held);
                settings.chaos = chaos.map(WebhookChaosInput::chaos);
            });
            Ok(view::webhooks(world))
        }
        "flushWebhooks" => {
            let Flush { order, seed, copies } = read(body)?;
            let order = match order.unwrap_or(Order::AsMade) {
                Order::AsMade => WebhookOrder::AsMade,
                Order::Reversed => WebhookOrder::Reversed,
                Order::Shuffled => WebhookOrder::Shuffled(seed.unwrap_or(0)),
            };
            let copies = copies.map_or(1, |copies| copies.0 as u32);
            Ok(json!({"delivered": courier::flush(world, order, copies).await}))
        }
        "reset" => {
            world.reset().map_err(Refusal::File)?;
            Ok(ok())
        }
        "health" => Ok(ok()),
        _ => Err(Refusal::NoSuchControl),
    }
}

fn ok() -> Value {
    json!({"status": "ok"})
}
