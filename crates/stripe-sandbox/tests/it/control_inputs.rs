//! Control inputs, good and bad: a refusal names the field, and a rule that was read is shown in a
//! form that reads as the same rule.

use parser_inputs::{bytes, check, letters, texts};
use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    prop_oneof,
    sample::select,
};
use serde_json::Value;

use crate::inputs::Bench;

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"fault\":",
    "\"kind\":",
    "\"answer_lost\"",
    "\"delay\"",
    "\"ms\":",
    "5",
    "\"seed\":",
    "\"probabilities\":",
    "\"times\":",
    "\"nth\":",
    "null",
    "true",
    "\"x\"",
    "0.5",
    " ",
];

/// A value that belongs there, and sometimes another.
fn value(good: &'static str) -> impl Strategy<Value = &'static str> {
    let others = [
        "null",
        "true",
        "\"x\"",
        "{}",
        "[]",
        "-1",
        "0",
        "0.5",
        "1e400",
        "18446744073709551615",
        "18446744073709551616",
    ];
    prop_oneof![9 => select(vec![good]), 1 => select(others.to_vec())]
}

fn faults() -> impl Strategy<Value = String> {
    let kinds = [
        r#"{"kind":"request_lost"}"#,
        r#"{"kind":"delay","ms":5,"when":"after"}"#,
        r#"{"kind":"reset","when":"before"}"#,
        r#"{"kind":"rate_limited","retry_after":3}"#,
        r#"{"kind":"server_error","should_retry":true}"#,
        r#"{"kind":"stored_error","side_effect":false}"#,
        r#"{"kind":"late_effect","seconds":600}"#,
        r#"{"kind":"slow_body","ms":86400000}"#,
        r#"{"kind":"lock_timeout","status":409}"#,
        r#"{"kind":"connection_refused","ms":0}"#,
    ];
    select(kinds.to_vec()).prop_map(str::to_owned)
}

fn rules() -> impl Strategy<Value = String> {
    let fields = [
        r#""method":"post","#,
        r#""path_prefix":"/v1/customers","#,
        r#""tenant":"t","#,
        r#""times":3,"#,
        r#""idempotency_key_contains":"/1","#,
        r#""nth":2,"#,
        r#""times":null,"#,
    ];
    (vec(select(fields.to_vec()), 0..3), faults())
        .prop_map(|(fields, fault)| format!("{{{}\"fault\":{fault}}}", fields.concat()))
}

fn chaos_bodies() -> impl Strategy<Value = String> {
    let numbers =
        (value("7"), value("0.25"), value("0.5"), value("[\"GET\",\"post\"]"), value("20"));
    numbers.prop_map(|(seed, one, two, methods, ms)| {
        format!(
            r#"{{"seed":{seed},"probabilities":{{"answer_lost":{one},"reset":{two}}},"methods":{methods},"max_delay_ms":{ms}}}"#
        )
    })
}

/// Sends a body to a control, and returns its answer unless it was refused.
fn accepted(bench: &Bench, method: &str, path: &str, body: Vec<u8>) -> Option<Value> {
    let (status, answer) = bench.answer(&bench.request(method, path, "").bytes(body));
    if status == 200 {
        return Some(answer);
    }
    // A refusal names a field. A field that nobody knows may have an empty name.
    let error = &answer["error"];
    let field = error["field"].as_str().unwrap_or_else(|| panic!("{status}: {answer}"));
    assert_eq!(status, 400, "{answer}");
    assert!(!field.is_empty() || error["message"] == "is not known here", "{answer}");
    None
}

#[test]
fn rules_of_faults() {
    let bench = Bench::new();
    let rule = |body: Vec<u8>| {
        let faults = accepted(&bench, "POST", "/_sandbox/faults", body)?;
        let mut rule = faults["rules"].as_array().unwrap().last().unwrap().clone();
        rule.as_object_mut().unwrap().retain(|name, _| name != "matched" && name != "struck");
        Some(rule)
    };
    check("rule of faults", bytes(rules(), WORDS), |body| {
        bench.forget(64);
        let read = rule(body);
        assert!(
            read.as_ref().is_none_or(|read| rule(read.to_string().into()).as_ref() == Some(read))
        );
        read.is_some()
    });
}

#[test]
fn chances_of_faults() {
    let bench = Bench::new();
    let chaos =
        |body: Vec<u8>| Some(accepted(&bench, "PUT", "/_sandbox/chaos", body)?["chaos"].take());
    check("chances of faults", bytes(chaos_bodies(), WORDS), |body| {
        let Some(read) = chaos(body) else {
            return false;
        };
        let probabilities = read["probabilities"].as_object().unwrap();
        let sum: f64 = probabilities.values().filter_map(Value::as_f64).sum();
        assert!(sum <= 1.0 + 1e-8, "{sum}");
        assert_eq!(chaos(read.to_string().into()), Some(read));
        true
    });
}

fn bodies() -> impl Strategy<Value = String> {
    let good = [
        r#"{"advance_seconds":3600}"#,
        r#"{"search_seconds":5,"events_seconds":null}"#,
        r#"{"account_per_second":10,"search_per_second":0}"#,
        r#"{"held":true,"chaos":{"seed":1,"duplicate":0.5,"delay":0.1,"max_delay_ms":10}}"#,
        r#"{"order":"shuffled","seed":3,"copies":2}"#,
        r#"{"email":"a@b.example"}"#,
        "",
        "{}",
    ];
    prop_oneof![3 => select(good.to_vec()).prop_map(str::to_owned), 1 => rules(), 1 => chaos_bodies()]
}

/// Any control request gets an answer, which is JSON unless it is the page. A refused one names the
/// field.
#[test]
fn controls() {
    const PATHS: &[&str] =
        &["clock", "faults", "lag", "limits", "webhooks", "/", "flush", "reset", "customers/", "x"];
    let controls = [
        ("POST", "clock"),
        ("PUT", "lag"),
        ("PUT", "limits"),
        ("PUT", "webhooks"),
        ("POST", "webhooks/flush"),
        ("POST", "faults"),
        ("PUT", "chaos"),
        ("GET", "clock"),
        ("DELETE", "faults"),
        ("DELETE", "customers/cus_1"),
    ];
    let bench = Bench::new();
    let other = texts(letters("a", 1..=2), PATHS);
    let inputs = (select(controls.to_vec()), other, any::<u8>(), bytes(bodies(), WORDS));
    check("control request", inputs, |((method, known), other, pick, body)| {
        bench.forget(64);
        let what = if pick < 40 && !other.is_empty() { &*other } else { known };
        let path = format!("/_sandbox/{what}");
        let (status, answer) = bench.answer(&bench.request(method, &path, "").bytes(body));
        assert!([200, 400, 404].contains(&status), "{answer}");
        assert!(status != 400 || answer["error"]["field"].is_string(), "{answer}");
        status == 200
    });
}
