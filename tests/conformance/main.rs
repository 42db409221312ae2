//! The conformance suite, held against stores that keep the contract and stores that do not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod by_hand;
mod counted;
mod damaged;
mod faulty;
mod flaws;
mod mutant;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use keygate::conformance::{self, Outcome, Report};
use keygate::store::{Abilities, Listed, Page, Write};
use keygate::{KeyId, KeyRecord, KeyStore, MemoryStore, StoreError};
use mutant::{Flaw, Mutant};
use tokio::task::yield_now;

fn names(report: &Report) -> BTreeSet<&'static str> {
    report.cases().iter().map(|case| case.must_hold).collect()
}

fn failed(report: &Report) -> BTreeSet<&'static str> {
    report.failures().map(|case| case.must_hold).collect()
}

#[tokio::test]
async fn the_memory_store_keeps_every_clause() {
    let report = conformance::check(async || MemoryStore::new()).await;
    report.assert_ok();
    for case in report.cases() {
        let skipped = matches!(case.outcome, Outcome::Skipped(_));
        assert_eq!(skipped, case.clause == "Change feed", "{case}");
    }
}

#[tokio::test]
async fn the_store_that_the_mutants_spoil_is_sound() {
    struct None;
    impl Flaw for None {}
    let report = conformance::check(async || Mutant::new(Box::new(None))).await;
    report.assert_ok();
    let ok = |case: &conformance::CaseReport| case.outcome == Outcome::Ok;
    assert!(report.cases().iter().all(ok), "{report}");
}

#[tokio::test]
async fn every_case_catches_a_store_that_breaks_it() {
    let mut caught = BTreeSet::new();
    for (case, flaw) in flaws::all() {
        let report = conformance::check(async || Mutant::new(flaw())).await;
        assert!(
            failed(&report).contains(case),
            "the case {case:?} did not catch its mutant\n{report}"
        );
        assert!(!report.to_string().contains("panicked"), "{case}\n{report}");
        // A store that does nothing right would prove nothing.
        let cases = report.cases().len();
        assert!(report.failures().count() <= cases / 3, "{case}\n{report}");
        caught.insert(case);
    }
    let report = conformance::check(async || MemoryStore::new()).await;
    assert_eq!(caught, names(&report));
}

#[tokio::test]
async fn a_failure_says_what_was_seen_instead() {
    struct Trims;
    #[async_trait]
    impl Flaw for Trims {
        fn keep(&self, record: &mut KeyRecord) {
            record.owner = record.owner.trim().to_owned();
        }
    }
    let report = conformance::check(async || Mutant::new(Box::new(Trims))).await;
    let text = report
        .failures()
        .find(|case| case.must_hold == "text is kept byte for byte");
    assert_eq!(
        text.unwrap().to_string(),
        "FAILED   Fidelity: text is kept byte for byte\n         \
         seen instead: get of 000000000003 answered a record whose owner is \"org_42\", \
         and was written as \"org_42 \""
    );
}

#[tokio::test]
async fn a_store_that_panics_fails_its_cases_and_stops_no_other() {
    struct Panics;
    #[async_trait]
    impl Flaw for Panics {
        async fn list(&self, _: &mutant::Shared, _: &Page<'_>) -> Result<Listed, StoreError> {
            panic!("list is not written yet");
        }
    }
    let report = conformance::check(async || Mutant::new(Box::new(Panics))).await;
    let sound = conformance::check(async || MemoryStore::new()).await;
    assert_eq!(names(&report), names(&sound));
    assert!(
        report
            .to_string()
            .contains("the store panicked: list is not written yet")
    );
    for case in report.failures() {
        assert!(matches!(&case.outcome, Outcome::Failed(seen) if seen.contains("panicked")));
    }
    assert!(failed(&report).contains("list is in ascending byte order of the ids"));
    assert!(!failed(&report).contains("get of an unknown id is Ok(None)"));
}

/// A store without any ability.
struct Plain(MemoryStore);

#[async_trait]
impl KeyStore for Plain {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.0.get(id).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        self.0.write(change).await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        self.0.list(page).await
    }
}

