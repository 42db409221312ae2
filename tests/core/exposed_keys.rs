//! Keys that a browser sent, or that came in plaintext.

use std::net::IpAddr;

use keygate::audit::{Actor, AuditAction, AuditEvent, AuditKind, AuditReceiver, channel};
use keygate::store::AuditQuery;
use keygate::{
    Attempt, Builder, Exposure, Keygate, NewKey, OnExposure, Principal, RateLimit, Refusal,
    Rejection, Rule, StoreErrorKind,
};

use crate::audit::of_requests;
use crate::common::*;

fn from() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

/// An attempt that is exposed in these ways.
fn exposed<'a>(text: &'a str, ways: &[Exposure]) -> Attempt<'a> {
    Attempt::new(text)
        .from_address(Some(from()))
        .sent_by_browser(ways.contains(&Exposure::ByBrowser))
        .sent_in_plaintext(ways.contains(&Exposure::InPlaintext))
}

async fn decide(keys: &Keygate, attempt: Attempt<'_>) -> Result<Principal, Refusal> {
    keys.authenticator().authenticate(attempt).await
}

fn both(builder: Builder, on_exposure: OnExposure) -> Builder {
    let builder = builder.keys_from_browsers(on_exposure);
    builder.keys_in_plaintext(on_exposure)
}

async fn refusing() -> World {
    World::with(|builder| both(builder, OnExposure::Refuse)).await
}

async fn issue(world: &World, new: NewKey) -> keygate::Issued {
    world.keys.manager().issue(new).await.unwrap()
}

const WAYS: [(Exposure, AuditAction); 2] = [
    (Exposure::ByBrowser, AuditAction::SentByBrowser),
    (Exposure::InPlaintext, AuditAction::SentInPlaintext),
];

/// Those of the actions that tell of exposure.
async fn told(keys: &Keygate) -> Vec<AuditEvent> {
    let mut events = of_requests(keys).await;
    events.retain(|event| WAYS.iter().any(|(_, action)| event.action == *action));
    events
}

/// What the host hears of requests: the actions and codes.
fn heard(receiver: &AuditReceiver) -> Vec<(AuditAction, Option<String>)> {
    let events = std::iter::from_fn(|| receiver.try_recv());
    let of_requests = events.filter_map(|event| Some((event.action, event.requests?.code)));
    of_requests.collect()
}

#[tokio::test]
async fn an_exposed_key_is_told_unless_set_otherwise_and_goes_on_and_alike_ones_are_one_event() {
    for (way, action) in WAYS {
        let world = World::new().await;
        let issued = issue(&world, NewKey::for_owner("a")).await;
        for _cold_then_cached in 0..3 {
            let attempt = exposed(issued.key.expose(), &[way]);
            assert_eq!(decide(&world.keys, attempt).await.unwrap().owner(), "a");
        }
        let hidden = decide(&world.keys, exposed(issued.key.expose(), &[])).await;
        hidden.unwrap();
        let events = of_requests(&world.keys).await;
        let [event] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(event.action, action);
        assert_eq!(event.key_id, Some(issued.info.key_id));
        assert_eq!(event.actor, Actor::Key(issued.info.key_id));
        let whose = (event.owner.as_deref(), event.address);
        assert_eq!(whose, (Some("a"), Some(from())));
        let requests = event.requests.as_ref().unwrap();
        assert_eq!((requests.count, requests.code.as_deref()), (3, None));
    }
}

#[tokio::test]
async fn each_way_is_refused_told_or_ignored_by_its_own_setting() {
    use OnExposure::{Ignore, Refuse, Tell};

    let all = [Ignore, Refuse, Tell];
    for (by_browser, in_plaintext) in all.iter().flat_map(|a| all.map(|b| (*a, b))) {
        let (sender, receiver) = channel(100);
        let world = World::with(|builder| {
            let builder = builder.keys_from_browsers(by_browser);
            let builder = builder.keys_in_plaintext(in_plaintext);
            builder.audit_channel(sender).audit_accepted()
        });
        let world = world.await;
        let issued = issue(&world, NewKey::for_owner("a")).await;
        let browser = (Exposure::ByBrowser, by_browser);
        let plaintext = (Exposure::InPlaintext, in_plaintext);
        for ways in [
            vec![],
            vec![browser],
            vec![plaintext],
            vec![browser, plaintext],
        ] {
            let exposures: Vec<_> = ways.iter().map(|(way, _)| *way).collect();
            for _cold_then_cached in 0..2 {
                let attempt = exposed(issued.key.expose(), &exposures);
                let outcome = decide(&world.keys, attempt).await;
                let refused = ways.iter().find(|(_, on)| *on == Refuse);
                let mut expected: Vec<_> = ways
                    .iter()
                    .filter(|(_, on)| *on != Ignore)
                    .map(|(way, _)| WAYS.iter().find(|(known, _)| known == way).unwrap().1)
                    .map(|action| (action, None))
                    .collect();
                match refused {
                    Some((way, _)) => {
                        assert_eq!(rejection(outcome), Rejection::KeyExposed(*way));
                        let code = Some("key_exposed".to_owned());
                        expected.push((AuditAction::Refused, code));
                    }
                    None => {
                        outcome.unwrap();
                        expected.push((AuditAction::Accepted, None));
                    }
                }
                assert_eq!(heard(&receiver), expected, "{ways:?}");
            }
        }
    }
}

