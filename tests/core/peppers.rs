//! MACs, and the peppers that they are made with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use keygate::store::{Abilities, Listed, Page, Settings, Write};
use keygate::{
    BuildError, Error, KeyId, KeyRecord, KeyStore, Mac, ManageError, MemoryStore, NewKey, Pepper,
    PepperId, PepperRing, Rejection, StoreError,
};

use crate::common::*;

#[tokio::test]
async fn the_mac_of_one_key_pasted_into_another_opens_nothing() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let mine = manager.issue(NewKey::for_owner("mallory")).await.unwrap();
    let theirs = manager.issue(NewKey::for_owner("alice")).await.unwrap();
    let pasted = world.record(&mine.info.key_id).await.secrets;
    world
        .edit(&theirs.info.key_id, |record| record.secrets = pasted)
        .await;
    let id = theirs.info.key_id.to_string();
    let text = forge(LIVE, &id, secret_of(mine.key.expose()));
    assert_eq!(
        rejection(present(&world.keys, &text).await),
        Rejection::KeyInvalid
    );
    assert!(present(&world.keys, mine.key.expose()).await.is_ok());
}

#[tokio::test]
async fn a_record_under_a_pepper_that_is_not_in_the_ring_is_our_failure() {
    let world = World::new().await;
    let issued = world
        .keys
        .manager()
        .issue(NewKey::for_owner("a"))
        .await
        .unwrap();
    let (id, text) = (issued.info.key_id, issued.key.expose());
    world
        .edit(&id, |record| record.secrets.current.pepper = PepperId(7))
        .await;
    for text in [text, &with_wrong_secret(text)] {
        for _cold_then_cached in 0..2 {
            match failure(present(&world.keys, text).await) {
                Error::UnknownPepper { key_id, pepper } => {
                    assert_eq!((key_id, pepper), (id, PepperId(7)));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let found = world.keys.manager().find(text).await;
    assert!(matches!(
        found,
        Err(ManageError::UnknownPepper(PepperId(7)))
    ));
}

#[tokio::test]
async fn a_mac_of_another_pepper_under_a_known_id_opens_nothing() {
    let world = World::new().await;
    let issued = world
        .keys
        .manager()
        .issue(NewKey::for_owner("a"))
        .await
        .unwrap();
    world
        .edit(&issued.info.key_id, |record| {
            record.secrets.current.mac = Mac::from_bytes([7; 32]);
        })
        .await;
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyInvalid);
}

#[tokio::test]
async fn keys_of_every_pepper_in_the_ring_open_and_new_ones_are_made_with_the_active_one() {
    let world = World::new().await;
    let old = world
        .keys
        .manager()
        .issue(NewKey::for_owner("a"))
        .await
        .unwrap();
    let fresh = Pepper::generate_base64().unwrap();
    let second = || Pepper::from_base64(&fresh).unwrap();
    let ring = PepperRing::new(PepperId(1), pepper())
        .verify_only(PepperId(2), second())
        .unwrap();
    let preparing = builder(world.store.clone(), &world.clock)
        .peppers(ring)
        .build()
        .await
        .unwrap();
    let ring = PepperRing::new(PepperId(2), second())
        .verify_only(PepperId(1), pepper())
        .unwrap();
    let switched = builder(world.store.clone(), &world.clock)
        .peppers(ring)
        .build()
        .await
        .unwrap();
    let new = switched
        .manager()
        .issue(NewKey::for_owner("a"))
        .await
        .unwrap();
    let record = world.record(&new.info.key_id).await;
    assert_eq!(record.secrets.current.pepper, PepperId(2));
    for gate in [&preparing, &switched] {
        assert!(present(gate, old.key.expose()).await.is_ok());
        assert!(present(gate, new.key.expose()).await.is_ok());
    }
    failure(present(&world.keys, new.key.expose()).await);

    // A rotation moves a key to the active pepper, and both its secrets open.
    let rotated = switched.manager().rotate(&old.info.key_id).await.unwrap();
    let secrets = world.record(&old.info.key_id).await.secrets;
    assert_eq!(secrets.current.pepper, PepperId(2));
    assert_eq!(secrets.previous.unwrap().pepper, PepperId(1));
    for text in [old.key.expose(), rotated.key.expose()] {
        assert!(present(&switched, text).await.is_ok());
    }
}

#[tokio::test]
async fn a_wrong_pepper_under_a_known_id_fails_at_start() {
    let world = World::new().await;
    let wrong = builder(world.store.clone(), &world.clock).pepper(fresh_pepper());
    match wrong.build().await {
        Err(BuildError::WrongPepper(id)) => assert_eq!(id, PepperId(1)),
        other => panic!("{other:?}"),
    }
    let ring = PepperRing::new(PepperId(2), fresh_pepper())
        .verify_only(PepperId(1), fresh_pepper())
        .unwrap();
    let wrong = builder(world.store.clone(), &world.clock).peppers(ring);
    assert!(matches!(
        wrong.build().await,
        Err(BuildError::WrongPepper(PepperId(1)))
    ));
    assert!(
        builder(world.store.clone(), &world.clock)
            .build()
            .await
            .is_ok()
    );
}

/// A store to which another process brings its setting between our first look and our write.
#[derive(Default)]
struct LostRace {
    inner: MemoryStore,
    looked: AtomicBool,
}

#[async_trait]
impl KeyStore for LostRace {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.inner.get(id).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        self.inner.write(change).await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        self.inner.list(page).await
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities::none().with_settings(self)
    }
}

#[async_trait]
impl Settings for LostRace {
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.looked.swap(true, Ordering::SeqCst) {
            true => self.inner.read(name).await,
            false => Ok(None),
        }
    }

    async fn compare_and_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        self.inner.compare_and_set(name, expected, value).await
    }
}

