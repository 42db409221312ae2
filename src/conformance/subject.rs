use std::error::Error as StdError;

use super::difference::difference;
use crate::audit::AuditEvent;
use crate::key::KeyId;
use crate::record::KeyRecord;
use crate::store::{
    AuditLog, ChangeFeed, Expect, KeyStore, Listed, Page, Settings, StoreError, StoreErrorKind,
    UsageStore, Write,
};
use crate::store::{AuditPage, AuditQuery};

/// The store under test: one to write with and one to read with, which may be the same.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    writer: &'a dyn KeyStore,
    reader: &'a dyn KeyStore,
}

/// Why a case did not hold.
#[derive(Debug)]
pub(super) enum Setback {
    /// What was seen instead.
    Failed(String),
    /// Why it could not be checked.
    Skipped(&'static str),
}

impl Setback {
    /// The same, seen at a moment that the reader of the report needs to know.
    pub(super) fn when(self, moment: &str) -> Self {
        match self {
            Self::Failed(seen) => Self::Failed(format!("{moment}, {seen}")),
            skipped => skipped,
        }
    }
}

/// An error in the making of what a case works with.
impl<E: StdError> From<E> for Setback {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

pub(super) fn ensure(holds: bool, seen: impl FnOnce() -> String) -> Result<(), Setback> {
    match holds {
        true => Ok(()),
        false => Err(Setback::Failed(seen())),
    }
}

impl<'a> Subject<'a> {
    pub(super) fn new(writer: &'a dyn KeyStore, reader: &'a dyn KeyStore) -> Self {
        Self { writer, reader }
    }

    /// The other way round.
    pub(super) fn swapped(self) -> Self {
        Self {
            writer: self.reader,
            reader: self.writer,
        }
    }

    pub(super) fn writer(self) -> &'a dyn KeyStore {
        self.writer
    }

    pub(super) fn reader(self) -> &'a dyn KeyStore {
        self.reader
    }

