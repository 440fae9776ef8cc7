//! The state machine: accounts, Customers, events, saved answers and webhooks, without a word of HTTP.
//!
//! It changes only by [`State::commit`], which writes the change to the journal and then applies it.

mod archive;
pub(crate) mod book;
pub(crate) mod customers;
pub(crate) mod details;
pub(crate) mod event;
pub(crate) mod hooks;
mod index;
pub(crate) mod journal;
pub(crate) mod mutation;
mod pack;
pub(crate) mod saved;
mod sound;

pub(crate) use self::archive::Archive;

use std::collections::BTreeMap;
use std::io;

use self::book::Book;
use self::hooks::{Deliveries, Target};
use self::journal::Journal;
use self::mutation::{Change, Deed, Effect, Mutation, Scope};
use self::saved::Answer;
use crate::ids;

/// All that a sandbox remembers.
#[derive(Debug)]
pub(crate) struct State {
    accounts: BTreeMap<String, Account>,
    pub(crate) deliveries: Deliveries,
    /// What failed requests did and does not show yet, the latest first.
    put_off: Vec<Effect>,
    journal: Journal,
    /// Where ids come from.
    pub(crate) base: u64,
    /// How often the state file was opened.
    pub(crate) opened: u64,
    /// How often everything was forgotten.
    pub(crate) resets: u64,
    pub(crate) tally: Tally,
    /// How far sandbox time is ahead of real time.
    pub(crate) offset_ms: i64,
}

/// What was done since the start, or the last reset.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) created: u64,
    pub(crate) deleted: u64,
}

/// Live and test data never meet.
#[derive(Debug)]
struct Account {
    live: Book,
    test: Book,
}

impl State {
    /// An empty state, in memory.
    pub(crate) fn new(seed: u64) -> State {
        State {
            accounts: BTreeMap::new(),
            deliveries: Deliveries::default(),
            put_off: Vec::new(),
            journal: Journal::Memory,
            base: ids::mix(seed),
            opened: 0,
            resets: 0,
            tally: Tally::default(),
            offset_ms: 0,
        }
    }

    /// The data of an account in a mode; an account comes about by being asked for.
    pub(crate) fn book(&mut self, scope: &Scope) -> &mut Book {
        if !self.accounts.contains_key(&scope.account) {
            let base = ids::mix(self.base ^ self.resets) ^ ids::hash(scope.account.as_bytes());
            let (live, test) = (Book::new(ids::mix(base)), Book::new(base));
            self.accounts.insert(scope.account.clone(), Account { live, test });
        }
        let account = self.accounts.get_mut(&scope.account).expect("just inserted");
        if scope.livemode { &mut account.live } else { &mut account.test }
    }

    /// The data of an account in a mode, if anybody ever asked for it.
    pub(crate) fn known(&self, scope: &Scope) -> Option<&Book> {
        let account = self.accounts.get(&scope.account)?;
        Some(if scope.livemode { &account.live } else { &account.test })
    }

    /// Every account and mode that was ever asked for.
    pub(crate) fn books(&self) -> impl DoubleEndedIterator<Item = (Scope, &Book)> {
        self.accounts.iter().flat_map(|(name, account)| {
            let scope = |livemode| Scope { account: name.clone(), livemode };
            [(scope(true), &account.live), (scope(false), &account.test)]
        })
    }

    /// Writes a change to the journal and applies it.
    ///
    /// # Errors
    /// When the journal cannot be written; then nothing has changed.
    pub(crate) fn commit(&mut self, mutation: &Mutation) -> io::Result<()> {
        self.journal.append(mutation)?;
        self.apply(mutation);
        Ok(())
    }

    /// Lets everything come about that was put off until now, and says whether anything did.
    pub(crate) fn catch_up(&mut self, now_ms: i64) -> bool {
        let mut any = false;
        while self.put_off.last().is_some_and(|effect| effect.due_ms <= now_ms) {
            // If it cannot be written down, it is put off still longer.
            if self.commit(&Mutation::Due).is_err() {
                break;
            }
            any = true;
        }
        any
    }

