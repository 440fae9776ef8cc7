//! The statements that read and write the host's column `tenant_config.stripe_customer_id`.

use tenant_billing_core::ids::CustomerId;

use super::{key::Key, statement::Statement, table::Table};

/// Sets the column if it is null, and inserts a row if there is none. (ON CONFLICT DO UPDATE is not
/// used, since it would run the host's triggers for inserts on a row that exists.)
pub(super) fn bind(config: &Table, key: &Key, customer: &CustomerId) -> Statement {
    let mut sql = Statement::default();
    let (key, customer) = (sql.bind_key(key), sql.bind(customer.as_str().to_owned()));
    let mut columns = vec![("tenant_id", key), ("stripe_customer_id", customer)];
    columns.extend(config.new_id().map(|id| ("id", id.to_owned())));
    for name in ["created_at", "updated_at"] {
        columns.extend(config.now_for(name).map(|now| (name, now.to_owned())));
    }
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let set_updated_at = set_updated_at(config);
    sql.add(&format!(
        "WITH updated AS (
             UPDATE {config} SET stripe_customer_id = $2{set_updated_at}
             WHERE tenant_id = $1 AND stripe_customer_id IS NULL RETURNING 1),
         inserted AS (
             INSERT INTO {config} ({names}) SELECT {values}
             WHERE NOT EXISTS (SELECT 1 FROM {config} WHERE tenant_id = $1)
             ON CONFLICT (tenant_id) DO NOTHING RETURNING 1)
         SELECT 1 FROM updated UNION ALL SELECT 1 FROM inserted",
        config = config.name,
        names = names.join(", "),
        values = values.join(", "),
    ));
    sql
}

/// Returns a row if the column holds this Customer.
pub(super) fn holds(config: &Table, key: &Key, customer: &CustomerId) -> Statement {
    let mut sql = Statement::default();
    let (key, customer) = (sql.bind_key(key), sql.bind(customer.as_str().to_owned()));
    let config = &config.name;
    sql.add(&format!(
        "SELECT 1 FROM {config} WHERE tenant_id = {key} AND stripe_customer_id = {customer}"
    ));
    sql
}

/// Sets the column to null if it holds this Customer.
pub(super) fn clear(config: &Table, key: &Key, customer: &CustomerId) -> Statement {
    let mut sql = Statement::default();
    let (key, customer) = (sql.bind_key(key), sql.bind(customer.as_str().to_owned()));
    let (set_updated_at, config) = (set_updated_at(config), &config.name);
    sql.add(&format!(
        "UPDATE {config} SET stripe_customer_id = NULL{set_updated_at}
         WHERE tenant_id = {key} AND stripe_customer_id = {customer}"
    ));
    sql
}

/// The rest of a SET clause, which sets `updated_at` if the host's table has that column.
fn set_updated_at(config: &Table) -> String {
    config.now_for("updated_at").map_or_else(String::new, |now| format!(", updated_at = {now}"))
}
