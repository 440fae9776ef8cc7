//! The rights that a role needs to do everything but migrate.

use std::fmt::Write as _;

use super::layout::Layout;

/// Our tables, and what the role does with each. Rows of the audit trail and of the deletions are
/// only ever added.
const OUR_TABLES: [(&str, &str); 9] = [
    ("customer_provisioning", "SELECT, INSERT, UPDATE"),
    ("billing_event", "SELECT, INSERT"),
    ("deleted_customer", "SELECT, INSERT"),
    ("surplus_customer", "SELECT, INSERT, UPDATE"),
    ("stripe_account", "SELECT, INSERT"),
    ("stripe_key", "SELECT, INSERT"),
    ("ignored_installation", "SELECT"),
    ("installation", "SELECT"),
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
    let existing = |names: &[&str]| {
        let columns = names.iter().filter(|name| config.column(name).is_some());
        columns.copied().collect::<Vec<_>>().join(", ")
    };
    let inserted = existing(&["id", "tenant_id", "stripe_customer_id", "created_at", "updated_at"]);
    let updated = existing(&["stripe_customer_id", "updated_at"]);
    let read = "SELECT (tenant_id, stripe_customer_id)";
    grant(&format!("{read}, INSERT ({inserted}), UPDATE ({updated})"), &config.name);
    // A column's default may take its value from a sequence.
    for column in &config.columns {
        if let Some(sequence) = &column.sequence {
            grant("USAGE", &format!("SEQUENCE {sequence}"));
        }
    }
    grant("EXECUTE", "FUNCTION tenant_billing.clock()");
    if let Some(tenants) = &layout.tenants {
        grant("SELECT (id)", &tenants.name);
        let _ = writeln!(sql, "-- Only to register tenants (`tenant-billing tenant add`):");
        let _ = writeln!(sql, "-- GRANT INSERT (id) ON {} TO {role};", tenants.name);
    }
    for schema in schemas(layout) {
        let _ = writeln!(sql, "GRANT USAGE ON SCHEMA {schema} TO {role};");
    }
    sql
}

/// A name as a quoted SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name that stays within an SQL comment. A comment ends with its line, so the rest of a name
/// with a line break would be run as a statement.
fn in_comment(name: &str) -> String {
    name.replace(char::is_control, " ")
}

/// The schemas of the host's tables, quoted where necessary.
fn schemas(layout: &Layout) -> Vec<&str> {
    let tables = [Some(&layout.config), layout.tenants.as_ref()].into_iter().flatten();
    let mut schemas: Vec<_> = tables.map(|table| table.schema.as_str()).collect();
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
