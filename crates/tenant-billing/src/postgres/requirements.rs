//! What we require of the host's tables, so that every tenant's Customer can be found and bound.
//!
//! A requirement that is not met is a misfit: one sentence that says what is wrong and what to
//! change. All of them are collected before any is reported, so that an operator need not migrate
//! once for each.

mod checks;

use tenant_billing_core::ports::StoreError;
use tokio_postgres::Client;

use super::{
    host::{HostTables, Tenants},
    key::KeyType,
    table::{Column, Table},
};

/// The shortest text column that we accept for Customer ids. They have about 18 characters now, and
/// Stripe allows itself 255.
const MIN_ID_LENGTH: i32 = 32;

/// Checks everything, before a migration. It writes nothing.
pub(super) async fn check(client: &Client, names: &Tenants) -> Result<(), StoreError> {
    let host = HostTables::find(client, names).await?;
    let mut misfits = Vec::new();
    let key_type = keys(names, &host, &mut misfits);
    if let Some(config) = &host.config {
        columns(config, &mut misfits);
        checks::evaluate(client, &host, config, key_type.is_some(), &mut misfits).await?;
    }
    if misfits.is_empty() { Ok(()) } else { Err(mismatch(&misfits)) }
}

/// The error that names these misfits.
pub(super) fn mismatch(misfits: &[String]) -> StoreError {
    StoreError::SchemaMismatch(match misfits {
        [only] => only.clone(),
        several => several.iter().map(|misfit| format!("\n- {misfit}")).collect(),
    })
}

/// Checks what every call relies upon: that the tables and columns exist, that we see all of their
/// rows, and that the tenants' keys in both are of one type that we support. It returns that type.
pub(super) fn keys(
    names: &Tenants,
    host: &HostTables,
    misfits: &mut Vec<String>,
) -> Option<KeyType> {
    misfits.extend(missing_table(names, host));
    let tables = [host.tenants.as_ref(), host.config.as_ref()];
    for Table { name, .. } in tables.into_iter().flatten().filter(|table| table.hides_rows) {
        misfits.push(format!(
            "row-level security hides rows of {name} from this role; give it BYPASSRLS"
        ));
    }
    let tenants = host.tenants.as_ref().map(|table| (table, key(table, "id", misfits)));
    let config = host.config.as_ref()?;
    if config.column("stripe_customer_id").is_none() {
        misfits.push(format!(
            "{} has no column stripe_customer_id; add it as varchar(255) UNIQUE",
            config.name
        ));
    }
    let (tenant_id, key_type) = key(config, "tenant_id", misfits)?;
    if let Some((other, oid)) = tenant_id.references.as_ref().map(|(oid, name)| (name, *oid))
        && host.tenants.as_ref().is_none_or(|tenants| tenants.oid != oid)
    {
        misfits.push(format!(
            "{}.tenant_id references {other}; name {other} as the tenants table",
            config.name
        ));
    }
    let Some((table, id)) = tenants else { return Some(key_type) };
    let (id, id_type) = id?;
    if id_type != key_type {
        misfits.push(format!(
            "{}.id is {}, but {}.tenant_id is {}; give both the same type",
            table.name, id.shown_type, config.name, tenant_id.shown_type
        ));
        return None;
    }
    Some(key_type)
}

/// What to do about a table that does not exist, if there is one.
fn missing_table(names: &Tenants, host: &HostTables) -> Option<String> {
    match (names, &host.tenants, &host.config) {
        (Tenants::None, _, Some(_)) | (Tenants::Table(_), Some(_), Some(_)) => None,
        (Tenants::None, _, None) => {
            Some("no tenants table is used, and there is no tenant_config either; create it".into())
        }
        (Tenants::Table(name), None, Some(config)) => Some(format!(
            "there is {}, but no table {name}; name the table that holds your tenants as the \
             tenants table, or name `none`",
            config.name
        )),
        (Tenants::Table(_), Some(tenants), None) => Some(format!(
            "there is {table}, but no tenant_config; add it to your own schema, so that your \
             schema tool knows it: CREATE TABLE tenant_config (id uuid PRIMARY KEY DEFAULT \
             gen_random_uuid(), tenant_id {kind} NOT NULL UNIQUE REFERENCES {table} (id) ON DELETE \
             CASCADE, stripe_customer_id varchar(255) UNIQUE, created_at timestamptz NOT NULL \
             DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now())",
            table = tenants.name,
            kind = tenants.column("id").map_or("uuid", |id| &id.shown_type),
        )),
        (Tenants::Table(name), None, None) => Some(format!(
            "there is neither {name} nor tenant_config in this user's search_path; create both, or \
             start with an empty database and the name tenants, and migrating creates them"
        )),
    }
}

