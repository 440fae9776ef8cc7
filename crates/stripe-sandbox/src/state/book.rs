//! The data of one account in one mode: its Customers, events and saved answers.
//!
//! Customers lie in the order of their creation, and a position in that order is what indexes,
//! events and saved answers hold. Time never runs backwards within a book, so that this order is
//! also the order of `created`.

use std::sync::Arc;

use super::customer::{Customer, Details, Origin, Packed};
use super::event::{Event, Events, What};
use super::index::Index;
use super::mutation::{Created, Deleted, Edited, Failed, Failure};
use super::saved::{Answer, Record, Saved};
use crate::ids;

/// The data of one account in one mode.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) customers: Vec<Customer>,
    pub(crate) events: Events,
    pub(crate) saved: Saved,
    by_id: Index,
    by_email: Index,
    by_term: Index,
    last_ms: i64,
}

impl Book {
    /// The position of the Customer with this id, live or deleted.
    pub(crate) fn position(&self, id: &str) -> Option<u32> {
        let matches = |at: &u32| *self.at(*at).id == *id;
        self.by_id.find(ids::hash(id.as_bytes())).find(matches)
    }

    /// The Customer at a position that this book gave out.
    pub(crate) fn at(&self, position: u32) -> &Customer {
        &self.customers[position as usize]
    }

    /// The live Customer with this id.
    pub(crate) fn live(&self, id: &str) -> Option<&Customer> {
        self.position(id).map(|at| self.at(at)).filter(|customer| customer.deleted_ms.is_none())
    }

    /// Positions of Customers that may have this e-mail address now, newest first.
    pub(crate) fn with_email<'a>(&'a self, email: &str) -> impl Iterator<Item = u32> + use<'a> {
        self.by_email.find(ids::hash(email.as_bytes()))
    }

    /// Positions of Customers that may have, or once had, this value in a searchable field.
    pub(crate) fn with_term<'a>(
        &'a self,
        field: &str,
        value: &str,
    ) -> impl Iterator<Item = u32> + use<'a> {
        self.by_term.find(term(field, value))
    }

    /// The positions of the Customers created from `from_ms` on and before `until_ms`.
    pub(crate) fn between(&self, from_ms: i64, until_ms: i64) -> std::ops::Range<u32> {
        let start = self.customers.partition_point(|c| c.created_ms < from_ms) as u32;
        let end = self.customers.partition_point(|c| c.created_ms < until_ms) as u32;
        start..end.max(start)
    }

    /// The time to stamp a change with: `now_ms`, or later if the machine's clock went back.
    pub(crate) fn stamp(&self, now_ms: i64) -> i64 {
        now_ms.max(self.last_ms)
    }

    /// The request that first had a record's key.
    pub(crate) fn first_request<'a>(&'a self, record: &'a Record) -> &'a str {
        match &record.answer {
            Answer::Failed { request, .. } => request,
            Answer::Created(at) => self.at(*at).origin.request.as_deref().unwrap_or_default(),
        }
    }

    pub(super) fn created(&mut self, change: &Created, now_ms: i64) {
        let position = u32::try_from(self.customers.len()).expect("fewer than 4 billion Customers");
        let key: Option<Arc<str>> = change.save.as_ref().map(|save| Arc::from(save.key.as_str()));
        self.customers.push(Customer {
            id: change.id.as_str().into(),
            created_ms: change.at_ms,
            deleted_ms: None,
            born: Packed::new(&change.details),
            edits: Vec::new(),
            origin: Origin { request: Some(change.request.as_str().into()), key: key.clone() },
        });
        self.by_id.insert(ids::hash(change.id.as_bytes()), position);
        self.file(&change.details, position);
        self.note(&change.event, change.at_ms, position, What::Created, now_ms);
        if let (Some(save), Some(key)) = (&change.save, key) {
            let answer = match &change.failure {
                None => Answer::Created(position),
                Some(failure) => failed(failure, &change.request),
            };
            self.saved.save(save, key, answer, now_ms);
        }
    }

    pub(super) fn edited(&mut self, change: &Edited, now_ms: i64) {
        let Some(position) = self.position(&change.id) else {
            return;
        };
        let customer = &mut self.customers[position as usize];
        customer.edits.push((change.at_ms, Packed::new(&change.details)));
        let edits = customer.edits.len() as u32;
        self.file(&change.details, position);
        self.note(&change.event, change.at_ms, position, What::Updated { edits }, now_ms);
    }

    pub(super) fn deleted(&mut self, change: &Deleted, now_ms: i64) {
        let Some(position) = self.position(&change.id) else {
            return;
        };
        self.customers[position as usize].deleted_ms = Some(change.at_ms);
        let request = change.request.as_deref().map(Box::from);
        self.note(&change.event, change.at_ms, position, What::Deleted { request }, now_ms);
    }

    pub(super) fn failed(&mut self, change: &Failed, now_ms: i64) {
        let answer = failed(&change.failure, &change.request);
        self.saved.save(&change.save, Arc::from(change.save.key.as_str()), answer, now_ms);
    }

    /// Files a version of a Customer under all that it can be found by.
    fn file(&mut self, details: &Details, position: u32) {
        if let Some(email) = &details.email {
            self.by_email.insert(ids::hash(email.as_bytes()), position);
        }
        let named = [("email", &details.email), ("name", &details.name), ("phone", &details.phone)];
        for (field, value) in named {
            if let Some(value) = value {
                self.by_term.insert(term(field, value), position);
            }
        }
        for (key, value) in &details.metadata {
            self.by_term.insert(term(&metadata_field(key), value), position);
        }
    }

    fn note(&mut self, id: &str, at_ms: i64, customer: u32, what: What, now_ms: i64) {
        self.last_ms = self.last_ms.max(at_ms);
        self.events.push(Event { id: id.into(), at_ms, customer, what }, now_ms);
    }
}

/// The searchable field of a metadata key.
pub(crate) fn metadata_field(key: &str) -> String {
    format!("metadata[{key}]")
}

/// Search does not tell upper from lower case.
fn term(field: &str, value: &str) -> u64 {
    ids::hash(format!("{field}\0{}", value.to_lowercase()).as_bytes())
}

fn failed(failure: &Failure, request: &str) -> Answer {
    Answer::Failed {
        status: failure.status,
        body: failure.body.as_str().into(),
        request: request.into(),
    }
}
