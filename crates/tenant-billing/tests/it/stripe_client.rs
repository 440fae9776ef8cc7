//! The Stripe client over real HTTP: what it sends, byte for byte, and how it reads each answer.

#![expect(clippy::unwrap_used, reason = "in helpers of tests, too, it is the assertion")]

mod answers;
mod contract;
mod once;
mod requests;
mod sandbox;
mod secrets;
pub(crate) mod trust;
mod window;
pub(crate) mod wire;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tenant_billing::{
    SecretKey, StripeClient, SystemClock,
    answer::{self, Answer},
    ids::{AccountId, CustomerId, Email, InstallationId, Mode, TenantId},
    ports::Clock,
    request::{Account, CustomerDetails, FrozenRequest, Identity},
};

const KEY: &str = "sk_test_wire4711";
const EMAIL: &str = "ann+1@example.com";
const TENANT: &str = "6f1c1a52-0d5f-4c6e-9a3e-5b7f0c9d2e11";
const BEGIN_BY: Duration = Duration::from_secs(30);

/// A clock whose uptime is scripted; the last reading stays.
struct Script(Mutex<VecDeque<Duration>>);

impl Script {
    fn of(readings: impl IntoIterator<Item = Duration>) -> Arc<dyn Clock> {
        Arc::new(Self(Mutex::new(readings.into_iter().collect())))
    }
}

#[async_trait]
impl Clock for Script {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn uptime(&self) -> Duration {
        let mut readings = self.0.lock().unwrap();
        match readings.len() {
            1 => readings[0],
            _ => readings.pop_front().unwrap(),
        }
    }

    fn random(&self) -> u64 {
        0
    }

    async fn sleep(&self, _: Duration) {}
}

fn client(url: &str) -> StripeClient {
    client_at(url, [Duration::ZERO])
}

fn client_at(url: &str, uptimes: impl IntoIterator<Item = Duration>) -> StripeClient {
    let key = SecretKey::parse(KEY).unwrap();
    let client = StripeClient::new(key).with_clock(Script::of(uptimes));
    client.with_base(url).unwrap()
}

fn frozen() -> FrozenRequest {
    frozen_for(TENANT, EMAIL)
}

fn frozen_for(tenant: &str, email: &str) -> FrozenRequest {
    let identity = Identity {
        installation: InstallationId::parse("installation-1").unwrap(),
        account: Account { id: AccountId::parse("acct_1").unwrap(), mode: Mode::Test },
        stripe_account: None,
    };
    let details = CustomerDetails::new(Email::parse(email).unwrap());
    FrozenRequest::freeze(&identity, &TenantId::parse(tenant).unwrap(), 0, &details)
}

fn customer(id: &str) -> CustomerId {
    CustomerId::parse(id).unwrap()
}

async fn moment() {
    SystemClock::shared().sleep(Duration::from_millis(50)).await;
}

/// Status and body of a response.
#[track_caller]
fn response(answer: Answer) -> (u16, String) {
    match answer {
        Answer::Response { status, body, .. } => (status, String::from_utf8_lossy(&body).into()),
        Answer::NoAnswer(why) | Answer::Untrusted(why) => panic!("no answer: {why}"),
    }
}

/// Why there was no answer. Every test reads the reason through this, which searches it for secrets.
#[track_caller]
fn no_answer(answer: Answer) -> String {
    match answer {
        Answer::Response { status, .. } => panic!("an answer came: {status}"),
        Answer::Untrusted(why) => panic!("untrusted: {why}"),
        Answer::NoAnswer(why) => silent(why),
    }
}

/// Why nothing was sent.
#[track_caller]
fn untrusted(answer: Answer) -> String {
    match answer {
        Answer::Untrusted(why) => silent(why),
        answer => panic!("{}", answer::summary(&answer)),
    }
}

/// A reason, which is searched for secrets.
#[track_caller]
fn silent(why: String) -> String {
    for secret in [KEY, "wire4711", "://", "127.0.0.1", "@", "%40", "example", "cus_"] {
        assert!(!why.contains(secret), "{why:?} tells {secret:?}");
    }
    assert!(why.len() < 100, "{why:?} is not short");
    why
}
