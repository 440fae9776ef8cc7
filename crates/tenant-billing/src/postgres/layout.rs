//! How the host's tables are named and typed, read from the catalogs once per process.
//!
//! They are not ours: a tenant's key may be a uuid, text or a number, times may have a time zone or
//! none, and their schema is whatever `search_path` finds. So nothing is assumed of them; what the
//! statements need to know is asked, and what does not fit is said by `migrate`, with its reason.

use tenant_billing_core::{ids::Invalid, ports::StoreError};
use tokio_postgres::{Client, Error, Row, error::SqlState};

use super::{errors::failed, key::KeyType, read, statement::Statement};

/// Where tenants live: a setting, `TENANTS_TABLE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tenants {
    /// No table of tenants is consulted: every tenant exists.
    None,
    /// This one, as its name was given: `organizations`, or `app.organizations`.
    Table(String),
}

impl Tenants {
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |reason: &str| Err(Invalid::new("TENANTS_TABLE", reason));
        if text == "none" {
            return Ok(Self::None);
        }
        let word = |part: &str| {
            !part.is_empty()
                && part.len() < 64
                && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
        };
        if text.split('.').count() > 2 || !text.split('.').all(word) {
            return wrong("is neither `none` nor a table's name, with its schema's or without");
        }
        Ok(Self::Table(text.to_owned()))
    }
}

/// A column of the host's.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// Without its length, and of a domain that beneath it.
    pub(super) base_type: String,
    pub(super) not_null: bool,
    pub(super) has_default: bool,
    /// A unique index on this column alone, over all rows.
    pub(super) unique: bool,
    /// The same, over the rows at least in which it is not null.
    pub(super) unique_where_not_null: bool,
    /// How long a text may be, if that is limited.
    pub(super) max_length: Option<i32>,
    /// Texts of several spellings are equal here.
    pub(super) folds: bool,
    /// The sequence that its values come from.
    pub(super) sequence: Option<String>,
    /// The names of its unique and foreign keys, which somebody who is faster makes us break.
    pub(super) keys: Vec<String>,
    /// The table that a foreign key on this column alone leads to, and its name.
    pub(super) references: Option<(u32, String)>,
}

/// A table of the host's.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) oid: u32,
    /// Its schema, quoted.
    schema: String,
    /// With its schema, quoted.
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
}

impl Table {
    /// The table of this name, if there is one: as PostgreSQL reads it, or to the letter.
    pub(super) async fn find(client: &Client, name: &str) -> Result<Option<Self>, StoreError> {
        let quoted = |name: &str| {
            name.split('.').map(|part| format!("\"{part}\"")).collect::<Vec<_>>().join(".")
        };
        let (folded, exact) = (quoted(&name.to_lowercase()), quoted(name));
        let sql = "
            SELECT c.oid, format('%I.%I', n.nspname, c.relname), a.attname::text,
                   format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL),
                   a.attnotnull OR t.typnotnull, a.atthasdef OR t.typdefault IS NOT NULL OR a.attidentity <> '',
                   coalesce(bool_or(u.whole), false), u.key IS NOT NULL,
                   CASE WHEN greatest(a.atttypmod, t.typtypmod) > 4
                        THEN greatest(a.atttypmod, t.typtypmod) - 4 END,
                   f.confrelid, f.confrelid::regclass::text, format('%I', n.nspname),
                   row_security_active(c.oid),
                   EXISTS (SELECT 1 FROM pg_catalog.pg_collation AS l
                           WHERE l.oid = a.attcollation AND NOT l.collisdeterministic),
                   pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname),
                   ARRAY (SELECT x.relname::text FROM pg_catalog.pg_index AS i
                          JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
                          WHERE i.indrelid = c.oid AND i.indisunique
                            AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
                          UNION ALL SELECT conname::text FROM pg_catalog.pg_constraint
                          WHERE conrelid = c.oid AND contype = 'f' AND conkey = ARRAY[a.attnum])
            FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
            JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
            LEFT JOIN LATERAL (
                SELECT i.indkey[0] AS key, i.indpred IS NULL AND i.indimmediate AS whole
                FROM pg_catalog.pg_index AS i
                WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
                  AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
                  AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid)
                       = format('(%I IS NOT NULL)', a.attname))
            ) AS u ON true
            LEFT JOIN LATERAL (
                SELECT confrelid FROM pg_catalog.pg_constraint
                WHERE conrelid = c.oid AND contype = 'f' AND conkey = ARRAY[a.attnum] LIMIT 1
            ) AS f ON true
            WHERE c.oid = coalesce(to_regclass($1), to_regclass($2))
              AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
            GROUP BY c.oid, n.nspname, c.relname, a.attnum, a.attname, t.oid, t.typtype,
                     t.typbasetype, a.attnotnull, a.atthasdef, a.attidentity, a.atttypmod, a.attcollation, u.key, f.confrelid,
                     t.typnotnull, t.typdefault, t.typtypmod
            ORDER BY a.attnum";
        let rows = Statement::new(sql).with(folded).with(exact).rows(client).await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        if first.try_get(12).map_err(failed)? {
            // A row that a policy hides would be taken for one that is not there.
            let name: String = first.try_get(1).map_err(failed)?;
            return Err(StoreError::Unfit(format!(
                "row-level security hides rows of {name} from this role; give it BYPASSRLS"
            )));
        }
        let columns = rows.iter().map(Column::read).collect::<Result<_, _>>().map_err(failed)?;
        let (oid, name) = (first.try_get(0).map_err(failed)?, first.try_get(1).map_err(failed)?);
        let schema = first.try_get(11).map_err(failed)?;
        Ok(Some(Self { oid, schema, name, columns }))
    }

    /// The schema that it is in, quoted where it must be.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// # Errors
    /// [`StoreError::Unfit`] if it has no such column.
    pub(super) fn needed(&self, name: &str) -> Result<&Column, StoreError> {
        let missing = || StoreError::Unfit(format!("{} has no column {name}", self.name));
        self.column(name).ok_or_else(missing)
    }

    /// What makes an id for a new row of `tenant_config`, where its default does not.
    pub(super) fn new_id(&self) -> Option<&'static str> {
        let id = self.column("id").filter(|id| !id.has_default)?;
        match KeyType::of(&id.base_type)? {
            KeyType::Uuid => Some("gen_random_uuid()"),
            KeyType::Text => Some("gen_random_uuid()::text"),
            KeyType::Integer => None,
        }
    }

    /// The time as this column holds it, if it is there and holds times.
    pub(super) fn clock_for(&self, column: &str) -> Option<&'static str> {
        match self.column(column)?.base_type.as_str() {
            "timestamp with time zone" => Some("tenant_billing.clock()"),
            // Without a zone of its own, a time is UTC.
            "timestamp without time zone" => Some("tenant_billing.clock() AT TIME ZONE 'UTC'"),
            _ => None,
        }
    }

    fn key_type(&self, name: &str) -> Result<KeyType, StoreError> {
        let column = self.needed(name)?;
        if column.folds {
            let table = &self.name;
            let why = "calls several spellings equal; it must be deterministic";
            return Err(StoreError::Unfit(format!("the collation of {table}.{name} {why}")));
        }
        KeyType::of(&column.base_type).ok_or_else(|| {
            let (table, found) = (&self.name, &column.base_type);
            StoreError::Unfit(format!("{table}.{name} is {found}, not uuid, text or a number"))
        })
    }
}

