//! Statements that a connection prepares once and remembers.

use rusqlite::{Connection, Params, Result};

/// Executes a write, and returns how many rows it has changed. The error is the driver's.
pub(super) fn execute(connection: &Connection, sql: &str, values: impl Params) -> Result<usize> {
    connection.prepare_cached(sql)?.execute(values)
}
