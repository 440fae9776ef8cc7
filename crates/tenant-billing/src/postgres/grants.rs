//! The rights that a role needs to do everything but migrate.

use std::fmt::Write as _;

use super::{
    layout::Layout,
    names::quoted,
    table::{Column, Role},
};

/// Our tables, and what the role does with each. Rows of the audit trail and of the deletions are
/// only ever added.
const OUR_TABLES: [(&str, &str); 10] = [
    ("customer_provisioning", "SELECT, INSERT, UPDATE"),
    ("billing_event", "SELECT, INSERT"),
    ("deleted_customer", "SELECT, INSERT"),
    ("surplus_customer", "SELECT, INSERT, UPDATE"),
    ("stripe_account", "SELECT, INSERT"),
    ("stripe_key", "SELECT, INSERT"),
    ("ignored_installation", "SELECT"),
    ("installation", "SELECT"),
    ("host_layout", "SELECT"),
    ("migration", "SELECT"),
];

/// The GRANT statements for a role of this name.
pub(super) fn statements(layout: &Layout, role: &str) -> String {
    let named = in_comment(role);
    let role = quoted(role);
    let mut sql = format!(
        "-- The rights that `{named}` needs to do everything but migrate.\n\
         GRANT USAGE ON SCHEMA tenant_billing TO {role};\n"
    );
    let mut grant = |what: &str, table: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(sql, "GRANT {what} ON {table} TO {role};");
    };
    for (table, what) in OUR_TABLES {
        grant(what, &format!("tenant_billing.{table}"));
    }
    let config = &layout.config;
    let (tenant, customer) = (&layout.tenant.quoted, &layout.customer.quoted);
    let columns = |used: fn(&Column) -> bool| {
        let columns = config.columns.iter().filter(|column| used(column));
        columns.map(|column| column.quoted.as_str()).collect::<Vec<_>>().join(", ")
    };
    let inserted = columns(|column| column.role != Role::None);
    let updated = columns(|column| matches!(column.role, Role::Customer | Role::UpdatedAt));
    let insert = if layout.are_one { String::new() } else { format!(" INSERT ({inserted}),") };
    let read = format!("SELECT ({tenant}, {customer})");
    grant(&format!("{read},{insert} UPDATE ({updated})"), &config.name);
    // A column's default may take its value from a sequence.
    for column in config.columns.iter().filter(|_| !layout.are_one) {
        if let Some(sequence) = &column.sequence {
            grant("USAGE", &format!("SEQUENCE {sequence}"));
        }
    }
    grant("EXECUTE", "FUNCTION tenant_billing.clock()");
    if let Some((tenants, key)) = layout.tenants() {
        if !layout.are_one {
            grant(&format!("SELECT ({key})"), tenants);
        }
        let _ = writeln!(sql, "-- Only to register tenants (`tenant-billing tenant add`):");
        let _ = writeln!(sql, "-- GRANT INSERT ({key}) ON {tenants} TO {role};");
    }
    for schema in schemas(layout) {
        let _ = writeln!(sql, "GRANT USAGE ON SCHEMA {schema} TO {role};");
    }
    sql
}

/// A name that stays within an SQL comment. A comment ends with its line, so the rest of a name
/// with a line break would be run as a statement.
fn in_comment(name: &str) -> String {
    name.replace(char::is_control, " ")
}

/// The schemas of the host's tables, quoted where necessary.
fn schemas(layout: &Layout) -> Vec<&str> {
    let mut schemas: Vec<_> = layout.tables().map(|table| table.schema.as_str()).collect();
    schemas.dedup();
    schemas
}

#[cfg(test)]
mod tests {
    use parser_inputs::{LETTERS, check, letters, texts};

    use super::{in_comment, quoted};

    /// The rest of the name was once printed as a statement.
    #[test]
    fn a_line_break_in_a_role_stays_in_the_comment() {
        assert_eq!(in_comment("app\nDROP TABLE x; --"), "app DROP TABLE x; --");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }

    /// Whatever a role's name holds, it stays within its quotes and within its comment.
    #[test]
    fn names_of_roles() {
        const WORDS: &[&str] = &["app", "\"", "\"\"", ";", "\n", "\r", "--", " ", "'", "DROP"];
        check("name of a role", texts(letters(LETTERS, 1..=20), WORDS), |role| {
            let quoted = quoted(&role);
            let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
            assert!(!inner.replace("\"\"", "").contains('"'), "{quoted}");
            assert_eq!(inner.replace("\"\"", "\""), role);
            assert!(!in_comment(&role).contains(['\n', '\r']));
            in_comment(&role) == role
        });
    }
}
