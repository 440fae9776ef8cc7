//! Where else in the database Customers' ids may be kept already.
//!
//! Whoever is told to create a table for them, and has them elsewhere, gets a second Customer for
//! each tenant. So where the table is missing, a column that looks like one of Customers' ids is
//! named with the settings that use it. Where the table exists, ids that it lacks are named, and a
//! column of which that cannot be decided is named too. (Whoever has looked there says so by naming
//! the table.)
//!
//! What a column is called shows it, such as `stripeCustomerId`, or what it is called and holds
//! together: many a column is called `stripe_id`, `customer_id` or `processor_id`, and holds
//! something else.

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

/// How many places are named at most.
const MAX_NAMED: usize = 4;

/// A table that may hold Customers' ids. All names are SQL identifiers.
struct Keeper {
    table: String,
    /// The columns that are called as only Customers' ids are, the likeliest one first. A table that
    /// only has the name of the table that we look for may have none.
    sure: Vec<String>,
    /// Those that hold Customers' ids if any value begins as these do.
    likely: Vec<String>,
    /// Whether it has the name of the table that we look for.
    has_the_name: bool,
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
            let mut settings = Vec::new();
            for keeper in keepers(client, names, host).await? {
                let customer = keeper.customer(client).await?;
                if customer.is_some() || keeper.has_the_name {
                    settings.push(keeper.settings(customer, names, host));
                }
                if settings.len() == MAX_NAMED {
                    break;
                }
            }
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
                for kept in keeper.sure.iter().chain(&keeper.likely) {
                    if let Some(misfit) = lacks(client, config, host, &keeper, kept).await? {
                        return Ok(Some(misfit));
                    }
                }
            }
            Ok(None)
        }
        None | Some(_) => Ok(None),
    }
}

impl Keeper {
    /// The column that looks like one of Customers' ids, or of which that is not known.
    async fn customer(&self, client: &Client) -> Result<Option<&str>, StoreError> {
        if let Some(sure) = self.sure.first() {
            return Ok(Some(sure));
        }
        for likely in &self.likely {
            let ids =
                format!("SELECT 1 FROM {} AS kept WHERE {} LIMIT 1", self.table, is_id(likely));
            if has_rows(client, &ids).await? != Ok(Some(false)) {
                return Ok(Some(likely));
            }
        }
        Ok(None)
    }

