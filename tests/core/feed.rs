//! A change feed whose every word the test puts into its mouth: how long records are used while it
//! holds, and what happens when it breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use keygate::store::{Abilities, ChangeFeed, ChangeListener, Listed, Page, Write};
use keygate::{
    ChangeFeedStatus, Issued, KeyId, KeyRecord, KeyStore, Keygate, MemoryStore, Rejection,
    StoreError, StoreErrorKind,
};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::common::*;
use crate::lookups::issue;

/// What the feed is to do next.
enum Word {
    Beat,
    /// A heartbeat that is under way while the test does something.
    SlowBeat(oneshot::Receiver<()>),
    Changed(KeyId),
    AllChanged,
    Break,
    Panic,
}

/// A store in memory, with a feed that does what it is told.
pub(crate) struct Fed {
    inner: MemoryStore,
    words: Mutex<mpsc::UnboundedReceiver<(Word, oneshot::Sender<()>)>>,
    connected: AtomicUsize,
}

#[async_trait]
impl KeyStore for Fed {
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
        self.inner.abilities().with_change_feed(self)
    }
}

#[async_trait]
impl ChangeFeed for Fed {
    async fn follow(&self, listener: &dyn ChangeListener) -> StoreError {
        let mut words = self.words.lock().await;
        self.connected.fetch_add(1, Ordering::SeqCst);
        loop {
            let Some((word, done)) = words.recv().await else {
                std::future::pending::<()>().await;
                continue;
            };
            let broken = StoreError::new(StoreErrorKind::Unavailable, "cut as a test asked for");
            match word {
                Word::Beat => listener.alive(listener.beat()),
                Word::SlowBeat(arrival) => {
                    let beat = listener.beat();
                    done.send(()).unwrap();
                    arrival.await.unwrap();
                    listener.alive(beat);
                    continue;
                }
                Word::Changed(id) => listener.changed(&id),
                Word::AllChanged => listener.all_changed(),
                Word::Break => {
                    done.send(()).unwrap();
                    return broken;
                }
                Word::Panic => {
                    done.send(()).unwrap();
                    panic!("as a test asked for");
                }
            }
            done.send(()).unwrap();
        }
    }
}

/// A gate on such a store, whose background work runs.
pub(crate) struct FedWorld {
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<FaultyStore>,
    fed: Arc<Fed>,
    pub(crate) keys: Keygate,
    feed: mpsc::UnboundedSender<(Word, oneshot::Sender<()>)>,
}

impl FedWorld {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(change: impl FnOnce(keygate::Builder) -> keygate::Builder) -> Self {
        let (feed, words) = mpsc::unbounded_channel();
        let fed = Arc::new(Fed {
            inner: MemoryStore::new(),
            words: Mutex::new(words),
            connected: AtomicUsize::new(0),
        });
        let clock = ManualClock::new();
        let store = Arc::new(FaultyStore::new(Arc::clone(&fed)));
        let keys = change(builder(Arc::clone(&store), &clock)).build().await;
        let keys = keys.unwrap();
        tokio::spawn(keys.run());
        let world = Self {
            clock,
            store,
            fed,
            keys,
            feed,
        };
        world.until(|| world.connections() == 1).await;
        world
    }

    async fn say(&self, word: Word) {
        let (done, said) = oneshot::channel();
        self.feed.send((word, done)).unwrap_or_else(|_| panic!());
        said.await.unwrap();
    }

    /// A heartbeat comes through at once.
    pub(crate) async fn beat(&self) {
        self.say(Word::Beat).await;
    }

    fn connections(&self) -> usize {
        self.fed.connected.load(Ordering::SeqCst)
    }

    async fn until(&self, happened: impl Fn() -> bool) {
        let happens = async {
            while !happened() {
                tokio::time::sleep(millis(2)).await;
            }
        };
        let patience = Duration::from_secs(30);
        tokio::time::timeout(patience, happens).await.unwrap();
    }

    /// Time passes in which heartbeats come through.
    pub(crate) async fn beat_for(&self, time: Duration) {
        for _ in 0..time.as_millis() / 500 {
            self.clock.advance(millis(500));
            self.beat().await;
        }
    }

    /// What another process does, of which the feed has not told yet.
    pub(crate) async fn revoke_elsewhere(&self, issued: &Issued) {
        let elsewhere = builder(Arc::clone(&self.fed), &self.clock).build().await;
        let manager = elsewhere.unwrap().manager().clone();
        manager.revoke(&issued.info.key_id, "").await.unwrap();
    }

    /// The feed tells of a change of the key.
    pub(crate) async fn tell(&self, issued: &Issued) {
        self.say(Word::Changed(issued.info.key_id)).await;
    }

