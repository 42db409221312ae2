//! Keys that were seen where others can read them, and are reported.

use keygate::audit::{Actor, AuditAction, AuditEvent, AuditKind};
use keygate::store::AuditQuery;
use keygate::{
    Alphabet, ForeignFormat, FoundSecret, Hashing, Issued, KeyStatus, LeakOutcome, LeakReport,
    ManageError, NewKey, OnLeak, PepperId, Rejection, StoreErrorKind, TextError,
};

use crate::common::*;
use crate::manage::issue;

const SOURCE: &str = "https://paste.example/x7f3";

async fn world(policy: OnLeak) -> World {
    World::with(|builder| builder.on_leak(policy)).await
}

async fn report(world: &World, text: &str) -> Option<LeakReport> {
    let manager = world.keys.manager().as_user("ada");
    manager.report_leak(text, SOURCE).await.unwrap()
}

async fn events(world: &World, kind: AuditKind) -> Vec<AuditEvent> {
    let query = AuditQuery {
        kind: Some(kind),
        ..AuditQuery::new()
    };
    world.keys.manager().audit(&query).await.unwrap().events
}

async fn last_change(world: &World) -> AuditEvent {
    events(world, AuditKind::Lifecycle).await.pop().unwrap()
}

/// A key in each state in which it may be.
async fn in_state(world: &World, state: &str) -> Issued {
    let new = match state {
        "expired" => NewKey::for_owner("a").expires_in(SECOND),
        "bound" => NewKey::for_owner("a").allowed_ips(["198.51.100.0/24"]),
        _ => NewKey::for_owner("a"),
    };
    let manager = world.keys.manager();
    let issued = manager.issue(new).await.unwrap();
    match state {
        "disabled" => drop(manager.disable(&issued.info.key_id).await.unwrap()),
        "expired" => world.clock.advance(2 * SECOND),
        _ => {}
    }
    issued
}

#[tokio::test]
async fn a_reported_key_is_told_of_with_its_source_and_unless_said_otherwise_left_alone() {
    let world = World::new().await;
    let issued = issue(&world).await;
    let id = issued.info.key_id;
    let leak = report(&world, issued.key.expose()).await.unwrap();
    assert_eq!(leak.outcome, LeakOutcome::Unchanged);
    assert_eq!(
        (leak.info, leak.secret),
        (issued.info, FoundSecret::Current)
    );
    present(&world.keys, issued.key.expose()).await.unwrap();
    let told = events(&world, AuditKind::Authentication).await;
    let [told] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(
        (told.action, told.key_id),
        (AuditAction::LeakReported, Some(id))
    );
    assert_eq!(told.actor, Actor::User("ada".into()));
    assert_eq!(told.owner.as_deref(), Some("a"));
    assert_eq!(told.changes[0].field, "source");
    assert_eq!(told.changes[0].after.as_deref(), Some(SOURCE));
}

#[tokio::test]
async fn a_reported_key_is_revoked_where_the_policy_says_so_whatever_its_state() {
    let world = world(OnLeak::Revoke).await;
    for state in ["active", "disabled", "expired", "bound"] {
        let issued = in_state(&world, state).await;
        let leak = report(&world, issued.key.expose()).await.unwrap();
        assert_eq!(leak.outcome, LeakOutcome::Revoked, "{state}");
        assert_eq!(leak.info.status, KeyStatus::Revoked, "{state}");
        let revocation = leak.info.revocation.unwrap();
        assert_eq!(revocation.reason, format!("leaked: {SOURCE}"));
        let refused = rejection(present(&world.keys, issued.key.expose()).await);
        assert_eq!(refused, Rejection::KeyRevoked, "{state}");
        let event = last_change(&world).await;
        assert_eq!(event.action, AuditAction::Revoked);
        assert_eq!(event.actor, Actor::User("ada".into()));
        let again = report(&world, issued.key.expose()).await.unwrap();
        assert_eq!(again.outcome, LeakOutcome::Unchanged, "{state}");
    }
}

#[tokio::test]
async fn a_reported_key_is_paused_where_the_policy_says_so() {
    let world = world(OnLeak::Disable).await;
    let issued = issue(&world).await;
    let leak = report(&world, issued.key.expose()).await.unwrap();
    assert_eq!(leak.outcome, LeakOutcome::Disabled);
    assert_eq!(leak.info.status, KeyStatus::Disabled);
    let refused = rejection(present(&world.keys, issued.key.expose()).await);
    assert_eq!(refused, Rejection::KeyDisabled);
    let again = report(&world, issued.key.expose()).await.unwrap();
    assert_eq!(again.outcome, LeakOutcome::Unchanged);
    let id = leak.info.key_id;
    world.keys.manager().revoke(&id, "").await.unwrap();
    let revoked = report(&world, issued.key.expose()).await.unwrap();
    assert_eq!(revoked.outcome, LeakOutcome::Unchanged);
}

