//! How the host's tables are named and typed. It is read from the catalogs and then remembered.
//!
//! These tables are not ours. A tenant's key may be a uuid, a text or a number, times may have a
//! time zone or not, and `search_path` decides which schema they are in. So we assume nothing about
//! them, and `migrate` reports what does not meet our requirements.

use tenant_billing_core::{ids::Invalid, ports::StoreError};
use tokio_postgres::{Client, Error, error::SqlState};

use super::{key::KeyType, primary::READ_ONLY, requirements, table::Table};

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
    fn lost<'a>(&self, tenants: &'a Tenants) -> Option<&'a str> {
        match tenants {
            Tenants::Table(name) if self.tenants.is_none() => Some(name),
            Tenants::Table(_) | Tenants::None => self.config.is_none().then_some(CONFIG),
        }
    }
}

/// What statements must know about the host's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// The tenants table, unless every tenant exists.
    pub(super) tenants: Option<Table>,
    /// `tenant_config`.
    pub(super) config: Table,
    /// The type of the tenants' keys.
    pub(super) key_type: KeyType,
    /// The statement that reads the Customers of many tenants. Its one parameter is an array of
    /// keys.
    pub(super) lookup: String,
}

impl Layout {
    /// Reads the layout from the catalogs.
    ///
    /// # Errors
    /// [`StoreError::SchemaMismatch`] if a table does not exist or hides rows, or if the tenants'
    /// keys have types that we do not support or that differ.
    pub(super) async fn read(client: &Client, tenants: &Tenants) -> Result<Self, StoreError> {
        let host = HostTables::find(client, tenants).await?;
        if let Some(name) = host.lost(tenants) {
            return Err(StoreError::SchemaMismatch(format!(
                "there is no table {name} in this role's search_path, and there was one when the \
                 database was migrated; rename it back, or correct the search_path"
            )));
        }
        let mut misfits = Vec::new();
        let key_type = requirements::keys(tenants, &host, &mut misfits);
        let (Some(config), Some(key_type), []) = (host.config, key_type, misfits.as_slice()) else {
            return Err(requirements::mismatch(&misfits));
        };
        let tenants = host.tenants;
        let (table, native) = (&config.name, key_type.sql());
        let lookup = format!(
            "SELECT {READ_ONLY}, tenant_id::{native}, stripe_customer_id::text FROM {table}
             WHERE tenant_id = ANY ($1::{native}[]) AND stripe_customer_id IS NOT NULL"
        );
        Ok(Self { tenants, config, key_type, lookup })
    }

    /// Whether a write failed because the host wrote at the same moment: it bound the Customer to
    /// another tenant, or deleted the tenant. (If we violate any other constraint of the host's, we
    /// would violate it again.)
    pub(super) fn is_race(&self, error: &Error) -> bool {
        let Some(said) = error.as_db_error() else { return false };
        let violations = [SqlState::UNIQUE_VIOLATION, SqlState::FOREIGN_KEY_VIOLATION];
        violations.contains(said.code())
            && ["tenant_id", "stripe_customer_id"].iter().any(|column| {
                let constraints = self.config.column(column).map(|column| &column.constraints);
                constraints.into_iter().flatten().any(|it| Some(it.as_str()) == said.constraint())
            })
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
