//! Many at once: what reaches the store, and who is turned away.

use std::net::{IpAddr, Ipv4Addr};

use keygate::{Attempt, Error, Issued, Keygate, Principal, Refusal};
use tokio::task::JoinHandle;

use crate::common::*;
use crate::lookups::{issue, spawn};

/// Presents a text from an address of this number.
fn spawn_from(keys: &Keygate, number: u32, text: String) -> JoinHandle<Result<Principal, Refusal>> {
    let keys = keys.clone();
    tokio::spawn(async move {
        let address = IpAddr::V4(Ipv4Addr::from(0xc000_0200 + number));
        let attempt = Attempt::new(&text).from_address(Some(address));
        keys.authenticator().authenticate(attempt).await
    })
}

fn text(issued: &Issued) -> String {
    issued.key.expose().to_owned()
}

/// Well-formed texts of keys that do not exist.
async fn forged(count: usize) -> Vec<String> {
    let elsewhere = World::new().await;
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(&issue(&elsewhere.keys).await));
    }
    texts
}

#[tokio::test]
async fn ten_thousand_keys_after_a_restart_reach_the_store_few_at_once_and_none_is_called_bad() {
    let world = World::with(|builder| builder.max_lookups(20_000)).await;
    let mut issued = Vec::new();
    for _ in 0..10_000 {
        issued.push(issue(&world.keys).await);
    }
    let calls = world.store.gets.count();
    world.store.gets.always(Fault::Delay(millis(1)));
    let requests: Vec<_> = issued
        .iter()
        .map(|issued| spawn(&world.keys, issued))
        .collect();
    let (mut most, mut let_in) = (0, 0);
    for request in requests {
        most = most.max(world.store.under_way());
        match request.await.unwrap() {
            Ok(_) => let_in += 1,
            // On a slow machine some wait for longer than a second.
            Err(Refusal::Failed(Error::Overloaded)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(most <= 64, "{most} were with the store at once");
    assert!(let_in >= 64, "only {let_in} were let in");
    assert!(world.store.gets.count() - calls <= 10_000);
}

#[tokio::test]
async fn one_address_cannot_keep_another_out() {
    let world = World::with(|builder| builder.max_store_reads(1).max_lookups(20)).await;
    let (first, good) = (issue(&world.keys).await, issue(&world.keys).await);
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let first = spawn_from(&world.keys, 1, text(&first));
    door.arrival().await;
    let flood: Vec<_> = forged(50)
        .await
        .into_iter()
        .map(|text| spawn_from(&world.keys, 1, text))
        .collect();
    tokio::task::yield_now().await;
    let good = spawn_from(&world.keys, 2, text(&good));
    tokio::task::yield_now().await;
    door.open();
    assert!(first.await.unwrap().is_ok());
    assert!(good.await.unwrap().is_ok());
    let mut turned_away = 0;
    for request in flood {
        let outcome = request.await.unwrap();
        turned_away += usize::from(matches!(outcome, Err(Refusal::Failed(Error::Overloaded))));
    }
    assert_eq!(turned_away, 42, "half of the places are theirs, less two");
}

/// Ids are public: whoever floods may present anybody's id, with any secret.
#[tokio::test]
async fn nobody_inherits_the_place_of_one_who_asked_for_the_same_key_before() {
    let world = World::with(|builder| builder.max_store_reads(1).max_lookups(20)).await;
    let (first, good) = (issue(&world.keys).await, issue(&world.keys).await);
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let first = spawn_from(&world.keys, 1, text(&first));
    door.arrival().await;
    let mut flood = forged(8).await;
    flood.push(with_wrong_secret(&text(&good)));
    let mut requests = Vec::new();
    for text in flood {
        requests.push(spawn_from(&world.keys, 1, text));
    }
    tokio::task::yield_now().await;
    let good = spawn_from(&world.keys, 2, text(&good));
    tokio::task::yield_now().await;
    world.store.gets.always(Fault::Delay(millis(200)));
    door.open();
    assert!(first.await.unwrap().is_ok());
    // Its turn is the second, and not the tenth, which would come too late.
    assert!(good.await.unwrap().is_ok());
    for request in requests {
        let _ = request.await.unwrap();
    }
}

#[tokio::test]
async fn whoever_waits_a_second_for_a_turn_that_does_not_come_is_told_to_come_back() {
    let world = World::with(|builder| builder.max_store_reads(1)).await;
    let (slow, next) = (issue(&world.keys).await, issue(&world.keys).await);
    let waits = issue(&world.keys).await;
    world.store.gets.always(Fault::Hang);
    // The turn that becomes free when the first is given up goes to the next in line.
    let first = spawn(&world.keys, &slow);
    tokio::task::yield_now().await;
    let next = spawn(&world.keys, &next);
    tokio::task::yield_now().await;
    let outcome = present(&world.keys, waits.key.expose()).await;
    let Err(Refusal::Failed(error)) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(matches!(error, Error::Overloaded), "{error:?}");
    failure(first.await.unwrap());
    failure(next.await.unwrap());
}
