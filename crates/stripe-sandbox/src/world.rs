//! The world of one sandbox: everything that its parts share.
//!
//! Each part of the world has a lock of its own. The locks are held briefly, and never across an
//! await.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::arsenal::Arsenal;
use crate::clock::Clock;
use crate::config::Lag;
use crate::courier::settings::{Courier, Settings};
use crate::form::Form;
use crate::limits::{Limiter, RateLimits};
use crate::lock::locked;
use crate::log::Log;
use crate::report::{Counters, CustomerRecord};
use crate::state::State;
use crate::state::book::Book;
use crate::state::mutation::{Change, Deed, Mutation, Scope};

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    /// The number of the next request. It begins where no earlier opening of the state file has
    /// counted.
    pub(crate) requests: AtomicU64,
    pub(crate) base: u64,
    pub(crate) courier: Courier,
    state: Mutex<State>,
    arsenal: Mutex<Arsenal>,
    limiter: Mutex<Limiter>,
    log: Mutex<Log>,
    lag: Mutex<Lag>,
    outages: mpsc::UnboundedSender<Outage>,
    /// Changes when the sandbox stops, because its sender is dropped.
    pub(crate) stopped: watch::Receiver<()>,
}

/// A time in which nobody can connect.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) span: Duration,
    /// Told when the outage has begun.
    pub(crate) begun: oneshot::Sender<()>,
}

/// The receiver through which the server hears of outages.
pub(crate) type Outages = mpsc::UnboundedReceiver<Outage>;

impl World {
    pub(crate) fn new(state: State, stopped: watch::Receiver<()>) -> (World, Outages) {
        let clock = Clock::default();
        clock.set_offset_ms(state.offset_ms);
        let (outages, heard) = mpsc::unbounded_channel();
        let world = World {
            clock,
            requests: AtomicU64::new(state.opened << 40),
            base: state.base,
            courier: Courier::default(),
            state: Mutex::new(state),
            arsenal: Mutex::default(),
            limiter: Mutex::default(),
            log: Mutex::default(),
            lag: Mutex::default(),
            outages,
            stopped,
        };
        (world, heard)
    }

    /// The state as it is now, with every effect that was put off until now.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = locked(&self.state);
        if state.catch_up(self.clock.now_ms()) {
            self.courier.wake();
        }
        state
    }

    pub(crate) fn commit(&self, state: &mut State, mutation: &Mutation) -> io::Result<()> {
        state.commit(mutation)?;
        if !state.deliveries.is_empty() {
            self.courier.wake();
        }
        Ok(())
    }

    pub(crate) fn arsenal(&self) -> MutexGuard<'_, Arsenal> {
        locked(&self.arsenal)
    }

    pub(crate) fn limiter(&self) -> MutexGuard<'_, Limiter> {
        locked(&self.limiter)
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

    /// Closes the port for so long, after answers that are on their way have left. Returns when the
    /// port is closed.
    pub(crate) async fn refuse(&self, span: Duration) {
        let (begun, heard) = oneshot::channel();
        // A server that stopped refuses anyway.
        if self.outages.send(Outage { span, begun }).is_ok() {
            let _ = heard.await;
        }
    }

    pub(crate) fn advance(&self, by: Duration) -> io::Result<()> {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let mut state = locked(&self.state);
        let offset_ms = state.offset_ms.saturating_add(by_ms);
        self.clock.set_offset_ms(offset_ms);
        let written = self.commit(&mut state, &Mutation::Clock { offset_ms });
        drop(state);
        // Effects that were put off until now are applied now.
        drop(self.state());
        written
    }

    /// Forgets everything, faults, limits, lag and clock included.
    pub(crate) fn reset(&self) -> io::Result<()> {
        let mut state = self.state();
        let time = state.resets + 1;
        state.commit(&Mutation::Reset { time })?;
        self.clock.set_offset_ms(0);
        drop(state);
        self.arsenal().disarm();
        self.limiter().set(RateLimits::default());
        *self.log() = Log::default();
        self.set_lag(Lag::default());
        self.courier.set(|settings| *settings = Settings::default());
        Ok(())
    }

    /// The counters since the start, or the last reset.
    pub(crate) fn counters(&self) -> Counters {
        let tally = self.state().tally;
        let counters = self.log().counters.clone();
        let (customers_created, customers_deleted) = (tally.created, tally.deleted);
        Counters { customers_created, customers_deleted, ..counters }
    }

    /// All Customers by account and mode, in the order of their creation,
    /// and at most the last `most` of each.
    pub(crate) fn customers(&self, most: u32) -> Vec<CustomerRecord> {
        let state = self.state();
        let last = state.books.iter().flat_map(|(scope, book)| {
            let count = book.customers.len();
            (count.saturating_sub(most)..count).map(move |at| record(scope, book, at))
        });
        last.collect()
    }

    /// Deletes a live Customer as the dashboard does.
    pub(crate) fn delete_customer(&self, id: &str) -> bool {
        self.in_dashboard(id, |customer| Deed::Deleted { customer })
    }

    /// Changes the e-mail address of a live Customer as the dashboard does.
    pub(crate) fn edit_email(&self, id: &str, email: &str) -> bool {
        self.in_dashboard(id, |customer| Deed::Updated { customer, form: Form::of("email", email) })
    }

    /// Commits a deed about a live Customer. False if no live Customer has this id.
    fn in_dashboard(&self, id: &str, deed: impl FnOnce(u32) -> Deed) -> bool {
        let mut state = self.state();
        let mut books = state.books.iter();
        let found = books.find_map(|(scope, book)| Some((scope.clone(), book.live(id)?)));
        let Some((scope, customer)) = found else {
            return false;
        };
        let at_ms = self.clock.now_ms();
        let change = Change { scope, at_ms, by: None, what: deed(customer) };
        self.commit(&mut state, &Mutation::Changed { change, save: None }).is_ok()
    }
}

fn record(scope: &Scope, book: &Book, at: u32) -> CustomerRecord {
    let birth = book.customers.birth(at);
    let details = book.customers.current(at).details;
    let text = |name| details.get(name).map(str::to_owned);
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    CustomerRecord {
        id: book.customer_id(at),
        account: scope.account.clone(),
        livemode: scope.livemode,
        email: text("email"),
        name: text("name"),
        metadata: details.metadata().into_iter().map(own).collect(),
        created: birth.created_ms.div_euclid(1000),
        deleted: book.customers.deleted_ms(at).is_some(),
        idempotency_key: birth.key,
    }
}
