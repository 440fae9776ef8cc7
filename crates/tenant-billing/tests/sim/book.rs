//! What Stripe holds, and what it shows of that: Customers, keys, and how far its indexes are
//! behind.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tenant_billing::answer::Answer;

use crate::{
    customer::{Customer, Maker},
    ops::Odd,
    stripe::{ACCOUNT, EVENTS, LIST, SEARCH},
};

/// How long Stripe lists events.
const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What Stripe remembers of a key.
struct Saved {
    body: String,
    request_id: String,
    status: u16,
    answer: Value,
    forgotten_at: Timestamp,
}

pub(crate) struct Book {
    pub(crate) customers: Vec<Customer>,
    keys: BTreeMap<String, Saved>,
    in_flight: BTreeSet<String>,
    pub(crate) lag: SignedDuration,
    key_life: SignedDuration,
    page: usize,
    live: bool,
    requests: u64,
}

/// What arrives at Stripe.
pub(crate) enum Arrival {
    /// It is answered on the spot.
    Answered(Answer),
    /// It is worked on.
    Begun,
}

impl Book {
    pub(crate) fn new(live: bool, key_hours: u16, page: u8, lag: u8) -> Self {
        Self {
            customers: Vec::new(),
            keys: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            lag: SignedDuration::from_mins(i64::from(lag)),
            key_life: SignedDuration::from_hours(i64::from(key_hours)),
            page: usize::from(page),
            live,
            requests: 0,
        }
    }

    /// A creation arrives; it is one with all that came under its key.
    pub(crate) fn arrive(&mut self, key: &str, body: &str, now: Timestamp) -> Arrival {
        self.keys.retain(|_, saved| saved.forgotten_at > now);
        if self.in_flight.contains(key) {
            return Arrival::Answered(self.in_use());
        }
        if let Some(saved) = self.keys.get(key) {
            if saved.body != body {
                let message = "Keys for idempotent requests can only be used with the same \
                               parameters they were first used with.";
                let error = json!({"error": {"type": "idempotency_error", "message": message}});
                return Arrival::Answered(self.response(400, &[], &error));
            }
            let (status, answer) = (saved.status, saved.answer.clone());
            let original = saved.request_id.clone();
            let replayed = [("Idempotent-Replayed", "true"), ("Original-Request", &*original)];
            return Arrival::Answered(self.response(status, &replayed, &answer));
        }
        self.in_flight.insert(key.to_owned());
        Arrival::Begun
    }

    /// Whether the e-mail passes Stripe's validation.
    pub(crate) fn accepts(body: &str) -> bool {
        let domain = |email: &str| email.split_once('@').map(|(_, it)| it.to_owned());
        field(body, "email").is_none_or(|it| domain(&it).is_some_and(|it| it.contains('.')))
    }

    /// The work on a creation is over.
    pub(crate) fn complete(
        &mut self,
        maker: Maker,
        key: &str,
        body: &str,
        tenant: &str,
        now: Timestamp,
    ) -> Answer {
        self.in_flight.remove(key);
        if !Self::accepts(body) {
            let email = field(body, "email").unwrap_or_default();
            // A failed validation is not saved: the key may be used anew.
            let error = json!({"error": {
                "type": "invalid_request_error", "code": "email_invalid", "param": "email",
                "message": format!("Invalid email address: {email}"),
            }});
            return self.response(400, &[("Stripe-Should-Retry", "false")], &error);
        }
        let at = self.make(maker, tenant, body, now, false);
        let answer = self.shown(at);
        self.save(key, body, 200, answer, now)
    }

    /// The work on a creation failed, and Stripe saves that.
    pub(crate) fn fail(&mut self, key: &str, body: &str, now: Timestamp) -> Answer {
        self.in_flight.remove(key);
        self.save(key, body, 500, error_500(), now)
    }

