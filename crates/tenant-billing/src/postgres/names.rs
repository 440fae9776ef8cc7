//! The setting: how the host's tables and columns are called that hold the tenants and the
//! Customers' ids.
//!
//! A name is written as in SQL: in double quotes it is meant to the letter. Without them, it is
//! first taken in lower case, as PostgreSQL reads it (where the encoding is UTF8, only A to Z have
//! a lower case), and then to the letter.

use tenant_billing_core::ids::Invalid;

/// The tenants table, unless the host names another one, and the one that is created in an empty
/// database.
const TENANTS: &str = "tenants";
/// The table of the Customers' ids, likewise.
const CONFIG: &str = "tenant_config";

/// The longest identifier that PostgreSQL keeps, in bytes.
const MAX_LENGTH: usize = 63;

/// Which tables and columns are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// The table that says whether a tenant exists. If there is none, every tenant exists.
    pub(super) tenants: Option<TableName>,
    /// The table that holds the Customers' ids. It may be the tenants table.
    pub(super) config: TableName,
    /// Whether somebody has named that table, rather than left it at its default.
    pub(super) config_is_named: bool,
    /// Its column that holds the tenants' ids.
    pub(super) tenant_column: Identifier,
    /// Its column that holds the Customers' ids.
    pub(super) customer_column: Identifier,
    /// The only schema in which a table is looked for that is named without one.
    pub(super) schema: Option<Identifier>,
}

/// A table's name, with or without its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableName {
    schema: Option<Identifier>,
    name: Identifier,
}

/// A part of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identifier {
    pub(super) text: String,
    is_exact: bool,
}

impl Default for Names {
    fn default() -> Self {
        let table = |name| TableName { schema: None, name: Identifier::plain(name) };
        Self {
            tenants: Some(table(TENANTS)),
            config: table(CONFIG),
            config_is_named: false,
            tenant_column: Identifier::plain("tenant_id"),
            customer_column: Identifier::plain("stripe_customer_id"),
            schema: None,
        }
    }
}

impl Names {
    /// Whether these are the tables that are created in an empty database.
    pub(super) fn are_ours_to_make(&self) -> bool {
        Self { schema: None, config_is_named: false, ..self.clone() } == Self::default()
    }

    /// Where a table is looked for that is named without a schema, in words.
    pub(super) fn place(&self) -> String {
        match &self.schema {
            Some(schema) => format!("the schema {}", schema.text),
            None => "this role's search_path".into(),
        }
    }

    /// The tenants table that a setting names, or none for `none`.
    pub(super) fn parse_tenants(text: &str) -> Result<Option<TableName>, Invalid> {
        if text == "none" {
            return Ok(None);
        }
        let reason = "is neither `none` nor a table's name, with or without its schema";
        TableName::parse(text).map(Some).ok_or_else(|| Invalid::new("tenants_table", reason))
    }

    /// The table of the Customers' ids that a setting names.
    pub(super) fn parse_config(text: &str) -> Result<TableName, Invalid> {
        let reason = "is not a table's name, with or without its schema";
        TableName::parse(text).ok_or_else(|| Invalid::new("tenant_config_table", reason))
    }

    /// The column that the setting `field` names.
    pub(super) fn parse_column(field: &str, text: &str) -> Result<Identifier, Invalid> {
        match parts(text).as_deref() {
            Some([column]) => Ok(column.clone()),
            Some(_) | None => Err(Invalid::new(field, "is not a column's name")),
        }
    }
}

impl TableName {
    fn parse(text: &str) -> Option<Self> {
        match parts(text)?.as_slice() {
            [name] => Some(Self { schema: None, name: name.clone() }),
            [schema, name] => Some(Self { schema: Some(schema.clone()), name: name.clone() }),
            _ => None,
        }
    }

    /// The name without its schema.
    pub(super) fn name(&self) -> &str {
        &self.name.text
    }

    /// The names by which the server may know the table, in quotes, the best one first. A name
    /// without a schema is looked for in `schema` and nowhere else, where another application's
    /// table may have the same name, or in the `search_path` if there is none.
    pub(super) fn candidates(&self, schema: Option<&Identifier>) -> Vec<String> {
        let names = self.name.spellings().into_iter().map(|name| quoted(&name));
        let Some(schema) = self.schema.as_ref().or(schema) else { return names.collect() };
        let schemas = schema.spellings().into_iter().map(|schema| quoted(&schema));
        let names: Vec<_> = names.collect();
        schemas.flat_map(|schema| names.iter().map(move |it| format!("{schema}.{it}"))).collect()
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{}.{}", schema.text, self.name.text),
            None => f.write_str(&self.name.text),
        }
    }
}

