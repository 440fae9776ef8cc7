//! `/_sandbox/…`: looking into the sandbox and breaking it, over HTTP.
//!
//! It is the Rust API once more, for tests in other languages and for people with curl. There is no
//! authentication: whoever reaches the port owns the sandbox.

mod input;
mod rule;

use std::time::Duration;

use serde_json::{Value, json};

use self::input::{BadInput, Field, Input};
use crate::config::Lag;
use crate::world::World;

/// The longest step of the clock, a hundred years: beyond it, times stop making sense.
const LONGEST_STEP: u64 = 100 * 366 * 24 * 3600;

/// Answers a control request with a status and JSON. `what` is the path after `/_sandbox/`.
pub(crate) fn answer(world: &World, method: &str, what: &str, body: &[u8]) -> (u16, String) {
    let (status, value) = match run(world, method, what, body) {
        Ok(value) => (200, value),
        Err(Refusal::Input(BadInput { field, message })) => {
            (400, json!({"error": {"field": field, "message": message}}))
        }
        Err(Refusal::NoSuchPath) => {
            let message = format!("No such control endpoint: {method} /_sandbox/{what}");
            (404, json!({"error": {"message": message}}))
        }
        Err(Refusal::Journal(why)) => {
            let message = format!("The state file could not be written: {why}");
            (500, json!({"error": {"message": message}}))
        }
    };
    (status, format!("{value:#}\n"))
}

enum Refusal {
    Input(BadInput),
    NoSuchPath,
    Journal(std::io::Error),
}

impl From<BadInput> for Refusal {
    fn from(bad: BadInput) -> Refusal {
        Refusal::Input(bad)
    }
}

fn run(world: &World, method: &str, what: &str, body: &[u8]) -> Result<Value, Refusal> {
    match (method, what) {
        ("GET", "health") => Ok(json!({"status": "ok"})),
        ("GET", "customers") => Ok(json!({"customers": world.customers()})),
        ("GET", "requests") => Ok(json!({"requests": world.log().requests})),
        ("GET", "counters") => Ok(json!(world.log().counters)),
        ("GET", "clock") => Ok(clock(world)),
        ("POST", "clock") => {
            let mut input = Input::read(body)?;
            let seconds =
                input.required("advance_seconds", |value| value.whole_up_to(LONGEST_STEP))?;
            input.end()?;
            world.advance(Duration::from_secs(seconds)).map_err(Refusal::Journal)?;
            Ok(clock(world))
        }
        ("GET", "faults") => Ok(faults(world)),
        ("POST", "faults") => {
            world.arsenal().arm(rule::rule(Input::read(body)?)?);
            Ok(faults(world))
        }
        ("DELETE", "faults") => {
            world.arsenal().disarm();
            Ok(faults(world))
        }
        ("PUT", "chaos") => {
            let chaos = rule::chaos(Input::read(body)?)?;
            world.arsenal().set_chaos(Some(chaos));
            Ok(faults(world))
        }
        ("GET", "lag") => Ok(json!(world.lag())),
        ("PUT", "lag") => {
            let mut input = Input::read(body)?;
            let now = world.lag();
            let mut seconds =
                |name, now| Ok::<_, BadInput>(input.optional(name, Field::whole)?.unwrap_or(now));
            let lag = Lag {
                search_seconds: seconds("search_seconds", now.search_seconds)?,
                events_seconds: seconds("events_seconds", now.events_seconds)?,
            };
            input.end()?;
            world.set_lag(lag);
            Ok(json!(lag))
        }
        ("POST", "reset") => {
            world.reset().map_err(Refusal::Journal)?;
            Ok(json!({"status": "ok"}))
        }
        _ => Err(Refusal::NoSuchPath),
    }
}

fn clock(world: &World) -> Value {
    let now = world.clock.now_ms().div_euclid(1000);
    json!({"now": now, "ahead_seconds": world.clock.offset_ms().div_euclid(1000)})
}

fn faults(world: &World) -> Value {
    let arsenal = world.arsenal();
    let rules = arsenal.rules.iter().map(|armed| {
        let mut rule = json!(armed.rule);
        rule["matched"] = armed.matched.into();
        rule["struck"] = armed.struck.into();
        rule
    });
    json!({"rules": rules.collect::<Vec<_>>(), "chaos": arsenal.chaos()})
}
