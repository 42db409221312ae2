//! How keys are used: what is counted, that it reaches the store once, and what is lost.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keygate::store::KeyUsage;
use keygate::{
    Attempt, Day, IntoRule, Issued, KeyId, KeyStore, Keygate, MemoryStore, NewKey, Rule,
    StoreErrorKind,
};

use crate::common::*;

async fn issue(keys: &Keygate, scopes: &[&str]) -> Issued {
    let new = NewKey::for_owner("org_1").scopes(scopes.iter().copied());
    keys.manager().issue(new).await.unwrap()
}

async fn used(store: &dyn KeyStore, id: &KeyId) -> Option<KeyUsage> {
    let usage = store.abilities().usage.unwrap();
    usage.of_keys(&[*id]).await.unwrap().remove(0)
}

async fn requests(store: &dyn KeyStore, id: &KeyId) -> u64 {
    used(store, id).await.map_or(0, |usage| usage.requests)
}

/// Waits for what the background work is to bring about.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(millis(5)).await;
    }
}

fn scopes(usage: &KeyUsage) -> Vec<(&str, u64)> {
    let scopes = usage.scopes.iter();
    scopes.map(|used| (&*used.scope, used.requests)).collect()
}

fn lacked(usage: &KeyUsage) -> Vec<(&str, u64)> {
    let lacked = usage.lacked.iter();
    lacked.map(|used| (&*used.scope, used.requests)).collect()
}

#[tokio::test]
async fn requests_secrets_addresses_scopes_and_days_are_counted_and_stored_by_a_shutdown() {
    let world = World::new().await;
    let (store, clock) = (world.store.inner(), &world.clock);
    let issued = issue(&world.keys, &["orders:read,write", "users:read"]).await;
    let id = issued.info.key_id;
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let read = Rule::all(["orders:read"]).unwrap();
    let any = Rule::any(["orders:void", "users:read", "orders:write"]).unwrap();
    let authenticator = world.keys.authenticator();

    let first = clock_of(clock);
    let plain = Attempt::new(issued.key.expose());
    authenticator
        .authenticate(plain.from_address(Some(address)))
        .await
        .unwrap();
    authenticator
        .authenticate(plain.requiring(&read))
        .await
        .unwrap();
    clock.advance(DAY);
    let rotated = world.keys.manager().rotate(&id).await.unwrap();
    clock.advance(SECOND);
    let last = clock_of(clock);
    let fresh = Attempt::new(rotated.key.expose()).from_address(Some(address));
    for rule in [&read, &any, &any] {
        authenticator
            .authenticate(fresh.requiring(rule))
            .await
            .unwrap();
    }
    world.keys.shutdown().await;

    let usage = used(store, &id).await.unwrap();
    assert_eq!(usage.requests, 5);
    assert_eq!(
        (usage.last_used_at, usage.last_used_from),
        (last, Some(address))
    );
    assert_eq!(scopes(&usage), [("orders:read", 2), ("users:read", 2)]);
    assert!(usage.lacked.is_empty());
    let secrets: Vec<_> = usage
        .secrets
        .iter()
        .map(|s| (s.created_at, s.requests, s.last_used_at))
        .collect();
    let [newest, oldest] = &rotated.info.secrets[..] else {
        panic!("two secrets")
    };
    assert_eq!(
        secrets,
        [(oldest.created_at, 2, first), (newest.created_at, 3, last)]
    );
    let days = store.abilities().usage.unwrap();
    let totals = days
        .days_of_owner("org_1", Day::of(first)..=Day::of(last))
        .await
        .unwrap();
    let totals: Vec<_> = totals
        .iter()
        .map(|total| (total.day, total.requests))
        .collect();
    assert_eq!(totals, [(Day::of(first), 2), (Day::of(last), 3)]);
}

fn clock_of(clock: &ManualClock) -> keygate::Timestamp {
    keygate::Clock::wall(clock)
}

