//! Inputs good and bad for API keys, versions and routes, and whole requests from their text to their
//! answer.

use std::cell::Cell;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parser_inputs::{LETTERS, bytes, check, letters, text, texts};
use proptest::{
    collection::vec,
    option,
    prelude::{Strategy, any},
    prop_oneof,
    sample::select,
};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::auth::Caller;
use super::exchange::{Ending, Reply, exchange};
use super::request::Call;
use super::route::Route;
use super::version::is_version;
use crate::state::State;
use crate::world::World;

fn keys() -> impl Strategy<Value = String> {
    let rest = prop_oneof![
        letters(LETTERS, 1..=24),
        letters("ab_", 1..=6),
        select(&["acct_x_1", "invalid"][..]).prop_map(str::to_owned)
    ];
    (select(&["sk_test_", "sk_live_", "rk_test_", "rk_live_"][..]), rest)
        .prop_map(|(prefix, rest)| format!("{prefix}{rest}"))
}

#[test]
fn keys_and_accounts() {
    const WORDS: &[&str] = &[
        "Bearer ",
        "basic ",
        "Basic c2tfdGVzdF8xOg==",
        "sk_",
        "rk_",
        "pk_",
        "test_",
        "live_",
        "acct_",
        "a",
        " ",
        ":",
    ];
    let header = prop_oneof![
        2 => keys().prop_map(|key| format!("Bearer {key}")),
        1 => keys().prop_map(|key| format!("Basic {}", BASE64_STANDARD.encode(format!("{key}:")))),
    ];
    let account = option::weighted(
        0.3,
        texts(letters(LETTERS, 1..=9).prop_map(|it| format!("acct_{it}")), WORDS),
    );
    check("Authorization, Stripe-Account", (texts(header, WORDS), account), |(header, account)| {
        let Ok(caller) = Caller::read(Some(&header), account.as_deref()) else {
            return false;
        };
        let name = caller.scope.account.strip_prefix("acct_").expect("an account");
        assert!(name == "sandbox" || name.bytes().all(|b| b.is_ascii_alphanumeric()), "{name:?}");
        let secret = header.trim().rsplit('_').next().unwrap_or_default();
        assert!(secret.len() <= 4 || !caller.masked.contains(secret), "{}", caller.masked);
        true
    });
}

#[test]
fn versions() {
    const WORDS: &[&str] = &["2026-10-28", ".", "endive", "-", "0", "é", "20"];
    let good = select(&["2026-10-28.endive", "2024-06-20", "2025-03-31.basil"][..]);
    check("Stripe-Version", texts(good.prop_map(str::to_owned), WORDS), |version| {
        let accepted = is_version(&version);
        assert!(
            !accepted || version.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
        );
        accepted
    });
}

fn paths() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "/v1/",
        "customers",
        "/",
        "search",
        "events",
        "account",
        "s",
        "webhook_endpoints",
        "cus_1",
    ];
    let good = [
        "/v1/customers",
        "/v1/customers/cus_1",
        "/v1/customers/search",
        "/v1/account",
        "/v1/accounts/acct_1",
        "/v1/events",
        "/v1/events/evt_1",
        "/v1/webhook_endpoints",
        "/v1/webhook_endpoints/we_1",
    ];
    let good = select(good.to_vec()).prop_map(str::to_owned);
    prop_oneof![1 => good.clone(), 2 => texts(good, WORDS)]
}

fn methods() -> impl Strategy<Value = &'static str> {
    prop_oneof![9 => select(&["GET", "POST", "DELETE"][..]), 1 => select(&["PUT", "get", ""][..])]
}

#[test]
fn routes() {
    check("path", (methods(), paths()), |(method, path)| {
        let route = Route::of(method, &path);
        assert!(route == Route::Unknown || route.name().starts_with(method), "{path:?}");
        assert!(route == Route::Unknown || path.starts_with("/v1/"), "{path:?}");
        route != Route::Unknown
    });
}

/// A sandbox in memory, without a port, that begins anew every now and then.
struct Bench {
    runtime: Runtime,
    world: Arc<World>,
    served: Cell<u32>,
    _running: watch::Sender<()>,
}

impl Bench {
    fn new() -> Bench {
        let (running, stopped) = watch::channel(());
        let (world, _) = World::new(State::new(1), stopped);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Bench { runtime, world: Arc::new(world), served: Cell::new(0), _running: running }
    }

    /// Forgets everything, from time to time.
    fn begin(&self) {
        self.served.set(self.served.get() + 1);
        if self.served.get().is_multiple_of(64) {
            self.world.reset().expect("it is kept in memory");
        }
    }

    fn answer(&self, call: Call) -> (u16, Value) {
        let ending = self.runtime.block_on(exchange(&self.world, call));
        let Ending::Answer(Reply { status, body, .. }) = ending else {
            panic!("no fault is armed, but it ended in {ending:?}");
        };
        (status, serde_json::from_str(&body).expect("an answer is JSON"))
    }
}

fn call(method: &str, path: &str, body: Vec<u8>) -> Call {
    Call {
        method: method.to_owned(),
        path: path.to_owned(),
        authorization: Some("Bearer sk_test_1".to_owned()),
        body: body.into(),
        ..Call::default()
    }
}

