//! Formats of which keys were imported are declared as they were by every instance that starts.

use std::sync::Arc;

use keygate::store::{KeyStore, StoreErrorKind};
use keygate::{
    Alphabet, BuildError, Builder, ForeignFormat, Hashing, ManageError, NewKey, Rejection,
    StoredHash,
};

use crate::common::*;
use crate::imports::{TEXT, import, imported, laravel, world};

fn beside(world: &World) -> Builder {
    builder(Arc::clone(&world.store), &world.clock)
}

async fn refusal(builder: Builder) -> BuildError {
    builder.build().await.err().expect("must not start")
}

/// Texts of one kind, hashed by an HMAC under `key`.
fn keyed(key: &[u8]) -> ForeignFormat {
    let hashing = Hashing::hmac_sha256(key).unwrap();
    ForeignFormat::new("laravel", hashing, Alphabet::HEX, 64..=64)
}

#[tokio::test]
async fn an_instance_without_a_format_of_imported_keys_does_not_start() {
    let world = world().await;
    assert!(beside(&world).build().await.is_ok(), "nothing is imported");
    import(&world.keys, NewKey::for_owner("a")).await;
    let without = refusal(beside(&world)).await;
    assert!(without.to_string().contains("\"laravel\""), "{without}");
    assert!(matches!(without, BuildError::MissingForeignFormat(name) if name == "laravel"));
    let verifying = beside(&world).build_authenticator().await;
    assert!(matches!(
        verifying,
        Err(BuildError::MissingForeignFormat(_))
    ));
    let with = beside(&world).accept_foreign(laravel()).build().await;
    assert!(present(&with.unwrap(), TEXT).await.is_ok());
}

#[tokio::test]
async fn a_format_that_is_retired_can_be_taken_out() {
    let (world, _) = imported().await;
    let manager = beside(&world).build_manager().await.unwrap();
    manager.retire_foreign_format("other").await.unwrap();
    refusal(beside(&world)).await;
    let caller = present(&world.keys, TEXT).await.unwrap();
    let refused = world.keys.manager().on_behalf_of(&caller);
    let refused = refused.retire_foreign_format("laravel").await;
    assert!(matches!(refused, Err(ManageError::Invalid(_))));
    refusal(beside(&world)).await;
    manager.retire_foreign_format("laravel").await.unwrap();
    manager.retire_foreign_format("laravel").await.unwrap();
    let without = beside(&world).build().await.unwrap();
    let refused = rejection(present(&without, TEXT).await);
    assert_eq!(refused, Rejection::KeyInvalid);
    import(&world.keys, NewKey::for_owner("org_42")).await;
    refusal(beside(&world)).await;
}

#[tokio::test]
async fn a_format_under_which_the_imported_keys_would_not_open_is_refused() {
    let world = World::with(|builder| builder.accept_foreign(keyed(b"one"))).await;
    let hash = StoredHash::from_bytes([1; 32]);
    let import = async |keys: &keygate::Keygate, owner: &str| {
        let new = NewKey::for_owner(owner);
        keys.manager().import("laravel", &hash, new).await
    };
    let early = beside(&world).accept_foreign(keyed(b"other"));
    let early = early.build().await.unwrap();
    import(&world.keys, "a").await.unwrap();
    for changed in [
        keyed(b"other"),
        keyed(b"one").environment(SANDBOX),
        keyed(b"one").prefix("a-").hashes_secret_alone(),
        ForeignFormat::new("laravel", Hashing::sha256(), Alphabet::HEX, 64..=64),
    ] {
        let refused = refusal(beside(&world).accept_foreign(changed)).await;
        assert!(
            matches!(&refused, BuildError::ForeignFormatChanged(name) if name == "laravel"),
            "{refused}"
        );
    }
    let wider = ForeignFormat::new(
        "laravel",
        Hashing::hmac_sha256(b"one").unwrap(),
        Alphabet::ALPHANUMERIC,
        40..=80,
    );
    let wider = beside(&world).accept_foreign(wider);
    assert!(wider.build().await.is_ok(), "more texts may fit");
    let refused = import(&early, "a").await.unwrap_err();
    assert!(matches!(refused, ManageError::Invalid(_)), "{refused}");
}

#[tokio::test]
async fn nothing_is_imported_unless_it_is_noted_of_which_format() {
    let world = world().await;
    let settings = world.store.abilities().settings.unwrap();
    let hash = StoredHash::from_bytes([1; 32]).labelled("1");
    let kept = "nonsense".as_bytes();
    settings
        .compare_and_set("keygate/foreign", None, kept)
        .await
        .unwrap();
    let new = NewKey::for_owner("a");
    let refused = world.keys.manager().import("laravel", &hash, new).await;
    match refused {
        Err(ManageError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Corrupt),
        other => panic!("{other:?}"),
    }
    let unstarted = refusal(beside(&world).accept_foreign(laravel())).await;
    assert!(matches!(unstarted, BuildError::Store(_)));
}