    fn save(
        &mut self,
        key: &str,
        body: &str,
        status: u16,
        answer: Value,
        now: Timestamp,
    ) -> Answer {
        let request_id = format!("req_{:05}", self.requests + 1);
        let headers = [
            ("Idempotency-Key", key),
            ("Original-Request", &*request_id),
            ("Stripe-Should-Retry", "false"),
        ];
        let headers = if status == 200 { &headers[..] } else { &headers[..2] };
        let response = self.response(status, headers, &answer);
        let saved = Saved {
            body: body.to_owned(),
            request_id,
            status,
            answer,
            forgotten_at: now + self.key_life,
        };
        self.keys.insert(key.to_owned(), saved);
        response
    }

    /// A Customer comes to be; where it stands.
    pub(crate) fn make(
        &mut self,
        maker: Maker,
        tenant: &str,
        body: &str,
        now: Timestamp,
        of_a_failure: bool,
    ) -> usize {
        let pairs = form_urlencoded::parse(body.as_bytes()).into_owned();
        let metadata = pairs.filter_map(|(name, value)| {
            let key = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((key.to_owned(), value))
        });
        self.customers.push(Customer {
            id: format!("cus_{:04}", self.customers.len() + 1),
            made_at: now,
            maker,
            tenant: tenant.to_owned(),
            email: field(body, "email"),
            metadata: metadata.collect(),
            deleted_at: None,
            of_a_failure,
            edited: false,
            shows_at: now + self.lag,
        });
        self.customers.len() - 1
    }

