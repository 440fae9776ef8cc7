//! What we require of the host's tables, so that every tenant's Customer can be found and bound.
//!
//! A requirement that is not met is a misfit: one sentence that says what is wrong and what to
//! change. All of them are collected before any is reported, so that an operator need not migrate
//! once for each.

mod checks;
mod keepers;

use tenant_billing_core::ports::StoreError;
use tokio_postgres::Client;

use super::{
    host::HostTables,
    key::KeyType,
    layout::Layout,
    names::{Identifier, Names},
    table::{Column, Role, Table},
};

/// The shortest text column that we accept for Customer ids. They have about 18 characters now, and
/// Stripe allows itself 255.
const MIN_ID_LENGTH: i32 = 32;

/// Checks everything, before a migration, and returns the layout. It writes nothing.
pub(super) async fn check(client: &Client, names: &Names) -> Result<Layout, StoreError> {
    let host = HostTables::find(client, names).await?;
    let mut misfits = Vec::new();
    let key_type = keys(names, &host, &mut misfits);
    if let Some(config) = host.config.as_ref().filter(|it| it.behind_view.is_none()) {
        columns(config, host.are_one(), &mut misfits);
        checks::evaluate(client, &host, config, key_type.is_some(), &mut misfits).await?;
    }
    // Where a table is missing, there may be another one that the setting should name.
    let missing = missing_table(names, &host);
    let elsewhere = keepers::misfit(client, names, &host, missing.as_deref()).await?;
    if let Some(elsewhere) = elsewhere {
        misfits.retain(|misfit| Some(misfit) != missing.as_ref());
        misfits.push(elsewhere);
    }
    match key_type.filter(|_| misfits.is_empty()).and_then(|it| Layout::of(host, it)) {
        Some(layout) => Ok(layout),
        None => Err(mismatch(&misfits)),
    }
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
pub(super) fn keys(names: &Names, host: &HostTables, misfits: &mut Vec<String>) -> Option<KeyType> {
    misfits.extend(missing_table(names, host));
    let tables = [host.tenants.as_ref().filter(|_| !host.are_one()), host.config.as_ref()];
    for Table { name, .. } in tables.into_iter().flatten().filter(|table| table.hides_rows) {
        misfits.push(format!(
            "row-level security hides rows of {name} from this role; give it BYPASSRLS"
        ));
    }
    let tenants = host.tenants.as_ref().filter(|_| !host.are_one());
    let tenants = tenants.map(|table| (table, tenants_key(table, misfits)));
    let config = host.config.as_ref()?;
    if let Some(behind) = &config.behind_view {
        let instead = if behind.is_empty() { "an ordinary table" } else { behind };
        misfits.push(format!(
            "{} is not a table of this database but a view or foreign table, through which no \
             unique index is seen; set TENANT_CONFIG_TABLE={instead}, and its columns",
            config.name
        ));
        return None;
    }
    if names.tenant_column == names.customer_column {
        let (name, table) = (&names.tenant_column.text, &config.name);
        misfits.push(format!(
            "{name} of {table} cannot hold both a tenant's id and a Customer's; correct \
             TENANT_CONFIG_TENANT_COLUMN or TENANT_CONFIG_CUSTOMER_COLUMN"
        ));
        return None;
    }
    if config.role(Role::Customer).is_none() {
        misfits.push(no_column(
            config,
            &names.customer_column,
            "as varchar(255) UNIQUE",
            "TENANT_CONFIG_CUSTOMER_COLUMN",
        ));
    }
    let Some(tenant_id) = config.role(Role::Tenant) else {
        let kind = "with the type of the tenants' ids";
        let setting = "TENANT_CONFIG_TENANT_COLUMN";
        misfits.push(no_column(config, &names.tenant_column, kind, setting));
        return None;
    };
    let key_type = key_type(config, tenant_id, misfits)?;
    if let Some((tenants, _)) = tenants.as_ref().filter(|(it, _)| it.reads.contains(&config.oid)) {
        misfits.push(format!(
            "{view} is a view of {table}, which holds the Customers' ids, so a row that is inserted \
             there may be a tenant that nobody registered; if the rows of {table} are the tenants, \
             set TENANTS_TABLE={table}, or else name a view that does not read {table}",
            view = tenants.name,
            table = config.name
        ));
    }
    if names.tenants.is_none() && tenant_id.has_default {
        misfits.push(format!(
            "{}.{} has a default, so its rows seem to be the tenants; name {} as the tenants table",
            config.name, tenant_id.name, config.name
        ));
    }
    if let Some((other, oid)) = tenant_id.references.as_ref().map(|(oid, name)| (name, *oid))
        && host.tenants.as_ref().is_none_or(|tenants| tenants.oid != oid)
        && !host.are_one()
    {
        misfits.push(format!(
            "{}.{} references {other}; name {other} as the tenants table",
            config.name, tenant_id.name
        ));
    }
    let Some((table, id)) = tenants else { return Some(key_type) };
    let (id, id_type) = id?;
    if id_type != key_type {
        misfits.push(format!(
            "{}.{} is {}, but {}.{} is {}; give both the same type",
            table.name, id.name, id.shown_type, config.name, tenant_id.name, tenant_id.shown_type
        ));
        return None;
    }
    Some(key_type)
}

/// What to do about a table that does not exist, if there is one.
fn missing_table(names: &Names, host: &HostTables) -> Option<String> {
    let wanted = &names.config;
    match (&names.tenants, &host.tenants, &host.config) {
        (None, _, Some(_)) | (Some(_), Some(_), Some(_)) => None,
        (None, _, None) => {
            Some(format!("no tenants table is used, and there is no {wanted} either; create it"))
        }
        (Some(name), None, Some(config)) => Some(format!(
            "there is {}, but no table {name}; name the table that holds your tenants as the \
             tenants table, or name `none`",
            config.name
        )),
        (Some(_), Some(tenants), None) if !names.config_is_named => Some(format!(
            "there is {table}, but no {wanted}; add it to your own schema, so that your schema \
             tool knows it: CREATE TABLE tenant_config (id uuid PRIMARY KEY DEFAULT \
             gen_random_uuid(), tenant_id {kind} NOT NULL UNIQUE REFERENCES {table} (id) ON DELETE \
             CASCADE, stripe_customer_id varchar(255) UNIQUE, created_at timestamptz NOT NULL \
             DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now())",
            table = tenants.name,
            kind = tenants.role(Role::Tenant).map_or("uuid", |id| &id.shown_type),
        )),
        (Some(_), Some(tenants), None) => Some(format!(
            "there is {}, but no table {wanted}; correct TENANT_CONFIG_TABLE",
            tenants.name
        )),
        (Some(name), None, None) => Some(format!(
            "there is neither {name} nor {wanted} in {place}; create both, or start with an empty \
             database and the name tenants, and migrating creates them",
            place = names.place()
        )),
    }
}

fn no_column(table: &Table, name: &Identifier, kind: &str, setting: &str) -> String {
    let (table, name) = (&table.name, &name.text);
    format!("{table} has no column {name}; add it, {kind}, or name another one in {setting}")
}

/// The key of a tenants table that holds no Customers' ids, and its type.
fn tenants_key<'a>(table: &'a Table, misfits: &mut Vec<String>) -> Option<(&'a Column, KeyType)> {
    let Some(id) = table.role(Role::Tenant) else {
        misfits.push(format!(
            "{} has no column id, by which tenants are looked up; name a table or a view that has \
             it as the tenants table",
            table.name
        ));
        return None;
    };
    Some((id, key_type(table, id, misfits)?))
}

