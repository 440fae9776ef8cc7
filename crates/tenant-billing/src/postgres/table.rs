//! A table of the host's, as PostgreSQL's catalogs describe it.

use tenant_billing_core::ports::StoreError;
use tokio_postgres::{Client, Row};

use super::{errors::failed, key::KeyType, statement::Statement};

/// How many characters a UUID has as a text.
const UUID_LENGTH: i32 = 36;

/// What we use a column for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It holds the tenants' ids.
    Tenant,
    /// It holds the Customers' ids.
    Customer,
    /// It tells the rows of the table of the Customers' ids apart, and a new row gets a new value.
    Id,
    /// When the row was made.
    CreatedAt,
    /// When the row was last written.
    UpdatedAt,
    /// Nothing.
    None,
}

/// A column of one of the host's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// The name as an SQL identifier, as the server quotes it.
    pub(super) quoted: String,
    /// The column's number in its table, which stays if it is renamed.
    pub(super) number: i16,
    pub(super) role: Role,
    /// The type's name in `pg_catalog`, such as `varchar`, or nothing if it is not one of
    /// PostgreSQL's own. For a domain, it is the type that the domain is based on. (SQL's name of a
    /// type is only for messages, since settings change how the server writes it.)
    pub(super) base_type: String,
    /// The same type as a message names it, such as `character varying`.
    pub(super) shown_type: String,
    pub(super) not_null: bool,
    pub(super) has_default: bool,
    /// Whether the value is always the database's own, so that nobody can write another one.
    pub(super) generated: bool,
    /// Whether a unique index covers this column alone, in all rows.
    pub(super) unique: bool,
    /// Whether a unique index covers this column alone, at least in the rows where it is not null.
    pub(super) unique_where_not_null: bool,
    /// Whether it is a `numeric` that has no decimals.
    pub(super) is_whole: bool,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) oid: u32,
    /// The schema's name, quoted where necessary.
    pub(super) schema: String,
    /// The table's name with its schema, quoted where necessary.
    pub(super) name: String,
    /// Whether row-level security hides rows from this role. We would take such a row for one that
    /// does not exist.
    pub(super) hides_rows: bool,
    /// The tables behind a view, or nothing if this is a table.
    pub(super) behind_view: Option<String>,
    /// The oids of all tables and views that a view reads, also through other views.
    pub(super) reads: Vec<u32>,
    pub(super) columns: Vec<Column>,
}

