//! Callers of one tenant in one process share one piece of work, which none of them owns.
//!
//! The work is a task of its own: a caller that is dropped, cancelled or out of patience neither
//! stops it nor loses what it finds. Shutdown waits for all of it.

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
    billing::Provisioned,
    driver::Waiting,
    error::{Error, later},
    ids::TenantId,
    request::CustomerDetails,
};

type Landed = Option<Result<Provisioned, Error>>;

/// The work under way in this process.
#[derive(Default)]
pub(crate) struct Flights {
    aloft: Arc<Mutex<HashMap<TenantId, Flight>>>,
    tasks: Arc<watch::Sender<usize>>,
    closing: AtomicBool,
}

#[derive(Clone)]
struct Flight {
    details: CustomerDetails,
    waiting: Waiting,
    landed: watch::Receiver<Landed>,
}

/// A place on a flight.
pub(crate) struct Place {
    /// Whether the flight was begun for this caller.
    pub(crate) led: bool,
    /// The details that the flight carries.
    pub(crate) details: CustomerDetails,
    /// How long it tries.
    pub(crate) waiting: Waiting,
    landed: watch::Receiver<Landed>,
}

impl Flights {
    /// Joins the tenant's flight, or begins one with `work`.
    pub(crate) fn join<F>(
        &self,
        tenant: &TenantId,
        details: &CustomerDetails,
        waiting: Waiting,
        work: impl FnOnce() -> F,
    ) -> Result<Place, Error>
    where
        F: Future<Output = Result<Provisioned, Error>> + Send + 'static,
    {
        let mut aloft = lock(&self.aloft);
        if let Some(Flight { details, waiting, landed }) = aloft.get(tenant).cloned() {
            return Ok(Place { led: false, details, waiting, landed });
        }
        let counted = self.count()?;
        let (say, landed) = watch::channel(None);
        let flight = Flight { details: details.clone(), waiting, landed: landed.clone() };
        aloft.insert(tenant.clone(), flight);
        let on_board = OnBoard { aloft: Arc::clone(&self.aloft), tenant: tenant.clone() };
        let work = work();
        // Unlocked first: who spawns outside a runtime panics, and what is dropped then takes the lock.
        drop(aloft);
        tokio::spawn(async move {
            let _counted = counted;
            let result = work.await;
            // First off the list, then the result: who reads it and asks again begins a new flight.
            drop(on_board);
            say.send_replace(Some(result));
        });
        Ok(Place { led: true, details: details.clone(), waiting, landed })
    }

    /// Does `work` to its end even if the caller is dropped.
    pub(crate) async fn detach<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let counted = self.count()?;
        let task = tokio::spawn(async move {
            let _counted = counted;
            work.await
        });
        task.await.unwrap_or_else(|_| Err(cut_off()))
    }

    /// Begins no further work.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Waits until no work is under way.
    pub(crate) async fn all_landed(&self) {
        // The sender is alive as long as `self`, so this cannot fail.
        let _ = self.tasks.subscribe().wait_for(|tasks| *tasks == 0).await;
    }

    fn count(&self) -> Result<Counted, Error> {
        self.tasks.send_modify(|tasks| *tasks += 1);
        let counted = Counted(Arc::clone(&self.tasks));
        if self.closing.load(Ordering::SeqCst) {
            return Err(later("this process is shutting down", false));
        }
        Ok(counted)
    }
}

impl Place {
    /// The end of the flight.
    pub(crate) async fn landed(mut self) -> Result<Provisioned, Error> {
        let landed = self.landed.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        landed.unwrap_or_else(|| Err(cut_off()))
    }
}

struct Counted(Arc<watch::Sender<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|tasks| *tasks -= 1);
    }
}

/// Takes the flight off the list however it ends, a panic included.
struct OnBoard {
    aloft: Arc<Mutex<HashMap<TenantId, Flight>>>,
    tenant: TenantId,
}

impl Drop for OnBoard {
    fn drop(&mut self) {
        lock(&self.aloft).remove(&self.tenant);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cut_off() -> Error {
    later("the work was cut off, and recovery will finish it", true)
}