const FIELDS: &[&str] = &[
    "email=",
    "a@b.example",
    "name=",
    "&",
    "metadata[a]=",
    "b",
    "address[country]=",
    "DE",
    "balance=",
    "-5",
    "tax_id_data[0][type]=eu_vat&tax_id_data[0][value]=",
    "DE123",
    "expand[]=tax_ids",
    "&expand[]=tax",
    "shipping[name]=x&shipping[address][line1]=y",
    "preferred_locales[0]=",
    "phone=",
    "[",
    "]",
    "=",
    "metadata=",
    "invoice_settings[custom_fields][0][name]=n",
    "&invoice_settings[custom_fields][0][value]=v",
    "source=tok_1",
];

/// A Customer's parameters, with all that it shows beyond the usual.
fn customers() -> impl Strategy<Value = String> {
    let fields = [
        ("email=", "jane%40example.com"),
        ("name=", "Jane"),
        ("metadata[tenantId]=", "t"),
        ("metadata[plan]=", "pro"),
        ("balance=", "-5"),
        ("address[country]=", "DE"),
        ("tax_id_data[0][type]=eu_vat&tax_id_data[0][value]=", "DE123"),
        ("tax_id_data[][value]=1&tax_id_data[][type]=", "ch_vat"),
        ("expand[]=", "tax"),
        ("expand[]=data.", "sources"),
        ("preferred_locales[]=en&preferred_locales[]=", "de"),
        ("validate=", "true"),
        ("invoice_prefix=", "ABC"),
        ("phone=", "1"),
        ("shipping[name]=x&shipping[address][line1]=", "y"),
        ("tax_exempt=", "none"),
        ("next_invoice_sequence=", "7"),
        ("expand[]=cash_balance&cash_balance[settings][reconciliation_mode]=", "manual"),
    ];
    let odd = ["", "x", "ä", "€", "a€", "-1", "true", "[]", "9223372036854775808"];
    let value =
        prop_oneof![3 => any::<()>().prop_map(|()| None), 1 => select(odd.to_vec()).prop_map(Some)];
    let pair = (select(fields.to_vec()), value)
        .prop_map(|((name, good), odd)| format!("{name}{}", odd.unwrap_or(good)));
    vec(pair, 1..4).prop_map(|pairs| format!("{}&expand[]=tax_ids", pairs.join("&")))
}

/// What a Customer is made from, shown again by a retrieve.
#[test]
fn forms_of_customers() {
    let bench = Bench::new();
    check("form of a Customer", bytes(customers(), FIELDS), |body| {
        bench.begin();
        let (status, made) = bench.answer(call("POST", "/v1/customers", body));
        assert!([200, 400].contains(&status), "{made}");
        if status == 200 {
            let path = format!("/v1/customers/{}", made["id"].as_str().expect("an id"));
            let (status, shown) = bench.answer(call("GET", &path, Vec::new()));
            assert_eq!(status, 200);
            assert_eq!((&shown["email"], &shown["metadata"]), (&made["email"], &made["metadata"]));
        }
        status == 200
    });
}

/// Any request gets an answer of Stripe's, and never a 500.
#[test]
fn whole_requests() {
    const QUERY: &[&str] = &[
        "limit=1",
        "&",
        "query=",
        "email%3A%27a%40b.example%27",
        "type=customer.*",
        "created[gte]=1",
        "page=page_00000000",
        "starting_after=",
        "ending_before=",
        "cus_1",
        "expand[]=data.tax",
    ];
    let bench = Bench::new();
    let queries = [
        "",
        "limit=1",
        "type=customer.*",
        "query=email%3A%27a%40b.example%27",
        "expand[]=data.tax",
    ];
    let queries = texts(select(queries.to_vec()).prop_map(str::to_owned), QUERY);
    let header = |good: &'static str| {
        option::weighted(0.1, texts(letters("a", 1..=1).prop_map(move |_| good.to_owned()), FIELDS))
    };
    let forms = prop_oneof![
        2 => customers(),
        1 => letters("a", 1..=1).prop_map(|_| "url=http://127.0.0.1:1&enabled_events[]=*&disabled=true".to_owned()),
        2 => letters("a", 0..=0),
    ];
    let headers =
        (header("k1"), header("2026-10-28.endive"), header("acct_1"), header("application/json"));
    let inputs = (methods(), paths(), queries, bytes(forms, FIELDS), headers);
    check(
        "request",
        inputs,
        |(method, path, query, body, (key, version, account, content_type))| {
            bench.begin();
            let method = if method.is_empty() { "GET" } else { method };
            let body = if method == "GET" { Vec::new() } else { body };
            let call =
                Call { query, key, version, account, content_type, ..call(method, &path, body) };
            let (status, answer) = bench.answer(call);
            assert!([200, 400, 401, 403, 404, 409, 429].contains(&status), "{status}: {answer}");
            assert_eq!(status == 200, answer.get("error").is_none(), "{answer}");
            status == 200
        },
    );
}

/// The same request under the same key gets the same answer.
#[test]
fn a_request_repeated() {
    let bench = Bench::new();
    let keys = texts(letters(LETTERS, 1..=12), &["é", "k", "/"]);
    check(
        "Idempotency-Key",
        (keys, bytes(customers(), FIELDS), any::<bool>()),
        |(key, body, other)| {
            let key = format!("k{key}");
            let call = |body: Vec<u8>| Call {
                key: Some(key.clone()),
                ..call("POST", "/v1/customers", body)
            };
            bench.world.reset().expect("it is kept in memory");
            let first = bench.answer(call(body.clone()));
            let again = bench.answer(call(body.clone()));
            assert_eq!(again, first, "{:?}", text(body));
            other && first.0 == 200
        },
    );
}
