//! The change feed: it tells everything, in time to be of use, and breaks rather than miss
//! something.

use std::sync::{Arc, Mutex};

use keygate::store::{Beat, ChangeListener};
use keygate::{KeyId, KeyRecord, KeyStore, PostgresStore, StoreError, SystemClock};
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::servers::proxy::Proxy;
use crate::support::*;

/// What a listener was told and asked, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    Begun,
    Alive,
    Changed(KeyId),
    All,
}

#[derive(Default)]
pub(crate) struct Ears(Mutex<Vec<Heard>>);

impl Ears {
    fn add(&self, heard: Heard) {
        self.0.lock().unwrap().push(heard);
    }

    pub(crate) fn all(&self) -> Vec<Heard> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn has(&self, heard: Heard) -> bool {
        self.all().contains(&heard)
    }

    fn forget(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl ChangeListener for Ears {
    fn changed(&self, id: &KeyId) {
        self.add(Heard::Changed(*id));
    }

    fn all_changed(&self) {
        self.add(Heard::All);
    }

    fn beat(&self) -> Beat {
        self.add(Heard::Begun);
        Beat::begin(&SystemClock)
    }

    fn alive(&self, _: Beat) {
        self.add(Heard::Alive);
    }
}

/// A feed that is followed until it breaks or this is dropped.
pub(crate) struct Following {
    pub(crate) ears: Arc<Ears>,
    task: JoinHandle<StoreError>,
}

impl Following {
    pub(crate) fn begin(store: &PostgresStore) -> Self {
        let ears = Arc::new(Ears::default());
        let (store, listener) = (store.clone(), Arc::clone(&ears));
        let task = tokio::spawn(async move {
            let feed = store.abilities().change_feed.unwrap();
            feed.follow(&*listener).await
        });
        Self { ears, task }
    }

    /// One that has had its first heartbeat.
    pub(crate) async fn live(store: &PostgresStore) -> Self {
        let following = Self::begin(store);
        following.until(Heard::Alive).await;
        following
    }

    pub(crate) async fn until(&self, heard: Heard) {
        let deadline = Instant::now() + millis(10_000);
        while !self.ears.has(heard) {
            assert!(!self.task.is_finished(), "the feed broke");
            assert!(Instant::now() < deadline, "no {heard:?}");
            sleep(millis(2)).await;
        }
    }

    /// Why it broke.
    pub(crate) async fn broken(mut self) -> String {
        let error = timeout(millis(20_000), &mut self.task).await;
        explain(&error.expect("the feed goes on").unwrap())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Each of `changes`, which were acknowledged when the log had so many entries, is told before the
/// heartbeat that was begun next comes through.
fn assert_told_in_time(heard: &[Heard], changes: &[(KeyId, usize)]) {
    for (id, acknowledged) in changes {
        let begun_before = |at: usize| heard[..at].iter().filter(|h| **h == Heard::Begun).count();
        let next_beat = begun_before(*acknowledged);
        let mut arrivals = (0..heard.len()).filter(|at| heard[*at] == Heard::Alive);
        let arrival = arrivals.nth(next_beat).expect("the heartbeat came through");
        let told = heard[..arrival].contains(&Heard::Changed(*id));
        assert!(told, "{id} was not told before heartbeat {next_beat}");
    }
}

#[tokio::test]
async fn whatever_was_acknowledged_is_told_before_the_next_heartbeat() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let other = place.open_with_own_pool().await;
    let following = Following::live(&store).await;
    let mut changes = Vec::new();
    let mut hand = place.by_hand().await;
    for _ in 0..30 {
        let record = record();
        insert(&other, &record).await.unwrap();
        changes.push((record.id, following.ears.all().len()));
        let second = self::record();
        insert(&store, &second).await.unwrap();
        changes.push((second.id, following.ears.all().len()));
        sleep(millis(17)).await;
        let sql = format!(
            "UPDATE keygate_keys SET name = 'x' WHERE id = '{}'",
            second.id
        );
        run(&mut hand, &sql).await.unwrap();
        changes.push((second.id, following.ears.all().len()));
    }
    let beats = |heard: &[Heard]| heard.iter().filter(|h| **h == Heard::Alive).count();
    let enough = beats(&following.ears.all()) + 3;
    while beats(&following.ears.all()) < enough {
        sleep(millis(10)).await;
    }
    assert_told_in_time(&following.ears.all(), &changes);
}

#[tokio::test]
async fn every_way_to_change_a_row_is_told() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let following = Following::live(&store).await;
    let first = record();
    insert(&store, &first).await.unwrap();
    following.until(Heard::Changed(first.id)).await;
    for sql in [
        "UPDATE keygate_keys SET revoked_at = now()",
        "UPDATE keygate_keys SET version = version",
        "SET session_replication_role = replica; UPDATE keygate_keys SET name = 'copied'",
        "CREATE TEMP TABLE kept AS SELECT * FROM keygate_keys; DELETE FROM keygate_keys;
         INSERT INTO keygate_keys SELECT * FROM kept",
        "SET session_replication_role = replica; DELETE FROM keygate_keys",
    ] {
        following.ears.forget();
        place.run(sql).await;
        following.until(Heard::Changed(first.id)).await;
        assert!(!following.ears.has(Heard::All), "{sql}");
    }
    for sql in [
        "TRUNCATE keygate_keys",
        "SET session_replication_role = replica; TRUNCATE keygate_keys",
    ] {
        following.ears.forget();
        place.run(sql).await;
        following.until(Heard::All).await;
    }
}

#[tokio::test]
async fn what_was_rolled_back_is_not_told_and_other_tables_are_not_heard() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let neighbour = place.another_schema().open().await;
    let following = Following::live(&store).await;
    let (mine, theirs) = (record(), record());
    insert(&neighbour, &theirs).await.unwrap();
    insert(&store, &mine).await.unwrap();
    place
        .run("BEGIN; UPDATE keygate_keys SET name = 'x'; TRUNCATE keygate_keys; ROLLBACK")
        .await;
    let last = record();
    insert(&store, &last).await.unwrap();
    following.until(Heard::Changed(last.id)).await;
    let heard = following.ears.all();
    let count = |sought| heard.iter().filter(|each| **each == sought).count();
    assert_eq!(count(Heard::Changed(mine.id)), 1);
    assert_eq!(count(Heard::Changed(theirs.id)), 0);
    assert_eq!(count(Heard::All), 0);
}

#[tokio::test]
async fn what_cannot_be_read_as_an_id_means_that_all_was_changed() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let following = Following::live(&store).await;
    place
        .run("SELECT pg_notify('keygate_' || 'keygate_keys'::regclass::oid, 'whatever')")
        .await;
    following.until(Heard::All).await;
}

