//! What must not be told: the secret key, and who the Customers are.

use std::sync::{Mutex, OnceLock};

use log::{LevelFilter, Log, Metadata, Record};
use tenant_billing::{
    SecretKey, StripeClient, SystemClock,
    ids::{AccountId, Mode},
    ports::Stripe,
};

use super::{
    BEGIN_BY, client, frozen_for, response,
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
    let long = format!("sk_test_{}", "1".repeat(248));
    for (text, reason) in [
        ("", "is empty"),
        ("sk_test_1\n", "has a space or a line break around it"),
        (" sk_test_1", "has a space or a line break around it"),
        (&*long, "is longer than 255 characters"),
        (
            "pk_test_1",
            "is a publishable key; a secret key begins with sk_ or rk_",
        ),
        (
            "whsec_1",
            "is the secret of a webhook endpoint; a secret key begins with sk_ or rk_",
        ),
        ("SK_test_1", "does not begin with sk_ or rk_"),
        ("Bearer sk_test_1", "does not begin with sk_ or rk_"),
        (
            "sk_1",
            "does not say test or live, as sk_test_… and sk_live_… do",
        ),
        (
            "sk_org_live_1",
            "does not say test or live, as sk_test_… and sk_live_… do",
        ),
        ("sk_test_", "is only the beginning of a key"),
        (
            "sk_live_a b",
            "has a character that is no letter, digit or _",
        ),
        (
            "sk_live_a\r\nX: y",
            "has a character that is no letter, digit or _",
        ),
        ("sk_live_ä", "has a character that is no letter, digit or _"),
    ] {
        let error = SecretKey::parse(text).unwrap_err();
        assert_eq!(error.field, "STRIPE_SECRET_KEY");
        assert_eq!(error.reason, reason, "{text:?}");
    }
}

#[test]
fn debug_shows_the_mode_of_a_key_and_no_more() {
    let key = || SecretKey::parse("sk_live_topsecret").unwrap();
    assert_eq!(format!("{:?}", key()), "SecretKey(live)");
    let client = StripeClient::new(key(), SystemClock::shared());
    let client = client.with_account(AccountId::parse("acct_1").unwrap());
    assert_eq!(
        format!("{client:?}"),
        "StripeClient { base: \"https://api.stripe.com/\", key: SecretKey(live), \
         account: Some(AccountId(\"acct_1\")), .. }"
    );
}

/// Everything that any dependency logs, at every level.
struct Ears(Mutex<Vec<String>>);

impl Log for Ears {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("{} {}: {}", record.level(), record.target(), record.args());
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// What reqwest, hyper and rustls log is theirs to change, so this listens rather than trusts.
#[tokio::test]
async fn no_dependency_logs_a_key_or_an_address() {
    static EARS: OnceLock<Ears> = OnceLock::new();
    let ears = EARS.get_or_init(|| Ears(Mutex::default()));
    log::set_logger(ears).expect("no other test listens to the whole process");
    log::set_max_level(LevelFilter::Trace);

    let email = "hush@whisper.example";
    let wire = Wire::new([Reply::json("{}"), Reply::json("{}"), Reply::Slam]).await;
    let client = client(&wire.url);
    response(client.list_customers(email, None).await);
    let request = frozen_for("tenant-hush", email);
    response(client.create_customer(&request, BEGIN_BY).await);
    drop(client.list_customers(email, None).await);

    let lines = ears.0.lock().unwrap().clone();
    let heard = |part: &str| lines.iter().any(|line| line.contains(part));
    assert!(
        heard("starting new connection"),
        "nothing was heard: {lines:#?}"
    );
    for secret in ["wire4711", "hush", "whisper", "/v1/"] {
        assert!(!heard(secret), "{secret} is in {lines:#?}");
    }
}
