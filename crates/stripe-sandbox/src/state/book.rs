//! The data of one account in one mode: its Customers, events, saved answers and webhook endpoints.
//!
//! Customers are kept in the order of their creation. Ids, the index, events and saved answers all
//! refer to a position in that order. Time never runs backwards within a book, so that this order
//! is also the order of `created`.

use super::customers::{Birth, Customers, Later};
use super::event::Events;
use super::hooks::Endpoint;
use super::index::Index;
use super::mutation::{By, Change, Deed, Save};
use super::saved::{Answer, Found, Record, Saved};
use crate::form::Form;
use crate::ids;

/// The index's name for the key that a Customer was created under. No parameter has this name.
const KEY: &str = "(key)";

/// The data of one account in one mode.
#[derive(Debug)]
pub(crate) struct Book {
    /// The seed of its ids.
    base: u64,
    pub(crate) customers: Customers,
    pub(crate) events: Events,
    pub(crate) saved: Saved,
    /// The webhook endpoints, live and deleted.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) index: Index,
    last_ms: i64,
}

impl Book {
    pub(super) fn new(base: u64) -> Book {
        Book {
            base,
            customers: Customers::default(),
            events: Events::default(),
            saved: Saved::default(),
            endpoints: Vec::new(),
            index: Index::default(),
            last_ms: 0,
        }
    }

    pub(crate) fn customer_id(&self, position: u32) -> String {
        ids::CUSTOMER.id(self.base, position.into())
    }

    /// The position of the Customer with this id, live or deleted.
    pub(crate) fn position(&self, id: &str) -> Option<u32> {
        ids::CUSTOMER.position(self.base, id, self.customers.len())
    }

    /// The position of the live Customer with this id.
    pub(crate) fn live(&self, id: &str) -> Option<u32> {
        self.position(id).filter(|at| self.customers.deleted_ms(*at).is_none())
    }

    pub(crate) fn event_id(&self, position: u32) -> String {
        ids::EVENT.id(self.base, position.into())
    }

    /// The position of the event with this id, which may have been pruned.
    pub(crate) fn event(&self, id: &str) -> Option<u32> {
        ids::EVENT.position(self.base, id, self.events.len())
    }

    pub(crate) fn endpoint_id(&self, position: u32) -> String {
        ids::ENDPOINT.id(self.base, position.into())
    }

    /// The position of the webhook endpoint with this id, live or deleted.
    pub(crate) fn endpoint(&self, id: &str) -> Option<u32> {
        ids::ENDPOINT.position(self.base, id, self.endpoints.len() as u32)
    }

    /// The secret that signs the deliveries to a webhook endpoint.
    pub(crate) fn secret(&self, endpoint: u32) -> String {
        let start = ids::mix(self.base ^ ids::hash(b"whsec_")) ^ u64::from(endpoint);
        let letters: String = ids::letters(start).take(32).collect();
        format!("whsec_{letters}")
    }

    /// Looks an idempotency key up. A request that holds the key itself passes `held`, and does not
    /// find itself.
    pub(crate) fn find(&self, key: &str, now_ms: i64, held: bool) -> Found {
        if !held && self.saved.is_in_flight(key) {
            return Found::InFlight;
        }
        let saved = self.saved.get(key, now_ms).cloned();
        let created = || self.index.find(KEY, key, 0..u32::MAX).map(|at| self.creation(at));
        let created = || created().find(|it| it.save.key == key && it.is_alive(now_ms));
        saved.or_else(created).map_or(Found::Nothing, Found::Saved)
    }

    /// The record that a Customer is of its own creation.
    fn creation(&self, at: u32) -> Record {
        let Birth { key, form, created_ms, waited_ms, request } = self.customers.birth(at);
        let save = Save {
            key: key.unwrap_or_default(),
            endpoint: "/v1/customers".to_owned(),
            fingerprint: form.fingerprint(),
            first_used_ms: created_ms - waited_ms,
        };
        Record { save, request, answer: Answer::Customer { at, version: 0 } }
    }