    /// One of the two in turn, for those who compete.
    pub(super) fn contender(self, n: usize) -> &'a dyn KeyStore {
        match n % 2 {
            0 => self.writer,
            _ => self.reader,
        }
    }

    pub(super) fn audit_log(self) -> Result<&'a dyn AuditLog, Setback> {
        let log = self.reader.abilities().audit_log;
        log.ok_or(Setback::Skipped("the store has no audit log"))
    }

    /// The log of those who write.
    pub(super) fn writers_audit_log(self) -> Result<&'a dyn AuditLog, Setback> {
        let log = self.writer.abilities().audit_log;
        log.ok_or(Setback::Skipped("the store has no audit log"))
    }

    /// The feed of those who read.
    pub(super) fn change_feed(self) -> Result<&'a dyn ChangeFeed, Setback> {
        let feed = self.reader.abilities().change_feed;
        feed.ok_or(Setback::Skipped("the store has no change feed"))
    }

    pub(super) fn usage(self) -> Result<[&'a dyn UsageStore; 2], Setback> {
        let absent = || Setback::Skipped("the store keeps no usage");
        let writer = self.writer.abilities().usage.ok_or_else(absent)?;
        let reader = self.reader.abilities().usage.ok_or_else(absent)?;
        Ok([writer, reader])
    }

    pub(super) fn settings(self) -> Result<[&'a dyn Settings; 2], Setback> {
        let absent = || Setback::Skipped("the store has no settings");
        let writer = self.writer.abilities().settings.ok_or_else(absent)?;
        let reader = self.reader.abilities().settings.ok_or_else(absent)?;
        Ok([writer, reader])
    }

    /// A new record is written.
    pub(super) async fn create(self, record: &KeyRecord) -> Result<(), Setback> {
        self.accepts(Expect::Absent, record, &[]).await
    }

    /// A record that has `version` now is written anew.
    pub(super) async fn change(self, version: u64, record: &KeyRecord) -> Result<(), Setback> {
        self.accepts(Expect::Version(version), record, &[]).await
    }

    pub(super) async fn accepts(
        self,
        expect: Expect,
        record: &KeyRecord,
        audit: &[AuditEvent],
    ) -> Result<(), Setback> {
        let change = Write {
            expect,
            record,
            audit,
        };
        let answer = self.writer.write(change).await;
        answer.map_err(|error| failed(&shown(expect, record), &error))
    }

    /// A write fails with this kind, and leaves what is stored as it is.
    pub(super) async fn refuses(
        self,
        kind: StoreErrorKind,
        expect: Expect,
        record: &KeyRecord,
        stored: Option<&KeyRecord>,
    ) -> Result<(), Setback> {
        let change = Write {
            expect,
            record,
            audit: &[],
        };
        match self.writer.write(change).await {
            Ok(()) => {
                let seen = format!("{} answered Ok", shown(expect, record));
                return Err(Setback::Failed(seen));
            }
            Err(error) if error.kind() != kind => {
                return Err(failed(&shown(expect, record), &error));
            }
            Err(_) => {}
        }
        let left = match stored {
            Some(stored) => self.holds(stored).await,
            None => self.lacks(&record.id).await,
        };
        left.map_err(|setback| setback.when("after the refusal"))
    }

    pub(super) async fn get(self, id: &KeyId) -> Result<Option<KeyRecord>, Setback> {
        let answer = self.reader.get(id).await;
        answer.map_err(|error| failed(&format!("get of {id}"), &error))
    }

    /// `get` answers exactly this record.
    pub(super) async fn holds(self, record: &KeyRecord) -> Result<(), Setback> {
        let id = &record.id;
        match self.get(id).await? {
            None => Err(Setback::Failed(format!("get of {id} answered None"))),
            Some(read) => same(&format!("get of {id}"), record, &read),
        }
    }

    /// `get` answers that there is no such record.
    pub(super) async fn lacks(self, id: &KeyId) -> Result<(), Setback> {
        let found = self.get(id).await?;
        ensure(found.is_none(), || {
            format!("get of {id}, of which there is no record, answered one")
        })
    }

    /// A page of records that can all be read.
    pub(super) async fn list(self, page: Page<'_>) -> Result<Vec<KeyRecord>, Setback> {
        let call = format!("list of {page:?}");
        let answer = self.reader.list(&page).await;
        let Listed {
            records,
            unreadable,
        } = answer.map_err(|error| failed(&call, &error))?;
        match unreadable.first() {
            None => Ok(records),
            Some(damaged) => {
                let call = format!("{call} answered that {} is unreadable:", damaged.id);
                Err(failed(&call, &damaged.error))
            }
        }
    }

    pub(super) async fn events(self, query: &AuditQuery) -> Result<AuditPage, Setback> {
        let answer = self.audit_log()?.events(query).await;
        answer.map_err(|error| failed(&format!("events of {query:?}"), &error))
    }
}

/// Both records are equal, or else the fields that differ are named.
pub(super) fn same(call: &str, written: &KeyRecord, read: &KeyRecord) -> Result<(), Setback> {
    match difference(written, read) {
        None => Ok(()),
        Some(fields) => Err(Setback::Failed(format!(
            "{call} answered a record whose {fields}"
        ))),
    }
}

/// A call failed that must not, or not like this.
pub(super) fn failed(call: &str, error: &StoreError) -> Setback {
    Setback::Failed(format!("{call} failed as {}", told(error)))
}

/// The kind of an error with its causes.
pub(super) fn told(error: &StoreError) -> String {
    let mut told = format!("{:?}", error.kind());
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(&format!(": {error}"));
        cause = error.source();
    }
    told
}

fn shown(expect: Expect, record: &KeyRecord) -> String {
    let KeyRecord { id, version, .. } = record;
    format!("a write of {id} in version {version} that expects {expect:?}")
}
