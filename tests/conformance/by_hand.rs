//! Records that are changed past the store.

use std::collections::BTreeSet;

use keygate::conformance::{self, Outcome, Report};
use keygate::store::Expect;
use keygate::{KeyId, MemoryStore, StoreErrorKind};

use crate::flaws::{Judges, Remembers};
use crate::mutant::{Flaw, Mutant};

struct Sound;

impl Flaw for Sound {}

/// As an UPDATE does in a table with triggers: on the version, or on the feed, or both.
fn rename(store: &Mutant, id: &KeyId, raise: bool, tell: bool) {
    let mut contents = store.store.lock();
    let record = contents.records.get_mut(id).unwrap();
    record.name = "by hand".into();
    record.version += u64::from(raise);
    if tell {
        contents.changes.push(*id);
    }
}

async fn check(flaw: fn() -> Box<dyn Flaw>, raise: bool, tell: bool) -> Report {
    let new_store = async || Mutant::new(flaw());
    conformance::check_by_hand(new_store, async |store: &Mutant, id: &KeyId| {
        rename(store, id, raise, tell);
    })
    .await
}

#[tokio::test]
async fn a_store_whose_triggers_see_a_change_by_hand_keeps_the_contract() {
    let report = check(|| Box::new(Sound), true, true).await;
    let ok = |case: &conformance::CaseReport| case.outcome == Outcome::Ok;
    assert!(report.cases().iter().all(ok), "{report}");
}

#[tokio::test]
async fn every_case_of_a_change_by_hand_catches_a_store_that_misses_it() {
    let stale = "a write that expects the version from before a change by hand fails as Stale";
    let happens = "a write that expects the version from after a change by hand happens";
    let remembers = || -> Box<dyn Flaw> { Box::<Remembers>::default() };
    let judges = || -> Box<dyn Flaw> {
        // The version is in a column that is written by this store alone.
        Box::new(Judges(|contents, expect, record| match expect {
            Expect::Version(2..) => Err(StoreErrorKind::Stale),
            _ => contents.judge(expect, record),
        }))
    };
    let sound = || -> Box<dyn Flaw> { Box::new(Sound) };
    let mut caught = BTreeSet::new();
    for (case, report) in [
        (
            "a get after a change by hand sees it",
            check(remembers, true, true).await,
        ),
        (
            "a change by hand raises the version",
            check(sound, false, true).await,
        ),
        (stale, check(sound, false, true).await),
        (happens, check(judges, true, true).await),
        (
            "a change by hand is told before a heartbeat that is begun after it",
            check(sound, true, false).await,
        ),
    ] {
        let failed = report.failures().any(|failure| failure.must_hold == case);
        assert!(
            failed,
            "the case {case:?} did not catch its mutant\n{report}"
        );
        caught.insert(case);
    }
    let report = check(sound, true, true).await;
    let cases: BTreeSet<&str> = report.cases().iter().map(|case| case.must_hold).collect();
    assert_eq!(caught, cases);
}

#[tokio::test]
async fn a_hand_that_changes_nothing_is_told_from_one_that_does() {
    let new_store = async || Mutant::new(Box::new(Sound));
    let report = conformance::check_by_hand(new_store, async |_: &Mutant, _: &KeyId| {}).await;
    let failed: Vec<&str> = report.failures().map(|case| case.must_hold).collect();
    assert!(
        failed.contains(&"a get after a change by hand sees it"),
        "{report}"
    );
}

#[tokio::test]
async fn without_a_feed_nothing_has_to_be_told() {
    let new_store = async || MemoryStore::new();
    let nothing = async |_: &MemoryStore, _: &KeyId| {};
    let report = conformance::check_by_hand(new_store, nothing).await;
    assert!(
        report
            .to_string()
            .contains("(the store has no change feed)")
    );
}

#[tokio::test]
async fn a_revocation_that_is_taken_back_by_hand_is_caught() {
    let new_store = async || Mutant::new(Box::new(Sound));
    let refused = conformance::check_final_by_hand(new_store, async |_: &Mutant, _: &KeyId| {});
    refused.await.assert_ok();
    let clear = async |store: &Mutant, id: &KeyId| {
        let mut contents = store.store.lock();
        contents.records.get_mut(id).unwrap().revocation = None;
    };
    let report = conformance::check_final_by_hand(new_store, clear).await;
    assert_eq!(report.failures().count(), 1, "{report}");
}
