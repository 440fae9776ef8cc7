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
//! recorded oid: the host has renamed it. It is the same for columns and their numbers, as long as
//! their table has the recorded oid.
//!
//! A restore from a dump gives every table another oid, which may be the recorded one of another
//! table. So the record says which oid its own table has, and once that is another one, only names
//! count.

use jiff::Timestamp;
use tenant_billing_core::ports::StoreError;
use tokio_postgres::{Client, Row};

use super::{
    errors::failed,
    host::HostTables,
    key::KeyType,
    layout::Layout,
    names::{Names, TableName},
    statement::Statement,
    table::{Column, Role, Table},
};

/// How to undo the record by hand.
const FORGET: &str = "DELETE FROM tenant_billing.host_layout";

/// An SQL expression that holds as long as the oids on record do.
const OIDS_HOLD: &str = "own_oid = 'tenant_billing.host_layout'::regclass::oid::bigint";

/// What is on record of a table.
struct RecordedTable {
    name: String,
    /// Its oid, unless the database was restored from a dump since.
    oid: Option<i64>,
    /// The table that has this name now, if there is one.
    oid_now: Option<i64>,
    /// What the table of that oid is called now, if there is one.
    name_now: Option<String>,
}

/// What is on record of a column.
struct RecordedColumn {
    name: String,
    /// The name as an SQL identifier.
    quoted: String,
    number: i64,
}

/// What is on record.
pub(super) struct Recorded {
    tenants: Option<RecordedTable>,
    config: RecordedTable,
    tenant: RecordedColumn,
    customer: RecordedColumn,
    key_type: String,
    at: Timestamp,
}

/// The tables that the settings lead to, those that exist.
type Found<'a> = (Option<&'a Table>, Option<&'a Table>);

impl Recorded {
    /// What is on record, if the settings lead to that.
    ///
    /// # Errors
    /// [`StoreError::SchemaMismatch`] if they lead to something else, or if nothing is on record. (A
    /// table or a column that the host has renamed or dropped is nothing else.)
    pub(super) async fn agreeing(
        client: &Client,
        names: &Names,
        host: &HostTables,
    ) -> Result<Self, StoreError> {
        let Some(recorded) = Self::read(client).await? else {
            let why = "no layout of the host's tables is on record; run the migrations";
            return Err(StoreError::SchemaMismatch(why.into()));
        };
        let differences =
            recorded.differences(names, (host.tenants.as_ref(), host.config.as_ref()));
        if differences.is_empty() { Ok(recorded) } else { Err(recorded.refusal(&differences)) }
    }

    /// What the table that this setting names is called now, if the host has renamed it.
    pub(super) fn renamed(&self, setting: &str) -> Option<&str> {
        let tenants = self.tenants.as_ref().filter(|_| setting == "TENANTS_TABLE");
        tenants.unwrap_or(&self.config).name_now.as_deref()
    }

    /// Checks that the tenants' keys are of the type on record, and returns when that was written.
    pub(super) fn check_keys(&self, key_type: KeyType) -> Result<Timestamp, StoreError> {
        if self.key_type == key_type.name() {
            return Ok(self.at);
        }
        Err(StoreError::SchemaMismatch(format!(
            "the tenants' keys are {} now, and were {} when this database was migrated; run the \
             migrations, which see whether the tenants on record still have such keys, or change \
             the type back",
            key_type.name(),
            self.key_type
        )))
    }

