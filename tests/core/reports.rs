//! Lists of keys by age, by end and by use, and requests by day.

use std::collections::BTreeSet;
use std::time::Duration;

use keygate::{
    ActivityList, Change, Clock, Day, Filter, KeyId, KeyInfo, KeyManager, ManageError, NewKey,
};

use crate::activity::{Use, ago, count, counting_since};
use crate::ceiling::caller;
use crate::common::*;

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

async fn issue(world: &World, new: NewKey) -> KeyInfo {
    world.keys.manager().issue(new).await.unwrap().info
}

fn lasting() -> NewKey {
    NewKey::for_owner("a").scopes(["a", "b"]).never_expires()
}

async fn listed(manager: &KeyManager, filter: Filter) -> BTreeSet<KeyId> {
    let list = manager.list(filter).await.unwrap();
    assert_eq!(list.next, None);
    list.keys.iter().map(|key| key.key_id).collect()
}

fn ids(keys: &[&KeyInfo]) -> BTreeSet<KeyId> {
    keys.iter().map(|key| key.key_id).collect()
}

fn reported(list: &ActivityList) -> BTreeSet<KeyId> {
    list.keys.iter().map(|key| key.info.key_id).collect()
}

#[tokio::test]
async fn keys_that_end_soon_are_found_up_to_the_millisecond() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let _endless = issue(&world, lasting()).await;
    let soon = issue(&world, NewKey::for_owner("a").expires_in(MONTH)).await;
    let _later = issue(&world, NewKey::for_owner("a").expires_in(MONTH + millis(1))).await;
    let paused = issue(&world, NewKey::for_owner("b").expires_in(DAY)).await;
    manager.disable(&paused.key_id).await.unwrap();
    let revoked = issue(&world, NewKey::for_owner("a").expires_in(DAY)).await;
    manager.revoke(&revoked.key_id, "").await.unwrap();
    let ending = Filter::new().expiring_within(MONTH);
    assert_eq!(
        listed(manager, ending.clone()).await,
        ids(&[&soon, &paused])
    );
    assert_eq!(
        listed(manager, ending.clone().owner("b")).await,
        ids(&[&paused])
    );
    let all = Filter::new().expiring_within(Duration::MAX);
    assert_eq!(listed(manager, all).await.len(), 3);
    world.clock.advance(MONTH - millis(1));
    assert!(listed(manager, ending.clone()).await.contains(&soon.key_id));
    world.clock.advance(millis(1));
    assert!(
        !listed(manager, ending).await.contains(&soon.key_id),
        "it has ended"
    );
}

#[tokio::test]
async fn old_keys_and_old_secrets_are_found_up_to_the_millisecond() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let [kept, rotated, revoked] = [
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
    ];
    manager.revoke(&revoked.key_id, "").await.unwrap();
    world.clock.advance(millis(1));
    let younger = issue(&world, lasting()).await;
    world.clock.advance(MONTH - millis(1));
    let _new_secret = manager.rotate(&rotated.key_id).await.unwrap();
    let old = Filter::new().older_than(MONTH);
    assert_eq!(
        listed(manager, old.clone()).await,
        ids(&[&kept, &rotated, &revoked])
    );
    let stale = Filter::new().secret_older_than(MONTH);
    assert_eq!(listed(manager, stale.clone()).await, ids(&[&kept]));
    world.clock.advance(millis(1));
    assert_eq!(listed(manager, old).await.len(), 4);
    assert_eq!(listed(manager, stale).await, ids(&[&kept, &younger]));
    let beyond = Filter::new().older_than(Duration::MAX);
    assert!(listed(manager, beyond).await.is_empty());
}

#[tokio::test]
async fn idle_keys_are_those_that_are_proved_to_be() {
    let world = World::new().await;
    let manager = world.keys.manager();
    counting_since(&world, Some(world.clock.wall())).await;
    let [never, lately, long_ago, revoked, paused] = [
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
    ];
    manager.revoke(&revoked.key_id, "").await.unwrap();
    manager.disable(&paused.key_id).await.unwrap();
    count(&world, Use::of(&long_ago, world.clock.wall())).await;
    world.clock.advance(MONTH);
    let young = issue(&world, lasting()).await;
    count(&world, Use::of(&lately, world.clock.wall())).await;
    let list = manager.idle(Filter::new(), MONTH).await.unwrap();
    assert_eq!(reported(&list), ids(&[&never, &long_ago, &paused]));
    assert_eq!(list.unproved, [young.key_id]);
    let list = manager
        .idle(Filter::new(), MONTH + millis(1))
        .await
        .unwrap();
    assert!(list.keys.is_empty());
    let unproved: BTreeSet<KeyId> = list.unproved.into_iter().collect();
    assert_eq!(unproved, ids(&[&never, &paused, &young]));
    // The other instance, which does not count, may have seen all of them.
    counting_since(&world, None).await;
    let list = manager.idle(Filter::new(), MONTH).await.unwrap();
    assert!(list.keys.is_empty());
    assert_eq!(list.unproved.len(), 4);
}

