//! How the host's tables are named and typed. It is read from the catalogs and then remembered.
//!
//! These tables are not ours. A tenant's key may be a uuid, a text or a number, times may have a
//! time zone or not, and `search_path` decides which schema they are in. So we assume nothing about
//! them, and `migrate` reports what does not meet our requirements.

use jiff::Timestamp;
use tokio_postgres::{Error, error::SqlState};

use super::{
    host::HostTables,
    key::KeyType,
    primary::READ_ONLY,
    table::{Column, Role, Table},
};

/// Three more cells of a lookup: when the layout was recorded, and the account that the database
/// belongs to.
const WHOSE: &str = ",
    (SELECT recorded_at FROM tenant_billing.host_layout),
    (SELECT account_id FROM tenant_billing.stripe_account),
    (SELECT mode FROM tenant_billing.stripe_account)";
/// Where they begin.
pub(super) const WHOSE_CELLS: usize = 3;

/// What statements must know about the host's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// The tenants table, unless every tenant exists.
    pub(super) tenants: Option<Table>,
    /// The table that holds the Customers' ids.
    pub(super) config: Table,
    /// Whether these are one table. Then every tenant has a row there, and none is inserted.
    pub(super) are_one: bool,
    /// Its column of the tenants' ids.
    pub(super) tenant: Column,
    /// Its column of the Customers' ids.
    pub(super) customer: Column,
    /// The type of the tenants' keys.
    pub(super) key_type: KeyType,
    /// When the record was written that this layout agrees with, once that has been seen.
    pub(super) recorded_at: Option<Timestamp>,
    /// The statement that reads the Customers of many tenants. Its one parameter is an array of
    /// keys.
    pub(super) lookup: String,
    /// The same, which also reads whose database it is.
    pub(super) lookup_and_whose: String,
}

impl Layout {
    /// The layout of these tables, if none of them and none of their columns is missing.
    pub(super) fn of(host: HostTables, key_type: KeyType) -> Option<Self> {
        let are_one = host.are_one();
        let HostTables { tenants, config } = host;
        let config = config?;
        let (tenant, customer) =
            (config.role(Role::Tenant)?.clone(), config.role(Role::Customer)?.clone());
        let lookup = |whose: &str| {
            format!(
                "SELECT {READ_ONLY}, {id}::{read_as}, {customer}::text{whose}
                 FROM {table} WHERE {id} = ANY ($1::{native}[]) AND {customer} IS NOT NULL",
                id = tenant.quoted,
                read_as = key_type.read_as(),
                customer = customer.quoted,
                table = config.name,
                native = key_type.sql(),
            )
        };
        let (lookup, lookup_and_whose) = (lookup(""), lookup(WHOSE));
        Some(Self {
            tenants,
            config,
            are_one,
            tenant,
            customer,
            key_type,
            recorded_at: None,
            lookup,
            lookup_and_whose,
        })
    }

    /// The tenants table and its key, as SQL identifiers, unless every tenant exists.
    pub(super) fn tenants(&self) -> Option<(&str, &str)> {
        let table = self.tenants.as_ref()?;
        Some((&table.name, &table.role(Role::Tenant)?.quoted))
    }

    /// The tables, each once.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        [Some(&self.config), self.tenants.as_ref().filter(|_| !self.are_one)].into_iter().flatten()
    }

    /// Whether a write failed because the host wrote at the same moment: it bound the Customer to
    /// another tenant, or deleted the tenant. (If we violate any other constraint of the host's, we
    /// would violate it again.)
    pub(super) fn is_race(&self, error: &Error) -> bool {
        let Some(said) = error.as_db_error() else { return false };
        let columns: &[_] = match *said.code() {
            SqlState::UNIQUE_VIOLATION => &[&self.tenant, &self.customer],
            SqlState::FOREIGN_KEY_VIOLATION => &[&self.tenant],
            _ => &[],
        };
        let constraints = columns.iter().flat_map(|column| &column.constraints);
        constraints.into_iter().any(|it| Some(it.as_str()) == said.constraint())
    }
}