    /// A Customer that somebody else makes.
    pub(crate) fn make_foreign(
        &mut self,
        maker: Maker,
        tenant: &str,
        email: Option<&str>,
        metadata: &[(&str, &str)],
        now: Timestamp,
    ) -> String {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(email.map(|email| ("email", email)));
        for (key, value) in metadata {
            body.append_pair(&format!("metadata[{key}]"), value);
        }
        let at = self.make(maker, tenant, &body.finish(), now, false);
        self.customers[at].id.clone()
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Customer> {
        self.customers.iter().find(|it| it.id == id)
    }

    pub(crate) fn retrieve(&mut self, id: &str) -> Answer {
        match self.customers.iter().position(|it| it.id == id) {
            Some(at) if self.customers[at].deleted_at.is_some() => {
                let gone = json!({"id": id, "object": "customer", "deleted": true});
                self.response(200, &[], &gone)
            }
            Some(at) => {
                let shown = self.shown(at);
                self.response(200, &[], &shown)
            }
            None => self.missing(id),
        }
    }

    /// Reads what was written.
    pub(crate) fn list(&mut self, email: &str, after: Option<&str>) -> Answer {
        let matches = |it: &Customer| it.deleted_at.is_none() && it.email.as_deref() == Some(email);
        self.customers_page(matches, after)
    }

    /// Is behind, and may show a deleted Customer as live until it has caught up.
    pub(crate) fn search(&mut self, query: &str, page: Option<&str>, now: Timestamp) -> Answer {
        let lag = self.lag;
        let matches = |it: &Customer| {
            let is_listed = it.shows_at <= now && it.deleted_at.is_none_or(|at| at + lag > now);
            is_listed && it.is_asked_for(query)
        };
        self.customers_page(matches, page)
    }

    pub(crate) fn events(
        &mut self,
        since: Timestamp,
        after: Option<&str>,
        now: Timestamp,
    ) -> Answer {
        let listed = |it: &Customer| {
            let listed_from = since.as_second().max((now - EVENTS_KEPT).as_second());
            it.shows_at <= now && it.made_at.as_second() >= listed_from
        };
        let events = self.customers.iter().enumerate().rev().filter(|(_, it)| listed(it));
        let events = events.map(|(at, it)| {
            let key = match &it.maker {
                Maker::Us(key) | Maker::Second(key) => Some(key),
                Maker::Host | Maker::Foreign | Maker::Legacy => None,
            };
            json!({
                "id": format!("evt_{at:04}"), "object": "event", "type": "customer.created",
                "created": it.made_at.as_second(), "livemode": self.live,
                "data": {"object": {"id": it.id, "object": "customer"}},
                "request": {"id": "req_1", "idempotency_key": key},
            })
        });
        let events = events.collect();
        self.page(events, after)
    }

    fn customers_page(
        &mut self,
        matches: impl Fn(&Customer) -> bool,
        after: Option<&str>,
    ) -> Answer {
        let found = (0..self.customers.len()).rev().filter(|at| matches(&self.customers[*at]));
        let found = found.map(|at| self.shown(at)).collect();
        self.page(found, after)
    }

    /// The page after the entry of this id. Ids count up, so "after" is "smaller".
    fn page(&mut self, mut newest_first: Vec<Value>, after: Option<&str>) -> Answer {
        let id = |entry: &Value| entry["id"].as_str().unwrap_or_default().to_owned();
        newest_first.retain(|entry| after.is_none_or(|after| *id(entry) < *after));
        let has_more = newest_first.len() > self.page;
        newest_first.truncate(self.page);
        let next = newest_first.last().filter(|_| has_more).map(id);
        let list = json!({"object": "list", "data": newest_first, "has_more": has_more, "next_page": next});
        self.response(200, &[], &list)
    }

    fn shown(&self, at: usize) -> Value {
        let it = &self.customers[at];
        json!({
            "id": it.id, "object": "customer", "created": it.made_at.as_second(),
            "livemode": self.live, "email": it.email, "name": null, "metadata": it.metadata,
        })
    }

    pub(crate) fn account(&mut self, id: &str) -> Answer {
        self.response(200, &[], &json!({"id": id, "object": "account"}))
    }

    /// Something else than was asked for: in a list, an entry or no list at all.
    pub(crate) fn odd(&mut self, odd: Odd, asked: &str) -> Answer {
        let id = if asked.starts_with("cus_") { asked } else { "cus_9999" };
        let shown = match odd {
            Odd::Account if asked != ACCOUNT => json!({"id": "acct_1", "object": "account"}),
            Odd::Account | Odd::Deleted => {
                json!({"id": "cus_9998", "object": "customer", "deleted": true})
            }
            Odd::Stranger => json!({"id": id, "object": "subscription", "created": 1}),
        };
        let shown = match asked {
            EVENTS => json!({"id": "evt_9999", "data": {"object": shown}}),
            _ => shown,
        };
        match asked {
            LIST | SEARCH | EVENTS if odd != Odd::Deleted => {
                let list = json!({"object": "list", "data": [shown], "has_more": false});
                self.response(200, &[], &list)
            }
            _ => self.response(200, &[], &shown),
        }
    }

    pub(crate) fn missing(&mut self, id: &str) -> Answer {
        let error = json!({"error": {
            "type": "invalid_request_error", "code": "resource_missing", "param": "id",
            "message": format!("No such customer: '{id}'"),
        }});
        self.response(404, &[], &error)
    }

    pub(crate) fn no_search(&mut self) -> Answer {
        let message = "Search is not available for this account.";
        let error = json!({"error": {"type": "invalid_request_error", "message": message}});
        self.response(400, &[], &error)
    }

    pub(crate) fn in_use(&mut self) -> Answer {
        let error = json!({"error": {
            "type": "invalid_request_error", "code": "idempotency_key_in_use",
            "message": "There is currently another in-progress request using this key.",
        }});
        self.response(409, &[], &error)
    }

    pub(crate) fn limited(&mut self) -> Answer {
        let error = json!({"error": {"type": "invalid_request_error", "code": "rate_limit",
                                     "message": "Too many requests."}});
        self.response(429, &[("Stripe-Rate-Limited-Reason", "global-rate")], &error)
    }

    pub(crate) fn unstored_500(&mut self) -> Answer {
        self.response(500, &[], &error_500())
    }

    fn response(&mut self, status: u16, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.requests += 1;
        let id = format!("req_{:05}", self.requests);
        let ours = [("Content-Type", "application/json"), ("Request-Id", &*id)];
        Answer::Response {
            status,
            headers: ours.iter().chain(headers).copied().collect(),
            body: body.to_string().into(),
        }
    }
}

fn error_500() -> Value {
    json!({"error": {"type": "api_error", "message": "Sorry! There was an error while talking to one \
                                                     of our backends."}})
}

fn field(body: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(body.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