/// The type of the tenants' keys in this column.
fn key_type(table: &Table, column: &Column, misfits: &mut Vec<String>) -> Option<KeyType> {
    let (table, name, shown) = (&table.name, &column.name, &column.shown_type);
    if column.nondeterministic {
        misfits.push(format!(
            "the collation of {table}.{name} considers several spellings equal; give it a \
             deterministic one"
        ));
    }
    let key_type = column.key_type();
    if key_type.is_none() {
        misfits.push(match (column.base_type.as_str(), shown.as_str()) {
            ("numeric", _) => format!(
                "{table}.{name} is numeric and may have decimals, so that one tenant's id has \
                 several spellings; make it bigint, or numeric(20, 0)"
            ),
            (_, "citext" | "public.citext") => format!(
                "{table}.{name} is citext, in which ids that differ in case are one tenant; make \
                 it text"
            ),
            _ => format!(
                "{table}.{name} is {shown}; tenants' ids can be uuid, text, varchar, char or a \
                 type of whole numbers, so give it one of these types"
            ),
        });
    }
    key_type
}

/// Checks the columns that we write, and those that we leave to their defaults. `are_one` says that
/// the rows are the tenants, so that we insert none.
fn columns(config: &Table, are_one: bool, misfits: &mut Vec<String>) {
    let table = &config.name;
    if let Some(customer) = config.role(Role::Customer) {
        customer_column(table, customer, misfits);
    }
    if let Some(tenant) = config.role(Role::Tenant) {
        let name = &tenant.name;
        if !tenant.unique {
            misfits.push(format!(
                "{table}.{name} is not UNIQUE; create a unique index on it, which is not deferrable"
            ));
        }
        if tenant.generated && !are_one {
            misfits.push(generated(table, name, "the tenant's id"));
        }
    }
    if are_one {
        return;
    }
    for column in config.columns.iter().filter(|column| column.not_null && !column.has_default) {
        let name = &column.name;
        let we_fill_it = match column.role {
            Role::Tenant | Role::Customer => true,
            Role::Id | Role::CreatedAt | Role::UpdatedAt | Role::None => column.written().is_some(),
        };
        if !we_fill_it && column.role == Role::Id && column.is_text() {
            misfits.push(format!(
                "{table}.{name} has no default, and is too short for the UUID of 36 characters \
                 that we would write; make it varchar(36), or give it a default"
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
    let name = &customer.name;
    let mut add = |why: &str| misfits.push(format!("{table}.{name} {why}"));
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
        misfits.push(generated(table, name, "a Customer's id"));
    }
}

fn generated(table: &str, column: &str, what: &str) -> String {
    format!(
        "{table}.{column} is generated by the database, so {what} cannot be written to it; make it \
         an ordinary column"
    )
}
