//! Where else in the database Customers' ids may be kept already.
//!
//! Whoever is told to create a table for them, and has them elsewhere, gets a second Customer for
//! each tenant. So where the table is missing, a column that looks like one of Customers' ids is
//! named with the settings that use it. Where the table exists, ids that it lacks are named.

use tenant_billing_core::ports::StoreError;
use tokio_postgres::{Client, Error, Row};

use super::{
    super::{
        errors::failed,
        host::HostTables,
        names::Names,
        statement::Statement,
        table::{Role, Table},
    },
    checks::has_rows,
};

/// A table that may hold Customers' ids. All names are SQL identifiers.
struct Keeper {
    table: String,
    /// The column that looks like one of Customers' ids. A table that only has the name of the
    /// table that we look for may have none.
    customer: Option<String>,
    is_tenants: bool,
    /// The column that seems to hold the tenants' ids: a foreign key to the tenants table, or one
    /// that is called so.
    tenant: Option<String>,
    has_id: bool,
}

/// What to say of another place in which Customers' ids may be kept, if there is one. `missing`
/// says which table does not exist.
pub(super) async fn misfit(
    client: &Client,
    names: &Names,
    host: &HostTables,
    missing: Option<&str>,
) -> Result<Option<String>, StoreError> {
    match &host.config {
        None if missing.is_some() => {
            let keepers = keepers(client, names, host).await?;
            let settings: Vec<_> = keepers.iter().map(|it| it.settings(names, host)).collect();
            if settings.is_empty() {
                return Ok(None);
            }
            Ok(Some(format!(
                "there is no {}, but {}; create a table only if no Customers' ids are kept there",
                names.config,
                settings.join("; or ")
            )))
        }
        Some(config) if missing.is_none() && !names.config_is_named && !host.are_one() => {
            for keeper in keepers(client, names, host).await? {
                if let Some(misfit) = lacks(client, config, host, &keeper).await? {
                    return Ok(Some(misfit));
                }
            }
            Ok(None)
        }
        None | Some(_) => Ok(None),
    }
}

impl Keeper {
    /// What the table seems to be, with the settings that use it.
    fn settings(&self, names: &Names, host: &HostTables) -> String {
        let table = &self.table;
        let what = match &self.customer {
            Some(customer) => {
                format!("{table}.{customer} looks like a column of Customers' ids; if it is, set ")
            }
            None => format!("there is {table}; if it holds the Customers' ids, set "),
        };
        // Without a column for them, the rows are the tenants.
        let (tenant, are_tenants) = match &self.tenant {
            Some(tenant) if !self.is_tenants => (tenant.as_str(), false),
            Some(_) | None => ("id", !self.is_tenants && self.has_id),
        };
        let tenants = match &host.tenants {
            _ if are_tenants => format!("TENANTS_TABLE={table} "),
            None if names.tenants.is_some() => {
                "TENANTS_TABLE to the table of your tenants, and ".into()
            }
            Some(_) | None => String::new(),
        };
        let customer = self.customer.as_deref();
        let customer = customer.map(|it| format!(" TENANT_CONFIG_CUSTOMER_COLUMN={it}"));
        format!(
            "{what}{tenants}TENANT_CONFIG_TABLE={table} TENANT_CONFIG_TENANT_COLUMN={tenant}{}",
            customer.unwrap_or_default()
        )
    }
}

