//! The host is told in time that a key ends: once for each threshold, whatever goes wrong meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use keygate::store::{Listed, Page, Settings, Write};
use keygate::{
    Attempt, BuildError, Change, Ends, ExpiryNotice, ExpiryNotifier, Issued, KeyId, KeyRecord,
    KeyStore, Keygate, ManageError, MemoryStore, NewKey, Rule, StoreError, StoreErrorKind,
};

use crate::common::*;
use crate::expiry_instances::Forgetful;
use crate::notices::Told;

pub(crate) async fn world(notifier: ExpiryNotifier) -> World {
    World::with(|builder| builder.expiry_notifier(notifier)).await
}

/// What another process with its own hook would be.
pub(crate) async fn gate(world: &World, notifier: ExpiryNotifier) -> Keygate {
    let builder = builder(Arc::clone(&world.store), &world.clock);
    builder.expiry_notifier(notifier).build().await.unwrap()
}

pub(crate) async fn issue(world: &World, lifetime: Duration) -> Issued {
    let new = NewKey::for_owner("a").expires_in(lifetime);
    world.keys.manager().issue(new).await.unwrap()
}

/// Looks at all keys; how many notices the hook took, and how many it did not.
pub(crate) async fn sweep(keys: &Keygate) -> (usize, usize) {
    let sweep = keys.sweep_expiring().await.unwrap();
    assert!(sweep.is_complete);
    (sweep.told, sweep.failed)
}

pub(crate) fn settings(world: &World) -> &dyn Settings {
    world.store.inner().abilities().settings.unwrap()
}

pub(crate) const LEASE: &str = "keygate/expiry_notifier";

pub(crate) async fn put(world: &World, name: &str, value: &[u8]) {
    let kept = settings(world).read(name).await.unwrap();
    let put = settings(world).compare_and_set(name, kept.as_deref(), value);
    put.await.unwrap();
}

#[tokio::test]
async fn each_threshold_is_told_once_as_the_end_comes_near() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    let issued = issue(&world, 90 * DAY).await;
    let mut days = Vec::new();
    for day in 0..100 {
        for _ in 0..2 {
            sweep(&world.keys).await;
        }
        for notice in told.take_whole() {
            assert_eq!(notice.key, issued.info);
            assert_eq!(
                (notice.ends, Some(notice.ends_at)),
                (Ends::Key, issued.info.expires_at)
            );
            days.push((day, notice.threshold));
        }
        world.clock.advance(DAY);
    }
    assert_eq!(days, [(60, 30 * DAY), (83, 7 * DAY), (89, DAY)]);
}

#[tokio::test]
async fn of_thresholds_that_are_passed_at_once_the_smallest_alone_is_told() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    let long = issue(&world, 90 * DAY).await.info.key_id;
    let short = issue(&world, 12 * HOUR).await.info.key_id;
    sweep(&world.keys).await;
    assert_eq!(told.take(), [(short, DAY)]);
    world.clock.advance(88 * DAY);
    sweep(&world.keys).await;
    assert_eq!(told.take(), [(long, 7 * DAY)], "and not that of 30 days");
    world.clock.advance(DAY);
    sweep(&world.keys).await;
    assert_eq!(told.take(), [(long, DAY)]);
}

#[tokio::test]
async fn for_a_key_without_an_end_or_one_that_has_ended_nothing_is_told() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    let manager = world.keys.manager();
    let never = NewKey::for_owner("a").never_expires();
    let _never = manager.issue(never).await.unwrap();
    let _ended = issue(&world, DAY).await;
    let revoked = issue(&world, 2 * DAY).await.info.key_id;
    let disabled = issue(&world, 2 * DAY).await.info.key_id;
    manager.revoke(&revoked, "").await.unwrap();
    manager.disable(&disabled).await.unwrap();
    world.clock.advance(DAY);
    assert_eq!(sweep(&world.keys).await, (0, 0));
    manager.enable(&disabled).await.unwrap();
    sweep(&world.keys).await;
    assert_eq!(told.take(), [(disabled, DAY)]);
}

