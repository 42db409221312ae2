//! MACs are renewed under the active pepper as keys are used.

use std::sync::Arc;
use std::time::Instant;

use keygate::audit::{Actor, AuditAction, FieldChange};
use keygate::store::{AuditQuery, Settings};
use keygate::{
    KeyId, Keygate, NewKey, PepperId, PepperRing, Rejection, Revocation, Rotation, StoreErrorKind,
};

use crate::common::*;
use crate::rotated::{Shelf, eventually, fresh};

/// The peppers in `text`, in which the pepper of all other tests is called `old`.
fn ring(text: &str) -> PepperRing {
    PepperRing::parse(&text.replace("old", PEPPER)).unwrap()
}

/// Another gate on the store of `world`.
async fn gate(world: &World, peppers: &str) -> Keygate {
    let builder = builder(Arc::clone(&world.store), &world.clock).peppers(ring(peppers));
    let keys = builder.build().await.unwrap();
    tokio::spawn(keys.run());
    keys
}

/// A key under pepper 1, and a gate on which pepper 2 is active.
struct Renewing {
    world: World,
    keys: Keygate,
    peppers: String,
    id: KeyId,
    text: String,
}

impl Renewing {
    async fn new() -> Self {
        let world = World::new().await;
        let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
        let issued = issued.unwrap();
        let peppers = format!("2:{} 1:old", fresh());
        Self {
            keys: gate(&world, &peppers).await,
            id: issued.info.key_id,
            text: issued.key.expose().to_owned(),
            world,
            peppers,
        }
    }

    async fn pepper(&self) -> u32 {
        self.world.record(&self.id).await.secrets.current.pepper.0
    }

    async fn is_renewed(&self) {
        eventually("the MAC is renewed", async || self.pepper().await == 2).await;
    }

    async fn renewals(&self) -> Vec<Vec<FieldChange>> {
        let query = AuditQuery {
            key_id: Some(self.id),
            ..AuditQuery::new()
        };
        let page = self.world.keys.manager().audit(&query).await.unwrap();
        let renewed = page.events.into_iter();
        let renewed = renewed.filter(|event| event.action == AuditAction::MacRenewed);
        renewed
            .inspect(|event| {
                assert_eq!(
                    (&event.actor, event.owner.as_deref()),
                    (&Actor::Host, Some("a"))
                );
            })
            .map(|event| event.changes)
            .collect()
    }

