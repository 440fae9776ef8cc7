//! The state machine: how each mutation changes what a sandbox remembers.

use std::collections::BTreeMap;
use std::io;

use super::book::Book;
use super::hooks::Deliveries;
use super::journal::Journal;
use super::mutation::{Change, Deed, Effect, Mutation, Scope, Target};
use super::saved::Answer;
use crate::ids;

#[derive(Debug)]
pub(crate) struct State {
    /// Every account and mode that was ever asked for.
    pub(crate) books: BTreeMap<Scope, Book>,
    pub(crate) deliveries: Deliveries,
    /// The effects of failed requests that do not show yet, the latest first.
    put_off: Vec<Effect>,
    journal: Journal,
    pub(crate) base: u64,
    /// The number of times that the state file was opened.
    pub(crate) opened: u64,
    /// The number of times that everything was forgotten.
    pub(crate) resets: u64,
    pub(crate) tally: Tally,
    /// How far sandbox time is ahead of real time.
    pub(crate) offset_ms: i64,
}

/// The numbers of Customers created and deleted since the start, or the last reset.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) created: u64,
    pub(crate) deleted: u64,
}

impl State {
    /// An empty state, in memory.
    pub(crate) fn new(seed: u64) -> State {
        State {
            books: BTreeMap::new(),
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

    /// The data of an account in a mode. An account that nobody asked for before is made here.
    pub(crate) fn book(&mut self, scope: &Scope) -> &mut Book {
        let new = || {
            let base = ids::mix(self.base ^ self.resets) ^ ids::hash(scope.account.as_bytes());
            Book::new(if scope.livemode { ids::mix(base) } else { base })
        };
        self.books.entry(scope.clone()).or_insert_with(new)
    }

    /// The data of an account in a mode, if anybody ever asked for it.
    pub(crate) fn known(&self, scope: &Scope) -> Option<&Book> {
        self.books.get(scope)
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

    /// Applies every effect that was put off until now, and says whether there was any.
    pub(crate) fn catch_up(&mut self, now_ms: i64) -> bool {
        let mut any = false;
        while self.put_off.last().is_some_and(|effect| effect.due_ms <= now_ms) {
            // An effect that cannot be written down is put off still longer.
            if self.commit(&Mutation::Due).is_err() {
                break;
            }
            any = true;
        }
        any
    }

    /// Writes all further changes to this journal, which holds everything that was applied so far.
    pub(super) fn keep_in(&mut self, journal: Journal) {
        self.journal = journal;
        self.tally = Tally::default();
    }

    /// Lets go of the state file at once. Every later change fails.
    pub(crate) fn close(&mut self) {
        self.journal = Journal::Closed;
    }

    /// Applies a mutation that is written down already.
    pub(super) fn apply(&mut self, mutation: &Mutation) {
        match mutation {
            Mutation::Opened { time, base } => {
                if self.opened == 0 {
                    self.base = *base;
                }
                self.opened = self.opened.max(*time);
            }
            Mutation::Clock { offset_ms } => self.offset_ms = *offset_ms,
            Mutation::Reset { time } => {
                self.books.clear();
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

    /// Updates everything beyond a change's own book.
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

    /// Puts an event on its way to those of an account's endpoints that want it.
    fn announce(&mut self, change: &Change, event: u32, owner: &str, connect: bool) {
        let scope = &change.scope;
        let kind = change.what.event();
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
