//! The layout that is on record: which of the host's tables and columns this database was migrated
//! with, and the type of the tenants' keys.
//!
//! Our own tables know a tenant by its id alone. With another table of tenants, the same id is
//! another tenant, which would get the first one's Customer. So a process with another setting is
//! refused, also if the record changes while it runs: it decides and writes only while the record
//! is the one that it has read.
//!
//! A table is the recorded one if it has the name that was recorded, with its schema: so a changed
//! `search_path` is noticed, and a table that was dropped and made anew is accepted (as after a
//! dump and a restore). If no table has that name any more, it is the recorded one if it has the
//! recorded oid: the host has renamed it. It is the same for columns and their numbers.

use jiff::Timestamp;
use tenant_billing_core::ports::StoreError;
use tokio_postgres::{Client, Row};

use super::{
    errors::failed,
    key::KeyType,
    layout::Layout,
    statement::Statement,
    table::{Column, Table},
};

/// How to undo the record by hand.
const FORGET: &str = "DELETE FROM tenant_billing.host_layout";

/// What is on record of a table.
struct RecordedTable {
    name: String,
    oid: i64,
    /// The table that has this name now, if there is one.
    oid_now: Option<i64>,
}

/// What is on record of a column.
struct RecordedColumn {
    name: String,
    number: i64,
}

/// What is on record.
struct Recorded {
    tenants: Option<RecordedTable>,
    config: RecordedTable,
    tenant: RecordedColumn,
    customer: RecordedColumn,
    key_type: String,
    at: Timestamp,
}

impl Recorded {
    async fn read(client: &Client) -> Result<Option<Self>, StoreError> {
        let sql = "SELECT tenants_table, tenants_oid, to_regclass(tenants_table)::oid::bigint,
                          config_table, config_oid, to_regclass(config_table)::oid::bigint,
                          tenant_column, tenant_number, customer_column, customer_number, key_type,
                          recorded_at
                   FROM tenant_billing.host_layout";
        let rows = Statement::new(sql).rows(client).await?;
        rows.first().map(Self::of).transpose().map_err(failed)
    }

    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let table = |name, at| {
            Ok::<_, tokio_postgres::Error>(RecordedTable {
                name,
                oid: row.try_get(at)?,
                oid_now: row.try_get(at + 1)?,
            })
        };
        let column =
            |at| Ok(RecordedColumn { name: row.try_get(at)?, number: row.try_get(at + 1)? });
        let tenants: Option<String> = row.try_get(0)?;
        Ok(Self {
            tenants: tenants.map(|name| table(name, 1)).transpose()?,
            config: table(row.try_get(3)?, 4)?,
            tenant: column(6)?,
            customer: column(8)?,
            key_type: row.try_get(10)?,
            at: row.try_get(11)?,
        })
    }

    /// The settings that are not what was recorded, each in words.
    fn differences(&self, layout: &Layout) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |is_same: bool, setting: &str, now: &str, recorded: &str| {
            if !is_same {
                differences.push(format!("{setting} is {now}, and was {recorded}"));
            }
        };
        let (now, recorded) = (layout.tenants.as_ref(), self.tenants.as_ref());
        compare(
            match (now, recorded) {
                (None, None) => true,
                (Some(now), Some(recorded)) => recorded.is(now),
                (None, Some(_)) | (Some(_), None) => false,
            },
            "TENANTS_TABLE",
            now.map_or("none", |it| &it.name),
            recorded.map_or("none", |it| &it.name),
        );
        let (config, recorded) = (&layout.config, &self.config);
        compare(recorded.is(config), "TENANT_CONFIG_TABLE", &config.name, &recorded.name);
        // The columns of another table need no further words.
        if recorded.is(config) {
            for (setting, now, recorded) in [
                ("TENANT_CONFIG_TENANT_COLUMN", &layout.tenant, &self.tenant),
                ("TENANT_CONFIG_CUSTOMER_COLUMN", &layout.customer, &self.customer),
            ] {
                compare(recorded.is(now, config), setting, &now.name, &recorded.name);
            }
        }
        differences
    }
}

impl RecordedTable {
    fn is(&self, table: &Table) -> bool {
        self.oid_now.unwrap_or(self.oid) == i64::from(table.oid)
    }
}

impl RecordedColumn {
    fn is(&self, column: &Column, table: &Table) -> bool {
        match table.column(&self.name) {
            Some(same_name) => same_name == column,
            None => self.number == i64::from(column.number),
        }
    }
}

/// Checks that the layout is the one on record, and returns when that was written.
pub(super) async fn check(client: &Client, layout: &Layout) -> Result<Timestamp, StoreError> {
    let refused = |why: String| Err(StoreError::SchemaMismatch(why));
    let Some(recorded) = Recorded::read(client).await? else {
        return refused("no layout of the host's tables is on record; run the migrations".into());
    };
    let differences = recorded.differences(layout);
    if !differences.is_empty() {
        return refused(another_setting(&differences));
    }
    if recorded.key_type != layout.key_type.name() {
        return refused(format!(
            "the tenants' keys are {} now, and were {} when this database was migrated; run the \
             migrations, which see whether the tenants on record still have such keys, or change \
             the type back",
            layout.key_type.name(),
            recorded.key_type
        ));
    }
    Ok(recorded.at)
}

