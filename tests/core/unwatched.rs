//! Where usage is not kept, or cannot be read.

use async_trait::async_trait;
use keygate::store::{Abilities, Listed, Page, Write};
use keygate::{
    Change, Clock, Day, Filter, KeyId, KeyRecord, KeyStore, ManageError, MemoryStore, NewKey,
    Rotation, StoreError, StoreErrorKind,
};

use crate::activity::{Use, ago, count, counting_since};
use crate::common::*;
use crate::manage::issue;
use crate::narrowing::aged;

/// A store that keeps keys and nothing else.
struct OnlyKeys(MemoryStore);

#[async_trait]
impl KeyStore for OnlyKeys {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.0.get(id).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        self.0.write(change).await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        self.0.list(page).await
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities::none()
    }
}

#[tokio::test]
async fn on_a_store_without_usage_nothing_is_proved_and_reports_say_so() {
    let clock = ManualClock::new();
    let keys = builder(OnlyKeys(MemoryStore::new()), &clock).build().await;
    let keys = keys.unwrap();
    let manager = keys.manager();
    let new = NewKey::for_owner("a").scopes(["a"]).never_expires();
    let id = manager.issue(new).await.unwrap().info.key_id;
    clock.advance(365 * DAY);
    let activity = manager.activity(&id).await.unwrap();
    assert_eq!((&activity.usage, activity.counted_since), (&None, None));
    assert!(!activity.safe_to_revoke(DAY).is_safe());
    assert!(activity.privileges(DAY).is_err());
    let today = Day::of(clock.wall());
    for outcome in [
        manager
            .change(&id, Change::new().narrow_to_used(DAY))
            .await
            .map(drop),
        manager.idle(Filter::new(), DAY).await.map(drop),
        manager
            .over_privileged(Filter::new().owner("nobody"), DAY)
            .await
            .map(drop),
        manager.shadow_refusals(Filter::new(), DAY).await.map(drop),
        manager.request_days(&id, today..=today).await.map(drop),
        manager.owner_days("a", today..=today).await.map(drop),
        manager.owner_totals(today, None, 10).await.map(drop),
        manager.forget_usage_before(today).await,
    ] {
        assert!(matches!(outcome, Err(ManageError::NoUsage)));
    }
}

#[tokio::test]
async fn usage_that_cannot_be_read_narrows_nothing() {
    let world = World::new().await;
    let key = aged(&world, &["a", "b"]).await;
    let id = key.info.key_id;
    count(&world, Use::of(&key.info, world.clock.wall()).needing("a")).await;
    let before = world.record(&id).await;
    world
        .store
        .usage_reads
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    let change = Change::new().name("CI").narrow_to_used(DAY);
    let manager = world.keys.manager();
    for outcome in [
        manager.change(&id, change).await.map(drop),
        manager
            .rotate_with(&id, Rotation::new().narrow_to_used(DAY))
            .await
            .map(drop),
    ] {
        assert!(matches!(outcome, Err(ManageError::Store(_))));
    }
    assert_eq!(world.record(&id).await, before);
}

#[tokio::test]
async fn usage_that_cannot_be_read_is_an_error_and_never_a_key_that_was_not_used() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let id = issue(&world).await.info.key_id;
    counting_since(&world, Some(ago(&world, DAY))).await;
    let down = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.usage_reads.always(down);
    let outcome = manager.activity(&id).await;
    assert!(
        matches!(outcome, Err(ManageError::Store(error)) if error.kind() == StoreErrorKind::Unavailable)
    );
}

#[tokio::test]
async fn an_outage_ends_a_report() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let _key = issue(&world).await;
    let today = Day::of(world.clock.wall());
    let down = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.usage_reads.always(down);
    for outcome in [
        manager.idle(Filter::new(), DAY).await.map(drop),
        manager.over_privileged(Filter::new(), DAY).await.map(drop),
        manager.shadow_refusals(Filter::new(), DAY).await.map(drop),
        manager.owner_days("a", today..=today).await.map(drop),
        manager.owner_totals(today, None, 1).await.map(drop),
    ] {
        assert!(
            matches!(outcome, Err(ManageError::Store(error)) if error.kind() == StoreErrorKind::Unavailable)
        );
    }
}
