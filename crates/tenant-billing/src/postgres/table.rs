//! A table of the host's, as PostgreSQL's catalogs describe it.

use tenant_billing_core::ports::StoreError;
use tokio_postgres::{Client, Row};

use super::{errors::failed, key::KeyType, statement::Statement};

/// A column of one of the host's tables.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type without its length. For a domain, it is the type that the domain is based on.
    pub(super) base_type: String,
    pub(super) not_null: bool,
    pub(super) has_default: bool,
    /// Whether a unique index covers this column alone, in all rows.
    pub(super) unique: bool,
    /// Whether a unique index covers this column alone, at least in the rows where it is not null.
    pub(super) unique_where_not_null: bool,
    /// How many characters a text may have, if that is limited.
    pub(super) max_length: Option<i32>,
    /// Whether the column's collation is nondeterministic: it takes texts of different spellings to
    /// be equal.
    pub(super) nondeterministic: bool,
    /// The sequence that the column's values come from.
    pub(super) sequence: Option<String>,
    /// The names of the unique indexes and foreign keys on this column alone. We violate one of
    /// them if the host writes the same row at the same moment.
    pub(super) constraints: Vec<String>,
    /// The oid and the name of the table that a foreign key on this column alone references.
    pub(super) references: Option<(u32, String)>,
}

/// One of the host's tables.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) oid: u32,
    /// The schema's name, quoted where necessary.
    pub(super) schema: String,
    /// The table's name with its schema, quoted where necessary.
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
}

impl Table {
    /// The table of this name, if there is one: first with the name in lower case, as PostgreSQL
    /// reads an unquoted name, and then with the name as it is.
    pub(super) async fn find(client: &Client, name: &str) -> Result<Option<Self>, StoreError> {
        let quoted = |name: &str| {
            name.split('.').map(|part| format!("\"{part}\"")).collect::<Vec<_>>().join(".")
        };
        let (folded, exact) = (quoted(&name.to_lowercase()), quoted(name));
        let sql = "
            SELECT c.oid AS oid, format('%I', n.nspname) AS schema,
                   format('%I.%I', n.nspname, c.relname) AS table_name,
                   row_security_active(c.oid) AS hides_rows,
                   a.attname::text AS name,
                   format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL)
                       AS base_type,
                   a.attnotnull OR t.typnotnull AS not_null,
                   a.atthasdef OR t.typdefault IS NOT NULL OR a.attidentity <> '' AS has_default,
                   coalesce(bool_or(u.covers_all_rows), false) AS is_unique,
                   u.column_number IS NOT NULL AS unique_where_not_null,
                   CASE WHEN greatest(a.atttypmod, t.typtypmod) > 4
                        THEN greatest(a.atttypmod, t.typtypmod) - 4 END AS max_length,
                   EXISTS (SELECT 1 FROM pg_catalog.pg_collation AS l
                           WHERE l.oid = a.attcollation AND NOT l.collisdeterministic)
                       AS nondeterministic,
                   pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname)
                       AS sequence,
                   ARRAY (SELECT x.relname::text FROM pg_catalog.pg_index AS i
                          JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
                          WHERE i.indrelid = c.oid AND i.indisunique
                            AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
                          UNION ALL SELECT conname::text FROM pg_catalog.pg_constraint
                          WHERE conrelid = c.oid AND contype = 'f' AND conkey = ARRAY[a.attnum])
                       AS constraints,
                   f.confrelid AS references_oid, f.confrelid::regclass::text AS references_name
            FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
            JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
            LEFT JOIN LATERAL (
                SELECT i.indkey[0] AS column_number,
                       i.indpred IS NULL AND i.indimmediate AS covers_all_rows
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
                     t.typbasetype, a.attnotnull, a.atthasdef, a.attidentity, a.atttypmod,
                     a.attcollation, u.column_number, f.confrelid, t.typnotnull, t.typdefault,
                     t.typtypmod
            ORDER BY a.attnum";
        let rows = Statement::new(sql).with(folded).with(exact).rows(client).await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let name: String = first.try_get("table_name").map_err(failed)?;
        if first.try_get("hides_rows").map_err(failed)? {
            // We would take a row that a policy hides for one that does not exist.
            return Err(StoreError::SchemaMismatch(format!(
                "row-level security hides rows of {name} from this role; give it BYPASSRLS"
            )));
        }
        let columns = rows.iter().map(Column::read).collect::<Result<_, _>>().map_err(failed)?;
        let oid = first.try_get("oid").map_err(failed)?;
        let schema = first.try_get("schema").map_err(failed)?;
        Ok(Some(Self { oid, schema, name, columns }))
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column of this name.
    ///
    /// # Errors
    /// [`StoreError::SchemaMismatch`] if the table has no such column.
    pub(super) fn required_column(&self, name: &str) -> Result<&Column, StoreError> {
        let missing = || StoreError::SchemaMismatch(format!("{} has no column {name}", self.name));
        self.column(name).ok_or_else(missing)
    }

    /// An SQL expression for the id of a new row of `tenant_config`, if the column `id` has no
    /// default of its own and we can generate a value of its type.
    pub(super) fn new_id(&self) -> Option<&'static str> {
        let id = self.column("id").filter(|id| !id.has_default)?;
        match KeyType::of(&id.base_type)? {
            KeyType::Uuid => Some("gen_random_uuid()"),
            KeyType::Text => Some("gen_random_uuid()::text"),
            KeyType::Integer => None,
        }
    }

    /// An SQL expression for the current time in this column's type, if the column exists and holds
    /// times.
    pub(super) fn now_for(&self, column: &str) -> Option<&'static str> {
        match self.column(column)?.base_type.as_str() {
            "timestamp with time zone" => Some("tenant_billing.clock()"),
            // We write a time without a zone in UTC.
            "timestamp without time zone" => Some("tenant_billing.clock() AT TIME ZONE 'UTC'"),
            _ => None,
        }
    }

    /// The type of the tenants' keys in this column.
    pub(super) fn key_type(&self, name: &str) -> Result<KeyType, StoreError> {
        let column = self.required_column(name)?;
        if column.nondeterministic {
            let table = &self.name;
            return Err(StoreError::SchemaMismatch(format!(
                "the collation of {table}.{name} considers several spellings equal; give it a \
                 deterministic one"
            )));
        }
        KeyType::of(&column.base_type).ok_or_else(|| {
            let (table, found) = (&self.name, &column.base_type);
            StoreError::SchemaMismatch(format!(
                "{table}.{name} is {found}, not uuid, text or a number"
            ))
        })
    }
}

impl Column {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            base_type: row.try_get("base_type")?,
            not_null: row.try_get("not_null")?,
            has_default: row.try_get("has_default")?,
            unique: row.try_get("is_unique")?,
            unique_where_not_null: row.try_get("unique_where_not_null")?,
            max_length: row.try_get("max_length")?,
            nondeterministic: row.try_get("nondeterministic")?,
            sequence: row.try_get("sequence")?,
            constraints: row.try_get("constraints")?,
            references: row
                .try_get::<_, Option<u32>>("references_oid")?
                .zip(row.try_get("references_name")?),
        })
    }
}