impl Column {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            name: row.try_get(2)?,
            base_type: row.try_get(3)?,
            not_null: row.try_get(4)?,
            has_default: row.try_get(5)?,
            unique: row.try_get(6)?,
            unique_where_not_null: row.try_get(7)?,
            max_length: row.try_get(8)?,
            folds: row.try_get(13)?,
            sequence: row.try_get(14)?,
            keys: row.try_get(15)?,
            references: row.try_get::<_, Option<u32>>(9)?.zip(row.try_get(10)?),
        })
    }
}

/// What statements need to know of the host's tables.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The table of tenants, if one is consulted.
    pub(super) tenants: Option<Table>,
    /// `tenant_config`.
    pub(super) config: Table,
    pub(super) key: KeyType,
    /// The statement that looks up many tenants.
    pub(super) lookup: String,
}

impl Layout {
    /// # Errors
    /// [`StoreError::Unfit`] where a table is not there, or keys are of no type that can be compared.
    pub(super) async fn read(client: &Client, tenants: &Tenants) -> Result<Self, StoreError> {
        let tenants = match tenants {
            Tenants::None => None,
            Tenants::Table(name) => {
                let missing = || StoreError::Unfit(format!("there is no table {name}"));
                Some(Table::find(client, name).await?.ok_or_else(missing)?)
            }
        };
        let config = Table::find(client, "tenant_config").await?;
        let config =
            config.ok_or_else(|| StoreError::Unfit("there is no table tenant_config".into()))?;
        let key = config.key_type("tenant_id")?;
        if let Some(tenants) = &tenants
            && tenants.key_type("id")? != key
        {
            return Err(StoreError::Unfit(format!(
                "{}.id is {}, but {}.tenant_id is {}",
                tenants.name,
                tenants.needed("id")?.base_type,
                config.name,
                config.needed("tenant_id")?.base_type,
            )));
        }
        let references = config.needed("tenant_id")?.references.as_ref();
        if let Some((oid, other)) = references
            && tenants.as_ref().is_none_or(|tenants| tenants.oid != *oid)
        {
            let table = &config.name;
            let why = format!("{table}.tenant_id references {other}; set TENANTS_TABLE to that");
            return Err(StoreError::Unfit(why));
        }
        let lookup = read::lookup(&config, key);
        Ok(Self { tenants, config, key, lookup })
    }

    /// Whether the host was faster: it bound the Customer elsewhere, or removed the tenant. (Any other
    /// key of the host's is one that we break for good.)
    pub(super) fn is_race(&self, error: &Error) -> bool {
        let Some(said) = error.as_db_error() else { return false };
        let broken = [SqlState::UNIQUE_VIOLATION, SqlState::FOREIGN_KEY_VIOLATION];
        broken.contains(said.code())
            && ["tenant_id", "stripe_customer_id"].iter().any(|column| {
                let keys = self.config.column(column).map_or(&[][..], |it| &it.keys);
                keys.iter().any(|key| Some(key.as_str()) == said.constraint())
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
            assert_eq!(Tenants::parse(name).unwrap_err().field, "TENANTS_TABLE", "{name}");
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
        check("TENANTS_TABLE", texts(good, WORDS), |text| match Tenants::parse(&text) {
            Ok(Tenants::None) => {
                assert_eq!(text, "none");
                true
            }
            Ok(Tenants::Table(name)) => {
                // It goes between double quotes, part by part.
                assert_eq!(name, text);
                assert!(name.chars().all(|c| c.is_alphanumeric() || "_$.".contains(c)), "{name:?}");
                assert!(name.split('.').all(|part| (1..64).contains(&part.len())), "{name:?}");
                true
            }
            Err(invalid) => {
                assert_eq!(invalid.field, "TENANTS_TABLE");
                assert_silent(&invalid.to_string(), &text);
                false
            }
        });
    }
}
