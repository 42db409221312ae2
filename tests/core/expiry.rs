//! The host is told in time that a key ends: once for each threshold, whatever goes wrong meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use keygate::store::{Abilities, Listed, Page, Settings, Write};
use keygate::{
    BuildError, Builder, Change, Clock, Ends, ExpiryNotice, ExpiryNotifier, Issued, KeyId,
    KeyRecord, KeyStore, Keygate, ManageError, MemoryStore, NewKey, StoreError, StoreErrorKind,
};

use crate::common::*;
use crate::notices::{Latch, Told};

async fn world(notifier: ExpiryNotifier) -> World {
    World::with(|builder| builder.expiry_notifier(notifier)).await
}

/// What another process with its own hook would be.
async fn gate(world: &World, notifier: ExpiryNotifier) -> Keygate {
    let builder = builder(Arc::clone(&world.store), &world.clock);
    builder.expiry_notifier(notifier).build().await.unwrap()
}

async fn issue(world: &World, lifetime: Duration) -> Issued {
    let new = NewKey::for_owner("a").expires_in(lifetime);
    world.keys.manager().issue(new).await.unwrap()
}

/// Looks at all keys; how many notices the hook took, and how many it did not.
async fn sweep(keys: &Keygate) -> (usize, usize) {
    let sweep = keys.sweep_expiring().await.unwrap();
    assert!(sweep.is_complete);
    (sweep.told, sweep.failed)
}

fn settings(world: &World) -> &dyn Settings {
    world.store.inner().abilities().settings.unwrap()
}

const LEASE: &str = "keygate/expiry_notifier";

async fn put(world: &World, name: &str, value: &[u8]) {
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
    for illness in ["fails", "hangs", "panics", "panics at once"] {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_instances_at_once_one_tells_each_key_once() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    for _ in 0..600 {
        let _issued = issue(&world, DAY).await;
    }
    let lists = world.store.lists.count();
    let mut gates = vec![world.keys.clone(), world.keys.clone()];
    for _ in 0..6 {
        gates.push(gate(&world, told.notifier()).await);
    }
    let sweeping = gates.into_iter().map(|keys| {
        tokio::spawn(async move {
            let sweep = keys.sweep_expiring().await.unwrap();
            sweep.told
        })
    });
    let mut sum = 0;
    for sweeping in sweeping.collect::<Vec<_>>() {
        sum += sweeping.await.unwrap();
    }
    // Whoever came while all was being told may have found nothing left to do.
    assert_eq!(sweep(&world.keys).await, (0, 0));
    let mut keys = told.take();
    assert_eq!((sum, keys.len()), (600, 600));
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 600, "each once");
    assert!(world.store.lists.count() - lists >= 3, "page by page");
}

#[tokio::test]
async fn a_lease_is_taken_over_when_it_has_lapsed_and_its_holder_then_tells_no_more() {
    let (told, door) = (Told::default(), Latch::new());
    let world = world(told.held(&door)).await;
    let others = Told::default();
    let other = gate(&world, others.notifier()).await;
    for _ in 0..3 {
        let _issued = issue(&world, DAY).await;
    }
    let keys = world.keys.clone();
    let frozen = tokio::spawn(async move { keys.sweep_expiring().await.unwrap() });
    door.arrival().await;

    // While the hook may still be at it, nobody takes over, not by a clock that is a minute ahead.
    world.clock.advance(120 * SECOND - millis(1));
    let nothing = other.sweep_expiring().await.unwrap();
    assert_eq!((nothing.is_complete, nothing.keys), (false, 0));

    world.clock.advance(60 * SECOND + millis(1));
    assert_eq!(sweep(&other).await, (3, 0));
    door.open();
    let woken = frozen.await.unwrap();
    assert_eq!((woken.is_complete, woken.told), (false, 1));
    assert_eq!((told.take().len(), others.take().len()), (1, 3));
    assert_eq!(
        sweep(&world.keys).await,
        (0, 0),
        "what the other noted stands"
    );
}

#[tokio::test]
async fn while_the_hook_takes_its_time_the_lease_is_renewed() {
    let told = Told::default();
    let clock = ManualClock::new();
    let (its_told, its_clock) = (told.clone(), clock.clone());
    // Each call takes almost a minute.
    let slow = ExpiryNotifier::new(move |notice| {
        its_told.add(notice);
        its_clock.advance(59 * SECOND);
        async { Ok::<_, String>(()) }
    });
    let world = World::with(|builder| builder.clock(clock.clone()).expiry_notifier(slow)).await;
    for _ in 0..20 {
        let new = NewKey::for_owner("a").expires_in(DAY);
        let _issued = world.keys.manager().issue(new).await.unwrap();
    }
    assert_eq!(sweep(&world.keys).await, (20, 0));
}