/// Records the layout at a migration, unless it means other tenants than those on record.
pub(super) async fn record(client: &Client, layout: &Layout) -> Result<(), StoreError> {
    if let Some(recorded) = Recorded::read(client).await? {
        let differences = recorded.differences(layout);
        if !differences.is_empty() {
            // Whoever begins something meanwhile waits, and then sees another record.
            let lock = "LOCK TABLE tenant_billing.customer_provisioning IN SHARE MODE";
            client.batch_execute(lock).await.map_err(failed)?;
        }
        if !differences.is_empty() && is_in_use(client).await? {
            return Err(StoreError::SchemaMismatch(another_setting(&differences)));
        }
        if recorded.key_type != layout.key_type.name() {
            check_ids(client, &recorded, layout.key_type).await?;
        }
    }
    // A role that may not write the record may migrate where nothing is to be done.
    let same = format!(
        "SELECT 1 FROM tenant_billing.host_layout WHERE ({COLUMNS}) IS NOT DISTINCT FROM ({VALUES})"
    );
    if !statement(same, layout).rows(client).await?.is_empty() {
        return Ok(());
    }
    let write = format!(
        "INSERT INTO tenant_billing.host_layout ({COLUMNS}, recorded_at)
         VALUES ({VALUES}, tenant_billing.clock())
         ON CONFLICT (only_row) DO UPDATE
         SET ({COLUMNS}, recorded_at) = ({VALUES}, tenant_billing.clock())"
    );
    statement(write, layout).rows(client).await.map(drop)
}

const COLUMNS: &str = "tenants_table, tenants_oid, config_table, config_oid, tenant_column, \
                       tenant_number, customer_column, customer_number, key_type";
const VALUES: &str = "$1, $2, $3, $4, $5, $6, $7, $8, $9";

/// A statement about these values.
fn statement(sql: String, layout: &Layout) -> Statement {
    let tenants = layout.tenants.as_ref();
    Statement::new(sql)
        .with(tenants.map(|it| it.name.clone()))
        .with(tenants.map(|it| i64::from(it.oid)))
        .with(layout.config.name.clone())
        .with(i64::from(layout.config.oid))
        .with(layout.tenant.name.clone())
        .with(i64::from(layout.tenant.number))
        .with(layout.customer.name.clone())
        .with(i64::from(layout.customer.number))
        .with(layout.key_type.name())
}

/// What the table that a setting has named is called now, if the host has renamed it.
pub(super) async fn renamed(client: &Client, setting: &str) -> Result<Option<String>, StoreError> {
    let column = if setting == "TENANTS_TABLE" { "tenants_oid" } else { "config_oid" };
    let sql = format!(
        "SELECT format('%I.%I', n.nspname, c.relname)
         FROM tenant_billing.host_layout AS it
         JOIN pg_catalog.pg_class AS c ON c.oid = it.{column}::oid
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    );
    let rows = Statement::new(sql).rows(client).await?;
    rows.first().map(|row| row.try_get(0)).transpose().map_err(failed)
}

fn another_setting(differences: &[String]) -> String {
    format!(
        "this database was migrated with other tables than this process is set to use: {}; the \
         same id may be another tenant there, so use the recorded settings. If you have moved the \
         same tenants, run `{FORGET}` and then the migrations",
        differences.join("; ")
    )
}

/// Whether anything was ever begun for a tenant.
async fn is_in_use(client: &Client) -> Result<bool, StoreError> {
    let sql = "SELECT 1 WHERE EXISTS (SELECT 1 FROM tenant_billing.customer_provisioning)
                          OR EXISTS (SELECT 1 FROM tenant_billing.billing_event)";
    Ok(!Statement::new(sql).rows(client).await?.is_empty())
}

/// Checks that the tenants on record have ids of this type, so that each is still found by its id.
async fn check_ids(
    client: &Client,
    recorded: &Recorded,
    key_type: KeyType,
) -> Result<(), StoreError> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE state IN ('pending', 'in_doubt')),
                      min(tenant_id)
               FROM tenant_billing.customer_provisioning WHERE tenant_id !~ $1";
    let rows = Statement::new(sql).with(key_type.spelled()).rows(client).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let cell = |at| row.try_get::<_, i64>(at).map_err(failed);
    let (others, open) = (cell(0)?, cell(1)?);
    let example: Option<String> = row.try_get(2).map_err(failed)?;
    let Some(example) = example else { return Ok(()) };
    Err(StoreError::SchemaMismatch(format!(
        "the tenants' keys are {} now, but {others} of the tenants on record, such as {example}, \
         have no such id, since the keys were {} before; work on {open} of them is not finished. \
         Change the type back, finish that work (`tenant-billing recover --wait`), and follow \
         \"Changing the tenants' keys\" in docs/adopting.md",
        key_type.name(),
        recorded.key_type
    )))
}
