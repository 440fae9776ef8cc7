//! Rules and chaos from JSON.

use super::input::{BadInput, Field, Input};
use crate::chaos::Chaos;
use crate::courier::WebhookChaos;
use crate::fault::{Fault, FaultKind, When};
use crate::rule::Rule;

/// Longer than any caller waits.
const LONGEST_DELAY_MS: u64 = 24 * 3600 * 1000;

/// Reads `{method?, path_prefix?, tenant?, idempotency_key_contains?, nth?, times?, fault}`.
pub(super) fn rule(mut input: Input) -> Result<Rule, BadInput> {
    let mut rule = Rule::new(input.required("fault", |field| fault(field.object()?))?);
    if let Some(method) = input.optional("method", Field::text)? {
        rule = rule.method(&method);
    }
    rule.path_prefix = input.optional("path_prefix", Field::text)?;
    rule.tenant = input.optional("tenant", Field::text)?;
    rule.idempotency_key_contains = input.optional("idempotency_key_contains", Field::text)?;
    rule.nth = input.optional("nth", Field::counted)?;
    if let Some(times) = input.optional("times", Field::counted)? {
        rule = rule.times(times);
    }
    input.end()?;
    Ok(rule)
}

/// Reads `{"kind": …}` and what belongs to that kind.
fn fault(mut input: Input) -> Result<Fault, BadInput> {
    let fault = match input.required("kind", kind)? {
        FaultKind::RequestLost => Fault::RequestLost,
        FaultKind::AnswerLost => Fault::AnswerLost,
        FaultKind::Delay => Fault::Delay { ms: input.required("ms", ms)?, when: when(&mut input)? },
        FaultKind::Reset => Fault::Reset { when: when(&mut input)? },
        FaultKind::TruncatedBody => Fault::TruncatedBody,
        FaultKind::BadGateway => Fault::BadGateway { when: when(&mut input)? },
        FaultKind::RateLimited => {
            Fault::RateLimited { retry_after: input.optional("retry_after", Field::whole)? }
        }
        FaultKind::ServerError => {
            let should_retry = input.optional("should_retry", Field::flag)?.unwrap_or(false);
            Fault::ServerError { should_retry }
        }
        FaultKind::StoredError => {
            Fault::StoredError { side_effect: input.required("side_effect", Field::flag)? }
        }
        FaultKind::LateEffect => {
            Fault::LateEffect { seconds: input.required("seconds", Field::whole)? }
        }
        FaultKind::SlowHeaders => Fault::SlowHeaders { ms: input.required("ms", ms)? },
        FaultKind::SlowBody => Fault::SlowBody { ms: input.required("ms", ms)? },
        FaultKind::LockTimeout => {
            Fault::LockTimeout { status: input.optional("status", lock_status)?.unwrap_or(429) }
        }
        FaultKind::ConnectionRefused => Fault::ConnectionRefused { ms: input.required("ms", ms)? },
    };
    input.end()?;
    Ok(fault)
}

fn kind(field: Field) -> Result<FaultKind, BadInput> {
    let names = FaultKind::ALL.map(FaultKind::name).join(", ");
    let unknown = field.bad(&format!("must be one of {names}"));
    let name = field.text()?;
    FaultKind::ALL.into_iter().find(|kind| kind.name() == name).map_or(unknown, Ok)
}

/// Milliseconds that a caller may have to wait.
pub(super) fn ms(field: Field) -> Result<u64, BadInput> {
    field.whole_up_to(LONGEST_DELAY_MS)
}

fn lock_status(field: Field) -> Result<u16, BadInput> {
    let wrong = field.bad("must be 429 or 409");
    match field.whole()? {
        409 => Ok(409),
        429 => Ok(429),
        _ => wrong,
    }
}

/// `before` unless said.
fn when(input: &mut Input) -> Result<When, BadInput> {
    let read = |field: Field| match &field {
        _ if field.is("before") => Ok(When::Before),
        _ if field.is("after") => Ok(When::After),
        _ => field.bad("must be \"before\" or \"after\""),
    };
    Ok(input.optional("when", read)?.unwrap_or(When::Before))
}

/// Reads `{seed, probabilities, methods?, max_delay_ms?}`.
pub(super) fn chaos(mut input: Input) -> Result<Chaos, BadInput> {
    let mut chaos = Chaos::new(input.required("seed", Field::whole)?);
    let probabilities = input.required("probabilities", Field::object)?;
    let mut sum = 0.0;
    for (name, field) in probabilities.rest() {
        let Some(kind) = FaultKind::ALL.into_iter().find(|kind| kind.name() == name) else {
            return field.bad("is no kind of fault");
        };
        let probability = field.probability()?;
        sum += probability;
        chaos = chaos.with(kind, probability);
    }
    // A little over is what adding decimal fractions comes to.
    if sum > 1.0 + 1e-9 {
        let message = format!("come to {sum}, and at most one fault strikes a request");
        return Err(BadInput { field: "probabilities".to_owned(), message });
    }
    if let Some(methods) = input.optional("methods", Field::texts)? {
        let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
        chaos = chaos.methods(&methods);
    }
    if let Some(ms) = input.optional("max_delay_ms", ms)? {
        chaos = chaos.max_delay_ms(ms);
    }
    input.end()?;
    Ok(chaos)
}

/// Reads `{seed, duplicate?, delay?, max_delay_ms?}`.
pub(super) fn webhook_chaos(field: Field) -> Result<WebhookChaos, BadInput> {
    let mut input = field.object()?;
    let mut chaos = WebhookChaos::new(input.required("seed", Field::whole)?);
    if let Some(probability) = input.optional("duplicate", Field::probability)? {
        chaos = chaos.duplicates(probability);
    }
    let delay = input.optional("delay", Field::probability)?.unwrap_or(0.0);
    chaos = chaos.delays(delay, input.optional("max_delay_ms", ms)?.unwrap_or(1000));
    input.end()?;
    Ok(chaos)
}
