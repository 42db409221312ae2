//! That the soak itself notices what must not be.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use keygate::{KeyId, Keygate, NewKey, Pepper};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::acknowledged::{check_after_load, check_during_load};
use crate::http::{Exchange, Outcome};
use crate::key::{Change, Key, Phase, Secret};
use crate::ledger::{Keys, Ledger, Presented};
use crate::report::Report;
use crate::service::gate_on;
use crate::store::{Kind, StoreUnderTest, open};
use crate::world::World;

const ID: &str = "4KX9vQ2mB7tZ";

fn key(since: Instant) -> Key {
    let secret = Secret::new("text".into(), since, Phase::Valid);
    Key::new(ID.parse().unwrap(), vec![secret], 1, since)
}

/// What the ledger says of a request with the oldest secret that ran from `begun` to `ended`.
fn is_violation(key: Key, begun: Instant, ended: Instant, status: u16) -> bool {
    let id = key.id;
    let mut keys = Keys::default();
    keys.all.insert(id, key);
    let exchange = Exchange {
        instance: 0,
        begun,
        ended,
        outcome: Outcome::Answered {
            status,
            body: ID.into(),
        },
    };
    let ledger = Ledger::new(keys);
    let presented = Presented::of(id, 0, "text");
    ledger.judge(&presented, &exchange).is_some()
}

#[test]
fn requests_are_judged_by_what_was_certain_from_their_beginning_to_their_end() {
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let revoked = || {
        let mut key = key(start);
        key.begin(Change::Revoke, at(2_000));
        key.done(Change::Revoke, None, at(2_500));
        key
    };
    let enabled = || {
        let mut key = key(start);
        key.begin(Change::Disable, at(500));
        key.done(Change::Disable, None, at(600));
        key.begin(Change::Enable, at(2_000));
        key.done(Change::Enable, None, at(2_500));
        key
    };
    let rotated = || {
        let mut key = key(start);
        let overlap = Duration::from_millis(1_000);
        key.begin(Change::Rotate { overlap }, at(2_000));
        key.done(Change::Rotate { overlap }, Some("new".into()), at(2_100));
        key
    };
    let undone = || {
        let mut key = key(start);
        key.begin(Change::Revoke, at(2_000));
        key.undone(at(2_000), at(2_500));
        key
    };
    type Case<'a> = (&'a dyn Fn() -> Key, u64, u64, u16, bool);
    let cases: [Case<'_>; 18] = [
        (&revoked, 1_000, 1_100, 401, true),
        (&revoked, 1_000, 1_100, 200, false),
        (&revoked, 1_000, 2_100, 401, false),
        (&revoked, 2_200, 2_300, 401, false),
        (&revoked, 2_400, 9_000, 200, false),
        (&revoked, 3_400, 3_401, 200, false),
        (&revoked, 3_600, 3_601, 200, true),
        (&revoked, 3_600, 3_601, 503, false),
        (&revoked, 3_600, 3_601, 500, true),
        (&enabled, 1_700, 1_800, 200, true),
        (&enabled, 1_700, 2_100, 200, false),
        (&enabled, 2_550, 2_560, 401, false),
        (&enabled, 2_650, 2_660, 401, true),
        (&rotated, 2_800, 2_850, 401, true),
        (&rotated, 2_980, 3_000, 401, false),
        (&rotated, 4_200, 4_210, 200, true),
        (&undone, 2_100, 2_200, 401, false),
        (&undone, 2_700, 2_800, 401, true),
    ];
    for (key, begun, ended, status, expected) in cases {
        let found = is_violation(key(), at(begun), at(ended), status);
        assert_eq!(found, expected, "{begun} to {ended}: {status}");
    }
}

/// A store with nobody on it.
fn world(store: StoreUnderTest, pepper: &str) -> World {
    World {
        store,
        pepper: pepper.into(),
        instances: Vec::new(),
        ledger: Ledger::new(Keys::default()),
        report: Report::default(),
        admin: String::new(),
        probes: Arc::new(Semaphore::new(0)),
        has_ended: AtomicBool::new(false),
    }
}

/// Issues a key that the ledger knows of.
async fn issue(world: &World, gate: &Keygate) -> KeyId {
    let issued = gate.manager().issue(NewKey::for_owner("org_42")).await;
    let issued = issued.unwrap();
    let answer = json!({
        "key_id": issued.info.key_id,
        "key": issued.key.expose(),
        "version": issued.info.version,
    });
    world.ledger.issued(&answer.to_string(), Instant::now())
}

#[tokio::test]
async fn whatever_the_store_has_otherwise_than_it_was_acknowledged_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreUnderTest::start(Kind::Sqlite, directory.path()).unwrap();
    let pepper = Pepper::generate_base64().unwrap();
    let opened = open(store.address()).await.unwrap();
    let gate = gate_on(opened, &pepper, |builder| builder).await.unwrap();
    let world = world(store, &pepper);
    let first = issue(&world, &gate).await;
    let second = issue(&world, &gate).await;
    check_after_load(&world).await;
    assert_eq!(world.report.violations(), Vec::<String>::new());
    let expect = |problem: String| {
        let seen = world.report.violations();
        let found = seen.iter().any(|what| what.contains(&problem));
        assert!(found, "{problem}: {seen:?}");
    };

    // Acknowledged, and not there.
    let now = Instant::now();
    world.ledger.keys().key(second).version = 2;
    let begun = world.ledger.begin(first, Change::Revoke, "never");
    world.ledger.done(first, Change::Revoke, None, 1, begun);
    let lost = json!({"key_id": ID, "key": "text", "version": 1});
    world.ledger.issued(&lost.to_string(), now);
    check_during_load(&world).await;
    expect(format!("key {second}: version 2 was acknowledged"));
    expect(format!("key {first}: it was revoked"));
    expect(format!("key {ID}: it was issued and is not there"));

    // There, and never told or by half.
    let told_nobody = gate.manager().issue(NewKey::for_owner("org_42")).await;
    assert!(told_nobody.is_ok());
    gate.manager().revoke(&second, "leaked").await.unwrap();
    assert_eq!(world.store.revoke_by_hand(&first).await, Ok(true));
    check_after_load(&world).await;
    expect("1 keys are stored that nobody was told of, and not 0".into());
    expect(format!("key {second}: a good secret"));
    expect(format!("key {first}: it has 1 audit events"));
}
