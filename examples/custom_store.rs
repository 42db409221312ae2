//! A store for a database of your own, and the suite that checks it.
//!
//! A record is one opaque body beside the few columns that a database works with: id, owner and
//! version. Here the table is a `BTreeMap`.
//!
//! `cargo run --example custom_store --features conformance`

use std::collections::BTreeMap;
use std::ops::Bound;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use keygate::conformance::{check, check_damaged};
use keygate::store::{Expect, Listed, Page, Unreadable, Write};
use keygate::{KeyId, KeyRecord, KeyStore, StoreError, StoreErrorKind};

#[derive(Default)]
struct TableStore {
    rows: Mutex<BTreeMap<KeyId, Row>>,
}

/// What a table would have as columns, beside the id.
struct Row {
    owner: String,
    version: u64,
    body: Vec<u8>,
}

impl TableStore {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<KeyId, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    /// The record, or an error that names it.
    fn record(&self, id: &KeyId) -> Result<KeyRecord, StoreError> {
        KeyRecord::from_bytes(&self.body)
            .map_err(|error| StoreError::new(StoreErrorKind::Corrupt, format!("key {id}: {error}")))
    }
}

#[async_trait]
impl KeyStore for TableStore {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let rows = self.rows();
        rows.get(id).map(|row| row.record(id)).transpose()
    }

    /// The expectation is judged and the row written under one lock: in SQL, in one statement.
    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let record = change.record;
        match (change.expect, rows.get(&record.id)) {
            (Expect::Absent, None) => {}
            (Expect::Absent, Some(_)) => return Err(StoreErrorKind::Taken.into()),
            (Expect::Version(version), Some(row)) if row.version == version => {
                // Nothing un-revokes a key.
                let revocation = row.record(&record.id)?.revocation;
                if revocation.is_some() && revocation != record.revocation {
                    return Err(StoreErrorKind::Stale.into());
                }
            }
            (Expect::Version(_), _) => return Err(StoreErrorKind::Stale.into()),
        }
        let row = Row {
            owner: record.owner.clone(),
            version: record.version,
            body: record.to_bytes(),
        };
        rows.insert(record.id, row);
        Ok(())
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        let rows = self.rows();
        let after = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let selected = rows
            .range((after, Bound::Unbounded))
            .filter(|(_, row)| page.owner.is_none_or(|owner| owner == row.owner))
            .take(page.limit);
        let mut listed = Listed::default();
        for (id, row) in selected {
            match row.record(id) {
                Ok(record) => listed.records.push(record),
                Err(error) => listed.unreadable.push(Unreadable {
                    id: id.to_string(),
                    error,
                }),
            }
        }
        Ok(listed)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let report = check(async || TableStore::default()).await;
    println!("{report}\n");

    let damaged = check_damaged(
        async || TableStore::default(),
        async |store: &TableStore, id: &KeyId| {
            if let Some(row) = store.rows().get_mut(id) {
                row.body.truncate(10);
            }
        },
    )
    .await;
    println!("{damaged}");

    match report.is_ok() && damaged.is_ok() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
