//! What guards and handlers take of limits. What all adapters have in common is in their case table.

use async_trait::async_trait;
use axum::Router;
use axum::routing::get;
use keygate::store::StoreErrorKind;
use keygate::{
    Charge, Error, Guard, Keygate, Level, NewKey, OnOutage, Principal, Quota, RateLimit, Refusal,
    Rejection, SharedLimiter, StoreError, Take,
};

use crate::common::{World, present};
use crate::{call, owner, request, with_key};

const EXPORTS: Quota = Quota::new("exports", RateLimit::per_hour(10));

async fn telling() -> World {
    World::with(|builder| builder.tell_rate_limits()).await
}

async fn limited(keys: &Keygate, limit: RateLimit) -> String {
    let new = NewKey::for_owner("org_42").scopes(["a"]).rate_limit(limit);
    let issued = keys.manager().issue(new).await.unwrap();
    issued.key.expose().to_owned()
}

fn behind(guards: impl IntoIterator<Item = Guard>) -> Router {
    let route = Router::new().route("/", get(owner));
    guards
        .into_iter()
        .fold(route, |route, guard| route.layer(guard))
}

/// How many requests of the key pass until one is refused.
async fn passing(app: &Router, key: &str) -> usize {
    for passed in 0..100 {
        let answer = call(app, with_key("/", key)).await;
        match answer.status.as_u16() {
            429 => return passed,
            // Whoever lacks a scope pays too.
            200 | 403 => {}
            other => panic!("{other}: {}", answer.body),
        }
    }
    panic!("there is no limit");
}

#[tokio::test]
async fn a_charge_that_cannot_be_taken_stops_the_start_and_says_why() {
    let keys = telling().await.keys;
    let _ = keys.authenticate().charge(EXPORTS);
    let _ = keys.authenticate().charge(EXPORTS.cost(u32::MAX));
    type Charging = fn(Guard) -> Guard;
    let cases: [(Charging, &str); 8] = [
        (
            |g| g.charge(Quota::new("", RateLimit::per_hour(1))),
            "its name",
        ),
        (
            |g| g.charge(Quota::new("a\"b", RateLimit::per_hour(1))),
            "its name",
        ),
        (
            |g| g.charge(Quota::new("key", RateLimit::per_hour(1))),
            "on the record",
        ),
        (
            |g| g.charge(Quota::new("zero", RateLimit::per_hour(0))),
            "requests",
        ),
        (
            |g| g.charge(Quota::new("exports", RateLimit::per_hour(11))),
            "same name and another limit",
        ),
        (|g| g.charge(EXPORTS.cost(0)), "takes nothing"),
        (|g| g.charge(Charge::of(2)).charge(EXPORTS), "one charge"),
        (|g| g.charge(EXPORTS).charge(EXPORTS), "one charge"),
    ];
    for (n, (charge, fault)) in cases.into_iter().enumerate() {
        let guard = keys.authenticate();
        let charging = std::panic::AssertUnwindSafe(|| charge(guard));
        let said = std::panic::catch_unwind(charging).unwrap_err();
        let said = match said.downcast_ref::<String>() {
            Some(said) => said.clone(),
            None => (*said.downcast_ref::<&str>().unwrap()).to_owned(),
        };
        assert!(said.contains(fault), "case {n}: {said}");
    }
}

#[tokio::test]
async fn a_request_takes_what_its_guards_say_and_nothing_twice() {
    let world = telling().await;
    let keys = &world.keys;
    let cases = [
        (vec![keys.authenticate()], 12),
        (vec![keys.require("a")], 12),
        (vec![keys.require("a").charge(Charge::of(3))], 4),
        (vec![keys.require("b").charge(Charge::of(3))], 4),
        (vec![keys.require("a"), keys.authenticate()], 12),
        (
            vec![keys.require("a").charge(Charge::of(0)), keys.authenticate()],
            12,
        ),
        (
            vec![keys.require("a").charge(Charge::of(3)), keys.authenticate()],
            4,
        ),
        (
            vec![keys.require("b").charge(Charge::of(3)), keys.authenticate()],
            4,
        ),
        (
            vec![
                keys.require("a").charge(Charge::of(3)),
                keys.authenticate().charge(Charge::of(2)),
            ],
            3,
        ),
        (vec![keys.require("a").charge(EXPORTS)], 10),
        (
            vec![keys.require("a").charge(EXPORTS), keys.authenticate()],
            10,
        ),
        (
            vec![keys.require("b").charge(EXPORTS), keys.authenticate()],
            10,
        ),
        (
            vec![keys.require("a").charge(Charge::of(2).and(EXPORTS, 1))],
            6,
        ),
        (vec![keys.authenticate_optional().charge(Charge::of(6))], 2),
    ];
    for (n, (guards, expected)) in cases.into_iter().enumerate() {
        let key = limited(keys, RateLimit::per_hour(12)).await;
        let passed = passing(&behind(guards), &key).await;
        assert_eq!(passed, expected, "case {n}");
    }
}

