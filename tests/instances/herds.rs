use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use keygate::{Attempt, Error, Keygate, NewKey, PostgresStore, Principal, Refusal, Rejection};
use tokio::task::JoinSet;

use crate::common::*;
use crate::place::Place;
use crate::servers::postgres::PostgresServer;

fn present_from(
    keys: &Keygate,
    number: u32,
    text: String,
) -> impl Future<Output = Result<Principal, Refusal>> + Send + 'static {
    let keys = keys.clone();
    async move {
        let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number));
        let attempt = Attempt::new(&text).from_address(Some(address));
        keys.authenticator().authenticate(attempt).await
    }
}

async fn issue(keys: &Keygate, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        let issued = keys.manager().issue(NewKey::for_owner("a")).await.unwrap();
        texts.push(issued.key.expose().to_owned());
    }
    texts
}

/// Well-formed texts of keys that nobody has.
async fn forged(count: usize) -> Vec<String> {
    issue(&World::new().await.keys, count).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_keys_after_a_restart_are_served_or_told_to_come_back() {
    for place in Place::all() {
        let texts = issue(&place.instance().await, 200).await;
        let restarted = place.instance().await;
        let mut requests = JoinSet::new();
        // Most of the ten thousand do not exist, which costs the store as much.
        for (n, text) in texts.into_iter().chain(forged(9_800).await).enumerate() {
            requests.spawn(present_from(&restarted, n as u32, text));
        }
        let (mut served, mut put_off) = (0, 0);
        while let Some(outcome) = requests.join_next().await {
            match outcome.unwrap() {
                Ok(_) | Err(Refusal::Rejected(Rejection::KeyInvalid)) => served += 1,
                Err(Refusal::Failed(Error::Overloaded | Error::Timeout { .. })) => put_off += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        println!("{served} were served at once, {put_off} told to come back");
        assert!(served > 0);
    }
}

/// The host shares its pool with the store, and known callers share the store with strangers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_made_up_keys_leaves_room_to_the_host_and_to_others() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let pool = PostgresStore::pool(&server.url()).unwrap();
    let store = PostgresStore::builder(pool.clone()).open().await.unwrap();
    let builder = Keygate::builder(LIVE).pepper(pepper()).store(store);
    // It comes from one address, which would be put off before the store is asked.
    let builder = builder.failed_attempts(None);
    let keys = builder.build().await.unwrap();
    let good = issue(&keys, 20).await;
    let mut flood = JoinSet::new();
    for text in forged(6_000).await {
        flood.spawn(present_from(&keys, 1, text));
    }
    for (n, text) in good.into_iter().enumerate() {
        let outcome = present_from(&keys, 2 + n as u32, text).await;
        assert!(outcome.is_ok(), "another address is put off: {outcome:?}");
        let asked = sqlx::query("SELECT 1").execute(&pool);
        let asked = tokio::time::timeout(Duration::from_secs(1), asked).await;
        assert!(asked.is_ok_and(|asked| asked.is_ok()), "the host waits");
    }
    assert!(pool.size() <= pool.options().get_max_connections());
    while let Some(outcome) = flood.join_next().await {
        match outcome.unwrap() {
            Err(Refusal::Rejected(Rejection::KeyInvalid)) => {}
            Err(Refusal::Failed(Error::Overloaded | Error::Timeout { .. })) => {}
            other => panic!("{other:?}"),
        }
    }
}
