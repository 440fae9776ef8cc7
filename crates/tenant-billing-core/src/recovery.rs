//! The worker that finishes what was begun: the same loop, over the rows that are due.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::{
    future::{Either, select},
    stream::{FuturesUnordered, StreamExt},
};

use crate::{
    billing::{Billing, DEFAULT_DEADLINE, Provisioned},
    driver::{CLAIM, Driver},
    error::Error,
    ids::TenantId,
    ports::Backlog,
    provisioning::Asker,
};

/// How many rows are worked on at once.
const AT_ONCE: usize = 20;
/// The worker looks at the database at least this often.
const IDLE: Duration = Duration::from_secs(5);

/// What one run over the due rows came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Tenants that have their Customer now.
    pub settled: Vec<Provisioned>,
    /// Tenants that need more, and why.
    pub postponed: Vec<(TenantId, Error)>,
    /// What is left in the database, whoever works on it.
    pub backlog: Backlog,
}

impl Billing {
    /// Goes once over the rows that are due. Any number of processes may do so at once.
    ///
    /// # Errors
    /// What the database says; what Stripe says of a row is in [`Recovery::postponed`].
    pub async fn recover_once(&self) -> Result<Recovery, Error> {
        let (mut settled, mut postponed) = (Vec::new(), Vec::new());
        let mut work = FuturesUnordered::new();
        loop {
            // More are claimed as soon as half are done, so that a slow one holds up no other.
            if work.len() <= AT_ONCE / 2 {
                let free = u32::try_from(AT_ONCE - work.len()).unwrap_or(u32::MAX);
                for tenant in self.inner.store.claim(None, CLAIM, free).await? {
                    work.push(async move {
                        let landed = self.recover(tenant.clone()).await;
                        (tenant, landed)
                    });
                }
            }
            match work.next().await {
                Some((_, Ok(provisioned))) => settled.extend(provisioned),
                Some((tenant, Err(error))) => postponed.push((tenant, error)),
                None => {
                    let backlog = self.inner.store.backlog().await?;
                    return Ok(Recovery { settled, postponed, backlog });
                }
            }
        }
    }

    /// Recovers what is due, again and again, until `shutdown` completes.
    pub async fn run_recovery(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let round = async {
                if let Err(error) = self.recover_once().await {
                    tracing::warn!(%error, "recovery could not read the database");
                }
                self.inner.clock.sleep(IDLE).await;
            };
            if let Either::Left(_) = select(shutdown.as_mut(), pin!(round)).await {
                return;
            }
        }
    }

    /// Detached, so that dropping the worker does not drop a Customer that was just answered.
    async fn recover(&self, tenant: TenantId) -> Result<Option<Provisioned>, Error> {
        let inner = Arc::clone(&self.inner);
        self.inner
            .flights
            .detach(async move {
                let seen = inner.see(&tenant, None).await?;
                let waiting = inner.waiting(DEFAULT_DEADLINE);
                Driver::new(&inner, seen, Asker::Worker, waiting).await?.run().await
            })
            .await
    }
}
