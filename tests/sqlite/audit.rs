//! What a gate notes of requests and changes, and the file has after a restart.

use keygate::audit::{Actor, AuditAction, AuditEvent, AuditKind};
use keygate::store::AuditQuery;
use keygate::{Attempt, KeyId, Keygate, NewKey, Pepper, Timestamp};

use crate::support::*;

async fn gate(place: &Place, pepper: &str) -> Keygate {
    let pepper = Pepper::from_base64(pepper).unwrap();
    let builder = Keygate::builder("acme_live").pepper(pepper);
    let builder = builder.audit_accepted().store(place.open().await);
    builder.build().await.unwrap()
}

async fn audit(keys: &Keygate, key_id: Option<KeyId>) -> Vec<AuditEvent> {
    let query = AuditQuery {
        key_id,
        ..AuditQuery::new()
    };
    let page = keys.manager().audit(&query).await.unwrap();
    assert!(page.unreadable.is_empty());
    page.events
}

#[tokio::test]
async fn what_was_done_with_a_key_is_read_after_a_restart_and_requests_are_forgotten_alone() {
    let (place, pepper) = (Place::new(), Pepper::generate_base64().unwrap());
    let keys = gate(&place, &pepper).await;
    let from = "2001:db8::7".parse().unwrap();
    let manager = keys.manager().as_user("ada").from_address(from);
    let issued = manager.issue(NewKey::for_owner("a")).await.unwrap();
    let (text, id) = (issued.key.expose(), issued.info.key_id);
    let attempt = |text| Attempt::new(text).from_address(Some(from));
    for _ in 0..3 {
        let outcome = keys.authenticator().authenticate(attempt(text)).await;
        outcome.unwrap();
    }
    manager.revoke(&id, "leaked").await.unwrap();
    for text in [text, "junk"] {
        let outcome = keys.authenticator().authenticate(attempt(text)).await;
        outcome.unwrap_err();
    }
    keys.shutdown().await;
    drop((keys, manager));

    let keys = gate(&place, &pepper).await;
    let events = audit(&keys, Some(id)).await;
    let mut told: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(event.owner.as_deref(), Some("a"));
            assert_eq!(event.address, Some(from));
            let requests = event.requests.as_ref();
            (
                event.action.as_str(),
                requests.map(|requests| requests.count),
            )
        })
        .collect();
    told.sort();
    let expected = [
        ("accepted", Some(3)),
        ("issued", None),
        ("refused", Some(1)),
        ("revoked", None),
    ];
    assert_eq!(told, expected);
    let by_person = |event: &&AuditEvent| event.actor == Actor::User("ada".into());
    assert_eq!(events.iter().filter(by_person).count(), 2);
    let strangers = |event: &&AuditEvent| event.actor == Actor::Stranger;
    let all = audit(&keys, None).await;
    assert_eq!(all.iter().filter(strangers).count(), 1);

    let forgotten = keys
        .manager()
        .forget_audit(AuditKind::Authentication, Timestamp::MAX);
    assert_eq!(forgotten.await.unwrap(), 3);
    let left = audit(&keys, None).await;
    let left: Vec<_> = left.iter().map(|event| event.action).collect();
    assert_eq!(left, [AuditAction::Issued, AuditAction::Revoked]);
}
