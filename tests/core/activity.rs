//! What is said of a key by how it is used.

use std::time::Duration;

use keygate::store::{KeyUsage, ScopeUsage, SecretUsage, UsageBatch, UsageEntry};
use keygate::{
    Change, Clock, Day, Issued, KeyInfo, KeyStatus, ManageError, NewKey, Safety, StoreErrorKind,
    Timestamp,
};

use crate::ceiling::caller;
use crate::common::*;
use crate::manage::issue;

/// Since when all instances count, as they leave it in the store.
const COUNTED_SINCE: &str = "keygate/usage_counted_since_ms";

pub(crate) async fn counting_since(world: &World, since: Option<Timestamp>) {
    let settings = world.store.inner().abilities().settings.unwrap();
    let kept = settings.read(COUNTED_SINCE).await.unwrap();
    let since = since.map_or(String::new(), |since| since.as_unix_millis().to_string());
    let set = settings.compare_and_set(COUNTED_SINCE, kept.as_deref(), since.as_bytes());
    set.await.unwrap();
}

/// What a process counted of one key at one moment.
pub(crate) struct Use(UsageEntry);

impl Use {
    pub(crate) fn of(key: &KeyInfo, at: Timestamp) -> Self {
        Self(UsageEntry {
            key_id: key.key_id,
            owner: key.owner.clone(),
            day: Day::of(at),
            usage: KeyUsage {
                requests: 1,
                last_used_at: at,
                last_used_from: None,
                scopes: Vec::new(),
                lacked: Vec::new(),
                secrets: Vec::new(),
            },
        })
    }

    pub(crate) fn needing(mut self, scope: &str) -> Self {
        let scope = self.scope(scope);
        self.0.usage.scopes.push(scope);
        self
    }

    pub(crate) fn lacking(mut self, scope: &str) -> Self {
        let scope = self.scope(scope);
        self.0.usage.lacked.push(scope);
        self
    }

    pub(crate) fn with_secret_of(mut self, created_at: Timestamp) -> Self {
        self.0.usage.secrets.push(SecretUsage {
            created_at,
            requests: 1,
            last_used_at: self.0.usage.last_used_at,
        });
        self
    }

    fn scope(&self, scope: &str) -> ScopeUsage {
        ScopeUsage {
            scope: scope.into(),
            requests: 1,
            last_at: self.0.usage.last_used_at,
        }
    }
}

/// The batch of a process that counted only this.
pub(crate) async fn count(world: &World, used: Use) {
    let mut instance = [0; 16];
    getrandom::fill(&mut instance).unwrap();
    let batch = UsageBatch {
        instance: u128::from_ne_bytes(instance),
        sequence: 1,
        entries: vec![used.0],
    };
    let usage = world.store.inner().abilities().usage.unwrap();
    usage.add(&batch).await.unwrap();
}

pub(crate) fn ago(world: &World, by: Duration) -> Timestamp {
    let now = world.clock.wall().as_unix_millis();
    Timestamp::from_unix_millis(now - i64::try_from(by.as_millis()).unwrap()).unwrap()
}

pub(crate) fn later(moment: Timestamp, by: Duration) -> Timestamp {
    moment.checked_add(by).unwrap()
}

async fn safety(world: &World, key: &Issued, idle_for: Duration) -> Safety {
    let activity = world.keys.manager().activity(&key.info.key_id);
    activity.await.unwrap().safe_to_revoke(idle_for)
}

#[track_caller]
fn unproved(safety: Safety) -> (Option<Timestamp>, Option<Timestamp>) {
    match safety {
        Safety::Unproved(unproved) => (unproved.watched_since, unproved.provable_at),
        other => panic!("not unproved: {other:?}"),
    }
}

#[tokio::test]
async fn a_key_that_was_never_used_is_idle_from_its_issue_or_the_beginning_of_counting() {
    let world = World::new().await;
    let issued = world.clock.wall();
    let key = issue(&world).await;
    counting_since(&world, Some(ago(&world, DAY))).await;
    world.clock.advance(HOUR - millis(1));
    let too_early = unproved(safety(&world, &key, HOUR).await);
    assert_eq!(too_early, (Some(issued), Some(later(issued, HOUR))));
    world.clock.advance(millis(1));
    let idle = safety(&world, &key, HOUR).await;
    assert_eq!(idle, Safety::Idle { since: issued });
    assert!(idle.is_safe());

    let since = world.clock.wall();
    counting_since(&world, Some(since)).await;
    world.clock.advance(HOUR - millis(1));
    let too_early = unproved(safety(&world, &key, HOUR).await);
    assert_eq!(too_early, (Some(since), Some(later(since, HOUR))));
    world.clock.advance(millis(1));
    assert_eq!(safety(&world, &key, HOUR).await, Safety::Idle { since });
    let id = key.info.key_id;
    let activity = world.keys.manager().activity(&id).await.unwrap();
    assert_eq!((activity.idle_since(), activity.usage), (Some(since), None));
}

