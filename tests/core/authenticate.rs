//! What is asked of a presented key, and in which order.

use std::net::IpAddr;

use keygate::{
    Attempt, Change, KeyRecord, NewKey, Principal, RateLimit, Refusal, Rejection, Revocation, Rule,
};

use crate::common::*;

fn read_rule() -> Rule {
    Rule::all(["orders:read"]).unwrap()
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

async fn attempt(world: &World, attempt: Attempt<'_>) -> Result<Principal, Refusal> {
    world.keys.authenticator().authenticate(attempt).await
}

#[tokio::test]
async fn an_accepted_key_tells_who_is_calling() {
    let world = World::new().await;
    let new = NewKey::for_owner("org_42")
        .name("CI")
        .scopes(["orders:read,write"])
        .metadata([("plan", "gold")])
        .environment(SANDBOX)
        .expires_in(HOUR);
    let issued = world.keys.manager().issue(new).await.unwrap();
    let rule = read_rule();
    let asked = Attempt::new(issued.key.expose())
        .requiring(&rule)
        .from_address(address("192.0.2.7"));
    let caller = attempt(&world, asked).await.unwrap();
    assert_eq!(*caller.key_id(), issued.info.key_id);
    assert_eq!((caller.owner(), caller.name()), ("org_42", "CI"));
    assert_eq!(caller.environment().as_str(), SANDBOX);
    assert_eq!(caller.scopes().as_str(), "orders:read orders:write");
    assert_eq!(caller.metadata()["plan"], "gold");
    assert_eq!(caller.expires_at(), issued.info.expires_at);
    assert_eq!(caller.ends_at(), issued.info.expires_at);
    assert_eq!(caller.client_address(), address("192.0.2.7"));
    assert!(world.keys.authenticator().vouches_for(&caller));
    let other = world.second_gate().await;
    assert!(!other.authenticator().vouches_for(&caller));
}

/// Each later reason is masked by each earlier one, and all of them by a wrong secret.
#[tokio::test]
async fn reasons_are_told_in_a_fixed_order_and_only_to_the_right_secret() {
    let world = World::new().await;
    let now = keygate::Clock::wall(&world.clock);
    let revoke = move |record: &mut KeyRecord| {
        record.revocation = Some(Revocation {
            at: now,
            reason: String::new(),
        });
    };
    let impossible = RateLimit {
        requests: 0,
        per_seconds: 1,
        burst: 1,
    };
    // From the last reason to the first: each is put on top of those before it.
    type Edit = Box<dyn FnOnce(&mut KeyRecord)>;
    let steps: Vec<(Edit, &str)> = vec![
        (Box::new(|_| ()), "scope_insufficient"),
        (
            Box::new(move |r| r.rate_limit = Some(impossible)),
            "store_unavailable",
        ),
        (
            Box::new(|r| r.allowed_ips = vec!["10.0.0.0/8".parse().unwrap()]),
            "ip_denied",
        ),
        (Box::new(move |r| r.expires_at = Some(now)), "key_expired"),
        (Box::new(revoke), "key_revoked"),
        (Box::new(move |r| r.disabled_at = Some(now)), "key_disabled"),
    ];
    let issued = world
        .keys
        .manager()
        .issue(NewKey::for_owner("a"))
        .await
        .unwrap();
    let (id, text) = (issued.info.key_id, issued.key.expose());
    let wrong = with_wrong_secret(text);
    let rule = read_rule();
    for (change, expected) in steps {
        world.edit(&id, change).await;
        for _cold_then_cached in 0..2 {
            let refusal = attempt(&world, Attempt::new(text).requiring(&rule))
                .await
                .unwrap_err();
            assert_eq!(refusal.code(), expected);
            let refused = attempt(&world, Attempt::new(&wrong).requiring(&rule)).await;
            assert_eq!(
                rejection(refused),
                Rejection::KeyInvalid,
                "instead of {expected}"
            );
        }
    }
    world
        .edit(&id, |record| {
            record.prefix = SANDBOX.parse().unwrap();
        })
        .await;
    assert_eq!(
        rejection(present(&world.keys, text).await),
        Rejection::KeyInvalid
    );
}

#[tokio::test]
async fn junk_and_other_prefixes_never_reach_the_store() {
    let world = World::new().await;
    let issued = world
        .keys
        .manager()
        .issue(NewKey::for_owner("a"))
        .await
        .unwrap();
    let text = issued.key.expose();
    let calls = world.store.gets.count();
    let mut junk = vec![
        String::new(),
        " ".into(),
        format!("{text} "),
        format!(" {text}"),
        format!("{text}\n"),
        text[1..].to_owned(),
        text[..text.len() - 1].to_owned(),
        text.to_uppercase(),
        text.replace('_', "-"),
        "é".repeat(40),
        "\0".repeat(72),
        "a".repeat(1_000_000),
        with_prefix(text, "other_live"),
        with_prefix(text, "acme"),
        with_prefix(text, "acme_liv"),
        with_prefix(text, "acme_live2"),
    ];
    // Any one character exchanged breaks the checksum.
    for (at, c) in text.char_indices() {
        let other = if c == 'x' { "y" } else { "x" };
        junk.push(format!("{}{other}{}", &text[..at], &text[at + 1..]));
    }
    for text in &junk {
        let outcome = present(&world.keys, text).await;
        assert_eq!(rejection(outcome), Rejection::KeyInvalid, "{text:.100}");
    }
    let declined = present(&world.keys, &with_prefix(text, DECLINED)).await;
    assert_eq!(rejection(declined), Rejection::WrongEnvironment);
    let mistyped = with_prefix(text, DECLINED).replace(DECLINED, "acme_tesd");
    assert_eq!(
        rejection(present(&world.keys, &mistyped).await),
        Rejection::KeyInvalid
    );
    assert_eq!(world.store.gets.count(), calls);
    assert!(present(&world.keys, text).await.is_ok());
    assert_eq!(world.store.gets.count(), calls + 1);
}

#[tokio::test]
async fn only_texts_of_declared_prefixes_are_recognised() {
    let world = World::new().await;
    let issued = world
        .keys
        .manager()
        .issue(NewKey::for_owner("a"))
        .await
        .unwrap();
    let text = issued.key.expose();
    let recognised = |text: &str| world.keys.authenticator().recognises(text);
    assert!(recognised(text) && recognised(&with_wrong_secret(text)));
    assert!(recognised(&with_prefix(text, SANDBOX)) && recognised(&with_prefix(text, DECLINED)));
    assert!(!recognised(&with_prefix(text, "other_live")) && !recognised(&text[1..]));
}

#[tokio::test]
async fn a_record_that_was_given_another_prefix_is_an_unknown_key() {
    let world = World::new().await;
    let new = NewKey::for_owner("a").environment(SANDBOX);
    let issued = world.keys.manager().issue(new).await.unwrap();
    let (id, text) = (issued.info.key_id, issued.key.expose());
    let promoted = with_prefix(text, LIVE);
    assert!(present(&world.keys, text).await.is_ok());
    assert_eq!(
        rejection(present(&world.keys, &promoted).await),
        Rejection::KeyInvalid
    );

    world
        .edit(&id, |record| record.prefix = DECLINED.parse().unwrap())
        .await;
    assert_eq!(
        rejection(present(&world.keys, text).await),
        Rejection::KeyInvalid
    );
    world
        .edit(&id, |record| record.prefix = LIVE.parse().unwrap())
        .await;
    assert_eq!(
        rejection(present(&world.keys, text).await),
        Rejection::KeyInvalid
    );
}

#[tokio::test]
async fn a_key_bound_to_networks_opens_only_from_a_known_address_in_them() {
    let world = World::new().await;
    let new = NewKey::for_owner("a").allowed_ips(["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]);
    let issued = world.keys.manager().issue(new).await.unwrap();
    let cases = [
        (None, false),
        (address("10.255.0.1"), true),
        (address("::ffff:10.1.2.3"), true),
        (address("192.0.2.7"), true),
        (address("::ffff:192.0.2.8"), false),
        (address("11.0.0.1"), false),
        (address("2001:db8:1::1"), true),
        (address("2001:db9::1"), false),
        (address("::10.1.2.3"), false),
    ];
    for (from, allowed) in cases {
        let outcome = attempt(&world, Attempt::new(issued.key.expose()).from_address(from)).await;
        match allowed {
            true => assert_eq!(outcome.unwrap().client_address(), from),
            false => assert_eq!(rejection(outcome), Rejection::IpDenied, "{from:?}"),
        }
    }
}

#[tokio::test]
async fn a_mapped_network_is_the_ipv4_network_it_stands_for() {
    let world = World::new().await;
    let new = NewKey::for_owner("a").allowed_ips(["::ffff:10.0.0.0/104"]);
    let issued = world.keys.manager().issue(new).await.unwrap();
    for (from, allowed) in [
        ("10.9.9.9", true),
        ("::ffff:10.9.9.9", true),
        ("11.0.0.1", false),
    ] {
        let asked = Attempt::new(issued.key.expose()).from_address(address(from));
        assert_eq!(attempt(&world, asked).await.is_ok(), allowed, "{from}");
    }
}

#[tokio::test]
async fn a_key_expires_at_the_millisecond_it_was_issued_for_cached_or_not() {
    let world = World::new().await;
    let new = NewKey::for_owner("a").expires_in(millis(500));
    let issued = world.keys.manager().issue(new).await.unwrap();
    world.clock.advance(millis(499));
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
    let calls = world.store.gets.count();
    world.clock.advance(millis(1));
    let cached = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(cached), Rejection::KeyExpired);
    assert_eq!(
        world.store.gets.count(),
        calls,
        "judged on the cached record"
    );
    world.clock.advance(SECOND);
    let read_anew = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(read_anew), Rejection::KeyExpired);
}

#[tokio::test]
async fn the_old_secret_of_a_rotation_opens_until_its_end_and_says_when_that_is() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let old = manager
        .issue(NewKey::for_owner("a").expires_in(DAY))
        .await
        .unwrap();
    let new = manager
        .rotate_with_overlap(&old.info.key_id, HOUR)
        .await
        .unwrap();
    let with_old = present(&world.keys, old.key.expose()).await.unwrap();
    let with_new = present(&world.keys, new.key.expose()).await.unwrap();
    assert_eq!(with_old.ends_at(), new.previous_ends_at());
    assert_eq!(with_old.expires_at(), old.info.expires_at);
    assert_eq!(with_new.ends_at(), old.info.expires_at);
    world.clock.advance(HOUR - millis(1));
    assert!(present(&world.keys, old.key.expose()).await.is_ok());
    world.clock.advance(millis(1));
    let ended = present(&world.keys, old.key.expose()).await;
    assert_eq!(rejection(ended), Rejection::KeyExpired);
    assert!(present(&world.keys, new.key.expose()).await.is_ok());
    assert!(
        present(&world.keys, &with_wrong_secret(old.key.expose()))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_route_gets_what_its_rule_asks_for_and_the_answer_names_what_is_missing() {
    let world = World::new().await;
    let new = NewKey::for_owner("a").scopes(["orders:*"]);
    let issued = world.keys.manager().issue(new).await.unwrap();
    let text = issued.key.expose();
    let rules = [
        (Rule::all(["orders:read", "orders:void"]), None),
        (Rule::any(["users:read", "orders:read"]), None),
        (
            Rule::all(["orders:read", "users:read", "Orders:read"]),
            Some("the scopes users:read Orders:read"),
        ),
        (
            Rule::all(["orders:read:own"]),
            Some("the scope orders:read:own"),
        ),
        (
            Rule::any(["users:read", "orders"]),
            Some("any of the scopes users:read orders"),
        ),
    ];
    for (rule, missing) in rules {
        let rule = rule.unwrap();
        let outcome = attempt(&world, Attempt::new(text).requiring(&rule)).await;
        match missing {
            None => assert!(outcome.unwrap().authorize(&rule).is_ok()),
            Some(missing) => match rejection(outcome) {
                Rejection::ScopeInsufficient(scopes) => assert_eq!(scopes.to_string(), missing),
                other => panic!("{other:?}"),
            },
        }
    }
    let change = Change::new().scopes(std::iter::empty::<&str>());
    world
        .keys
        .manager()
        .change(&issued.info.key_id, change)
        .await
        .unwrap();
    let rule = read_rule();
    let outcome = attempt(&world, Attempt::new(text).requiring(&rule)).await;
    assert_eq!(
        rejection(outcome).code(),
        "scope_insufficient",
        "no scope grants nothing"
    );
    assert!(present(&world.keys, text).await.is_ok());
}
