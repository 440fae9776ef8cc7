//! Callers who look up a tenant's Customer at the same moment share one statement.
//!
//! Whoever comes while no more than a few statements are under way begins another; who comes later
//! waits for one of them to return, and then goes with everybody else who waits. So one caller alone is
//! served at once, and a thousand cost the database little more than one.

use std::{
    future::Future,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tenant_billing_core::{ids::CustomerId, ports::StoreError};
use tokio::sync::oneshot;

use super::layout::Key;

/// Statements under way at once. Two, so that the server works while answers are handed out.
const AT_ONCE: usize = 2;
/// Keys in one statement.
const LONGEST: usize = 1000;

/// What a caller is told.
pub(super) type Found = Result<Option<CustomerId>, StoreError>;

/// The callers who wait.
#[derive(Default)]
pub(super) struct Lookups {
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    waiting: Vec<(Key, oneshot::Sender<Found>)>,
    under_way: usize,
}

impl Lookups {
    /// Stands in line for this key. `read` answers for many keys, in their order.
    pub(super) async fn find<R, F>(self: &Arc<Self>, key: Key, read: R) -> Found
    where
        R: Fn(Vec<Key>) -> F + Send + 'static,
        F: Future<Output = Vec<Found>> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let begin = {
            let mut line = self.line();
            line.waiting.push((key, tell));
            let begin = line.under_way < AT_ONCE;
            line.under_way += usize::from(begin);
            begin
        };
        if begin {
            // A task of its own: others rely on it, whether or not this caller stays.
            tokio::spawn(serve(Turn { lookups: Arc::clone(self), over: false }, read));
        }
        told.await.unwrap_or_else(|_| Err(StoreError::Unavailable("a read was cut off".into())))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have a statement under way at a time.
struct Turn {
    lookups: Arc<Lookups>,
    over: bool,
}

impl Turn {
    /// Those who wait, or nobody; then the turn is over.
    fn next(&mut self) -> Option<Vec<(Key, oneshot::Sender<Found>)>> {
        let mut line = self.lookups.line();
        if line.waiting.is_empty() {
            line.under_way -= 1;
            self.over = true;
            return None;
        }
        let rest = line.waiting.len().min(LONGEST);
        let rest = line.waiting.split_off(rest);
        Some(mem::replace(&mut line.waiting, rest))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // Cut off. Whoever waits for nobody else's turn is told so.
        let mut line = self.lookups.line();
        line.under_way -= 1;
        if line.under_way == 0 {
            line.waiting.clear();
        }
    }
}

async fn serve<R, F>(mut turn: Turn, read: R)
where
    R: Fn(Vec<Key>) -> F,
    F: Future<Output = Vec<Found>>,
{
    while let Some(batch) = turn.next() {
        let (keys, waiting): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        for (tell, found) in waiting.into_iter().zip(read(keys).await) {
            // Who has gone needs no answer.
            let _ = tell.send(found);
        }
    }
}