#[tokio::test]
async fn a_new_end_has_thresholds_of_its_own() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    let id = issue(&world, 5 * DAY).await.info.key_id;
    sweep(&world.keys).await;
    assert_eq!(told.take(), [(id, 7 * DAY)]);
    for (lifetime, threshold) in [(6 * DAY, 7 * DAY), (20 * DAY, 30 * DAY)] {
        let change = Change::new().expires_in(lifetime);
        world.keys.manager().change(&id, change).await.unwrap();
        sweep(&world.keys).await;
        assert_eq!(told.take(), [(id, threshold)]);
    }
    let rename = Change::new().name("renamed");
    world.keys.manager().change(&id, rename).await.unwrap();
    assert_eq!(sweep(&world.keys).await, (0, 0), "the end is the same");
}

#[tokio::test]
async fn a_notice_says_how_the_key_is_used_and_to_what_it_could_be_narrowed() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    let new = NewKey::for_owner("a").scopes(["orders:read", "orders:write"]);
    let issued = world.keys.manager().issue(new.expires_in(DAY)).await;
    let issued = issued.unwrap();
    let read = Rule::all(["orders:read"]).unwrap();
    let attempt = Attempt::new(issued.key.expose()).requiring(&read);
    world
        .keys
        .authenticator()
        .authenticate(attempt)
        .await
        .unwrap();
    // By that, what was counted is with the store.
    world.keys.shutdown().await;
    sweep(&world.keys).await;
    let notice = told.take_whole().pop().unwrap();
    let activity = notice.activity.unwrap();
    assert_eq!(
        (&activity.info, activity.usage.as_ref().unwrap().requests),
        (&notice.key, 1)
    );
    let privileges = activity.privileges(DAY).unwrap();
    assert_eq!(privileges.dropped.to_string(), "orders:write");

    // Where it is damaged it is told all the same, and where the store is away, later.
    let usage_reads = &world.store.usage_reads;
    let _issued = issue(&world, DAY).await;
    usage_reads.once(Fault::Fail(StoreErrorKind::Unavailable));
    assert!(world.keys.sweep_expiring().await.is_err());
    usage_reads.once(Fault::Fail(StoreErrorKind::Corrupt));
    sweep(&world.keys).await;
    assert_eq!(told.take_whole().pop().unwrap().activity, None);

    // So it is on a store without usage.
    let clock = ManualClock::new();
    let store = Forgetful::new(&clock, Duration::ZERO);
    let keys = builder(store, &clock).expiry_notifier(told.notifier());
    let keys = keys.build().await.unwrap();
    let new = NewKey::for_owner("a").expires_in(DAY);
    let _issued = keys.manager().issue(new).await.unwrap();
    sweep(&keys).await;
    assert_eq!(told.take_whole().pop().unwrap().activity, None);
}

#[tokio::test]
async fn what_was_told_survives_a_restart() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    let id = issue(&world, 5 * DAY).await.info.key_id;
    sweep(&world.keys).await;
    assert_eq!(told.take(), [(id, 7 * DAY)]);
    let restarted = gate(&world, told.notifier()).await;
    assert_eq!(sweep(&restarted).await, (0, 0));
    // Nor does a threshold that is set later tell again what was told by a smaller one.
    let wider = gate(&world, told.notifier().thresholds([14 * DAY])).await;
    assert_eq!(sweep(&wider).await, (0, 0));
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("as asked for");
    }
}

#[tokio::test]
async fn a_hook_that_fails_panics_or_hangs_is_called_again_and_does_not_hold_up_others() {
    let told = Told::default();
    let ill = Arc::new(Mutex::new("fails"));
    let (its_told, its_ill) = (told.clone(), Arc::clone(&ill));
    let notifier = ExpiryNotifier::new(move |notice: ExpiryNotice| {
        let (told, ill) = (its_told.clone(), *its_ill.lock().unwrap());
        assert!(notice.key.owner != "ill" || ill != "panics at once");
        async move {
            match ill {
                _ if notice.key.owner != "ill" => {}
                "fails" => return Err("as asked for"),
                "hangs" => std::future::pending().await,
                "hangs, and panics when it is dropped" => {
                    let _bomb = Bomb;
                    std::future::pending().await
                }
                "panics" => panic!("as asked for"),
                _ => {}
            }
            told.add(notice);
            Ok(())
        }
    });
    let world = world(notifier.time_limit(millis(50))).await;
    let new = NewKey::for_owner("ill").expires_in(DAY);
    let stubborn = world.keys.manager().issue(new).await.unwrap().info.key_id;
    for illness in [
        "fails",
        "hangs",
        "hangs, and panics when it is dropped",
        "panics",
        "panics at once",
    ] {
        *ill.lock().unwrap() = illness;
        let others = [issue(&world, DAY).await, issue(&world, DAY).await];
        assert_eq!(sweep(&world.keys).await, (2, 1), "{illness}");
        let told: Vec<KeyId> = told.take().iter().map(|(id, _)| *id).collect();
        assert!(others.iter().all(|other| told.contains(&other.info.key_id)));
    }
    *ill.lock().unwrap() = "";
    assert_eq!(sweep(&world.keys).await, (1, 0));
    assert_eq!(told.take(), [(stubborn, DAY)]);
}

