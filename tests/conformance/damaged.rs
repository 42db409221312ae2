//! Stores that hold a record they cannot read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use keygate::conformance::{self, Report};
use keygate::store::{Expect, Listed, Page, Unreadable, Write};
use keygate::{KeyId, KeyRecord, KeyStore, StoreError, StoreErrorKind};

#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// A damaged record is no record.
    AnswersNone,
    /// The error does not say which record it is.
    NamesNothing,
    /// Reads all records to find one.
    ReadsAll,
    /// Lists what it can read, and is silent about the rest.
    Skips,
    /// One damaged record fails the page.
    FailsPages,
    /// Fills pages with records that it can read.
    DoesNotCount,
}

/// Keeps records as bytes.
struct ByteStore {
    bodies: Mutex<BTreeMap<KeyId, Vec<u8>>>,
    flaw: Flaw,
}

impl ByteStore {
    fn read(&self, id: &KeyId, body: &[u8]) -> Result<KeyRecord, StoreError> {
        KeyRecord::from_bytes(body).map_err(|error| {
            let cause = match self.flaw {
                Flaw::NamesNothing => error.to_string(),
                _ => format!("{id}: {error}"),
            };
            StoreError::new(StoreErrorKind::Corrupt, cause)
        })
    }
}

#[async_trait]
impl KeyStore for ByteStore {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let bodies = self.bodies.lock().unwrap();
        if self.flaw == Flaw::ReadsAll {
            for (id, body) in &*bodies {
                self.read(id, body)?;
            }
        }
        let record = bodies.get(id).map(|body| self.read(id, body)).transpose();
        match record {
            Err(_) if self.flaw == Flaw::AnswersNone => Ok(None),
            answer => answer,
        }
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        assert_eq!(change.expect, Expect::Absent);
        let body = change.record.to_bytes();
        self.bodies.lock().unwrap().insert(change.record.id, body);
        Ok(())
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        let mut listed = Listed::default();
        for (id, body) in &*self.bodies.lock().unwrap() {
            let counted = match self.flaw {
                Flaw::DoesNotCount => listed.records.len(),
                _ => listed.records.len() + listed.unreadable.len(),
            };
            if page.after.is_some_and(|after| *id <= after) || counted == page.limit {
                continue;
            }
            match self.read(id, body) {
                Ok(record) => listed.records.push(record),
                Err(error) if self.flaw == Flaw::FailsPages => return Err(error),
                Err(_) if self.flaw == Flaw::Skips => {}
                Err(error) => listed.unreadable.push(Unreadable {
                    id: id.to_string(),
                    error,
                }),
            }
        }
        Ok(listed)
    }
}

async fn check(flaw: Flaw) -> Report {
    let new_store = async || ByteStore {
        bodies: Mutex::default(),
        flaw,
    };
    conformance::check_damaged(new_store, async |store: &ByteStore, id: &KeyId| {
        store.bodies.lock().unwrap().insert(*id, b"{}".into());
    })
    .await
}

#[tokio::test]
async fn a_store_that_tells_of_damage_keeps_the_contract() {
    check(Flaw::None).await.assert_ok();
}

#[tokio::test]
async fn every_case_of_damage_catches_a_store_that_hides_or_spreads_it() {
    let get = "get of a record that cannot be read fails as Corrupt, and the error names it";
    let list = "list tells of a record that cannot be read, beside the others";
    let flaws = [
        (get, Flaw::AnswersNone),
        (get, Flaw::NamesNothing),
        (
            "a record that cannot be read does not stop others from being read",
            Flaw::ReadsAll,
        ),
        (list, Flaw::Skips),
        (list, Flaw::FailsPages),
        (
            "a record that cannot be read counts towards the limit of its page",
            Flaw::DoesNotCount,
        ),
    ];
    let mut caught = BTreeSet::new();
    for (case, flaw) in flaws {
        let report = check(flaw).await;
        let failed = report.failures().any(|failure| failure.must_hold == case);
        assert!(
            failed,
            "the case {case:?} did not catch its mutant\n{report}"
        );
        caught.insert(case);
    }
    let report = check(Flaw::None).await;
    let cases: BTreeSet<&str> = report.cases().iter().map(|case| case.must_hold).collect();
    assert_eq!(caught, cases);
}

#[tokio::test]
async fn a_store_that_was_not_damaged_is_told_from_one_that_tells_of_it() {
    let new_store = async || ByteStore {
        bodies: Mutex::default(),
        flaw: Flaw::None,
    };
    let report = conformance::check_damaged(new_store, async |_: &ByteStore, _: &KeyId| {}).await;
    assert!(!report.is_ok());
}