#[tokio::test]
async fn an_outage_amid_a_sweep_is_an_error_and_the_next_sweep_goes_on() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(issue(&world, DAY).await.info.key_id);
    }
    ids.sort_unstable();
    // The first key is told before the second is asked for.
    world.store.gets.once(Fault::None);
    world
        .store
        .gets
        .once(Fault::Fail(StoreErrorKind::Unavailable));
    match world.keys.sweep_expiring().await {
        Err(ManageError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        other => panic!("{other:?}"),
    }
    assert_eq!(told.take(), [(ids[0], DAY)]);
    sweep(&world.keys).await;
    assert_eq!(told.take(), [(ids[1], DAY), (ids[2], DAY)]);
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

#[tokio::test]
async fn a_lease_that_nobody_can_hold_keeps_nobody_out() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    let _issued = issue(&world, DAY).await;
    // Of an instance whose clock was a year ahead, and which then died.
    let ahead = world.clock.wall().checked_add(365 * DAY).unwrap();
    let lease = format!(r#"{{"holder":"x","until":"{ahead}","swept_at":"{ahead}"}}"#);
    put(&world, LEASE, lease.as_bytes()).await;
    assert_eq!(sweep(&world.keys).await, (1, 0));
    put(&world, LEASE, b"{").await;
    let damaged = world.keys.sweep_expiring().await.unwrap_err();
    assert!(format!("{damaged:?}").contains(LEASE), "{damaged:?}");
}

/// A store whose settings can be lost.
struct Forgetful {
    inner: MemoryStore,
    is_lost: Arc<Mutex<bool>>,
}

#[async_trait]
impl KeyStore for Forgetful {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.inner.get(id).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        self.inner.write(change).await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        self.inner.list(page).await
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities::none().with_settings(self)
    }
}

#[async_trait]
impl Settings for Forgetful {
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Settings::read(&self.inner, name).await
    }

    async fn compare_and_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        if *self.is_lost.lock().unwrap() {
            return Err(StoreErrorKind::Unavailable.into());
        }
        self.inner.compare_and_set(name, expected, value).await
    }
}

#[tokio::test]
async fn what_could_not_be_noted_is_told_again() {
    let (told, is_lost) = (Told::default(), Arc::new(Mutex::new(false)));
    let (its_told, its_lost) = (told.clone(), Arc::clone(&is_lost));
    let notifier = ExpiryNotifier::new(move |notice| {
        its_told.add(notice);
        *its_lost.lock().unwrap() = true;
        async { Ok::<_, String>(()) }
    });
    let clock = ManualClock::new();
    let store = Forgetful {
        inner: MemoryStore::new(),
        is_lost: Arc::clone(&is_lost),
    };
    let keys = builder(store, &clock).expiry_notifier(notifier);
    let keys = keys.build().await.unwrap();
    let new = NewKey::for_owner("a").expires_in(DAY);
    let id = keys.manager().issue(new).await.unwrap().info.key_id;
    assert!(keys.sweep_expiring().await.is_err());
    *is_lost.lock().unwrap() = false;
    assert!(!keys.sweep_expiring().await.unwrap().is_complete, "leased");
    clock.advance(180 * SECOND);
    assert!(keys.sweep_expiring().await.is_err());
    assert_eq!(told.take(), [(id, DAY), (id, DAY)]);
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
        notifier().time_limit(61 * SECOND),
        notifier().time_limit(Duration::ZERO),
    ] {
        let keys = builder(MemoryStore::new(), &clock).expiry_notifier(wrong);
        let error = keys.build().await.unwrap_err();
        assert!(matches!(error, BuildError::ExpiryNotifier(_)), "{error}");
    }
    let without = builder(MemoryStore::new(), &clock).build().await.unwrap();
    let error = without.sweep_expiring().await.unwrap_err();
    assert!(matches!(error, ManageError::Invalid(_)), "{error}");
}

/// A gate whose background work looks for keys that end all the time.
async fn restless(change: impl FnOnce(Builder) -> Builder, notifier: ExpiryNotifier) -> Keygate {
    let builder = Keygate::builder(LIVE).pepper(pepper());
    let builder = builder.expiry_notifier(notifier.every(millis(20)));
    change(builder).build().await.unwrap()
}

#[tokio::test]
async fn the_background_work_looks_again_and_again_until_it_is_shut_down() {
    let (told, door) = (Told::default(), Latch::new());
    let store = Arc::new(MemoryStore::new());
    let notifier = told.held(&door);
    let keys = restless(|builder| builder.store(Arc::clone(&store)), notifier).await;
    let running = tokio::spawn(keys.run());
    for _ in 0..2 {
        let new = NewKey::for_owner("a").expires_in(DAY);
        let _issued = keys.manager().issue(new).await.unwrap();
    }
    door.arrival().await;
    // What is being told is told to the end, and nothing after it.
    let stopping = tokio::spawn(async move { keys.shutdown().await });
    tokio::time::sleep(millis(50)).await;
    assert!(!stopping.is_finished());
    door.open();
    stopping.await.unwrap();
    running.await.unwrap();
    assert_eq!(told.take().len(), 1);

    let rest = Told::default();
    let again = |builder: Builder| builder.store(store);
    let keys = restless(again, rest.notifier()).await;
    let running = tokio::spawn(keys.run());
    while rest.count() == 0 {
        tokio::time::sleep(millis(5)).await;
    }
    tokio::time::sleep(millis(100)).await;
    assert_eq!(rest.take().len(), 1, "the other one, and once");
    drop(keys);
    running.await.unwrap();
}

#[tokio::test]
async fn no_instance_looks_again_before_the_interval_is_over_whoever_was_the_last() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    sweep(&world.keys).await;
    let id = issue(&world, DAY).await.info.key_id;
    let restless = gate(&world, told.notifier().every(millis(20))).await;
    let running = tokio::spawn(restless.run());
    // By the clock of the gate no time passes.
    tokio::time::sleep(millis(200)).await;
    assert_eq!(told.take(), []);
    world.clock.advance(millis(20));
    while told.count() == 0 {
        tokio::time::sleep(millis(5)).await;
    }
    assert_eq!(told.take(), [(id, DAY)]);
    restless.shutdown().await;
    running.await.unwrap();
}
