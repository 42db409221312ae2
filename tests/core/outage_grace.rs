//! The grace of an outage: who goes on while the store is away, and for how long. And the bound of
//! revocations, of which the grace is a part.

use std::sync::Arc;
use std::time::Duration;

use keygate::store::{Listed, Page, Write};
use keygate::{
    Attempt, BuildError, Exposure, KeyId, KeyRecord, KeyStore, ManageError, MemoryStore, NewKey,
    OnExposure, Refusal, Rejection, Rule, StoreError, StoreErrorKind,
};

use crate::common::*;
use crate::feed::FedWorld;
use crate::lookups::{issue, spawn};

const GRACE: Duration = Duration::from_secs(30);

async fn world_with_grace() -> World {
    World::with(|builder| builder.outage_grace(GRACE)).await
}

fn cut(world: &World) {
    let gone = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.gets.always(gone);
}

#[tokio::test]
async fn a_key_that_was_verified_goes_on_for_the_grace_and_not_longer() {
    let world = world_with_grace().await;
    let issued = issue(&world.keys).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    cut(&world);
    for _ in 0..30 {
        world.clock.advance(SECOND);
        assert!(present(&world.keys, issued.key.expose()).await.is_ok());
    }
    world.clock.advance(millis(999));
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
    world.clock.advance(millis(1));
    failure(present(&world.keys, issued.key.expose()).await);
}

#[tokio::test]
async fn with_a_feed_the_grace_counts_from_its_last_heartbeat() {
    let world = FedWorld::with(|builder| builder.outage_grace(GRACE)).await;
    let issued = issue(&world.keys).await;
    world.beat().await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    world.beat_for(Duration::from_secs(40)).await;
    let gone = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.gets.always(gone);
    world.clock.advance(millis(30_999));
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
    world.clock.advance(millis(1));
    failure(present(&world.keys, issued.key.expose()).await);
}

#[tokio::test]
async fn a_record_goes_on_for_a_minute_and_the_grace_at_most_however_well_the_feed_does() {
    let world = FedWorld::with(|builder| builder.outage_grace(GRACE)).await;
    let issued = issue(&world.keys).await;
    world.beat().await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    let gone = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.gets.always(gone);
    world.beat_for(millis(89_500)).await;
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
    world.beat_for(millis(500)).await;
    failure(present(&world.keys, issued.key.expose()).await);
}

#[tokio::test]
async fn without_a_grace_nobody_goes_on() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    cut(&world);
    world.clock.advance(SECOND);
    failure(present(&world.keys, issued.key.expose()).await);
}