#[tokio::test]
async fn what_is_no_key_or_has_a_wrong_secret_accuses_nobody() {
    let world = world(OnLeak::Revoke).await;
    let issued = issue(&world).await;
    let text = issued.key.expose();
    let elsewhere = issue(&World::new().await).await;
    for near in [
        &with_wrong_secret(text),
        &with_prefix(text, SANDBOX),
        elsewhere.key.expose(),
        issued.info.key_id.as_str(),
        "",
        "some_token",
    ] {
        assert_eq!(report(&world, near).await, None, "{near}");
    }
    assert_eq!(events(&world, AuditKind::Authentication).await, []);
    present(&world.keys, text).await.unwrap();
}

#[tokio::test]
async fn a_secret_that_was_replaced_ends_no_more_than_itself() {
    for policy in [OnLeak::Revoke, OnLeak::Disable] {
        let world = world(policy).await;
        let old = issue(&world).await;
        let id = old.info.key_id;
        let new = world.keys.manager().rotate_with_overlap(&id, HOUR).await;
        let new = new.unwrap();
        let leak = report(&world, old.key.expose()).await.unwrap();
        assert_eq!(leak.outcome, LeakOutcome::OldSecretEnded);
        assert_eq!(leak.secret, FoundSecret::Previous);
        let refused = rejection(present(&world.keys, old.key.expose()).await);
        assert_eq!(refused, Rejection::KeyExpired);
        present(&world.keys, new.key.expose()).await.unwrap();
        let again = report(&world, old.key.expose()).await.unwrap();
        assert_eq!(again.outcome, LeakOutcome::Unchanged, "it opens nothing");
        present(&world.keys, new.key.expose()).await.unwrap();
    }
}

#[tokio::test]
async fn a_rotation_that_comes_in_between_saves_the_key_and_not_what_has_leaked() {
    let world = world(OnLeak::Revoke).await;
    let old = issue(&world).await;
    let id = old.info.key_id;
    let door = Door::new();
    // The key is found by the first read, and changed by what the second one says.
    world.store.gets.once(Fault::None);
    world.store.gets.once(Fault::Hold(door.clone()));
    let manager = world.keys.manager().clone();
    let text = old.key.expose().to_owned();
    let reporting = tokio::spawn(async move { manager.report_leak(&text, SOURCE).await });
    door.arrival().await;
    let other = world.second_gate().await;
    let new = other.manager().rotate_with_overlap(&id, HOUR).await;
    let new = new.unwrap();
    door.open();
    let leak = reporting.await.unwrap().unwrap().unwrap();
    assert_eq!(leak.outcome, LeakOutcome::OldSecretEnded);
    present(&world.keys, new.key.expose()).await.unwrap();
    rejection(present(&world.keys, old.key.expose()).await);
}

#[tokio::test]
async fn the_source_never_holds_what_has_leaked_and_must_fit_into_the_log() {
    let world = world(OnLeak::Revoke).await;
    let issued = issue(&world).await;
    let text = issued.key.expose();
    let manager = world.keys.manager();
    let error = manager.report_leak(text, "a\nb").await.unwrap_err();
    let ManageError::Text(TextError::Control { .. }) = error else {
        panic!("{error}")
    };
    present(&world.keys, text).await.unwrap();
    let encoded = text.replace('_', "%5F");
    let source = format!("{SOURCE}?{}{encoded}", "x".repeat(300));
    let leak = manager.report_leak(text, &source).await.unwrap().unwrap();
    assert_eq!(leak.outcome, LeakOutcome::Revoked);
    let first = secret_of(text).as_bytes()[0];
    for sign in ["%", "%25"] {
        let letter = format!("{sign}{first:02X}");
        let hidden = format!("{SOURCE}?{letter}{}", &secret_of(text)[1..]);
        manager.report_leak(text, &hidden).await.unwrap().unwrap();
    }
    let everything = [
        events(&world, AuditKind::Authentication).await,
        events(&world, AuditKind::Lifecycle).await,
    ];
    let everything = format!("{everything:?} {leak:?}");
    assert!(everything.contains(SOURCE));
    assert!(!everything.contains(&secret_of(text)[1..]));
}

#[tokio::test]
async fn a_source_is_cut_and_nothing_of_another_key_in_it_is_left_wherever_the_cut_is() {
    let world = world(OnLeak::Revoke).await;
    let (leaked, other) = (issue(&world).await, issue(&world).await);
    let secret = secret_of(other.key.expose());
    for other in [
        other.key.expose().to_owned(),
        other.key.expose().replace('_', "%5F"),
        other.key.expose().replace('_', "%255f"),
    ] {
        for before in [0, 390, 420, 440, 500] {
            let source = format!("{}?{other}", "x".repeat(before));
            let reported = world
                .keys
                .manager()
                .report_leak(leaked.key.expose(), &source);
            reported.await.unwrap().unwrap();
        }
    }
    let told = events(&world, AuditKind::Authentication).await;
    let sources = told.iter().map(|event| event.changes[0].after.as_deref());
    let longest = sources.map(|source| source.unwrap().chars().count()).max();
    assert_eq!(longest, Some(480));
    let everything = format!("{told:?} {:?}", last_change(&world).await);
    assert!(!everything.contains(&secret[..8]), "{everything}");
}

