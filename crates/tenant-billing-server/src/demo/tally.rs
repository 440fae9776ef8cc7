//! Counts the results, from the simulated Stripe's Customers and from each program's database.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OpenFlags};

use super::{plan::Plan, play::Calls, world::World};
use crate::{causes, failure::Failure};

/// One column of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) requests: u64,
    /// Customers that exist in Stripe.
    pub(super) customers: u64,
    /// Tenants with more than one Customer in Stripe.
    pub(super) duplicates: u64,
    /// Customers that no row of the database names.
    pub(super) orphans: u64,
    /// Tenants for which the database names no Customer.
    pub(super) without: u64,
    pub(super) errors: u64,
}

impl Tally {
    /// Counts the results of a program.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(super) fn count(world: &World, plan: &Plan, calls: &Calls) -> Result<Self, Failure> {
        let bound = bound(world)?;
        let mut of_tenant: HashMap<String, u64> = HashMap::new();
        let (mut customers, mut orphans) = (0, 0);
        for customer in world.sandbox.customers().into_iter().filter(|it| !it.deleted) {
            let tenant = customer.metadata.get("tenantId").cloned().unwrap_or_default();
            *of_tenant.entry(tenant).or_default() += 1;
            customers += 1;
            orphans += u64::from(!bound.contains(&customer.id));
        }
        Ok(Self {
            calls: calls.made as u64,
            requests: world.sandbox.counters().requests,
            customers,
            duplicates: of_tenant.values().filter(|count| **count > 1).count() as u64,
            orphans,
            without: (plan.tenants.len() - bound.len()) as u64,
            errors: calls.errors as u64,
        })
    }
}

/// The Customers that the database names. All three programs have the same table and column.
fn bound(world: &World) -> Result<HashSet<String>, Failure> {
    let sql = "SELECT stripe_customer_id FROM tenant_config WHERE stripe_customer_id IS NOT NULL";
    let read = || -> rusqlite::Result<HashSet<String>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&world.file, flags)?;
        let mut select = connection.prepare(sql)?;
        select.query_map([], |row| row.get(0))?.collect()
    };
    read().map_err(|error| {
        let message = format!("a temporary database cannot be read: {error}");
        Failure::new(causes::MACHINE, message)
    })
}