#[tokio::test]
async fn who_is_refused_is_not_counted() {
    let world = World::new().await;
    let issued = issue(&world.keys, &["orders:read"]).await;
    let id = issued.info.key_id;
    let rule = Rule::all(["orders:write"]).unwrap();
    let attempt = Attempt::new(issued.key.expose()).requiring(&rule);
    world
        .keys
        .authenticator()
        .authenticate(attempt)
        .await
        .unwrap_err();
    present(&world.keys, &with_wrong_secret(issued.key.expose()))
        .await
        .unwrap_err();
    world.keys.manager().revoke(&id, "over").await.unwrap();
    present(&world.keys, issued.key.expose()).await.unwrap_err();
    world.keys.shutdown().await;
    assert_eq!(used(world.store.inner(), &id).await, None);
}

#[tokio::test]
async fn what_is_asked_of_a_caller_later_on_is_a_scope_used_and_no_further_request() {
    let world = World::new().await;
    let issued = issue(&world.keys, &["orders:read", "orders:write"]).await;
    let caller = present(&world.keys, issued.key.expose()).await.unwrap();
    caller
        .authorize(&Rule::all(["orders:read"]).unwrap())
        .unwrap();
    caller
        .authorize(&Rule::all(["users:read"]).unwrap())
        .unwrap_err();
    world.keys.shutdown().await;
    let usage = used(world.store.inner(), &issued.info.key_id)
        .await
        .unwrap();
    assert_eq!(
        (usage.requests, scopes(&usage)),
        (1, vec![("orders:read", 1)])
    );
    assert_eq!(usage.secrets[0].requests, 1);
}

#[tokio::test]
async fn a_rule_that_only_reports_lets_through_and_counts_what_was_lacked() {
    let world = World::new().await;
    let issued = issue(&world.keys, &["orders:read"]).await;
    let rule = Rule::all(["orders:read", "orders:export"])
        .unwrap()
        .report_only();
    let held = "orders:read".report_only();
    let attempt = Attempt::new(issued.key.expose());
    let authenticator = world.keys.authenticator();
    for rule in [&rule, &rule, &held] {
        authenticator
            .authenticate(attempt.requiring(rule))
            .await
            .unwrap();
    }
    let caller = authenticator.authenticate(attempt).await.unwrap();
    caller.authorize(&rule).unwrap();
    world.keys.shutdown().await;
    let usage = used(world.store.inner(), &issued.info.key_id)
        .await
        .unwrap();
    assert_eq!(lacked(&usage), [("orders:export", 3)]);
    // What it holds of the rule is needed once that is enforced.
    assert_eq!(
        (usage.requests, scopes(&usage)),
        (4, vec![("orders:read", 4)])
    );
}

#[tokio::test]
async fn giving_scopes_to_another_key_uses_those_of_the_caller() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let issued = issue(&world.keys, &["keys:write", "orders:*", "users:read"]).await;
    let caller = present(&world.keys, issued.key.expose()).await.unwrap();
    let own = manager.on_behalf_of(&caller);
    let broad = issue(&world.keys, &["users:read"]).await;
    // What the key had before was needed to take it away.
    let none = keygate::Change::new().scopes(Vec::<String>::new());
    own.change(&broad.info.key_id, none).await.unwrap();
    let _ = own
        .issue(NewKey::for_owner("org_1").scopes(["orders:read"]))
        .await
        .unwrap();
    let _ = own.rotate(&issued.info.key_id).await.unwrap();
    world.keys.shutdown().await;
    let usage = used(world.store.inner(), &issued.info.key_id)
        .await
        .unwrap();
    let of_grants = [("orders:*", 1), ("users:read", 1)];
    assert_eq!(scopes(&usage), of_grants, "by its own grants");
}

