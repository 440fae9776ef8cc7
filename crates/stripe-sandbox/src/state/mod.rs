//! The state machine: accounts, Customers, events and saved answers, without a word of HTTP.
//!
//! It changes only by [`State::commit`], which writes the change to the journal and then applies it.

pub(crate) mod book;
pub(crate) mod customer;
pub(crate) mod event;
mod index;
pub(crate) mod journal;
pub(crate) mod mutation;
pub(crate) mod saved;

use std::collections::BTreeMap;
use std::io;

use self::book::Book;
use self::journal::Journal;
use self::mutation::{Mutation, Scope};

/// All that a sandbox remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    accounts: BTreeMap<String, Account>,
    journal: Journal,
    /// How often the state file was opened.
    pub(crate) opened: u64,
    /// How far sandbox time is ahead of real time.
    pub(crate) offset_ms: i64,
}

/// Live and test data never meet.
#[derive(Debug, Default)]
struct Account {
    live: Book,
    test: Book,
}

impl State {
    /// The data of an account in a mode; an account comes about by being asked for.
    pub(crate) fn book(&mut self, scope: &Scope) -> &mut Book {
        if !self.accounts.contains_key(&scope.account) {
            self.accounts.insert(scope.account.clone(), Account::default());
        }
        let account = self.accounts.get_mut(&scope.account).expect("just inserted");
        if scope.livemode { &mut account.live } else { &mut account.test }
    }

    /// Every account and mode that was ever asked for.
    pub(crate) fn books(&self) -> impl Iterator<Item = (Scope, &Book)> {
        self.accounts.iter().flat_map(|(name, account)| {
            let scope = |livemode| Scope { account: name.clone(), livemode };
            [(scope(true), &account.live), (scope(false), &account.test)]
        })
    }

    /// Writes a change to the journal and applies it.
    ///
    /// # Errors
    /// When the journal cannot be written; then nothing has changed.
    pub(crate) fn commit(&mut self, mutation: &Mutation, now_ms: i64) -> io::Result<()> {
        self.journal.append(mutation)?;
        self.apply(mutation, now_ms);
        Ok(())
    }

    /// From now on changes go to this journal, which holds all that was applied so far.
    pub(crate) fn keep_in(&mut self, journal: Journal) {
        self.journal = journal;
    }

    /// Lets go of the state file at once. Every later change fails.
    pub(crate) fn close(&mut self) {
        self.journal = Journal::Closed;
    }

    fn apply(&mut self, mutation: &Mutation, now_ms: i64) {
        match mutation {
            Mutation::Opened { time } => self.opened = self.opened.max(*time),
            Mutation::Clock { offset_ms } => self.offset_ms = *offset_ms,
            Mutation::Reset => {
                self.accounts.clear();
                self.offset_ms = 0;
            }
            Mutation::Created(change) => self.book(&change.scope).created(change, now_ms),
            Mutation::Edited(change) => self.book(&change.scope).edited(change, now_ms),
            Mutation::Deleted(change) => self.book(&change.scope).deleted(change, now_ms),
            Mutation::Failed(change) => self.book(&change.scope).failed(change, now_ms),
        }
    }
}
