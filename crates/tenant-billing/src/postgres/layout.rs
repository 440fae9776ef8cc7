//! How the host's tables are named and typed. It is read from the catalogs and then remembered.
//!
//! These tables are not ours. A tenant's key may be a uuid, a text or a number, times may have a
//! time zone or not, and `search_path` decides which schema they are in. So we assume nothing about
//! them, and `migrate` reports what does not meet our requirements.

use tenant_billing_core::ports::StoreError;
use tokio_postgres::{Client, Error, error::SqlState};

use super::{
    host::{HostTables, Tenants},
    key::KeyType,
    primary::READ_ONLY,
    requirements,
    table::Table,
};

/// What statements must know about the host's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// The tenants table, unless every tenant exists.
    pub(super) tenants: Option<Table>,
    /// `tenant_config`.
    pub(super) config: Table,
    /// The type of the tenants' keys.
    pub(super) key_type: KeyType,
    /// The statement that reads the Customers of many tenants, and the account that the database
    /// belongs to, as one text, since one subquery costs less than two. Its one parameter is an array of
    /// keys.
    pub(super) lookup: String,
}

impl Layout {
    /// Reads the layout from the catalogs.
    ///
    /// # Errors
    /// [`StoreError::SchemaMismatch`] if a table does not exist or hides rows, or if the tenants'
    /// keys have types that we do not support or that differ.
    pub(super) async fn read(client: &Client, tenants: &Tenants) -> Result<Self, StoreError> {
        let host = HostTables::find(client, tenants).await?;
        if let Some(name) = host.lost(tenants) {
            return Err(StoreError::SchemaMismatch(format!(
                "there is no table {name} in this role's search_path, and there was one when the \
                 database was migrated; rename it back, or correct the search_path"
            )));
        }
        let mut misfits = Vec::new();
        let key_type = requirements::keys(tenants, &host, &mut misfits);
        let (Some(config), Some(key_type), []) = (host.config, key_type, misfits.as_slice()) else {
            return Err(requirements::mismatch(&misfits));
        };
        let tenants = host.tenants;
        let (table, native) = (&config.name, key_type.sql());
        let lookup = format!(
            "SELECT {READ_ONLY}, tenant_id::{native}, stripe_customer_id::text,
                    (SELECT mode || ' ' || account_id FROM tenant_billing.stripe_account)
             FROM {table} WHERE tenant_id = ANY ($1::{native}[]) AND stripe_customer_id IS NOT NULL"
        );
        Ok(Self { tenants, config, key_type, lookup })
    }

    /// Whether a write failed because the host wrote at the same moment: it bound the Customer to
    /// another tenant, or deleted the tenant. (If we violate any other constraint of the host's, we
    /// would violate it again.)
    pub(super) fn is_race(&self, error: &Error) -> bool {
        let Some(said) = error.as_db_error() else { return false };
        let columns: &[_] = match *said.code() {
            SqlState::UNIQUE_VIOLATION => &["tenant_id", "stripe_customer_id"],
            SqlState::FOREIGN_KEY_VIOLATION => &["tenant_id"],
            _ => &[],
        };
        columns.iter().any(|column| {
            let constraints = self.config.column(column).map(|column| &column.constraints);
            constraints.into_iter().flatten().any(|it| Some(it.as_str()) == said.constraint())
        })
    }
}