#[tokio::test]
async fn counts_reach_the_store_by_themselves_while_the_work_is_done() {
    let world = World::with(|builder| builder.usage_interval(millis(20))).await;
    let issued = issue(&world.keys, &[]).await;
    let work = tokio::spawn(world.keys.run());
    let store = world.store.inner();
    for round in 1..=3 {
        present(&world.keys, issued.key.expose()).await.unwrap();
        let stored = async || requests(store, &issued.info.key_id).await == round;
        until("the count arrives within its interval", stored).await;
    }
    work.abort();
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_is_added_again_and_counts_once() {
    let world = World::with(|builder| builder.usage_interval(millis(10))).await;
    let issued = issue(&world.keys, &[]).await;
    let id = issued.info.key_id;
    for fault in [
        Fault::DoneUnknown,
        Fault::Fail(StoreErrorKind::Unavailable),
        Fault::NotDoneUnknown,
        Fault::DoneUnknown,
        Fault::Panic,
        Fault::Drop(1),
    ] {
        world.store.usage_adds.once(fault);
    }
    for _ in 0..7 {
        present(&world.keys, issued.key.expose()).await.unwrap();
    }
    let work = tokio::spawn(world.keys.run());
    let healed = async || world.store.usage_adds.count() >= 6;
    until("it is tried until the store takes it", healed).await;
    for _ in 0..3 {
        present(&world.keys, issued.key.expose()).await.unwrap();
    }
    world.keys.shutdown().await;
    work.await.unwrap();
    assert_eq!(requests(world.store.inner(), &id).await, 10);
}

#[tokio::test]
async fn instances_add_up() {
    let world = World::new().await;
    let other = world.second_gate().await;
    let issued = issue(&world.keys, &[]).await;
    for keys in [&world.keys, &other, &other] {
        present(keys, issued.key.expose()).await.unwrap();
        keys.shutdown().await;
    }
    assert_eq!(requests(world.store.inner(), &issued.info.key_id).await, 3);
}

#[tokio::test]
async fn beyond_the_capacity_requests_are_served_and_not_counted() {
    let world = World::with(|builder| builder.usage_capacity(2)).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        let issued = issue(&world.keys, &[]).await;
        for _ in 0..3 {
            present(&world.keys, issued.key.expose()).await.unwrap();
        }
        ids.push(issued.info.key_id);
    }
    world.keys.shutdown().await;
    let mut counted = Vec::new();
    for id in &ids {
        counted.push(requests(world.store.inner(), id).await);
    }
    assert_eq!(counted, [3, 3, 0, 0]);

    let late = issue(&world.keys, &[]).await;
    present(&world.keys, late.key.expose()).await.unwrap();
    world.keys.shutdown().await;
    assert_eq!(
        requests(world.store.inner(), &late.info.key_id).await,
        1,
        "there is room again"
    );
}

#[tokio::test]
async fn much_at_once_is_handed_on_before_its_time() {
    let world = World::with(|builder| builder.usage_interval(HOUR).usage_capacity(8)).await;
    let work = tokio::spawn(world.keys.run());
    let mut first = None;
    for _ in 0..6 {
        let issued = issue(&world.keys, &[]).await;
        present(&world.keys, issued.key.expose()).await.unwrap();
        first.get_or_insert(issued.info.key_id);
    }
    let stored = async || requests(world.store.inner(), &first.unwrap()).await == 1;
    until(
        "more than half of the capacity is handed on at once",
        stored,
    )
    .await;
    work.abort();
}

#[tokio::test]
async fn a_gate_that_is_told_to_counts_nothing() {
    let world = World::with(|builder| builder.record_usage(false)).await;
    let issued = issue(&world.keys, &[]).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    world.keys.shutdown().await;
    assert_eq!(used(world.store.inner(), &issued.info.key_id).await, None);
}

