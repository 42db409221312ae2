//! Where the policy says how old a secret may be, each ends by then, and none without notice.

use std::time::Duration;

use keygate::audit::{Actor, AuditAction, AuditEvent};
use keygate::store::AuditQuery;
use keygate::{
    BuildError, Change, Ends, Excess, Issued, KeyId, KeyManager, KeyStatus, ManageError,
    MemoryStore, NewKey, Policy, Rejection, Timestamp,
};

use crate::common::*;
use crate::notices::Told;

const AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const NOTICE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Keys may last for ever, and secrets for 90 days.
async fn world() -> World {
    World::with(|builder| builder.policy(Policy::new().max_secret_age(AGE))).await
}

async fn issue(manager: &KeyManager) -> Issued {
    let new = NewKey::for_owner("a").scopes(["orders:read"]);
    manager.issue(new.never_expires()).await.unwrap()
}

async fn opens(world: &World, issued: &Issued) -> bool {
    present(&world.keys, issued.key.expose()).await.is_ok()
}

fn ends(issued: &Issued) -> Option<Timestamp> {
    issued.info.secrets[0].not_after
}

fn after(moment: Timestamp, by: Duration) -> Option<Timestamp> {
    moment.checked_add(by)
}

async fn demanded(world: &World) -> usize {
    let sweep = world.keys.sweep_expiring().await.unwrap();
    assert!(sweep.is_complete);
    sweep.rotations_demanded
}

async fn events(world: &World, id: KeyId) -> Vec<AuditEvent> {
    let log = world.store.inner().abilities().audit_log.unwrap();
    let query = AuditQuery {
        key_id: Some(id),
        ..AuditQuery::new()
    };
    log.events(&query).await.unwrap().events
}

#[tokio::test]
async fn every_new_secret_ends_at_the_maximum_age() {
    let world = world().await;
    let manager = world.keys.manager();
    let first = issue(manager).await;
    let created = first.info.created_at;
    assert_eq!(ends(&first), after(created, AGE));
    let caller = present(&world.keys, first.key.expose()).await.unwrap();
    assert_eq!(
        (caller.expires_at(), caller.ends_at()),
        (None, ends(&first))
    );

    world.clock.advance(89 * DAY);
    let second = manager.rotate(&first.info.key_id).await.unwrap();
    assert_eq!(ends(&second), after(created, 89 * DAY + AGE));
    assert_eq!(
        second.previous_ends_at(),
        ends(&first),
        "no later than its own end"
    );
    let third = manager.supersede(&first.info.key_id).await.unwrap();
    assert_eq!(ends(&third), after(third.info.secrets[0].created_at, AGE));
    let draft = manager.draft(NewKey::for_owner("a")).unwrap();
    assert_eq!(
        draft.info().secrets[0].not_after,
        after(draft.info().created_at, AGE)
    );

    world.clock.advance(DAY);
    let outcome = present(&world.keys, first.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyExpired);
    assert!(opens(&world, &third).await);
}

#[tokio::test]
async fn a_secret_ends_with_its_key_where_that_comes_first_and_follows_no_change_of_it() {
    let world = world().await;
    let manager = world.keys.manager();
    let new = NewKey::for_owner("a").expires_in(DAY);
    let issued = manager.issue(new).await.unwrap();
    let caller = present(&world.keys, issued.key.expose()).await.unwrap();
    assert_eq!(caller.ends_at(), issued.info.expires_at);
    let change = Change::new().never_expires();
    let changed = manager.change(&issued.info.key_id, change).await.unwrap();
    assert_eq!(changed.secrets[0].not_after, ends(&issued));
    world.clock.advance(AGE - millis(1));
    assert!(opens(&world, &issued).await);
    world.clock.advance(millis(1));
    assert!(!opens(&world, &issued).await);
}

