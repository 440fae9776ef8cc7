//! A Stripe that gives the answers which the test plans.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tenant_billing_core::{
    answer::Answer,
    ids::{AccountId, CustomerId, InstallationId, Mode},
    ports::{Clock, Stripe},
    request::{Account, FrozenRequest},
};

use super::{PausedClock, lock};
use crate::{
    answers::response,
    scene::{TENANT, ours},
};

/// Creations get the planned answers in order, and new Customers after that. A read gets the answer
/// that was planned for its name, or else an account, a live Customer, or an empty page.
#[derive(Default)]
pub(crate) struct FakeStripe {
    answers: Mutex<VecDeque<Answer>>,
    created: Mutex<Vec<(FrozenRequest, Duration)>>,
    planned: Mutex<BTreeMap<String, VecDeque<Answer>>>,
    asked: Mutex<Vec<String>>,
    since: Mutex<Vec<Timestamp>>,
    takes: Mutex<Duration>,
    panics: Mutex<bool>,
    clock: Option<Arc<PausedClock>>,
    /// The account that is declared for `Stripe-Account`.
    pub(crate) declared: Option<AccountId>,
    /// The fingerprint of the key.
    pub(crate) fingerprint: Option<String>,
    /// Whether the key is one of test mode.
    pub(crate) test_mode: bool,
}

impl FakeStripe {
    pub(super) fn with_clock(self, clock: Arc<PausedClock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// Plans the answers to the next creations.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.answers).extend(answers);
    }

    /// Plans the answers to one read, such as `customer cus_x` or `events after evt_1`, in order;
    /// the last of them is repeated.
    pub(crate) fn says(&self, question: &str, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.planned).insert(question.to_owned(), answers.into_iter().collect());
    }

    /// Plans a 200 with this body as the answer to one read.
    pub(crate) fn shows(&self, question: &str, body: &str) {
        self.says(question, [response(200, &[], body)]);
    }

    /// How long every creation takes from now on.
    pub(crate) fn takes(&self, time: Duration) {
        *lock(&self.takes) = time;
    }

    /// Whether every creation panics from now on.
    pub(crate) fn panics(&self, panics: bool) {
        *lock(&self.panics) = panics;
    }

    /// Every creation that was sent.
    pub(crate) fn sent(&self) -> Vec<FrozenRequest> {
        lock(&self.created).iter().map(|(request, _)| request.clone()).collect()
    }

    /// The moment by which each of them must have begun to leave.
    pub(crate) fn begin_by(&self) -> Vec<Duration> {
        lock(&self.created).iter().map(|(_, begin_by)| *begin_by).collect()
    }

    /// Every read that was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }

    /// The moments from which on events were asked for.
    pub(crate) fn since(&self) -> Vec<Timestamp> {
        lock(&self.since).clone()
    }

    /// Makes this the one event that can be listed: this key created that Customer.
    pub(crate) fn event(&self, key: &str, customer: &str) {
        let event = event("evt_1", key, customer);
        self.shows("events", &format!(r#"{{"data":[{event}],"has_more":false}}"#));
    }

    fn get(&self, question: String, otherwise: &str) -> Answer {
        let answer = match lock(&self.planned).get_mut(&question) {
            Some(answers) if answers.len() > 1 => answers.pop_front(),
            answers => answers.and_then(|it| it.front().cloned()),
        };
        lock(&self.asked).push(question);
        answer.unwrap_or_else(|| response(200, &[], otherwise))
    }
}

/// A `customer.created` event as a list shows it.
pub(crate) fn event(id: &str, key: &str, customer: &str) -> String {
    format!(
        r#"{{"id":"{id}","data":{{"object":{{"id":"{customer}","object":"customer"}}}},
            "request":{{"idempotency_key":"{key}"}}}}"#
    )
}

/// The name of a read that continues after `cursor`.
fn continued(question: String, cursor: Option<&str>) -> String {
    cursor.map_or(question.clone(), |cursor| format!("{question} after {cursor}"))
}

const EMPTY: &str = r#"{"data":[],"has_more":false}"#;

#[async_trait]
impl Stripe for FakeStripe {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::<PausedClock>::clone(self.clock.as_ref().expect("a clock, which `ports` sets"))
    }

    fn mode(&self) -> Mode {
        if self.test_mode { Mode::Test } else { Mode::Live }
    }

    fn stripe_account(&self) -> Option<&AccountId> {
        self.declared.as_ref()
    }

    fn fingerprint(&self, _: &InstallationId, _: &Account) -> Option<String> {
        self.fingerprint.clone()
    }

    async fn account(&self) -> Answer {
        self.get("account".into(), &format!(r#"{{"id":"{}"}}"#, ours().id))
    }

    async fn create_customer(&self, request: &FrozenRequest, begin_by: Duration) -> Answer {
        let sent = {
            let mut created = lock(&self.created);
            created.push((request.clone(), begin_by));
            created.len()
        };
        assert!(!*lock(&self.panics), "the test has planned a panic");
        // Other tasks run while this is on its way.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let takes = *lock(&self.takes);
        if let Some(clock) = self.clock.as_ref().filter(|_| !takes.is_zero()) {
            clock.sleep(takes).await;
        }
        let fresh = response(200, &[], &format!(r#"{{"object":"customer","id":"cus_new{sent}"}}"#));
        lock(&self.answers).pop_front().unwrap_or(fresh)
    }

    async fn retrieve_customer(&self, customer: &CustomerId) -> Answer {
        let live = format!(
            r#"{{"object":"customer","id":"{customer}","created":1,"email":"a@b.c","metadata":{{"tenantId":"{TENANT}"}}}}"#
        );
        self.get(format!("customer {customer}"), &live)
    }

    async fn list_customers(&self, email: &str, after: Option<&CustomerId>) -> Answer {
        self.get(continued(format!("list {email}"), after.map(CustomerId::as_str)), EMPTY)
    }

    async fn search_customers(&self, query: &str, page: Option<&str>) -> Answer {
        self.get(continued(format!("search {query}"), page), EMPTY)
    }

    async fn list_created_events(&self, since: Timestamp, after: Option<&str>) -> Answer {
        lock(&self.since).push(since);
        self.get(continued("events".into(), after), EMPTY)
    }
}