#[tokio::test]
async fn a_key_that_cannot_be_read_stops_no_other() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    let ids = [
        issue(&world, DAY).await.info.key_id,
        issue(&world, DAY).await.info.key_id,
    ];
    world.store.corrupt(ids[0]);
    let swept = world.keys.sweep_expiring().await.unwrap();
    assert_eq!((swept.told, swept.skipped, swept.is_complete), (1, 1, true));
    assert_eq!(told.take(), [(ids[1], DAY)]);
    world.store.mend(ids[0]);
    // Damaged between the list and a second look.
    world.store.gets.once(Fault::Fail(StoreErrorKind::Corrupt));
    let swept = world.keys.sweep_expiring().await.unwrap();
    assert_eq!((swept.told, swept.skipped), (0, 1));
    assert_eq!(sweep(&world.keys).await, (1, 0));
}

#[tokio::test]
async fn what_happened_to_a_key_since_it_was_listed_counts() {
    let told = Told::default();
    let keys: Arc<Mutex<Option<Keygate>>> = Arc::default();
    let (its_told, its_keys) = (told.clone(), Arc::clone(&keys));
    // The first to be told revokes the others.
    let notifier = ExpiryNotifier::new(move |notice: ExpiryNotice| {
        let (told, keys) = (its_told.clone(), its_keys.lock().unwrap().clone());
        async move {
            told.add(notice);
            let revoked = keys.unwrap().manager().revoke_owner("a", "").await;
            revoked.map(|_| ())
        }
    });
    let world = world(notifier).await;
    *keys.lock().unwrap() = Some(world.keys.clone());
    for _ in 0..3 {
        let _issued = issue(&world, DAY).await;
    }
    assert_eq!(sweep(&world.keys).await, (1, 0));
    assert_eq!(told.take().len(), 1);
    *keys.lock().unwrap() = None;
}

#[tokio::test]
async fn a_note_that_cannot_be_read_is_made_anew() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    let id = issue(&world, DAY).await.info.key_id;
    sweep(&world.keys).await;
    let note = format!("keygate/expiry_told/{id}");
    assert!(settings(&world).read(&note).await.unwrap().is_some());
    put(&world, &note, b"\xff").await;
    assert_eq!(sweep(&world.keys).await, (1, 0));
    assert_eq!(sweep(&world.keys).await, (0, 0));
}

/// A store without settings.
struct Settled(MemoryStore);

#[async_trait]
impl KeyStore for Settled {
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
async fn a_notifier_that_cannot_work_is_not_built() {
    let clock = ManualClock::new();
    let notifier = || Told::default().notifier();
    let unshared = builder(Settled(MemoryStore::new()), &clock).expiry_notifier(notifier());
    let error = unshared.build().await.unwrap_err();
    assert!(matches!(error, BuildError::ExpiryUnshared), "{error}");
    for wrong in [
        notifier().thresholds([]),
        notifier().thresholds([DAY, Duration::ZERO]),
        notifier().every(Duration::ZERO),
        notifier().every(DAY),
        notifier().thresholds([30 * DAY, HOUR]),
        notifier().time_limit(61 * SECOND),
        notifier().time_limit(Duration::ZERO),
    ] {
        let keys = builder(MemoryStore::new(), &clock).expiry_notifier(wrong);
        let error = keys.build().await.unwrap_err();
        assert!(matches!(error, BuildError::ExpiryNotifier(_)), "{error}");
    }
    let often_enough = notifier().every(DAY - millis(1));
    let keys = builder(MemoryStore::new(), &clock).expiry_notifier(often_enough);
    assert!(keys.build().await.is_ok());
    let without = builder(MemoryStore::new(), &clock).build().await.unwrap();
    let error = without.sweep_expiring().await.unwrap_err();
    assert!(matches!(error, ManageError::Invalid(_)), "{error}");
}
