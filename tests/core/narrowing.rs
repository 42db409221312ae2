//! Taking from a key what it did not need.

use std::time::Duration;

use keygate::audit::{Actor, AuditAction};
use keygate::store::AuditQuery;
use keygate::{
    Attempt, Change, Clock, Conflict, Issued, KeyId, ManageError, NewKey, Privileges, Rotation,
    Rule, ScopeSet,
};
use proptest::prelude::*;

use crate::activity::{Use, ago, count, counting_since};
use crate::ceiling::caller;
use crate::common::*;
use crate::manage::conflict;

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A key with these scopes, issued when everybody has counted for a year, a year ago.
pub(crate) async fn aged(world: &World, scopes: &[&str]) -> Issued {
    counting_since(world, Some(ago(world, 365 * DAY))).await;
    let new = NewKey::for_owner("a").never_expires();
    let key = world
        .keys
        .manager()
        .issue(new.scopes(scopes.iter().copied()))
        .await;
    world.clock.advance(365 * DAY);
    key.unwrap()
}

async fn privileges(world: &World, key: &Issued, window: Duration) -> Privileges {
    let activity = world.keys.manager().activity(&key.info.key_id);
    activity.await.unwrap().privileges(window).unwrap()
}

fn set(scopes: &[&str]) -> ScopeSet {
    ScopeSet::parse(scopes).unwrap()
}

