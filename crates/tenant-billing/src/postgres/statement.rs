//! A statement with its parameters, typed, so that it goes to the server in one go and by no name.
//!
//! So nothing that we send stays behind on a connection: a pooler in transaction mode may hand the next
//! statement to another one, a server may be another since the failover, and a host may change a
//! column's type. The one exception has to be asked for (`prepared_statements=true`): the lookup of
//! bound tenants, which is done so often that a plan of its own for each is a good part of its cost.
//! It is not the default, since behind a pooler the driver's names (`s0`, `s1`, …) may be those of
//! another program's statements, and nobody would notice.

use jiff::Timestamp;
use tenant_billing_core::ports::StoreError;
use tokio_postgres::{
    Client, Error, Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{connection::Lease, errors::failed, key::Key};

/// What a parameter may be.
pub(super) trait Value: ToSql + Sync + Send + 'static {
    /// Its type in the database.
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

    /// Adds a parameter to a text that numbers them itself.
    pub(super) fn with(mut self, value: impl Value) -> Self {
        self.bind(value);
        self
    }

    /// Adds to the text.
    pub(super) fn add(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Takes a parameter and returns what stands for it in the text.
    pub(super) fn bind<V: Value>(&mut self, value: V) -> String {
        self.values.push((Box::new(value), V::TYPE));
        format!("${}", self.values.len())
    }

    /// The same for a tenant's key.
    pub(super) fn bind_key(&mut self, key: &Key) -> String {
        match key {
            Key::Uuid(key) => self.bind(*key),
            Key::Text(key) => self.bind(key.clone()),
            Key::Integer(key) => self.bind(*key),
        }
    }

    /// Sends it, and reads all rows.
    pub(super) async fn query(&self, client: &Client) -> Result<Vec<Row>, Error> {
        let values = self.values.iter();
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            values.map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect();
        client.query_typed(&self.text, &values).await
    }

    /// The same by a name that the connection remembers.
    pub(super) async fn rows_prepared(&self, lease: &Lease) -> Result<Vec<Row>, StoreError> {
        let types: Vec<Type> = self.values.iter().map(|(_, kind)| kind.clone()).collect();
        let values: Vec<&(dyn ToSql + Sync)> =
            self.values.iter().map(|(value, _)| &**value as &(dyn ToSql + Sync)).collect();
        let prepared = lease.prepared(&self.text, &types).await.map_err(failed)?;
        lease.query(&prepared, &values).await.map_err(failed)
    }

    /// Sends it, and reads all rows, its failure told in the store's words.
    pub(super) async fn rows(&self, client: &Client) -> Result<Vec<Row>, StoreError> {
        self.query(client).await.map_err(failed)
    }
}