    async fn read(client: &Client) -> Result<Option<Self>, StoreError> {
        let table = |it| {
            format!(
                "{it}_table, CASE WHEN {OIDS_HOLD} THEN {it}_oid END,
                 to_regclass({it}_table)::oid::bigint,
                 (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class AS c
                  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                  WHERE {OIDS_HOLD} AND c.oid = {it}_oid::oid
                    AND c.relkind IN ('r', 'p', 'v'))"
            )
        };
        let column = |it| format!("{it}_column, format('%I', {it}_column), {it}_number");
        let sql = format!(
            "SELECT {}, {}, {}, {}, key_type, recorded_at FROM tenant_billing.host_layout",
            table("tenants"),
            table("config"),
            column("tenant"),
            column("customer"),
        );
        let rows = Statement::new(sql).rows(client).await?;
        rows.first().map(Self::of).transpose().map_err(failed)
    }

    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let table = |name, at| {
            Ok::<_, tokio_postgres::Error>(RecordedTable {
                name,
                oid: row.try_get(at)?,
                oid_now: row.try_get(at + 1)?,
                name_now: row.try_get(at + 2)?,
            })
        };
        let column = |at| {
            Ok::<_, tokio_postgres::Error>(RecordedColumn {
                name: row.try_get(at)?,
                quoted: row.try_get(at + 1)?,
                number: row.try_get(at + 2)?,
            })
        };
        let tenants: Option<String> = row.try_get(0)?;
        Ok(Self {
            tenants: tenants.map(|name| table(name, 1)).transpose()?,
            config: table(row.try_get(4)?, 5)?,
            tenant: column(8)?,
            customer: column(11)?,
            key_type: row.try_get(14)?,
            at: row.try_get(15)?,
        })
    }

    /// The settings that are not what was recorded, each in words.
    fn differences(&self, names: &Names, (tenants, config): Found<'_>) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |is_same: bool, setting: &str, now: &str, recorded: &str| {
            if !is_same {
                differences.push(format!("{setting} is {now}, and was {recorded}"));
            }
        };
        let shown = |name: &TableName, table: Option<&Table>| {
            table.map_or_else(|| name.to_string(), |it| it.name.clone())
        };
        let (now, recorded) = (names.tenants.as_ref(), self.tenants.as_ref());
        compare(
            match (now, recorded) {
                (None, None) => true,
                (Some(_), Some(recorded)) => recorded.may_be(tenants),
                (None, Some(_)) | (Some(_), None) => false,
            },
            "TENANTS_TABLE",
            &now.map_or_else(|| "none".into(), |it| shown(it, tenants)),
            recorded.map_or("none", RecordedTable::shown),
        );
        let recorded = &self.config;
        let now = shown(&names.config, config);
        let is_same = recorded.may_be(config);
        compare(is_same, "TENANT_CONFIG_TABLE", &now, recorded.shown());
        // The columns of another table need no further words.
        let Some(config) = config.filter(|_| is_same) else { return differences };
        for (setting, role, name, column) in [
            ("TENANT_CONFIG_TENANT_COLUMN", Role::Tenant, &names.tenant_column, &self.tenant),
            (
                "TENANT_CONFIG_CUSTOMER_COLUMN",
                Role::Customer,
                &names.customer_column,
                &self.customer,
            ),
        ] {
            let now = config.role(role);
            let is_same = column.may_be(now, config, recorded.oid);
            compare(is_same, setting, now.map_or(&name.text, |it| &it.name), &column.name);
        }
        differences
    }

    /// The refusal of settings that differ in this way from the recorded ones, all of which it
    /// names.
    fn refusal(&self, differences: &[String]) -> StoreError {
        StoreError::SchemaMismatch(format!(
            "this database was migrated with other tables than this process is set to use: {}; the \
             same id may be another tenant there, so use the recorded settings: {}. If you \
             have moved the same tenants, run `{FORGET}` and then the migrations",
            differences.join("; "),
            self.settings()
        ))
    }

    /// The settings that lead to what is on record.
    pub(super) fn settings(&self) -> String {
        format!(
            "TENANTS_TABLE={} TENANT_CONFIG_TABLE={} TENANT_CONFIG_TENANT_COLUMN={} \
             TENANT_CONFIG_CUSTOMER_COLUMN={}",
            self.tenants.as_ref().map_or("none", RecordedTable::shown),
            self.config.shown(),
            self.tenant.quoted,
            self.customer.quoted,
        )
    }
}

impl RecordedTable {
    /// Whether the table that a setting names is this one, or does not exist, as this one.
    fn may_be(&self, table: Option<&Table>) -> bool {
        match table {
            Some(table) => self.oid_now.or(self.oid) == Some(i64::from(table.oid)),
            None => self.oid_now.is_none(),
        }
    }

    /// What the table is called now, or was called at last.
    fn shown(&self) -> &str {
        self.name_now.as_ref().filter(|_| self.oid_now.is_none()).unwrap_or(&self.name)
    }
}

impl RecordedColumn {
    /// Whether the column that a setting names is this one, or does not exist, as this one. The
    /// table is the recorded one, and `oid` is what is on record of it.
    fn may_be(&self, column: Option<&Column>, table: &Table, oid: Option<i64>) -> bool {
        match (table.column(&self.name), column) {
            (Some(same_name), column) => Some(same_name) == column,
            (None, Some(column)) => {
                oid == Some(i64::from(table.oid)) && self.number == i64::from(column.number)
            }
            (None, None) => true,
        }
    }
}

/// Records the layout at a migration, unless it means other tenants than those on record.
pub(super) async fn record(
    client: &Client,
    names: &Names,
    layout: &Layout,
) -> Result<(), StoreError> {
    if let Some(recorded) = Recorded::read(client).await? {
        let found = (layout.tenants.as_ref(), Some(&layout.config));
        let differences = recorded.differences(names, found);
        if !differences.is_empty() {
            // Whoever begins something meanwhile waits, and then sees another record.
            let lock = "LOCK TABLE tenant_billing.customer_provisioning IN SHARE MODE";
            client.batch_execute(lock).await.map_err(failed)?;
        }
        if !differences.is_empty() && is_in_use(client).await? {
            return Err(recorded.refusal(&differences));
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
                       tenant_number, customer_column, customer_number, key_type, own_oid";
const VALUES: &str = "$1, $2, $3, $4, $5, $6, $7, $8, $9, \
                      'tenant_billing.host_layout'::regclass::oid::bigint";

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
