//! A statement with its parameters and their types. It is sent in one round trip and without a
//! name.
//!
//! So nothing that we send stays behind on a connection. That matters because a pooler in
//! transaction mode may send the next statement over another connection, the server may be another
//! one after a failover, and a host may change a column's type.
//!
//! There is one exception, which the host has to ask for (`prepared_statements=true`): the lookup
//! of bound tenants may be prepared by name, since it runs so often that planning it each time is a
//! good part of its cost. This is not the default, because behind a pooler the driver's names
//! (`s0`, `s1`, …) may belong to another program's statements, and nobody would notice.

use deadpool_postgres::ClientWrapper;
use jiff::Timestamp;
use tenant_billing_core::ports::StoreError;
use tokio_postgres::{
    Client, Error, Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{errors::failed, key::Key};

/// A type that a parameter may have.
pub(super) trait Value: ToSql + Sync + Send + 'static {
    /// The parameter's type in the database.
    const TYPE: Type;
}

macro_rules! values {
    ($($value:ty => $kind:ident,)*) => {
        $(impl Value for $value {
            const TYPE: Type = Type::$kind;
        })*
    };
}

values! {
    &'static str => TEXT,
    String => TEXT,
    Option<String> => TEXT,
    Vec<&'static str> => TEXT_ARRAY,
    Vec<String> => TEXT_ARRAY,
    Vec<Option<String>> => TEXT_ARRAY,
    i64 => INT8,
    Vec<i64> => INT8_ARRAY,
    f64 => FLOAT8,
    bool => BOOL,
    Option<bool> => BOOL,
    Timestamp => TIMESTAMPTZ,
    Option<Timestamp> => TIMESTAMPTZ,
    Uuid => UUID,
    Vec<Uuid> => UUID_ARRAY,
}

/// A statement that is being written.
#[derive(Default)]
pub(super) struct Statement {
    text: String,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Statement {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    /// Adds the next parameter. The text refers to it by its number.
    pub(super) fn with(mut self, value: impl Value) -> Self {
        self.bind(value);
        self
    }

    /// Adds to the text.
    pub(super) fn add(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds the next parameter and returns its placeholder, such as `$1`, for the text.
    pub(super) fn bind<V: Value>(&mut self, value: V) -> String {
        self.values.push((Box::new(value), V::TYPE));
        format!("${}", self.values.len())
    }

    /// Adds a tenant's key as the next parameter and returns its placeholder.
    pub(super) fn bind_key(&mut self, key: &Key) -> String {
        match key {
            Key::Uuid(key) => self.bind(*key),
            Key::Text(key) => self.bind(key.clone()),
            Key::Integer(key) => self.bind(*key),
        }
    }

    /// Sends the statement and reads all rows. The error is the driver's.
    pub(super) async fn query(&self, client: &Client) -> Result<Vec<Row>, Error> {
        let values = self.values.iter();
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            values.map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect();
        client.query_typed(&self.text, &values).await
    }

    /// Sends the statement and reads all rows. The connection prepares the statement by name, and
    /// remembers it.
    pub(super) async fn rows_prepared(
        &self,
        client: &ClientWrapper,
    ) -> Result<Vec<Row>, StoreError> {
        let types: Vec<Type> = self.values.iter().map(|(_, kind)| kind.clone()).collect();
        let values: Vec<&(dyn ToSql + Sync)> =
            self.values.iter().map(|(value, _)| &**value as &(dyn ToSql + Sync)).collect();
        let prepared = client.prepare_typed_cached(&self.text, &types).await.map_err(failed)?;
        client.query(&prepared, &values).await.map_err(failed)
    }

    /// Sends the statement and reads all rows.
    pub(super) async fn rows(&self, client: &Client) -> Result<Vec<Row>, StoreError> {
        self.query(client).await.map_err(failed)
    }

    /// Sends a statement that always returns one row, and reads it.
    pub(super) async fn row(&self, client: &Client) -> Result<Row, StoreError> {
        let row = self.rows(client).await?.into_iter().next();
        row.ok_or_else(|| StoreError::Corrupt("a SELECT returned no row".into()))
    }
}
