//! The two programs that ours is compared with. Many code bases contain one of them.
//!
//! The comparison is fair: both use the same database settings as ours and the retries of Stripe's
//! own library, and the second follows all the usual advice. What they lack is a memory: when a
//! caller hangs up, their request is cancelled, as in most servers, and when a process dies,
//! nothing is left of what it was doing.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};
use tenant_billing::ports::Clock;

use super::{app::App, sdk::Sdk};
use crate::{causes, failure::Failure};

/// It reads the id, creates a Customer if there is none, and saves its id.
pub(super) struct Naive {
    pub(super) database: Database,
    pub(super) stripe: Sdk,
}

#[async_trait]
impl App for Naive {
    async fn customer_of(&self, tenant: &str, email: &str) -> Result<String, String> {
        if let Some(customer) = self.database.customer_of(tenant)? {
            return Ok(customer);
        }
        let customer = self.stripe.create_customer(tenant, email, None).await?;
        self.database.save(UPDATE, tenant, &customer).await?;
        Ok(customer)
    }
}

/// It does the same with the tenant's id as the idempotency key and a unique column. The first id
/// that is saved wins, and every call returns that one, even if Stripe answered it with an error.
pub(super) struct KeyAndColumn {
    pub(super) database: Database,
    pub(super) stripe: Sdk,
}

#[async_trait]
impl App for KeyAndColumn {
    async fn customer_of(&self, tenant: &str, email: &str) -> Result<String, String> {
        if let Some(customer) = self.database.customer_of(tenant)? {
            return Ok(customer);
        }
        let created = self.stripe.create_customer(tenant, email, Some(tenant)).await;
        if let Ok(customer) = &created {
            self.database.save(UPDATE_IF_NULL, tenant, customer).await?;
        }
        self.database.customer_of(tenant)?.map_or(created, Ok)
    }
}

const TABLES: &str = "
    CREATE TABLE tenants (id TEXT PRIMARY KEY) STRICT;
    CREATE TABLE tenant_config (
        tenant_id TEXT PRIMARY KEY REFERENCES tenants (id),
        stripe_customer_id TEXT UNIQUE
    ) STRICT;";
const SELECT: &str = "SELECT stripe_customer_id FROM tenant_config WHERE tenant_id = ?1";
const UPDATE: &str = "UPDATE tenant_config SET stripe_customer_id = ?2 WHERE tenant_id = ?1";
const UPDATE_IF_NULL: &str = "UPDATE tenant_config SET stripe_customer_id = ?2
                              WHERE tenant_id = ?1 AND stripe_customer_id IS NULL";

/// The database of these two programs. Like ours, it reads inline and commits on a blocking thread.
pub(super) struct Database {
    reader: Mutex<Connection>,
    writer: Arc<tokio::sync::Mutex<Connection>>,
}

impl Database {
    /// Creates the file with these tenants in it.
    ///
    /// # Errors
    /// If SQLite fails.
    pub(super) fn create(file: &Path, tenants: &[String]) -> Result<(), Failure> {
        let created = connect(file).and_then(|mut connection| {
            let all = connection.transaction()?;
            all.execute_batch(TABLES)?;
            for tenant in tenants {
                all.execute("INSERT INTO tenants VALUES (?1)", [tenant])?;
                all.execute("INSERT INTO tenant_config VALUES (?1, NULL)", [tenant])?;
            }
            all.commit()
        });
        created.map_err(unusable)
    }

    /// Opens the file.
    ///
    /// # Errors
    /// If SQLite fails.
    pub(super) fn open(file: &Path) -> Result<Self, Failure> {
        let reader = Mutex::new(connect(file).map_err(unusable)?);
        let writer = Arc::new(tokio::sync::Mutex::new(connect(file).map_err(unusable)?));
        Ok(Self { reader, writer })
    }

    fn customer_of(&self, tenant: &str) -> Result<Option<String>, String> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let found = reader
            .prepare_cached(SELECT)
            .and_then(|mut select| select.query_row([tenant], |row| row.get(0)).optional());
        found.map(Option::flatten).map_err(|error| error.to_string())
    }

    async fn save(&self, sql: &'static str, tenant: &str, customer: &str) -> Result<(), String> {
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let row = [tenant.to_owned(), customer.to_owned()];
        let write = move || writer.prepare_cached(sql)?.execute(row);
        match tokio::task::spawn_blocking(write).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the write was cut off".to_owned()),
        }
    }
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

fn unusable(error: rusqlite::Error) -> Failure {
    let message = format!("a temporary database cannot be used: {error}");
    Failure::new(causes::MACHINE, message)
}

/// The database and the Stripe client that both programs use.
///
/// # Errors
/// If SQLite or the HTTP client fails.
pub(super) fn parts(
    file: &Path,
    url: &str,
    clock: Arc<dyn Clock>,
) -> Result<(Database, Sdk), Failure> {
    Ok((Database::open(file)?, Sdk::new(url, clock)?))
}
