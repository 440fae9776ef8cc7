//! Requests good and bad: every one gets an answer of Stripe's, and never a 500.

use std::cell::Cell;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parser_inputs::{LETTERS, bytes, check, letters, texts};
use proptest::{
    collection::vec,
    option,
    prelude::{Strategy, any},
    prop_oneof,
    sample::select,
};
use serde_json::Value;
use stripe_sandbox::Sandbox;
use tokio::runtime::Runtime;

use crate::client::{KEY, Request, request};

/// A sandbox that forgets everything from time to time.
pub(crate) struct Bench {
    runtime: Runtime,
    sandbox: Sandbox,
    served: Cell<u32>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sandbox = runtime.block_on(Sandbox::start().seed(1)).unwrap();
        Bench { runtime, sandbox, served: Cell::new(0) }
    }

    /// A request without an API key. Whatever cannot stand in a request line is percent-encoded.
    pub(crate) fn request(&self, method: &str, path: &str, query: &str) -> Request {
        let (path, query) = (encoded(path, "/_-.~"), encoded(query, "_-.~=&%+*[]':"));
        request(&self.sandbox.url(), method, &format!("{path}?{query}"))
    }

    /// Sends a request, and returns the status and the JSON of its answer.
    pub(crate) fn answer(&self, request: &Request) -> (u16, Value) {
        let answer = self.runtime.block_on(request.send());
        (answer.status, answer.json())
    }

    /// Forgets everything in every so many calls.
    pub(crate) fn forget(&self, every: u32) {
        self.served.set(self.served.get() + 1);
        if self.served.get().is_multiple_of(every) {
            self.answer(&self.request("POST", "/_sandbox/reset", ""));
        }
    }
}

/// A text with everything percent-encoded but letters, digits and `kept`.
fn encoded(text: &str, kept: &str) -> String {
    let letter = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || kept.contains(char::from(byte));
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(letter).collect()
}

/// A text without the characters that no header can hold.
fn header(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect::<String>().trim().to_owned()
}

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
    let authorization = prop_oneof![
        2 => keys().prop_map(|key| format!("Bearer {key}")),
        1 => keys().prop_map(|key| format!("Basic {}", BASE64_STANDARD.encode(format!("{key}:")))),
    ];
    let account = option::weighted(
        0.3,
        texts(letters(LETTERS, 1..=9).prop_map(|it| format!("acct_{it}")), WORDS),
    );
    let bench = Bench::new();
    let inputs = (texts(authorization, WORDS), account);
    check("Authorization, Stripe-Account", inputs, |(authorization, account)| {
        let authorization = header(&authorization);
        let mut request = bench.request("GET", "/v1/account", "");
        request = request.header("Authorization", &authorization);
        if let Some(account) = &account {
            request = request.account(&header(account));
        }
        let (status, answer) = bench.answer(&request);
        if status == 200 {
            let name = answer["id"].as_str().and_then(|id| id.strip_prefix("acct_")).unwrap();
            assert!(name == "sandbox" || name.bytes().all(|b| b.is_ascii_alphanumeric()));
        }
        let secret = authorization.rsplit(['_', ' ']).next().unwrap_or_default();
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(secret.len() <= 6 || account.is_some() || !message.contains(secret), "{message}");
        status == 200
    });
}

