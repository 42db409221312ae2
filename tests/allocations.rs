//! A cached yes costs no allocation. Alone in its binary, since it counts with the allocator.

mod common;

use allocation_counter::measure;
use common::{World, present};
use keygate::{Attempt, ClientAddress, NewKey, Rule};

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