#[tokio::test]
async fn a_key_is_in_use_until_it_was_not_used_for_exactly_so_long() {
    let world = World::new().await;
    let key = issue(&world).await;
    counting_since(&world, Some(world.clock.wall())).await;
    world.clock.advance(30 * DAY);
    let last = world.clock.wall();
    count(&world, Use::of(&key.info, last)).await;
    let in_use = Safety::InUse {
        last_used_at: last,
        last_used_from: None,
    };
    assert_eq!(safety(&world, &key, DAY).await, in_use);
    assert!(!in_use.is_safe());
    world.clock.advance(DAY - millis(1));
    assert_eq!(safety(&world, &key, DAY).await, in_use);
    world.clock.advance(millis(1));
    let idle = Safety::Idle { since: last };
    assert_eq!(safety(&world, &key, DAY).await, idle);
    assert_eq!(safety(&world, &key, DAY + millis(1)).await, in_use);
    assert_eq!(safety(&world, &key, Duration::MAX).await, in_use);
}

#[tokio::test]
async fn a_use_that_lies_in_the_future_is_one_of_now() {
    let world = World::new().await;
    let key = issue(&world).await;
    counting_since(&world, Some(ago(&world, 100 * DAY))).await;
    world.clock.advance(10 * DAY);
    count(&world, Use::of(&key.info, world.clock.wall())).await;
    world.clock.step_wall(-1);
    for idle_for in [Duration::ZERO, HOUR] {
        let safety = safety(&world, &key, idle_for).await;
        assert!(matches!(safety, Safety::InUse { .. }), "{safety:?}");
    }
}

#[tokio::test]
async fn nothing_is_proved_for_the_time_in_which_not_all_instances_counted() {
    let world = World::new().await;
    let key = issue(&world).await;
    counting_since(&world, None).await;
    world.clock.advance(DAY);
    let used = world.clock.wall();
    count(&world, Use::of(&key.info, used)).await;
    world.clock.advance(DAY);
    let never_proved = safety(&world, &key, HOUR).await;
    assert_eq!(unproved(never_proved), (None, None));
    assert!(!never_proved.is_safe());
    let said = match never_proved {
        Safety::Unproved(unproved) => unproved.to_string(),
        _ => String::new(),
    };
    assert!(said.contains("not every instance"), "{said}");
    // A use proves that it is used, whoever else counts.
    let in_use = safety(&world, &key, 2 * DAY).await;
    assert!(matches!(in_use, Safety::InUse { last_used_at, .. } if last_used_at == used));
    let id = key.info.key_id;
    let activity = world.keys.manager().activity(&id).await.unwrap();
    assert_eq!(activity.idle_since(), None);
    // Counting began again after the last use: what was between the two, nobody saw.
    let since = world.clock.wall();
    counting_since(&world, Some(since)).await;
    world.clock.advance(HOUR);
    assert_eq!(safety(&world, &key, HOUR).await, Safety::Idle { since });
}

/// An instance that does not count starts while the counts are read: what it does is not in them.
#[tokio::test]
async fn counting_that_ends_while_the_counts_are_read_proves_nothing() {
    let world = World::new().await;
    let key = issue(&world).await;
    counting_since(&world, Some(ago(&world, DAY))).await;
    world.clock.advance(DAY);
    let door = Door::new();
    world.store.usage_reads.once(Fault::Hold(door.clone()));
    let (manager, id) = (world.keys.manager().clone(), key.info.key_id);
    let asking = tokio::spawn(async move { manager.activity(&id).await });
    door.arrival().await;
    counting_since(&world, None).await;
    door.open();
    let activity = asking.await.unwrap().unwrap();
    assert!(!activity.safe_to_revoke(HOUR).is_safe());
}

#[tokio::test]
async fn a_key_that_has_ended_can_go_whoever_used_it_and_one_that_is_paused_is_judged_by_its_use() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let [revoked, expired, paused, both] = [
        issue(&world).await,
        issue(&world).await,
        issue(&world).await,
        issue(&world).await,
    ];
    manager.revoke(&revoked.info.key_id, "").await.unwrap();
    let soon = || Change::new().expires_in(HOUR);
    for key in [&expired, &both] {
        manager.change(&key.info.key_id, soon()).await.unwrap();
    }
    for key in [&paused, &both] {
        manager.disable(&key.info.key_id).await.unwrap();
    }
    counting_since(&world, None).await;
    world.clock.advance(HOUR - millis(1));
    for key in [&revoked, &expired, &paused, &both] {
        count(&world, Use::of(&key.info, world.clock.wall())).await;
    }
    assert!(!safety(&world, &expired, DAY).await.is_safe());
    world.clock.advance(millis(1));
    for ended in [&revoked, &expired, &both] {
        let safety = safety(&world, ended, DAY).await;
        assert_eq!((safety, safety.is_safe()), (Safety::Ended, true));
    }
    let safety = safety(&world, &paused, DAY).await;
    assert!(matches!(safety, Safety::InUse { .. }), "{safety:?}");
}

