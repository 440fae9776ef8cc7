//! A Stripe without HTTP, for a host's own unit tests.
//!
//! It answers the port as Stripe would, from memory: Customers, idempotency keys with replays and
//! mismatches, deletions, the list, the search and the events. Its answers depend neither on time
//! nor on chance, so a test that passed once passes again. It fails only where
//! [`FakeStripe::fail_next`] says so; `stripe-sandbox` offers lost answers, resets and delays.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tenant_billing_core::{
    answer::Answer,
    ids::{AccountId, CustomerId, InstallationId, Mode},
    ports::{Clock, Stripe},
    request::FrozenRequest,
};

use crate::system::SystemClock;

/// When the first Customer is created, in seconds since 1970. Each further one is created a second
/// after the one before it.
const FIRST_CREATED: usize = 1_700_000_000;
/// The largest page, as at Stripe.
const PAGE_LIMIT: usize = 100;

/// Stripe in memory, in test mode, as account `acct_fake`.
pub struct FakeStripe {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

impl Default for FakeStripe {
    fn default() -> Self {
        Self { state: Mutex::default(), clock: SystemClock::shared() }
    }
}

/// A Customer of [`FakeStripe`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeCustomer {
    /// The Customer's id.
    pub id: CustomerId,
    /// The e-mail address.
    pub email: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The metadata.
    pub metadata: BTreeMap<String, String>,
    /// Whether the Customer was deleted.
    pub deleted: bool,
}

#[derive(Default)]
struct State {
    /// Each Customer with the request that created it, oldest first.
    customers: Vec<(FakeCustomer, FrozenRequest)>,
    /// By idempotency key: the request, the `Request-Id` and the answer.
    saved: HashMap<String, (FrozenRequest, String, Value)>,
    /// The answers that [`FakeStripe::fail_next`] has ordered.
    failures: VecDeque<Answer>,
    /// How many requests there were.
    requests: usize,
}

impl FakeStripe {
    /// A Stripe account without any Customer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands this clock to [`Billing`](crate::Billing), instead of the system's.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Every Customer that was ever created, oldest first, including the deleted ones.
    pub fn customers(&self) -> Vec<FakeCustomer> {
        let state = self.state();
        state.customers.iter().map(|(it, _)| it.clone()).collect()
    }

    /// Deletes a Customer, as from Stripe's dashboard; `false` if it does not exist or is already
    /// deleted.
    pub fn delete(&self, id: &CustomerId) -> bool {
        let mut state = self.state();
        let mut customers = state.customers.iter_mut().map(|(it, _)| it);
        let found = customers.find(|it| it.id == *id && !it.deleted);
        found.map(|it| it.deleted = true).is_some()
    }

    /// Makes the next call, whichever it is, do nothing and return this answer. If this is called
    /// several times, each answer is for one further call.
    pub fn fail_next(&self, answer: Answer) {
        self.state().failures.push_back(answer);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, work: impl FnOnce(&mut State) -> Answer) -> Answer {
        let mut state = self.state();
        state.requests += 1;
        let ordered = state.failures.pop_front();
        ordered.unwrap_or_else(|| work(&mut state))
    }
}

#[async_trait]
impl Stripe for FakeStripe {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    fn mode(&self) -> Mode {
        Mode::Test
    }

    fn stripe_account(&self) -> Option<&AccountId> {
        None
    }

    fn fingerprint(&self, _: &InstallationId) -> Option<String> {
        None
    }

    async fn account(&self) -> Answer {
        self.answer(|state| state.ok(&json!({"id": "acct_fake", "object": "account"})))
    }

    /// Creates a Customer. `begin_by` is ignored, since nothing here takes time.
    async fn create_customer(&self, request: &FrozenRequest, _begin_by: Duration) -> Answer {
        self.answer(|state| state.create(request))
    }

    async fn retrieve_customer(&self, customer: &CustomerId) -> Answer {
        self.answer(|state| {
            let at = state.customers.iter().position(|(it, _)| it.id == *customer);
            match at {
                Some(at) => state.ok(&state.customer(at)),
                None => state.refuse(404, "resource_missing", "id"),
            }
        })
    }

    async fn list_customers(&self, email: &str, after: Option<&CustomerId>) -> Answer {
        self.answer(|state| {
            let newest = state.live(|it| it.email.as_deref() == Some(email));
            state.page(newest, after.map(CustomerId::as_str))
        })
    }

