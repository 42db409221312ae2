//! The feed of changes: what it reports, when, and what it leaves alone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use keygate::store::{Beat, ChangeListener, HEARTBEAT};
use keygate::{KeyId, KeyStore, SqliteStore, StoreError, SystemClock};
use rusqlite::Connection;

use crate::support::*;

/// A listener that keeps what it was told, in its order.
#[derive(Default)]
pub(crate) struct Ear {
    told: Mutex<Vec<Told>>,
    beats: Mutex<Vec<Beat>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    Changed(KeyId),
    All,
    /// With the number of its beat: 0 for the first that was begun.
    Alive(usize),
}

impl ChangeListener for Ear {
    fn changed(&self, id: &KeyId) {
        self.told.lock().unwrap().push(Told::Changed(*id));
    }

    fn all_changed(&self) {
        self.told.lock().unwrap().push(Told::All);
    }

    fn beat(&self) -> Beat {
        let beat = Beat::begin(&SystemClock);
        self.beats.lock().unwrap().push(beat);
        beat
    }

    fn alive(&self, beat: Beat) {
        let shown = |beat: &Beat| format!("{beat:?}");
        let beats = self.beats.lock().unwrap();
        let number = beats.iter().rposition(|begun| shown(begun) == shown(&beat));
        self.told.lock().unwrap().push(Told::Alive(number.unwrap()));
    }
}

impl Ear {
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// Does `work`, and returns what was told meanwhile, beside heartbeats, and until a heartbeat
    /// that was begun after it.
    ///
    /// The feed is followed by whoever calls [`following`].
    pub(crate) async fn news_of(&self, work: impl Future<Output = ()>) -> Vec<Told> {
        let heard = self.told().len();
        work.await;
        let begun = self.beats.lock().unwrap().len();
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let told = self.told();
            let proven = |told: &Told| matches!(told, Told::Alive(number) if *number >= begun);
            if let Some(end) = told[heard..].iter().position(proven) {
                let mut news = told[heard..heard + end].to_vec();
                news.retain(|told| !matches!(told, Told::Alive(_)));
                return news;
            }
        }
    }

    /// What a change typed by hand is told as. Nothing is told before all of it is typed.
    async fn news_by_hand(&self, hand: &Connection, sql: &str) -> Vec<Told> {
        self.news_of(async { hand.execute_batch(sql).unwrap() })
            .await
    }
}

/// Does `work` while `ear` follows the feed of `store`, from after its first heartbeat.
pub(crate) async fn following<T>(
    store: &SqliteStore,
    ear: &Ear,
    work: impl Future<Output = T>,
) -> T {
    let feed = store.abilities().change_feed.unwrap();
    let work = async {
        ear.news_of(async {}).await;
        work.await
    };
    tokio::select! {
        error = feed.follow(ear) => panic!("the feed broke: {}", explain(&error)),
        done = tokio::time::timeout(Duration::from_secs(60), work) => done.unwrap(),
    }
}

/// Follows until the feed breaks.
pub(crate) async fn broken(store: &SqliteStore, ear: &Ear) -> StoreError {
    let feed = store.abilities().change_feed.unwrap();
    tokio::time::timeout(Duration::from_secs(10), feed.follow(ear))
        .await
        .unwrap()
}

/// A file with some records, as two processes have it open.
struct Shared {
    place: Place,
    ours: SqliteStore,
    theirs: SqliteStore,
    ids: Vec<KeyId>,
}

impl Shared {
    async fn new() -> Self {
        let place = Place::new();
        let (ours, theirs) = (place.open().await, place.open().await);
        let mut ids = Vec::new();
        for _ in 0..3 {
            let record = record();
            insert(&ours, &record).await.unwrap();
            ids.push(record.id);
        }
        ids.sort();
        Self {
            place,
            ours,
            theirs,
            ids,
        }
    }

    /// Changes a record through the other store.
    async fn change(&self, id: &KeyId) {
        let record = self.theirs.get(id).await.unwrap().unwrap();
        update(&self.theirs, &next_version(&record)).await.unwrap();
    }
}

