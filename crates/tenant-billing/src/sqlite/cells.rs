//! The cells of a row that SQLite returned.

use jiff::Timestamp;
use rusqlite::{Row, types::FromSql};
use tenant_billing_core::ports::StoreError;

use crate::stored::Cells;

pub(super) struct SqlCells<'a, 'stmt> {
    row: &'a Row<'stmt>,
    next: usize,
}

impl<'a, 'stmt> SqlCells<'a, 'stmt> {
    pub(super) fn of(row: &'a Row<'stmt>) -> Self {
        Self { row, next: 0 }
    }

    fn next<T: FromSql>(&mut self) -> Result<Option<T>, StoreError> {
        let cell = self.row.get(self.next);
        self.next += 1;
        cell.map_err(|error| StoreError::Corrupt(error.to_string()))
    }
}

impl Cells for SqlCells<'_, '_> {
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
        self.next()?.map(time).transpose()
    }

    fn texts(&mut self) -> Result<Vec<String>, StoreError> {
        let json = self.text()?.unwrap_or_else(|| "[]".into());
        serde_json::from_str(&json).map_err(|error| StoreError::Corrupt(error.to_string()))
    }
}

/// The time that SQLite stores as milliseconds since 1970.
pub(super) fn time(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds)
        .map_err(|_| StoreError::Corrupt("a time is later than the year 9999".into()))
}