    async fn opens(&self, issued: &Issued) -> bool {
        present(&self.keys, issued.key.expose()).await.is_ok()
    }

    /// How often the store is asked when the key is presented, which must open.
    async fn reads(&self, issued: &Issued) -> usize {
        let before = self.store.gets.count();
        assert!(self.opens(issued).await);
        self.store.gets.count() - before
    }
}

#[tokio::test]
async fn while_heartbeats_come_through_a_record_is_used_for_a_minute_and_not_longer() {
    let world = FedWorld::new().await;
    let issued = issue(&world.keys).await;
    world.beat().await;
    assert_eq!(world.reads(&issued).await, 1);
    world.beat_for(millis(59_500)).await;
    assert_eq!(world.reads(&issued).await, 0);
    world.beat_for(millis(500)).await;
    assert_eq!(world.reads(&issued).await, 1);
}

#[tokio::test]
async fn a_second_after_the_last_heartbeat_was_begun_records_are_used_for_a_second_alone() {
    let world = FedWorld::new().await;
    let issued = issue(&world.keys).await;
    world.beat().await;
    assert_eq!(world.reads(&issued).await, 1);
    world.beat_for(millis(5_000)).await;
    world.clock.advance(millis(999));
    assert_eq!(world.reads(&issued).await, 0);
    world.clock.advance(millis(1));
    assert_eq!(world.reads(&issued).await, 1);
    world.clock.advance(millis(999));
    assert_eq!(world.reads(&issued).await, 0);
    world.clock.advance(millis(1));
    assert_eq!(world.reads(&issued).await, 1);
}

#[tokio::test]
async fn a_heartbeat_counts_from_when_it_was_begun_and_not_from_its_arrival() {
    let world = FedWorld::new().await;
    let issued = issue(&world.keys).await;
    world.beat().await;
    assert_eq!(world.reads(&issued).await, 1);
    let (arrive, arrival) = oneshot::channel();
    world.say(Word::SlowBeat(arrival)).await;
    world.clock.advance(millis(1_500));
    arrive.send(()).unwrap();
    // The next word is taken after the heartbeat has arrived.
    world.say(Word::Changed(KeyId::generate().unwrap())).await;
    assert_eq!(world.reads(&issued).await, 1);
}

#[tokio::test]
async fn what_the_feed_tells_is_honoured_at_once() {
    let world = FedWorld::new().await;
    let (revoked, other) = (issue(&world.keys).await, issue(&world.keys).await);
    world.beat().await;
    assert!(world.opens(&revoked).await && world.opens(&other).await);
    world.revoke_elsewhere(&revoked).await;
    assert!(world.opens(&revoked).await, "it was not told yet");
    world.tell(&revoked).await;
    let outcome = present(&world.keys, revoked.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);

    world.revoke_elsewhere(&other).await;
    world.say(Word::AllChanged).await;
    let outcome = present(&world.keys, other.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);
}

#[tokio::test]
async fn what_was_read_before_the_feed_was_heard_of_is_not_used_in_its_lease() {
    let world = FedWorld::new().await;
    let issued = issue(&world.keys).await;
    assert!(world.opens(&issued).await);
    world.revoke_elsewhere(&issued).await;
    world.beat().await;
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);
}

#[tokio::test]
async fn what_was_changed_while_the_feed_was_broken_is_honoured_with_its_first_heartbeat() {
    let world = FedWorld::new().await;
    let issued = issue(&world.keys).await;
    world.beat().await;
    assert!(world.opens(&issued).await);
    world.say(Word::Break).await;
    world.revoke_elsewhere(&issued).await;
    world.until(|| world.connections() == 2).await;
    world.beat().await;
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);
}

#[tokio::test]
async fn a_broken_feed_puts_nobody_off_for_longer_than_a_second() {
    let world = FedWorld::new().await;
    let issued = issue(&world.keys).await;
    world.beat().await;
    assert!(world.opens(&issued).await);
    world.say(Word::Break).await;
    world.revoke_elsewhere(&issued).await;
    world.clock.advance(millis(999));
    assert!(world.opens(&issued).await, "the lease lasts");
    world.clock.advance(millis(1));
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);
}

#[tokio::test]
async fn a_process_that_was_frozen_finds_its_lease_ended() {
    for both_clocks in [true, false] {
        let world = FedWorld::new().await;
        let issued = issue(&world.keys).await;
        world.beat().await;
        assert!(world.opens(&issued).await);
        world.revoke_elsewhere(&issued).await;
        match both_clocks {
            true => world.clock.advance(millis(5_000)),
            // A suspended machine: only the time of day shows it.
            false => world.clock.step_wall(5_000),
        }
        let outcome = present(&world.keys, issued.key.expose()).await;
        assert_eq!(rejection(outcome), Rejection::KeyRevoked);
    }
}

