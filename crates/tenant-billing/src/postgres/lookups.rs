//! Callers who look up a tenant's Customer at the same moment share one statement.
//!
//! Whoever comes while less than a few statements are under way sends one, alone and at once. Who comes
//! later waits for one of them to return, and then goes with everybody else who waits. So a caller
//! alone is as fast as can be, and a thousand cost the database little more than one.

use std::{
    future::Future,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tenant_billing_core::{ids::CustomerId, ports::StoreError};
use tokio::{runtime::Handle, sync::oneshot};

use super::key::Key;

/// Statements under way at once. Two, so that the server works while answers are handed out.
const AT_ONCE: usize = 2;
/// Keys in one statement.
const LONGEST: usize = 1000;
/// How often a caller stands in line whose statement was cut off.
const ATTEMPTS: usize = 3;

/// What a caller is told.
pub(super) type Found = Result<Option<CustomerId>, StoreError>;

/// The callers who wait.
#[derive(Default)]
pub(super) struct Lookups {
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    /// Empty, unless as many statements are under way as may be.
    waiting: Vec<(Key, oneshot::Sender<Found>)>,
    under_way: usize,
}

impl Lookups {
    /// What `read` finds for this key. It answers for many keys, in their order.
    pub(super) async fn find<R, F>(self: &Arc<Self>, key: Key, read: R) -> Found
    where
        R: Fn(Vec<Key>) -> F + Clone + Send + 'static,
        F: Future<Output = Vec<Found>> + Send + 'static,
    {
        for _ in 0..ATTEMPTS {
            let told = {
                let mut line = self.line();
                if line.under_way < AT_ONCE {
                    line.under_way += 1;
                    None
                } else {
                    let (tell, told) = oneshot::channel();
                    line.waiting.push((key.clone(), tell));
                    Some(told)
                }
            };
            let found = match told {
                Some(told) => told.await.ok(),
                None => {
                    let (lookups, read) = (Arc::clone(self), read.clone());
                    let turn = Turn { lookups, read, over: false, serving: false };
                    let found = (turn.read)(vec![key.clone()]).await.pop();
                    drop(turn);
                    found
                }
            };
            if let Some(found) = found {
                return found;
            }
        }
        Err(StoreError::Unavailable("a read was cut off".into()))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have a statement under way at a time. When it ends, also because its caller went
/// away, it passes to those who wait.
struct Turn<R, F>
where
    R: Fn(Vec<Key>) -> F + Clone + Send + 'static,
    F: Future<Output = Vec<Found>> + Send + 'static,
{
    lookups: Arc<Lookups>,
    read: R,
    over: bool,
    /// A task of its own already: if that is dropped, so is its runtime.
    serving: bool,
}

impl<R, F> Turn<R, F>
where
    R: Fn(Vec<Key>) -> F + Clone + Send + 'static,
    F: Future<Output = Vec<Found>> + Send + 'static,
{
    /// Those who wait; if nobody does, the turn is over.
    fn next(&mut self) -> Option<Vec<(Key, oneshot::Sender<Found>)>> {
        let mut line = self.lookups.line();
        if line.waiting.is_empty() {
            line.under_way -= 1;
            self.over = true;
            return None;
        }
        let batch = line.waiting.len().min(LONGEST);
        let rest = line.waiting.split_off(batch);
        Some(mem::replace(&mut line.waiting, rest))
    }

    /// Serves those who wait until nobody does.
    async fn serve(mut self) {
        while let Some(batch) = self.next() {
            let (keys, waiting): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            for (tell, found) in waiting.into_iter().zip((self.read)(keys).await) {
                // Who has gone needs no answer.
                let _ = tell.send(found);
            }
        }
    }
}

impl<R, F> Drop for Turn<R, F>
where
    R: Fn(Vec<Key>) -> F + Clone + Send + 'static,
    F: Future<Output = Vec<Found>> + Send + 'static,
{
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut line = self.lookups.line();
        match Handle::try_current() {
            // A task of its own: those who wait rely on it, whoever comes and goes.
            Ok(runtime) if !line.waiting.is_empty() && !self.serving => {
                // A runtime that is shutting down drops at once what is spawned on it, and that takes
                // the lock.
                drop(line);
                let (lookups, read) = (Arc::clone(&self.lookups), self.read.clone());
                runtime.spawn(Turn { lookups, read, over: false, serving: true }.serve());
            }
            _ => {
                line.under_way -= 1;
                // They stand in line anew.
                let waiting = mem::take(&mut line.waiting);
                drop(line);
                drop(waiting);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Answers each number with a Customer of that number, as often as it is let.
    #[derive(Clone)]
    struct Table {
        open: Arc<Semaphore>,
        reads: Arc<AtomicUsize>,
    }

    impl Table {
        fn new(permits: usize) -> Self {
            Self { open: Arc::new(Semaphore::new(permits)), reads: Arc::default() }
        }

        async fn read(self, keys: Vec<Key>) -> Vec<Found> {
            self.open.acquire().await.unwrap().forget();
            self.reads.fetch_add(1, Ordering::SeqCst);
            keys.iter().map(of).collect()
        }
    }

    fn of(key: &Key) -> Found {
        let Key::Integer(number) = key else { panic!("only numbers here") };
        Ok((number % 10 != 0).then(|| CustomerId::parse(&format!("cus_{number}")).unwrap()))
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
        table.open.add_permits(100);
        for (number, call) in (0..).zip(calls) {
            assert_eq!(call.await.unwrap(), of(&Key::Integer(number)));
        }
        // Two alone, and the others a thousand at a time.
        assert_eq!(table.reads.load(Ordering::SeqCst), 5);
        assert_eq!(lookups.line().under_way, 0);
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_leaves_nobody_waiting() {
        let (lookups, table) = (Arc::new(Lookups::default()), Table::new(0));
        let calls: Vec<_> = (1..=9).map(|number| look_up(&lookups, &table, number)).collect();
        tokio::task::yield_now().await;
        // Both whose statements are under way, and one who waits.
        calls[..3].iter().for_each(tokio::task::JoinHandle::abort);
        tokio::task::yield_now().await;
        table.open.add_permits(100);
        for (number, call) in (1..).zip(calls).skip(3) {
            assert_eq!(call.await.unwrap(), of(&Key::Integer(number)));
        }
        assert_eq!(lookups.line().under_way, 0);
    }

    #[tokio::test]
    async fn a_read_that_panics_is_an_error_and_not_the_end() {
        let lookups = Arc::new(Lookups::default());
        let panics = |_| async { panic!("as a test wants it") };
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
