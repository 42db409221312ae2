//! Peppers are read anew while requests run, and what is wrong with them never reaches a caller.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use keygate::{
    BuildError, Builder, Error, Issued, Keygate, ManageError, NewKey, PepperFile, PepperId,
    PepperProvider, PepperRing, PeppersError, Rejection,
};
use tokio::sync::Notify;

use crate::common::*;
use crate::rotated::{Shelf, eventually, fresh};

/// The peppers in `text`, in which the pepper of all other tests is called `old`.
fn with_old(text: &str) -> String {
    text.replace("old", PEPPER)
}

fn on_the_same_store(world: &World) -> Builder {
    builder(Arc::clone(&world.store), &world.clock).pepper_reload_interval(HOUR)
}

async fn issue(keys: &Keygate) -> Issued {
    let new = NewKey::for_owner("a");
    keys.manager().issue(new).await.unwrap()
}

async fn shelved(text: &str) -> (World, Shelf) {
    let shelf = Shelf::new(&with_old(text));
    let provider = shelf.clone();
    let world = World::with(|builder| {
        let builder = builder.pepper_provider(provider);
        builder.pepper_reload_interval(HOUR)
    });
    (world.await, shelf)
}

#[tokio::test]
async fn a_wrong_pepper_is_not_taken_and_leaves_no_trace() {
    let (world, shelf) = shelved("old").await;
    let issued = issue(&world.keys).await;
    let (second, third) = (fresh(), fresh());
    shelf.put(&format!("2:{second} 1:{third}"));
    for _ in 0..2 {
        let refused = world.keys.reload_peppers().await;
        assert!(matches!(refused, Err(PeppersError::Wrong(PepperId(1)))));
        world.clock.advance_monotonic(SECOND);
        present(&world.keys, issued.key.expose()).await.unwrap();
        let new = issue(&world.keys).await;
        let record = world.record(&new.info.key_id).await;
        assert_eq!(record.secrets.current.pepper, PepperId(1));
    }
    // Whoever mistyped the one may have mistyped the other too.
    shelf.put(&with_old(&format!("2:{third} old")));
    assert!(world.keys.reload_peppers().await.unwrap());
    present(&world.keys, issued.key.expose()).await.unwrap();
}

#[tokio::test]
async fn a_pepper_that_keys_need_cannot_be_left_out() {
    let second = fresh();
    let (world, shelf) = shelved(&format!("2:{second} old")).await;
    let issued = issue(&world.keys).await;
    shelf.put(&with_old("old"));
    let refused = world.keys.reload_peppers().await;
    assert!(matches!(refused, Err(PeppersError::Missing(PepperId(2)))));
    present(&world.keys, issued.key.expose()).await.unwrap();
    let without = on_the_same_store(&world);
    match without.build().await {
        Err(BuildError::MissingPepper(id)) => assert_eq!(id, PepperId(2)),
        other => panic!("{other:?}"),
    }
    let without = on_the_same_store(&world);
    assert!(matches!(
        without.build_authenticator().await,
        Err(BuildError::MissingPepper(PepperId(2)))
    ));
    // Whoever lost it can do without, once no key needs it.
    let manager = on_the_same_store(&world).build_manager().await.unwrap();
    let refused = manager.retire_pepper(PepperId(2)).await;
    assert!(matches!(
        refused,
        Err(ManageError::PepperInUse { keys: 1, .. })
    ));
    manager.revoke(&issued.info.key_id, "").await.unwrap();
    manager.retire_pepper(PepperId(2)).await.unwrap();
    let without = on_the_same_store(&world).build().await.unwrap();
    assert_eq!(
        rejection(present(&without, issued.key.expose()).await),
        Rejection::KeyInvalid,
        "it opens for nobody, and what is presented proves nothing"
    );
}

