//! Callers for one tenant in one process share one piece of work, which belongs to none of them.
//!
//! The work is a task of its own. A caller that is dropped or reaches its deadline neither stops
//! the work nor loses what it finds, and shutdown waits for all of it.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::watch;

use crate::{
    deadline::Deadline,
    error::{Error, OperatorError, Problem, retry_soon},
    ids::TenantId,
    request::CustomerDetails,
    tenant_customer::Provided,
    timing::LATER_DEADLINE,
};

type Shared = Result<Provided, Error>;
// A std mutex, since it is never held across an await.
type InFlight = Arc<Mutex<HashMap<TenantId, Ticket>>>;

/// The work that is in flight in this process.
#[derive(Default)]
pub(crate) struct SingleFlight {
    in_flight: InFlight,
    tasks: Arc<watch::Sender<usize>>,
    closing: AtomicBool,
}

/// A caller's claim on the result of work that it shares.
#[derive(Clone)]
pub(crate) struct Ticket {
    /// The details and the deadline of the caller who began the work.
    details: CustomerDetails,
    deadline: Deadline,
    result: watch::Receiver<Option<Shared>>,
}

impl SingleFlight {
    /// Joins the work that is in flight for this tenant, or begins `work`.
    pub(crate) fn join<F>(
        &self,
        tenant: &TenantId,
        details: &CustomerDetails,
        deadline: Deadline,
        work: impl FnOnce() -> F,
    ) -> Result<Ticket, Problem>
    where
        F: Future<Output = Shared> + Send + 'static,
    {
        let mut in_flight = lock(&self.in_flight);
        if let Some(ticket) = in_flight.get(tenant) {
            return Ok(ticket.clone());
        }
        let guard = self.guard()?;
        let (tx, result) = watch::channel(None);
        let ticket = Ticket { details: details.clone(), deadline, result };
        in_flight.insert(tenant.clone(), ticket.clone());
        let remove = RemoveOnDrop { from: Arc::clone(&self.in_flight), tenant: tenant.clone() };
        let work = work();
        // Unlock first: `spawn` panics outside a runtime, and what is dropped then takes the lock.
        drop(in_flight);
        tokio::spawn(async move {
            let _guard = guard;
            let result = work.await;
            // Remove the work before publishing its result, so that a caller who retries begins
            // anew.
            drop(remove);
            tx.send_replace(Some(result));
        });
        Ok(ticket)
    }

    /// Does `work` to its end even if the caller is dropped.
    pub(crate) async fn detach<T: Send + 'static, E: From<Problem> + Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E> {
        let guard = self.guard()?;
        let task = tokio::spawn(async move {
            let _guard = guard;
            work.await
        });
        task.await.unwrap_or_else(|_| Err(interrupted().into()))
    }

    /// Begins no further work.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Waits until no work is in flight.
    pub(crate) async fn all_done(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.tasks.subscribe().wait_for(|tasks| *tasks == 0).await;
    }

    fn guard(&self) -> Result<TaskGuard, Problem> {
        self.tasks.send_modify(|tasks| *tasks += 1);
        let guard = TaskGuard(Arc::clone(&self.tasks));
        if self.closing.load(Ordering::SeqCst) {
            return Err(retry_soon("this process is shutting down"));
        }
        Ok(guard)
    }
}

impl Ticket {
    /// Waits for the work's result.
    pub(crate) async fn result(mut self) -> Shared {
        let result = self.result.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        result.unwrap_or_else(|| Err(interrupted().into()))
    }

    /// Whether this result answers a caller with these details and this deadline. The work had
    /// those of the caller who began it: that other details were rejected or lack an e-mail address,
    /// or that an earlier deadline has passed, says nothing to this caller.
    pub(crate) fn answers(
        &self,
        details: &CustomerDetails,
        deadline: Deadline,
        result: &Shared,
    ) -> bool {
        match result.as_ref().map_err(Error::problem) {
            Err(Problem::Retry { .. }) => {
                deadline.0 <= self.deadline.0.saturating_add(LATER_DEADLINE)
            }
            Err(Problem::Rejected(_) | Problem::Operator(OperatorError::NoEmailToLookBy)) => {
                self.details == *details
            }
            Ok(_) | Err(Problem::Invalid(_) | Problem::UnknownTenant(_) | Problem::Operator(_)) => {
                true
            }
        }
    }
}

/// Counts one task for as long as it lives.
struct TaskGuard(Arc<watch::Sender<usize>>);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.send_modify(|tasks| *tasks -= 1);
    }
}

/// Removes the work from the map however it ends, a panic included.
struct RemoveOnDrop {
    from: InFlight,
    tenant: TenantId,
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        lock(&self.from).remove(&self.tenant);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn interrupted() -> Problem {
    retry_soon("the work was interrupted; recovery will finish it")
}
