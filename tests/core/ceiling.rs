//! On behalf of a caller, nothing comes about that opens more than what the caller presented.

use keygate::{
    Attempt, Change, Conflict, Excess, Filter, Issued, ManageError, NewKey, Principal, RateLimit,
};

use crate::common::*;

pub(crate) async fn issue(world: &World, new: NewKey) -> Issued {
    world.keys.manager().issue(new).await.unwrap()
}

/// The caller that presents this text from an address within every list used here.
pub(crate) async fn caller(world: &World, issued: &Issued) -> Principal {
    let from = Some("10.1.2.3".parse().unwrap());
    let attempt = Attempt::new(issued.key.expose()).from_address(from);
    world
        .keys
        .authenticator()
        .authenticate(attempt)
        .await
        .unwrap()
}

#[track_caller]
fn excesses<T: std::fmt::Debug>(outcome: Result<T, ManageError>) -> Vec<Excess> {
    match outcome {
        Err(ManageError::BeyondCeiling(excesses)) => excesses,
        other => panic!("not beyond the ceiling: {other:?}"),
    }
}

fn not_found<T>(outcome: Result<T, ManageError>) -> bool {
    matches!(
        outcome,
        Err(ManageError::NotFound(_) | ManageError::OwnerNotFound(_))
    )
}

fn admin() -> NewKey {
    NewKey::for_owner("a").scopes(["keys:write", "orders:*"])
}

#[tokio::test]
async fn what_is_not_asked_for_follows_the_caller() {
    let world = World::new().await;
    let new = admin()
        .environment(SANDBOX)
        .expires_in(HOUR)
        .allowed_ips(["10.0.0.0/8"])
        .rate_limit(RateLimit::per_minute(60).with_burst(5));
    let admin = issue(&world, new).await;
    let manager = world
        .keys
        .manager()
        .on_behalf_of(&caller(&world, &admin).await);
    let issued = manager.issue(NewKey::for_owner("a")).await.unwrap();
    assert_eq!(issued.info.environment.as_str(), SANDBOX);
    assert_eq!(issued.info.expires_at, admin.info.expires_at);
    assert_eq!(issued.info.allowed_ips, admin.info.allowed_ips);
    assert_eq!(issued.info.rate_limit, admin.info.rate_limit);
    assert!(issued.info.scopes.is_empty());
}

#[tokio::test]
async fn no_key_may_be_used_oftener_than_that_of_the_caller_in_the_long_run_or_at_once() {
    let world = World::new().await;
    let mine = RateLimit::per_minute(60).with_burst(5);
    let admin = issue(&world, admin().rate_limit(mine)).await;
    let manager = world
        .keys
        .manager()
        .on_behalf_of(&caller(&world, &admin).await);
    let new = |limit| NewKey::for_owner("a").rate_limit(limit);
    let most = RateLimit::MOST;
    let cases = [
        (mine, true),
        (RateLimit::per_second(1), true),
        (RateLimit::per_minute(1), true),
        (RateLimit::per_hour(3_600).with_burst(5), true),
        (
            RateLimit::new(most, RateLimit::LONGEST_SECONDS).with_burst(1),
            false,
        ),
        (RateLimit::per_minute(61).with_burst(5), false),
        (RateLimit::per_second(2), false),
        (RateLimit::per_hour(3_601).with_burst(1), false),
        (mine.with_burst(6), false),
        (RateLimit::per_minute(60), false),
        (RateLimit::per_day(6), false),
        (RateLimit::new(most, 1), false),
    ];
    for (limit, is_within) in cases {
        match manager.issue(new(limit)).await {
            Ok(issued) => {
                assert!(is_within, "{limit:?}");
                assert_eq!(issued.info.rate_limit, Some(limit));
            }
            outcome => {
                assert!(!is_within, "{limit:?}");
                assert_eq!(excesses(outcome), [Excess::RateLimit]);
            }
        }
    }
    // Nor the caller's own, nor one that had its limit from the caller.
    let child = manager.issue(NewKey::for_owner("a")).await.unwrap();
    for id in [&child.info.key_id, &admin.info.key_id] {
        for change in [
            Change::new().rate_limit(mine.with_burst(6)),
            Change::new().no_rate_limit(),
        ] {
            assert_eq!(
                excesses(manager.change(id, change).await),
                [Excess::RateLimit]
            );
        }
        let less = Change::new().rate_limit(mine.with_burst(4));
        let changed = manager.change(id, less).await.unwrap();
        assert_eq!(changed.rate_limit, Some(mine.with_burst(4)));
    }
    let unlimited = issue(&world, NewKey::for_owner("a")).await;
    let less = Change::new().rate_limit(mine.with_burst(1));
    let outcome = manager.change(&unlimited.info.key_id, less).await;
    assert_eq!(excesses(outcome), [Excess::RateLimit]);
}

