//! A clock that is behind ends no secret, and neither a hook that hangs nor a store that panics stops the
//! rest.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keygate::{
    Clock, ExpiryNotice, ExpiryNotifier, ExpirySweep, Issued, KeyId, Keygate, NewKey, Policy,
};

use crate::common::*;
use crate::expiry::{LEASE, issue, put, sweep, world};
use crate::notices::Told;

const COUNTED: &str = "keygate/usage_counted_since_ms";
const MARGIN: Duration = Duration::from_secs(60);

fn policy() -> Policy {
    Policy::new().max_secret_age(90 * DAY)
}

/// A gate with the policy whose clock lags by so much.
async fn behind(world: &World, by: Duration) -> Keygate {
    let clock = ManualClock::new();
    clock.advance(world.clock.wall().saturating_since(clock.wall()));
    clock.step_wall(-i64::try_from(by.as_millis()).unwrap());
    let builder = builder(Arc::clone(&world.store), &clock).policy(policy());
    builder.build().await.unwrap()
}

/// By a gate without the policy.
async fn issue_for_ever(world: &World) -> Issued {
    let new = NewKey::for_owner("a").never_expires();
    world.keys.manager().issue(new).await.unwrap()
}

/// Of how many keys a rotation was demanded, and how many were skipped.
async fn demanded(keys: &Keygate) -> (usize, usize) {
    let sweep = keys.sweep_expiring().await.unwrap();
    assert!(sweep.is_complete);
    (sweep.rotations_demanded, sweep.skipped)
}

#[tokio::test]
async fn a_clock_that_is_behind_the_last_sweep_ends_nothing() {
    let world = world(Told::default().notifier()).await;
    let issued = issue_for_ever(&world).await;
    let created = issued.info.created_at;
    world.clock.advance(100 * DAY);
    let record = world.record(&issued.info.key_id).await;
    sweep(&world.keys).await;
    let lagging = behind(&world, 60 * DAY).await;
    for _ in 0..2 {
        assert_eq!(demanded(&lagging).await, (0, 1), "nor does it hide that");
    }
    assert_eq!(world.record(&issued.info.key_id).await, record);
    present(&world.keys, issued.key.expose()).await.unwrap();

    assert_eq!(demanded(&behind(&world, MARGIN).await).await, (1, 0));
    let record = world.record(&issued.info.key_id).await;
    let end = created.checked_add(130 * DAY - MARGIN);
    assert_eq!(record.secrets.current.not_after, end);
}

#[tokio::test]
async fn a_clock_that_is_behind_the_secret_or_the_counting_of_usage_ends_nothing() {
    let world = World::new().await;
    let id = issue_for_ever(&world).await.info.key_id;
    world.clock.advance(100 * DAY);
    let now = world.clock.wall().as_unix_millis().to_string();
    let cases: [(&[u8], Duration, (usize, usize)); 4] = [
        (now.as_bytes(), MARGIN + millis(1), (0, 1)),
        (now.as_bytes(), MARGIN, (1, 0)),
        (b"", 50 * DAY, (1, 0)),
        (b"soon", 50 * DAY, (1, 0)),
    ];
    for (counted, by, expected) in cases {
        put(&world, COUNTED, counted).await;
        put(
            &world,
            LEASE,
            br#"{"holder":null,"until":"1970-01-01T00:00:00Z"}"#,
        )
        .await;
        world
            .edit(&id, |record| record.secrets.current.not_after = None)
            .await;
        let lagging = behind(&world, by).await;
        // Being built it may have said since when it counts.
        put(&world, COUNTED, counted).await;
        assert_eq!(demanded(&lagging).await, expected, "{by:?}");
    }

    put(&world, COUNTED, b"").await;
    world.keys.manager().revoke(&id, "").await.unwrap();
    let _new = issue_for_ever(&world).await;
    for (by, expected) in [(MARGIN + millis(1), (0, 1)), (MARGIN, (1, 0))] {
        put(
            &world,
            LEASE,
            br#"{"holder":null,"until":"1970-01-01T00:00:00Z"}"#,
        )
        .await;
        let lagging = behind(&world, by).await;
        put(&world, COUNTED, b"").await;
        assert_eq!(demanded(&lagging).await, expected, "{by:?}");
    }
}

#[tokio::test]
async fn a_key_whose_secret_is_given_no_end_is_told_of_all_the_same() {
    let told = Told::default();
    let world = World::new().await;
    let id = issue(&world, 100 * DAY).await.info.key_id;
    world.clock.advance(100 * DAY - HOUR);
    put(&world, COUNTED, b"253402300799000").await;
    let strict = builder(Arc::clone(&world.store), &world.clock).policy(policy());
    let strict = strict
        .expiry_notifier(told.notifier())
        .build()
        .await
        .unwrap();
    assert_eq!(demanded(&strict).await, (0, 1));
    assert_eq!(told.take(), [(id, DAY)]);
}

