//! A statement with its parameters, typed, so that it goes to the server in one go and by no name.
//!
//! So nothing that we send stays behind on a connection: a pooler in transaction mode may hand the next
//! statement to another one, a server may be another since the failover, and a host may change a
//! column's type. The one exception is the lookup of bound tenants, which is done so often that a plan
//! of its own for each would be the better part of its cost: it is prepared under a name, until a
//! server says that it does not know the name, or knows it from somebody else.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use tenant_billing_core::ports::StoreError;
use tokio_postgres::{
    Client, Error, Row,
    error::SqlState,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{connection::Lease, errors::failed, layout::Key};

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

    /// The same by a name that the connection remembers, where that may be relied upon.
    pub(super) async fn rows_prepared(
        &self,
        lease: &Lease,
        names: &Names,
    ) -> Result<Vec<Row>, StoreError> {
        if !names.are_kept() {
            return self.rows(lease).await;
        }
        let types: Vec<Type> = self.values.iter().map(|(_, kind)| kind.clone()).collect();
        let values: Vec<&(dyn ToSql + Sync)> =
            self.values.iter().map(|(value, _)| &**value as &(dyn ToSql + Sync)).collect();
        let answer = match lease.prepared(&self.text, &types).await {
            Ok(prepared) => lease.query(&prepared, &values).await,
            Err(error) => Err(error),
        };
        match answer {
            Err(error) if names.are_lost(&error) => self.rows(lease).await,
            answer => answer.map_err(failed),
        }
    }

    /// Sends it, and reads all rows, its failure told in the store's words.
    pub(super) async fn rows(&self, client: &Client) -> Result<Vec<Row>, StoreError> {
        self.query(client).await.map_err(failed)
    }
}

/// Whether a statement that was given a name is there when it is asked for by that name. It is not
/// where a pooler in transaction mode is in between.
#[derive(Clone)]
pub(super) struct Names(Arc<AtomicBool>);

impl Names {
    pub(super) fn kept(kept: bool) -> Self {
        Self(Arc::new(AtomicBool::new(kept)))
    }

    fn are_kept(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether that is what an error says; then names are not used any more. (A plan that no longer
    /// fits its table is another matter, and mended by the next connection.)
    fn are_lost(&self, error: &Error) -> bool {
        let lost = [
            SqlState::INVALID_SQL_STATEMENT_NAME,
            SqlState::DUPLICATE_PSTATEMENT,
            SqlState::FEATURE_NOT_SUPPORTED,
        ];
        let lost = error.code().is_some_and(|code| lost.contains(code));
        if lost && error.code() != Some(&SqlState::FEATURE_NOT_SUPPORTED) {
            tracing::info!("a pooler is in front of PostgreSQL; statements go without names");
            self.0.store(false, Ordering::Relaxed);
        }
        lost
    }
}