/// In the order of their ids, each once: a trigger that changes a row again is a change too.
fn ids_in(news: &[Told]) -> Vec<KeyId> {
    let mut ids: Vec<KeyId> = news
        .iter()
        .map(|told| match told {
            Told::Changed(id) => *id,
            other => panic!("{other:?} of {news:?}"),
        })
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

#[tokio::test]
async fn what_was_changed_before_a_heartbeat_was_begun_is_told_before_it_comes_through() {
    let shared = Shared::new().await;
    let ear = Ear::default();
    following(&shared.ours, &ear, async {
        for round in 0..50 {
            let id = shared.ids[round % 3];
            let news = ear.news_of(shared.change(&id)).await;
            assert_eq!(ids_in(&news), [id], "round {round}");
        }
        // This process counts as any other.
        for store in [&shared.theirs, &shared.ours] {
            let new = record();
            let create = async { insert(store, &new).await.unwrap() };
            assert_eq!(ids_in(&ear.news_of(create).await), [new.id]);
        }
    })
    .await;
}

/// Acknowledged by another thread at any moment, also between two steps of the feed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_heartbeat_overtakes_what_was_acknowledged_when_it_was_begun() {
    let shared = Shared::new().await;
    let ear = Arc::new(Ear::default());
    let (theirs, begun) = (shared.theirs.clone(), Arc::clone(&ear));
    let acknowledged = following(&shared.ours, &ear, async {
        let write = tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for _ in 0..300 {
                let new = record();
                insert(&theirs, &new).await.unwrap();
                acknowledged.push((new.id, begun.beats.lock().unwrap().len()));
            }
            acknowledged
        });
        let acknowledged = write.await.unwrap();
        ear.news_of(async {}).await;
        acknowledged
    })
    .await;
    let told = ear.told();
    for (id, begun) in acknowledged {
        let changed = told.iter().position(|told| *told == Told::Changed(id));
        let proven = told
            .iter()
            .position(|told| matches!(told, Told::Alive(number) if *number >= begun));
        assert!(changed.unwrap() < proven.unwrap(), "{id}");
    }
}

#[tokio::test]
async fn a_key_changed_by_hand_is_told_and_only_that_one() {
    let shared = Shared::new().await;
    let hand = shared.place.by_hand();
    let ear = Ear::default();
    let first = shared.ids[0];
    following(&shared.ours, &ear, async {
        for sql in [
            "UPDATE keygate_keys SET name = 'by hand'",
            "UPDATE keygate_keys SET revoked_at = 8",
            "UPDATE OR REPLACE keygate_keys SET version = 90",
            "UPDATE keygate_keys SET version = 99",
            "DELETE FROM keygate_keys",
        ] {
            let sql = format!("{sql} WHERE id = '{first}'");
            let news = ear.news_by_hand(&hand, &sql).await;
            assert_eq!(ids_in(&news), [first], "{sql}");
        }
        for sql in [
            "UPDATE keygate_keys SET name = 'all'",
            "DELETE FROM keygate_keys",
        ] {
            let news = ear.news_by_hand(&hand, sql).await;
            assert_eq!(ids_in(&news), shared.ids[1..], "{sql}");
        }
    })
    .await;
}

#[tokio::test]
async fn commits_that_change_no_key_empty_no_cache() {
    let shared = Shared::new().await;
    let hand = shared.place.by_hand();
    let ear = Ear::default();
    following(&shared.ours, &ear, async {
        let settings = shared.theirs.abilities().settings.unwrap();
        let set = async { settings.compare_and_set("a", None, b"1").await.unwrap() };
        assert_eq!(ear.news_of(set).await, []);
        for sql in [
            "DELETE FROM keygate_audit",
            "CREATE TABLE notes (text); INSERT INTO notes VALUES ('unrelated')",
            "UPDATE keygate_keys SET name = 'no row' WHERE id = 'aaaaaaaaaaaa'",
            "BEGIN; UPDATE keygate_keys SET name = 'undone'; ROLLBACK; DELETE FROM notes",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "VACUUM",
        ] {
            assert_eq!(ear.news_by_hand(&hand, sql).await, [], "{sql}");
        }
    })
    .await;
}

