//! The feed of changes: who is told what, in which order, and when it ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use keygate::store::{Beat, ChangeListener, HEARTBEAT};
use keygate::testing::ManualClock;
use keygate::{Clock, KeyId, KeyStore, RedisStore, StoreError, StoreErrorKind};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::proxy::Proxy;
use crate::servers::free_port;
use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    Changed(KeyId),
    AllChanged,
    /// The beat of that number, the first being 1.
    Alive(usize),
}

/// Writes down what it is told. Beats are told apart by a clock that goes on a second with each.
#[derive(Default)]
pub(crate) struct Ear {
    clock: ManualClock,
    log: Mutex<(usize, Vec<Heard>)>,
}

impl Ear {
    fn heard(&self) -> Vec<Heard> {
        self.log.lock().unwrap().1.clone()
    }

    fn begun(&self) -> usize {
        self.log.lock().unwrap().0
    }

    fn hear(&self, heard: Heard) {
        self.log.lock().unwrap().1.push(heard);
    }

    /// Of all that was heard, what it says of records.
    pub(crate) fn changes(&self) -> Vec<Heard> {
        let mut heard = self.heard();
        heard.retain(|heard| !matches!(heard, Heard::Alive(_)));
        heard
    }

    fn alive(&self) -> usize {
        let is_alive = |heard: &&Heard| matches!(heard, Heard::Alive(_));
        self.heard().iter().filter(is_alive).count()
    }

    /// Waits for a beat that begins from now on to come through. What was heard before it.
    pub(crate) async fn next_beat(&self) -> Vec<Heard> {
        let begun = self.begun();
        let is_later = |heard: &Heard| matches!(heard, Heard::Alive(beat) if *beat > begun);
        eventually("a beat comes through", || self.heard().iter().any(is_later)).await;
        let heard = self.heard();
        let position = heard.iter().position(is_later).unwrap();
        heard[..position].to_vec()
    }
}

impl ChangeListener for Ear {
    fn changed(&self, id: &KeyId) {
        self.hear(Heard::Changed(*id));
    }

    fn all_changed(&self) {
        self.hear(Heard::AllChanged);
    }

    fn beat(&self) -> Beat {
        let mut log = self.log.lock().unwrap();
        log.0 += 1;
        self.clock.advance_monotonic(SECOND);
        Beat::begin(&self.clock)
    }

    fn alive(&self, beat: Beat) {
        let mut log = self.log.lock().unwrap();
        let clock: &dyn Clock = &self.clock;
        let is_of_age = |age: &usize| beat.is_within(SECOND * (*age as u32 + 1), clock);
        let age = (0..log.0).find(is_of_age).unwrap();
        let number = log.0 - age;
        log.1.push(Heard::Alive(number));
    }
}

/// A follower, of which a first beat has come through.
pub(crate) async fn follow(store: &RedisStore) -> (Arc<Ear>, JoinHandle<StoreError>) {
    let ear = Arc::new(Ear::default());
    let (store, listener) = (store.clone(), Arc::clone(&ear));
    let following = tokio::spawn(async move {
        let feed = store.abilities().change_feed.unwrap();
        feed.follow(&*listener).await
    });
    ear.next_beat().await;
    (ear, following)
}

async fn end(following: JoinHandle<StoreError>) -> StoreError {
    let ended = tokio::time::timeout(10 * SECOND, following).await;
    ended.expect("it ends").unwrap()
}

#[tokio::test]
async fn a_change_by_anybody_is_told_before_a_beat_that_began_after_it() {
    let server = server!();
    let (store, other) = (open(&server).await, open(&server).await);
    let (ear, _following) = follow(&store).await;
    let mut acknowledged = Vec::new();
    for round in 0..200 {
        let record = record();
        let writer = if round % 2 == 0 { &store } else { &other };
        insert(writer, &record).await.unwrap();
        acknowledged.push((record.id, ear.begun()));
        sleep(Duration::from_millis(5)).await;
    }
    ear.next_beat().await;
    let heard = ear.heard();
    let mut tested = 0;
    for (id, begun) in acknowledged {
        let is_later = |heard: &Heard| matches!(heard, Heard::Alive(beat) if *beat > begun);
        let beat = heard.iter().position(is_later).unwrap();
        let told = heard.iter().position(|heard| *heard == Heard::Changed(id));
        assert!(
            told.is_some_and(|told| told < beat),
            "{id}: {told:?} {beat}"
        );
        tested += 1;
    }
    assert_eq!(tested, 200);
    assert!(!heard.contains(&Heard::AllChanged));
}

