//! The cells of a row that PostgreSQL returned.

use jiff::Timestamp;
use tenant_billing_core::ports::StoreError;
use tokio_postgres::{Row, types::FromSql};

use crate::stored::Cells;

pub(super) struct SqlCells<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> SqlCells<'a> {
    pub(super) fn of(row: &'a Row) -> Self {
        Self::from(row, 0)
    }

    /// The cells from this one on.
    pub(super) fn from(row: &'a Row, first: usize) -> Self {
        Self { row, next: first }
    }

    fn next<T: FromSql<'a>>(&mut self) -> Result<Option<T>, StoreError> {
        let cell = self.row.try_get(self.next);
        self.next += 1;
        cell.map_err(|error| StoreError::Corrupt(error.to_string()))
    }
}

impl Cells for SqlCells<'_> {
    fn integer(&mut self) -> Result<Option<i64>, StoreError> {
        self.next()
    }

    fn flag(&mut self) -> Result<Option<bool>, StoreError> {
        self.next()
    }

    fn text(&mut self) -> Result<Option<String>, StoreError> {
        self.next()
    }

    fn time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.next()
    }

    fn texts(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(self.next()?.unwrap_or_default())
    }
}
