//! Reading a row column by column. What a column cannot hold is damage, and is named.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Decode, Row, Type};

use super::moment::Moment;
use crate::clock::Timestamp;
use crate::mac::Mac;
use crate::record::RecordError;

/// Goes through columns of a row, from the first to the last.
pub(super) struct Fields<'a> {
    row: &'a PgRow,
    columns: std::slice::Iter<'static, &'static str>,
}

/// One column of a row.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    row: &'a PgRow,
    column: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(row: &'a PgRow, columns: &'static [&'static str]) -> Self {
        Self {
            row,
            columns: columns.iter(),
        }
    }

    pub(super) fn next(&mut self) -> Result<Field<'a>, RecordError> {
        let row = self.row;
        let next = self.columns.next().map(|column| Field { row, column });
        next.ok_or_else(|| RecordError::Damaged("a column is missing".into()))
    }
}

impl<'a> Field<'a> {
    pub(super) fn damage(self, problem: impl Display) -> RecordError {
        RecordError::Damaged(format!("column {}: {problem}", self.column))
    }

    /// The driver's own errors are not shown: a value may be a MAC.
    fn read<T: Decode<'a, Postgres> + Type<Postgres>>(self) -> Result<Option<T>, RecordError> {
        self.row
            .try_get(self.column)
            .map_err(|_| self.damage("is not of its type"))
    }

    fn required<T: Decode<'a, Postgres> + Type<Postgres>>(self) -> Result<T, RecordError> {
        self.read()?.ok_or_else(|| self.damage("is missing"))
    }

    pub(super) fn text(self) -> Result<&'a str, RecordError> {
        self.required()
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(self) -> Result<T, RecordError> {
        self.parse(self.text()?)
    }

    pub(super) fn optional_parsed<T: FromStr<Err: Display>>(
        self,
    ) -> Result<Option<T>, RecordError> {
        let text: Option<&str> = self.read()?;
        text.map(|text| self.parse(text)).transpose()
    }

    /// Each text of an array.
    pub(super) fn list<T: FromStr<Err: Display>>(self) -> Result<Vec<T>, RecordError> {
        let texts: Vec<Option<String>> = self.required()?;
        let word = |text: &Option<String>| {
            let text = text.as_deref();
            self.parse(text.ok_or_else(|| self.damage("holds NULL"))?)
        };
        texts.iter().map(word).collect()
    }

    fn parse<T: FromStr<Err: Display>>(self, text: &str) -> Result<T, RecordError> {
        text.parse().map_err(|error| self.damage(error))
    }

    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T, RecordError> {
        serde_json::from_str(self.text()?).map_err(|error| self.damage(error))
    }

    pub(super) fn integer<T: TryFrom<i64>>(self) -> Result<T, RecordError> {
        let integer = self.optional_integer()?;
        integer.ok_or_else(|| self.damage("is missing"))
    }

    pub(super) fn optional_integer<T: TryFrom<i64>>(self) -> Result<Option<T>, RecordError> {
        let integer: Option<i64> = self.read()?;
        let in_range =
            |integer| T::try_from(integer).map_err(|_| self.damage("is not a number in its range"));
        integer.map(in_range).transpose()
    }

    pub(super) fn truth(self) -> Result<bool, RecordError> {
        self.required()
    }

    pub(super) fn time(self) -> Result<Timestamp, RecordError> {
        let time = self.optional_time()?;
        time.ok_or_else(|| self.damage("is missing"))
    }

    pub(super) fn optional_time(self) -> Result<Option<Timestamp>, RecordError> {
        let moment: Option<Moment> = self.read()?;
        let in_range = |moment| {
            Timestamp::try_from(moment)
                .map_err(|_| self.damage("is not a time between 1970 and 9999"))
        };
        moment.map(in_range).transpose()
    }

    pub(super) fn optional_mac(self) -> Result<Option<Mac>, RecordError> {
        let bytes: Option<&[u8]> = self.read()?;
        let mac = |bytes: &[u8]| match bytes.try_into() {
            Ok(bytes) => Ok(Mac::from_bytes(bytes)),
            Err(_) => Err(self.damage("is not 32 bytes")),
        };
        bytes.map(mac).transpose()
    }
}
