//! Issuing, changing, pausing and ending keys.

use std::time::{Duration, SystemTime};

use keygate::{
    BuildError, Change, Conflict, Credentials, Filter, Issued, KeyStatus, ManageError, MemoryStore,
    NewKey, Policy, RateLimit, Rejection, Rotation, StoreErrorKind,
};

use crate::common::*;

pub(crate) async fn issue(world: &World) -> Issued {
    let new = NewKey::for_owner("a").scopes(["orders:read"]);
    world.keys.manager().issue(new).await.unwrap()
}

#[track_caller]
pub(crate) fn conflict<T: std::fmt::Debug>(outcome: Result<T, ManageError>) -> Conflict {
    match outcome {
        Err(ManageError::Conflict(conflict)) => conflict,
        other => panic!("not a conflict: {other:?}"),
    }
}

#[tokio::test]
async fn a_key_lasts_ninety_days_has_no_scope_and_works_from_everywhere_unless_said_otherwise() {
    let world = World::new().await;
    let now = keygate::Clock::wall(&world.clock);
    let issued = world
        .keys
        .manager()
        .issue(NewKey::for_owner("org_42"))
        .await
        .unwrap();
    let info = &issued.info;
    assert_eq!(info.expires_at, now.checked_add(90 * DAY));
    assert_eq!((info.created_at, info.version), (now, 1));
    assert_eq!((info.owner.as_str(), info.name.as_str()), ("org_42", ""));
    assert_eq!(
        (info.environment.as_str(), info.status),
        (LIVE, KeyStatus::Active)
    );
    assert!(info.scopes.is_empty() && info.allowed_ips.is_empty() && info.metadata.is_empty());
    assert!(info.disabled_at.is_none() && info.revocation.is_none() && info.rate_limit.is_none());
    assert_eq!(info.secrets.len(), 1);
    assert_eq!(issued.previous_ends_at(), None);
    let hint = format!("{LIVE}_{}…", &info.key_id.as_str()[..4]);
    assert_eq!((&info.hint, issued.key.hint()), (&hint, hint.clone()));
    assert!(
        issued
            .key
            .expose()
            .starts_with(&format!("{LIVE}_{}_", info.key_id))
    );
    assert_eq!(
        world.keys.manager().inspect(&info.key_id).await.unwrap(),
        *info
    );
}

#[tokio::test]
async fn the_policy_bounds_how_long_a_key_lasts_counted_from_its_issue() {
    let policy = Policy::new().default_lifetime(HOUR).max_lifetime(DAY);
    let world = World::with(|builder| builder.policy(policy)).await;
    let manager = world.keys.manager();
    let new = || NewKey::for_owner("a");
    let issued = manager.issue(new()).await.unwrap();
    assert_eq!(
        issued.info.expires_at,
        issued.info.created_at.checked_add(HOUR)
    );
    assert!(manager.issue(new().expires_in(DAY)).await.is_ok());
    for beyond in [new().expires_in(DAY + millis(1)), new().never_expires()] {
        let refused = manager.issue(beyond).await;
        assert!(matches!(refused, Err(ManageError::Invalid(problem)) if problem.contains("1day")));
    }
    world.clock.advance(HOUR / 2);
    let id = issued.info.key_id;
    let latest = issued.info.created_at.checked_add(DAY).unwrap();
    for beyond in [
        Change::new().expires_in(DAY),
        Change::new().never_expires(),
        Change::new().expires_at(SystemTime::from(latest) + millis(1)),
    ] {
        assert!(matches!(
            manager.change(&id, beyond).await,
            Err(ManageError::Invalid(_))
        ));
    }
    let longest = Change::new().expires_at(latest.into());
    assert_eq!(
        manager.change(&id, longest).await.unwrap().expires_at,
        Some(latest)
    );
}

#[tokio::test]
async fn without_a_maximum_a_key_can_be_issued_for_ever() {
    let world = World::new().await;
    let issued = world
        .keys
        .manager()
        .issue(NewKey::for_owner("a").never_expires())
        .await
        .unwrap();
    assert_eq!(issued.info.expires_at, None);
    world.clock.advance(1_000 * 365 * DAY);
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
}

#[tokio::test]
async fn a_policy_that_contradicts_itself_fails_at_start() {
    for policy in [
        Policy::new().default_lifetime(Duration::ZERO),
        Policy::new().max_lifetime(DAY),
        Policy::new().max_overlap(HOUR),
    ] {
        let built = builder(MemoryStore::new(), &ManualClock::new())
            .policy(policy)
            .build()
            .await;
        assert!(matches!(built, Err(BuildError::Policy(_))), "{policy:?}");
    }
}

