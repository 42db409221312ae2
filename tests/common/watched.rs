//! What must be said of keys by their use, on every store that keeps it.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::time::Duration;

use keygate::testing::ManualClock;
use keygate::{
    Attempt, Change, Clock, Day, Filter, KeyStore, Keygate, NewKey, Pepper, Rotation, Rule, Safety,
    ScopeSet,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// One process serves requests for a month, and stops; another one answers what an operator asks.
pub(crate) async fn answer_by_the_counts_of_another_process<S: KeyStore>(
    open: impl AsyncFn() -> S,
) {
    let clock = ManualClock::new();
    let pepper = Pepper::generate_base64().unwrap();
    let gate = async || {
        let builder = Keygate::builder("acme_live").store(open().await);
        let builder = builder.pepper(Pepper::from_base64(&pepper).unwrap());
        builder.clock(clock.clone()).build().await.unwrap()
    };
    let serving = gate().await;
    let issue = async |name: &str, scopes: &[&str]| {
        let new = NewKey::for_owner("org_42").name(name).never_expires();
        let new = new.scopes(scopes.iter().copied());
        serving.manager().issue(new).await.unwrap()
    };
    let wide = issue("wide", &["orders:*", "users:read"]).await;
    let idle = issue("idle", &["orders:read"]).await;
    let id = wide.info.key_id;
    clock.advance(MONTH);

    let enforced = Rule::any(["orders:void", "orders:read"]).unwrap();
    let on_trial = Rule::all(["exports:read"]).unwrap().report_only();
    let used = async |text: &str, rule: &Rule| {
        let attempt = Attempt::new(text).requiring(rule);
        let verified = serving.authenticator().authenticate(attempt).await;
        verified.unwrap()
    };
    used(wide.key.expose(), &enforced).await;
    used(wide.key.expose(), &on_trial).await;
    let how = Rotation::new().overlap(2 * HOUR);
    let rotated = serving.manager().rotate_with(&id, how).await.unwrap();
    clock.advance(HOUR);
    let caller = used(rotated.key.expose(), &enforced).await;
    let orders_read = Rule::all(["orders:read"]).unwrap();
    caller.authorize(&orders_read).unwrap();
    let last = clock.wall();
    serving.shutdown().await;

    let answering = gate().await;
    let manager = answering.manager();
    let activity = manager.activity(&id).await.unwrap();
    let usage = activity.usage.as_ref().unwrap();
    assert_eq!((usage.requests, usage.last_used_at), (3, last));
    let in_use = activity.safe_to_revoke(HOUR);
    assert!(matches!(in_use, Safety::InUse { last_used_at, .. } if last_used_at == last));
    let old = activity.safe_to_end_old_secret(HOUR).unwrap();
    assert!(old.is_safe(), "everybody has the new one: {old:?}");
    let old = activity.safe_to_end_old_secret(2 * HOUR).unwrap();
    assert!(!old.is_safe(), "an hour ago the old one was used: {old:?}");

    let list = manager.idle(Filter::new(), MONTH).await.unwrap();
    assert_eq!(list.keys.len(), 1);
    assert_eq!(list.keys[0].info.key_id, idle.info.key_id);
    let list = manager.over_privileged(Filter::new(), MONTH).await.unwrap();
    assert_eq!((list.keys.len(), list.unproved.len()), (1, 0));
    let found = list.keys[0].privileges(MONTH).unwrap();
    assert_eq!(found.unused.as_str(), "users:read");
    let list = manager.shadow_refusals(Filter::new(), MONTH).await.unwrap();
    assert_eq!(list.keys.len(), 1);
    let mut lacked = list.keys[0].still_lacks(MONTH);
    assert_eq!(lacked.next().unwrap().scope, "exports:read");

    let today = Day::of(last);
    let days = manager.request_days(&id, today.earlier(1)..=today).await;
    let requests: u64 = days.unwrap().iter().map(|day| day.requests).sum();
    let totals = manager.owner_days("org_42", today.earlier(1)..=today).await;
    let of_owner: u64 = totals.unwrap().iter().map(|day| day.requests).sum();
    assert_eq!((requests, of_owner), (3, 3));

    let change = Change::new().narrow_to_used(MONTH);
    let info = manager.change(&id, change).await.unwrap();
    let needed = ScopeSet::parse(["orders:read", "orders:void"]).unwrap();
    assert_eq!(info.scopes, needed);
    let attempt = Attempt::new(rotated.key.expose()).requiring(&enforced);
    let verified = answering.authenticator().authenticate(attempt).await;
    assert_eq!(verified.unwrap().scopes(), &needed);
    answering.shutdown().await;
}