#[tokio::test]
async fn whatever_changes_a_key_by_hand_is_told() {
    let server = server!();
    let store = open(&server).await;
    let (ear, _following) = follow(&store).await;
    for command in [
        "HSET KEY revoked_at 8",
        "HINCRBY KEY version 1",
        "HDEL KEY owner",
        "PEXPIRE KEY 1",
        "DEL KEY",
        "SET KEY text",
        "RENAME KEY {keygate}:elsewhere",
        "EVAL redis.call('DEL',ARGV[1]) 0 KEY",
    ] {
        let record = record();
        insert(&store, &record).await.unwrap();
        ear.next_beat().await;
        let before = ear.heard().len();
        type_in(&server, &command.replace("KEY", &key_of(&record.id))).await;
        if command.starts_with("PEXPIRE") {
            sleep(Duration::from_millis(10)).await;
            type_in(&server, &format!("EXISTS {}", key_of(&record.id))).await;
        }
        let heard = ear.next_beat().await.split_off(before);
        assert!(
            heard.contains(&Heard::Changed(record.id)),
            "{command}: {heard:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_told_key_by_key_is_a_change_of_all() {
    let server = server!();
    let store = open(&server).await;
    let (ear, _following) = follow(&store).await;
    for command in [
        "FLUSHALL",
        "FLUSHDB",
        "HSET {keygate}:key:no-id field value",
    ] {
        let before = ear.heard().len();
        type_in(&server, command).await;
        let heard = ear.next_beat().await.split_off(before);
        assert!(heard.contains(&Heard::AllChanged), "{command}: {heard:?}");
    }
}

#[tokio::test]
async fn nothing_is_told_of_other_keys() {
    let server = server!();
    let store = open(&server).await;
    let (ear, _following) = follow(&store).await;
    let builder = RedisStore::builder(&server.url()).namespace("other");
    let other = builder.connect().await.unwrap();
    let (_ear, _following) = follow(&other).await;
    insert(&other, &record()).await.unwrap();
    type_in(&server, "SET something else").await;
    ear.next_beat().await;
    let is_beat = |heard: &Heard| matches!(heard, Heard::Alive(_));
    assert!(ear.heard().iter().all(is_beat), "{:?}", ear.heard());
}

#[tokio::test]
async fn a_beat_leaves_nothing_behind_and_does_not_reach_the_disk() {
    let server = server!();
    let store = open(&server).await;
    insert(&store, &record()).await.unwrap();
    let size = async || {
        let info = type_in(&server, "INFO persistence").await;
        let info: String = ::redis::from_redis_value(info).unwrap();
        let size = info
            .lines()
            .find_map(|line| line.strip_prefix("aof_current_size:"));
        size.unwrap().parse::<u64>().unwrap()
    };
    let before = size().await;
    assert!(before > 0);
    let (ear, _following) = follow(&store).await;
    for _ in 0..3 {
        ear.next_beat().await;
    }
    assert_eq!(size().await, before);
    let left = type_in(&server, "KEYS *beat*").await;
    assert_eq!(left, ::redis::Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_connection_that_is_closed_ends_it_and_it_can_be_followed_again() {
    let server = server!();
    let store = open(&server).await;
    for _ in 0..2 {
        let (_ear, following) = follow(&store).await;
        type_in(&server, "CLIENT KILL TYPE normal").await;
        assert_eq!(end(following).await.kind(), StoreErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn it_can_be_dropped_at_any_point() {
    let server = server!();
    let store = open(&server).await;
    let feed = store.abilities().change_feed.unwrap();
    for micros in (0..30_000).step_by(500) {
        let ear = Ear::default();
        let limit = Duration::from_micros(micros);
        let _ = tokio::time::timeout(limit, feed.follow(&ear)).await;
    }
    let (ear, _following) = follow(&store).await;
    ear.next_beat().await;
}

#[tokio::test]
async fn a_frozen_server_gives_no_sign_of_life_and_the_feed_ends() {
    let server = server!();
    let store = open(&server).await;
    let (ear, following) = follow(&store).await;
    server.freeze();
    // What was sent before may still come in.
    sleep(HEARTBEAT).await;
    let alive = ear.alive();
    sleep(2 * HEARTBEAT).await;
    assert_eq!(ear.alive(), alive);
    assert_eq!(end(following).await.kind(), StoreErrorKind::Unavailable);
    assert_eq!(ear.alive(), alive);
    server.thaw();
    follow(&store).await;
}

#[tokio::test]
async fn a_killed_server_ends_it() {
    let mut server = server!();
    let store = open(&server).await;
    let (_ear, following) = follow(&store).await;
    server.kill();
    assert_eq!(end(following).await.kind(), StoreErrorKind::Unavailable);
    let ear = Ear::default();
    let feed = store.abilities().change_feed.unwrap();
    let error = feed.follow(&ear).await;
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!(ear.begun(), 0);
}

#[tokio::test]
async fn a_demoted_master_ends_it_and_is_read_from_no_more() {
    // A replica that may be written takes a beat: there the role alone tells.
    for read_only in ["yes", "no"] {
        let server = server!("--replica-read-only", read_only);
        let store = open(&server).await;
        let record = record();
        insert(&store, &record).await.unwrap();
        let (_ear, following) = follow(&store).await;
        type_in(&server, &format!("REPLICAOF 127.0.0.1 {}", free_port())).await;
        assert_eq!(
            kind(store.get(&record.id).await),
            StoreErrorKind::Unavailable
        );
        let error = end(following).await;
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let again = store.abilities().change_feed.unwrap();
        let error = explain(&again.follow(&Ear::default()).await);
        assert!(error.contains("name the master"), "{error}");

        type_in(&server, "REPLICAOF NO ONE").await;
        follow(&store).await;
        // The last attempt to connect failed, and the next one waits for a moment.
        eventually_ok("it is read from again", async || {
            store.get(&record.id).await
        })
        .await;
    }
}

/// The address leads elsewhere, and only the connection of the requests was made anew since.
#[tokio::test]
async fn a_feed_of_another_server_than_the_one_that_is_read_gives_no_sign_of_life() {
    let (old, new) = (server!(), server!());
    let proxy = Proxy::to(old.port()).await;
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    let (ear, following) = follow(&store).await;
    proxy.lead_to(new.port());
    let clients: String = ::redis::from_redis_value(type_in(&old, "CLIENT LIST").await).unwrap();
    for client in clients.lines().filter(|client| !client.contains("flags=t")) {
        let id = client
            .split(' ')
            .find_map(|field| field.strip_prefix("id="))
            .unwrap();
        type_in(&old, &format!("CLIENT KILL ID {id}")).await;
    }
    let record = record();
    insert(&open(&new).await, &record).await.unwrap();
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
    let begun = ear.begun();
    assert_eq!(end(following).await.kind(), StoreErrorKind::Unavailable);
    let is_later = |heard: &Heard| matches!(heard, Heard::Alive(beat) if *beat > begun);
    assert!(ear.begun() > begun && !ear.heard().iter().any(is_later));
    follow(&store).await;
}

#[tokio::test]
async fn a_server_that_has_become_careless_is_not_followed() {
    let server = server!();
    let store = open(&server).await;
    type_in(&server, "CONFIG SET appendfsync everysec").await;
    let feed = store.abilities().change_feed.unwrap();
    let error = explain(&feed.follow(&Ear::default()).await);
    assert!(error.contains("appendfsync"), "{error}");
}
