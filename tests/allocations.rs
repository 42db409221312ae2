//! A cached yes costs no allocation. Alone in its binary, since it counts with the allocator.

mod common;

use std::sync::Arc;

use allocation_counter::measure;
use common::{World, builder, fresh_pepper, pepper, present};
use keygate::{
    Alphabet, Attempt, ClientAddress, ForeignFormat, Hashing, NewKey, PepperId, PepperRing, Rule,
    StoredHash,
};
use sha2::{Digest as _, Sha256};

#[test]
fn letting_a_cached_caller_in_allocates_nothing() {
    allocates_nothing(|builder| builder, false);
}

#[test]
fn noting_that_a_cached_caller_came_in_once_more_allocates_nothing() {
    allocates_nothing(keygate::Builder::audit_accepted, false);
}

#[test]
fn noting_that_a_cached_caller_exposed_its_key_once_more_allocates_nothing() {
    allocates_nothing(|builder| builder, true);
}

fn allocates_nothing(change: fn(keygate::Builder) -> keygate::Builder, is_exposed: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let (world, text, address) = runtime.unwrap().block_on(async {
        let world = World::with(change).await;
        let new = NewKey::for_owner("organisation_42")
            .scopes(["orders:read,write", "users:*"])
            .allowed_ips(["10.0.0.0/8"]);
        let issued = world.keys.manager().issue(new).await.unwrap();
        let rotated = world
            .keys
            .manager()
            .rotate(&issued.info.key_id)
            .await
            .unwrap();
        present(&world.keys, rotated.key.expose())
            .await
            .unwrap_err();
        (
            world,
            rotated.key.expose().to_owned(),
            "10.1.2.3".parse().unwrap(),
        )
    });
    let rule = Rule::all(["users:read", "orders:write"]).unwrap();
    let attempt = Attempt::new(&text)
        .requiring(&rule)
        .from_address(Some(address))
        .sent_by_browser(is_exposed)
        .sent_in_plaintext(is_exposed);
    let authenticator = world.keys.authenticator();
    let decide = || {
        let scopes = authenticator.authenticate_cached(attempt, |caller| {
            assert_eq!(caller.owner(), "organisation_42");
            caller.scopes().as_str().len()
        });
        matches!(scopes, Some(Ok(scopes)) if scopes > 0)
    };
    // What a thread sets up once, such as the cache's guard, is not counted.
    assert!(decide());
    let mut accepted = 0;
    let counted = measure(|| accepted = (0..1_000).filter(|_| decide()).count());
    assert_eq!((accepted, counted.count_total), (1_000, 0));
}

/// Nobody does the background work any more once the runtime is gone, so that the MAC waits for good.
#[test]
fn letting_a_cached_caller_in_whose_mac_waits_to_be_renewed_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let (keys, text) = runtime.unwrap().block_on(async {
        let world = World::new().await;
        let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
        let ring = PepperRing::new(PepperId(2), fresh_pepper());
        let ring = ring.verify_only(PepperId(1), pepper()).unwrap();
        let builder = builder(Arc::clone(&world.store), &world.clock).peppers(ring);
        let keys = builder.build().await.unwrap();
        let issued = issued.unwrap();
        present(&keys, issued.key.expose()).await.unwrap();
        (keys, issued.key.expose().to_owned())
    });
    let attempt = Attempt::new(&text);
    let decide = || {
        let decision = keys.authenticator().authenticate_cached(attempt, |_| ());
        matches!(decision, Some(Ok(())))
    };
    assert!(decide());
    let mut accepted = 0;
    let counted = measure(|| accepted = (0..1_000).filter(|_| decide()).count());
    assert_eq!((accepted, counted.count_total), (1_000, 0));
}

#[test]
fn letting_a_cached_caller_with_a_key_of_another_system_in_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let format = ForeignFormat::new("old", Hashing::sha256(), Alphabet::HEX, 64..=64);
    let text = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let world = runtime.unwrap().block_on(async {
        let world = World::with(|builder| builder.accept_foreign(format)).await;
        let hash = StoredHash::from_bytes(Sha256::digest(text).to_vec());
        let manager = world.keys.manager();
        let new = NewKey::for_owner("organisation_42");
        manager.import("old", &hash, new).await.unwrap();
        present(&world.keys, text).await.unwrap();
        world
    });
    let authenticator = world.keys.authenticator();
    let decide = || {
        let decided = authenticator.authenticate_cached(Attempt::new(text), |_| ());
        decided.is_some_and(|decided| decided.is_ok())
    };
    // Its MAC waits to be made ours, which is queued once.
    assert!(decide());
    let mut accepted = 0;
    let counted = measure(|| accepted = (0..1_000).filter(|_| decide()).count());
    assert_eq!((accepted, counted.count_total), (1_000, 0));
}

#[test]
fn learning_who_stands_behind_proxies_allocates_nothing() {
    let plain = ClientAddress::behind(["10.0.0.0/8"]);
    let standard = plain.clone().forwarded();
    let lines: [(&str, &[u8]); 5] = [
        ("X-Forwarded-For", b"nonsense, 192.0.2.1"),
        ("X-Forwarded-For", b"[::ffff:10.0.0.3]:80"),
        ("X-Forwarded-Proto", b"nonsense, http, https"),
        (
            "Forwarded",
            b"for=\"\\192.0.2.1:80\";host=\"a,b\";proto=\"\\http\", for=10.0.0.3",
        ),
        ("Forwarded", b"for=10.0.0.4"),
    ];
    let (peer, client) = ("10.0.0.2".parse().ok(), "192.0.2.1".parse().ok());
    let counted = measure(|| {
        assert_eq!(plain.resolve(peer, lines), client);
        assert_eq!(standard.resolve(peer, lines), client);
        assert!(plain.sent_in_plaintext(peer, lines));
        assert!(standard.sent_in_plaintext(peer, lines));
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn allocations_are_seen_by_the_counter() {
    assert_eq!(
        measure(|| drop(std::hint::black_box(Box::new(7)))).count_total,
        1
    );
}