#[tokio::test]
async fn what_a_store_has_no_ability_for_is_skipped_and_said() {
    let report = conformance::check(async || Plain(MemoryStore::new())).await;
    report.assert_ok();
    for case in report.cases() {
        let skipped = matches!(case.outcome, Outcome::Skipped(_));
        let optional = ["Audit log", "Change feed", "Settings", "Usage"];
        let optional = optional.contains(&case.clause) || case.must_hold.contains("audit");
        assert_eq!(skipped, optional, "{case}");
    }
    for said in [
        "(the store has no audit log)",
        "(the store has no change feed)",
        "(the store has no settings)",
        "(the store keeps no usage)",
    ] {
        assert!(report.to_string().contains(said), "{report}");
    }
}

#[tokio::test]
async fn two_handles_on_the_same_data_keep_every_clause() {
    let report = conformance::check_shared(async || {
        let store = Arc::new(MemoryStore::new());
        (Arc::clone(&store), store)
    })
    .await;
    report.assert_ok();
    let alone = conformance::check(async || MemoryStore::new()).await;
    assert_eq!(names(&report), names(&alone));
}

/// Hands its writes to a task that goes on when nobody waits for it any more, as a thread of a
/// database does.
#[derive(Default)]
struct Late(Arc<MemoryStore>);

#[async_trait]
impl KeyStore for Late {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        yield_now().await;
        self.0.get(id).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        let (record, audit) = (change.record.clone(), change.audit.to_vec());
        let (store, expect) = (Arc::clone(&self.0), change.expect);
        let write = tokio::spawn(async move {
            for _ in 0..5 {
                yield_now().await;
            }
            let change = Write {
                expect,
                record: &record,
                audit: &audit,
            };
            store.write(change).await
        });
        yield_now().await;
        write.await.unwrap()
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        yield_now().await;
        self.0.list(page).await
    }

    fn abilities(&self) -> Abilities<'_> {
        self.0.abilities()
    }
}

#[tokio::test]
async fn a_store_that_finishes_what_was_dropped_keeps_every_clause() {
    conformance::check(async || Late::default())
        .await
        .assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_works_on_other_threads_keeps_every_clause() {
    conformance::check(async || Late::default())
        .await
        .assert_ok();
}

/// Caches what it read and wrote, and does not notice what another handle writes.
#[derive(Default)]
struct Cached {
    store: Arc<MemoryStore>,
    read: Mutex<BTreeMap<KeyId, Option<KeyRecord>>>,
}

#[async_trait]
impl KeyStore for Cached {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        if let Some(record) = self.read.lock().unwrap().get(id) {
            return Ok(record.clone());
        }
        let record = self.store.get(id).await?;
        self.read.lock().unwrap().insert(*id, record.clone());
        Ok(record)
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        self.store.write(change).await?;
        let record = change.record.clone();
        self.read.lock().unwrap().insert(record.id, Some(record));
        Ok(())
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        self.store.list(page).await
    }

    fn abilities(&self) -> Abilities<'_> {
        self.store.abilities()
    }
}

#[tokio::test]
async fn a_handle_that_does_not_see_the_writes_of_another_is_caught_by_two_alone() {
    let alone = conformance::check(async || Cached::default()).await;
    alone.assert_ok();
    let shared = conformance::check_shared(async || {
        let one = Cached::default();
        let other = Cached {
            store: Arc::clone(&one.store),
            ..Cached::default()
        };
        (one, other)
    })
    .await;
    let failed = failed(&shared);
    for case in [
        "a get after a create sees the record, also when the id was read as unknown before",
        "a get after a change sees the record as it is now, whoever changed it",
    ] {
        assert!(failed.contains(case), "{shared}");
    }
    assert!(!failed.contains("list is in ascending byte order of the ids"));
}

#[test]
fn checks_can_be_spawned_on_a_runtime_of_many_threads() {
    fn is_send(_: impl Send) {}
    is_send(conformance::check(async || MemoryStore::new()));
    is_send(conformance::check_shared(async || {
        (MemoryStore::new(), MemoryStore::new())
    }));
    is_send(conformance::check_damaged(
        async || MemoryStore::new(),
        async |_: &MemoryStore, _: &KeyId| {},
    ));
    is_send(conformance::check_by_hand(
        async || MemoryStore::new(),
        async |_: &MemoryStore, _: &KeyId| {},
    ));
    is_send(conformance::check_final_by_hand(
        async || MemoryStore::new(),
        async |_: &MemoryStore, _: &KeyId| {},
    ));
}