/// The column that holds the tenants' keys, and their type.
fn key<'a>(
    table: &'a Table,
    name: &str,
    misfits: &mut Vec<String>,
) -> Option<(&'a Column, KeyType)> {
    let (column, table) = (table.column(name), &table.name);
    let Some(column) = column else {
        misfits.push(match name {
            "id" => format!(
                "{table} has no column id, by which tenants are looked up; name a table or a view \
                 that has it as the tenants table"
            ),
            _ => format!("{table} has no column {name}; add it, with the type of the tenants' ids"),
        });
        return None;
    };
    if column.nondeterministic {
        misfits.push(format!(
            "the collation of {table}.{name} considers several spellings equal; give it a \
             deterministic one"
        ));
    }
    let key_type = KeyType::of(&column.base_type);
    if key_type.is_none() {
        misfits.push(format!(
            "{table}.{name} is {}, not uuid, text or a number; give it one of these types",
            column.shown_type
        ));
    }
    Some((column, key_type?))
}

/// Checks the columns of `tenant_config` that we write, and those that we leave to their defaults.
fn columns(config: &Table, misfits: &mut Vec<String>) {
    let table = &config.name;
    if let Some(customer) = config.column("stripe_customer_id") {
        customer_column(table, customer, misfits);
    }
    if let Some(tenant) = config.column("tenant_id") {
        if !tenant.unique {
            misfits.push(format!(
                "{table}.tenant_id is not UNIQUE; create a unique index on it, which is not \
                 deferrable"
            ));
        }
        if tenant.generated {
            misfits.push(generated(table, "tenant_id", "the tenant's id"));
        }
    }
    for column in config.columns.iter().filter(|column| column.not_null && !column.has_default) {
        let name = column.name.as_str();
        let we_fill_it = match name {
            "tenant_id" | "stripe_customer_id" => true,
            "id" => config.new_id().is_some(),
            "created_at" | "updated_at" => config.now_for(name).is_some(),
            _ => false,
        };
        if !we_fill_it && name == "id" && column.is_text() {
            misfits.push(format!(
                "{table}.id has no default, and is too short for the UUID of 36 characters that we \
                 would write; make it varchar(36), or give it a default"
            ));
        } else if !we_fill_it {
            misfits.push(format!(
                "{table}.{name} is NOT NULL and has no default; give it one, or allow null"
            ));
        }
    }
}

/// Checks the column that holds the Customers' ids.
fn customer_column(table: &str, customer: &Column, misfits: &mut Vec<String>) {
    let mut add = |why: &str| misfits.push(format!("{table}.stripe_customer_id {why}"));
    if !customer.is_text() {
        add(&format!("is {}, not text; make it varchar(255)", customer.shown_type));
    } else if customer.max_length.is_some_and(|length| length < MIN_ID_LENGTH) {
        add("is too short for a Customer's id; make it varchar(255)");
    }
    if customer.not_null {
        add("is NOT NULL; allow null, for tenants without a Customer");
    }
    if !customer.unique_where_not_null {
        add("is not UNIQUE; create a unique index on it");
    }
    if customer.generated {
        misfits.push(generated(table, "stripe_customer_id", "a Customer's id"));
    }
}

fn generated(table: &str, column: &str, what: &str) -> String {
    format!(
        "{table}.{column} is generated by the database, so {what} cannot be written to it; make it \
         an ordinary column"
    )
}
