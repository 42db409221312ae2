//! One instance at a time looks for keys that end, whichever is frozen, slow, lost, or by the wrong clock.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use keygate::store::{Abilities, Listed, Page, Settings, Write};
use keygate::{
    Builder, Clock, ExpiryNotifier, KeyId, KeyRecord, KeyStore, Keygate, ManageError, MemoryStore,
    NewKey, Policy, StoreError, StoreErrorKind, Timestamp,
};

use crate::common::*;
use crate::expiry::{LEASE, gate, issue, put, sweep, world};
use crate::notices::{Latch, Told};

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
async fn a_holder_that_was_frozen_before_it_called_its_hook_does_not_call_it() {
    let (told, others) = (Told::default(), Told::default());
    let world = world(told.notifier()).await;
    let other = gate(&world, others.notifier()).await;
    let id = issue(&world, DAY).await.info.key_id;
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let keys = world.keys.clone();
    let frozen = tokio::spawn(async move { keys.sweep_expiring().await.unwrap() });
    door.arrival().await;
    world.clock.advance(180 * SECOND);
    assert_eq!(sweep(&other).await, (1, 0));
    door.open();
    let woken = frozen.await.unwrap();
    assert_eq!((woken.is_complete, woken.told), (false, 0));
    assert_eq!((told.take(), others.take()), (vec![], vec![(id, DAY)]));
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

/// A store whose settings can be lost, and take their time.
pub(crate) struct Forgetful {
    inner: MemoryStore,
    is_lost: Arc<Mutex<bool>>,
    clock: ManualClock,
    takes: Duration,
}

impl Forgetful {
    pub(crate) fn new(clock: &ManualClock, takes: Duration) -> Self {
        Self {
            inner: MemoryStore::new(),
            is_lost: Arc::default(),
            clock: clock.clone(),
            takes,
        }
    }
}

#[async_trait]
impl KeyStore for Forgetful {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.inner.get(id).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        if let Some(lease) = Settings::read(&self.inner, LEASE).await? {
            let lease: serde_json::Value = serde_json::from_slice(&lease).unwrap();
            let until: Timestamp = lease["until"].as_str().unwrap().parse().unwrap();
            assert!(until > self.clock.wall(), "nobody wrote without the lease");
        }
        self.inner.write(change).await?;
        self.clock.advance(self.takes);
        Ok(())
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
        self.inner.compare_and_set(name, expected, value).await?;
        self.clock.advance(self.takes);
        Ok(())
    }
}

#[tokio::test]
async fn what_could_not_be_noted_is_told_again() {
    let (told, clock) = (Told::default(), ManualClock::new());
    let store = Forgetful::new(&clock, Duration::ZERO);
    let is_lost = Arc::clone(&store.is_lost);
    let (its_told, its_lost) = (told.clone(), Arc::clone(&is_lost));
    let notifier = ExpiryNotifier::new(move |notice| {
        its_told.add(notice);
        *its_lost.lock().unwrap() = true;
        async { Ok::<_, String>(()) }
    });
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

#[tokio::test]
async fn while_many_secrets_are_given_an_end_the_lease_is_renewed() {
    let clock = ManualClock::new();
    let store = Arc::new(Forgetful::new(&clock, 59 * SECOND));
    let before = builder(Arc::clone(&store), &clock).build().await.unwrap();
    for _ in 0..10 {
        let new = NewKey::for_owner("a").never_expires();
        let _issued = before.manager().issue(new).await.unwrap();
    }
    let policy = Policy::new().max_secret_age(90 * DAY);
    let keys = builder(store, &clock).policy(policy).build().await.unwrap();
    let swept = keys.sweep_expiring().await.unwrap();
    assert_eq!((swept.is_complete, swept.rotations_demanded), (true, 10));
}

/// By then the lease may have lapsed.
#[tokio::test]
async fn after_a_renewal_that_took_too_long_nothing_is_told() {
    let (told, clock) = (Told::default(), ManualClock::new());
    for (takes, expected) in [(60 * SECOND, 0), (59 * SECOND, 1)] {
        let store = Forgetful::new(&clock, takes);
        let keys = builder(store, &clock).expiry_notifier(told.notifier());
        let keys = keys.build().await.unwrap();
        let new = NewKey::for_owner("a").expires_in(DAY);
        let _issued = keys.manager().issue(new).await.unwrap();
        let swept = keys.sweep_expiring().await.unwrap();
        assert_eq!((swept.is_complete, swept.told), (expected == 1, expected));
        assert_eq!(told.take().len(), expected);
    }
}

/// Waits for what the background work is to bring about.
async fn something_told(told: &Told) {
    let begun = Instant::now();
    while told.count() == 0 {
        assert!(begun.elapsed() < 20 * SECOND, "nothing is told");
        tokio::time::sleep(millis(5)).await;
    }
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
    something_told(&rest).await;
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
    something_told(&told).await;
    assert_eq!(told.take(), [(id, DAY)]);

    // An instance whose clock was ahead does not keep the others from looking.
    let ahead = world.clock.wall().checked_add(DAY).unwrap();
    let lease = format!(r#"{{"holder":null,"until":"{ahead}","swept_at":"{ahead}"}}"#);
    put(&world, LEASE, lease.as_bytes()).await;
    let id = issue(&world, DAY).await.info.key_id;
    something_told(&told).await;
    assert_eq!(told.take(), [(id, DAY)]);
    restless.shutdown().await;
    running.await.unwrap();
}