#[tokio::test]
async fn a_prefix_that_is_declared_twice_fails_at_start() {
    let clock = ManualClock::new();
    let builder = || builder(MemoryStore::new(), &clock);
    for (builder, twice) in [
        (builder().accept_prefix(LIVE), LIVE),
        (builder().accept_prefix(SANDBOX), SANDBOX),
        (builder().decline_prefix(LIVE), LIVE),
        (builder().decline_prefix(SANDBOX), SANDBOX),
        (builder().decline_prefix(DECLINED), DECLINED),
    ] {
        match builder.build().await {
            Err(BuildError::PrefixTwice(prefix)) => assert_eq!(prefix, twice),
            other => panic!("{twice}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn where_keys_cannot_be_carried_and_what_cannot_be_quoted_fails_at_start() {
    let clock = ManualClock::new();
    let builder = || builder(MemoryStore::new(), &clock);
    for credentials in [
        Credentials::new().headers(["Cookie"]),
        Credentials::new()
            .without_bearer()
            .headers(std::iter::empty::<&str>()),
    ] {
        let built = builder().credentials(credentials).build().await;
        assert!(matches!(built, Err(BuildError::Credentials(_))));
    }
    for realm in ["", "a\"b", "a\\b", "a\r\nset-cookie: b", "é"] {
        match builder().realm(realm).build().await {
            Err(BuildError::Realm(refused)) => assert_eq!(refused, realm),
            other => panic!("{realm:?}: {other:?}"),
        }
    }
    assert!(builder().realm("Acme's API, v1").build().await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_taken_is_named_and_nothing_is_written() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let new = || NewKey::for_owner("a");
    let past = SystemTime::from(keygate::Clock::wall(&world.clock));
    let many = |count: usize| (0..count).map(|n| format!("s{n}"));
    let cases: Vec<(NewKey, &str)> = vec![
        (NewKey::for_owner(""), "owner"),
        (NewKey::for_owner("x".repeat(129)), "owner"),
        (NewKey::for_owner("a\nb"), "owner"),
        (new().name("a\u{1b}[31m"), "name"),
        (new().name("x".repeat(129)), "name"),
        (new().metadata([("", "v")]), "metadata key"),
        (new().metadata([("k", "v".repeat(513))]), "metadata value"),
        (new().metadata(many(33).map(|k| (k, ""))), "metadata"),
        (new().scopes(["orders read"]), "orders read"),
        (new().scopes(["**"]), "**"),
        (new().scopes([""]), "scope"),
        (new().scopes(many(129)), "128"),
        (new().allowed_ips(["10.0.0.0/33"]), "10.0.0.0/33"),
        (new().allowed_ips(["localhost"]), "localhost"),
        (
            new().allowed_ips((0..65).map(|n| format!("10.0.0.{n}"))),
            "64",
        ),
        (new().rate_limit(RateLimit::per_minute(0)), "requests"),
        (new().rate_limit(RateLimit::new(5, 0)), "window"),
        (
            new().rate_limit(RateLimit::per_minute(5).with_burst(0)),
            "burst",
        ),
        (new().environment(DECLINED), DECLINED),
        (new().environment("nowhere"), "nowhere"),
        (new().expires_in(Duration::ZERO), "not in the future"),
        (new().expires_at(past), "not in the future"),
        (
            new().expires_at(SystemTime::UNIX_EPOCH),
            "not in the future",
        ),
        (new().expires_in(Duration::MAX), "9999"),
    ];
    for (new, named) in cases {
        let shown = format!("{new:?}");
        match manager.issue(new).await {
            Err(error) => assert!(error.to_string().contains(named), "{named}: {error}"),
            Ok(_) => panic!("issued {shown}"),
        }
    }
    let id = issue(&world).await.info.key_id;
    let writes = world.store.writes.count();
    let before = world.record(&id).await;
    let cases = [
        (Change::new().name("\n"), "name"),
        (Change::new().metadata([("", "")]), "metadata key"),
        (Change::new().scopes(["a", "a::b"]), "a::b"),
        (Change::new().allowed_ips(["10.0.0"]), "10.0.0"),
        (
            Change::new().rate_limit(RateLimit::per_second(u32::MAX)),
            "1,000,000,000",
        ),
        (Change::new().expires_at(past), "not in the future"),
        (Change::new().name("fine").expires_in(Duration::MAX), "9999"),
    ];
    for (change, named) in cases {
        let error = manager.change(&id, change).await.unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
    assert!(
        manager
            .revoke(&id, "a\nb")
            .await
            .unwrap_err()
            .to_string()
            .contains("reason")
    );
    assert!(
        manager
            .revoke_owner("a", "\u{0}")
            .await
            .unwrap_err()
            .to_string()
            .contains("reason")
    );
    let overlap = manager.rotate_with_overlap(&id, 30 * DAY + millis(1)).await;
    assert!(overlap.unwrap_err().to_string().contains("30days"));
    assert!(matches!(
        manager.find("junk").await,
        Err(ManageError::Invalid(_))
    ));
    for limit in [0, Filter::MAX_LIMIT + 1] {
        let listed = manager.list(Filter::new().limit(limit)).await;
        assert!(matches!(listed, Err(ManageError::Invalid(_))));
    }
    assert_eq!(world.record(&id).await, before);
    assert_eq!((world.store.writes.count(), writes), (1, 1));
}

#[tokio::test]
async fn an_id_that_is_taken_is_replaced_by_another() {
    let world = World::new().await;
    world.store.writes.once(Fault::Fail(StoreErrorKind::Taken));
    let issued = issue(&world).await;
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
    world
        .store
        .writes
        .always(Fault::Fail(StoreErrorKind::Taken));
    let refused = world.keys.manager().issue(NewKey::for_owner("a")).await;
    assert!(
        matches!(refused, Err(ManageError::Store(error)) if error.kind() == StoreErrorKind::Taken)
    );
}

#[tokio::test]
async fn a_change_changes_what_it_names_and_nothing_else_at_once() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let id = issue(&world).await.info.key_id;
    let mut expected = world.record(&id).await;
    type Expected = fn(&mut keygate::KeyRecord);
    let cases: Vec<(Change, Expected)> = vec![
        (Change::new().name("CI"), |r| r.name = "CI".into()),
        (Change::new().scopes(["users:read,write"]), |r| {
            r.scopes = keygate::ScopeSet::parse(["users:read", "users:write"]).unwrap();
        }),
        (Change::new().metadata([("plan", "gold")]), |r| {
            r.metadata = [("plan".to_owned(), "gold".to_owned())].into();
        }),
        (Change::new().metadata([("tier", "1")]), |r| {
            r.metadata = [("tier".to_owned(), "1".to_owned())].into();
        }),
        (Change::new().expires_in(HOUR), |r| {
            r.expires_at = r.created_at.checked_add(HOUR)
        }),
        (Change::new().never_expires(), |r| r.expires_at = None),
        (
            Change::new().allowed_ips(["10.1.2.3/8", "10.0.0.0/8"]),
            |r| {
                r.allowed_ips = vec!["10.0.0.0/8".parse().unwrap()];
            },
        ),
        (Change::new().allowed_ips(std::iter::empty::<&str>()), |r| {
            r.allowed_ips.clear()
        }),
        (Change::new().rate_limit(RateLimit::per_hour(5)), |r| {
            r.rate_limit = Some(RateLimit::per_hour(5));
        }),
        (Change::new().no_rate_limit(), |r| r.rate_limit = None),
    ];
    for (change, apply) in cases {
        apply(&mut expected);
        expected.version += 1;
        let info = manager.change(&id, change.clone()).await.unwrap();
        assert_eq!(world.record(&id).await, expected);
        assert_eq!(
            (info.version, &info.scopes),
            (expected.version, &expected.scopes)
        );
        let writes = world.store.writes.count();
        manager.change(&id, change).await.unwrap();
        manager.change(&id, Change::new()).await.unwrap();
        assert_eq!(
            world.store.writes.count(),
            writes,
            "the same again is no change"
        );
    }
}

#[tokio::test]
async fn changes_are_honoured_at_once_by_the_gate_that_made_them() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let issued = issue(&world).await;
    let (id, text) = (issued.info.key_id, issued.key.expose());
    assert_eq!(
        present(&world.keys, text).await.unwrap().scopes().as_str(),
        "orders:read"
    );
    manager
        .change(&id, Change::new().scopes(["users:read"]))
        .await
        .unwrap();
    assert_eq!(
        present(&world.keys, text).await.unwrap().scopes().as_str(),
        "users:read"
    );
    assert_eq!(
        manager.disable(&id).await.unwrap().status,
        KeyStatus::Disabled
    );
    assert_eq!(
        rejection(present(&world.keys, text).await),
        Rejection::KeyDisabled
    );
    let since = manager.inspect(&id).await.unwrap().disabled_at;
    world.clock.advance(SECOND);
    assert_eq!(
        manager.disable(&id).await.unwrap().disabled_at,
        since,
        "paused once"
    );
    assert_eq!(manager.enable(&id).await.unwrap().status, KeyStatus::Active);
    let writes = world.store.writes.count();
    assert_eq!(manager.enable(&id).await.unwrap().disabled_at, None);
    assert_eq!(world.store.writes.count(), writes);
    assert!(present(&world.keys, text).await.is_ok());
    manager
        .change(&id, Change::new().expires_in(HOUR))
        .await
        .unwrap();
    world.clock.advance(HOUR);
    assert_eq!(
        manager.inspect(&id).await.unwrap().status,
        KeyStatus::Expired
    );
}

#[tokio::test]
async fn a_key_that_does_not_exist_is_not_found_by_any_operation() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let id = keygate::KeyId::generate().unwrap();
    let outcomes = [
        manager.inspect(&id).await.map(drop),
        manager.change(&id, Change::new().name("x")).await.map(drop),
        manager.disable(&id).await.map(drop),
        manager.enable(&id).await.map(drop),
        manager.revoke(&id, "").await.map(drop),
        manager.rotate(&id).await.map(drop),
        manager.supersede(&id).await.map(drop),
        manager.finish_rotation(&id).await.map(drop),
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(ManageError::NotFound(unknown)) if unknown == id));
    }
}