#[tokio::test]
async fn what_is_asked_for_beyond_the_caller_is_refused_and_named() {
    let world = World::new().await;
    let bound = admin().expires_in(DAY).allowed_ips(["10.0.0.0/8"]);
    let bound = issue(&world, bound).await;
    let most = bound.info.expires_at.unwrap();
    let manager = world
        .keys
        .manager()
        .on_behalf_of(&caller(&world, &bound).await);
    let new = || NewKey::for_owner("a");
    let cases = [
        (NewKey::for_owner("b"), Excess::Owner("b".into())),
        (
            new().environment(SANDBOX),
            Excess::Environment(SANDBOX.parse().unwrap()),
        ),
        (
            new().scopes(["orders:read", "users:read"]),
            Excess::Scopes(vec!["users:read".into()]),
        ),
        (
            new().scopes(["orders:**"]),
            Excess::Scopes(vec!["orders:**".into()]),
        ),
        (
            new().scopes(["*:write"]),
            Excess::Scopes(vec!["*:write".into()]),
        ),
        (new().expires_in(DAY + millis(1)), Excess::Expiry { most }),
        (new().never_expires(), Excess::Expiry { most }),
        (new().allowed_ips(["10.0.0.0/7"]), Excess::Addresses),
        (
            new().allowed_ips(["10.1.0.0/16", "192.0.2.1"]),
            Excess::Addresses,
        ),
        (new().allowed_ips(["::ffff:0:0/96"]), Excess::Addresses),
        (
            new().allowed_ips(std::iter::empty::<&str>()),
            Excess::Addresses,
        ),
    ];
    let writes = world.store.writes.count();
    for (new, expected) in cases {
        assert_eq!(excesses(manager.issue(new).await), [expected]);
    }
    // The same holds for the caller's own key, whose text the caller has.
    let id = bound.info.key_id;
    let cases = [
        (Change::new().scopes(["keys:write", "**:x"]), None),
        (
            Change::new().scopes(["users:read"]),
            Some(Excess::Scopes(vec!["users:read".into()])),
        ),
        (Change::new().never_expires(), Some(Excess::Expiry { most })),
        (
            Change::new().expires_in(DAY + millis(1)),
            Some(Excess::Expiry { most }),
        ),
        (
            Change::new().allowed_ips(["0.0.0.0/0"]),
            Some(Excess::Addresses),
        ),
        (
            Change::new().allowed_ips(std::iter::empty::<&str>()),
            Some(Excess::Addresses),
        ),
    ];
    for (change, expected) in cases {
        match (manager.change(&id, change).await, expected) {
            (Err(ManageError::Scope(_)), None) => {}
            (outcome, expected) => assert_eq!(excesses(outcome), [expected.unwrap()]),
        }
    }
    assert_eq!(world.store.writes.count(), writes);
    let within = new()
        .scopes(["orders:read,write"])
        .expires_in(DAY)
        .allowed_ips(["10.9.0.0/16"]);
    assert!(manager.issue(within).await.is_ok());
    let narrower = Change::new()
        .scopes(["orders:read"])
        .expires_in(HOUR)
        .allowed_ips(["10.1.2.3"]);
    assert!(manager.change(&id, narrower).await.is_ok());
}

