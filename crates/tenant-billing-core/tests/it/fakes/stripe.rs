//! A Stripe that answers what the test wrote down.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tenant_billing_core::{
    answer::Answer,
    ids::{AccountId, CustomerId, Mode},
    ports::{Clock, Stripe},
    request::FrozenRequest,
};

use super::{Paused, lock};
use crate::{
    answers::response,
    scene::{TENANT, ours},
};

/// Creations are answered in the order that the test wrote down, then with new Customers; what is
/// asked is answered by name, then with an account, a live Customer, or an empty page.
#[derive(Default)]
pub(crate) struct Script {
    answers: Mutex<VecDeque<Answer>>,
    created: Mutex<Vec<(FrozenRequest, Duration)>>,
    said: Mutex<BTreeMap<String, VecDeque<Answer>>>,
    asked: Mutex<Vec<String>>,
    since: Mutex<Vec<Timestamp>>,
    takes: Mutex<Duration>,
    panics: Mutex<bool>,
    clock: Option<Arc<Paused>>,
    /// The account that is declared for `Stripe-Account`.
    pub(crate) declared: Option<AccountId>,
    /// Whether the key is one of test mode.
    pub(crate) test_mode: bool,
}

impl Script {
    pub(super) fn by(self, clock: Arc<Paused>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// The answers to the next creations.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.answers).extend(answers);
    }

    /// The answers to one question, such as `customer cus_x` or `events after evt_1`, in order; the
    /// last of them again and again.
    pub(crate) fn says(&self, question: &str, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.said).insert(question.to_owned(), answers.into_iter().collect());
    }

    /// The same with one body that is there.
    pub(crate) fn shows(&self, question: &str, body: &str) {
        self.says(question, [response(200, &[], body)]);
    }

    /// How long every creation takes from now on.
    pub(crate) fn takes(&self, time: Duration) {
        *lock(&self.takes) = time;
    }

    /// Whether every creation is a fault of the program's from now on.
    pub(crate) fn panics(&self, panics: bool) {
        *lock(&self.panics) = panics;
    }

    /// Every creation that was sent.
    pub(crate) fn sent(&self) -> Vec<FrozenRequest> {
        lock(&self.created).iter().map(|(request, _)| request.clone()).collect()
    }

    /// By when each of them must have begun to leave.
    pub(crate) fn begin_by(&self) -> Vec<Duration> {
        lock(&self.created).iter().map(|(_, begin_by)| *begin_by).collect()
    }

    /// Every question that was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }

    /// From when on events were asked for.
    pub(crate) fn since(&self) -> Vec<Timestamp> {
        lock(&self.since).clone()
    }

    /// The one event that can be listed: this key made that Customer.
    pub(crate) fn event(&self, key: &str, customer: &str) {
        let event = event("evt_1", key, customer);
        self.shows("events", &format!(r#"{{"data":[{event}],"has_more":false}}"#));
    }

    fn get(&self, question: String, otherwise: &str) -> Answer {
        let answer = match lock(&self.said).get_mut(&question) {
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
        r#"{{"id":"{id}","data":{{"object":{{"id":"{customer}"}}}},
            "request":{{"idempotency_key":"{key}"}}}}"#
    )
}

/// The name of a question that goes on after `cursor`.
fn from(question: String, cursor: Option<&str>) -> String {
    cursor.map_or(question.clone(), |cursor| format!("{question} after {cursor}"))
}

const EMPTY: &str = r#"{"data":[],"has_more":false}"#;

#[async_trait]
impl Stripe for Script {
    fn mode(&self) -> Mode {
        if self.test_mode { Mode::Test } else { Mode::Live }
    }

    fn stripe_account(&self) -> Option<&AccountId> {
        self.declared.as_ref()
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
        assert!(!*lock(&self.panics), "the test has ordered a panic");
        // Others get on while this is on its way.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let takes = *lock(&self.takes);
        if let Some(clock) = self.clock.as_ref().filter(|_| !takes.is_zero()) {
            clock.sleep(takes).await;
        }
        let fresh = response(200, &[], &format!(r#"{{"id":"cus_new{sent}"}}"#));
        lock(&self.answers).pop_front().unwrap_or(fresh)
    }

    async fn retrieve_customer(&self, customer: &CustomerId) -> Answer {
        let live = format!(
            r#"{{"id":"{customer}","created":1,"email":"a@b.c","metadata":{{"tenantId":"{TENANT}"}}}}"#
        );
        self.get(format!("customer {customer}"), &live)
    }

    async fn list_customers(&self, email: &str, after: Option<&CustomerId>) -> Answer {
        self.get(from(format!("list {email}"), after.map(CustomerId::as_str)), EMPTY)
    }

    async fn search_customers(&self, query: &str, page: Option<&str>) -> Answer {
        self.get(from(format!("search {query}"), page), EMPTY)
    }

    async fn list_created_events(&self, since: Timestamp, after: Option<&str>) -> Answer {
        lock(&self.since).push(since);
        self.get(from("events".into(), after), EMPTY)
    }
}