    /// Understands the one form of query that the protocol uses: `metadata['key']:'value'`.
    async fn search_customers(&self, query: &str, page: Option<&str>) -> Answer {
        self.answer(|state| {
            let quoted = query.strip_prefix("metadata['");
            let pair = quoted.and_then(|it| it.strip_suffix('\'')?.split_once("']:'"));
            let Some((key, value)) = pair else {
                return state.refuse(400, "parameter_invalid", "query");
            };
            let value = value.replace(r"\'", "'").replace(r"\\", r"\");
            let newest = state.live(|it| it.metadata.get(key) == Some(&value));
            state.page(newest, page)
        })
    }

    /// Returns all events. `since` is ignored, since the events' times are not real.
    async fn list_created_events(&self, _since: Timestamp, after: Option<&str>) -> Answer {
        self.answer(|state| {
            let event = |at: usize| {
                json!({
                    "id": format!("evt_fake_{:06}", at + 1), "object": "event",
                    "type": "customer.created", "created": FIRST_CREATED + at, "livemode": false,
                    "data": {"object": state.created(at)},
                    "request": {"idempotency_key": state.customers[at].1.key.as_str()},
                })
            };
            let newest = (0..state.customers.len()).rev().map(event).collect();
            state.page(newest, after)
        })
    }
}

impl State {
    fn create(&mut self, request: &FrozenRequest) -> Answer {
        let key = request.key.as_str();
        if let Some((first, id, body)) = self.saved.get(key) {
            if first != request {
                let message =
                    "Keys can only be used with the parameters they were first used with.";
                let body = json!({"error": {"type": "idempotency_error", "message": message}});
                return self.response(400, &[], &body);
            }
            let replayed = [("Idempotent-Replayed", "true"), ("Original-Request", id)];
            return self.response(200, &replayed, body);
        }
        let mut customer = FakeCustomer {
            id: CustomerId::parse(&format!("cus_fake_{:06}", self.customers.len() + 1))
                .expect("an id without special characters"),
            email: None,
            name: None,
            metadata: BTreeMap::new(),
            deleted: false,
        };
        for (name, value) in form_urlencoded::parse(request.body.as_bytes()).into_owned() {
            match name.strip_prefix("metadata[").and_then(|it| it.strip_suffix(']')) {
                Some(key) => drop(customer.metadata.insert(key.to_owned(), value)),
                None if name == "email" => customer.email = Some(value),
                None if name == "name" => customer.name = Some(value),
                None => return self.refuse(400, "parameter_unknown", &name),
            }
        }
        let domain = customer.email.as_deref().map(|it| it.split_once('@'));
        if domain.is_some_and(|it| it.is_none_or(|(_, domain)| !domain.contains('.'))) {
            return self.refuse(400, "email_invalid", "email");
        }
        self.customers.push((customer, request.clone()));
        let body = self.created(self.customers.len() - 1);
        let id = self.request_id();
        let answer = self.response(200, &[("Original-Request", &id)], &body);
        let saved = (request.clone(), id, body);
        self.saved.insert(key.to_owned(), saved);
        answer
    }

    /// The JSON of a Customer as it was created.
    fn created(&self, at: usize) -> Value {
        let (it, _) = &self.customers[at];
        json!({
            "id": it.id.as_str(), "object": "customer", "created": FIRST_CREATED + at,
            "livemode": false, "email": it.email, "name": it.name, "metadata": it.metadata,
        })
    }

    /// The JSON of a Customer as it is now.
    fn customer(&self, at: usize) -> Value {
        let (it, _) = &self.customers[at];
        if it.deleted {
            json!({"id": it.id.as_str(), "object": "customer", "deleted": true})
        } else {
            self.created(at)
        }
    }

    /// The JSON of the Customers that match and are not deleted, newest first.
    fn live(&self, matches: impl Fn(&FakeCustomer) -> bool) -> Vec<Value> {
        let all = self.customers.iter().enumerate().rev();
        let live = all.filter(|(_, (it, _))| !it.deleted && matches(it));
        live.map(|(at, _)| self.created(at)).collect()
    }

    /// The page that follows the entry with the id `after`. (A search's cursor may be any text, so
    /// we use an id.)
    fn page(&self, newest_first: Vec<Value>, after: Option<&str>) -> Answer {
        let id = |entry: &Value| entry["id"].as_str().unwrap_or_default().to_owned();
        // Ids count up, so newer entries have larger ids. This holds even if the entry `after` was
        // deleted meanwhile.
        let mut rest: Vec<_> = newest_first;
        rest.retain(|entry| after.is_none_or(|after| *id(entry) < *after));
        let has_more = rest.len() > PAGE_LIMIT;
        rest.truncate(PAGE_LIMIT);
        let next = rest.last().filter(|_| has_more).map(id);
        self.ok(&json!({"object": "list", "data": rest, "has_more": has_more, "next_page": next}))
    }

    fn ok(&self, body: &Value) -> Answer {
        self.response(200, &[], body)
    }

    fn refuse(&self, status: u16, code: &str, param: &str) -> Answer {
        let body = json!({"error": {
            "type": "invalid_request_error", "code": code, "param": param,
            "message": format!("The fake Stripe refuses {param}: {code}."),
        }});
        self.response(status, &[], &body)
    }

    fn response(&self, status: u16, headers: &[(&str, &str)], body: &Value) -> Answer {
        let id = self.request_id();
        let ours = [("Content-Type", "application/json"), ("Request-Id", &id)];
        Answer::Response {
            status,
            headers: ours.iter().chain(headers).copied().collect(),
            body: body.to_string().into(),
        }
    }

    fn request_id(&self) -> String {
        format!("req_fake_{:06}", self.requests)
    }
}