#[tokio::test]
async fn a_key_whose_secrets_have_ended_is_overdue_until_the_host_rotates_it() {
    let world = world().await;
    let manager = world.keys.manager();
    let old = issue(manager).await;
    let id = old.info.key_id;
    let caller = present(&world.keys, old.key.expose()).await.unwrap();
    world.clock.advance(AGE);
    let info = manager.inspect(&id).await.unwrap();
    assert_eq!(info.status, KeyStatus::RotationOverdue);
    assert_eq!(
        manager.find(old.key.expose()).await.unwrap().unwrap().info,
        info
    );
    let own = manager.on_behalf_of(&caller).rotate(&id).await;
    assert!(matches!(own, Err(ManageError::CallerEnded)), "{own:?}");

    let new = manager.rotate(&id).await.unwrap();
    assert_eq!(new.info.status, KeyStatus::Active);
    assert_eq!(
        new.previous_ends_at(),
        ends(&old),
        "the old one stays ended"
    );
    assert!(opens(&world, &new).await);
    let outcome = present(&world.keys, old.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyExpired);
}

#[tokio::test]
async fn a_caller_rotates_its_own_key_and_gets_no_other_that_outlasts_its_secret() {
    let world = world().await;
    let host = world.keys.manager();
    let new = NewKey::for_owner("a").expires_in(2 * AGE);
    let own = host.issue(new).await.unwrap();
    world.clock.advance(87 * DAY);
    let other = issue(host).await.info.key_id;
    let caller = present(&world.keys, own.key.expose()).await.unwrap();
    let manager = host.on_behalf_of(&caller);
    let made = manager.issue(NewKey::for_owner("a")).await.unwrap();
    assert_eq!(made.info.expires_at, ends(&own), "and not in 90 days");
    let most = ends(&own).unwrap();
    let outlasting = NewKey::for_owner("a").expires_in(3 * DAY + millis(1));
    for beyond in [
        manager.issue(outlasting).await,
        manager.rotate(&other).await,
    ] {
        match beyond {
            Err(ManageError::BeyondCeiling(excesses)) => {
                assert!(excesses.contains(&Excess::Expiry { most }), "{excesses:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    let longer = Change::new().expires_in(4 * AGE);
    let longer = manager.change(&own.info.key_id, longer).await;
    assert!(
        matches!(longer, Err(ManageError::BeyondCeiling(_))),
        "{longer:?}"
    );
    let rotated = manager.rotate(&own.info.key_id).await.unwrap();
    assert_eq!(rotated.info.expires_at, own.info.expires_at);
    assert_eq!(ends(&rotated), after(own.info.created_at, 87 * DAY + AGE));

    // From now on what was presented is the older secret, and its end is a bound.
    let most = rotated.previous_ends_at().unwrap();
    let beyond = NewKey::for_owner("a").expires_in(2 * DAY);
    match manager.issue(beyond).await {
        Err(ManageError::BeyondCeiling(excesses)) => {
            assert_eq!(excesses, [Excess::Expiry { most }]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_secret_from_before_the_policy_ends_after_notice_and_not_sooner() {
    let world = world().await;
    let before = builder(std::sync::Arc::clone(&world.store), &world.clock);
    let before = before.build().await.unwrap();
    let old = issue(before.manager()).await;
    let lately = {
        world.clock.advance(100 * DAY);
        issue(before.manager()).await
    };
    assert_eq!(ends(&old), None);
    let began = lately.info.created_at;
    assert_eq!(demanded(&world).await, 2);
    let end_of = async |issued: &Issued| {
        let record = world.record(&issued.info.key_id).await;
        record.secrets.current.not_after
    };
    assert_eq!(
        end_of(&old).await,
        after(began, NOTICE),
        "it is too old already"
    );
    assert_eq!(end_of(&lately).await, after(began, AGE));

    world.clock.advance(NOTICE - millis(1));
    assert_eq!(demanded(&world).await, 0, "once, and no end is put off");
    assert!(opens(&world, &old).await);
    world.clock.advance(millis(1));
    let outcome = present(&world.keys, old.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyExpired);
    assert!(opens(&world, &lately).await);

    let events = events(&world, old.info.key_id).await;
    let demand = events.last().unwrap();
    assert_eq!(demand.action, AuditAction::RotationDemanded);
    assert_eq!(demand.actor, Actor::Host);
    let changes: Vec<_> = demand.changes.iter().map(|change| &*change.field).collect();
    assert_eq!((events.len(), changes), (2, vec!["secret_ends_at"]));
}

#[tokio::test]
async fn a_shorter_age_shortens_with_notice_and_a_longer_one_lengthens_nothing() {
    let world = world().await;
    let issued = issue(world.keys.manager()).await;
    let created = issued.info.created_at;
    for (days, expected) in [(365, 90), (61, 61), (200, 61)] {
        let policy = Policy::new().max_secret_age(days * DAY);
        let keys = builder(std::sync::Arc::clone(&world.store), &world.clock).policy(policy);
        keys.build().await.unwrap().sweep_expiring().await.unwrap();
        let record = world.record(&issued.info.key_id).await;
        let end = after(created, expected * DAY);
        assert_eq!(record.secrets.current.not_after, end, "{days}");
    }
    // An end that comes before notice would have passed is not touched.
    world.clock.advance(50 * DAY);
    let policy = Policy::new().max_secret_age(40 * DAY);
    let keys = builder(std::sync::Arc::clone(&world.store), &world.clock).policy(policy);
    let sweep = keys.build().await.unwrap().sweep_expiring().await.unwrap();
    assert_eq!(sweep.rotations_demanded, 0);
}

#[tokio::test]
async fn notice_is_no_longer_than_the_maximum_age() {
    let world = World::new().await;
    let id = issue(world.keys.manager()).await.info.key_id;
    world.clock.advance(100 * DAY);
    let policy = Policy::new().max_secret_age(7 * DAY);
    let keys = builder(std::sync::Arc::clone(&world.store), &world.clock).policy(policy);
    keys.build().await.unwrap().sweep_expiring().await.unwrap();
    let record = world.record(&id).await;
    let end = after(record.created_at, 107 * DAY);
    assert_eq!(record.secrets.current.not_after, end);
}

#[tokio::test]
async fn of_keys_that_open_nothing_no_rotation_is_demanded() {
    let world = world().await;
    let before = builder(std::sync::Arc::clone(&world.store), &world.clock);
    let before = before.build().await.unwrap();
    let manager = before.manager();
    let (disabled, revoked) = (issue(manager).await, issue(manager).await);
    let expired = manager.issue(NewKey::for_owner("a").expires_in(DAY)).await;
    let (disabled, revoked) = (disabled.info.key_id, revoked.info.key_id);
    manager.disable(&disabled).await.unwrap();
    manager.revoke(&revoked, "").await.unwrap();
    world.clock.advance(100 * DAY);
    assert_eq!(demanded(&world).await, 0);
    assert!(expired.is_ok());
    // When it is enabled, its notice begins.
    let enabled = manager.enable(&disabled).await.unwrap();
    assert_eq!(enabled.status, KeyStatus::Active);
    assert_eq!(demanded(&world).await, 1);
    world.clock.advance(NOTICE - millis(1));
    let info = manager.inspect(&disabled).await.unwrap();
    assert_eq!(info.status, KeyStatus::Active);
}

#[tokio::test]
async fn a_rotation_that_is_under_way_is_not_lost_to_a_demand() {
    let world = world().await;
    let before = builder(std::sync::Arc::clone(&world.store), &world.clock);
    let before = before.build().await.unwrap();
    let old = issue(before.manager()).await;
    let id = old.info.key_id;
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let manager = world.keys.manager().clone();
    let rotating = tokio::spawn(async move { manager.rotate(&id).await });
    door.arrival().await;
    assert_eq!(demanded(&world).await, 1);
    door.open();
    let new = rotating.await.unwrap().unwrap();
    assert!(opens(&world, &new).await && opens(&world, &old).await);
    assert_eq!(new.info.version, 3);
}

#[tokio::test]
async fn a_demand_gives_way_to_what_happened_meanwhile() {
    let world = world().await;
    let before = builder(std::sync::Arc::clone(&world.store), &world.clock);
    let before = before.build().await.unwrap();
    let id = issue(before.manager()).await.info.key_id;
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let keys = world.keys.clone();
    let sweeping = tokio::spawn(async move { keys.sweep_expiring().await.unwrap() });
    door.arrival().await;
    let rotated = before.manager().rotate(&id).await.unwrap();
    door.open();
    // The new secret was made without the policy, so the demand is of that one.
    assert_eq!(sweeping.await.unwrap().rotations_demanded, 1);
    let record = world.record(&id).await;
    let created = rotated.info.secrets[0].created_at;
    assert_eq!(record.secrets.current.not_after, after(created, AGE));
    assert!(opens(&world, &rotated).await);
}

#[tokio::test]
async fn of_a_key_that_is_revoked_meanwhile_no_rotation_is_demanded() {
    let world = world().await;
    let before = builder(std::sync::Arc::clone(&world.store), &world.clock);
    let before = before.build().await.unwrap();
    let id = issue(before.manager()).await.info.key_id;
    let door = Door::new();
    world.store.gets.once(Fault::HoldBack(door.clone()));
    let keys = world.keys.clone();
    let sweeping = tokio::spawn(async move { keys.sweep_expiring().await.unwrap() });
    door.arrival().await;
    let revoked = before.manager().revoke(&id, "").await.unwrap();
    door.open();
    assert_eq!(sweeping.await.unwrap().rotations_demanded, 0);
    assert_eq!(world.record(&id).await.version, revoked.info.version);
}

#[tokio::test]
async fn the_notifier_tells_of_the_secret_where_it_ends_before_its_key() {
    let told = Told::default();
    let policy = Policy::new().max_secret_age(AGE);
    let world =
        World::with(|builder| builder.policy(policy).expiry_notifier(told.notifier())).await;
    let manager = world.keys.manager();
    let new = NewKey::for_owner("a").expires_in(100 * DAY);
    let issued = manager.issue(new).await.unwrap();
    let (id, mut days) = (issued.info.key_id, Vec::new());
    for day in 0..100_u32 {
        demanded(&world).await;
        for notice in told.take_whole() {
            days.push((day, notice.ends, notice.threshold));
        }
        if day == 85 {
            let _rotated = manager.rotate(&id).await.unwrap();
        }
        world.clock.advance(DAY);
    }
    let expected = [
        (60, Ends::Secret, 30 * DAY),
        (70, Ends::Key, 30 * DAY),
        (83, Ends::Secret, 7 * DAY),
        (93, Ends::Key, 7 * DAY),
        (99, Ends::Key, DAY),
    ];
    assert_eq!(days, expected);
}

#[tokio::test]
async fn of_a_secret_that_ends_with_its_key_or_later_the_key_alone_is_told() {
    let told = Told::default();
    let policy = Policy::new().max_secret_age(20 * DAY);
    let world =
        World::with(|builder| builder.policy(policy).expiry_notifier(told.notifier())).await;
    for days in [20, 19] {
        let new = NewKey::for_owner("a").expires_in(days * DAY);
        let _issued = world.keys.manager().issue(new).await.unwrap();
    }
    demanded(&world).await;
    let notices = told.take_whole();
    assert_eq!(notices.len(), 2);
    assert!(notices.iter().all(|notice| notice.ends == Ends::Key));
}

#[tokio::test]
async fn what_is_demanded_is_told_by_the_same_sweep() {
    let told = Told::default();
    let world = World::new().await;
    let id = issue(world.keys.manager()).await.info.key_id;
    world.clock.advance(100 * DAY);
    let policy = Policy::new().max_secret_age(AGE).rotation_notice(7 * DAY);
    let keys = builder(std::sync::Arc::clone(&world.store), &world.clock).policy(policy);
    let keys = keys.expiry_notifier(told.notifier()).build().await.unwrap();
    keys.sweep_expiring().await.unwrap();
    let notices = told.take_whole();
    assert_eq!(notices.len(), 1);
    assert_eq!((notices[0].key.key_id, notices[0].ends), (id, Ends::Secret));
    assert_eq!(notices[0].threshold, 7 * DAY);
    assert_eq!(
        notices[0].key.secrets[0].not_after,
        Some(notices[0].ends_at)
    );
}

#[tokio::test]
async fn a_policy_that_would_end_secrets_at_once_is_refused() {
    let clock = ManualClock::new();
    let policy = Policy::new().max_secret_age(DAY);
    for (policy, is_fine) in [
        (policy, true),
        (policy.rotation_notice(DAY), true),
        (policy.rotation_notice(DAY + millis(1)), false),
        (policy.rotation_notice(Duration::ZERO), false),
        (Policy::new().max_secret_age(Duration::ZERO), false),
        (Policy::new().rotation_notice(DAY), false),
    ] {
        let keys = builder(MemoryStore::new(), &clock).policy(policy);
        match keys.build().await {
            Ok(_) => assert!(is_fine, "{policy:?}"),
            Err(error) => {
                assert!(matches!(error, BuildError::Policy(_)), "{error}");
                assert!(!is_fine, "{policy:?}: {error}");
            }
        }
    }
}