#[tokio::test]
async fn over_privileged_keys_are_those_that_could_be_narrowed() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let older = issue(&world, lasting()).await;
    world.clock.advance(millis(1));
    counting_since(&world, Some(world.clock.wall())).await;
    let [_unused, exact, excessive, revoked] = [
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
    ];
    manager.revoke(&revoked.key_id, "").await.unwrap();
    world.clock.advance(HOUR);
    let now = world.clock.wall();
    count(&world, Use::of(&exact, now).needing("a").needing("b")).await;
    for key in [&older, &excessive, &revoked] {
        count(&world, Use::of(key, now).needing("a")).await;
    }
    let list = manager.over_privileged(Filter::new(), MONTH).await.unwrap();
    assert_eq!(reported(&list), ids(&[&excessive]));
    assert_eq!(list.unproved, [older.key_id]);
    let change = Change::new().narrow_to_used(MONTH);
    manager.change(&excessive.key_id, change).await.unwrap();
    let list = manager.over_privileged(Filter::new(), MONTH).await.unwrap();
    assert!(list.keys.is_empty());
}

#[tokio::test]
async fn keys_that_a_rule_on_trial_would_refuse_are_those_that_still_lack_something() {
    let world = World::new().await;
    let manager = world.keys.manager();
    counting_since(&world, None).await;
    let [fine, lacking, granted, long_ago, revoked] = [
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
        issue(&world, lasting()).await,
    ];
    count(
        &world,
        Use::of(&long_ago, world.clock.wall()).lacking("c:x"),
    )
    .await;
    world.clock.advance(MONTH);
    let now = world.clock.wall();
    count(&world, Use::of(&fine, now).needing("a")).await;
    for key in [&lacking, &granted, &revoked] {
        count(&world, Use::of(key, now).lacking("c:x")).await;
    }
    manager.revoke(&revoked.key_id, "").await.unwrap();
    let change = Change::new().scopes(["c:*"]);
    manager.change(&granted.key_id, change).await.unwrap();
    let list = manager.shadow_refusals(Filter::new(), MONTH).await.unwrap();
    assert_eq!(reported(&list), ids(&[&lacking]));
    assert!(
        list.unproved.is_empty(),
        "what was seen was seen, whoever counts"
    );
    let lacked: Vec<&str> = list.keys[0]
        .still_lacks(MONTH)
        .map(|s| s.scope.as_str())
        .collect();
    assert_eq!(lacked, ["c:x"]);
    let list = manager
        .shadow_refusals(Filter::new(), MONTH + millis(1))
        .await
        .unwrap();
    assert_eq!(reported(&list), ids(&[&lacking, &long_ago]));
}

/// 700 keys, some of them in use, some too young, some with damaged records: page by page, each is told
/// once, and the usage is not read key by key.
#[tokio::test]
async fn pages_tell_everything_once() {
    let world = World::new().await;
    let manager = world.keys.manager();
    counting_since(&world, Some(world.clock.wall())).await;
    let (mut idle, mut damaged, mut young) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for n in 0..600 {
        let key = issue(&world, lasting()).await;
        match n % 10 {
            0 | 1 => count(&world, Use::of(&key, ago(&world, Duration::ZERO))).await,
            2 => {
                world.store.corrupt(key.key_id);
                damaged.insert(key.key_id);
            }
            _ => {
                idle.insert(key.key_id);
            }
        }
        if n % 10 == 1 {
            count(
                &world,
                Use::of(&key, world.clock.wall().checked_add(MONTH).unwrap()),
            )
            .await;
        } else if n % 10 == 0 {
            idle.insert(key.key_id);
        }
    }
    world.clock.advance(MONTH);
    for _ in 0..100 {
        young.insert(issue(&world, lasting()).await.key_id);
    }
    for limit in [1, 7, 256, 1_000] {
        let reads = world.store.usage_reads.count();
        let (mut pages, mut told) = (0, Vec::new());
        let (mut unreadable, mut unproved) = (Vec::new(), Vec::new());
        let mut filter = Filter::new().limit(limit);
        loop {
            let page = manager.idle(filter.clone(), MONTH).await.unwrap();
            pages += 1;
            assert!(page.keys.len() <= limit);
            told.extend(page.keys.iter().map(|key| key.info.key_id));
            let ids = page
                .unreadable
                .iter()
                .map(|key| key.id.parse::<KeyId>().unwrap());
            unreadable.extend(ids);
            unproved.extend(page.unproved);
            let Some(next) = page.next else { break };
            filter = filter.after(next);
        }
        let reads = world.store.usage_reads.count() - reads;
        assert!(reads <= pages + 3, "{reads} reads for {pages} pages");
        for (told, expected) in [(told, &idle), (unreadable, &damaged), (unproved, &young)] {
            assert!(told.is_sorted(), "in the order of the ids");
            assert_eq!(told.len(), expected.len(), "each once, {limit} a page");
            assert_eq!(&told.into_iter().collect::<BTreeSet<KeyId>>(), expected);
        }
    }
    for limit in [0, 1_001] {
        let outcome = manager.idle(Filter::new().limit(limit), MONTH).await;
        assert!(matches!(outcome, Err(ManageError::Invalid(_))));
    }
}