#[tokio::test]
async fn where_a_pepper_is_missing_its_keys_are_our_failure_until_the_provider_has_it() {
    let (behind, shelf) = shelved("old").await;
    tokio::spawn(behind.keys.run());
    let second = fresh();
    let ahead = PepperRing::parse(&with_old(&format!("2:{second} old"))).unwrap();
    let ahead = on_the_same_store(&behind)
        .peppers(ahead)
        .build()
        .await
        .unwrap();
    let issued = issue(&ahead).await;
    let text = issued.key.expose();
    for text in [text, &with_wrong_secret(text)] {
        let failed = failure(present(&behind.keys, text).await);
        assert!(matches!(
            failed,
            Error::UnknownPepper {
                pepper: PepperId(2),
                ..
            }
        ));
    }
    shelf.put(&with_old(&format!("old 2:{second}")));
    // Nobody asks for it, and the next regular look is an hour away.
    eventually("the key opens", async || {
        match present(&behind.keys, text).await {
            Ok(_) => true,
            Err(refusal) => {
                let failed = failure::<()>(Err(refusal));
                assert!(matches!(failed, Error::UnknownPepper { .. }));
                false
            }
        }
    })
    .await;
}

#[tokio::test]
async fn keys_that_open_for_nobody_are_invalid_where_their_pepper_is_missing() {
    let world = World::new().await;
    let key = issue(&world.keys).await;
    let (id, text) = (key.info.key_id, key.key.expose());
    world
        .edit(&id, |record| record.secrets.current.pepper = PepperId(7))
        .await;
    world.keys.manager().disable(&id).await.unwrap();
    failure(present(&world.keys, text).await);
    world.keys.manager().revoke(&id, "").await.unwrap();
    let refused = present(&world.keys, text).await;
    assert_eq!(rejection(refused), Rejection::KeyInvalid);
}

/// A provider that has no peppers in the way that is asked for.
#[derive(Clone, Default)]
struct Faulty(Arc<Mutex<Option<Trouble>>>);

#[derive(Clone, Copy)]
enum Trouble {
    Fails,
    Hangs,
    Panics,
}

#[async_trait]
impl PepperProvider for Faulty {
    async fn peppers(&self) -> Result<PepperRing, Box<dyn StdError + Send + Sync>> {
        let trouble = *self.0.lock().unwrap();
        match trouble {
            None => Ok(PepperRing::parse(PEPPER)?),
            Some(Trouble::Fails) => Err("the secrets manager is away".into()),
            Some(Trouble::Hangs) => std::future::pending().await,
            Some(Trouble::Panics) => panic!("a bug of the host"),
        }
    }
}

#[tokio::test]
async fn a_provider_in_trouble_leaves_the_peppers_as_they_are() {
    let faulty = Faulty::default();
    let provider = faulty.clone();
    let world = World::with(|builder| {
        let builder = builder.pepper_provider(provider);
        builder.pepper_reload_interval(Duration::from_millis(1))
    })
    .await;
    let issued = issue(&world.keys).await;
    let set = |trouble| *faulty.0.lock().unwrap() = Some(trouble);
    set(Trouble::Fails);
    let refused = world.keys.reload_peppers().await.unwrap_err();
    assert!(matches!(refused, PeppersError::Provider(_)));
    set(Trouble::Panics);
    let refused = world.keys.reload_peppers().await.unwrap_err();
    assert!(matches!(refused, PeppersError::ProviderPanicked));
    set(Trouble::Hangs);
    let refused = world.keys.reload_peppers().await.unwrap_err();
    assert!(matches!(refused, PeppersError::ProviderTooSlow));
    present(&world.keys, issued.key.expose()).await.unwrap();

    set(Trouble::Fails);
    let builder = on_the_same_store(&world).pepper_provider(faulty.clone());
    assert!(matches!(builder.build().await, Err(BuildError::Peppers(_))));
    world.keys.shutdown().await;
}