#[tokio::test]
async fn in_the_grace_everything_else_is_judged_as_ever_and_no_is_never_said_to_a_good_key() {
    let world = world_with_grace().await;
    let manager = world.keys.manager();
    let mut issued = Vec::new();
    for new in [
        NewKey::for_owner("a").scopes(["orders:read"]),
        NewKey::for_owner("a").expires_in(Duration::from_secs(10)),
        NewKey::for_owner("a"),
    ] {
        issued.push(manager.issue(new).await.unwrap());
    }
    let [scoped, expiring, revoked] = &issued[..] else {
        unreachable!()
    };
    manager.revoke(&revoked.info.key_id, "").await.unwrap();
    for issued in &issued {
        let _ = present(&world.keys, issued.key.expose()).await;
    }
    cut(&world);
    world.clock.advance(Duration::from_secs(10));
    let ask = async |text: &str, scope: &str| {
        let rule = Rule::all([scope]).unwrap();
        let attempt = Attempt::new(text).requiring(&rule);
        world.keys.authenticator().authenticate(attempt).await
    };
    assert!(ask(scoped.key.expose(), "orders:read").await.is_ok());
    // Whoever is refused may have been given what is missing meanwhile.
    failure(ask(scoped.key.expose(), "orders:write").await);
    failure(present(&world.keys, expiring.key.expose()).await);
    failure(present(&world.keys, revoked.key.expose()).await);
    failure(present(&world.keys, &with_wrong_secret(scoped.key.expose())).await);
    let stranger = issue(&World::new().await.keys).await;
    failure(present(&world.keys, stranger.key.expose()).await);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_no_outage() {
    let world = world_with_grace().await;
    let issued = issue(&world.keys).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    world.clock.advance(SECOND);
    world.store.corrupt(issued.info.key_id);
    failure(present(&world.keys, issued.key.expose()).await);
}

#[tokio::test]
async fn a_change_in_this_process_ends_the_grace_of_its_key() {
    let world = world_with_grace().await;
    let issued = issue(&world.keys).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    let manager = world.keys.manager();
    manager.revoke(&issued.info.key_id, "").await.unwrap();
    cut(&world);
    failure(present(&world.keys, issued.key.expose()).await);
}

#[tokio::test]
async fn while_the_store_hangs_one_request_a_second_waits_for_it_and_no_other() {
    let world = world_with_grace().await;
    let mut issued = Vec::new();
    for _ in 0..20 {
        issued.push(issue(&world.keys).await);
    }
    let all_go_on = async || {
        let calls = world.store.gets.count();
        let requests: Vec<_> = issued
            .iter()
            .map(|issued| spawn(&world.keys, issued))
            .collect();
        for request in requests {
            assert!(request.await.unwrap().is_ok());
        }
        world.store.gets.count() - calls
    };
    assert_eq!(all_go_on().await, 20);
    world.store.gets.always(Fault::Hang);
    world.clock.advance(SECOND);
    assert_eq!(all_go_on().await, 20, "nobody knows of the outage yet");
    assert_eq!(all_go_on().await, 0);
    world.clock.advance(SECOND);
    assert_eq!(all_go_on().await, 1);
    world.clock.advance(SECOND);
    world.store.gets.heal();
    assert_eq!(all_go_on().await, 20, "the first finds it back");
}

#[tokio::test]
async fn revoke_returns_the_bound_of_all_instances() {
    let world = World::new().await;
    let bound = async || {
        let issued = issue(&world.keys).await;
        let revoked = world.keys.manager().revoke(&issued.info.key_id, "").await;
        let owner = world.keys.manager().revoke_owner("a", "").await;
        let within = revoked.unwrap().effective_within;
        assert_eq!(owner.unwrap().effective_within, within);
        within
    };
    assert_eq!(bound().await, SECOND);
    let manager = world.keys.manager();
    manager.set_revocation_bound(SECOND + GRACE).await.unwrap();
    assert_eq!(bound().await, SECOND + GRACE, "of another instance");
    manager.set_revocation_bound(SECOND).await.unwrap();
    assert_eq!(bound().await, SECOND);
}

#[tokio::test]
async fn an_instance_beyond_the_bound_refuses_to_start() {
    let world = World::new().await;
    let with = async |grace| {
        let builder = builder(world.store.clone(), &world.clock);
        builder.outage_grace(grace).build().await
    };
    match with(millis(1)).await {
        Err(BuildError::BeyondRevocationBound { own, kept }) => {
            assert_eq!((own, kept), (SECOND + millis(1), SECOND));
        }
        other => panic!("{other:?}"),
    }
    let manager = world.keys.manager();
    manager.set_revocation_bound(SECOND + GRACE).await.unwrap();
    let graceful = with(GRACE).await.unwrap();
    assert!(with(GRACE + millis(1)).await.is_err());
    let lowered = graceful.manager().set_revocation_bound(SECOND).await;
    assert!(
        matches!(lowered, Err(ManageError::Invalid(_))),
        "{lowered:?}"
    );
}

/// A store that keeps records and nothing else.
struct Bare(keygate::MemoryStore);

#[async_trait::async_trait]
impl KeyStore for Bare {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.0.get(id).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        self.0.write(change).await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        self.0.list(page).await
    }
}

