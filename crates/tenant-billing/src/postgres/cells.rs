//! The cells of a row that PostgreSQL sent.

use jiff::Timestamp;
use tenant_billing_core::ports::StoreError;
use tokio_postgres::{Row, types::FromSql};

use crate::stored::Cells;

pub(super) struct SqlCells<'a> {
    row: &'a Row,
    at: usize,
}

impl<'a> SqlCells<'a> {
    pub(super) fn of(row: &'a Row) -> Self {
        Self { row, at: 0 }
    }

    fn next<T: FromSql<'a>>(&mut self) -> Result<Option<T>, StoreError> {
        self.at += 1;
        let cell = self.row.try_get(self.at - 1);
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
}
