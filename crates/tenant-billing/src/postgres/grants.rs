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
    let named = in_comment(role);
    let role = quoted(role);
    let mut sql = format!(
        "-- What `{named}` needs, which does everything but migrate.\n\
         GRANT USAGE ON SCHEMA tenant_billing TO {role};\n"
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

/// An identifier of SQL, whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name for people: a comment ends with its line, and what follows would be a statement.
fn in_comment(name: &str) -> String {
    name.replace(char::is_control, " ")
}

/// Where the host's tables are. (Their names are quoted where they must be, so a dot in a name is
/// inside quotes.)
fn schemas(layout: &Layout) -> Vec<&str> {
    let tables = [Some(&layout.config), layout.tenants.as_ref()].into_iter().flatten();
    let mut schemas: Vec<_> = tables.map(Table::schema).collect();
    schemas.dedup();
    schemas
}

#[cfg(test)]
mod tests {
    use parser_inputs::{LETTERS, check, letters, texts};

    use super::{in_comment, quoted};

    /// What followed the line break was printed as a statement.
    #[test]
    fn a_line_break_in_a_role_stays_in_the_comment() {
        assert_eq!(in_comment("app\nDROP TABLE x; --"), "app DROP TABLE x; --");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }

    /// No name of a role ends its quotes or its comment.
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