#[tokio::test]
async fn reports_on_behalf_of_a_caller_are_about_its_owner_and_environment() {
    let world = World::new().await;
    counting_since(&world, Some(ago(&world, DAY))).await;
    let own = world.keys.manager().issue(lasting()).await.unwrap();
    let sibling = issue(&world, lasting()).await;
    issue(&world, NewKey::for_owner("b").never_expires()).await;
    let elsewhere = NewKey::for_owner("a").environment(SANDBOX).never_expires();
    issue(&world, elsewhere).await;
    world.clock.advance(MONTH);
    let manager = world
        .keys
        .manager()
        .on_behalf_of(&caller(&world, &own).await);
    let list = manager.idle(Filter::new(), MONTH).await.unwrap();
    // The caller has just used its own.
    assert_eq!(reported(&list), ids(&[&sibling]));
    let outcome = manager.idle(Filter::new().owner("b"), MONTH).await;
    assert!(matches!(outcome, Err(ManageError::OwnerNotFound(_))));
    let host = world
        .keys
        .manager()
        .idle(Filter::new(), MONTH)
        .await
        .unwrap();
    assert_eq!(host.keys.len(), 3);
}

#[tokio::test]
async fn requests_by_day_are_told_of_keys_and_owners_in_sight() {
    let world = World::new().await;
    let host = world.keys.manager();
    let own = host.issue(lasting()).await.unwrap();
    let other = issue(&world, NewKey::for_owner("b").never_expires()).await;
    let first = Day::of(world.clock.wall());
    for key in [&own.info, &own.info, &other] {
        count(&world, Use::of(key, world.clock.wall())).await;
    }
    world.clock.advance(DAY);
    let second = Day::of(world.clock.wall());
    count(&world, Use::of(&own.info, world.clock.wall())).await;
    let (own_id, other_id) = (own.info.key_id, other.key_id);
    let both = || first..=second;
    let days = |days: Vec<keygate::store::DayTotal>| -> Vec<(Day, u64)> {
        days.iter()
            .map(|total| (total.day, total.requests))
            .collect()
    };
    // Which is a request of that day, too.
    let manager = host.on_behalf_of(&caller(&world, &own).await);
    for manager in [host, &manager] {
        let of_key = manager.request_days(&own_id, both()).await.unwrap();
        assert_eq!(days(of_key), [(first, 2), (second, 2)]);
        let of_owner = manager.owner_days("a", both()).await.unwrap();
        assert_eq!(days(of_owner), [(first, 2), (second, 2)]);
    }
    let outcome = manager.request_days(&other_id, both()).await;
    assert!(matches!(outcome, Err(ManageError::NotFound(_))));
    let outcome = manager.owner_days("b", both()).await;
    assert!(matches!(outcome, Err(ManageError::OwnerNotFound(_))));

    let everywhere = host.on_behalf_of_across_owners(&caller(&world, &own).await);
    for manager in [host, &everywhere] {
        let totals = manager.owner_totals(first, None, 10).await.unwrap();
        let totals: Vec<_> = totals
            .iter()
            .map(|t| (t.owner.as_str(), t.requests))
            .collect();
        assert_eq!(totals, [("a", 2), ("b", 1)]);
        let rest = manager.owner_totals(first, Some("a"), 10).await.unwrap();
        assert_eq!(rest.len(), 1);
        for limit in [0, 1_001] {
            let outcome = manager.owner_totals(first, None, limit).await;
            assert!(matches!(outcome, Err(ManageError::Invalid(_))));
        }
    }
    let outcome = manager.owner_totals(first, None, 10).await;
    assert!(matches!(outcome, Err(ManageError::Invalid(_))));
    for manager in [&manager, &everywhere] {
        let outcome = manager.forget_usage_before(second).await;
        assert!(matches!(outcome, Err(ManageError::Invalid(_))));
    }
    host.forget_usage_before(second).await.unwrap();
    let of_key = host.request_days(&own_id, both()).await.unwrap();
    assert_eq!(days(of_key), [(second, 3)]);
    let activity = host.activity(&own_id).await.unwrap();
    assert_eq!(activity.usage.map(|usage| usage.requests), Some(5));

    host.revoke(&own_id, "").await.unwrap();
    for outcome in [
        manager.owner_days("a", both()).await.map(drop),
        manager.request_days(&own_id, both()).await.map(drop),
        everywhere.owner_totals(first, None, 10).await.map(drop),
    ] {
        assert!(matches!(outcome, Err(ManageError::CallerEnded)));
    }
}