#[tokio::test]
async fn who_knows_no_secret_learns_nothing_of_a_key_and_accuses_none() {
    let world = refusing().await;
    let issued = issue(&world, NewKey::for_owner("a")).await;
    let text = issued.key.expose();
    let ways = [Exposure::ByBrowser, Exposure::InPlaintext];
    for _cold_then_cached in 0..2 {
        for (text, code) in [
            (with_wrong_secret(text), "key_invalid"),
            (with_prefix(text, SANDBOX), "key_invalid"),
            (with_prefix(text, DECLINED), "wrong_environment"),
            (forge(LIVE, "000000000000", secret_of(text)), "key_invalid"),
            ("nonsense".to_owned(), "key_invalid"),
        ] {
            let outcome = decide(&world.keys, exposed(&text, &ways)).await;
            assert_eq!(rejection(outcome).code(), code, "{text}");
        }
    }
    assert_eq!(told(&world.keys).await, []);
}

#[tokio::test]
async fn what_is_wrong_with_the_key_itself_is_said_first_and_the_exposure_is_told_all_the_same() {
    let world = refusing().await;
    for code in ["key_revoked", "key_disabled", "key_expired", "ip_denied"] {
        let new = NewKey::for_owner("a");
        let issued = match code {
            "key_expired" => issue(&world, new.expires_in(SECOND)).await,
            "ip_denied" => issue(&world, new.allowed_ips(["198.51.100.0/24"])).await,
            _ => issue(&world, new).await,
        };
        let id = issued.info.key_id;
        let manager = world.keys.manager();
        match code {
            "key_revoked" => drop(manager.revoke(&id, "").await.unwrap()),
            "key_disabled" => drop(manager.disable(&id).await.unwrap()),
            _ => world.clock.advance(2 * SECOND),
        }
        let before = told(&world.keys).await.len();
        for _cold_then_cached in 0..2 {
            let attempt = exposed(issued.key.expose(), &[Exposure::ByBrowser]);
            let outcome = decide(&world.keys, attempt).await;
            assert_eq!(rejection(outcome).code(), code);
        }
        let events = told(&world.keys).await;
        let [event] = &events[before..] else {
            panic!("{code}: {:?}", &events[before..])
        };
        assert_eq!(
            (event.action, event.key_id),
            (WAYS[0].1, Some(id)),
            "{code}"
        );
        assert_eq!(event.requests.as_ref().unwrap().count, 2, "{code}");
    }
}

#[tokio::test]
async fn a_key_that_is_refused_for_its_exposure_takes_nothing_of_its_limit_and_is_not_judged_by_the_rule()
 {
    let world = refusing().await;
    let new = NewKey::for_owner("a").rate_limit(RateLimit::per_minute(1));
    let issued = issue(&world, new).await;
    let (text, rule) = (issued.key.expose(), Rule::all(["x"]).unwrap());
    for _ in 0..5 {
        let attempt = exposed(text, &[Exposure::InPlaintext]).requiring(&rule);
        let outcome = decide(&world.keys, attempt).await;
        assert_eq!(rejection(outcome).code(), "key_exposed");
    }
    let activity = world.keys.manager().activity(&issued.info.key_id).await;
    assert_eq!(activity.unwrap().usage, None);
    present(&world.keys, text).await.unwrap();
    let second = rejection(present(&world.keys, text).await);
    assert_eq!(second.code(), "rate_limited");
}

#[tokio::test]
async fn a_key_that_is_refused_for_its_exposure_is_not_read_from_the_store_again_for_that() {
    let world = refusing().await;
    let issued = issue(&world, NewKey::for_owner("a")).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    let reads = world.store.gets.count();
    // A tenth of a second would be too old for what is said of the key itself.
    world.clock.advance(millis(500));
    let attempt = exposed(issued.key.expose(), &[Exposure::ByBrowser]);
    let outcome = decide(&world.keys, attempt).await;
    assert_eq!(rejection(outcome).code(), "key_exposed");
    assert_eq!(world.store.gets.count(), reads);
}

#[tokio::test]
async fn an_outage_is_an_outage_also_for_an_exposed_key_and_tells_of_nobody() {
    let world = refusing().await;
    let issued = issue(&world, NewKey::for_owner("a")).await;
    world
        .store
        .gets
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    let attempt = exposed(issued.key.expose(), &[Exposure::ByBrowser]);
    failure(decide(&world.keys, attempt).await);
    world.store.gets.heal();
    assert_eq!(told(&world.keys).await, []);
}

#[tokio::test]
async fn exposed_keys_that_are_let_in_hide_no_refused_ones_from_the_audit_log() {
    let world = World::new().await;
    let issued = issue(&world, NewKey::for_owner("a")).await;
    let revoked = issue(&world, NewKey::for_owner("b")).await;
    let id = revoked.info.key_id;
    world.keys.manager().revoke(&id, "").await.unwrap();
    let unavailable = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.audit_records.always(unavailable);
    for number in 0..3_000_u32 {
        let from = std::net::Ipv4Addr::from(number).into();
        let attempt = exposed(issued.key.expose(), &[Exposure::ByBrowser]);
        let attempt = attempt.from_address(Some(from));
        decide(&world.keys, attempt).await.unwrap();
    }
    rejection(present(&world.keys, revoked.key.expose()).await);
    world.store.audit_records.heal();
    let query = AuditQuery {
        key_id: Some(id),
        kind: Some(AuditKind::Authentication),
        ..AuditQuery::new()
    };
    let page = world.keys.manager().audit(&query).await.unwrap();
    assert_eq!(page.events.len(), 1);
}
