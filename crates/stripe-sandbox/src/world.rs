//! What the parts of one sandbox share. The locks are short, and none is held across an await.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::arsenal::Arsenal;
use crate::clock::Clock;
use crate::config::Lag;
use crate::ids::Ids;
use crate::report::{CustomerRecord, Log};
use crate::state::State;
use crate::state::customer::Details;
use crate::state::mutation::{Deleted, Edited, Mutation, Scope};

/// Everything behind one sandbox's port.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    state: Mutex<State>,
    arsenal: Mutex<Arsenal>,
    log: Mutex<Log>,
    lag: Mutex<Lag>,
    /// Its sender is dropped when the sandbox stops.
    pub(crate) stopped: watch::Receiver<()>,
}

impl World {
    pub(crate) fn new(state: State, seed: u64, stopped: watch::Receiver<()>) -> World {
        let clock = Clock::default();
        clock.set_offset_ms(state.offset_ms);
        let ids = Ids::new(seed, state.opened);
        World {
            clock,
            ids,
            state: Mutex::new(state),
            arsenal: Mutex::default(),
            log: Mutex::default(),
            lag: Mutex::default(),
            stopped,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub(crate) fn arsenal(&self) -> MutexGuard<'_, Arsenal> {
        locked(&self.arsenal)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        locked(&self.log)
    }

    pub(crate) fn lag(&self) -> Lag {
        *locked(&self.lag)
    }

    pub(crate) fn set_lag(&self, lag: Lag) {
        *locked(&self.lag) = lag;
    }

    /// Moves sandbox time forward.
    pub(crate) fn advance(&self, by: Duration) -> io::Result<()> {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let mut state = self.state();
        let offset_ms = state.offset_ms.saturating_add(by_ms);
        self.clock.set_offset_ms(offset_ms);
        state.commit(&Mutation::Clock { offset_ms }, self.clock.now_ms())
    }

    /// Forgets everything, faults, lag and clock included.
    pub(crate) fn reset(&self) -> io::Result<()> {
        let mut state = self.state();
        state.commit(&Mutation::Reset, self.clock.now_ms())?;
        self.clock.set_offset_ms(0);
        drop(state);
        self.arsenal().disarm();
        *self.log() = Log::default();
        self.set_lag(Lag::default());
        Ok(())
    }

    /// All Customers, by account and mode and in the order of their creation.
    pub(crate) fn customers(&self) -> Vec<CustomerRecord> {
        let state = self.state();
        let mut records = Vec::new();
        for (scope, book) in state.books() {
            records.extend(book.customers.iter().map(|customer| {
                let details = customer.current();
                CustomerRecord {
                    id: customer.id.to_string(),
                    account: scope.account.clone(),
                    livemode: scope.livemode,
                    email: details.email,
                    name: details.name,
                    metadata: details.metadata.into_iter().collect(),
                    created: customer.created_ms.div_euclid(1000),
                    deleted: customer.deleted_ms.is_some(),
                    idempotency_key: customer.origin.key.as_deref().map(str::to_owned),
                }
            }));
        }
        records
    }

    /// Deletes a live Customer as the dashboard does.
    pub(crate) fn delete_customer(&self, id: &str) -> bool {
        let deleted = self.in_dashboard(
            |scope, at_ms, event, _| {
                let id = id.to_owned();
                Mutation::Deleted(Deleted { scope, at_ms, id, event, request: None })
            },
            id,
        );
        if deleted {
            self.log().counters.customers_deleted += 1;
        }
        deleted
    }

    /// Changes the e-mail address of a live Customer as the dashboard does.
    pub(crate) fn edit_email(&self, id: &str, email: &str) -> bool {
        self.in_dashboard(
            |scope, at_ms, event, mut details| {
                let id = id.to_owned();
                details.email = Some(email.to_owned());
                Mutation::Edited(Edited { scope, at_ms, id, event, details })
            },
            id,
        )
    }

    /// Commits what `change` makes of a live Customer; false if there is none with this id.
    fn in_dashboard(
        &self,
        change: impl FnOnce(Scope, i64, String, Details) -> Mutation,
        id: &str,
    ) -> bool {
        let mut state = self.state();
        let now_ms = self.clock.now_ms();
        let found = state.books().find_map(|(scope, book)| {
            let customer = book.live(id)?;
            Some((scope, book.stamp(now_ms), customer.current()))
        });
        let Some((scope, at_ms, details)) = found else {
            return false;
        };
        let event = self.ids.mint("evt_", 24);
        state.commit(&change(scope, at_ms, event, details), now_ms).is_ok()
    }
}

/// A panic elsewhere does not make the state unreadable: every change of it is a single call.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
