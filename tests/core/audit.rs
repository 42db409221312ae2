//! Which events there are of requests and of people, and who gets to see them.

use std::net::IpAddr;

use keygate::audit::{Actor, AuditAction, AuditEvent, AuditKind};
use keygate::store::{AuditPage, AuditQuery};
use keygate::{
    Attempt, Change, KeyId, Keygate, ManageError, NewKey, RateLimit, Rule, StoreErrorKind,
};

use crate::common::*;

pub(crate) async fn audit(keys: &Keygate) -> Vec<AuditEvent> {
    page(keys).await.events
}

async fn page(keys: &Keygate) -> AuditPage {
    keys.manager().audit(&AuditQuery::new()).await.unwrap()
}

/// The events of requests, which are in no order among each other.
pub(crate) async fn of_requests(keys: &Keygate) -> Vec<AuditEvent> {
    let query = AuditQuery {
        kind: Some(AuditKind::Authentication),
        ..AuditQuery::new()
    };
    let page = keys.manager().audit(&query).await.unwrap();
    assert!(page.unreadable.is_empty() && page.next.is_none());
    page.events
}

fn code(event: &AuditEvent) -> Option<&str> {
    event.requests.as_ref()?.code.as_deref()
}

fn count(event: &AuditEvent) -> u64 {
    event.requests.as_ref().unwrap().count
}

fn from() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

/// A key text, and the id and owner that its refusal is to name, if it proves right.
struct Case {
    code: &'static str,
    text: String,
    key_id: Option<KeyId>,
}

/// A key for every way to be refused.
async fn cases(world: &World) -> Vec<Case> {
    let manager = world.keys.manager();
    let mut cases = Vec::new();
    for code in [
        "ip_denied",
        "key_disabled",
        "key_expired",
        "key_revoked",
        "rate_limited",
        "scope_insufficient",
    ] {
        let new = NewKey::for_owner("a").scopes(match code {
            "scope_insufficient" => ["other"],
            _ => ["x"],
        });
        let new = match code {
            "ip_denied" => new.allowed_ips(["198.51.100.0/24"]),
            "key_expired" => new.expires_in(SECOND),
            _ => new,
        };
        let issued = manager.issue(new).await.unwrap();
        let id = issued.info.key_id;
        match code {
            "key_disabled" => drop(manager.disable(&id).await.unwrap()),
            "key_revoked" => drop(manager.revoke(&id, "").await.unwrap()),
            "rate_limited" => {
                let limit = Some(RateLimit::per_minute(1));
                world.edit(&id, |record| record.rate_limit = limit).await;
                let text = issued.key.expose();
                present(&world.keys, text).await.unwrap();
            }
            _ => {}
        }
        cases.push(Case {
            code,
            text: issued.key.expose().to_owned(),
            key_id: Some(id),
        });
    }
    let good = manager.issue(NewKey::for_owner("a")).await.unwrap();
    let good = good.key.expose();
    for (code, text) in [
        ("key_invalid", with_wrong_secret(good)),
        ("wrong_environment", with_prefix(good, DECLINED)),
    ] {
        cases.push(Case {
            code,
            text,
            key_id: None,
        });
    }
    world.clock.advance(2 * SECOND);
    cases
}

#[tokio::test]
async fn a_refusal_is_noted_with_its_code_and_address_and_its_key_only_if_that_proved_right() {
    let world = World::with(|builder| builder.audit_retention(DAY)).await;
    let rule = Rule::all(["x"]).unwrap();
    for case in cases(&world).await {
        let before = of_requests(&world.keys).await.len();
        for _cold_then_cached in 0..2 {
            let attempt = Attempt::new(&case.text).from_address(Some(from()));
            let attempt = attempt.requiring(&rule);
            let outcome = world.keys.authenticator().authenticate(attempt).await;
            assert_eq!(rejection(outcome).code(), case.code);
        }
        let events = of_requests(&world.keys).await;
        let [event] = &events[before..] else {
            panic!("{}: {:?}", case.code, &events[before..])
        };
        assert_eq!(event.action, AuditAction::Refused);
        assert_eq!((code(event), count(event)), (Some(case.code), 2));
        assert_eq!(event.key_id, case.key_id, "{}", case.code);
        let owner = case.key_id.map(|_| "a");
        assert_eq!(event.owner.as_deref(), owner, "{}", case.code);
        let actor = case.key_id.map_or(Actor::Stranger, Actor::Key);
        assert_eq!((&event.actor, event.address), (&actor, Some(from())));
        assert!(event.changes.is_empty());
    }
}

