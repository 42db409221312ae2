//! How keys that were made elsewhere are taken over, and managed.

use keygate::{
    Attempt, Clock, Conflict, FoundSecret, ManageError, NewKey, Policy, Rejection, StoredHash,
};
use sha2::{Digest as _, Sha256};

use crate::common::*;
use crate::imports::{SECRET, TEXT, import, imported, laravel, stored, world};

#[tokio::test]
async fn only_the_right_text_finds_an_imported_key() {
    let (world, id) = imported().await;
    let manager = world.keys.manager();
    for _ in 0..2 {
        let found = manager.find(TEXT).await.unwrap().unwrap();
        assert_eq!(
            (found.info.key_id, found.secret),
            (id, FoundSecret::Current)
        );
        let other = TEXT.replace("17", "18");
        assert_eq!(manager.find(&other).await.unwrap(), None);
        assert!(matches!(
            manager.find(SECRET).await,
            Err(ManageError::Invalid(_))
        ));
        let _ = manager.revoke(&id, "").await.unwrap();
    }
}

#[tokio::test]
async fn a_rotation_gives_an_imported_key_a_text_of_ours_and_ends_the_old_one_in_time() {
    let (world, id) = imported().await;
    let rotated = world.keys.manager().rotate(&id).await.unwrap();
    assert_eq!(rotated.info.key_id, id);
    assert_eq!(id_of(rotated.key.expose()), id);
    for text in [rotated.key.expose(), TEXT] {
        assert_eq!(present(&world.keys, text).await.unwrap().key_id(), &id);
    }
    world.clock.advance(DAY);
    assert!(present(&world.keys, rotated.key.expose()).await.is_ok());
    assert_eq!(
        rejection(present(&world.keys, TEXT).await),
        Rejection::KeyExpired
    );
}

#[tokio::test]
async fn importing_again_changes_nothing() {
    let (world, id) = imported().await;
    let manager = world.keys.manager();
    let again = async || import(&world.keys, NewKey::for_owner("org_42").name("other")).await;
    let first = again().await;
    assert_eq!((first.info.key_id, first.is_new), (id, false));
    assert_eq!(first.info.name, "laravel 17");
    let _ = manager.rotate(&id).await.unwrap();
    let _ = manager.revoke(&id, "leaked").await.unwrap();
    let before = world.record(&id).await;
    let second = again().await;
    assert!(!second.is_new && second.info.revocation.is_some());
    assert_eq!(world.record(&id).await, before);
    let theirs = NewKey::for_owner("mallory");
    let theirs = manager.import("laravel", &stored(), theirs).await;
    let conflict = ManageError::Conflict(Conflict::ImportedForAnother);
    assert_eq!(theirs.unwrap_err().to_string(), conflict.to_string());
}

#[tokio::test]
async fn an_import_whose_answer_was_lost_is_done_or_can_be_done_again() {
    let world = world().await;
    world.store.writes.once(Fault::DoneUnknown);
    assert!(import(&world.keys, NewKey::for_owner("a")).await.is_new);
    let other = StoredHash::from_bytes(Sha256::digest(TEXT).to_vec()).labelled("1");
    world.store.writes.once(Fault::NotDoneUnknown);
    let manager = world.keys.manager();
    let lost = manager
        .import("laravel", &other, NewKey::for_owner("a"))
        .await;
    assert!(matches!(lost, Err(ManageError::Store(_))));
    let done = manager
        .import("laravel", &other, NewKey::for_owner("a"))
        .await;
    assert!(done.unwrap().is_new);
}

