//! Stores whose answers are late, and whose callers leave and come back: the suite says the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use keygate::audit::{Actor, AuditAction, AuditEvent, AuditKind};
use keygate::conformance::{self, Report};
use keygate::store::{AuditQuery, Expect, Write};
use keygate::testing::{Calls, Fault, FaultyStore};
use keygate::{KeyRecord, KeyStore, MemoryStore, NewKey, StoreError, StoreErrorKind, Timestamp};

use crate::flaws;
use crate::mutant::{Flaw, Mutant};
use crate::{Late, failed};

/// A few numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let id = keygate::KeyId::generate().unwrap();
        let seed = id.as_str().bytes().fold(7, |seed: u64, byte| {
            seed.wrapping_mul(62).wrapping_add(byte.into())
        });
        println!("seed {seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }

    /// Plans a delay for one call of sixteen, and for reads a drop for one of four.
    fn plan(&mut self, calls: &Calls, drops: bool) {
        for _ in 0..2_000 {
            calls.once(match self.below(16) {
                0 => Fault::Delay(Duration::from_micros(self.below(1_000))),
                n if drops && n < 5 => Fault::Drop(self.below(4) as usize),
                _ => Fault::None,
            });
        }
    }

    fn spoil(&mut self, store: impl KeyStore) -> FaultyStore {
        let store = FaultyStore::new(store);
        self.plan(&store.gets, true);
        self.plan(&store.lists, true);
        self.plan(&store.writes, false);
        self.plan(&store.usage_adds, false);
        self.plan(&store.audit_records, false);
        self.plan(&store.audit_forgets, false);
        self.plan(&store.audit_reads, true);
        store
    }
}

async fn check<S: KeyStore>(new_store: impl Fn() -> S) -> Report {
    let dice = std::cell::RefCell::new(Dice::new());
    conformance::check(async || dice.borrow_mut().spoil(new_store())).await
}

struct Sound;

impl Flaw for Sound {}

#[tokio::test]
async fn delays_and_drops_are_held_against_no_store() {
    check(MemoryStore::new).await.assert_ok();
    check(|| Mutant::new(Box::new(Sound))).await.assert_ok();
    check(Late::default).await.assert_ok();
}

#[tokio::test]
async fn nor_against_two_handles_on_the_same_data() {
    let dice = std::cell::RefCell::new(Dice::new());
    let open_two = async || {
        let store = Arc::new(Mutant::new(Box::new(Sound)));
        let mut dice = dice.borrow_mut();
        (dice.spoil(Arc::clone(&store)), dice.spoil(store))
    };
    conformance::check_shared(open_two).await.assert_ok();
}

#[tokio::test]
async fn delays_and_drops_hide_no_flaw_that_needs_no_moment_of_its_own() {
    for (case, flaw) in flaws::lasting() {
        let caught: BTreeSet<_> = failed(&check(|| Mutant::new(flaw())).await);
        assert!(caught.contains(case), "{case:?} did not catch its mutant");
    }
}

#[tokio::test]
async fn a_store_whose_reads_fail_now_and_then_is_caught() {
    let report = conformance::check(async || {
        let store = FaultyStore::new(MemoryStore::new());
        store.gets.once(Fault::Fail(StoreErrorKind::Unavailable));
        store
    })
    .await;
    assert!(
        report.failures().count() > report.cases().len() / 3,
        "{report}"
    );
}

#[tokio::test]
async fn each_method_of_the_audit_log_fails_when_it_is_asked_to() {
    let store = FaultyStore::new(MemoryStore::new());
    let event = AuditEvent {
        at: Timestamp::MIN,
        action: AuditAction::Refused,
        key_id: None,
        owner: None,
        actor: Actor::Stranger,
        address: None,
        changes: Vec::new(),
        requests: None,
    };
    let log = store.abilities().audit_log.unwrap();
    let forget = || log.forget_before(AuditKind::Authentication, Timestamp::MAX, 9);
    let fault = || Fault::Fail(StoreErrorKind::Unavailable);
    let unavailable = |error: StoreError| assert_eq!(error.kind(), StoreErrorKind::Unavailable);

    store.audit_records.once(fault());
    unavailable(log.record(std::slice::from_ref(&event)).await.unwrap_err());
    assert!(
        log.events(&AuditQuery::new())
            .await
            .unwrap()
            .events
            .is_empty()
    );
    log.record(std::slice::from_ref(&event)).await.unwrap();

    store.audit_reads.once(fault());
    unavailable(log.events(&AuditQuery::new()).await.unwrap_err());
    store.audit_forgets.once(fault());
    unavailable(forget().await.unwrap_err());
    assert_eq!(
        log.events(&AuditQuery::new()).await.unwrap().events,
        [event]
    );
    assert_eq!(forget().await.unwrap(), 1);
    let calls = [
        &store.audit_records,
        &store.audit_reads,
        &store.audit_forgets,
    ];
    assert_eq!(calls.map(Calls::count), [2, 3, 2]);
}

#[tokio::test]
async fn of_a_write_that_is_dropped_nobody_knows_and_a_read_is_asked_again() {
    let store = Arc::new(FaultyStore::new(MemoryStore::new()));
    let keys = keygate::testing::builder().store(Arc::clone(&store));
    let keys = keys.build().await.unwrap();
    let issued = keys.manager().issue(NewKey::for_owner("org_42"));
    let id = issued.await.unwrap().info.key_id;
    let before = store.get(&id).await.unwrap().unwrap();
    let after = KeyRecord {
        name: "after".into(),
        version: before.version + 1,
        ..before.clone()
    };
    let change = Write {
        expect: Expect::Version(before.version),
        record: &after,
        audit: &[],
    };
    store.writes.once(Fault::Drop(0));
    let error = store.write(change).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown);
    store.gets.once(Fault::Drop(0));
    assert_eq!(store.get(&id).await.unwrap(), Some(before));
    // It answered before it could be dropped.
    store.writes.once(Fault::Drop(1));
    store.write(change).await.unwrap();
    assert_eq!(store.get(&id).await.unwrap(), Some(after));
}