/// The tables that may hold Customers' ids, the likeliest one first.
async fn keepers(
    client: &Client,
    names: &Names,
    host: &HostTables,
) -> Result<Vec<Keeper>, StoreError> {
    let sql = "
        SELECT format('%I.%I', n.nspname, c.relname) AS table_name, s.customer,
               c.oid::bigint IS NOT DISTINCT FROM $1 AS is_tenants,
               coalesce(f.tenant, i.tenant) AS tenant, i.has_id
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN LATERAL (
            SELECT format('%I', a.attname) AS customer FROM pg_catalog.pg_attribute AS a
            JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              AND a.attname::text ILIKE '%stripe%customer%' AND t.typcategory = 'S'
            ORDER BY a.attname::text ILIKE '%id' DESC, a.attnum LIMIT 1) AS s ON true
        LEFT JOIN LATERAL (
            SELECT format('%I', a.attname) AS tenant FROM pg_catalog.pg_constraint AS k
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
            WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid::bigint = $1
              AND array_length(k.conkey, 1) = 1 LIMIT 1) AS f ON true
        LEFT JOIN LATERAL (
            SELECT min(format('%I', a.attname)) FILTER (
                       WHERE lower(replace(a.attname::text, '_', '')) = 'tenantid') AS tenant,
                   coalesce(bool_or(a.attname = 'id'), false) AS has_id
            FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS i ON true
        WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
          AND c.oid::bigint IS DISTINCT FROM $3
          AND (s.customer IS NOT NULL OR lower(replace(c.relname::text, '_', '')) = $2)
          AND n.nspname NOT IN ('information_schema', 'tenant_billing')
          AND left(n.nspname::text, 3) <> 'pg_'
          AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS d
                          WHERE d.objid = c.oid AND d.deptype = 'e')
        ORDER BY is_tenants DESC, lower(replace(c.relname::text, '_', '')) = $2 DESC,
                 f.tenant IS NOT NULL DESC, table_name LIMIT 4";
    let oid = |table: &Option<Table>| table.as_ref().map(|table| i64::from(table.oid));
    let statement = Statement::new(sql).with(oid(&host.tenants));
    let statement = statement.with(names.config.name().replace('_', "").to_lowercase());
    let rows = statement.with(oid(&host.config)).rows(client).await?;
    let keeper = |row: &Row| {
        Ok(Keeper {
            table: row.try_get("table_name")?,
            customer: row.try_get("customer")?,
            is_tenants: row.try_get("is_tenants")?,
            tenant: row.try_get("tenant")?,
            has_id: row.try_get("has_id")?,
        })
    };
    rows.iter().map(keeper).collect::<Result<_, Error>>().map_err(failed)
}

/// What to say if that table holds ids of Customers for tenants that have none in ours.
async fn lacks(
    client: &Client,
    config: &Table,
    host: &HostTables,
    keeper: &Keeper,
) -> Result<Option<String>, StoreError> {
    let id = host.tenants.as_ref().and_then(|table| table.role(Role::Tenant));
    let tenant = match (&keeper.tenant, id) {
        (_, Some(id)) if keeper.is_tenants => &id.quoted,
        (Some(tenant), _) => tenant,
        (None, _) => return Ok(None),
    };
    let columns = (&keeper.customer, config.role(Role::Tenant), config.role(Role::Customer));
    let (Some(kept), Some(id), Some(customer)) = columns else { return Ok(None) };
    let (table, ours, id, customer) = (&keeper.table, &config.name, &id.quoted, &customer.quoted);
    let sql = format!(
        "SELECT 1 FROM {table} AS kept WHERE left(kept.{kept}::text, 4) = 'cus_'
           AND NOT EXISTS (SELECT 1 FROM {ours} AS ours WHERE ours.{id} = kept.{tenant}
                           AND ours.{customer} IS NOT NULL) LIMIT 1"
    );
    if has_rows(client, &sql).await? != Ok(true) {
        return Ok(None);
    }
    Ok(Some(format!(
        "{table}.{kept} holds ids of Customers whose tenants have none in {ours}; take them along \
         (INSERT INTO {ours} ({id}, {customer}) SELECT {tenant}, {kept} FROM {table} WHERE {kept} \
         IS NOT NULL ON CONFLICT ({id}) DO UPDATE SET {customer} = excluded.{customer} WHERE \
         {ours}.{customer} IS NULL), or, if these are other Customers, set \
         TENANT_CONFIG_TABLE={ours}"
    )))
}
