//! Callers who look up a tenant's Customer at the same moment share one statement.
//!
//! While fewer than [`MAX_STATEMENTS`] are under way, a caller sends a statement for its own key at
//! once. Any other caller waits in a queue. When a statement has returned, the next one asks for
//! the keys in the queue, up to [`MAX_KEYS`] of them. So a single caller never waits, and a
//! thousand callers cost the database little more than one.

use std::{
    future::Future,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tenant_billing_core::ports::{Binding, StoreError};
use tokio::{runtime::Handle, sync::oneshot};

use super::key::Key;

/// How many statements may be under way at once. With two of them, the server works on one while
/// the answers of the other are handed out.
const MAX_STATEMENTS: usize = 2;
/// How many keys one statement may ask for.
const MAX_KEYS: usize = 1000;
/// How often a caller asks before it gives up, if its statement is interrupted each time.
const ATTEMPTS: usize = 3;

/// The result of one caller's lookup.
pub(super) type Found = Result<Option<Binding>, StoreError>;

/// The lookups under way, and the callers who wait.
#[derive(Default)]
pub(super) struct Lookups {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// The callers who wait. It is empty unless [`MAX_STATEMENTS`] are under way.
    waiting: Vec<Waiting>,
    /// How many statements are under way.
    under_way: usize,
}

/// A caller's key, and where its result is to be sent.
type Waiting = (Key, oneshot::Sender<Found>);

impl Lookups {
    /// Looks up this key by `read`, which returns the results for many keys in their order.
    pub(super) async fn find<R, F>(self: &Arc<Self>, key: Key, read: R) -> Found
    where
        R: Fn(Vec<Key>) -> F + Clone + Send + 'static,
        F: Future<Output = Vec<Found>> + Send + 'static,
    {
        for _ in 0..ATTEMPTS {
            let result = {
                let mut queue = self.queue();
                if queue.under_way < MAX_STATEMENTS {
                    queue.under_way += 1;
                    None
                } else {
                    let (sender, result) = oneshot::channel();
                    queue.waiting.push((key.clone(), sender));
                    Some(result)
                }
            };
            let found = match result {
                Some(result) => result.await.ok(),
                None => {
                    let (lookups, read) = (Arc::clone(self), read.clone());
                    let slot = Slot { lookups, read, released: false, has_task: false };
                    let found = (slot.read)(vec![key.clone()]).await.pop();
                    drop(slot);
                    found
                }
            };
            if let Some(found) = found {
                return found;
            }
        }
        Err(StoreError::Unavailable("a read was interrupted".into()))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have one statement under way. When it is dropped, also because its caller was
/// cancelled, a new task takes it over for the callers who wait.
struct Slot<R, F>
where
    R: Fn(Vec<Key>) -> F + Clone + Send + 'static,
    F: Future<Output = Vec<Found>> + Send + 'static,
{
    lookups: Arc<Lookups>,
    read: R,
    /// Whether `under_way` no longer counts this slot.
    released: bool,
    /// Whether a task of its own holds the slot. Such a task is dropped only with its runtime.
    has_task: bool,
}

impl<R, F> Slot<R, F>
where
    R: Fn(Vec<Key>) -> F + Clone + Send + 'static,
    F: Future<Output = Vec<Found>> + Send + 'static,
{
    /// Takes the next callers from the queue. If nobody waits, it releases the slot.
    fn next_batch(&mut self) -> Option<Vec<Waiting>> {
        let mut queue = self.lookups.queue();
        if queue.waiting.is_empty() {
            queue.under_way -= 1;
            self.released = true;
            return None;
        }
        let size = queue.waiting.len().min(MAX_KEYS);
        let rest = queue.waiting.split_off(size);
        Some(mem::replace(&mut queue.waiting, rest))
    }

    /// Looks up the keys in the queue until nobody waits.
    async fn serve(mut self) {
        while let Some(batch) = self.next_batch() {
            let (keys, senders): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            for (sender, found) in senders.into_iter().zip((self.read)(keys).await) {
                // Sending fails if the caller was cancelled, which needs no result.
                let _ = sender.send(found);
            }
        }
    }
}

impl<R, F> Drop for Slot<R, F>
where
    R: Fn(Vec<Key>) -> F + Clone + Send + 'static,
    F: Future<Output = Vec<Found>> + Send + 'static,
{
    fn drop(&mut self) {
        if self.released {
            return;
        }
        let mut queue = self.lookups.queue();
        if !queue.waiting.is_empty()
            && !self.has_task
            && let Ok(runtime) = Handle::try_current()
        {
            // The lock is released first: a runtime that is shutting down drops a new task at once,
            // and the task's slot takes the lock.
            drop(queue);
            let (lookups, read) = (Arc::clone(&self.lookups), self.read.clone());
            runtime.spawn(Slot { lookups, read, released: false, has_task: true }.serve());
            return;
        }
        queue.under_way -= 1;
        // Dropping their senders makes the callers who wait ask again.
        let waiting = mem::take(&mut queue.waiting);
        drop(queue);
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tenant_billing_core::ids::CustomerId;
    use tokio::sync::Semaphore;

    use super::*;

    /// A table that finds a Customer for each number. Each read uses up a permit.
    #[derive(Clone)]
    struct Table {
        permits: Arc<Semaphore>,
        reads: Arc<AtomicUsize>,
    }

    impl Table {
        fn new(permits: usize) -> Self {
            Self { permits: Arc::new(Semaphore::new(permits)), reads: Arc::default() }
        }

        async fn read(self, keys: Vec<Key>) -> Vec<Found> {
            self.permits.acquire().await.unwrap().forget();
            self.reads.fetch_add(1, Ordering::SeqCst);
            keys.iter().map(of).collect()
        }
    }

    fn of(key: &Key) -> Found {
        let Key::Integer(number) = key else { panic!("the tests use numbers only") };
        let customer = || CustomerId::parse(&format!("cus_{number}")).unwrap();
        Ok((number % 10 != 0).then(|| Binding { customer: customer(), account: None }))
    }

    fn look_up(
        lookups: &Arc<Lookups>,
        table: &Table,
        number: i64,
    ) -> tokio::task::JoinHandle<Found> {
        let (lookups, table) = (Arc::clone(lookups), table.clone());
        tokio::spawn(async move {
            let read = move |keys| table.clone().read(keys);
            lookups.find(Key::Integer(number), read).await
        })
    }

    #[tokio::test]
    async fn callers_who_wait_share_a_statement_and_each_gets_their_own() {
        let (lookups, table) = (Arc::new(Lookups::default()), Table::new(0));
        let calls: Vec<_> = (0..2500).map(|number| look_up(&lookups, &table, number)).collect();
        tokio::task::yield_now().await;
        table.permits.add_permits(100);
        for (number, call) in (0..).zip(calls) {
            assert_eq!(call.await.unwrap(), of(&Key::Integer(number)));
        }
        // Two callers read alone, and the others share statements for a thousand keys each.
        assert_eq!(table.reads.load(Ordering::SeqCst), 5);
        assert_eq!(lookups.queue().under_way, 0);
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_leaves_nobody_waiting() {
        let (lookups, table) = (Arc::new(Lookups::default()), Table::new(0));
        let calls: Vec<_> = (1..=9).map(|number| look_up(&lookups, &table, number)).collect();
        tokio::task::yield_now().await;
        // These are the two callers whose statements are under way, and one who waits.
        calls[..3].iter().for_each(tokio::task::JoinHandle::abort);
        tokio::task::yield_now().await;
        table.permits.add_permits(100);
        for (number, call) in (1..).zip(calls).skip(3) {
            assert_eq!(call.await.unwrap(), of(&Key::Integer(number)));
        }
        assert_eq!(lookups.queue().under_way, 0);
    }

    #[tokio::test]
    async fn a_read_that_panics_is_an_error_and_not_the_end() {
        let lookups = Arc::new(Lookups::default());
        let panics = |_| async { panic!("this test asks for a panic") };
        for _ in 0..3 {
            let lookups = Arc::clone(&lookups);
            let call = tokio::spawn(async move { lookups.find(Key::Integer(1), panics).await });
            assert!(call.await.is_err());
        }
        let table = Table::new(1);
        let found = look_up(&lookups, &table, 7).await.unwrap();
        assert_eq!(found, of(&Key::Integer(7)));
    }
}