#[tokio::test]
async fn the_old_secret_is_judged_by_its_own_use() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let key = issue(&world).await;
    let (id, old) = (key.info.key_id, key.info.secrets[0].created_at);
    counting_since(&world, Some(ago(&world, HOUR))).await;
    let judge = async |idle_for| {
        let activity = manager.activity(&id).await.unwrap();
        activity.safe_to_end_old_secret(idle_for)
    };
    assert_eq!(judge(Duration::ZERO).await, None, "there is only one");
    world.clock.advance(2 * HOUR);
    let rotated = manager.rotate_with_overlap(&id, DAY).await.unwrap();
    let new = rotated.info.secrets[0].created_at;
    // That the new one is used says nothing of the old one.
    let busy = Use::of(&key.info, world.clock.wall()).with_secret_of(new);
    count(&world, busy).await;
    assert_eq!(judge(2 * HOUR).await, Some(Safety::Idle { since: old }));
    let unproved_yet = judge(2 * HOUR + millis(1)).await.unwrap();
    let provable_at = later(old, 2 * HOUR + millis(1));
    assert_eq!(unproved(unproved_yet), (Some(old), Some(provable_at)));

    let last = world.clock.wall();
    count(&world, Use::of(&key.info, last).with_secret_of(old)).await;
    world.clock.advance(HOUR);
    let busy = Use::of(&key.info, world.clock.wall()).with_secret_of(new);
    count(&world, busy).await;
    assert_eq!(judge(HOUR).await, Some(Safety::Idle { since: last }));
    let in_use = Safety::InUse {
        last_used_at: last,
        last_used_from: None,
    };
    assert_eq!(judge(HOUR + millis(1)).await, Some(in_use));
    assert!(!safety(&world, &key, HOUR).await.is_safe());

    world.clock.advance(23 * HOUR - millis(1));
    assert!(judge(HOUR).await.is_some());
    world.clock.advance(millis(1));
    assert_eq!(judge(HOUR).await, None, "the overlap has ended");
}

#[tokio::test]
async fn the_old_secret_of_a_key_that_has_ended_is_not_asked_for() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let id = issue(&world).await.info.key_id;
    let _rotated = manager.rotate(&id).await.unwrap();
    manager.revoke(&id, "").await.unwrap();
    let activity = manager.activity(&id).await.unwrap();
    assert_eq!(activity.info.status, KeyStatus::Revoked);
    assert_eq!(activity.safe_to_end_old_secret(Duration::ZERO), None);
}

#[tokio::test]
async fn a_moment_that_is_none_is_an_error_that_names_the_setting() {
    let world = World::new().await;
    let id = issue(&world).await.info.key_id;
    let settings = world.store.inner().abilities().settings.unwrap();
    let kept = settings.read(COUNTED_SINCE).await.unwrap();
    let set = settings.compare_and_set(COUNTED_SINCE, kept.as_deref(), b"yesterday");
    set.await.unwrap();
    match world.keys.manager().activity(&id).await {
        Err(ManageError::Store(error)) => {
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains(COUNTED_SINCE), "{cause}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_caller_sees_how_the_keys_of_its_owner_and_environment_are_used_and_no_others() {
    let world = World::new().await;
    let own = issue(&world).await;
    let caller = caller(&world, &own).await;
    let manager = world.keys.manager().on_behalf_of(&caller);
    let used = world.clock.wall();
    count(&world, Use::of(&own.info, used)).await;
    let activity = manager.activity(&own.info.key_id).await.unwrap();
    assert_eq!(activity.usage.map(|usage| usage.last_used_at), Some(used));
    for other in [
        NewKey::for_owner("b"),
        NewKey::for_owner("a").environment(SANDBOX),
    ] {
        let other = world.keys.manager().issue(other).await.unwrap();
        count(&world, Use::of(&other.info, used)).await;
        let reads = world.store.usage_reads.count();
        let outcome = manager.activity(&other.info.key_id).await;
        assert!(matches!(outcome, Err(ManageError::NotFound(_))));
        assert_eq!(world.store.usage_reads.count(), reads);
    }
    let host = world.keys.manager();
    host.revoke(&own.info.key_id, "").await.unwrap();
    let outcome = manager.activity(&own.info.key_id).await;
    assert!(matches!(outcome, Err(ManageError::CallerEnded)));
}