#[tokio::test]
async fn a_file_is_read_anew_and_one_that_is_cut_off_is_not_taken() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("peppers");
    std::fs::write(&path, PEPPER).unwrap();
    let file = PepperFile::new(&path);
    let world = World::with(|builder| builder.pepper_provider(file)).await;
    let second = fresh();
    let put = |text: &str| {
        let next = place.path().join("next");
        std::fs::write(&next, with_old(text)).unwrap();
        std::fs::rename(&next, &path).unwrap();
    };
    put(&format!("2:{} old", &second[..20]));
    let refused = world.keys.reload_peppers().await.unwrap_err();
    assert!(
        matches!(refused, PeppersError::Provider(_)),
        "it is cut off"
    );
    std::fs::remove_file(&path).unwrap();
    let refused = world.keys.reload_peppers().await.unwrap_err();
    assert!(matches!(refused, PeppersError::Provider(_)));
    put(&format!("2:{second} old"));
    assert!(world.keys.reload_peppers().await.unwrap());
    let record = issue(&world.keys).await.info.key_id;
    let record = world.record(&record).await;
    assert_eq!(record.secrets.current.pepper, PepperId(2));
}

#[tokio::test]
async fn what_is_cached_stays_where_the_peppers_have_not_changed_and_goes_where_they_have() {
    let (world, shelf) = shelved("old").await;
    let issued = issue(&world.keys).await;
    let asked = async |keys: &Keygate| {
        let before = world.store.gets.count();
        present(keys, issued.key.expose()).await.unwrap();
        world.store.gets.count() - before
    };
    assert_eq!(asked(&world.keys).await, 1);
    shelf.put(&format!(" 1:{PEPPER}\n"));
    assert!(!world.keys.reload_peppers().await.unwrap());
    assert_eq!(asked(&world.keys).await, 0);
    shelf.put(&with_old(&format!("old 2:{}", fresh())));
    assert!(world.keys.reload_peppers().await.unwrap());
    assert_eq!(asked(&world.keys).await, 1);
}

/// A provider of which one answer, when that is asked for, waits until it is let through.
#[derive(Clone)]
struct Slow {
    shelf: Shelf,
    is_slow: Arc<AtomicBool>,
    came: Arc<Notify>,
    may_pass: Arc<Notify>,
}

#[async_trait]
impl PepperProvider for Slow {
    async fn peppers(&self) -> Result<PepperRing, Box<dyn StdError + Send + Sync>> {
        let peppers = self.shelf.peppers().await;
        if self.is_slow.swap(false, Ordering::SeqCst) {
            self.came.notify_one();
            self.may_pass.notified().await;
        }
        peppers
    }
}

#[tokio::test]
async fn peppers_that_were_read_earlier_never_replace_those_that_were_read_later() {
    let slow = Slow {
        shelf: Shelf::new(PEPPER),
        is_slow: Arc::default(),
        came: Arc::default(),
        may_pass: Arc::default(),
    };
    let provider = slow.clone();
    let world = World::with(|builder| builder.pepper_provider(provider)).await;
    let second = fresh();
    slow.is_slow.store(true, Ordering::SeqCst);
    slow.shelf.put(&with_old(&format!("old 2:{second}")));
    let later = async {
        slow.came.notified().await;
        slow.shelf.put(&with_old(&format!("2:{second} old")));
        let later = tokio::spawn({
            let keys = world.keys.clone();
            async move { keys.reload_peppers().await }
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        slow.may_pass.notify_one();
        assert!(later.await.unwrap().unwrap());
    };
    let (earlier, ()) = tokio::join!(world.keys.reload_peppers(), later);
    assert!(earlier.unwrap());
    let id = issue(&world.keys).await.info.key_id;
    let record = world.record(&id).await;
    assert_eq!(record.secrets.current.pepper, PepperId(2));
}

#[tokio::test]
async fn peppers_that_were_given_once_are_not_read_again() {
    let world = World::new().await;
    let refused = world.keys.reload_peppers().await;
    assert!(matches!(refused, Err(PeppersError::NoProvider)));
    let never = on_the_same_store(&world).pepper_reload_interval(Duration::ZERO);
    assert!(matches!(
        never.build().await,
        Err(BuildError::NoPepperReloadInterval)
    ));
}
