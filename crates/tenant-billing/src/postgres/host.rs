//! Which of the host's tables hold the tenants and the Customers' ids, and whether they exist.

use tenant_billing_core::{ids::Invalid, ports::StoreError};
use tokio_postgres::Client;

use super::table::Table;

/// Which table says whether a tenant exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tenants {
    /// None: every tenant exists.
    None,
    /// This one, with or without its schema: `organizations`, or `app.organizations`.
    Table(String),
}

impl Tenants {
    /// The table of this name, or no table for `none`.
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |reason: &str| Err(Invalid::new("tenants_table", reason));
        if text == "none" {
            return Ok(Self::None);
        }
        let is_name = |part: &str| {
            !part.is_empty()
                && part.len() < 64
                && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
        };
        if text.split('.').count() > 2 || !text.split('.').all(is_name) {
            return wrong("is neither `none` nor a table's name, with or without its schema");
        }
        Ok(Self::Table(text.to_owned()))
    }
}

/// The table that holds the Customers' ids.
const CONFIG: &str = "tenant_config";

/// The host's tables, those that exist.
pub(super) struct HostTables {
    pub(super) tenants: Option<Table>,
    pub(super) config: Option<Table>,
}

impl HostTables {
    /// Reads them from the catalogs.
    pub(super) async fn find(client: &Client, tenants: &Tenants) -> Result<Self, StoreError> {
        let tenants = match tenants {
            Tenants::None => None,
            Tenants::Table(name) => Table::find(client, name).await?,
        };
        Ok(Self { tenants, config: Table::find(client, CONFIG).await? })
    }

    /// The name of a table that a migrated database must have and this one does not.
    pub(super) fn lost<'a>(&self, tenants: &'a Tenants) -> Option<&'a str> {
        match tenants {
            Tenants::Table(name) if self.tenants.is_none() => Some(name),
            Tenants::Table(_) | Tenants::None => self.config.is_none().then_some(CONFIG),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables() {
        for name in ["tenants", "organizations", "app.Organizations", "größe", "a$1"] {
            assert_eq!(Tenants::parse(name), Ok(Tenants::Table(name.into())));
        }
        assert_eq!(Tenants::parse("none"), Ok(Tenants::None));
        for name in ["", ".", "a.", "a.b.c", "a b", "a\"; DROP TABLE x; --", "a-b", &"a".repeat(64)]
        {
            assert_eq!(Tenants::parse(name).unwrap_err().field, "tenants_table", "{name}");
        }
    }

    #[test]
    fn any_name_of_a_table() {
        use parser_inputs::{assert_silent, check, letters, texts};
        use proptest::{prelude::Strategy, prop_oneof};

        const WORDS: &[&str] =
            &["none", "tenants", "app", ".", "\"", "$", "_", " ", ";", "ß", "--", "'"];
        let part = || prop_oneof![9 => letters("abcXYZ019_$", 1..=20), 1 => letters("ab", 62..=65)];
        let good = prop_oneof![
            part(),
            (part(), part()).prop_map(|(schema, name)| format!("{schema}.{name}")),
        ];
        check("name of the tenants table", texts(good, WORDS), |text| {
            match Tenants::parse(&text) {
                Ok(Tenants::None) => {
                    assert_eq!(text, "none");
                    true
                }
                Ok(Tenants::Table(name)) => {
                    // Each part is put between double quotes.
                    assert_eq!(name, text);
                    assert!(
                        name.chars().all(|c| c.is_alphanumeric() || "_$.".contains(c)),
                        "{name:?}"
                    );
                    assert!(name.split('.').all(|part| (1..64).contains(&part.len())), "{name:?}");
                    true
                }
                Err(invalid) => {
                    assert_eq!(invalid.field, "tenants_table");
                    assert_silent(&invalid.to_string(), &text);
                    false
                }
            }
        });
    }
}