const LISTENING: &str =
    "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_notify($1, $2)%'
     AND pid <> pg_backend_pid() AND query NOT LIKE '%::text%'";

#[tokio::test]
async fn it_breaks_with_its_connection_and_can_be_followed_again() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    for _ in 0..2 {
        let following = Following::live(&store).await;
        let killed = place
            .run(&format!("SELECT pg_terminate_backend(pid) {LISTENING}"))
            .await;
        assert_eq!(killed.len(), 1);
        following.broken().await;
    }
}

#[tokio::test]
async fn a_dropped_feed_leaves_no_connection_behind() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let listening = async || place.run(&format!("SELECT pid {LISTENING}")).await.len();
    for round in 0..20 {
        let following = Following::begin(&store);
        // At another point each time.
        sleep(millis(round * 3)).await;
        drop(following);
    }
    let following = Following::live(&store).await;
    assert_eq!(listening().await, 1);
    drop(following);
    let deadline = Instant::now() + millis(10_000);
    while listening().await > 0 {
        assert!(Instant::now() < deadline, "connections were left behind");
        sleep(millis(20)).await;
    }
}

#[tokio::test]
async fn a_feed_that_is_dropped_outside_of_the_runtime_does_no_harm() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let ears = Arc::new(Ears::default());
    let listener = Arc::clone(&ears);
    let mut followed: std::pin::Pin<Box<dyn Future<Output = StoreError> + Send>> =
        Box::pin(async move {
            let feed = store.abilities().change_feed.unwrap();
            feed.follow(&*listener).await
        });
    while !ears.has(Heard::Alive) {
        assert!(timeout(millis(20), &mut followed).await.is_err());
    }
    std::thread::spawn(move || drop(followed)).join().unwrap();
}