    /// Gives the background work a turn, and more than one.
    async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_thousand_requests_renew_a_mac_once() {
    let t = Renewing::new().await;
    let before = t.world.record(&t.id).await;
    let writes = t.world.store.writes.count();
    for n in 0..1_000 {
        present(&t.keys, &t.text).await.unwrap();
        if n % 100 == 50 {
            tokio::task::yield_now().await;
        }
    }
    t.is_renewed().await;
    for _ in 0..10 {
        present(&t.keys, &t.text).await.unwrap();
        t.settle().await;
    }
    assert_eq!(t.world.store.writes.count(), writes + 1);
    let after = t.world.record(&t.id).await;
    let mut expected = before.clone();
    expected.version += 1;
    expected.secrets.current.pepper = PepperId(2);
    assert!(after.secrets.current.mac != before.secrets.current.mac);
    expected.secrets.current.mac = after.secrets.current.mac;
    assert_eq!(after, expected, "nothing else of the record is touched");
    let change = FieldChange {
        field: "pepper".into(),
        before: Some("1".into()),
        after: Some("2".into()),
    };
    assert_eq!(t.renewals().await, [[change]]);

    // The old pepper is not needed any more.
    t.keys.shutdown().await;
    let alone = t.peppers.split(' ').next().unwrap();
    let manager = t.keys.manager();
    manager.retire_pepper(PepperId(1)).await.unwrap();
    let late = gate(&t.world, alone).await;
    present(&late, &t.text).await.unwrap();
}

#[tokio::test]
async fn two_instances_with_different_active_peppers_do_not_renew_back_and_forth() {
    let t = Renewing::new().await;
    let turned: Vec<&str> = t.peppers.split(' ').rev().collect();
    let behind = gate(&t.world, &turned.join(" ")).await;
    present(&t.keys, &t.text).await.unwrap();
    t.is_renewed().await;
    let writes = t.world.store.writes.count();
    for _ in 0..20 {
        for keys in [&behind, &t.keys] {
            t.world.clock.advance_monotonic(SECOND);
            present(keys, &t.text).await.unwrap();
            t.settle().await;
        }
    }
    assert_eq!(
        (t.world.store.writes.count(), t.pepper().await),
        (writes, 2)
    );
}

#[tokio::test]
async fn a_mac_that_another_instance_has_renewed_is_let_be() {
    let t = Renewing::new().await;
    let other = gate(&t.world, &t.peppers).await;
    let door = Door::new();
    t.world.store.writes.once(Fault::HoldBack(door.clone()));
    present(&t.keys, &t.text).await.unwrap();
    door.arrival().await;
    // It has the record of before in its cache, and a renewal of its own.
    present(&other, &t.text).await.unwrap();
    t.is_renewed().await;
    door.open();
    t.settle().await;
    let renewed = t.world.record(&t.id).await;
    for keys in [&t.keys, &other] {
        present(keys, &t.text).await.unwrap();
    }
    let gets = t.world.store.gets.count();
    for _ in 0..20 {
        for keys in [&t.keys, &other] {
            present(keys, &t.text).await.unwrap();
            t.settle().await;
        }
    }
    assert_eq!(t.world.store.gets.count(), gets, "nobody asks any more");
    assert_eq!(t.world.record(&t.id).await, renewed);
    assert_eq!(t.renewals().await.len(), 1);
}

#[tokio::test]
async fn only_who_is_let_in_by_its_secret_has_a_mac_renewed() {
    let t = Renewing::new().await;
    let writes = t.world.store.writes.count();
    rejection(present(&t.keys, &with_wrong_secret(&t.text)).await);
    t.settle().await;
    t.world
        .edit(&t.id, |record| record.disabled_at = Some(record.created_at))
        .await;
    assert_eq!(
        rejection(present(&t.keys, &t.text).await),
        Rejection::KeyDisabled
    );
    t.settle().await;
    t.world
        .edit(&t.id, |record| {
            record.revocation = Some(Revocation {
                at: record.created_at,
                reason: String::new(),
            });
            record.disabled_at = None;
        })
        .await;
    assert_eq!(
        rejection(present(&t.keys, &t.text).await),
        Rejection::KeyRevoked
    );
    t.keys.shutdown().await;
    assert_eq!(
        (t.world.store.writes.count(), t.pepper().await),
        (writes, 1)
    );
}

#[tokio::test]
async fn both_secrets_of_a_rotation_are_renewed() {
    let t = Renewing::new().await;
    let how = Rotation::new().overlap(HOUR);
    let manager = t.world.keys.manager();
    let rotated = manager.rotate_with(&t.id, how).await.unwrap();
    let peppers = async || {
        let secrets = t.world.record(&t.id).await.secrets;
        [secrets.current.pepper.0, secrets.previous.unwrap().pepper.0]
    };
    present(&t.keys, &t.text).await.unwrap();
    eventually("the old secret is", async || peppers().await == [1, 2]).await;
    present(&t.keys, rotated.key.expose()).await.unwrap();
    eventually("the new one is too", async || peppers().await == [2, 2]).await;
    t.world.clock.advance_monotonic(SECOND);
    for text in [&t.text, rotated.key.expose()] {
        present(&t.keys, text).await.unwrap();
    }
    let fields: Vec<String> = t
        .renewals()
        .await
        .into_iter()
        .flatten()
        .map(|c| c.field)
        .collect();
    assert_eq!(fields.len(), 2);
    assert!(fields.contains(&"previous_secret_pepper".into()) && fields.contains(&"pepper".into()));
}

#[tokio::test]
async fn a_key_that_is_revoked_while_its_mac_is_renewed_stays_revoked() {
    let t = Renewing::new().await;
    let door = Door::new();
    t.world.store.writes.once(Fault::HoldBack(door.clone()));
    present(&t.keys, &t.text).await.unwrap();
    door.arrival().await;
    t.world
        .keys
        .manager()
        .revoke(&t.id, "stolen")
        .await
        .unwrap();
    let revoked = t.world.record(&t.id).await;
    door.open();
    t.settle().await;
    t.keys.shutdown().await;
    assert_eq!(t.world.record(&t.id).await, revoked);
    assert!(t.renewals().await.is_empty());
    t.world.clock.advance_monotonic(SECOND);
    assert_eq!(
        rejection(present(&t.keys, &t.text).await),
        Rejection::KeyRevoked
    );
}

#[tokio::test]
async fn a_key_that_is_rotated_while_its_mac_is_renewed_keeps_its_new_secret() {
    let t = Renewing::new().await;
    let door = Door::new();
    t.world.store.writes.once(Fault::HoldBack(door.clone()));
    present(&t.keys, &t.text).await.unwrap();
    door.arrival().await;
    let rotated = t.world.keys.manager().rotate(&t.id).await.unwrap();
    let written = t.world.record(&t.id).await.secrets;
    door.open();
    eventually("the old secret is renewed in its new place", async || {
        let secrets = t.world.record(&t.id).await.secrets;
        secrets.previous.unwrap().pepper == PepperId(2)
    })
    .await;
    assert_eq!(t.world.record(&t.id).await.secrets.current, written.current);
    t.world.clock.advance_monotonic(SECOND);
    for text in [&t.text, rotated.key.expose()] {
        present(&t.keys, text).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_takes_no_writes_refuses_nobody_and_gets_the_renewal_later() {
    for fault in [
        Fault::Fail(StoreErrorKind::Unavailable),
        Fault::NotDoneUnknown,
        Fault::DoneUnknown,
        Fault::Panic,
    ] {
        let t = Renewing::new().await;
        let (writes, begun) = (t.world.store.writes.count(), Instant::now());
        t.world.store.writes.always(fault);
        for _ in 0..50 {
            present(&t.keys, &t.text).await.unwrap();
            tokio::task::yield_now().await;
        }
        let tried = t.world.store.writes.count() - writes;
        let pauses = begun.elapsed().as_millis() / 50;
        assert!(tried as u128 <= 2 + pauses, "it is tried without a pause");
        t.world.store.writes.heal();
        t.is_renewed().await;
        assert_eq!(t.renewals().await.len(), 1);
        t.world.clock.advance_monotonic(SECOND);
        present(&t.keys, &t.text).await.unwrap();
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_alone_and_holds_up_no_other() {
    let t = Renewing::new().await;
    let other = t.world.keys.manager().issue(NewKey::for_owner("a")).await;
    let other = other.unwrap();
    present(&t.keys, &t.text).await.unwrap();
    t.world.store.corrupt(t.id);
    present(&t.keys, other.key.expose()).await.unwrap();
    let id = other.info.key_id;
    eventually("the other key is renewed", async || {
        t.world.record(&id).await.secrets.current.pepper == PepperId(2)
    })
    .await;
    let gets = t.world.store.gets.count();
    for _ in 0..20 {
        present(&t.keys, &t.text).await.unwrap();
        t.settle().await;
    }
    assert_eq!(
        t.world.store.gets.count(),
        gets,
        "it is not tried each time"
    );
    assert_eq!(t.pepper().await, 1);
    t.world.store.mend(t.id);
    t.world.clock.advance(HOUR);
    present(&t.keys, &t.text).await.unwrap();
    t.is_renewed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_always_gives_way_is_tried_a_few_times_and_then_left_for_later() {
    let t = Renewing::new().await;
    let writes = t.world.store.writes.count();
    let stale = Fault::Fail(StoreErrorKind::Stale);
    t.world.store.writes.always(stale);
    present(&t.keys, &t.text).await.unwrap();
    tokio::time::sleep(SECOND / 5).await;
    for _ in 0..20 {
        present(&t.keys, &t.text).await.unwrap();
        t.settle().await;
    }
    let tried = t.world.store.writes.count() - writes;
    t.world.store.writes.heal();
    assert!(tried <= 8, "it was tried {tried} times");
    t.world.clock.advance(HOUR);
    present(&t.keys, &t.text).await.unwrap();
    t.is_renewed().await;
}

#[tokio::test]
async fn a_shutdown_writes_what_was_to_be_renewed() {
    let t = Renewing::new().await;
    present(&t.keys, &t.text).await.unwrap();
    assert_eq!(t.pepper().await, 1, "nobody has had a turn to write it");
    t.keys.shutdown().await;
    assert_eq!(t.pepper().await, 2);
}

#[tokio::test]
async fn a_renewal_that_waited_until_its_pepper_was_no_longer_active_is_not_written() {
    let world = World::new().await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let issued = issued.unwrap();
    let (two, three) = (fresh(), fresh());
    let shelf = Shelf::new(&format!("2:{two} 1:{PEPPER}"));
    let builder = builder(Arc::clone(&world.store), &world.clock).pepper_provider(shelf.clone());
    let keys = builder.build().await.unwrap();
    present(&keys, issued.key.expose()).await.unwrap();
    shelf.put(&format!("3:{three} 2:{two} 1:{PEPPER}"));
    world
        .store
        .writes
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    assert!(keys.reload_peppers().await.unwrap());
    world.store.writes.heal();
    keys.shutdown().await;
    let pepper = world
        .record(&issued.info.key_id)
        .await
        .secrets
        .current
        .pepper;
    assert_ne!(pepper, PepperId(2));
}

#[tokio::test]
async fn keys_that_open_no_more_need_no_pepper() {
    let t = Renewing::new().await;
    let manager = t.world.keys.manager();
    let needed = async || {
        let found = manager.pepper_use().await.unwrap();
        found
            .peppers
            .get(&PepperId(1))
            .map_or(0, |found| found.keys)
    };
    assert_eq!(needed().await, 1);
    manager.disable(&t.id).await.unwrap();
    assert_eq!(needed().await, 1, "it may be enabled again");
    manager.enable(&t.id).await.unwrap();
    let ending = NewKey::for_owner("b").expires_in(HOUR);
    let _ = manager.issue(ending).await.unwrap();
    assert_eq!(needed().await, 2);
    t.world.clock.advance(HOUR);
    assert_eq!(needed().await, 1);
    let how = Rotation::new().overlap(HOUR);
    let _ = t.keys.manager().rotate_with(&t.id, how).await.unwrap();
    assert_eq!(needed().await, 1, "by its old secret");
    t.world.clock.advance(HOUR);
    assert_eq!(needed().await, 0);
}

#[tokio::test]
async fn a_pepper_that_may_be_needed_is_not_retired() {
    let t = Renewing::new().await;
    let manager = t.keys.manager();
    let refusal = async |id| {
        manager
            .retire_pepper(PepperId(id))
            .await
            .unwrap_err()
            .to_string()
    };
    assert!(refusal(2).await.contains("pepper 2 is active"));
    assert!(refusal(1).await.contains("1 key of a has to be used"));
    manager.revoke(&t.id, "").await.unwrap();
    t.world.store.corrupt(t.id);
    assert!(refusal(1).await.contains("1 records cannot be read"));
    t.world.store.mend(t.id);
    let caller = t
        .keys
        .manager()
        .issue(NewKey::for_owner("a"))
        .await
        .unwrap();
    let caller = present(&t.keys, caller.key.expose()).await.unwrap();
    let on_behalf = manager.on_behalf_of(&caller);
    assert!(on_behalf.retire_pepper(PepperId(1)).await.is_err());
    assert!(on_behalf.pepper_use().await.is_err());
    let settings: &dyn Settings = t.world.store.inner().abilities().settings.unwrap();
    let listed = async || settings.read("keygate/peppers").await.unwrap().unwrap();
    assert_eq!(listed().await, b"1 2");
    assert!(manager.retire_pepper(PepperId(1)).await.unwrap());
    assert_eq!(listed().await, b"2 -1");
    // Again, it changes nothing; and one that was never active is not there to be retired.
    assert!(manager.retire_pepper(PepperId(1)).await.unwrap());
    assert!(!manager.retire_pepper(PepperId(7)).await.unwrap());
    assert_eq!(listed().await, b"2 -1");
}