#[tokio::test]
async fn an_import_is_bounded_by_policy_and_is_what_was_asked_for() {
    let max = Policy::new().max_secret_age(30 * DAY);
    let world = World::with(|b| b.accept_foreign(laravel()).policy(max)).await;
    let now = world.clock.wall();
    let new = NewKey::for_owner("a")
        .name("CI")
        .scopes(["orders:read,write"]);
    let info = import(&world.keys, new).await.info;
    assert_eq!(
        (info.name.as_str(), info.environment.as_str()),
        ("CI", LIVE)
    );
    assert_eq!(info.scopes.as_str(), "orders:read orders:write");
    assert_eq!(info.secrets[0].not_after, now.checked_add(30 * DAY));
    let other = StoredHash::from_bytes([1; 32]).labelled("1");
    let for_ever = NewKey::for_owner("a").expires_in(std::time::Duration::ZERO);
    let refused = world
        .keys
        .manager()
        .import("laravel", &other, for_ever)
        .await;
    assert!(matches!(refused, Err(ManageError::Invalid(_))));
}

#[tokio::test]
async fn what_cannot_be_imported_is_refused_and_said() {
    let (world, _) = imported().await;
    let manager = world.keys.manager();
    let hash = || StoredHash::from_bytes([1; 32]);
    let new = || NewKey::for_owner("a");
    for (format, hash, new, says) in [
        ("sanctum", hash().labelled("1"), new(), "there is laravel"),
        ("laravel", hash(), new(), "StoredHash::labelled"),
        (
            "laravel",
            hash().labelled("a"),
            new(),
            "no key of the format",
        ),
        (
            "laravel",
            StoredHash::from_bytes([1; 31]).labelled("1"),
            new(),
            "has 32 bytes",
        ),
        (
            "laravel",
            StoredHash::from_bytes([1; 64]).labelled("1"),
            new(),
            "has 32 bytes",
        ),
        (
            "laravel",
            hash().labelled("1"),
            new().environment(SANDBOX),
            LIVE,
        ),
    ] {
        let checked = manager.check_import(format, &hash, &new).unwrap_err();
        let error = manager.import(format, &hash, new).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(checked.to_string(), error.to_string());
    }
    let unowned = NewKey::for_owner("");
    let checked = manager.check_import("laravel", &hash().labelled("1"), &unowned);
    assert!(matches!(checked, Err(ManageError::Text(_))));
    let refused = manager
        .import("laravel", &hash().labelled("1"), unowned)
        .await;
    assert!(matches!(refused, Err(ManageError::Text(_))));
    let caller = present(&world.keys, TEXT).await.unwrap();
    let on_behalf = manager.on_behalf_of(&caller);
    let refused = on_behalf
        .import("laravel", &hash().labelled("1"), new())
        .await;
    assert!(matches!(refused, Err(ManageError::Invalid(_))));
    let checked = on_behalf.check_import("laravel", &hash().labelled("1"), &new());
    assert!(matches!(checked, Err(ManageError::Invalid(_))));
}

#[tokio::test]
async fn a_checked_import_is_told_and_not_made() {
    let world = world().await;
    let manager = world.keys.manager();
    let new = || NewKey::for_owner("org_42").name("old");
    let told = manager.check_import("laravel", &stored(), &new()).unwrap();
    assert!(manager.find(TEXT).await.unwrap().is_none());
    let made = import(&world.keys, new()).await;
    assert!(made.is_new);
    assert_eq!(
        (told.key_id, told.name, told.owner),
        (made.info.key_id, made.info.name, made.info.owner)
    );
}

#[tokio::test]
async fn an_imported_key_is_reported_and_ended_by_its_old_text_alone() {
    let (world, id) = imported().await;
    let manager = world.keys.manager();
    for text in [&TEXT.replace("17", "18"), SECRET, id.as_str()] {
        assert!(
            manager
                .report_leak(text, "a paste")
                .await
                .unwrap()
                .is_none()
        );
        let attempt = Attempt::new(text);
        let ended = world.keys.revoke_presented(attempt, "lost").await;
        assert!(ended.is_err(), "{text}");
    }
    assert!(
        manager
            .report_leak(TEXT, "a paste")
            .await
            .unwrap()
            .is_some()
    );
    assert!(present(&world.keys, TEXT).await.is_ok(), "it is only told");
    let attempt = Attempt::new(TEXT);
    world.keys.revoke_presented(attempt, "lost").await.unwrap();
    let refused = rejection(present(&world.keys, TEXT).await);
    assert_eq!(refused, Rejection::KeyRevoked);
}