#[tokio::test]
async fn a_wall_clock_that_steps_back_ends_the_lease() {
    let world = FedWorld::new().await;
    let issued = issue(&world.keys).await;
    world.beat().await;
    assert!(world.opens(&issued).await);
    world.clock.step_wall(-1);
    assert_eq!(world.reads(&issued).await, 1);
}

#[tokio::test]
async fn in_the_lease_too_a_refusal_needs_a_record_of_the_last_tenth_of_a_second() {
    let world = FedWorld::new().await;
    let issued = issue(&world.keys).await;
    world.beat().await;
    assert!(world.opens(&issued).await);
    world.beat_for(millis(2_000)).await;
    let wrong = with_wrong_secret(issued.key.expose());
    let before = world.store.gets.count();
    assert_eq!(
        rejection(present(&world.keys, &wrong).await),
        Rejection::KeyInvalid
    );
    assert_eq!(world.store.gets.count(), before + 1);
}

#[tokio::test]
async fn a_feed_that_breaks_panics_or_falls_silent_is_followed_again() {
    let world = FedWorld::new().await;
    for (connections, word) in [(2, Word::Break), (3, Word::Panic)] {
        world.say(word).await;
        world.until(|| world.connections() == connections).await;
    }
    world.until(|| world.connections() == 4).await;
    world.beat().await;
    assert!(matches!(world.keys.change_feed(), ChangeFeedStatus::Live));
}

#[tokio::test]
async fn a_feed_whose_heartbeats_come_through_is_left_alone() {
    let world = FedWorld::new().await;
    for _ in 0..40 {
        world.beat().await;
        tokio::time::sleep(millis(100)).await;
    }
    assert_eq!(world.connections(), 1);
}

#[tokio::test]
async fn a_second_runner_takes_over_from_one_that_was_dropped() {
    let world = FedWorld::new().await;
    let gate = builder(world.fed.clone(), &world.clock);
    let runtime = std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap());
    let runtime = runtime.join().unwrap();
    // Whatever this spawns ends with its runtime.
    let keys = runtime.spawn(gate.build()).await.unwrap().unwrap();
    let first = runtime.spawn(keys.run());
    world.keys.shutdown().await;
    world.until(|| world.connections() == 2).await;
    tokio::spawn(keys.run());
    first.abort();
    runtime.shutdown_background();
    world.until(|| world.connections() == 3).await;
}

#[tokio::test]
async fn a_feed_that_breaks_after_each_first_heartbeat_is_tried_less_and_less_often() {
    let world = FedWorld::new().await;
    let began = std::time::Instant::now();
    for connections in 2..=5 {
        world.beat().await;
        world.say(Word::Break).await;
        world.until(|| world.connections() == connections).await;
    }
    // 50 ms, 100, 200 and 400 at the least.
    assert!(began.elapsed() >= millis(750), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_health_of_the_feed_is_told() {
    let unfed = World::new().await;
    assert!(matches!(unfed.keys.change_feed(), ChangeFeedStatus::Absent));
    let world = FedWorld::new().await;
    match world.keys.change_feed() {
        ChangeFeedStatus::Down { error: None, .. } => {}
        other => panic!("before its first heartbeat: {other:?}"),
    }
    world.beat().await;
    assert!(matches!(world.keys.change_feed(), ChangeFeedStatus::Live));
    world.say(Word::Break).await;
    world.until(|| world.connections() == 2).await;
    world.clock.advance(SECOND);
    match world.keys.change_feed() {
        ChangeFeedStatus::Down {
            error: Some(error), ..
        } => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        other => panic!("after it broke: {other:?}"),
    }
    world.keys.shutdown().await;
    assert!(matches!(
        world.keys.change_feed(),
        ChangeFeedStatus::NotFollowed
    ));
}

#[tokio::test]
async fn the_background_work_ends_with_a_shutdown_and_with_the_last_of_the_gate() {
    let world = FedWorld::new().await;
    let run = tokio::spawn(world.keys.run());
    world.keys.shutdown().await;
    run.await.unwrap();

    let world = FedWorld::new().await;
    let FedWorld { keys, store, .. } = world;
    let authenticator = keys.authenticator().clone();
    drop(keys);
    tokio::time::sleep(millis(20)).await;
    assert_eq!(Arc::strong_count(&store), 2, "an authenticator is left");
    drop(authenticator);
    let gone = async {
        while Arc::strong_count(&store) > 1 {
            tokio::time::sleep(millis(2)).await;
        }
    };
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, gone).await.unwrap();
}
