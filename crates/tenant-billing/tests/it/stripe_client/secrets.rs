//! What must not be told: the secret key, and who the Customers are.

use std::{
    fmt::Debug,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use log::LevelFilter;
use tenant_billing::{
    SecretKey, StripeClient,
    ids::{AccountId, Mode},
    ports::Stripe,
};
use tracing::{
    Event, Metadata, Subscriber,
    dispatcher::Dispatch,
    field::{Field, Visit},
    span::{self, Attributes, Id},
};

use super::{
    BEGIN_BY, client_at, frozen_for, no_answer, response,
    wire::{Reply, Wire},
};

#[test]
fn keys() {
    for (text, mode) in [
        ("sk_test_1", Mode::Test),
        ("sk_live_51Abc_x", Mode::Live),
        ("rk_test_1", Mode::Test),
        ("rk_live_1", Mode::Live),
    ] {
        assert_eq!(SecretKey::parse(text).unwrap().mode(), mode, "{text}");
    }
    let organization = "is an organization's key, which opens many accounts and names no mode; use a \
                        secret key (sk_…) or a restricted key (rk_…) of the one account";
    let long = format!("sk_test_{}", "1".repeat(248));
    for (text, reason) in [
        ("", "is empty"),
        ("sk_test_1\n", "has a space or a line break around it"),
        (" sk_test_1", "has a space or a line break around it"),
        (&*long, "is longer than 255 characters"),
        ("pk_test_1", "is a publishable key; a secret key begins with sk_ or rk_"),
        ("whsec_1", "is the secret of a webhook endpoint; a secret key begins with sk_ or rk_"),
        ("SK_test_1", "does not begin with sk_ or rk_"),
        ("Bearer sk_test_1", "does not begin with sk_ or rk_"),
        ("sk_1", "does not say test or live, as sk_test_… and sk_live_… do"),
        ("sk_org_1", organization),
        ("sk_org_live_1", organization),
        ("\"sk_test_1\"", "has quotation marks around it"),
        ("sk_test_", "is only the beginning of a key"),
        ("sk_live_a b", "has a character other than a letter, a digit or _"),
        ("sk_live_a\r\nX: y", "has a character other than a letter, a digit or _"),
        ("sk_live_ä", "has a character other than a letter, a digit or _"),
    ] {
        let error = SecretKey::parse(text).unwrap_err();
        assert_eq!(error.field, "secret_key");
        assert_eq!(error.reason, reason, "{text:?}");
    }
}

#[test]
fn debug_shows_the_mode_of_a_key_and_no_more() {
    let key = || SecretKey::parse("sk_live_topsecret").unwrap();
    assert_eq!(format!("{:?}", key()), "SecretKey(live)");
    let client = StripeClient::new(key());
    let client = client.with_account(AccountId::parse("acct_1").unwrap());
    assert_eq!(
        format!("{client:?}"),
        "StripeClient { base: \"https://api.stripe.com/\", key: SecretKey(live), \
         account: Some(AccountId(\"acct_1\")), .. }"
    );
}

/// Everything that any dependency tells, at every level: `log` of the whole process, and `tracing`
/// of one thread.
#[derive(Default)]
struct Ears(Mutex<Vec<String>>);

impl Ears {
    fn hear(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl log::Log for Ears {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.hear(format!("{}: {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

struct Tracing(&'static Ears);

impl Subscriber for Tracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.fields());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &span::Record<'_>) {
        values.record(&mut self.fields());
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.fields());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Tracing {
    fn fields(&self) -> Fields {
        Fields(self.0)
    }
}

struct Fields(&'static Ears);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.hear(format!("{field}: {value:?}"));
    }
}

/// What reqwest, hyper and rustls tell is theirs to change, so this listens rather than trusts.
#[tokio::test]
async fn no_dependency_tells_a_key_or_an_address() {
    static EARS: OnceLock<Ears> = OnceLock::new();
    let ears = EARS.get_or_init(Ears::default);
    log::set_logger(ears).expect("no other test listens to the whole process");
    log::set_max_level(LevelFilter::Trace);
    // With a single subscriber, tracing asks the thread that first comes by a line whether anybody
    // listens to it, and remembers that thread's no for all. With two it asks the subscribers.
    let _second = Dispatch::new(Tracing(ears));
    let _listening = tracing::subscriber::set_default(Tracing(ears));

    let email = "hush@whisper.example";
    let wire = Wire::new([Reply::json("{}"), Reply::json("{}"), Reply::Slam]).await;
    let client = client_at(&wire.url, [Duration::ZERO, Duration::ZERO, Duration::MAX]);
    let request = frozen_for("tenant-hush", email);
    response(client.list_customers(email, None).await);
    response(client.create_customer(&request, BEGIN_BY).await);
    no_answer(client.list_customers(email, None).await);
    no_answer(client.create_customer(&request, BEGIN_BY).await);

    let lines = ears.0.lock().unwrap().clone();
    let heard = |part: &str| lines.iter().any(|line| line.contains(part));
    // Either way of telling was heard at all: reqwest's `log`, and hyper-util's `tracing`.
    assert!(heard("reqwest::connect: starting new"), "{lines:#?}");
    assert!(heard("message: "), "{lines:#?}");
    for secret in ["wire4711", "hush", "whisper", "/v1/"] {
        assert!(!heard(secret), "{secret} is in {lines:#?}");
    }
}