impl Identifier {
    fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), is_exact: false }
    }

    /// A name that is meant to the letter, if PostgreSQL can have it.
    pub(super) fn exact(text: &str) -> Option<Self> {
        let fits = (1..=MAX_LENGTH).contains(&text.len()) && !text.contains(char::is_control);
        fits.then(|| Self { text: text.to_owned(), is_exact: true })
    }

    /// What the catalogs may call it, the best one first.
    pub(super) fn spellings(&self) -> Vec<String> {
        let folded = self.text.to_ascii_lowercase();
        if self.is_exact || folded == self.text {
            vec![self.text.clone()]
        } else {
            vec![folded, self.text.clone()]
        }
    }
}

/// A name as a quoted SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The parts of a name, between which there are dots.
fn parts(text: &str) -> Option<Vec<Identifier>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(inner) => in_quotes(inner)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                if !name.chars().all(is_name) {
                    return None;
                }
                let part = Identifier::exact(name)?;
                (Identifier { is_exact: false, ..part }, after)
            }
        };
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

/// A part in quotes, whose first quote has been read, and what follows its last one.
fn in_quotes(text: &str) -> Option<(Identifier, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((Identifier::exact(&name)?, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, candidates: &[&str]) {
        assert_eq!(TableName::parse(text).unwrap().candidates(None), candidates, "{text}");
    }

    #[test]
    fn names_of_tables() {
        check("tenants", &["\"tenants\""]);
        check("Organizations", &["\"organizations\"", "\"Organizations\""]);
        check("app.größe", &["\"app\".\"größe\""]);
        check("Größe", &["\"größe\"", "\"Größe\""]);
        check("ÄRZTE", &["\"Ärzte\"", "\"ÄRZTE\""]);
        check("Ärzte", &["\"Ärzte\""]);
        check("\"user\"", &["\"user\""]);
        check("app.\"TenantConfig\"", &["\"app\".\"TenantConfig\""]);
        check("\"My App\".\"a.b\"\"c\"", &["\"My App\".\"a.b\"\"c\""]);
        assert_eq!(Names::parse_tenants("none"), Ok(None));
        let long = "a".repeat(64);
        for name in ["", ".", "a.", "a.b.c", "a b", "a\"; DROP TABLE x; --", "a-b", &long]
            .into_iter()
            .chain(["\"", "\"\"", "\"a", "\"a\"b", "a\"b\"", "\"a\n\"", "\"a\".", ".\"a\""])
        {
            assert_eq!(Names::parse_tenants(name).unwrap_err().field, "tenants_table", "{name}");
            assert_eq!(Names::parse_config(name).unwrap_err().field, "tenant_config_table");
            assert_eq!(Names::parse_column("a_column", name).unwrap_err().field, "a_column");
        }
        assert_eq!(Names::parse_column("a_column", "a.b").unwrap_err().field, "a_column");
    }

    #[test]
    fn the_schema_of_names_without_one() {
        let schema = Identifier::exact("App");
        let candidates = |text| TableName::parse(text).unwrap().candidates(schema.as_ref());
        assert_eq!(candidates("tenants"), ["\"App\".\"tenants\""]);
        assert_eq!(candidates("Users"), ["\"App\".\"users\"", "\"App\".\"Users\""]);
        assert_eq!(candidates("public.tenants"), ["\"public\".\"tenants\""]);
    }

    /// Whatever a name holds, each part stays within its quotes.
    #[test]
    fn any_name() {
        use parser_inputs::{assert_silent, check, letters, texts};
        use proptest::{prelude::Strategy, prop_oneof};

        const WORDS: &[&str] =
            &["none", "tenants", "app", ".", "\"", "\"\"", "$", "_", " ", ";", "ß", "--", "'"];
        let part = || {
            prop_oneof![
                9 => letters("abcXYZ019_$", 1..=20),
                3 => letters("abXY .;-", 1..=20).prop_map(|it| format!("\"{it}\"")),
                1 => letters("ab", 62..=65)
            ]
        };
        let good = prop_oneof![
            part(),
            (part(), part()).prop_map(|(schema, name)| format!("{schema}.{name}")),
        ];
        check("name of a table", texts(good, WORDS), |text| match TableName::parse(&text) {
            Some(name) => {
                for candidate in name.candidates(None) {
                    let parsed = parts(&candidate).unwrap();
                    let quoted: Vec<_> = parsed.iter().map(|it| quoted(&it.text)).collect();
                    assert_eq!(quoted.join("."), candidate, "{text:?}");
                    assert!(parsed.len() <= 2 && parsed.iter().all(|it| it.is_exact), "{text:?}");
                }
                true
            }
            None => {
                let invalid = Names::parse_config(&text).unwrap_err();
                assert_silent(&invalid.to_string(), &text);
                false
            }
        });
    }
}
