//! Rules and chances from JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::input::{BadInput, Chance, Count, Millis, Within, fields, read};
use crate::chaos::Chaos;
use crate::courier::settings::WebhookChaos;
use crate::fault::{Fault, FaultKind, When};
use crate::rule::Rule;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleInput {
    method: Option<String>,
    path_prefix: Option<String>,
    tenant: Option<String>,
    idempotency_key_contains: Option<String>,
    nth: Option<Count>,
    times: Option<Count>,
    fault: Value,
}

pub(super) fn rule(body: &[u8]) -> Result<Rule, BadInput> {
    let input: RuleInput = read(body)?;
    let mut rule = Rule::new(fault(input.fault)?);
    rule.method = input.method.map(|method| method.to_ascii_uppercase());
    rule.path_prefix = input.path_prefix;
    rule.tenant = input.tenant;
    rule.idempotency_key_contains = input.idempotency_key_contains;
    rule.nth = input.nth.map(|nth| nth.0);
    rule.times = input.times.map_or(rule.times, |times| times.0);
    Ok(rule)
}

/// Everything that some kind of fault has beside its kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Particulars {
    ms: Option<Millis>,
    #[serde(default)]
    when: Option<When>,
    retry_after: Option<u64>,
    should_retry: Option<bool>,
    side_effect: Option<bool>,
    seconds: Option<u64>,
    status: Option<Within<409, 429>>,
}

/// Reads a fault: its kind, and the particulars of that kind.
fn fault(value: Value) -> Result<Fault, BadInput> {
    let mut given: Map<String, Value> = fields(value, "fault")?;
    let kind = given.remove("kind").ok_or_else(|| BadInput::new("fault.kind", "is missing"))?;
    let names: Vec<String> = given.keys().cloned().collect();
    let kind = kind.as_str().and_then(FaultKind::named).ok_or_else(|| {
        let names = FaultKind::ALL.map(FaultKind::name).join(", ");
        BadInput::new("fault.kind", format!("must be one of {names}"))
    })?;
    let of: Particulars = fields(given.into(), "fault")?;
    let missing = |name: &str| BadInput::new(&format!("fault.{name}"), "is missing");
    let ms = of.ms.map(|ms| ms.0).ok_or_else(|| missing("ms"));
    let when = of.when.unwrap_or(When::Before);
    let fault = match kind {
        FaultKind::RequestLost => Fault::RequestLost,
        FaultKind::AnswerLost => Fault::AnswerLost,
        FaultKind::Delay => Fault::Delay { ms: ms?, when },
        FaultKind::Reset => Fault::Reset { when },
        FaultKind::TruncatedBody => Fault::TruncatedBody,
        FaultKind::BadGateway => Fault::BadGateway { when },
        FaultKind::RateLimited => Fault::RateLimited { retry_after: of.retry_after },
        FaultKind::ServerError => {
            Fault::ServerError { should_retry: of.should_retry.unwrap_or(false) }
        }
        FaultKind::StoredError => Fault::StoredError {
            side_effect: of.side_effect.ok_or_else(|| missing("side_effect"))?,
        },
        FaultKind::LateEffect => {
            Fault::LateEffect { seconds: of.seconds.ok_or_else(|| missing("seconds"))? }
        }
        FaultKind::SlowHeaders => Fault::SlowHeaders { ms: ms? },
        FaultKind::SlowBody => Fault::SlowBody { ms: ms? },
        FaultKind::LockTimeout => match of.status.map_or(429, |status| status.0) {
            409 => Fault::LockTimeout { status: 409 },
            429 => Fault::LockTimeout { status: 429 },
            _ => return Err(BadInput::new("fault.status", "must be 429 or 409")),
        },
        FaultKind::ConnectionRefused => Fault::ConnectionRefused { ms: ms? },
    };
    let own = json!(fault);
    match names.iter().find(|name| own.get(name).is_none()) {
        None => Ok(fault),
        Some(name) => {
            let message = format!("is not known for the kind {}", kind.name());
            Err(BadInput::new(&format!("fault.{name}"), message))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChaosInput {
    seed: u64,
    probabilities: BTreeMap<String, Chance>,
    methods: Option<Vec<String>>,
    max_delay_ms: Option<Millis>,
}

pub(super) fn chaos(body: &[u8]) -> Result<Chaos, BadInput> {
    let input: ChaosInput = read(body)?;
    let mut chaos = Chaos::new(input.seed);
    for (name, Chance(probability)) in &input.probabilities {
        let kind = FaultKind::named(name).ok_or_else(|| {
            BadInput::new(&format!("probabilities.{name}"), "is not a kind of fault")
        })?;
        chaos = chaos.with(kind, *probability);
    }
    let sum: f64 = chaos.probabilities.values().sum();
    // The sum of decimal fractions may be a little over.
    if sum > 1.0 + 1e-9 {
        let message = format!("add up to {sum}, but at most one fault strikes a request");
        return Err(BadInput::new("probabilities", message));
    }
    if let Some(methods) = input.methods {
        chaos.methods = methods.iter().map(|method| method.to_ascii_uppercase()).collect();
    }
    chaos.max_delay_ms = input.max_delay_ms.map_or(chaos.max_delay_ms, |ms| ms.0);
    Ok(chaos)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookChaosInput {
    seed: u64,
    duplicate: Option<Chance>,
    delay: Option<Chance>,
    max_delay_ms: Option<Millis>,
}

impl WebhookChaosInput {
    pub(super) fn chaos(self) -> WebhookChaos {
        let ms = self.max_delay_ms.map_or(1000, |ms| ms.0);
        WebhookChaos::new(self.seed)
            .duplicates(self.duplicate.unwrap_or_default().0)
            .delays(self.delay.unwrap_or_default().0, ms)
    }
}