/// A hook that hangs for some keys.
#[derive(Clone, Default)]
struct Hanging {
    told: Told,
    ids: Arc<Mutex<BTreeSet<KeyId>>>,
}

impl Hanging {
    fn notifier(&self) -> ExpiryNotifier {
        let own = self.clone();
        let notifier = ExpiryNotifier::new(move |notice: ExpiryNotice| {
            let hangs = own.ids.lock().unwrap().contains(&notice.key.key_id);
            let told = own.told.clone();
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                told.add(notice);
                Ok::<_, String>(())
            }
        });
        notifier.time_limit(millis(20))
    }

    fn hang_for(&self, ids: impl IntoIterator<Item = KeyId>) {
        *self.ids.lock().unwrap() = ids.into_iter().collect();
    }
}

#[tokio::test]
async fn a_hook_that_hangs_holds_up_no_demands_and_only_its_own_notices_for_long() {
    let (hook, world) = (Hanging::default(), World::new().await);
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(issue_for_ever(&world).await.info.key_id);
    }
    ids.sort_unstable();
    world.clock.advance(100 * DAY);
    let keys = builder(Arc::clone(&world.store), &world.clock).policy(policy());
    let keys = keys.expiry_notifier(hook.notifier()).build().await.unwrap();
    let next = async || {
        let sweep: ExpirySweep = keys.sweep_expiring().await.unwrap();
        let demanded = sweep.rotations_demanded;
        (demanded, sweep.told, sweep.failed, sweep.is_complete)
    };
    hook.hang_for(ids.clone());
    assert_eq!(next().await, (7, 0, 3, false), "it is called no more");
    hook.hang_for(ids[..3].to_vec());
    assert_eq!(next().await, (0, 4, 0, false), "those behind them");
    assert_eq!(next().await, (0, 0, 3, false), "and from the beginning");
    hook.hang_for([]);
    assert_eq!(next().await, (0, 0, 0, false));
    assert_eq!(next().await, (0, 3, 0, true));
    assert_eq!(hook.told.take().len(), 7);
}

#[tokio::test]
async fn a_hook_that_hangs_now_and_then_is_called_for_all_keys() {
    let hook = Hanging::default();
    let world = world(hook.notifier()).await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(issue(&world, DAY).await.info.key_id);
    }
    ids.sort_unstable();
    hook.hang_for([0, 1, 3, 4, 6].map(|n| ids[n]));
    assert_eq!(sweep(&world.keys).await, (2, 5));
}

#[tokio::test]
async fn a_smaller_threshold_that_is_passed_meanwhile_is_the_one_that_is_told() {
    let told = Told::default();
    let world = world(told.notifier()).await;
    let id = issue(&world, 7 * DAY).await.info.key_id;
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let keys = world.keys.clone();
    let sweeping = tokio::spawn(async move { keys.sweep_expiring().await.unwrap() });
    door.arrival().await;
    world.clock.advance(6 * DAY);
    door.open();
    assert_eq!(sweeping.await.unwrap().told, 1);
    assert_eq!(told.take(), [(id, DAY)]);
    assert_eq!(sweep(&world.keys).await, (0, 0), "as it was noted");
}

async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(millis(5)).await;
        }
    };
    tokio::time::timeout(20 * SECOND, waiting).await.unwrap();
}

#[tokio::test]
async fn a_store_that_panics_amid_a_sweep_stops_neither_the_counting_nor_later_sweeps() {
    let told = Told::default();
    let world = World::new().await;
    let issued = issue(&world, DAY).await;
    let builder = builder(Arc::clone(&world.store), &world.clock).usage_interval(millis(20));
    let notifier = told.notifier().every(millis(20));
    world.store.lists.once(Fault::Panic);
    let lists = world.store.lists.count();
    let keys = builder.expiry_notifier(notifier).build().await.unwrap();
    // A second future would take the work over from one that panicked.
    let running = (!cfg!(feature = "tokio")).then(|| tokio::spawn(keys.run()));
    until(|| world.store.lists.count() > lists).await;
    assert_eq!(told.count(), 0);

    let adds = world.store.usage_adds.count();
    present(&keys, issued.key.expose()).await.unwrap();
    until(|| world.store.usage_adds.count() > adds).await;
    // Its lease lapses.
    world.clock.advance(180 * SECOND);
    until(|| told.count() > 0).await;
    assert_eq!(told.take(), [(issued.info.key_id, DAY)]);
    keys.shutdown().await;
    drop(running);
}
