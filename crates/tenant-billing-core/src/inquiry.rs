//! Inquiries: searching Stripe for a tenant's Customers, so that "there is none" can be believed.
//!
//! There are four sources. Events name the idempotency key that created a Customer, whatever its
//! metadata says now. The list by e-mail, for a request that has one, shows what was
//! written a moment ago. The search by
//! metadata finds what events have forgotten. Our own records name surplus Customers. Every
//! Customer that a source names is retrieved. Every failed read is reported: "could not look" must
//! never become "nothing found".

use std::{collections::BTreeMap, future::Future};

use crate::{
    answer::{self, Answer, CreatedEvent, Customer, Page, Reading},
    deadline::Deadline,
    engine::{Engine, Policy},
    error::Problem,
    ids::{CustomerId, Email, IdempotencyKey, InstallationId, Mode, TenantId},
    ownership::{Owner, Ownership, Proof, names_tenant, spellings, tenant_keys},
    provisioning::{Context, Findings, Inconclusive, Inquiry},
    request::Identity,
};

const SEARCH: &str = "search";

/// An inquiry under way: what it is about, what its sources named, and what could not be read.
struct Search<'a> {
    engine: &'a Engine,
    tenant: &'a TenantId,
    inquiry: &'a Inquiry,
    identity: &'a Identity,
    deadline: Deadline,
    /// Each Customer, and whether one of our keys is known to have created it.
    named: BTreeMap<CustomerId, bool>,
    /// The Customers that a key like ours has created for somebody else: for a tenant of this id of
    /// that installation, or for another tenant.
    others: BTreeMap<CustomerId, Option<InstallationId>>,
    /// What an operator must put right before it can be read.
    refused: Option<Inconclusive>,
    unavailable: Option<String>,
    /// Stripe answers `resource_missing` for this Customer, which was named.
    unknown: Option<CustomerId>,
    no_search: bool,
}

/// What an entry of a source says of its Customer.
enum Named {
    /// One of our keys has created it for this tenant.
    OurKey,
    /// A key like ours has created it for a tenant of this id of another installation, or for
    /// another tenant.
    AnothersKey(Option<InstallationId>),
    /// Its metadata names the tenant.
    Metadata,
}

/// Makes one whole inquiry: all sources, and all pages of each.
pub(crate) async fn inquire(
    engine: &Engine,
    context: &Context,
    tenant: &TenantId,
    inquiry: &Inquiry,
    deadline: Deadline,
) -> Result<Findings, Problem> {
    let mut search = Search {
        engine,
        tenant,
        inquiry,
        identity: &context.identity,
        deadline,
        named: BTreeMap::new(),
        others: BTreeMap::new(),
        refused: None,
        unavailable: None,
        unknown: None,
        no_search: false,
    };
    search.read_events().await;
    search.read_list().await;
    search.read_search().await;
    let surplus = engine.store.surplus(tenant).await?;
    for on_record in surplus.iter().filter(|it| it.resolved_at.is_none()) {
        search.named.insert(on_record.customer.clone(), true);
    }
    // An operator may have unbound a Customer from another tenant, to which the host had moved it.
    let named: Vec<_> = search.named.keys().cloned().collect();
    let view = engine.store.view(tenant, &named).await?;
    search.named.retain(|id, _| view.facts.get(id).is_none_or(|it| !it.unbound_by_operator));
    let Policy { tenant_metadata_keys, unmarked, .. } = &engine.policy;
    let ownership = Ownership {
        tenant,
        uuid_keys: view.uuid_keys,
        installation: &context.identity.installation,
        other_keys: tenant_metadata_keys,
        unmarked: *unmarked,
    };
    search.confirm(&ownership).await
}

