//! What each control does.

use std::time::Duration;

use serde_json::{Value, json};

use super::input::{BadInput, Field, Input};
use super::{Refusal, rule, view};
use crate::config::Lag;
use crate::courier::{self, WebhookOrder};
use crate::limits::RateLimits;
use crate::world::World;

/// The longest step of the clock, a hundred years: beyond it, times stop making sense.
const LONGEST_STEP: u64 = 100 * 366 * 24 * 3600;

/// Nobody wants a delivery more often.
const MOST_COPIES: u64 = 100;

/// A control.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    Page,
    OpenApi,
    Health,
    Customers,
    EditCustomer,
    DeleteCustomer,
    Requests,
    Counters,
    Clock,
    Advance,
    Faults,
    Arm,
    Disarm,
    SetChaos,
    EndChaos,
    Lag,
    SetLag,
    Limits,
    SetLimits,
    Outage,
    Webhooks,
    SetWebhooks,
    FlushWebhooks,
    Reset,
}

impl Action {
    /// Does it. `id` is the one in the path.
    pub(super) async fn run(self, world: &World, id: &str, body: &[u8]) -> Result<Value, Refusal> {
        let read = || Input::read(body);
        match self {
            // These two are no JSON of ours, and answered before.
            Action::Page | Action::OpenApi | Action::Health => Ok(json!({"status": "ok"})),
            Action::Customers => Ok(json!({"customers": world.customers()})),
            Action::EditCustomer => {
                let mut input = read()?;
                let email = input.required("email", Field::text)?;
                input.end()?;
                done(world.edit_email(id, &email))
            }
            Action::DeleteCustomer => done(world.delete_customer(id)),
            Action::Requests => Ok(json!({"requests": world.log().last(usize::MAX, world.base)})),
            Action::Counters => Ok(json!(world.counters())),
            Action::Clock => Ok(view::clock(world)),
            Action::Advance => {
                let mut input = read()?;
                let seconds =
                    input.required("advance_seconds", |value| value.whole_up_to(LONGEST_STEP))?;
                input.end()?;
                world.advance(Duration::from_secs(seconds)).map_err(Refusal::Journal)?;
                Ok(view::clock(world))
            }
            Action::Faults => Ok(view::faults(world)),
            Action::Arm => {
                world.arsenal().arm(rule::rule(read()?)?);
                Ok(view::faults(world))
            }
            Action::Disarm => {
                world.arsenal().disarm();
                Ok(view::faults(world))
            }
            Action::SetChaos => {
                let chaos = rule::chaos(read()?)?;
                world.arsenal().set_chaos(Some(chaos));
                Ok(view::faults(world))
            }
            Action::EndChaos => {
                world.arsenal().set_chaos(None);
                Ok(view::faults(world))
            }
            Action::Lag => Ok(json!(world.lag())),
            Action::SetLag => {
                world.set_lag(lag(read()?, world.lag())?);
                Ok(json!(world.lag()))
            }
            Action::Limits => Ok(json!(world.limiter().limits)),
            Action::SetLimits => {
                let limits = limits(read()?)?;
                world.limiter().set(limits);
                Ok(json!(limits))
            }
            Action::Outage => {
                let mut input = read()?;
                let ms = input.required("ms", rule::ms)?;
                input.end()?;
                world.refuse(Duration::from_millis(ms)).await;
                Ok(json!({"ms": ms}))
            }
            Action::Webhooks => Ok(view::webhooks(world)),
            Action::SetWebhooks => {
                set_webhooks(world, read()?)?;
                Ok(view::webhooks(world))
            }
            Action::FlushWebhooks => {
                let (order, copies) = flush(read()?)?;
                Ok(json!({"delivered": courier::flush(world, order, copies).await}))
            }
            Action::Reset => {
                world.reset().map_err(Refusal::Journal)?;
                Ok(json!({"status": "ok"}))
            }
        }
    }
}

fn done(found: bool) -> Result<Value, Refusal> {
    if found { Ok(json!({"status": "ok"})) } else { Err(Refusal::NoSuchCustomer) }
}

/// What is not said stays as it is.
fn lag(mut input: Input, now: Lag) -> Result<Lag, BadInput> {
    let mut seconds =
        |name, now| Ok::<_, BadInput>(input.optional(name, Field::whole)?.unwrap_or(now));
    let lag = Lag {
        search_seconds: seconds("search_seconds", now.search_seconds)?,
        events_seconds: seconds("events_seconds", now.events_seconds)?,
    };
    input.end()?;
    Ok(lag)
}

/// What is not said is not limited.
fn limits(mut input: Input) -> Result<RateLimits, BadInput> {
    let most = u64::from(u32::MAX);
    let mut limit = |name| {
        let limit = input.optional(name, |field| field.whole_up_to(most))?;
        Ok::<_, BadInput>(limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)))
    };
    let limits = RateLimits {
        account_per_second: limit("account_per_second")?,
        endpoint_per_second: limit("endpoint_per_second")?,
        search_per_second: limit("search_per_second")?,
        account_concurrent: limit("account_concurrent")?,
        endpoint_concurrent: limit("endpoint_concurrent")?,
    };
    input.end()?;
    Ok(limits)
}

/// `held` stays as it is unless said; chances that are not said end.
fn set_webhooks(world: &World, mut input: Input) -> Result<(), BadInput> {
    let held = input.optional("held", Field::flag)?;
    let chaos = input.optional("chaos", rule::webhook_chaos)?;
    input.end()?;
    world.courier.set(|settings| {
        settings.held = held.unwrap_or(settings.held);
        settings.chaos = chaos;
    });
    Ok(())
}

/// As the events happened, and once, unless said.
fn flush(mut input: Input) -> Result<(WebhookOrder, u32), BadInput> {
    let order = |field: Field| match &field {
        _ if field.is("as_made") => Ok("as_made"),
        _ if field.is("reversed") => Ok("reversed"),
        _ if field.is("shuffled") => Ok("shuffled"),
        _ => field.bad("must be \"as_made\", \"reversed\" or \"shuffled\""),
    };
    let order = input.optional("order", order)?.unwrap_or("as_made");
    let seed = input.optional("seed", Field::whole)?.unwrap_or(0);
    let copies = input.optional("copies", |field| field.whole_up_to(MOST_COPIES))?.unwrap_or(1);
    input.end()?;
    let order = match order {
        "reversed" => WebhookOrder::Reversed,
        "shuffled" => WebhookOrder::Shuffled(seed),
        _ => WebhookOrder::AsMade,
    };
    Ok((order, copies as u32))
}
