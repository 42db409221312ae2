//! Keys that the host stores in a transaction of its own.

use keygate::{ManageError, NewKey, Rejection};

use crate::common::*;
use crate::lookups::issue;

#[tokio::test]
async fn a_draft_opens_nothing_until_its_write_is_made() {
    let world = World::new().await;
    let new = NewKey::for_owner("org_42").scopes(["orders:read"]);
    let draft = world.keys.manager().draft(new).unwrap();
    let id = draft.info().key_id;
    assert_eq!(world.store.writes.count(), 0);
    assert_eq!(world.store.inner().get(&id).await.unwrap(), None);
    world.store.inner().write(draft.write()).await.unwrap();
    let issued = draft.committed();
    let caller = present(&world.keys, issued.key.expose()).await.unwrap();
    assert_eq!((*caller.key_id(), caller.owner()), (id, "org_42"));
    assert_eq!(
        issued.info,
        world.keys.manager().inspect(&id).await.unwrap()
    );
}

#[tokio::test]
async fn a_draft_whose_write_is_not_made_is_no_key() {
    let world = World::new().await;
    let draft = world.keys.manager().draft(NewKey::for_owner("a")).unwrap();
    let outcome = present(&world.keys, draft.committed().key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyInvalid);
}

#[tokio::test]
async fn a_draft_is_checked_as_a_key_is_and_is_for_no_caller() {
    let world = World::new().await;
    assert!(world.keys.manager().draft(NewKey::for_owner("")).is_err());
    let issued = issue(&world.keys).await;
    let caller = present(&world.keys, issued.key.expose()).await.unwrap();
    let manager = world.keys.manager().on_behalf_of(&caller);
    let draft = manager.draft(NewKey::for_owner("a"));
    assert!(matches!(draft, Err(ManageError::Invalid(_))), "{draft:?}");
    assert!(!format!("{:?}", world.keys.manager().draft(NewKey::for_owner("a"))).contains("mac"));
}