#[tokio::test]
async fn who_needs_no_key_and_sends_none_is_not_charged() {
    let world = telling().await;
    let app = Router::new().route("/", get(|| async {}));
    let app = app.layer(world.keys.authenticate_optional().charge(EXPORTS.cost(10)));
    for _ in 0..3 {
        let answer = call(&app, request("/")).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.headers.contains_key("ratelimit"));
    }
}

#[tokio::test]
async fn what_a_handler_says_of_limits_itself_stays() {
    let world = telling().await;
    let own_words = || async { [("ratelimit", r#""own";r=1"#)] };
    let app = Router::new().route("/", get(own_words));
    let app = app.layer(world.keys.require("a"));
    let key = limited(&world.keys, RateLimit::per_minute(5)).await;
    let answer = call(&app, with_key("/", &key)).await;
    assert_eq!(answer.headers["ratelimit"], r#""own";r=1"#);
    assert!(!answer.headers.contains_key("ratelimit-policy"));
}

#[tokio::test]
async fn who_charges_by_hand_is_told_how_limits_stand_and_of_a_quota_that_is_none() {
    let world = telling().await;
    let key = limited(&world.keys, RateLimit::per_minute(5)).await;
    let caller: Principal = present(&world.keys, &key).await.unwrap();
    let told = |caller: &Principal| {
        let headers = world.keys.answers().limit_headers(caller);
        headers.map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(told(&caller), [r#""key";q=5;w=60"#, r#""key";r=4;t=12"#]);
    let limits = caller.charge(Charge::of(2).and(EXPORTS, 5)).await.unwrap();
    assert_eq!(limits.len(), 2);
    let left = r#""key";r=2;t=36, "exports";r=5;t=1800"#;
    assert_eq!(told(&caller)[1], left);
    // All or nothing.
    for charge in [Charge::of(3).and(EXPORTS, 5), Charge::of(2).and(EXPORTS, 6)] {
        let refused = caller.charge(charge).await;
        assert!(matches!(
            refused,
            Err(Refusal::Rejected(Rejection::RateLimited { .. }))
        ));
        assert_eq!(told(&caller)[1], left);
    }
    assert_eq!(caller.charge(Charge::of(0)).await.unwrap(), []);
    let other = Quota::new("exports", RateLimit::per_hour(1_000));
    for quota in [other, Quota::new("zero", RateLimit::per_second(0))] {
        let failed = caller.charge(quota).await;
        let name = quota.name();
        let is_flawed =
            |error: &Error| matches!(error, Error::QuotaFlawed { name: of, .. } if *of == name);
        assert!(matches!(&failed, Err(Refusal::Failed(error)) if is_flawed(error)));
    }
    assert_eq!(told(&caller)[1], left);
}

/// One that is away.
struct Away;

#[async_trait]
impl SharedLimiter for Away {
    async fn take(&self, _takes: &[Take<'_>]) -> Result<Vec<Level>, StoreError> {
        Err(StoreError::new(StoreErrorKind::Unavailable, "away"))
    }
}

#[tokio::test]
async fn while_the_shared_limiter_is_away_an_inner_guard_does_as_the_policy_says() {
    for (on_outage, status) in [(OnOutage::Refuse, 503), (OnOutage::CountHere, 200)] {
        let world = World::with(|builder| builder.shared_limiter(Away, on_outage)).await;
        let new = NewKey::for_owner("org_42").scopes(["a"]);
        let unlimited = world.keys.manager().issue(new).await.unwrap();
        let unlimited = unlimited.key.expose();
        let keys = &world.keys;
        let plain = behind([keys.require("a"), keys.authenticate()]);
        let metered = behind([
            keys.require("a").charge(EXPORTS.cost(5)),
            keys.authenticate(),
        ]);
        for _ in 0..2 {
            assert_eq!(call(&plain, with_key("/", unlimited)).await.status, 200);
            assert_eq!(
                call(&metered, with_key("/", unlimited)).await.status,
                status
            );
        }
        let third = call(&metered, with_key("/", unlimited)).await.status;
        assert_eq!(third.as_u16(), if status == 200 { 429 } else { 503 });
    }
}
