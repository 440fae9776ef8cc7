//! The host's tables that hold the tenants and the Customers' ids, as far as they exist.

use tenant_billing_core::ports::StoreError;
use tokio_postgres::Client;

use super::{
    names::{Identifier, Names},
    table::{Role, Table},
};

/// The tables that the setting names, those that exist.
pub(super) struct HostTables {
    pub(super) tenants: Option<Table>,
    /// The table that holds the Customers' ids, `tenant_config` by default.
    pub(super) config: Option<Table>,
}

impl HostTables {
    /// Reads them from the catalogs.
    pub(super) async fn find(client: &Client, names: &Names) -> Result<Self, StoreError> {
        let schema = names.schema.as_ref();
        let mut tenants = match &names.tenants {
            Some(name) => Table::find(client, &name.candidates(schema)).await?,
            None => None,
        };
        let mut config = Table::find(client, &names.config.candidates(schema)).await?;
        if let Some(table) = &mut tenants {
            table.give("id", Role::Tenant);
        }
        if let Some(table) = &mut config {
            for (role, known) in [
                (Role::Id, &["id"][..]),
                (Role::CreatedAt, &["created_at", "createdAt"]),
                (Role::UpdatedAt, &["updated_at", "updatedAt"]),
            ] {
                known.iter().for_each(|name| table.give(name, role));
            }
            give(table, &names.customer_column, Role::Customer);
            give(table, &names.tenant_column, Role::Tenant);
            if tenants.as_ref().is_some_and(|tenants| tenants.oid == table.oid) {
                tenants = Some(table.clone());
            }
        }
        Ok(Self { tenants, config })
    }

    /// Whether the Customers' ids are in a column of the tenants table itself.
    pub(super) fn are_one(&self) -> bool {
        let oid = |table: &Option<Table>| table.as_ref().map(|table| table.oid);
        self.config.is_some() && oid(&self.tenants) == oid(&self.config)
    }

    /// The setting and the name of a table that a migrated database must have and this one does
    /// not.
    pub(super) fn lost(&self, names: &Names) -> Option<(&'static str, String)> {
        match &names.tenants {
            Some(name) if self.tenants.is_none() => Some(("TENANTS_TABLE", name.to_string())),
            Some(_) | None if self.config.is_none() => {
                Some(("TENANT_CONFIG_TABLE", names.config.to_string()))
            }
            Some(_) | None => None,
        }
    }
}

/// Gives a role to the column that a setting names.
fn give(table: &mut Table, name: &Identifier, role: Role) {
    let exists = |it: &String| table.column(it).is_some();
    if let Some(name) = name.spellings().into_iter().find(exists) {
        table.give(&name, role);
    }
}