#[test]
fn versions() {
    const WORDS: &[&str] = &["2026-10-28", ".", "endive", "-", "0", "é", "20"];
    let good = select(&["2026-10-28.endive", "2024-06-20", "2025-03-31.basil"][..]);
    let bench = Bench::new();
    check("Stripe-Version", texts(good.prop_map(str::to_owned), WORDS), |version| {
        let version = header(&version);
        let request = bench.request("GET", "/v1/account", "").auth(KEY);
        let (status, _) = bench.answer(&request.header("Stripe-Version", &version));
        assert!([200, 400].contains(&status));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        assert!(status == 400 || version.chars().all(plain), "{version:?}");
        status == 200
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

/// A Customer is shown by a retrieve as it was made.
#[test]
fn forms_of_customers() {
    let bench = Bench::new();
    check("form of a Customer", bytes(customers(), FIELDS), |body| {
        bench.forget(64);
        let create = bench.request("POST", "/v1/customers", "").auth(KEY).bytes(body);
        let (status, made) = bench.answer(&create);
        assert!([200, 400].contains(&status), "{made}");
        if status == 200 {
            let path = format!("/v1/customers/{}", made["id"].as_str().unwrap());
            let (status, shown) = bench.answer(&bench.request("GET", &path, "").auth(KEY));
            assert_eq!(status, 200);
            assert_eq!((&shown["email"], &shown["metadata"]), (&made["email"], &made["metadata"]));
        }
        status == 200
    });
}

/// Forms of webhook endpoints.
fn endpoints() -> impl Strategy<Value = String> {
    let urls =
        ["http://127.0.0.1:1/hook?a=b", "https://example.com", "http://[::1]:99", "http://u:p@h/"];
    let events = ["*", "customer.created", "customer.deleted", "a.b_c"];
    (select(urls.to_vec()), select(events.to_vec()))
        .prop_map(|(url, event)| format!("url={url}&enabled_events[]={event}"))
}

#[test]
fn forms_of_webhook_endpoints() {
    const WORDS: &[&str] = &[
        "url=",
        "http://",
        "https://",
        "localhost",
        "[::1]",
        ":80",
        "/hook",
        "@",
        "enabled_events[]=",
        "*",
        "&",
        "customer.created",
        "description=",
        "metadata[a]=b",
        ":",
        "%20",
    ];
    let bench = Bench::new();
    check("webhook endpoint", bytes(endpoints(), WORDS), |body| {
        bench.forget(8);
        let create = bench.request("POST", "/v1/webhook_endpoints", "").auth(KEY).bytes(body);
        let (status, made) = bench.answer(&create);
        assert!([200, 400].contains(&status), "{made}");
        let url = made["url"].as_str().unwrap_or("http://");
        assert!(["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)), "{url:?}");
        status == 200
    });
}

/// Lists and searches of all kinds.
fn queries() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "limit=1",
        "limit=101",
        "&",
        "query=",
        "email%3A%27a%40b.example%27",
        "type=customer.*",
        "types[]=",
        "types[0]=customer.created",
        "created[gte]=1",
        "created[lt]=-",
        "page=page_00000000",
        "starting_after=",
        "ending_before=",
        "cus_1",
        "delivery_success=false",
        "expand[]=data.tax",
    ];
    let names = ["limit", "starting_after", "created", "created[gt]", "created[lte]", "types[]"];
    let number = prop_oneof![3 => 1..=100_i64, 1 => any::<i64>()];
    let pair = (select(names.to_vec()), number).prop_map(|(name, value)| format!("{name}={value}"));
    let fixed =
        select(&["", "limit=1", "type=customer.*", "query=email%3A%27a%40b.example%27"][..]);
    let good = prop_oneof![
        2 => fixed.prop_map(str::to_owned),
        1 => vec(pair, 1..=3).prop_map(|pairs| pairs.join("&")),
    ];
    texts(good, WORDS)
}

/// Any request gets an answer of Stripe's, and never a 500. A list is never longer than its limit.
#[test]
fn whole_requests() {
    let optional = |good: &'static str| {
        option::weighted(0.1, texts(letters("a", 1..=1).prop_map(move |_| good.to_owned()), FIELDS))
    };
    let forms = prop_oneof![2 => customers(), 1 => endpoints(), 2 => letters("a", 0..=0)];
    let headers = (
        optional("k1"),
        optional("2026-10-28.endive"),
        optional("acct_1"),
        optional("application/json"),
    );
    let names = ["Idempotency-Key", "Stripe-Version", "Stripe-Account", "Content-Type"];
    let bench = Bench::new();
    let inputs = (methods(), paths(), queries(), bytes(forms, FIELDS), headers);
    check("request", inputs, |(method, path, query, body, (key, version, account, kind))| {
        bench.forget(64);
        let method = if method.is_empty() { "GET" } else { method };
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let body = if method == "GET" { Vec::new() } else { body };
        let mut request = bench.request(method, &path, &query).auth(KEY).bytes(body);
        for (name, value) in names.into_iter().zip([key, version, account, kind]) {
            if let Some(value) = value {
                request = request.header(name, &header(&value));
            }
        }
        let (status, answer) = bench.answer(&request);
        assert!([200, 400, 401, 403, 404, 409, 429].contains(&status), "{status}: {answer}");
        assert_eq!(status == 200, answer.get("error").is_none(), "{answer}");
        assert!(answer["data"].as_array().is_none_or(|data| data.len() <= 100));
        status == 200
    });
}

/// A request that is repeated under the same key gets the same answer.
#[test]
fn a_request_repeated() {
    let bench = Bench::new();
    let keys = texts(letters(LETTERS, 1..=12), &["é", "k", "/"]);
    let inputs = (keys, bytes(customers(), FIELDS), any::<bool>());
    check("Idempotency-Key", inputs, |(key, body, counts)| {
        bench.forget(1);
        let create = bench.request("POST", "/v1/customers", "").auth(KEY).bytes(body);
        let create = create.key(&format!("k{}", header(&key)));
        let first = bench.answer(&create);
        assert_eq!(bench.answer(&create), first);
        counts && first.0 == 200
    });
}