#[tokio::test]
async fn more_changes_than_are_kept_are_told_as_any_record() {
    let shared = Shared::new().await;
    let mut hand = shared.place.by_hand();
    let kept = "SELECT count(*), max(sequence) FROM keygate_changes";
    let kept = |hand: &Connection| -> (i64, i64) {
        hand.query_row(kept, (), |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    };
    let ear = Ear::default();
    following(&shared.ours, &ear, async {
        // As many as are kept, and with the one that was told before, one too many.
        for (changes, news) in [
            (4095, None),
            (4096, Some(Told::All)),
            (9000, Some(Told::All)),
        ] {
            let change = async {
                let transaction = hand.transaction().unwrap();
                for n in 0..changes {
                    let set = "UPDATE keygate_keys SET version = version + 1 WHERE id = ?1";
                    let id = shared.ids[n % 3].as_str();
                    transaction.execute(set, [id]).unwrap();
                }
                transaction.commit().unwrap();
            };
            let told = ear.news_of(change).await;
            match news {
                Some(news) => assert_eq!(told, [news], "{changes}"),
                None => assert_eq!(ids_in(&told), shared.ids),
            }
        }
        assert_eq!(kept(&hand).0, 4096);
        let news = ear.news_of(shared.change(&shared.ids[1])).await;
        assert_eq!(ids_in(&news), [shared.ids[1]]);
    })
    .await;
}

#[tokio::test]
async fn entries_that_are_deleted_or_spoiled_by_hand_are_told_as_any_record() {
    let shared = Shared::new().await;
    let hand = shared.place.by_hand();
    let ear = Ear::default();
    following(&shared.ours, &ear, async {
        for sql in [
            "DELETE FROM keygate_changes",
            "UPDATE keygate_changes SET id = 'no id'
             WHERE sequence = (SELECT max(sequence) FROM keygate_changes)",
            "INSERT INTO keygate_changes (id) VALUES ('aaaaaaaaaaaa'), ('aaaaaaaaaaab');
             DELETE FROM keygate_changes WHERE id = 'aaaaaaaaaaaa'",
        ] {
            let change = format!("BEGIN; UPDATE keygate_keys SET name = 'x'; {sql}; COMMIT");
            let news = ear.news_by_hand(&hand, &change).await;
            assert_eq!(news, [Told::All], "{sql}");
            // After an empty table, the next entry is without a predecessor too.
            ear.news_of(shared.change(&shared.ids[0])).await;
            let news = ear.news_of(shared.change(&shared.ids[0])).await;
            assert_eq!(ids_in(&news), [shared.ids[0]], "{sql}");
        }
    })
    .await;
}

/// What `.restore` of the `sqlite3` program does to those who have the file open: every row becomes
/// what it was, in one commit.
fn restore(hand: &Connection, copy: &str) {
    let rows =
        |table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM copy.{table};");
    hand.execute("ATTACH ?1 AS copy", [copy]).unwrap();
    let tables = ["keygate_keys", "keygate_changes", "sqlite_sequence"].map(rows);
    hand.execute_batch(&format!("BEGIN; {} COMMIT; DETACH copy", tables.concat()))
        .unwrap();
}

#[tokio::test]
async fn a_backup_that_is_put_back_into_the_file_is_told_as_any_record() {
    // By the next look the file has gone on by fewer changes than were undone, as many, or more.
    for later in 0..4 {
        let (shared, copy) = (Shared::new().await, Place::new());
        let copy = copy.path().to_str().unwrap().to_owned();
        let hand = shared.place.by_hand();
        hand.execute("VACUUM INTO ?1", [&copy]).unwrap();
        let ear = Ear::default();
        following(&shared.ours, &ear, async {
            let undone = async {
                shared.change(&shared.ids[0]).await;
                shared.change(&shared.ids[1]).await;
            };
            assert_eq!(ids_in(&ear.news_of(undone).await), shared.ids[..2]);
            let restored = async {
                restore(&hand, &copy);
                for _ in 0..later {
                    let set = "UPDATE keygate_keys SET version = version + 1 WHERE id = ?1";
                    hand.execute(set, [shared.ids[2].as_str()]).unwrap();
                }
            };
            let news = ear.news_of(restored).await;
            assert_eq!(news, [Told::All], "{later} changes later");
        })
        .await;
    }
}

#[tokio::test]
async fn heartbeats_come_in_time_and_in_their_order_while_nothing_happens() {
    let shared = Shared::new().await;
    let ear = Ear::default();
    following(&shared.ours, &ear, tokio::time::sleep(HEARTBEAT * 4)).await;
    let alive: Vec<Told> = ear.told();
    assert!(alive.len() > 4, "{alive:?}");
    assert_eq!(alive[0], Told::All, "nothing is known at first");
    let expected: Vec<Told> = (0..alive.len() - 1).map(Told::Alive).collect();
    assert_eq!(alive[1..], expected);
}

#[tokio::test]
async fn following_can_be_dropped_and_taken_up_again_by_several() {
    let shared = Shared::new().await;
    for _ in 0..20 {
        let (one, other) = (Ear::default(), Ear::default());
        following(&shared.ours, &one, async {
            following(&shared.ours, &other, async {
                let theirs = async {
                    let news = other.news_of(shared.change(&shared.ids[1])).await;
                    assert_eq!(ids_in(&news), [shared.ids[1]]);
                };
                assert_eq!(ids_in(&one.news_of(theirs).await), [shared.ids[1]]);
            })
            .await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_feed_that_cannot_be_read_says_so_and_is_not_alive() {
    let shared = Shared::new().await;
    let hand = shared.place.by_hand();
    hand.execute_batch("ALTER TABLE keygate_changes RENAME TO elsewhere")
        .unwrap();
    let ear = Ear::default();
    let error = broken(&shared.ours, &ear).await;
    assert!(explain(&error).contains("keygate_changes"), "{error:?}");
    assert_eq!(ear.told(), []);
    hand.execute_batch("ALTER TABLE elsewhere RENAME TO keygate_changes")
        .unwrap();
    following(&shared.ours, &ear, async {}).await;
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_tool_follows_nothing() {
    let place = Place::new();
    let pepper = keygate::Pepper::generate_base64().unwrap();
    for is_tool in [false, true] {
        let mut keys = keygate::Keygate::builder("acme_live")
            .pepper(keygate::Pepper::from_base64(&pepper).unwrap())
            .store(place.open().await);
        if is_tool {
            keys = keys.as_tool();
        }
        let keys = keys.build().await.unwrap();
        // On this runtime of one thread, what was spawned has its turn.
        tokio::task::yield_now().await;
        let is_followed = !matches!(keys.change_feed(), keygate::ChangeFeedStatus::NotFollowed);
        assert_eq!(is_followed, !is_tool);
        keys.shutdown().await;
    }
}