    /// What the table seems to be, with the settings that use it.
    fn settings(&self, customer: Option<&str>, names: &Names, host: &HostTables) -> String {
        let table = &self.table;
        let what = match customer {
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
        SELECT format('%I.%I', n.nspname, c.relname) AS table_name,
               coalesce(s.sure, '{}') AS sure, coalesce(s.likely, '{}') AS likely,
               lower(replace(c.relname::text, '_', '')) = $2 AS has_the_name,
               c.oid::bigint IS NOT DISTINCT FROM $1 AS is_tenants,
               coalesce(f.tenant, i.tenant) AS tenant, i.has_id
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (
            SELECT array_agg(a.quoted ORDER BY a.name ILIKE '%id' DESC, a.attnum)
                       FILTER (WHERE a.name ILIKE '%stripe%customer%') AS sure,
                   array_agg(a.quoted ORDER BY a.name ILIKE '%id' DESC, a.attnum)
                       FILTER (WHERE a.name NOT ILIKE '%stripe%customer%' AND c.relkind <> 'f'
                           AND (a.name ILIKE '%stripe%' OR a.name ILIKE '%customer%'
                                OR lower(replace(a.name, '_', '')) = 'processorid')) AS likely
            FROM (SELECT attname::text AS name, format('%I', attname) AS quoted, attnum
                  FROM pg_catalog.pg_attribute AS a
                  JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND t.typcategory = 'S') AS a) AS s
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
          AND (s.sure IS NOT NULL OR s.likely IS NOT NULL
               OR lower(replace(c.relname::text, '_', '')) = $2)
          AND n.nspname NOT IN ('information_schema', 'tenant_billing')
          AND left(n.nspname::text, 3) <> 'pg_'
          AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS d
                          WHERE d.objid = c.oid AND d.deptype = 'e')
        ORDER BY is_tenants DESC, has_the_name DESC, s.sure IS NOT NULL DESC,
                 f.tenant IS NOT NULL DESC, table_name";
    let oid = |table: &Option<Table>| table.as_ref().map(|table| i64::from(table.oid));
    let statement = Statement::new(sql).with(oid(&host.tenants));
    let statement = statement.with(names.config.name().replace('_', "").to_lowercase());
    let rows = statement.with(oid(&host.config)).rows(client).await?;
    let keeper = |row: &Row| {
        Ok(Keeper {
            table: row.try_get("table_name")?,
            sure: row.try_get("sure")?,
            likely: row.try_get("likely")?,
            has_the_name: row.try_get("has_the_name")?,
            is_tenants: row.try_get("is_tenants")?,
            tenant: row.try_get("tenant")?,
            has_id: row.try_get("has_id")?,
        })
    };
    rows.iter().map(keeper).collect::<Result<_, Error>>().map_err(failed)
}

/// An SQL condition: this column of the table `kept` holds a Customer's id.
fn is_id(column: &str) -> String {
    format!("left(kept.{column}::text, 4) = 'cus_'")
}

/// What to say if this column of that table holds ids of Customers for tenants that have none in
/// ours, or if that cannot be decided.
async fn lacks(
    client: &Client,
    config: &Table,
    host: &HostTables,
    keeper: &Keeper,
    kept: &str,
) -> Result<Option<String>, StoreError> {
    let key = host.tenants.as_ref().and_then(|table| table.role(Role::Tenant));
    let tenant = match (&keeper.tenant, key) {
        (_, Some(key)) if keeper.is_tenants => Some(&key.quoted),
        (tenant, _) => tenant.as_ref(),
    };
    let columns = (config.role(Role::Tenant), config.role(Role::Customer));
    let (Some(id), Some(customer)) = columns else { return Ok(None) };
    let (table, ours, id, customer) = (&keeper.table, &config.name, &id.quoted, &customer.quoted);
    let lacking = |ids: &str, same: &str| {
        format!(
            "SELECT 1 FROM {table} AS kept WHERE {ids}
             AND NOT EXISTS (SELECT 1 FROM {ours} AS ours WHERE {same}) LIMIT 1"
        )
    };
    let ids = is_id(kept);
    if let Some(tenant) = tenant {
        // Those of tenants that are gone are nobody's.
        let exists = match host.tenants.as_ref().zip(key) {
            Some((tenants, key)) => format!("IN (SELECT {} FROM {})", key.quoted, tenants.name),
            None => "IS NOT NULL".into(),
        };
        let ids = format!("{ids} AND kept.{tenant} {exists}");
        let same = format!("ours.{id} = kept.{tenant} AND ours.{customer} IS NOT NULL");
        match has_rows(client, &lacking(&ids, &same)).await? {
            Ok(Some(true)) => {
                let from = format!("FROM {table} AS kept WHERE {ids} ORDER BY {tenant}, {kept}");
                let insert = insert(config, [id, customer], [tenant, kept], &from);
                return Ok(Some(format!(
                    "{table}.{kept} holds ids of Customers whose tenants have none in {ours}; take \
                     them along ({insert}), or, if these are other Customers, set \
                     TENANT_CONFIG_TABLE={ours}"
                )));
            }
            Ok(Some(false)) => return Ok(None),
            Ok(None) | Err(_) => {}
        }
    }
    // Nobody can tell whose ids these are, but if ours has all of them, it lacks none.
    let same = format!("ours.{customer}::text = kept.{kept}::text");
    if has_rows(client, &lacking(&ids, &same)).await? == Ok(Some(false)) {
        return Ok(None);
    }
    let why = match tenant {
        Some(tenant) => format!("{tenant} could not be compared with {ours}.{id} within 2 seconds"),
        None => format!("no column of {table} seems to hold the tenants' ids"),
    };
    Ok(Some(format!(
        "{table}.{kept} may hold ids of Customers whose tenants have none in {ours}, which cannot be \
         decided, since {why}; look there, take along what {ours} lacks, and then set \
         TENANT_CONFIG_TABLE={ours}, which says that you have looked"
    )))
}

/// The statement that takes those ids along, which are a tenant's id and a Customer's in each row.
fn insert(
    config: &Table,
    [id, customer]: [&str; 2],
    [tenant, kept]: [&str; 2],
    from: &str,
) -> String {
    let ours = &config.name;
    let (mut names, mut values) = (vec![id, customer], vec![tenant.to_owned(), kept.to_owned()]);
    for column in config.columns.iter().filter(|it| !it.has_default) {
        if let Some(value) = column.written() {
            names.push(&column.quoted);
            // Before the first migration, there is no clock of ours.
            values.push(value.replace("tenant_billing.clock()", "clock_timestamp()"));
        }
    }
    format!(
        "INSERT INTO {ours} ({}) SELECT DISTINCT ON ({tenant}) {} {from} ON CONFLICT ({id}) DO \
         UPDATE SET {customer} = excluded.{customer} WHERE {ours}.{customer} IS NULL",
        names.join(", "),
        values.join(", "),
    )
}