#[tokio::test]
async fn nobody_gets_a_secret_of_a_stronger_key_or_strengthens_one() {
    let world = World::new().await;
    let new = admin().expires_in(30 * DAY).allowed_ips(["10.0.0.0/8"]);
    let weak = issue(&world, new).await;
    let manager = world
        .keys
        .manager()
        .on_behalf_of(&caller(&world, &weak).await);
    let like = || NewKey::for_owner("a").scopes(["orders:read"]);
    let within = || like().expires_in(DAY).allowed_ips(["10.1.0.0/16"]);
    let stronger = [
        within().scopes(["orders:read", "users:read"]),
        within().expires_in(31 * DAY),
        within().never_expires(),
        within().allowed_ips(["192.0.2.0/24"]),
        like().expires_in(DAY),
    ];
    for new in stronger {
        let target = issue(&world, new.clone()).await;
        let id = target.info.key_id;
        excesses(manager.rotate(&id).await);
        excesses(manager.change(&id, Change::new().name("mine")).await);
        // Nor is it brought within reach first: what it was counts as well.
        let all_less = Change::new()
            .scopes(["orders:read"])
            .expires_in(HOUR)
            .allowed_ips(["10.1.2.3"]);
        excesses(manager.change(&id, all_less).await);
        let _rotated = world.keys.manager().rotate(&id).await.unwrap();
        excesses(manager.supersede(&id).await);
        world.keys.manager().disable(&id).await.unwrap();
        excesses(manager.enable(&id).await);
    }
    let target = issue(&world, within()).await;
    let id = target.info.key_id;
    assert!(
        manager
            .change(&id, Change::new().name("fine"))
            .await
            .is_ok()
    );
    assert!(manager.rotate(&id).await.is_ok());
    assert!(manager.supersede(&id).await.is_ok());
    assert!(manager.disable(&id).await.is_ok());
    assert!(manager.enable(&id).await.is_ok());
}

#[tokio::test]
async fn a_key_with_other_scopes_is_not_ended_by_a_weaker_one_but_everyone_may_end_their_own() {
    let world = World::new().await;
    let weak = issue(&world, NewKey::for_owner("a").scopes(["orders:read"])).await;
    let strong = issue(&world, admin()).await;
    let manager = world
        .keys
        .manager()
        .on_behalf_of(&caller(&world, &weak).await);
    let id = strong.info.key_id;
    let lacking = [Excess::Scopes(vec!["keys:write".into(), "orders:*".into()])];
    assert_eq!(excesses(manager.disable(&id).await), lacking);
    assert_eq!(excesses(manager.revoke(&id, "").await), lacking);
    assert_eq!(excesses(manager.finish_rotation(&id).await), lacking);
    let outcome = manager.revoke_owner("a", "").await.unwrap();
    assert_eq!(
        (outcome.revoked, outcome.failed.len()),
        (1, 1),
        "its own, and not the other"
    );
    assert!(present(&world.keys, strong.key.expose()).await.is_ok());
    assert!(present(&world.keys, weak.key.expose()).await.is_err());
}

#[tokio::test]
async fn keys_of_other_owners_and_environments_do_not_exist_for_a_caller() {
    let world = World::new().await;
    let admin = issue(&world, admin()).await;
    let manager = world
        .keys
        .manager()
        .on_behalf_of(&caller(&world, &admin).await);
    let others = [
        issue(&world, NewKey::for_owner("b")).await,
        issue(&world, NewKey::for_owner("a").environment(SANDBOX)).await,
    ];
    for other in &others {
        let id = &other.info.key_id;
        let before = world.record(id).await;
        assert!(not_found(manager.inspect(id).await));
        assert!(not_found(manager.change(id, Change::new().name("x")).await));
        assert!(not_found(manager.disable(id).await));
        assert!(not_found(manager.enable(id).await));
        assert!(not_found(manager.rotate(id).await));
        assert!(not_found(manager.supersede(id).await));
        assert!(not_found(manager.finish_rotation(id).await));
        assert!(not_found(manager.revoke(id, "").await));
        assert_eq!(manager.find(other.key.expose()).await.unwrap(), None);
        assert_eq!(world.record(id).await, before);
    }
    assert!(not_found(manager.revoke_owner("b", "").await));
    assert!(not_found(manager.list(Filter::new().owner("b")).await));
    let listed = manager.list(Filter::new()).await.unwrap();
    assert_eq!(listed.keys.len(), 1);
    assert_eq!(listed.keys[0].key_id, admin.info.key_id);
}