    /// Applies a change and saves its answer. Returns the position of its event, if it has one.
    pub(super) fn apply(&mut self, change: &Change, save: Option<&Save>) -> Option<u32> {
        let Change { at_ms, by, what, .. } = change;
        // The machine's clock may have gone back.
        let at_ms = self.last_ms.max(*at_ms);
        self.last_ms = at_ms;
        self.events.prune(at_ms, &self.customers);
        self.saved.prune(at_ms);
        let by = by.as_ref();
        match what {
            Deed::Created { form } => {
                let birth = Birth {
                    created_ms: at_ms,
                    request: by.map_or(0, |by| by.request),
                    waited_ms: by.map_or(0, |by| at_ms - by.came_ms),
                    key: by.and_then(|by| by.key.clone()),
                    form: form.clone(),
                };
                let at = self.customers.push(&birth);
                self.file(form, at);
                if let Some(save) = save {
                    self.index.insert(KEY, &save.key, at);
                }
                Some(self.events.push(at, 0))
            }
            Deed::Updated { customer, form } => {
                let version = self.change(*customer, at_ms, Some(form), by)?;
                self.file(form, *customer);
                self.save(save, by, what);
                Some(self.events.push(*customer, version))
            }
            Deed::Deleted { customer } => {
                let version = self.change(*customer, at_ms, None, by)?;
                Some(self.events.push(*customer, version))
            }
            Deed::EndpointCreated { form } => {
                let mut details = Form::default();
                details.apply(form);
                self.endpoints.push(Endpoint { created_ms: at_ms, details, deleted: false });
                self.save(save, by, what);
                None
            }
            Deed::EndpointUpdated { endpoint, form } => {
                self.endpoints[*endpoint as usize].details.apply(form);
                self.save(save, by, what);
                None
            }
            Deed::EndpointDeleted { endpoint } => {
                self.endpoints[*endpoint as usize].deleted = true;
                None
            }
        }
    }

    /// Changes a Customer, and returns the number of its new version. A late effect may find its
    /// Customer deleted, and then changes nothing.
    fn change(
        &mut self,
        customer: u32,
        at_ms: i64,
        form: Option<&Form>,
        by: Option<&By>,
    ) -> Option<u32> {
        if self.customers.deleted_ms(customer).is_some() {
            return None;
        }
        let request = by.map(|by| by.request);
        let key = by.and_then(|by| by.key.clone());
        Some(self.customers.change(customer, Later { at_ms, form: form.cloned(), request, key }))
    }

    /// The answer to a deed that was just done.
    pub(crate) fn answer(&self, deed: &Deed) -> Answer {
        let endpoint = |at: u32, new| {
            let endpoint = Box::new(self.endpoints[at as usize].clone());
            Answer::Endpoint { at, endpoint, new }
        };
        match deed {
            Deed::Created { .. } => Answer::Customer { at: self.customers.len() - 1, version: 0 },
            Deed::Updated { customer: at, .. } | Deed::Deleted { customer: at } => {
                Answer::Customer { at: *at, version: self.customers.newest(*at) }
            }
            Deed::EndpointCreated { .. } => endpoint(self.endpoints.len() as u32 - 1, true),
            Deed::EndpointUpdated { endpoint: at, .. } | Deed::EndpointDeleted { endpoint: at } => {
                endpoint(*at, false)
            }
        }
    }

    fn save(&mut self, save: Option<&Save>, by: Option<&By>, deed: &Deed) {
        if let (Some(save), Some(by)) = (save, by) {
            self.saved.save(save, by.request, self.answer(deed));
        }
    }

    /// Files a Customer under everything in a form that search can find it by.
    fn file(&mut self, form: &Form, position: u32) {
        let plain = ["email", "name", "phone"];
        let searched = |name: &str| plain.contains(&name) || name.starts_with("metadata[");
        for (name, value) in form.iter().filter(|(name, value)| searched(name) && !value.is_empty())
        {
            self.index.insert(name, value, position);
        }
    }
}
