//! Reading a row column by column. What a column cannot hold is damage, and is named.

use std::fmt::Display;
use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::mac::Mac;
use crate::record::RecordError;

/// Goes through the columns of a row, from the first to the last.
pub(super) struct Fields<'a> {
    row: &'a Row<'a>,
    columns: std::iter::Enumerate<std::slice::Iter<'static, &'static str>>,
}

/// One column of a row.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    column: &'static str,
    value: ValueRef<'a>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(row: &'a Row<'a>, columns: &'static [&'static str]) -> Self {
        Self {
            row,
            columns: columns.iter().enumerate(),
        }
    }

    pub(super) fn next(&mut self) -> Result<Field<'a>, RecordError> {
        let next = self.columns.next().and_then(|(index, column)| {
            let value = self.row.get_ref(index).ok()?;
            Some(Field { column, value })
        });
        next.ok_or_else(|| RecordError::Damaged("a column is missing".into()))
    }
}

impl<'a> Field<'a> {
    pub(super) fn damage(&self, problem: impl Display) -> RecordError {
        RecordError::Damaged(format!("column {}: {problem}", self.column))
    }

    /// What `read` makes of it, unless it is NULL.
    pub(super) fn optional<T>(
        self,
        read: impl FnOnce(Self) -> Result<T, RecordError>,
    ) -> Result<Option<T>, RecordError> {
        match self.value {
            ValueRef::Null => Ok(None),
            _ => read(self).map(Some),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, RecordError> {
        self.value.as_str().map_err(|_| self.damage("is not text"))
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(self) -> Result<T, RecordError> {
        self.text()?.parse().map_err(|error| self.damage(error))
    }

    /// Each of the texts between single spaces; none in an empty text.
    pub(super) fn list<T: FromStr<Err: Display>>(self) -> Result<Vec<T>, RecordError> {
        match self.text()? {
            "" => Ok(Vec::new()),
            text => text
                .split(' ')
                .map(|word| word.parse().map_err(|error| self.damage(error)))
                .collect(),
        }
    }

    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T, RecordError> {
        serde_json::from_str(self.text()?).map_err(|error| self.damage(error))
    }

    pub(super) fn integer<T: TryFrom<i64>>(self) -> Result<T, RecordError> {
        self.value
            .as_i64()
            .ok()
            .and_then(|integer| T::try_from(integer).ok())
            .ok_or_else(|| self.damage("is not a number in its range"))
    }

    pub(super) fn time(self) -> Result<Timestamp, RecordError> {
        Timestamp::from_unix_millis(self.integer()?)
            .map_err(|_| self.damage("is not a time between 1970 and 9999 in Unix milliseconds"))
    }

    pub(super) fn mac(self) -> Result<Mac, RecordError> {
        let bytes = self.value.as_blob().ok();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Mac::from_bytes)
            .ok_or_else(|| self.damage("is not 32 bytes"))
    }
}