#[tokio::test]
async fn for_any_owner_lifts_the_owner_and_nothing_else() {
    let world = World::new().await;
    let admin = issue(&world, admin().expires_in(DAY)).await;
    let principal = caller(&world, &admin).await;
    let manager = world.keys.manager().on_behalf_of_across_owners(&principal);
    let theirs = NewKey::for_owner("b").scopes(["orders:read"]);
    let issued = manager.issue(theirs.clone()).await.unwrap();
    assert_eq!(
        (issued.info.owner.as_str(), issued.info.expires_at),
        ("b", admin.info.expires_at)
    );
    assert!(manager.rotate(&issued.info.key_id).await.is_ok());
    assert_eq!(manager.list(Filter::new()).await.unwrap().keys.len(), 2);
    assert_eq!(
        manager
            .list(Filter::new().owner("b"))
            .await
            .unwrap()
            .keys
            .len(),
        1
    );
    assert_eq!(manager.revoke_owner("b", "").await.unwrap().revoked, 1);

    for beyond in [
        theirs.clone().environment(SANDBOX),
        theirs.clone().scopes(["users:read"]),
        theirs.clone().never_expires(),
    ] {
        excesses(manager.issue(beyond).await);
    }
    let strong = issue(&world, theirs.clone().never_expires()).await;
    excesses(manager.rotate(&strong.info.key_id).await);
    let elsewhere = issue(&world, theirs.environment(SANDBOX)).await;
    assert!(not_found(manager.inspect(&elsewhere.info.key_id).await));
}

#[tokio::test]
async fn the_old_secret_of_a_rotation_is_not_traded_for_what_lasts_longer() {
    let world = World::new().await;
    let old = issue(&world, admin()).await;
    let id = old.info.key_id;
    let other = issue(&world, admin()).await;
    let new = world
        .keys
        .manager()
        .rotate_with_overlap(&id, HOUR)
        .await
        .unwrap();
    let most = new.previous_ends_at().unwrap();
    let with_old = world
        .keys
        .manager()
        .on_behalf_of(&caller(&world, &old).await);
    let beyond = [Excess::Expiry { most }];
    let own = [Excess::Expiry { most }, Excess::NewerSecret];
    assert_eq!(excesses(with_old.supersede(&id).await), own);
    let until = Some(most);
    let again = with_old.rotate(&id).await.unwrap_err();
    assert!(
        matches!(again, ManageError::Conflict(Conflict::Rotating { until: end }) if end == until),
        "{again:?}"
    );
    assert_eq!(excesses(with_old.rotate(&other.info.key_id).await), beyond);
    assert_eq!(
        excesses(with_old.change(&id, Change::new().name("x")).await),
        own
    );
    let longer = NewKey::for_owner("a").expires_in(HOUR + millis(1));
    assert_eq!(excesses(with_old.issue(longer).await), beyond);
    let default = with_old.issue(NewKey::for_owner("a")).await.unwrap();
    assert_eq!(default.info.expires_at, Some(most));

    let with_new = world
        .keys
        .manager()
        .on_behalf_of(&caller(&world, &new).await);
    assert!(with_new.supersede(&id).await.is_ok());
}

#[tokio::test]
async fn a_caller_does_not_hear_of_damaged_keys_of_other_owners() {
    let world = World::new().await;
    let admin = issue(&world, admin()).await;
    let other = issue(&world, NewKey::for_owner("b")).await;
    world.store.corrupt(other.info.key_id);
    let manager = world
        .keys
        .manager()
        .on_behalf_of(&caller(&world, &admin).await);
    let listed = manager.list(Filter::new()).await.unwrap();
    assert_eq!((listed.keys.len(), listed.unreadable.len()), (1, 0));
    let all = world.keys.manager().list(Filter::new()).await.unwrap();
    assert_eq!((all.keys.len(), all.unreadable.len()), (1, 1));
}

#[tokio::test]
async fn the_older_secret_is_not_traded_for_the_newest_where_the_key_ends_first() {
    let world = World::new().await;
    let old = issue(&world, admin().expires_in(HOUR)).await;
    let manager = world.keys.manager();
    let new = manager.rotate(&old.info.key_id).await.unwrap();
    let with_old = manager.on_behalf_of(&caller(&world, &old).await);
    let outcome = with_old.supersede(&old.info.key_id).await;
    assert_eq!(excesses(outcome), [Excess::NewerSecret]);
    caller(&world, &new).await;
}