#[tokio::test]
async fn an_expired_key_is_not_brought_back() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let issued = manager
        .issue(NewKey::for_owner("a").expires_in(HOUR))
        .await
        .unwrap();
    let id = issued.info.key_id;
    manager.disable(&id).await.unwrap();
    world.clock.advance(HOUR);
    assert_eq!(
        conflict(manager.change(&id, Change::new().never_expires()).await),
        Conflict::Expired
    );
    assert_eq!(conflict(manager.rotate(&id).await), Conflict::Expired);
    assert_eq!(conflict(manager.supersede(&id).await), Conflict::Expired);
    manager.enable(&id).await.unwrap();
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyExpired);
}

#[tokio::test]
async fn who_never_gets_a_word_in_is_told_to_try_again() {
    let world = World::new().await;
    let id = issue(&world).await.info.key_id;
    world
        .store
        .writes
        .always(Fault::Fail(StoreErrorKind::Stale));
    let outcome = world
        .keys
        .manager()
        .change(&id, Change::new().name("x"))
        .await;
    assert_eq!(conflict(outcome), Conflict::Busy);
}

#[tokio::test]
async fn a_change_of_a_version_undoes_nothing_that_others_did_meanwhile() {
    let world = World::new().await;
    let read = issue(&world).await.info;
    let manager = world.keys.manager().clone();
    let add = |scope: &str| {
        let scopes = read.scopes.iter().chain([scope]).map(str::to_owned);
        Change::new().scopes(scopes).of_version(read.version)
    };
    // The other one comes between the read and the write, and then before both.
    let (mine, door) = (add("orders:void"), Door::new());
    world.store.gets.once(Fault::Hold(door.clone()));
    let changing = tokio::spawn({
        let (manager, id) = (manager.clone(), read.key_id);
        async move { manager.change(&id, mine).await }
    });
    door.arrival().await;
    let theirs = manager.change(&read.key_id, add("orders:write")).await;
    let theirs = theirs.unwrap();
    door.open();
    assert_eq!(
        conflict(changing.await.unwrap()),
        Conflict::ChangedMeanwhile
    );
    let outcome = manager.change(&read.key_id, add("orders:void")).await;
    assert_eq!(conflict(outcome), Conflict::ChangedMeanwhile);
    let rotation = Rotation::new().of_version(read.version);
    let outcome = manager.rotate_with(&read.key_id, rotation).await;
    assert_eq!(conflict(outcome), Conflict::ChangedMeanwhile);
    assert_eq!(manager.inspect(&read.key_id).await.unwrap(), theirs);

    let rotation = Rotation::new().of_version(theirs.version);
    let rotated = manager.rotate_with(&read.key_id, rotation).await.unwrap();

    let (id, old, new) = (&read.key_id, theirs.version, rotated.info.version);
    let outcome = manager.supersede_of_version(id, old).await;
    assert_eq!(conflict(outcome), Conflict::ChangedMeanwhile);
    let outcome = manager.finish_rotation_of_version(id, old).await;
    assert_eq!(conflict(outcome), Conflict::ChangedMeanwhile);
    assert_eq!(manager.inspect(id).await.unwrap(), rotated.info);
    let superseded = manager.supersede_of_version(id, new).await.unwrap();
    let finished = manager.finish_rotation_of_version(id, superseded.info.version);
    let finished = finished.await.unwrap();
    assert_eq!(finished.version, superseded.info.version + 1);
}

#[tokio::test]
async fn a_store_that_fails_is_reported_and_nothing_is_changed() {
    let world = World::new().await;
    let issued = issue(&world).await;
    let id = issued.info.key_id;
    let before = world.record(&id).await;
    world
        .store
        .writes
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    let manager = world.keys.manager();
    for outcome in [
        manager.issue(NewKey::for_owner("a")).await.map(drop),
        manager.change(&id, Change::new().name("x")).await.map(drop),
        manager.disable(&id).await.map(drop),
        manager.revoke(&id, "").await.map(drop),
        manager.rotate(&id).await.map(drop),
    ] {
        assert!(
            matches!(outcome, Err(ManageError::Store(error)) if error.kind() == StoreErrorKind::Unavailable)
        );
    }
    assert_eq!(world.record(&id).await, before);
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
}
