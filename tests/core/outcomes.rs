//! What is known of a change whose acknowledgement was lost, and what the audit log says of it.

use keygate::audit::{Actor, AuditAction, AuditEvent};
use keygate::store::AuditQuery;
use keygate::{
    Attempt, Change, Issued, KeyId, KeyInfo, KeyManager, ManageError, NewKey, Rejection,
    StoreErrorKind,
};

use crate::common::*;

/// Every operation that changes a key which is in a rotation and disabled or not, as asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Change,
    Disable,
    Enable,
    Finish,
    Revoke,
    Rotate,
    Supersede,
}

const OPERATIONS: [(Operation, AuditAction); 7] = [
    (Operation::Change, AuditAction::Changed),
    (Operation::Disable, AuditAction::Disabled),
    (Operation::Enable, AuditAction::Enabled),
    (Operation::Finish, AuditAction::RotationFinished),
    (Operation::Revoke, AuditAction::Revoked),
    (Operation::Rotate, AuditAction::Rotated),
    (Operation::Supersede, AuditAction::Superseded),
];

/// A key in the state in which `operation` has something to do.
async fn prepare(world: &World, operation: Operation) -> Issued {
    let manager = world.keys.manager();
    let issued = manager
        .issue(NewKey::for_owner("a").scopes(["x"]))
        .await
        .unwrap();
    let id = issued.info.key_id;
    match operation {
        Operation::Enable => drop(manager.disable(&id).await.unwrap()),
        Operation::Finish | Operation::Supersede => drop(manager.rotate(&id).await.unwrap()),
        _ => {}
    }
    world.clock.advance(millis(7));
    issued
}

async fn perform(
    manager: &KeyManager,
    operation: Operation,
    id: &KeyId,
) -> Result<(KeyInfo, Option<Issued>), ManageError> {
    let plain = |info| (info, None);
    let issued = |issued: Issued| (issued.info.clone(), Some(issued));
    match operation {
        Operation::Change => manager
            .change(id, Change::new().name("renamed"))
            .await
            .map(plain),
        Operation::Disable => manager.disable(id).await.map(plain),
        Operation::Enable => manager.enable(id).await.map(plain),
        Operation::Finish => manager.finish_rotation(id).await.map(plain),
        Operation::Revoke => Ok(plain(manager.revoke(id, "leaked").await?.info)),
        Operation::Rotate => manager.rotate(id).await.map(issued),
        Operation::Supersede => manager.supersede(id).await.map(issued),
    }
}

fn is_unknown<T>(outcome: &Result<T, ManageError>) -> bool {
    matches!(outcome, Err(ManageError::Store(e)) if e.kind() == StoreErrorKind::OutcomeUnknown)
}

async fn events(world: &World) -> Vec<AuditEvent> {
    let log = world.store.inner().abilities().audit_log.unwrap();
    let query = AuditQuery {
        limit: 10_000,
        ..AuditQuery::new()
    };
    log.events(&query).await.unwrap().events
}

#[tokio::test]
async fn a_change_that_was_made_after_all_is_a_success() {
    for (operation, _) in OPERATIONS {
        let world = World::new().await;
        let id = prepare(&world, operation).await.info.key_id;
        world.store.writes.once(Fault::DoneUnknown);
        let (info, issued) = perform(world.keys.manager(), operation, &id).await.unwrap();
        assert_eq!(
            world.keys.manager().inspect(&id).await.unwrap(),
            info,
            "{operation:?}"
        );
        if let Some(issued) = issued {
            assert!(
                present(&world.keys, issued.key.expose()).await.is_ok(),
                "{operation:?}"
            );
        }
    }
    let world = World::new().await;
    world.store.writes.once(Fault::DoneUnknown);
    let issued = world
        .keys
        .manager()
        .issue(NewKey::for_owner("a"))
        .await
        .unwrap();
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
}

#[tokio::test]
async fn a_change_that_was_not_made_is_an_error_and_changes_nothing() {
    for (operation, _) in OPERATIONS {
        let world = World::new().await;
        let issued = prepare(&world, operation).await;
        let id = issued.info.key_id;
        let (before, logged) = (world.record(&id).await, events(&world).await);
        let verdict = present(&world.keys, issued.key.expose()).await.is_ok();
        world.store.writes.once(Fault::NotDoneUnknown);
        let outcome = perform(world.keys.manager(), operation, &id).await;
        assert!(is_unknown(&outcome), "{operation:?}");
        assert_eq!(world.record(&id).await, before);
        assert_eq!(events(&world).await, logged);
        assert_eq!(
            present(&world.keys, issued.key.expose()).await.is_ok(),
            verdict
        );
    }
    let world = World::new().await;
    world.store.writes.once(Fault::NotDoneUnknown);
    assert!(is_unknown(
        &world.keys.manager().issue(NewKey::for_owner("a")).await
    ));
    assert!(events(&world).await.is_empty());
}