#[tokio::test]
async fn while_one_instance_counts_nothing_no_other_vouches_for_what_was_not_used() {
    let world = World::new().await;
    let issued = issue(&world.keys, &[]).await;
    let since = async || {
        let activity = world.keys.manager().activity(&issued.info.key_id).await;
        activity.unwrap().counted_since
    };
    assert!(since().await.is_some());
    let blind = builder(Arc::clone(&world.store), &world.clock)
        .record_usage(false)
        .usage_interval(millis(10))
        .build()
        .await
        .unwrap();
    assert_eq!(since().await, None);
    let work = tokio::spawn(blind.run());
    world.second_gate().await;
    let is_said_again = async || since().await.is_none();
    until("it is said after others have begun", is_said_again).await;
    blind.shutdown().await;
    work.await.unwrap();
    world.clock.advance(SECOND);
    world.second_gate().await;
    assert_eq!(since().await, Some(clock_of(&world.clock)));
}

#[tokio::test]
async fn scopes_that_change_between_two_requests_are_counted_as_they_were_at_each() {
    let world = World::new().await;
    let (id, text) = {
        let issued = issue(&world.keys, &["a"]).await;
        (issued.info.key_id, issued.key.expose().to_owned())
    };
    let any = Rule::any(["a", "b"]).unwrap();
    let tried = Rule::all(["a"]).unwrap().report_only();
    let authenticator = world.keys.authenticator();
    for _ in 0..2 {
        for rule in [&any, &tried] {
            let attempt = Attempt::new(&text).requiring(rule);
            authenticator.authenticate(attempt).await.unwrap();
        }
        world
            .edit(&id, |record| {
                record.scopes = keygate::ScopeSet::parse(["b"]).unwrap()
            })
            .await;
    }
    world.keys.shutdown().await;
    let usage = used(world.store.inner(), &id).await.unwrap();
    assert_eq!(scopes(&usage), [("a", 2), ("b", 1)]);
    assert_eq!(lacked(&usage), [("a", 1)]);
}

#[tokio::test]
async fn a_step_back_of_the_clock_takes_no_last_use_back() {
    let world = World::new().await;
    let issued = issue(&world.keys, &[]).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    let last = clock_of(&world.clock);
    world.clock.step_wall(-60_000);
    present(&world.keys, issued.key.expose()).await.unwrap();
    world.keys.shutdown().await;
    let usage = used(world.store.inner(), &issued.info.key_id)
        .await
        .unwrap();
    assert_eq!((usage.last_used_at, usage.requests), (last, 2));
}

#[tokio::test]
async fn threads_that_have_ended_leave_their_counts_and_their_place_to_others() {
    let world = World::with(|builder| builder.usage_capacity(2)).await;
    let issued = issue(&world.keys, &[]).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    for _ in 0..20 {
        let (keys, text) = (world.keys.clone(), issued.key.expose().to_owned());
        let thread = std::thread::spawn(move || {
            let attempt = Attempt::new(&text);
            let decided = keys.authenticator().authenticate_cached(attempt, |_| ());
            decided.unwrap().unwrap();
        });
        // Which also waits until it has let go of what it counted in.
        thread.join().unwrap();
    }
    world.keys.shutdown().await;
    assert_eq!(requests(world.store.inner(), &issued.info.key_id).await, 21);
}

#[tokio::test]
async fn nothing_more_is_taken_from_the_threads_before_the_store_has_taken_the_last() {
    let world = World::with(|builder| builder.usage_interval(millis(5))).await;
    let issued = issue(&world.keys, &[]).await;
    let failing = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.usage_adds.always(failing);
    let work = tokio::spawn(world.keys.run());
    for n in 1..=4 {
        present(&world.keys, issued.key.expose()).await.unwrap();
        let is_tried = async || world.store.usage_adds.count() >= n;
        until("it is tried again", is_tried).await;
    }
    work.abort();
    assert!(work.await.is_err());
    world.store.usage_adds.heal();
    let tried = world.store.usage_adds.count();
    world.keys.shutdown().await;
    assert_eq!(
        world.store.usage_adds.count() - tried,
        2,
        "the first, and all the rest"
    );
    assert_eq!(requests(world.store.inner(), &issued.info.key_id).await, 4);
}