#[tokio::test]
async fn a_feed_on_another_database_is_never_alive() {
    let (Some(place), Some(elsewhere)) = (Place::new().await, Place::new().await) else {
        return;
    };
    elsewhere.open().await;
    let options: PgConnectOptions = elsewhere.url.parse().unwrap();
    let builder = PostgresStore::builder(place.pool().clone()).listen_options(options);
    let store = builder.schema("public").open().await.unwrap();
    let following = Following::begin(&store);
    let ears = Arc::clone(&following.ears);
    let why = following.broken().await;
    assert!(why.contains("listen_options"), "{why}");
    assert_eq!(ears.all(), []);
}

#[tokio::test]
async fn without_its_triggers_it_is_never_alive() {
    let Some(place) = Place::new().await else {
        return;
    };
    for (n, weaken) in [
        "DROP TRIGGER keygate_tell_row ON keygate_keys",
        "DROP TRIGGER keygate_tell_truncate ON keygate_keys",
        "DROP TRIGGER keygate_guard ON keygate_keys",
        "ALTER TABLE keygate_keys DISABLE TRIGGER keygate_tell_row",
        "ALTER TABLE keygate_keys ENABLE TRIGGER keygate_tell_row",
        "ALTER TABLE keygate_keys ENABLE REPLICA TRIGGER keygate_tell_truncate",
    ]
    .into_iter()
    .enumerate()
    {
        let place = place.another_schema();
        let store = place.open().await;
        if n == 0 {
            drop(Following::live(&store).await);
        }
        place.run(weaken).await;
        let following = Following::begin(&store);
        let ears = Arc::clone(&following.ears);
        let why = following.broken().await;
        assert!(why.contains("trigger"), "{weaken}: {why}");
        assert_eq!(ears.all(), [], "{weaken}");
    }
}

#[tokio::test]
async fn a_trigger_that_is_lost_meanwhile_is_noticed() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let following = Following::live(&store).await;
    place
        .run("ALTER TABLE keygate_keys DISABLE TRIGGER keygate_tell_row")
        .await;
    let why = following.broken().await;
    assert!(why.contains("trigger"), "{why}");
}

#[tokio::test]
async fn a_read_that_another_server_answers_ends_it() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let standby = server.start_standby();
    let proxy = Proxy::to(server.port());
    let pool = PostgresStore::pool(&format!(
        "postgres://postgres@127.0.0.1:{}/postgres",
        proxy.port()
    ));
    let options: PgConnectOptions = server.url().parse().unwrap();
    let builder = PostgresStore::builder(pool.unwrap()).listen_options(options);
    let store = builder.open().await.unwrap();
    let record = record();
    insert(&store, &record).await.unwrap();
    let following = Following::live(&store).await;
    store.get(&record.id).await.unwrap().unwrap();
    server.wait_for(&standby).await;

    // The pool drifts to the standby, which says so; then that becomes a primary of its own.
    proxy.redirect(standby.port());
    proxy.cut();
    let drifted = store.get(&record.id).await;
    let why = explain(&drifted.unwrap_err());
    assert!(why.contains("standby"), "{why}");
    run(&mut standby.by_hand().await, "SELECT pg_promote()")
        .await
        .unwrap();
    assert!(!following.task.is_finished());
    let found: Option<KeyRecord> = store.get(&record.id).await.unwrap();
    assert_eq!(found, Some(record));
    let why = following.broken().await;
    assert!(why.contains("another server"), "{why}");
    let why = Following::begin(&store).broken().await;
    assert!(
        why.contains("does not hear") || why.contains("another server"),
        "{why}"
    );
}