#[tokio::test]
async fn unused_scopes_are_dropped_and_wildcards_become_what_was_needed_of_them() {
    let world = World::new().await;
    let granted = ["orders:*", "invoices:**", "users:read", "users:write"];
    let key = aged(&world, &granted).await;
    let now = world.clock.wall();
    let used = Use::of(&key.info, now)
        .needing("invoices:pdf:read")
        .needing("orders:read")
        .needing("users:read");
    count(&world, used).await;
    let found = privileges(&world, &key, MONTH).await;
    let needed = ["invoices:pdf:read", "orders:read", "users:read"];
    assert_eq!(found.granted, set(&granted));
    assert_eq!(found.narrowed, Some(set(&needed)));
    let dropped = ["invoices:**", "orders:*", "users:write"];
    assert_eq!(found.dropped, set(&dropped));
    assert_eq!(found.unused, set(&["users:write"]));
    assert!(found.are_excessive());

    let manager = world.keys.manager();
    let narrowing = || Change::new().narrow_to_used(MONTH);
    let id = key.info.key_id;
    let info = manager.change(&id, narrowing()).await.unwrap();
    assert_eq!(info.scopes, set(&needed));
    assert_eq!(world.record(&id).await.scopes, set(&needed));
    let log = world.store.inner().abilities().audit_log.unwrap();
    let events = log.events(&AuditQuery::new()).await.unwrap().events;
    let event = events.last().unwrap();
    assert_eq!(
        (event.action, &event.actor),
        (AuditAction::Changed, &Actor::Host)
    );
    let fields: Vec<_> = event.changes.iter().collect();
    assert_eq!((fields.len(), fields[0].field.as_str()), (1, "scopes"));
    assert_eq!(fields[0].after.as_deref(), Some(set(&needed).as_str()));

    let writes = world.store.writes.count();
    assert_eq!(manager.change(&id, narrowing()).await.unwrap(), info);
    assert_eq!(
        world.store.writes.count(),
        writes,
        "nothing is left to take"
    );
    assert!(!privileges(&world, &key, MONTH).await.are_excessive());
    // What it did, it can do.
    for scope in needed {
        let rule = Rule::all([scope]).unwrap();
        let attempt = Attempt::new(key.key.expose()).requiring(&rule);
        assert!(
            world
                .keys
                .authenticator()
                .authenticate(attempt)
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn a_scope_that_was_needed_exactly_a_window_ago_is_not_needed() {
    let world = World::new().await;
    let key = aged(&world, &["a", "b"]).await;
    let then = world.clock.wall();
    count(&world, Use::of(&key.info, then).needing("a")).await;
    world.clock.advance(MONTH - millis(1));
    count(&world, Use::of(&key.info, world.clock.wall()).needing("b")).await;
    let found = privileges(&world, &key, MONTH).await;
    assert_eq!(found.narrowed, Some(set(&["a", "b"])));
    world.clock.advance(millis(1));
    let found = privileges(&world, &key, MONTH).await;
    assert_eq!(
        (found.narrowed, found.unused),
        (Some(set(&["b"])), set(&["a"]))
    );
    let found = privileges(&world, &key, MONTH + millis(1)).await;
    assert_eq!(found.narrowed, Some(set(&["a", "b"])));
}

#[tokio::test]
async fn narrowing_never_adds() {
    let world = World::new().await;
    let key = aged(&world, &["orders:read", "orders:void"]).await;
    let now = world.clock.wall();
    // Needed when it was still granted, lacked, and what no rule asks for.
    let used = Use::of(&key.info, now)
        .needing("invoices:read")
        .needing("orders:*")
        .needing("orders:read")
        .needing("orders:read users:write")
        .lacking("users:read");
    count(&world, used).await;
    let change = Change::new().narrow_to_used(MONTH);
    let info = world.keys.manager().change(&key.info.key_id, change).await;
    assert_eq!(info.unwrap().scopes, set(&["orders:read"]));
}

#[tokio::test]
async fn what_a_rule_on_trial_found_lacking_is_needed_once_it_is_granted() {
    let world = World::new().await;
    let key = aged(&world, &["orders:export", "orders:void"]).await;
    let used = Use::of(&key.info, world.clock.wall()).lacking("orders:export");
    count(&world, used).await;
    let found = privileges(&world, &key, MONTH).await;
    assert_eq!(found.narrowed, Some(set(&["orders:export"])));
}

/// On behalf of a key, another one was given a wildcard.
#[tokio::test]
async fn a_wildcard_that_was_needed_as_one_is_kept() {
    let world = World::new().await;
    let key = aged(&world, &["orders:**", "users:*"]).await;
    let used = Use::of(&key.info, world.clock.wall());
    let used = used.needing("orders:*").needing("users:*");
    count(&world, used).await;
    let found = privileges(&world, &key, MONTH).await;
    assert_eq!(found.narrowed, Some(set(&["orders:*", "users:*"])));
    assert_eq!(found.dropped, set(&["orders:**"]));
}

#[tokio::test]
async fn a_key_that_was_used_and_needed_no_scope_is_left_without_any() {
    let world = World::new().await;
    let key = aged(&world, &["orders:read"]).await;
    count(&world, Use::of(&key.info, world.clock.wall())).await;
    let change = Change::new().narrow_to_used(MONTH);
    let info = world.keys.manager().change(&key.info.key_id, change).await;
    assert!(info.unwrap().scopes.is_empty());
    assert!(present(&world.keys, key.key.expose()).await.is_ok());
}

#[tokio::test]
async fn a_key_that_was_not_used_is_not_narrowed() {
    let world = World::new().await;
    let key = aged(&world, &["orders:read"]).await;
    let id = key.info.key_id;
    let manager = world.keys.manager();
    let narrowing = || Change::new().narrow_to_used(MONTH);
    let before = world.record(&id).await;
    assert_eq!(
        conflict(manager.change(&id, narrowing()).await),
        Conflict::NotUsed
    );
    let used = Use::of(&key.info, world.clock.wall()).needing("orders:read");
    count(&world, used).await;
    world.clock.advance(MONTH);
    assert_eq!(
        conflict(manager.change(&id, narrowing()).await),
        Conflict::NotUsed
    );
    assert_eq!(world.record(&id).await, before);
    let found = privileges(&world, &key, MONTH).await;
    assert_eq!((&found.narrowed, &found.unused), (&None, &before.scopes));
    assert!(!found.are_excessive());
}

#[tokio::test]
async fn a_key_is_not_narrowed_by_what_not_all_instances_saw() {
    let world = World::new().await;
    let key = aged(&world, &["a", "b"]).await;
    let id = key.info.key_id;
    let manager = world.keys.manager();
    let narrowing = || Change::new().narrow_to_used(MONTH);
    let use_a = async || count(&world, Use::of(&key.info, world.clock.wall()).needing("a")).await;
    counting_since(&world, None).await;
    use_a().await;
    match conflict(manager.change(&id, narrowing()).await) {
        Conflict::Unproved(unproved) => assert_eq!(unproved.watched_since, None),
        other => panic!("{other:?}"),
    }
    let since = world.clock.wall();
    counting_since(&world, Some(since)).await;
    world.clock.advance(MONTH - millis(1));
    use_a().await;
    match conflict(manager.change(&id, narrowing()).await) {
        Conflict::Unproved(unproved) => {
            assert_eq!(unproved.watched_since, Some(since));
            assert_eq!(unproved.provable_at, since.checked_add(MONTH));
            let said = unproved.to_string();
            assert!(said.contains(&since.to_string()), "{said}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.record(&id).await.version, 1);
    world.clock.advance(millis(1));
    let info = manager.change(&id, narrowing()).await.unwrap();
    assert_eq!(info.scopes, set(&["a"]));
}

#[tokio::test]
async fn a_key_that_is_younger_than_the_window_is_judged_by_its_life() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let issue = async || {
        let new = NewKey::for_owner("a").scopes(["a", "b"]);
        manager.issue(new).await.unwrap()
    };
    let older = issue().await;
    world.clock.advance(millis(1));
    counting_since(&world, Some(world.clock.wall())).await;
    let younger = issue().await;
    world.clock.advance(HOUR);
    for key in [&older, &younger] {
        count(&world, Use::of(&key.info, world.clock.wall()).needing("a")).await;
    }
    assert_eq!(
        privileges(&world, &younger, MONTH).await.narrowed,
        Some(set(&["a"]))
    );
    let activity = manager.activity(&older.info.key_id).await.unwrap();
    assert!(activity.privileges(MONTH).is_err());
}

/// Between the look at the usage and the write, the key is granted a scope and uses it.
#[tokio::test]
async fn what_is_granted_and_used_meanwhile_is_kept() {
    let world = World::new().await;
    let key = aged(&world, &["a", "b"]).await;
    let id = key.info.key_id;
    count(&world, Use::of(&key.info, world.clock.wall()).needing("a")).await;
    let door = Door::new();
    world.store.usage_reads.once(Fault::Hold(door.clone()));
    let manager = world.keys.manager().clone();
    let change = Change::new().narrow_to_used(MONTH);
    let narrowing = tokio::spawn(async move { manager.change(&id, change).await });
    door.arrival().await;
    let granted = Change::new().scopes(["a", "b", "c"]);
    world.keys.manager().change(&id, granted).await.unwrap();
    count(&world, Use::of(&key.info, world.clock.wall()).needing("c")).await;
    door.open();
    let info = narrowing.await.unwrap().unwrap();
    assert_eq!(info.scopes, set(&["a", "c"]));
}

#[tokio::test]
async fn scopes_are_named_or_narrowed_and_not_both() {
    let world = World::new().await;
    let key = aged(&world, &["a", "b"]).await;
    let id = key.info.key_id;
    count(&world, Use::of(&key.info, world.clock.wall()).needing("a")).await;
    let manager = world.keys.manager();
    let both = Change::new().scopes(["b"]).narrow_to_used(MONTH);
    let outcome = manager.change(&id, both).await;
    assert!(
        matches!(outcome, Err(ManageError::Invalid(problem)) if problem.contains("choose one"))
    );
    let named_too = Change::new().name("CI").narrow_to_used(MONTH);
    let info = manager.change(&id, named_too).await.unwrap();
    assert_eq!((info.name.as_str(), info.scopes), ("CI", set(&["a"])));
}

#[tokio::test]
async fn a_rotation_narrows_in_the_same_write_or_does_not_happen() {
    let world = World::new().await;
    let key = aged(&world, &["a", "b"]).await;
    let id = key.info.key_id;
    let manager = world.keys.manager();
    let how = Rotation::new().overlap(HOUR).narrow_to_used(MONTH);
    let before = world.record(&id).await;
    assert_eq!(
        conflict(manager.rotate_with(&id, how).await),
        Conflict::NotUsed
    );
    assert_eq!(
        world.record(&id).await,
        before,
        "the old secret stays the only one"
    );

    count(&world, Use::of(&key.info, world.clock.wall()).needing("a")).await;
    let writes = world.store.writes.count();
    let rotated = manager.rotate_with(&id, how).await.unwrap();
    assert_eq!(world.store.writes.count(), writes + 1);
    assert_eq!(rotated.info.scopes, set(&["a"]));
    assert_eq!(
        rotated.previous_ends_at(),
        world.clock.wall().checked_add(HOUR)
    );
    for text in [&key.key, &rotated.key] {
        let caller = present(&world.keys, text.expose()).await.unwrap();
        assert_eq!(caller.scopes(), &set(&["a"]));
    }
}

#[tokio::test]
async fn an_ended_key_is_not_narrowed() {
    let world = World::new().await;
    let key = aged(&world, &["a", "b"]).await;
    let id = key.info.key_id;
    count(&world, Use::of(&key.info, world.clock.wall()).needing("a")).await;
    let manager = world.keys.manager();
    manager.revoke(&id, "").await.unwrap();
    let change = Change::new().narrow_to_used(MONTH);
    assert_eq!(
        conflict(manager.change(&id, change).await),
        Conflict::Revoked
    );
    let how = Rotation::new().narrow_to_used(MONTH);
    assert_eq!(
        conflict(manager.rotate_with(&id, how).await),
        Conflict::Revoked
    );
}

/// A key holds 128 scopes, and a wildcard may stand for more that were needed.
#[tokio::test]
async fn where_too_many_scopes_were_needed_the_wildcard_stays() {
    let world = World::new().await;
    let key = aged(&world, &["orders:*", "users:read"]).await;
    for n in 0..=ScopeSet::MAX_SCOPES {
        let used = Use::of(&key.info, world.clock.wall());
        count(&world, used.needing(&format!("orders:{n}"))).await;
        let narrowed = privileges(&world, &key, MONTH).await.narrowed.unwrap();
        let expected = match n < ScopeSet::MAX_SCOPES {
            true => n + 1,
            false => 1,
        };
        assert_eq!(narrowed.iter().count(), expected);
    }
    let found = privileges(&world, &key, MONTH).await;
    assert_eq!(found.narrowed, Some(set(&["orders:*"])));
    assert_eq!(
        (&found.dropped, &found.unused),
        (&set(&["users:read"]), &set(&["users:read"]))
    );
}

#[tokio::test]
async fn a_caller_narrows_within_its_sight_and_its_ceiling() {
    let world = World::new().await;
    let key = aged(&world, &["a", "b"]).await;
    let others = NewKey::for_owner("b").scopes(["a", "b"]).never_expires();
    let others = world.keys.manager().issue(others).await.unwrap();
    for key in [&key, &others] {
        count(&world, Use::of(&key.info, world.clock.wall()).needing("a")).await;
    }
    let weak = NewKey::for_owner("a").scopes(["a"]).never_expires();
    let weak = world.keys.manager().issue(weak).await.unwrap();
    let strong = NewKey::for_owner("a").scopes(["a", "b"]).never_expires();
    let strong = world.keys.manager().issue(strong).await.unwrap();
    let narrow = async |by: &Issued, id: &KeyId| {
        let manager = world.keys.manager().on_behalf_of(&caller(&world, by).await);
        manager
            .change(id, Change::new().narrow_to_used(MONTH))
            .await
    };
    let outcome = narrow(&strong, &others.info.key_id).await;
    assert!(matches!(outcome, Err(ManageError::NotFound(_))));
    let outcome = narrow(&weak, &key.info.key_id).await;
    assert!(matches!(outcome, Err(ManageError::BeyondCeiling(_))));
    let info = narrow(&strong, &key.info.key_id).await.unwrap();
    assert_eq!(info.scopes, set(&["a"]));
}

fn scopes(wildcards: bool) -> impl Strategy<Value = Vec<String>> {
    let segments = match wildcards {
        true => vec!["a", "b", "*", "**"],
        false => vec!["a", "b"],
    };
    let scope = prop::collection::vec(prop::sample::select(segments), 1..4);
    let scope = scope.prop_map(|segments| segments.join(":"));
    let scope = scope.prop_filter("no scope", |text| ScopeSet::parse([text]).is_ok());
    prop::collection::vec(scope, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_narrowed_key_can_do_what_it_needed_and_nothing_that_it_could_not(
        granted in scopes(true),
        needed in scopes(false),
        probes in scopes(false),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let granted: Vec<&str> = granted.iter().map(String::as_str).collect();
            let key = aged(&world, &granted).await;
            for scope in &needed {
                count(&world, Use::of(&key.info, world.clock.wall()).needing(scope)).await;
            }
            count(&world, Use::of(&key.info, world.clock.wall())).await;
            let found = privileges(&world, &key, MONTH).await;
            let narrowed = found.narrowed.unwrap();
            assert_eq!(found.granted.lacking(&narrowed).count(), 0);
            for scope in needed.iter().chain(&probes) {
                let rule = Rule::all([scope]).unwrap();
                let could = rule.check(&found.granted).is_ok();
                let did = needed.contains(scope);
                assert_eq!(rule.check(&narrowed).is_ok(), could && did, "{scope}");
            }
            for scope in found.granted.iter() {
                let is_kept = narrowed.iter().any(|kept| kept == scope);
                assert_eq!(found.dropped.iter().any(|dropped| dropped == scope), !is_kept);
            }
        });
    }
}