#[tokio::test]
async fn a_grace_that_no_other_instance_can_be_told_of_stops_the_start() {
    let clock = ManualClock::new();
    let bare = || builder(Bare(keygate::MemoryStore::new()), &clock);
    assert!(bare().build().await.is_ok());
    let built = bare().outage_grace(millis(1)).build().await;
    assert!(matches!(built, Err(BuildError::GraceUntold)), "{built:?}");
}

#[tokio::test]
async fn a_bound_that_is_larger_than_can_be_written_is_kept_as_the_largest() {
    let world = World::with(|builder| builder.outage_grace(Duration::MAX)).await;
    let manager = world.keys.manager();
    manager.set_revocation_bound(Duration::MAX).await.unwrap();
    let issued = issue(&world.keys).await;
    let revoked = manager.revoke(&issued.info.key_id, "").await;
    assert_eq!(revoked.unwrap().effective_within, Duration::MAX);
    let again = builder(world.store.clone(), &world.clock);
    assert!(again.outage_grace(Duration::MAX).build().await.is_ok());
}

#[tokio::test]
async fn no_caller_sets_the_bound() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let caller = present(&world.keys, issued.key.expose()).await.unwrap();
    let manager = world.keys.manager().on_behalf_of(&caller);
    let set = manager.set_revocation_bound(GRACE).await;
    assert!(matches!(set, Err(ManageError::Invalid(_))), "{set:?}");
}

#[tokio::test]
async fn a_bound_that_cannot_be_read_stops_the_start_and_is_named() {
    let world = World::new().await;
    let settings = world.store.abilities().settings.unwrap();
    let name = "keygate/revocation_bound_ms";
    let kept = settings.read(name).await.unwrap();
    assert_eq!(kept.as_deref(), Some(&b"1000"[..]));
    settings
        .compare_and_set(name, kept.as_deref(), b"soon")
        .await
        .unwrap();
    let built = builder(world.store.clone(), &world.clock).build().await;
    let Err(BuildError::Store(error)) = built else {
        panic!("{built:?}")
    };
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains(name), "{cause}");
    // The key ends all the same; who asked is told to ask again.
    let issued = issue(&world.keys).await;
    match world.keys.manager().revoke(&issued.info.key_id, "").await {
        Err(ManageError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown),
        other => panic!("{other:?}"),
    }
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);
}

#[tokio::test]
async fn a_key_that_was_exposed_is_refused_for_that_also_while_the_store_is_away() {
    let world = World::with(|builder| {
        let builder = builder.outage_grace(GRACE);
        builder.keys_from_browsers(OnExposure::Refuse)
    })
    .await;
    let issued = issue(&world.keys).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    cut(&world);
    world.clock.advance(2 * SECOND);
    for _first_failing_then_known_to_be_away in 0..2 {
        let attempt = Attempt::new(issued.key.expose()).sent_by_browser(true);
        let refused = world.keys.authenticator().authenticate(attempt).await;
        let exposed = Rejection::KeyExposed(Exposure::ByBrowser);
        assert_eq!(rejection(refused), exposed);
    }
    let wrong = with_wrong_secret(issued.key.expose());
    let stranger = Attempt::new(&wrong).sent_by_browser(true);
    let failed = world.keys.authenticator().authenticate(stranger).await;
    assert!(matches!(failed, Err(Refusal::Failed(_))), "{failed:?}");
}

#[tokio::test]
async fn a_tool_that_comes_first_promises_nothing_for_the_instances() {
    let (store, clock) = (Arc::new(MemoryStore::new()), ManualClock::new());
    let gate = || builder(Arc::clone(&store), &clock);
    let tool = gate().as_tool().outage_grace(3600 * SECOND);
    tool.build().await.unwrap();
    gate().outage_grace(60 * SECOND).build().await.unwrap();
    let tool = gate().as_tool().build_manager().await.unwrap();
    let issued = tool.issue(NewKey::for_owner("a")).await.unwrap();
    let revoked = tool.revoke(&issued.info.key_id, "").await.unwrap();
    assert!(
        revoked.effective_within >= 60 * SECOND,
        "what the instances promise"
    );
}
