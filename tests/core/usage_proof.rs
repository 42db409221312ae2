//! That nothing is taken for unused while somebody's counts are missing.

use std::time::{Duration, Instant};

use keygate::{
    Attempt, Change, Conflict, Filter, Issued, Keygate, ManageError, NewKey, Rule, Safety,
    StoreErrorKind, Timestamp,
};

use crate::common::*;

async fn issue(keys: &Keygate, scopes: &[&str]) -> Issued {
    let new = NewKey::for_owner("org_1")
        .scopes(scopes.iter().copied())
        .never_expires();
    keys.manager().issue(new).await.unwrap()
}

async fn safety(world: &World, key: &Issued) -> Safety {
    let activity = world.keys.manager().activity(&key.info.key_id).await;
    activity.unwrap().safe_to_revoke(30 * DAY)
}

async fn counted_since(world: &World, key: &Issued) -> Option<Timestamp> {
    let activity = world.keys.manager().activity(&key.info.key_id).await;
    activity.unwrap().counted_since
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(millis(5)).await;
    }
}

#[tokio::test]
async fn what_this_process_counted_is_read_also_where_nobody_does_the_background_work() {
    let world = World::new().await;
    let issued = issue(&world.keys, &[]).await;
    world.clock.advance(60 * DAY);
    assert!(safety(&world, &issued).await.is_safe());
    present(&world.keys, issued.key.expose()).await.unwrap();
    assert!(matches!(
        safety(&world, &issued).await,
        Safety::InUse { .. }
    ));
}

#[tokio::test]
async fn nothing_is_idle_or_unneeded_while_the_store_does_not_take_this_processs_counts() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let issued = issue(&world.keys, &["orders:read", "orders:write"]).await;
    let id = issued.info.key_id;
    let read = Rule::all(["orders:read"]).unwrap();
    let attempt = Attempt::new(issued.key.expose()).requiring(&read);
    let authenticator = world.keys.authenticator();
    authenticator.authenticate(attempt).await.unwrap();
    world.keys.shutdown().await;
    world.clock.advance(60 * DAY);

    world
        .store
        .usage_adds
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    let write = Rule::all(["orders:write"]).unwrap();
    let attempt = Attempt::new(issued.key.expose()).requiring(&write);
    authenticator.authenticate(attempt).await.unwrap();
    assert!(matches!(safety(&world, &issued).await, Safety::Unproved(_)));
    let idle = manager.idle(Filter::new(), 30 * DAY).await.unwrap();
    assert!(idle.keys.is_empty() && idle.unproved == [id]);
    let narrow = Change::new().narrow_to_used(90 * DAY);
    let refused = manager.change(&id, narrow.clone()).await.unwrap_err();
    assert!(
        matches!(refused, ManageError::Conflict(Conflict::Unproved(_))),
        "{refused}"
    );

    world.store.usage_adds.heal();
    assert!(matches!(
        safety(&world, &issued).await,
        Safety::InUse { .. }
    ));
    let narrowed = manager.change(&id, narrow).await.unwrap();
    assert_eq!(narrowed.scopes.as_str(), "orders:read orders:write");
}

#[tokio::test]
async fn an_instance_that_cannot_hand_on_takes_the_proof_back_until_all_is_with_the_store() {
    let world = World::new().await;
    let issued = issue(&world.keys, &[]).await;
    let since = counted_since(&world, &issued).await;
    assert!(since.is_some());
    world.clock.advance(HOUR);
    let other = builder(std::sync::Arc::clone(&world.store), &world.clock)
        .usage_interval(millis(5))
        .build()
        .await
        .unwrap();
    let work = tokio::spawn(other.run());
    // Of which the first instance, which has nothing to hand on, hears nothing by itself.
    world
        .store
        .usage_adds
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    present(&other, issued.key.expose()).await.unwrap();
    let is_taken_back = async || counted_since(&world, &issued).await.is_none();
    until("the proof is taken back", is_taken_back).await;
    world.store.usage_adds.heal();
    let is_back = async || counted_since(&world, &issued).await == since;
    until("nothing was lost, so it stands as before", is_back).await;
    other.shutdown().await;
    work.await.unwrap();
}

#[tokio::test]
async fn requests_that_were_not_counted_make_the_proof_begin_anew() {
    let small = |builder: keygate::Builder| builder.usage_capacity(1).usage_interval(millis(5));
    let world = World::with(small).await;
    let (one, other) = (issue(&world.keys, &[]).await, issue(&world.keys, &[]).await);
    world.clock.advance(60 * DAY);
    for key in [&one, &other] {
        present(&world.keys, key.key.expose()).await.unwrap();
    }
    let work = tokio::spawn(world.keys.run());
    let now = keygate::Clock::wall(&world.clock);
    let is_anew = async || counted_since(&world, &other).await == Some(now);
    until("what was not counted ends the proof", is_anew).await;
    assert!(!safety(&world, &other).await.is_safe());
    work.abort();
}

#[tokio::test]
async fn a_tool_counts_nothing_and_neither_vouches_for_instances_nor_takes_back_what_they_said() {
    let world = World::new().await;
    let issued = issue(&world.keys, &[]).await;
    let since = counted_since(&world, &issued).await;
    assert!(since.is_some());
    let another = || builder(std::sync::Arc::clone(&world.store), &world.clock);
    let work = async || {
        let tool = another().as_tool().usage_interval(millis(1));
        let tool = tool.build().await.unwrap();
        present(&tool, issued.key.expose()).await.unwrap();
        let running = tokio::spawn(tool.run());
        tokio::time::sleep(millis(50)).await;
        tool.shutdown().await;
        running.await.unwrap();
    };
    world.clock.advance(DAY);
    work().await;
    assert_eq!(counted_since(&world, &issued).await, since);
    let activity = world.keys.manager().activity(&issued.info.key_id).await;
    assert_eq!(activity.unwrap().usage, None);

    another().record_usage(false).build().await.unwrap();
    work().await;
    assert_eq!(counted_since(&world, &issued).await, None);
}