#[tokio::test]
async fn two_who_hand_on_at_once_lose_nothing() {
    const KEYS: usize = 1_000;
    let world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..KEYS {
        let issued = issue(&world.keys, &[]).await;
        present(&world.keys, issued.key.expose()).await.unwrap();
        ids.push(issued.info.key_id);
    }
    // The second is still with the first batch when the first fails with the next.
    let adds = &world.store.usage_adds;
    adds.once(Fault::Delay(millis(20)));
    adds.once(Fault::Delay(millis(80)));
    adds.once(Fault::Fail(StoreErrorKind::Unavailable));
    tokio::join!(world.keys.shutdown(), world.keys.shutdown());
    world.keys.shutdown().await;
    let usage = world.store.inner().abilities().usage.unwrap();
    let stored = usage.of_keys(&ids).await.unwrap();
    let counted: Vec<u64> = stored
        .iter()
        .flatten()
        .map(|usage| usage.requests)
        .collect();
    assert_eq!(counted, [1; KEYS]);
}

#[tokio::test]
async fn a_gate_that_is_dropped_hands_on_what_it_counted() {
    let clock = ManualClock::new();
    let store = Arc::new(FaultyStore::new(MemoryStore::new()));
    let keys = builder(Arc::clone(&store), &clock).build().await.unwrap();
    let issued = issue(&keys, &[]).await;
    present(&keys, issued.key.expose()).await.unwrap();
    let work = tokio::spawn(keys.run());
    tokio::task::yield_now().await;
    drop(keys);
    work.await.unwrap();
    assert_eq!(requests(store.inner(), &issued.info.key_id).await, 1);
}

#[tokio::test]
async fn a_key_that_goes_on_during_an_outage_is_in_use() {
    let world = World::with(|builder| builder.outage_grace(HOUR)).await;
    let issued = issue(&world.keys, &[]).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    world
        .store
        .gets
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    for _ in 0..2 {
        world.clock.advance(5 * SECOND);
        present(&world.keys, issued.key.expose()).await.unwrap();
    }
    world.keys.shutdown().await;
    let usage = used(world.store.inner(), &issued.info.key_id)
        .await
        .unwrap();
    assert_eq!(
        (usage.requests, usage.last_used_at),
        (3, clock_of(&world.clock))
    );
}

#[test]
fn no_count_is_lost_or_made_up_between_threads_that_count_and_one_that_empties() {
    const THREADS: u64 = 4;
    const EACH: u64 = 20_000;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (world, issued) = runtime.block_on(async {
        let world = World::with(|builder| builder.usage_interval(Duration::from_micros(200))).await;
        let issued = [issue(&world.keys, &[]).await, issue(&world.keys, &[]).await];
        for key in &issued {
            present(&world.keys, key.key.expose()).await.unwrap();
        }
        (world, issued)
    });
    runtime.spawn(world.keys.run());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for n in 0..EACH {
                    let text = issued[n as usize % 2].key.expose();
                    let decision = world
                        .keys
                        .authenticator()
                        .authenticate_cached(Attempt::new(text), |_| ());
                    decision.unwrap().unwrap();
                }
            });
        }
    });
    runtime.block_on(async {
        world.keys.shutdown().await;
        for key in &issued {
            let counted = requests(world.store.inner(), &key.info.key_id).await;
            assert_eq!(counted, 1 + THREADS * EACH / 2);
        }
    });
    assert!(
        world.store.usage_adds.count() > 2,
        "it was emptied meanwhile"
    );
}

#[tokio::test]
async fn what_was_counted_keeps_no_gate_alive() {
    let clock = ManualClock::new();
    let store = Arc::new(FaultyStore::new(MemoryStore::new()));
    let keys = builder(Arc::clone(&store), &clock).build().await.unwrap();
    let issued = issue(&keys, &[]).await;
    let caller = present(&keys, issued.key.expose()).await.unwrap();
    drop(caller);
    drop(keys);
    let is_free = async || Arc::strong_count(&store) == 1;
    until("the store is let go with the last of the gate", is_free).await;
}
