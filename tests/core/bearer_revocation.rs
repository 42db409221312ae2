//! Whoever holds a key can end it.

use std::net::IpAddr;

use keygate::audit::{Actor, AuditAction, AuditKind};
use keygate::store::AuditQuery;
use keygate::{
    Attempt, BearerRevocation, BearerRevocationError, Error, KeyStatus, Keygate, ManageError,
    NewKey, PepperId, RateLimit, Refusal, Rejection, StoreErrorKind, TextError,
};

use crate::common::*;
use crate::manage::issue;

const FROM: &str = "192.0.2.7";

async fn end(keys: &Keygate, text: &str) -> Result<BearerRevocation, BearerRevocationError> {
    let from: IpAddr = FROM.parse().unwrap();
    let attempt = Attempt::new(text).from_address(Some(from));
    keys.revoke_presented(attempt, "lost my laptop").await
}

#[track_caller]
fn refused(outcome: Result<BearerRevocation, BearerRevocationError>) -> Refusal {
    match outcome {
        Err(BearerRevocationError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn whoever_holds_a_key_ends_it_whatever_its_state_and_again_changes_nothing() {
    let world = World::new().await;
    let manager = world.keys.manager();
    for state in ["active", "disabled", "expired", "bound", "limited"] {
        let new = match state {
            "expired" => NewKey::for_owner("a").expires_in(SECOND),
            "bound" => NewKey::for_owner("a").allowed_ips(["198.51.100.0/24"]),
            "limited" => NewKey::for_owner("a").rate_limit(RateLimit::per_hour(1)),
            _ => NewKey::for_owner("a"),
        };
        let issued = manager.issue(new).await.unwrap();
        let (text, id) = (issued.key.expose(), issued.info.key_id);
        match state {
            "disabled" => drop(manager.disable(&id).await.unwrap()),
            "expired" => world.clock.advance(2 * SECOND),
            "limited" => drop(present(&world.keys, text).await.unwrap()),
            _ => {}
        }
        let ended = end(&world.keys, text).await.unwrap();
        assert_eq!((ended.key_id, ended.changed), (id, true), "{state}");
        assert_eq!(ended.effective_within, SECOND);
        let refused = rejection(present(&world.keys, text).await);
        assert_eq!(refused, Rejection::KeyRevoked, "{state}");
        let info = manager.inspect(&id).await.unwrap();
        assert_eq!(info.revocation.unwrap().reason, "lost my laptop");
        let again = end(&world.keys, text).await.unwrap();
        assert_eq!((again.key_id, again.changed), (id, false), "{state}");
        let query = AuditQuery {
            key_id: Some(id),
            action: Some(AuditAction::Revoked),
            ..AuditQuery::new()
        };
        let events = manager.audit(&query).await.unwrap().events;
        let [event] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(event.actor, Actor::Key(id), "{state}");
        assert_eq!(event.address, Some(FROM.parse().unwrap()));
    }
}

#[tokio::test]
async fn what_is_no_key_ends_nothing_and_is_a_failed_attempt_of_its_address() {
    let limit = RateLimit::per_minute(4);
    let world = World::with(|builder| builder.failed_attempts(limit)).await;
    let issued = issue(&world).await;
    let text = issued.key.expose();
    for near in [
        &with_wrong_secret(text),
        &with_prefix(text, SANDBOX),
        "junk",
        &forge(LIVE, "000000000000", &"A".repeat(43)),
    ] {
        let refusal = refused(end(&world.keys, near).await);
        assert_eq!(refusal.code(), "key_invalid", "{near}");
    }
    let asked = world.store.gets.count();
    for number in 1..=3 {
        let stranger = forge(LIVE, &format!("{number:012}"), &"A".repeat(43));
        let refusal = refused(end(&world.keys, &stranger).await);
        let too_many = Rejection::TooManyFailures {
            retry_after: 15 * SECOND,
        };
        assert_eq!(rejection::<()>(Err(refusal)), too_many);
    }
    assert_eq!(world.store.gets.count(), asked, "the store is spared");
    present(&world.keys, text).await.unwrap();
    let query = AuditQuery {
        kind: Some(AuditKind::Authentication),
        ..AuditQuery::new()
    };
    let events = world.keys.manager().audit(&query).await.unwrap().events;
    let requests = events.iter().filter_map(|event| event.requests.as_ref());
    let noted: u64 = requests.map(|requests| requests.count).sum();
    assert_eq!(noted, 7, "as a request with it would be");
    assert!(events.iter().all(|event| event.key_id.is_none()));
}

#[tokio::test]
async fn another_environments_key_is_told_so() {
    let world = World::new().await;
    let issued = issue(&world).await;
    let declined = with_prefix(issued.key.expose(), DECLINED);
    let refusal = refused(end(&world.keys, &declined).await);
    assert_eq!(refusal.code(), "wrong_environment");
}

#[tokio::test]
async fn a_secret_that_was_replaced_ends_the_key_only_while_it_opens() {
    let world = World::new().await;
    let manager = world.keys.manager();
    for opens in [true, false] {
        let old = issue(&world).await;
        let id = old.info.key_id;
        let _ = manager.rotate_with_overlap(&id, HOUR).await.unwrap();
        if opens {
            assert!(end(&world.keys, old.key.expose()).await.unwrap().changed);
            continue;
        }
        world.clock.advance(HOUR);
        let refusal = refused(end(&world.keys, old.key.expose()).await);
        assert_eq!(refusal.code(), "key_expired");
        let info = manager.inspect(&id).await.unwrap();
        assert_eq!(info.status, KeyStatus::Active);
        manager.revoke(&id, "").await.unwrap();
        let ended = end(&world.keys, old.key.expose()).await.unwrap();
        assert!(!ended.changed, "it is told that the key has ended");
    }
}

#[tokio::test]
async fn a_secret_that_another_process_has_just_made_ends_its_key() {
    let world = World::new().await;
    let old = issue(&world).await;
    present(&world.keys, old.key.expose()).await.unwrap();
    world.clock.advance_monotonic(millis(200));
    let other = world.second_gate().await;
    let new = other.manager().rotate(&old.info.key_id).await.unwrap();
    let ended = end(&world.keys, new.key.expose()).await.unwrap();
    assert!(ended.changed, "a refusal stands on a recent record alone");
}

#[tokio::test]
async fn an_outage_is_our_error_and_never_a_success() {
    let world = World::new().await;
    let issued = issue(&world).await;
    let text = issued.key.expose();
    let unavailable = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.gets.always(unavailable.clone());
    let refusal = refused(end(&world.keys, text).await);
    assert!(matches!(refusal, Refusal::Failed(Error::Store { .. })));
    world.store.gets.heal();
    world.store.writes.once(unavailable);
    let failed = end(&world.keys, text).await;
    assert!(
        matches!(
            failed,
            Err(BearerRevocationError::Failed(ManageError::Store(_)))
        ),
        "{failed:?}"
    );
    present(&world.keys, text).await.unwrap();
    assert!(end(&world.keys, text).await.unwrap().changed);
}

#[tokio::test]
async fn a_pepper_that_is_missing_is_our_error_until_the_key_is_revoked() {
    let world = World::new().await;
    let issued = issue(&world).await;
    let (id, text) = (issued.info.key_id, issued.key.expose());
    world
        .edit(&id, |record| record.secrets.current.pepper = PepperId(7))
        .await;
    let refusal = refused(end(&world.keys, text).await);
    assert!(matches!(
        refusal,
        Refusal::Failed(Error::UnknownPepper { key_id, pepper: PepperId(7) }) if key_id == id
    ));
    world.keys.manager().revoke(&id, "").await.unwrap();
    let refusal = refused(end(&world.keys, text).await);
    assert!(matches!(refusal, Refusal::Rejected(Rejection::KeyInvalid)));
}

#[tokio::test]
async fn a_canary_is_answered_as_a_revoked_key_and_tells_of_its_bearer() {
    let world = World::new().await;
    let canary = NewKey::for_owner("a").canary();
    let canary = world.keys.manager().issue(canary).await.unwrap();
    let ended = end(&world.keys, canary.key.expose()).await.unwrap();
    let id = canary.info.key_id;
    assert_eq!((ended.key_id, ended.changed), (id, false));
    let query = AuditQuery {
        action: Some(AuditAction::CanaryUsed),
        ..AuditQuery::new()
    };
    let events = world.keys.manager().audit(&query).await.unwrap().events;
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(event.key_id, Some(canary.info.key_id));
    assert_eq!(event.address, Some(FROM.parse().unwrap()));
}

#[tokio::test]
async fn a_reason_that_cannot_be_kept_ends_nothing() {
    let world = World::new().await;
    let issued = issue(&world).await;
    let attempt = Attempt::new(issued.key.expose());
    for reason in ["a\nb", "keygate:canary"] {
        let outcome = world.keys.revoke_presented(attempt, reason).await;
        let Err(BearerRevocationError::Failed(ManageError::Text(error))) = outcome else {
            panic!("{outcome:?}")
        };
        let expected = matches!(
            error,
            TextError::Control { .. } | TextError::Reserved { .. }
        );
        assert!(expected, "{error}");
    }
    present(&world.keys, issued.key.expose()).await.unwrap();
}
