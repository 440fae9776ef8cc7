//! What a role must be allowed that does everything but migrate.

use std::fmt::Write as _;

use super::layout::{Layout, Table};

/// Ours, and what is done with them. The trail and the deletions are only ever added to.
const OURS: [(&str, &str); 7] = [
    ("customer_provisioning", "SELECT, INSERT, UPDATE"),
    ("billing_event", "SELECT, INSERT"),
    ("deleted_customer", "SELECT, INSERT"),
    ("surplus_customer", "SELECT, INSERT, UPDATE"),
    ("stripe_account", "SELECT, INSERT"),
    ("installation", "SELECT"),
    ("migration", "SELECT"),
];

/// The statements, for a role of this name.
pub(super) fn statements(layout: &Layout, role: &str) -> String {
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    let mut sql = format!(
        "-- What `{}` needs, which does everything but migrate.\n\
         GRANT USAGE ON SCHEMA tenant_billing TO {role};\n",
        role.trim_matches('"')
    );
    let mut grant = |what: &str, table: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(sql, "GRANT {what} ON {table} TO {role};");
    };
    for (table, what) in OURS {
        grant(what, &format!("tenant_billing.{table}"));
    }
    let config = &layout.config;
    let filled = |all: &[&str]| {
        let here = all.iter().filter(|name| config.column(name).is_some());
        here.copied().collect::<Vec<_>>().join(", ")
    };
    let inserted = filled(&["id", "tenant_id", "stripe_customer_id", "created_at", "updated_at"]);
    let updated = filled(&["stripe_customer_id", "updated_at"]);
    let read = "SELECT (tenant_id, stripe_customer_id)";
    grant(&format!("{read}, INSERT ({inserted}), UPDATE ({updated})"), &config.name);
    // What fills the columns that we leave to their defaults.
    for column in config.columns.iter() {
        if let Some(sequence) = &column.sequence {
            grant("USAGE", &format!("SEQUENCE {sequence}"));
        }
    }
    grant("EXECUTE", "FUNCTION tenant_billing.clock()");
    if let Some(tenants) = &layout.tenants {
        grant("SELECT (id)", &tenants.name);
        let _ = writeln!(sql, "-- Only for `tenant-billing tenant add`:");
        let _ = writeln!(sql, "-- GRANT INSERT (id) ON {} TO {role};", tenants.name);
    }
    for schema in schemas(layout) {
        let _ = writeln!(sql, "GRANT USAGE ON SCHEMA {schema} TO {role};");
    }
    sql
}

/// Where the host's tables are. (Their names are quoted where they must be, so a dot in a name is
/// inside quotes.)
fn schemas(layout: &Layout) -> Vec<&str> {
    let tables = [Some(&layout.config), layout.tenants.as_ref()].into_iter().flatten();
    let mut schemas: Vec<_> = tables.map(Table::schema).collect();
    schemas.dedup();
    schemas
}