#[tokio::test]
async fn a_source_with_a_key_that_was_made_elsewhere_is_not_kept() {
    let format = ForeignFormat::new("old", Hashing::sha256(), Alphabet::HEX, 64..=64);
    let world = World::with(|builder| builder.accept_foreign(format.prefix("old_"))).await;
    let issued = issue(&world).await;
    let other = format!("old_{}", "0123456789abcdef".repeat(4));
    for other in [other.clone(), other.replace('_', "%5F")] {
        let source = format!("{SOURCE}?{other}");
        let reported = world
            .keys
            .manager()
            .report_leak(issued.key.expose(), &source);
        reported.await.unwrap().unwrap();
    }
    for told in events(&world, AuditKind::Authentication).await {
        assert_eq!(told.changes[0].after.as_deref(), Some("[redacted]"));
    }
}

#[tokio::test]
async fn a_revoked_key_whose_pepper_is_gone_is_no_error_for_ever() {
    let world = world(OnLeak::Revoke).await;
    let issued = issue(&world).await;
    let id = issued.info.key_id;
    world
        .edit(&id, |record| record.secrets.current.pepper = PepperId(7))
        .await;
    let report = || {
        world
            .keys
            .manager()
            .report_leak(issued.key.expose(), SOURCE)
    };
    let unknown = report().await.unwrap_err();
    assert!(
        matches!(unknown, ManageError::UnknownPepper(PepperId(7))),
        "{unknown}"
    );
    world.keys.manager().revoke(&id, "").await.unwrap();
    assert_eq!(report().await.unwrap(), None);
}

#[tokio::test]
async fn a_report_that_the_store_does_not_take_is_an_error_and_may_be_made_again() {
    let world = world(OnLeak::Revoke).await;
    let issued = issue(&world).await;
    let text = issued.key.expose();
    let unavailable = Fault::Fail(StoreErrorKind::Unavailable);
    let faults = [
        &world.store.gets,
        &world.store.writes,
        &world.store.audit_records,
    ];
    for calls in faults {
        calls.once(unavailable.clone());
        let failed = world.keys.manager().report_leak(text, SOURCE).await;
        assert!(matches!(failed, Err(ManageError::Store(_))), "{failed:?}");
        calls.heal();
    }
    let leak = report(&world, text).await.unwrap();
    assert_eq!(leak.outcome, LeakOutcome::Unchanged, "it was done before");
    assert_eq!(leak.info.status, KeyStatus::Revoked);
    assert_eq!(events(&world, AuditKind::Authentication).await.len(), 1);
}

#[tokio::test]
async fn a_canary_that_is_reported_has_leaked_and_stays_one() {
    let world = world(OnLeak::Revoke).await;
    let canary = NewKey::for_owner("a").canary();
    let canary = world.keys.manager().issue(canary).await.unwrap();
    let leak = report(&world, canary.key.expose()).await.unwrap();
    assert_eq!(leak.outcome, LeakOutcome::Unchanged);
    assert_eq!(leak.info.status, KeyStatus::Canary);
    let told = events(&world, AuditKind::Authentication).await;
    assert_eq!(told[0].action, AuditAction::LeakReported);
}

#[tokio::test]
async fn a_caller_who_reports_a_key_that_is_not_its_own_has_proved_it_by_its_secret() {
    let world = world(OnLeak::Revoke).await;
    let stranger = NewKey::for_owner("b").scopes(["users:write"]);
    let stranger = world.keys.manager().issue(stranger).await.unwrap();
    let reporter = issue(&world).await;
    let caller = present(&world.keys, reporter.key.expose()).await.unwrap();
    let manager = world.keys.manager().on_behalf_of(&caller);
    let leak = manager.report_leak(stranger.key.expose(), SOURCE).await;
    assert_eq!(leak.unwrap().unwrap().outcome, LeakOutcome::Revoked);
    let by = Actor::Key(reporter.info.key_id);
    assert_eq!(last_change(&world).await.actor, by);
    assert_eq!(events(&world, AuditKind::Authentication).await[0].actor, by);
}

#[tokio::test]
async fn what_has_leaked_is_ended_for_all_processes_and_told_to_all() {
    let store = std::sync::Arc::new(keygate::MemoryStore::new());
    crate::leaked::ends_what_has_leaked_and_keeps_what_it_was_told(async || store.clone()).await;
}