    /// From now on changes go to this journal, which holds all that was applied so far.
    pub(crate) fn keep_in(&mut self, journal: Journal) {
        self.journal = journal;
        self.tally = Tally::default();
    }

    /// Lets go of the state file at once. Every later change fails.
    pub(crate) fn close(&mut self) {
        self.journal = Journal::Closed;
    }

    fn apply(&mut self, mutation: &Mutation) {
        match mutation {
            Mutation::Opened { time, base } => {
                if self.opened == 0 {
                    self.base = *base;
                }
                self.opened = self.opened.max(*time);
            }
            Mutation::Clock { offset_ms } => self.offset_ms = *offset_ms,
            Mutation::Reset { time } => {
                self.accounts.clear();
                self.deliveries = Deliveries::default();
                self.put_off.clear();
                self.tally = Tally::default();
                self.resets = *time;
                self.offset_ms = 0;
            }
            Mutation::Changed { change, save } => {
                let event = self.book(&change.scope).apply(change, save.as_ref());
                self.changed(change, event);
            }
            Mutation::Failed(failed) => {
                let answer = Answer::Failed(failed.failure.clone());
                if let Some(save) = &failed.save {
                    self.book(&failed.scope).saved.save(save, failed.request, answer);
                }
                if let Some(effect) = &failed.effect {
                    if effect.due_ms <= effect.change.at_ms {
                        self.take_effect(&effect.change);
                    } else {
                        let at = self.put_off.partition_point(|other| other.due_ms > effect.due_ms);
                        self.put_off.insert(at, effect.clone());
                    }
                }
            }
            Mutation::Due => {
                if let Some(Effect { due_ms, mut change }) = self.put_off.pop() {
                    change.at_ms = due_ms;
                    self.take_effect(&change);
                }
            }
            Mutation::Attempted { target, at_ms, status } => {
                self.deliveries.attempted(target, *at_ms, *status);
            }
        }
    }

    fn take_effect(&mut self, change: &Change) {
        let event = self.book(&change.scope).apply(change, None);
        self.changed(change, event);
    }

    /// What follows from a change beyond its own book.
    fn changed(&mut self, change: &Change, event: Option<u32>) {
        match &change.what {
            Deed::EndpointDeleted { endpoint } => {
                self.deliveries.drop_endpoint(&change.scope, *endpoint);
            }
            Deed::Created { .. } => self.tally.created += 1,
            Deed::Deleted { .. } if event.is_some() => self.tally.deleted += 1,
            _ => {}
        }
        let Some(event) = event else {
            return;
        };
        self.announce(change, event, &change.scope.account, false);
        if let Some(platform) = change.by.as_ref().and_then(|by| by.platform.as_ref()) {
            self.announce(change, event, platform, true);
        }
    }

    /// Sends an event on its way to those of an account's endpoints that want it.
    fn announce(&mut self, change: &Change, event: u32, owner: &str, connect: bool) {
        let scope = &change.scope;
        let kind = self.book(scope).events.kind(event);
        let owned_by = Scope { account: owner.to_owned(), livemode: scope.livemode };
        let Some(book) = self.known(&owned_by) else {
            return;
        };
        let wanted = book.endpoints.iter().enumerate().filter(|(_, endpoint)| {
            endpoint.is_enabled() && endpoint.is_connect() == connect && endpoint.wants(kind)
        });
        let target = |endpoint: usize| Target {
            scope: scope.clone(),
            event,
            owner: owner.to_owned(),
            endpoint: endpoint as u32,
        };
        let targets: Vec<Target> = wanted.map(|(at, _)| target(at)).collect();
        for target in targets {
            self.deliveries.add(target, change.at_ms);
        }
    }
}