impl Table {
    /// The first of these tables that exists. The names are quoted where necessary.
    pub(super) async fn find(
        client: &Client,
        candidates: &[String],
    ) -> Result<Option<Self>, StoreError> {
        let sql = "
            SELECT c.oid AS oid, format('%I', n.nspname) AS schema,
                   format('%I.%I', n.nspname, c.relname) AS table_name,
                   row_security_active(c.oid) AS hides_rows,
                   CASE WHEN c.relkind IN ('r', 'p') THEN NULL ELSE
                       (SELECT coalesce(string_agg(DISTINCT d.refobjid::regclass::text, ', '), '')
                        FROM pg_catalog.pg_rewrite AS w JOIN pg_catalog.pg_depend AS d
                            ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
                        WHERE w.ev_class = c.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
                          AND d.refobjid <> c.oid) END AS behind_view,
                   ARRAY (WITH RECURSIVE r (oid) AS (
                              SELECT c.oid UNION SELECT d.refobjid FROM r
                              JOIN pg_catalog.pg_rewrite AS w
                                  ON w.ev_class = r.oid AND w.ev_type = '1'
                              JOIN pg_catalog.pg_depend AS d
                                  ON d.classid = 'pg_catalog.pg_rewrite'::regclass
                                     AND d.objid = w.oid
                              WHERE d.refclassid = 'pg_catalog.pg_class'::regclass)
                          SELECT oid FROM r WHERE oid <> c.oid) AS reads,
                   a.attname::text AS name, format('%I', a.attname) AS quoted, a.attnum AS number,
                   CASE WHEN b.typnamespace = 'pg_catalog'::regnamespace
                        THEN b.typname::text ELSE '' END AS base_type,
                   replace(format_type(b.oid, NULL), '\"', '') AS shown_type,
                   a.attnotnull OR t.typnotnull AS not_null,
                   a.atthasdef OR t.typdefault IS NOT NULL OR a.attidentity <> '' AS has_default,
                   a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
                   u.covers_all_rows, u.covers_where_not_null,
                   CASE WHEN greatest(a.atttypmod, t.typtypmod) > 4
                        THEN greatest(a.atttypmod, t.typtypmod) - 4 END AS max_length,
                   b.oid = 'pg_catalog.numeric'::regtype AND greatest(a.atttypmod, t.typtypmod) > 4
                       AND (greatest(a.atttypmod, t.typtypmod) - 4) & 65535 = 0 AS is_whole,
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
            JOIN pg_catalog.pg_type AS b
                ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
            CROSS JOIN LATERAL (
                SELECT coalesce(bool_or(i.indpred IS NULL AND i.indimmediate), false)
                           AS covers_all_rows,
                       count(*) > 0 AS covers_where_not_null
                FROM pg_catalog.pg_index AS i
                WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
                  AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
                  AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid)
                       = format('(%I IS NOT NULL)', a.attname))
            ) AS u
            LEFT JOIN LATERAL (
                SELECT confrelid FROM pg_catalog.pg_constraint
                WHERE conrelid = c.oid AND contype = 'f' AND conkey = ARRAY[a.attnum] LIMIT 1
            ) AS f ON true
            WHERE c.oid = (SELECT to_regclass(it.name)
                           FROM unnest($1) WITH ORDINALITY AS it (name, place)
                           WHERE to_regclass(it.name) IS NOT NULL ORDER BY it.place LIMIT 1)
              AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
            ORDER BY a.attnum";
        let rows = Statement::new(sql).with(candidates.to_vec()).rows(client).await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let columns = rows.iter().map(Column::read).collect::<Result<_, _>>().map_err(failed)?;
        Ok(Some(Self {
            oid: first.try_get("oid").map_err(failed)?,
            schema: first.try_get("schema").map_err(failed)?,
            name: first.try_get("table_name").map_err(failed)?,
            hides_rows: first.try_get("hides_rows").map_err(failed)?,
            behind_view: first.try_get("behind_view").map_err(failed)?,
            reads: first.try_get("reads").map_err(failed)?,
            columns,
        }))
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column that has this role.
    pub(super) fn role(&self, role: Role) -> Option<&Column> {
        self.columns.iter().find(|column| column.role == role)
    }

    /// Gives this role to the column of this name, if there is one.
    pub(super) fn give(&mut self, name: &str, role: Role) {
        if let Some(column) = self.columns.iter_mut().find(|column| column.name == name) {
            column.role = role;
        }
    }
}

impl Column {
    pub(super) fn is_text(&self) -> bool {
        self.key_type() == Some(KeyType::Text)
    }

    /// The type of the keys that this column can hold, if we support it.
    pub(super) fn key_type(&self) -> Option<KeyType> {
        match self.base_type.as_str() {
            "uuid" => Some(KeyType::Uuid),
            "text" | "varchar" => Some(KeyType::Text),
            "bpchar" => Some(KeyType::Char),
            "int2" | "int4" | "int8" => Some(KeyType::Integer),
            "numeric" if self.is_whole => Some(KeyType::Integer),
            _ => None,
        }
    }

    /// An SQL expression for what we write to this column of a new row, if it is an id or a time
    /// that we write: we leave an id to its default, if it has one, and write it if the column can
    /// hold a UUID.
    pub(super) fn written(&self) -> Option<&'static str> {
        match self.role {
            Role::Id if self.has_default => None,
            Role::Id => match self.key_type()? {
                KeyType::Uuid => Some("gen_random_uuid()"),
                KeyType::Text | KeyType::Char
                    if self.max_length.is_some_and(|length| length < UUID_LENGTH) =>
                {
                    None
                }
                KeyType::Text | KeyType::Char => Some("gen_random_uuid()::text"),
                KeyType::Integer => None,
            },
            Role::CreatedAt | Role::UpdatedAt if self.generated => None,
            Role::CreatedAt | Role::UpdatedAt => match self.base_type.as_str() {
                "timestamptz" => Some("tenant_billing.clock()"),
                // We write a time without a zone in UTC.
                "timestamp" => Some("tenant_billing.clock() AT TIME ZONE 'UTC'"),
                _ => None,
            },
            Role::Tenant | Role::Customer | Role::None => None,
        }
    }

    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            quoted: row.try_get("quoted")?,
            number: row.try_get("number")?,
            role: Role::None,
            base_type: row.try_get("base_type")?,
            shown_type: row.try_get("shown_type")?,
            not_null: row.try_get("not_null")?,
            has_default: row.try_get("has_default")?,
            generated: row.try_get("generated")?,
            unique: row.try_get("covers_all_rows")?,
            unique_where_not_null: row.try_get("covers_where_not_null")?,
            is_whole: row.try_get("is_whole")?,
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