#[tokio::test]
async fn of_two_that_start_at_once_the_one_with_a_wrong_pepper_fails() {
    let clock = ManualClock::new();
    for (theirs, right) in [(pepper(), true), (fresh_pepper(), false)] {
        let store = Arc::new(LostRace::default());
        store.looked.store(true, Ordering::SeqCst);
        let first = builder(Arc::clone(&store), &clock).pepper(theirs);
        assert!(first.build().await.is_ok());
        store.looked.store(false, Ordering::SeqCst);
        match builder(store, &clock).build().await {
            Ok(_) => assert!(right),
            Err(BuildError::WrongPepper(id)) => assert!(!right && id == PepperId(1)),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_store_that_was_never_used_is_refused_where_that_is_asked_for_and_stays_as_it_was() {
    let (store, clock) = (Arc::new(MemoryStore::new()), ManualClock::new());
    let tool = || builder(Arc::clone(&store), &clock).only_in_use();
    for _ in 0..2 {
        let refused = tool().build_manager().await;
        assert!(matches!(refused, Err(BuildError::StoreNotInUse)));
    }
    builder(Arc::clone(&store), &clock).build().await.unwrap();
    assert!(tool().build_manager().await.is_ok());
}

#[tokio::test]
async fn a_tool_with_the_peppers_of_another_service_is_refused_and_leaves_none() {
    let (store, clock) = (Arc::new(MemoryStore::new()), ManualClock::new());
    let build = || builder(Arc::clone(&store), &clock);
    build().build().await.unwrap();
    let text = Pepper::generate_base64().unwrap();
    let second = || PepperRing::new(PepperId(2), Pepper::from_base64(&text).unwrap());
    let refused = build()
        .peppers(second())
        .only_in_use()
        .build_manager()
        .await;
    assert!(matches!(
        refused,
        Err(BuildError::MissingPepper(PepperId(1)))
    ));
    // Its instances start as they did.
    build().build().await.unwrap();
    // One that comes beside the other may be active in a tool first; and once it is known, the other may
    // be gone.
    let both = second().verify_only(PepperId(1), pepper()).unwrap();
    assert!(
        build()
            .peppers(both)
            .only_in_use()
            .build_manager()
            .await
            .is_ok()
    );
    assert!(
        build()
            .peppers(second())
            .only_in_use()
            .build_manager()
            .await
            .is_ok()
    );
}