impl Search<'_> {
    async fn read_events(&mut self) {
        let (engine, since) = (self.engine, self.inquiry.events_since);
        let (tenant, identity) = (self.tenant, self.identity);
        let ask = |after: Option<String>| async move {
            engine.stripe.list_created_events(since, after.as_deref()).await
        };
        let cursor = |page: &Page<CreatedEvent>| page.data.last().map(|last| last.id.clone());
        let by_key = |event: CreatedEvent| {
            let key = IdempotencyKey::parse(event.idempotency_key.as_deref()?).ok()?.parts()?;
            let ours =
                key.installation == identity.installation && key.mode == identity.account.mode;
            let how = match (key.tenant == *tenant, ours) {
                (true, true) => Named::OurKey,
                (true, false) => Named::AnothersKey(Some(key.installation)),
                (false, _) => Named::AnothersKey(None),
            };
            Some((event.customer, how))
        };
        self.pages("events", ask, answer::created_events, cursor, by_key).await;
    }

    async fn read_list(&mut self) {
        let Ok(details) = self.inquiry.request.details() else {
            return self.unavailable = Some("the frozen request".into());
        };
        let Some(email) = details.email().map(Email::as_str) else {
            return;
        };
        let (engine, tenant) = (self.engine, self.tenant);
        let ask = |after: Option<String>| async move {
            let after = after.and_then(|id| CustomerId::parse(&id).ok());
            engine.stripe.list_customers(email, after.as_ref()).await
        };
        let cursor = |page: &Page<Customer>| page.data.last().map(|last| last.id.to_string());
        let other_keys = &engine.policy.tenant_metadata_keys;
        let named = |it: Customer| {
            names_tenant(&it, tenant, other_keys).then_some((it.id, Named::Metadata))
        };
        self.pages("customers", ask, answer::customers, cursor, named).await;
    }

    async fn read_search(&mut self) {
        let (engine, tenant) = (self.engine, self.tenant);
        for key in tenant_keys(&engine.policy.tenant_metadata_keys) {
            let quoted = |text: &str| text.replace('\\', r"\\").replace('\'', r"\'");
            let clause = |id: String| format!("metadata['{}']:'{}'", quoted(key), quoted(&id));
            let clauses: Vec<_> = spellings(tenant).into_iter().map(clause).collect();
            let query = &clauses.join(" OR ");
            let ask = |page: Option<String>| async move {
                engine.stripe.search_customers(query, page.as_deref()).await
            };
            let cursor = |page: &Page<Customer>| page.next_page.clone();
            self.pages(SEARCH, ask, answer::customers, cursor, |it| Some((it.id, Named::Metadata)))
                .await;
        }
    }

    /// Reads all pages of one source, as far as they can be read. `cursor` says where the page
    /// after one starts, and `named` which Customer an entry names and whether our key created it.
    async fn pages<T, F: Future<Output = Answer>>(
        &mut self,
        source: &str,
        ask: impl Fn(Option<String>) -> F,
        parse: fn(&[u8]) -> Option<Page<T>>,
        cursor: impl Fn(&Page<T>) -> Option<String>,
        named: impl Fn(T) -> Option<(CustomerId, Named)>,
    ) {
        let mut after = None;
        loop {
            let (reading, last) =
                self.engine.patiently(self.deadline, || ask(after.clone()), parse).await;
            let what = format!("{source}: {}", answer::summary(&last));
            let page = match (reading, &after) {
                (Reading::Found(page), _) => page,
                // The entry that the last page ended with has left the list meanwhile.
                (Reading::Retry(_), _) | (Reading::Missing, Some(_)) => {
                    return self.unavailable = Some(what);
                }
                // Not every account has search. The other sources stand without it.
                (Reading::Missing | Reading::Forbidden, None) if source == SEARCH => {
                    return self.no_search = true;
                }
                (Reading::Missing | Reading::Forbidden, _) => {
                    return self.refused = Some(Inconclusive::NotPermitted(what));
                }
                (Reading::Unauthorized, _) => {
                    return self.refused = Some(Inconclusive::BadKey(what));
                }
                (Reading::Untrusted, _) => {
                    return self.refused = Some(Inconclusive::Untrusted(what));
                }
            };
            after = cursor(&page);
            for (customer, how) in page.data.into_iter().filter_map(&named) {
                match how {
                    Named::AnothersKey(whose) => drop(self.others.insert(customer, whose)),
                    Named::OurKey => drop(self.named.insert(customer, true)),
                    Named::Metadata => drop(self.named.entry(customer).or_insert(false)),
                }
            }
            if !page.has_more {
                return;
            }
            if after.is_none() {
                // The page says that there is more, and not where.
                return self.unavailable = Some(format!("{source} to their end"));
            }
        }
    }

    /// Retrieves every Customer that was named, and says what the inquiry has found.
    async fn confirm(mut self, ownership: &Ownership<'_>) -> Result<Findings, Problem> {
        let (mut ours, mut foreign, mut unclear) = (Vec::new(), Vec::new(), Vec::new());
        for (id, by_our_key) in std::mem::take(&mut self.named) {
            // Whatever its metadata says now, a key proves for whom it was made.
            match self.others.get(&id).filter(|_| !by_our_key) {
                Some(Some(installation)) => {
                    foreign.push((id, installation.clone()));
                    continue;
                }
                Some(None) => continue,
                None => {}
            }
            let (reading, summary) = self.engine.retrieve(&id, self.deadline).await;
            let what = format!("Customer {id}: {summary}");
            match reading {
                Reading::Found(customer) if customer.deleted => {
                    self.engine.store.record_deletion(&id).await?;
                }
                Reading::Found(customer) if by_our_key => ours.push((Proof::Key, customer)),
                Reading::Found(customer) => match ownership.of(&customer) {
                    Owner::Ours(proof) => ours.push((proof, customer)),
                    Owner::Foreign(installation) => foreign.push((id, installation)),
                    Owner::Unclear => unclear.push(id),
                    // The search was behind, say: by now the metadata names somebody else.
                    Owner::Other => {}
                },
                Reading::Missing => self.unknown = Some(id),
                Reading::Forbidden => self.refused = Some(Inconclusive::NotPermitted(what)),
                Reading::Unauthorized => self.refused = Some(Inconclusive::BadKey(what)),
                Reading::Untrusted => self.refused = Some(Inconclusive::Untrusted(what)),
                Reading::Retry(_) => self.unavailable = Some(format!("Customer {id}")),
            }
        }
        // What we have made goes before what others have, and what is older before what is younger.
        ours.sort_by(|(proof, a): &(Proof, Customer), (other, b)| {
            let by_others = |proof: &Proof| *proof == Proof::Tenant;
            (by_others(proof), a.created, &a.id).cmp(&(by_others(other), b.created, &b.id))
        });
        let mut ours = ours.into_iter().map(|(_, customer)| customer);
        if let Some(oldest) = ours.next() {
            return Ok(Findings::Found { oldest, others: ours.collect() });
        }
        // Nothing of ours was found. What needs a person is said first.
        let foreign = self.not_ignored(foreign).await?;
        let out_of_reach = self.inquiry.needs_search && self.no_search;
        let why = foreign.map(|(id, installation)| Inconclusive::Foreign(id, installation));
        let unclear = (!unclear.is_empty()).then_some(unclear);
        let why = why.or(unclear.map(Inconclusive::Unmarked));
        let why = why.or(self.refused);
        let why = why.or(self.unknown.map(Inconclusive::UnknownCustomer));
        let why = why.or(self.unavailable.map(Inconclusive::Unavailable));
        let why = why.or(out_of_reach.then_some(match self.inquiry.sent {
            true => Inconclusive::OutOfReach,
            false => Inconclusive::NoEmailToLookBy,
        }));
        Ok(why.map_or(Findings::Nothing, Findings::Inconclusive))
    }

    /// The first of these foreign Customers that an operator must look at: in test mode none, and in
    /// live mode none of an application that was declared to be another one.
    async fn not_ignored(
        &self,
        foreign: Vec<(CustomerId, InstallationId)>,
    ) -> Result<Option<(CustomerId, InstallationId)>, Problem> {
        if foreign.is_empty() || self.identity.account.mode == Mode::Test {
            return Ok(None);
        }
        let ignored = self.engine.store.ignored_installations().await?;
        Ok(foreign.into_iter().find(|(_, installation)| !ignored.contains(installation)))
    }
}
