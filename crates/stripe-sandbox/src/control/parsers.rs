//! The control inputs, good and bad: a refusal names the field, and a value that was read is shown in a
//! form that reads as the same value.

use parser_inputs::{bytes, check, letters, texts};
use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    prop_oneof,
    sample::select,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::input::BadInput;
use super::{is_control, matched, rule};
use crate::state::State;
use crate::world::World;

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

fn chaos() -> impl Strategy<Value = String> {
    let numbers =
        (value("7"), value("0.25"), value("0.5"), value("[\"GET\",\"post\"]"), value("20"));
    numbers.prop_map(|(seed, one, two, methods, ms)| {
        format!(
            r#"{{"seed":{seed},"probabilities":{{"answer_lost":{one},"reset":{two}}},"methods":{methods},"max_delay_ms":{ms}}}"#
        )
    })
}

/// A refusal names a field. (One that nobody knows may have no name.)
fn refused<T>(read: Result<T, BadInput>) -> Option<T> {
    let told = |bad: BadInput| {
        assert!(!bad.field.is_empty() || bad.message == "is not known here", "{bad:?}");
    };
    read.map_err(told).ok()
}

#[test]
fn rules_of_faults() {
    check("rule of faults", bytes(rules(), WORDS), |body| {
        let Some(read) = refused(rule::rule(&body)) else {
            return false;
        };
        let shown = json!(read).to_string();
        assert_eq!(rule::rule(shown.as_bytes()), Ok(read), "{shown}");
        true
    });
}

#[test]
fn chances_of_faults() {
    check("chances of faults", bytes(chaos(), WORDS), |body| {
        let Some(read) = refused(rule::chaos(&body)) else {
            return false;
        };
        let sum: f64 = read.probabilities.values().sum();
        assert!(sum <= 1.0 + 1e-8, "{sum}");
        let shown = json!(read).to_string();
        let again = rule::chaos(shown.as_bytes()).expect("what is shown");
        assert_eq!(
            (again.seed, again.methods, again.max_delay_ms),
            (read.seed, read.methods, read.max_delay_ms)
        );
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
        r#"{"ms":1}"#,
        "",
        "{}",
    ];
    prop_oneof![3 => select(good.to_vec()).prop_map(str::to_owned), 1 => rules(), 1 => chaos()]
}

/// Any control request gets an answer, which is JSON; one that is refused names the field.
#[test]
fn controls() {
    const PATHS: &[&str] = &[
        "clock",
        "faults",
        "lag",
        "limits",
        "outage",
        "webhooks",
        "/",
        "flush",
        "reset",
        "customers/",
    ];
    let controls = [
        ("POST", "clock"),
        ("PUT", "lag"),
        ("PUT", "limits"),
        ("PUT", "webhooks"),
        ("POST", "webhooks/flush"),
        ("POST", "outage"),
        ("POST", "faults"),
        ("PUT", "chaos"),
        ("GET", "clock"),
        ("DELETE", "faults"),
    ];
    let (_running, stopped) = watch::channel(());
    // Nobody listens, so an outage is over at once.
    let (world, _) = World::new(State::new(1), stopped);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let other = texts(letters("a", 0..=1), PATHS);
    let inputs = (select(controls.to_vec()), other, any::<u8>(), bytes(bodies(), WORDS));
    check("control request", inputs, |((method, known), other, pick, body)| {
        let path = format!("/_sandbox/{}", if pick < 40 { &*other } else { known });
        let page = runtime.block_on(super::answer(&world, method, &path, &body, "localhost"));
        assert!([200, 400, 404].contains(&page.status), "{}", page.body);
        if page.kind == "application/json" {
            let shown: Value = serde_json::from_str(&page.body).expect("JSON");
            assert!(page.status != 400 || shown["error"]["field"].is_string(), "{shown}");
        }
        if pick % 64 == 0 {
            world.reset().expect("it is kept in memory");
        }
        page.status == 200
    });
}

#[test]
fn paths_of_controls() {
    const WORDS: &[&str] = &["/_sandbox", "/", "customers/", "cus_1", "*", "webhooks", "x"];
    let good = [
        "/_sandbox",
        "/_sandbox/",
        "/_sandbox/clock",
        "/_sandbox/customers/cus_1",
        "/v1/customers",
    ];
    check(
        "path of a control",
        texts(select(good.to_vec()).prop_map(str::to_owned), WORDS),
        |text| {
            let id = matched("/_sandbox/customers/{id}", &text);
            assert!(id.is_none_or(|id| !id.is_empty() && !id.contains('/') && text.ends_with(id)));
            assert!(id.is_none() || is_control(&text));
            is_control(&text)
        },
    );
}