#[tokio::test]
async fn when_the_outcome_cannot_be_found_out_it_stays_unknown_and_holds_at_once_if_it_was_made() {
    for (operation, _) in OPERATIONS {
        let world = World::new().await;
        let issued = prepare(&world, operation).await;
        let id = issued.info.key_id;
        present(&world.keys, issued.key.expose()).await.ok();
        world.store.gets.once(Fault::None);
        world
            .store
            .gets
            .once(Fault::Fail(StoreErrorKind::Unavailable));
        world.store.writes.once(Fault::DoneUnknown);
        let outcome = perform(world.keys.manager(), operation, &id).await;
        assert!(is_unknown(&outcome), "{operation:?}");
        let outcome = present(&world.keys, issued.key.expose()).await;
        match operation {
            Operation::Revoke => assert_eq!(rejection(outcome), Rejection::KeyRevoked),
            Operation::Disable => assert_eq!(rejection(outcome), Rejection::KeyDisabled),
            Operation::Finish => assert_eq!(rejection(outcome), Rejection::KeyExpired),
            _ => assert!(outcome.is_ok(), "{operation:?}"),
        }
    }
}

#[tokio::test]
async fn a_lost_rotation_is_repaired_by_superseding_it() {
    let world = World::new().await;
    let old = prepare(&world, Operation::Rotate).await;
    let id = old.info.key_id;
    world.store.gets.once(Fault::None);
    world
        .store
        .gets
        .once(Fault::Fail(StoreErrorKind::Unavailable));
    world.store.writes.once(Fault::DoneUnknown);
    assert!(is_unknown(&world.keys.manager().rotate(&id).await));
    let new = world.keys.manager().supersede(&id).await.unwrap();
    for issued in [old, new] {
        assert!(present(&world.keys, issued.key.expose()).await.is_ok());
    }
}

#[tokio::test]
async fn every_change_leaves_one_event_that_names_who_what_and_when() {
    for (operation, action) in OPERATIONS {
        let world = World::new().await;
        let id = prepare(&world, operation).await.info.key_id;
        let admin = NewKey::for_owner("a")
            .scopes(["x", "keys:write"])
            .expires_in(900 * DAY);
        let admin = world.keys.manager().issue(admin).await.unwrap();
        let from = Some("192.0.2.7".parse().unwrap());
        let attempt = Attempt::new(admin.key.expose()).from_address(from);
        let caller = world
            .keys
            .authenticator()
            .authenticate(attempt)
            .await
            .unwrap();
        let before = events(&world).await.len();
        let manager = world.keys.manager().on_behalf_of(&caller);
        perform(&manager, operation, &id).await.unwrap();
        let events = events(&world).await;
        assert_eq!(events.len(), before + 1);
        let event = &events[before];
        assert_eq!(
            (event.action, event.key_id, event.owner.as_deref()),
            (action, Some(id), Some("a"))
        );
        assert_eq!(event.actor, Actor::Key(admin.info.key_id));
        assert_eq!(
            (event.address, event.at),
            (from, keygate::Clock::wall(&world.clock))
        );
        assert!(!event.changes.is_empty(), "{operation:?}");
        assert!(
            event
                .changes
                .iter()
                .all(|change| change.before != change.after)
        );
        assert_eq!(events[0].actor, Actor::Host);
        assert_eq!(
            (events[0].action, events[0].address),
            (AuditAction::Issued, None)
        );
    }
}

#[tokio::test]
async fn an_event_holds_each_changed_field_before_and_after() {
    let world = World::new().await;
    let id = prepare(&world, Operation::Change).await.info.key_id;
    let change = Change::new()
        .name("new")
        .scopes(["y", "x"])
        .allowed_ips(["10.0.0.0/8"]);
    world.keys.manager().change(&id, change).await.unwrap();
    let event = events(&world).await.pop().unwrap();
    let changes: Vec<_> = event
        .changes
        .iter()
        .map(|c| (c.field.as_str(), c.before.as_deref(), c.after.as_deref()))
        .collect();
    let expected = [
        ("name", None, Some("new")),
        ("scopes", Some("x"), Some("x y")),
        ("allowed_ips", None, Some("10.0.0.0/8")),
    ];
    assert_eq!(changes, expected);
}

#[tokio::test]
async fn what_changes_nothing_leaves_no_event() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let id = prepare(&world, Operation::Change).await.info.key_id;
    let logged = events(&world).await;
    manager.enable(&id).await.unwrap();
    manager.finish_rotation(&id).await.unwrap();
    manager
        .change(&id, Change::new().scopes(["x"]))
        .await
        .unwrap();
    manager.supersede(&id).await.unwrap_err();
    world
        .store
        .writes
        .once(Fault::Fail(StoreErrorKind::Unavailable));
    manager.disable(&id).await.unwrap_err();
    assert_eq!(events(&world).await, logged);
}
