//! The data of one account in one mode: its Customers, events, saved answers and webhook endpoints.
//!
//! Customers lie in the order of their creation, and a position in that order is what ids, indexes,
//! events and saved answers come down to. Time never runs backwards within a book, so that this order
//! is also the order of `created`.

use super::customers::{Birth, Customers, Edit};
use super::details::Details;
use super::event::{Event, Events, What};
use super::hooks::Endpoint;
use super::index::Index;
use super::mutation::{By, Change, Deed, Save};
use super::saved::{Answer, Saved};
use crate::ids;

/// The data of one account in one mode.
#[derive(Debug)]
pub(crate) struct Book {
    /// Where its ids come from.
    base: u64,
    pub(crate) customers: Customers,
    pub(crate) events: Events,
    pub(crate) saved: Saved,
    /// Live and deleted ones.
    pub(crate) endpoints: Vec<Endpoint>,
    terms: Index,
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
            terms: Index::default(),
            last_ms: 0,
        }
    }

    /// The id of the Customer at a position.
    pub(crate) fn customer_id(&self, position: u32) -> String {
        ids::CUSTOMER.id(self.base, position.into())
    }

    /// The position of the Customer with this id, live or deleted.
    pub(crate) fn position(&self, id: &str) -> Option<u32> {
        numbered(ids::CUSTOMER.number(self.base, id), self.customers.len())
    }

    /// The position of the live Customer with this id.
    pub(crate) fn live(&self, id: &str) -> Option<u32> {
        self.position(id).filter(|at| self.customers.deleted_ms(*at).is_none())
    }

    /// The id of the event at a position.
    pub(crate) fn event_id(&self, position: u32) -> String {
        ids::EVENT.id(self.base, position.into())
    }

    /// The position of the event with this id; it may have been pruned.
    pub(crate) fn event(&self, id: &str) -> Option<u32> {
        numbered(ids::EVENT.number(self.base, id), self.events.len())
    }

    /// The id of the webhook endpoint at a position.
    pub(crate) fn endpoint_id(&self, position: u32) -> String {
        ids::ENDPOINT.id(self.base, position.into())
    }

    /// The position of the webhook endpoint with this id, live or deleted.
    pub(crate) fn endpoint(&self, id: &str) -> Option<u32> {
        numbered(ids::ENDPOINT.number(self.base, id), self.endpoints.len() as u32)
    }

    /// The secret that the deliveries to a webhook endpoint are signed with.
    pub(crate) fn secret(&self, endpoint: u32) -> String {
        let start = ids::mix(self.base ^ ids::hash(b"whsec_")) ^ u64::from(endpoint);
        let letters: String = ids::letters(start).take(32).collect();
        format!("whsec_{letters}")
    }

    /// Positions below `end` of Customers that may have, or once had, this value in a field, newest
    /// first.
    pub(crate) fn with_term(
        &self,
        field: &str,
        value: &str,
        end: u32,
    ) -> impl Iterator<Item = u32> + use<'_> {
        self.terms.find(term(field, value), end)
    }

    /// The time to stamp a change with: `now_ms`, or later if the machine's clock went back.
    fn stamp(&self, now_ms: i64) -> i64 {
        now_ms.max(self.last_ms)
    }

    /// Takes in a change and saves its answer; returns the position of its event, if it has one.
    pub(super) fn apply(&mut self, change: &Change, save: Option<&Save>) -> Option<u32> {
        let Change { at_ms, by, what, .. } = change;
        let at_ms = self.stamp(*at_ms);
        self.last_ms = at_ms;
        self.events.prune(at_ms, &self.customers);
        self.saved.prune(at_ms, &self.customers);
        match what {
            // What a late effect is for may have been deleted meanwhile.
            Deed::Updated { customer, .. } | Deed::Deleted { customer }
                if self.customers.deleted_ms(*customer).is_some() =>
            {
                None
            }
            Deed::Created { form } => {
                let (request, key, first_used_ms) = match by {
                    Some(By { request, key, came_ms, .. }) => (*request, key.clone(), *came_ms),
                    None => (0, None, at_ms),
                };
                let at = self.customers.len();
                let form = form.clone();
                let birth = Birth { created_ms: at_ms, request, first_used_ms, key, form };
                self.customers.push(&birth);
                self.file(&self.customers.version(at, 0), at);
                if let Some(save) = save {
                    self.saved.created(&save.key, at);
                }
                Some(self.events.created(at))
            }
            Deed::Updated { customer, form } => {
                let edit = Edit { at_ms, form: form.clone() };
                let edits = self.customers.edit(*customer, edit);
                self.file(&self.customers.current(*customer), *customer);
                self.save(save, by.as_ref(), Answer::Updated { customer: *customer, edits });
                Some(self.note(at_ms, *customer, What::Updated { edits }, by.as_ref()))
            }
            Deed::Deleted { customer } => {
                self.customers.delete(*customer, at_ms);
                Some(self.note(at_ms, *customer, What::Deleted, by.as_ref()))
            }
            Deed::EndpointCreated { form } => {
                let mut details = Details::default();
                details.apply(form);
                let endpoint = Endpoint { created_ms: at_ms, details, deleted: false };
                self.endpoints.push(endpoint);
                self.save_endpoint(save, by.as_ref(), self.endpoints.len() as u32 - 1, true);
                None
            }
            Deed::EndpointUpdated { endpoint, form } => {
                self.endpoints[*endpoint as usize].details.apply(form);
                self.save_endpoint(save, by.as_ref(), *endpoint, false);
                None
            }
            Deed::EndpointDeleted { endpoint } => {
                self.endpoints[*endpoint as usize].deleted = true;
                None
            }
        }
    }

    fn note(&mut self, at_ms: i64, customer: u32, what: What, by: Option<&By>) -> u32 {
        let request = by.map(|by| by.request);
        // Only a POST has a key; a DELETE's was never read.
        let key = by.and_then(|by| by.key.clone());
        self.events.push(Event { at_ms, customer, what, request, key })
    }

    fn save_endpoint(&mut self, save: Option<&Save>, by: Option<&By>, at: u32, new: bool) {
        let endpoint = Box::new(self.endpoints[at as usize].clone());
        self.save(save, by, Answer::Endpoint { at, endpoint, new });
    }

    fn save(&mut self, save: Option<&Save>, by: Option<&By>, answer: Answer) {
        if let (Some(save), Some(by)) = (save, by) {
            self.saved.save(save, by.request, answer);
        }
    }

    /// Files a version of a Customer under all that it can be found by.
    fn file(&mut self, details: &Details, position: u32) {
        for (field, value) in details.terms() {
            self.terms.insert(term(field, value), position);
        }
    }
}

fn numbered(number: Option<u64>, count: u32) -> Option<u32> {
    u32::try_from(number?).ok().filter(|at| *at < count)
}

/// Search does not tell upper from lower case.
fn term(field: &str, value: &str) -> u64 {
    ids::hash(format!("{field}\0{}", value.to_lowercase()).as_bytes())
}
