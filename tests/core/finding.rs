//! Finding and listing keys.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use keygate::store::{Abilities, Listed, Page, Unreadable, Write};
use keygate::{
    Filter, FoundSecret, KeyId, KeyRecord, KeyStatus, KeyStore, ManageError, NewKey, StoreError,
    StoreErrorKind,
};

use crate::common::*;
use crate::manage::issue;

#[tokio::test]
async fn only_the_right_secret_finds_a_key_whatever_its_status() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let old = issue(&world).await;
    let id = old.info.key_id;
    let new = manager.rotate(&id).await.unwrap();
    let stranger = with_wrong_secret(old.key.expose());
    let elsewhere = issue(&World::new().await).await;
    for step in 0..4 {
        for (text, secret) in [
            (&old.key, FoundSecret::Previous),
            (&new.key, FoundSecret::Current),
        ] {
            let found = manager.find(text.expose()).await.unwrap().unwrap();
            assert_eq!((found.info.key_id, found.secret), (id, secret));
            assert_eq!(found.info, manager.inspect(&id).await.unwrap());
        }
        for text in [
            &stranger,
            elsewhere.key.expose(),
            &with_prefix(new.key.expose(), SANDBOX),
            &with_prefix(new.key.expose(), DECLINED),
        ] {
            assert_eq!(manager.find(text).await.unwrap(), None);
        }
        match step {
            0 => drop(manager.disable(&id).await.unwrap()),
            1 => world.clock.advance(91 * DAY),
            _ => drop(manager.revoke(&id, "").await.unwrap()),
        }
    }
    assert!(matches!(
        manager.find(id.as_str()).await,
        Err(ManageError::Invalid(_))
    ));
}

#[tokio::test]
async fn lists_are_paged_in_the_order_of_ids_and_filtered() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let mut ids = Vec::new();
    for n in 0..25 {
        let owner = if n % 2 == 0 { "even" } else { "odd" };
        let id = manager
            .issue(NewKey::for_owner(owner))
            .await
            .unwrap()
            .info
            .key_id;
        if n % 5 == 0 {
            manager.revoke(&id, "").await.unwrap();
        }
        ids.push((id, owner, n % 5 == 0));
    }
    ids.sort_unstable();
    type Wanted = fn(&(keygate::KeyId, &str, bool)) -> bool;
    let filters: [(Filter, Wanted); 4] = [
        (Filter::new(), |_| true),
        (Filter::new().owner("odd"), |key| key.1 == "odd"),
        (Filter::new().status(KeyStatus::Revoked), |key| key.2),
        (
            Filter::new().owner("even").status(KeyStatus::Active),
            |key| key.1 == "even" && !key.2,
        ),
    ];
    for (filter, wanted) in filters {
        let expected: Vec<_> = ids
            .iter()
            .filter(|key| wanted(key))
            .map(|key| key.0)
            .collect();
        for limit in [1, 3, 24, 25, 26, Filter::MAX_LIMIT] {
            let mut listed = Vec::new();
            let mut page = filter.clone().limit(limit);
            loop {
                let list = manager.list(page.clone()).await.unwrap();
                assert!(list.keys.len() <= limit && list.unreadable.is_empty());
                listed.extend(list.keys.iter().map(|info| info.key_id));
                match list.next {
                    Some(next) => page = page.after(next),
                    None => break,
                }
            }
            assert_eq!(listed, expected, "{filter:?} by {limit}");
        }
    }
    world.store.corrupt(ids[3].0);
    let list = manager.list(Filter::new()).await.unwrap();
    assert_eq!((list.keys.len(), list.unreadable.len()), (24, 1));
    assert_eq!(list.unreadable[0].id, ids[3].0.to_string());
}

/// A store whose list is full of what has no id that a next page could begin at.
#[derive(Default)]
struct Stuck(AtomicUsize);

#[async_trait]
impl KeyStore for Stuck {
    async fn get(&self, _: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        Ok(None)
    }

    async fn write(&self, _: Write<'_>) -> Result<(), StoreError> {
        Err(StoreErrorKind::Unavailable.into())
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        let calls = self.0.fetch_add(1, Ordering::SeqCst);
        assert!(calls < 10, "asked for the same page again and again");
        let unreadable = (0..page.limit).map(|_| Unreadable {
            id: "no id".into(),
            error: StoreErrorKind::Corrupt.into(),
        });
        let mut listed = Listed::from(Vec::new());
        listed.unreadable = unreadable.collect();
        Ok(listed)
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities::none()
    }
}

#[tokio::test]
async fn a_list_that_does_not_advance_is_an_error_and_never_an_end() {
    let keys = builder(Stuck::default(), &ManualClock::new());
    let keys = keys.build().await.unwrap();
    let corrupt = |error: ManageError| match error {
        ManageError::Store(error) => error.kind() == StoreErrorKind::Corrupt,
        _ => false,
    };
    let listed = keys.manager().list(Filter::new()).await;
    assert!(listed.is_err_and(corrupt));
    let revoked = keys.manager().revoke_owner("a", "").await;
    assert!(revoked.is_err_and(corrupt));
}
