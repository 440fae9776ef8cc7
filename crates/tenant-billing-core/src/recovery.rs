//! The recovery worker: it runs the same loop over the rows that are due, and so finishes what was
//! begun.

use std::{future::Future, pin::pin, sync::Arc};

use futures_util::{
    future::{Either, select},
    stream::{FuturesUnordered, StreamExt},
};

use crate::{
    billing::Billing,
    driver,
    error::Error,
    ids::TenantId,
    ports::{Backlog, StoreError},
    provisioning::Asker,
    tenant_customer::TenantCustomer,
    timing::{CLAIM_FOR, DEFAULT_DEADLINE, POLL_INTERVAL},
};

/// How many rows are worked on at once.
const RECOVERY_CONCURRENCY: usize = 20;

/// The result of one run over the due rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Tenants whose Customer this run has bound.
    pub provisioned: Vec<TenantCustomer>,
    /// Tenants that are not done yet, and why.
    pub postponed: Vec<(TenantId, Error)>,
    /// What is left to do, for all processes together.
    pub backlog: Backlog,
}

impl Billing {
    /// Goes once over the rows that are due. Any number of processes may do so at once.
    ///
    /// # Errors
    /// What the database says; what Stripe says of a row is in [`Recovery::postponed`].
    pub async fn recover_once(&self) -> Result<Recovery, Error> {
        let (mut provisioned, mut postponed) = (Vec::new(), Vec::new());
        let mut work = FuturesUnordered::new();
        loop {
            // More are claimed as soon as half are done, so that a slow one holds up no other.
            if work.len() <= RECOVERY_CONCURRENCY / 2 {
                let free = u32::try_from(RECOVERY_CONCURRENCY - work.len()).unwrap_or(u32::MAX);
                for tenant in self.engine.store.claim(None, CLAIM_FOR, free).await? {
                    work.push(async move {
                        let result = self.recover(tenant.clone()).await;
                        (tenant, result)
                    });
                }
            }
            match work.next().await {
                Some((_, Ok(bound))) => provisioned.extend(bound),
                Some((tenant, Err(error))) => postponed.push((tenant, error)),
                None => {
                    let backlog = self.engine.store.backlog().await?;
                    return Ok(Recovery { provisioned, postponed, backlog });
                }
            }
        }
    }

    /// Recovers what is due, again and again, until `shutdown` completes.
    pub async fn run_recovery(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let round = async {
                match self.recover_once().await {
                    Ok(recovery) => {
                        recovery.postponed.iter().for_each(|(tenant, error)| error.log(tenant));
                    }
                    Err(error) => tracing::warn!(%error, "recovery could not read the database"),
                }
                self.engine.clock.sleep(POLL_INTERVAL).await;
            };
            if let Either::Left(_) = select(shutdown.as_mut(), pin!(round)).await {
                return;
            }
        }
    }

    /// Detached, so that dropping the worker does not drop a Customer that was just answered.
    async fn recover(&self, tenant: TenantId) -> Result<Option<TenantCustomer>, Error> {
        let engine = Arc::clone(&self.engine);
        self.in_flight
            .detach(async move {
                let snapshot =
                    engine.snapshot(&tenant, &[]).await.map_err(|error| match error {
                        // The id comes from a row, not from a caller.
                        StoreError::Invalid(invalid) => StoreError::SchemaMismatch(format!(
                            "the row of tenant {tenant} was written when the tenants' keys were \
                             of another type: {invalid}; change the type back and let recovery \
                             finish, or correct the row"
                        )),
                        error => error,
                    })?;
                let deadline = engine.deadline(DEFAULT_DEADLINE);
                let driven = driver::drive(&engine, snapshot, Asker::Worker, deadline).await;
                driven.map(|provided| provided.map(|it| it.customer))
            })
            .await
    }
}
