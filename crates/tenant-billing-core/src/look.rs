//! Looking for a tenant's Customers in Stripe, three ways, so that "there is none" can be believed.
//!
//! Events name the idempotency key that made a Customer: exact, whatever its metadata says now. The
//! list by e-mail reads what was just written. The search finds what events have forgotten. Whatever
//! could not be read is said, for "I could not look" must never be taken for "there is none".

use std::{collections::BTreeMap, future::Future};

use crate::{
    answer::{self, Answer, Customer, Page, Reading},
    audit::SurplusReason,
    billing::Inner,
    driver::Waiting,
    error::Error,
    ids::{CustomerId, IdempotencyKey, Mode, TenantId},
    provisioning::{Findings, Look, Site},
    request::TENANT_KEY,
};

/// What the sources named, and what they could not say.
#[derive(Default)]
struct Hits {
    /// Each Customer, and whether an event says that one of our keys made it.
    named: BTreeMap<CustomerId, bool>,
    failed: Option<String>,
    forbidden: Option<String>,
    no_search: bool,
}

impl Inner {
    /// One whole look, all sources and all pages.
    pub(crate) async fn look(
        &self,
        site: &Site,
        tenant: &TenantId,
        look: &Look,
        waiting: Waiting,
    ) -> Result<Findings, Error> {
        let mut hits = Hits::default();
        self.look_in_events(site, tenant, look, waiting, &mut hits).await;
        self.look_in_list(tenant, look, waiting, &mut hits).await;
        self.look_in_search(tenant, waiting, &mut hits).await;

        let surplus = self.store.surplus(tenant).await?;
        // A fourth place to look: what is on record as made for this tenant and not bound.
        for on_record in surplus.iter().filter(|it| it.resolved_at.is_none()) {
            hits.named.insert(on_record.customer.clone(), true);
        }
        let unbound = |id: &CustomerId| {
            surplus.iter().any(|it| it.customer == *id && it.reason == SurplusReason::Unbound)
        };
        let (mut ours, mut foreign) = (Vec::new(), None);
        for (id, by_our_key) in std::mem::take(&mut hits.named) {
            if unbound(&id) {
                continue;
            }
            match self.retrieve(&id, waiting).await {
                Reading::Found(customer) if customer.deleted => {
                    self.store.record_deletion(&id).await?;
                }
                Reading::Found(customer) => {
                    if by_our_key {
                        ours.push(customer);
                    } else if customer.names(tenant) {
                        match customer.foreign_to(&site.origin.installation) {
                            Some(_) => foreign = Some(id),
                            None => ours.push(customer),
                        }
                    }
                }
                _ => hits.failed = Some(format!("{id} could not be retrieved")),
            }
        }
        ours.sort_by(|a: &Customer, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(match foreign {
            _ if !ours.is_empty() => Findings::Ours(ours),
            Some(id) if site.origin.account.mode == Mode::Live => Findings::Foreign(id),
            _ => match (hits.forbidden, hits.failed) {
                (Some(why), _) => Findings::Forbidden(why),
                (None, Some(why)) => Findings::Failed(why),
                (None, None) if look.needs_search && hits.no_search => Findings::OutOfReach,
                (None, None) => Findings::None,
            },
        })
    }

    /// A Customer as Stripe shows it now; one that answers to another id is no answer.
    pub(crate) async fn retrieve(&self, id: &CustomerId, waiting: Waiting) -> Reading<Customer> {
        let parse = |body: &[u8]| Customer::parse(body).filter(|customer| customer.id == *id);
        match self.patiently(waiting, || self.stripe.retrieve_customer(id), parse).await {
            (Reading::Found(customer), last) => {
                let request_id = answer::request_id(&last).map(str::to_owned);
                Reading::Found(Customer { request_id, ..customer })
            }
            (reading, _) => reading,
        }
    }

    async fn look_in_events(
        &self,
        site: &Site,
        tenant: &TenantId,
        look: &Look,
        waiting: Waiting,
        hits: &mut Hits,
    ) {
        let mut after: Option<String> = None;
        loop {
            let ask = || self.stripe.list_created_events(look.events_since, after.as_deref());
            let (reading, last) = self.patiently(waiting, ask, answer::created_events).await;
            let Some(page) = hits.page(reading, "events", &last) else {
                return;
            };
            for event in &page.data {
                let key = event.idempotency_key.as_deref().map(IdempotencyKey::parse);
                let parts = key.and_then(Result::ok).and_then(|key| key.parts());
                if parts.is_some_and(|it| {
                    it.tenant == *tenant
                        && it.installation == site.origin.installation
                        && it.mode == site.origin.account.mode
                }) {
                    hits.named.insert(event.customer.clone(), true);
                }
            }
            after = page.data.last().map(|last| last.id.clone());
            if hits.was_last(page.has_more, after.is_some()) {
                return;
            }
        }
    }

    async fn look_in_list(
        &self,
        tenant: &TenantId,
        look: &Look,
        waiting: Waiting,
        hits: &mut Hits,
    ) {
        let Ok(details) = look.request.details() else {
            hits.failed = Some("the frozen request cannot be read back".into());
            return;
        };
        let mut after: Option<CustomerId> = None;
        loop {
            let ask = || self.stripe.list_customers(details.email().as_str(), after.as_ref());
            let (reading, last) = self.patiently(waiting, ask, answer::customers).await;
            let Some(page) = hits.page(reading, "customers", &last) else {
                return;
            };
            for customer in page.data.iter().filter(|customer| customer.names(tenant)) {
                hits.named.entry(customer.id.clone()).or_insert(false);
            }
            after = page.data.last().map(|last| last.id.clone());
            if hits.was_last(page.has_more, after.is_some()) {
                return;
            }
        }
    }

    async fn look_in_search(&self, tenant: &TenantId, waiting: Waiting, hits: &mut Hits) {
        let quoted = tenant.as_str().replace('\\', r"\\").replace('\'', r"\'");
        let query = format!("metadata['{TENANT_KEY}']:'{quoted}'");
        let mut next: Option<String> = None;
        loop {
            let ask = || self.stripe.search_customers(&query, next.as_deref());
            let (reading, last) = self.patiently(waiting, ask, answer::customers).await;
            if let Reading::Forbidden | Reading::Missing = reading {
                // Not every account has search; the other two sources stand without it.
                hits.no_search = true;
                return;
            }
            let Some(page) = hits.page(reading, "search", &last) else {
                return;
            };
            for customer in page.data {
                hits.named.entry(customer.id).or_insert(false);
            }
            next = page.next_page;
            if hits.was_last(page.has_more, next.is_some()) {
                return;
            }
        }
    }

    /// A GET, repeated while Stripe asks for patience and the asker has it; with the last answer.
    pub(crate) async fn patiently<T, F>(
        &self,
        waiting: Waiting,
        ask: impl Fn() -> F,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> (Reading<T>, Answer)
    where
        F: Future<Output = Answer>,
    {
        let mut tries = 0;
        loop {
            let answer = ask().await;
            let reading = answer::read(&answer, &parse);
            if let Reading::Again(after) = reading
                && self.pause(tries, after, waiting).await
            {
                tries += 1;
                continue;
            }
            return (reading, answer);
        }
    }
}

impl Hits {
    fn page<T>(
        &mut self,
        reading: Reading<Page<T>>,
        source: &str,
        last: &Answer,
    ) -> Option<Page<T>> {
        let words = answer::describe(last);
        match reading {
            Reading::Found(page) => return Some(page),
            Reading::Again(_) => self.failed = Some(format!("{source}: {words}")),
            Reading::Missing | Reading::Forbidden | Reading::Unauthorized => {
                self.forbidden = Some(format!("{source}: {words}"));
            }
        }
        None
    }

    /// Whether a page was the last; one that promises more and does not say where is no whole look.
    fn was_last(&mut self, has_more: bool, has_cursor: bool) -> bool {
        if has_more && !has_cursor {
            self.failed = Some("a page promises more and does not say where".into());
        }
        !(has_more && has_cursor)
    }
}