#[tokio::test]
async fn whoever_failed_too_often_is_noted_as_a_stranger_whatever_key_is_presented_then() {
    let limit = RateLimit::per_minute(1);
    let world = World::with(|builder| builder.failed_attempts(limit)).await;
    let good = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let good = good.unwrap();
    for text in ["junk", "junk", good.key.expose()] {
        let attempt = Attempt::new(text).from_address(Some(from()));
        let outcome = world.keys.authenticator().authenticate(attempt).await;
        rejection(outcome);
    }
    let mut told: Vec<_> = of_requests(&world.keys).await;
    told.sort_by_key(count);
    let told: Vec<_> = told
        .iter()
        .map(|event| (code(event), count(event), event.key_id, &event.actor))
        .collect();
    let stranger = &Actor::Stranger;
    let expected = [
        (Some("key_invalid"), 1, None, stranger),
        (Some("rate_limited"), 2, None, stranger),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn accepted_requests_are_noted_where_that_is_asked_for_and_alike_ones_are_one_event() {
    for audited in [false, true] {
        let world = World::with(|builder| match audited {
            true => builder.audit_accepted(),
            false => builder,
        });
        let world = world.await;
        let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
        let issued = issued.unwrap();
        let began = keygate::Clock::wall(&world.clock);
        for _ in 0..3 {
            present(&world.keys, issued.key.expose()).await.unwrap();
            world.clock.advance(SECOND);
        }
        let attempt = Attempt::new(issued.key.expose()).from_address(Some(from()));
        let outcome = world.keys.authenticator().authenticate(attempt).await;
        outcome.unwrap();
        let mut events = of_requests(&world.keys).await;
        if !audited {
            assert_eq!(events, []);
            continue;
        }
        events.sort_by_key(|event| event.address);
        let [unknown, known] = &events[..] else {
            panic!("{events:?}")
        };
        for (event, requests, address) in [(unknown, 3, None), (known, 1, Some(from()))] {
            assert_eq!(event.action, AuditAction::Accepted);
            assert_eq!((code(event), count(event)), (None, requests));
            assert_eq!(event.actor, Actor::Key(issued.info.key_id));
            assert_eq!(event.owner.as_deref(), Some("a"));
            assert_eq!(event.address, address);
        }
        let last = began.checked_add(2 * SECOND).unwrap();
        assert_eq!(unknown.at, began);
        assert_eq!(unknown.requests.as_ref().unwrap().last_at, last);
        let more = of_requests(&world.keys).await.len();
        assert_eq!(more, 2, "what the store has is not handed on again");
    }
}

#[tokio::test]
async fn what_fails_by_our_fault_is_no_event() {
    let world = World::new().await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let unavailable = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.gets.always(unavailable);
    let text = issued.unwrap().key.expose().to_owned();
    failure(present(&world.keys, &text).await);
    world.store.gets.heal();
    assert_eq!(of_requests(&world.keys).await, []);
}

#[tokio::test]
async fn a_caller_that_lacks_a_scope_within_is_noted_as_refused() {
    let world = World::new().await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let issued = issued.unwrap();
    let attempt = Attempt::new(issued.key.expose()).from_address(Some(from()));
    let caller = world.keys.authenticator().authenticate(attempt).await;
    let rule = Rule::all(["x"]).unwrap();
    caller.unwrap().authorize(&rule).unwrap_err();
    let events = of_requests(&world.keys).await;
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(code(event), Some("scope_insufficient"));
    assert_eq!(event.key_id, Some(issued.info.key_id));
    assert_eq!(event.address, Some(from()));
}

#[tokio::test]
async fn no_event_holds_a_secret() {
    let (sender, receiver) = keygate::audit::channel(1_000);
    let world = World::with(|builder| builder.audit_accepted().audit_channel(sender)).await;
    let mut texts: Vec<String> = Vec::new();
    for case in cases(&world).await {
        let _ = present(&world.keys, &case.text).await;
        texts.push(case.text);
    }
    let rotated = world.keys.manager().rotate(&id_of(&texts[0])).await;
    texts.push(rotated.unwrap().key.expose().to_owned());
    let mut told = serde_json::to_string(&audit(&world.keys).await).unwrap();
    while let Some(event) = receiver.try_recv() {
        told += &serde_json::to_string(&event).unwrap();
        told += &format!("{event:?}");
    }
    assert!(told.contains("key_revoked") && told.contains("rotated"));
    for text in &texts {
        assert!(!told.contains(secret_of(text)));
        assert!(!told.contains(&text[text.len() - 20..]));
    }
}

#[tokio::test]
async fn a_change_by_a_person_names_the_person_and_where_it_was_asked_from() {
    let world = World::new().await;
    let longest = "é".repeat(128);
    let manager = world.keys.manager().as_user(&longest).from_address(from());
    let issued = manager.issue(NewKey::for_owner("a")).await.unwrap();
    manager.revoke(&issued.info.key_id, "").await.unwrap();
    let by_host = world.keys.manager().from_address(from());
    drop(by_host.issue(NewKey::for_owner("a")).await.unwrap());
    let events = audit(&world.keys).await;
    let told: Vec<_> = events.iter().map(|e| (&e.actor, e.address)).collect();
    let person = Actor::User(longest.clone());
    let at = Some(from());
    assert_eq!(told, [(&person, at), (&person, at), (&Actor::Host, at)]);
}

#[tokio::test]
async fn nothing_is_changed_for_a_person_whose_name_cannot_be_told() {
    let world = World::new().await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let id = issued.unwrap().info.key_id;
    let before = world.record(&id).await;
    for name in ["", "a\nb", "\u{7f}", &"a".repeat(129)] {
        let manager = world.keys.manager().as_user(name);
        let outcome = manager.revoke(&id, "").await.map(drop);
        assert!(matches!(outcome, Err(ManageError::Invalid(_))), "{name:?}");
        let outcome = manager.issue(NewKey::for_owner("a")).await.map(drop);
        assert!(matches!(outcome, Err(ManageError::Invalid(_))), "{name:?}");
        let outcome = manager.draft(NewKey::for_owner("a")).map(drop);
        assert!(matches!(outcome, Err(ManageError::Invalid(_))), "{name:?}");
    }
    assert_eq!(world.record(&id).await, before);
    assert_eq!(audit(&world.keys).await.len(), 1);
}

#[tokio::test]
async fn a_person_does_not_lift_the_bounds_of_a_caller_nor_take_its_place() {
    let world = World::new().await;
    let host = world.keys.manager();
    let issued = host.issue(NewKey::for_owner("a")).await.unwrap();
    let others = host.issue(NewKey::for_owner("b")).await.unwrap();
    let others = others.info.key_id;
    let caller = present(&world.keys, issued.key.expose()).await.unwrap();
    let id = issued.info.key_id;
    for manager in [
        host.on_behalf_of(&caller)
            .as_user("ada")
            .from_address(from()),
        host.as_user("ada")
            .from_address(from())
            .on_behalf_of(&caller),
    ] {
        let outcome = manager.revoke(&others, "").await;
        assert!(matches!(outcome, Err(ManageError::NotFound(id)) if id == others));
        let change = Change::new().name(format!("{:?}", from()));
        manager.change(&id, change).await.unwrap();
        manager.change(&id, Change::new().name("")).await.unwrap();
    }
    for event in audit(&world.keys).await.iter().skip(2) {
        assert_eq!((&event.actor, event.address), (&Actor::Key(id), None));
    }
}

#[tokio::test]
async fn a_caller_reads_what_was_done_with_the_keys_that_it_sees_and_no_others() {
    let world = World::new().await;
    let host = world.keys.manager();
    let own = host.issue(NewKey::for_owner("a")).await.unwrap();
    let sandbox = NewKey::for_owner("a").environment(SANDBOX);
    let sandbox = host.issue(sandbox).await.unwrap().info.key_id;
    let others = host.issue(NewKey::for_owner("b")).await.unwrap();
    let (own_id, others_id) = (own.info.key_id, others.info.key_id);
    let caller = present(&world.keys, own.key.expose()).await.unwrap();
    let rule = Rule::all(["x"]).unwrap();
    for text in [own.key.expose(), others.key.expose(), "junk"] {
        let attempt = Attempt::new(text).requiring(&rule);
        let outcome = world.keys.authenticator().authenticate(attempt).await;
        rejection(outcome);
    }
    let all: Vec<_> = audit(&world.keys).await.iter().map(|e| e.key_id).collect();
    assert_eq!(all.len(), 6);
    assert!(all.contains(&None) && all.contains(&Some(sandbox)));

    let query = AuditQuery::new();
    let seen = host.on_behalf_of(&caller).audit(&query).await.unwrap();
    let seen: Vec<_> = seen.events.iter().map(|e| (e.key_id, e.action)).collect();
    let issued = (Some(own_id), AuditAction::Issued);
    let refused = (Some(own_id), AuditAction::Refused);
    assert_eq!(seen, [issued, refused]);

    let across = host.on_behalf_of_across_owners(&caller);
    let seen = across.audit(&query).await.unwrap();
    let mut seen: Vec<_> = seen.events.iter().map(|e| e.key_id).collect();
    seen.sort();
    let mut expected = [own_id, own_id, others_id, others_id].map(Some);
    expected.sort();
    assert_eq!(seen, expected, "neither of strangers nor of the sandbox");

    let mine = host.on_behalf_of(&caller);
    for hidden in [others_id, sandbox, KeyId::generate().unwrap()] {
        let query = AuditQuery {
            key_id: Some(hidden),
            ..AuditQuery::new()
        };
        let outcome = mine.audit(&query).await;
        assert!(matches!(outcome, Err(ManageError::NotFound(id)) if id == hidden));
    }
    let of_owner = |owner: &str| AuditQuery {
        owner: Some(owner.into()),
        ..AuditQuery::new()
    };
    let outcome = mine.audit(&of_owner("b")).await;
    assert!(matches!(outcome, Err(ManageError::OwnerNotFound(owner)) if owner == "b"));
    let outcome = mine.audit(&of_owner("a")).await.unwrap();
    assert_eq!(outcome.events.len(), 2);
    host.revoke(&own_id, "").await.unwrap();
    let outcome = mine.audit(&query).await;
    assert!(matches!(outcome, Err(ManageError::CallerEnded)));
}

#[tokio::test]
async fn a_damaged_key_hides_its_own_events_from_a_caller_and_no_others() {
    let world = World::new().await;
    let host = world.keys.manager();
    let [own, damaged] = ["a", "b"].map(|owner| host.issue(NewKey::for_owner(owner)));
    let (own, damaged) = (own.await.unwrap(), damaged.await.unwrap());
    let caller = present(&world.keys, own.key.expose()).await.unwrap();
    world.store.corrupt(damaged.info.key_id);
    let across = host.on_behalf_of_across_owners(&caller);
    let seen = across.audit(&AuditQuery::new()).await.unwrap().events;
    let seen: Vec<_> = seen.iter().map(|event| event.key_id).collect();
    assert_eq!(seen, [Some(own.info.key_id)]);
    assert_eq!(audit(&world.keys).await.len(), 2, "the host sees both");
}

#[tokio::test]
async fn only_the_host_forgets_and_of_one_kind_alone() {
    let world = World::new().await;
    let host = world.keys.manager();
    let issued = host.issue(NewKey::for_owner("a")).await.unwrap();
    let caller = present(&world.keys, issued.key.expose()).await.unwrap();
    rejection(present(&world.keys, "junk").await);
    assert_eq!(audit(&world.keys).await.len(), 2);
    let now = keygate::Clock::wall(&world.clock);
    let end = now.checked_add(SECOND).unwrap();
    for caller in [
        host.on_behalf_of(&caller),
        host.on_behalf_of_across_owners(&caller),
    ] {
        let outcome = caller.forget_audit(AuditKind::Authentication, end).await;
        assert!(matches!(outcome, Err(ManageError::Invalid(_))));
    }
    let forgotten = async |kind, before| host.forget_audit(kind, before).await.unwrap();
    assert_eq!(forgotten(AuditKind::Authentication, now).await, 0);
    assert_eq!(forgotten(AuditKind::Authentication, end).await, 1);
    let left = audit(&world.keys).await;
    assert_eq!(left[0].action, AuditAction::Issued);
    assert_eq!(
        (left.len(), forgotten(AuditKind::Lifecycle, end).await),
        (1, 1)
    );
    assert_eq!(audit(&world.keys).await, []);
}
