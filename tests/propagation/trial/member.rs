//! One process of a trial. It does what its input says, a line after the other.

use std::time::{Duration, Instant};

use keygate::{Attempt, ChangeFeedStatus, KeyId, Keygate, NewKey, Pepper, Refusal, Rejection};

use super::process::say;
use super::{MEMBER, Moment, Place};

/// How long a feed may take to be connected.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same in every process.
pub(crate) fn pepper() -> Pepper {
    Pepper::from_bytes(*b"a pepper of trials, never of use").unwrap()
}

/// Serves a trial until the input ends.
pub(crate) fn run() {
    let place = Place::of(std::env::var(MEMBER).unwrap());
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(serve(&place));
}

async fn serve(place: &Place) {
    let keys = Keygate::builder("acme_live")
        .pepper(pepper())
        .store(place.open().await)
        .build()
        .await
        .unwrap();
    tokio::spawn(keys.run());
    let mut issued = None;
    let mut orders = orders();
    while let Some(order) = orders.recv().await {
        match order.split_once(' ') {
            None if order == "issue" => issued = Some(issue(&keys).await),
            None if order == "revoke" => revoke(&keys, &issued.take().unwrap()).await,
            Some(("watch", text)) => watch(&keys, text).await,
            _ => panic!("no such order: {order}"),
        }
    }
}

/// The lines of the input. A thread waits for them, so that the gate can go on working.
fn orders() -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (sender, orders) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lines().map_while(Result::ok);
        lines.map(|line| sender.send(line)).all(|sent| sent.is_ok());
    });
    orders
}

async fn issue(keys: &Keygate) -> KeyId {
    until_live(keys).await;
    let issued = keys.manager().issue(NewKey::for_owner("org_42")).await;
    let issued = issued.unwrap();
    say(issued.key.expose());
    issued.info.key_id
}

async fn revoke(keys: &Keygate, id: &KeyId) {
    let asked = Moment::now();
    keys.manager().revoke(id, "a trial").await.unwrap();
    let acknowledged = Moment::now();
    say(&format!("{asked} {acknowledged}"));
}

/// Presents a key, from the first decision on in the cache, until it is refused.
async fn watch(keys: &Keygate, text: &str) {
    until_live(keys).await;
    let mut last_accepted = Moment::now();
    let present = async || keys.authenticator().authenticate(Attempt::new(text)).await;
    present().await.unwrap();
    say("watching");
    let mut failures = 0;
    loop {
        let began = Moment::now();
        match present().await {
            Ok(_) => last_accepted = began,
            Err(Refusal::Rejected(Rejection::KeyRevoked)) => break,
            Err(Refusal::Failed(_)) => failures += 1,
            Err(other) => panic!("a valid key was refused: {other}"),
        }
        // To the feed, and to other processes.
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
    let at = Moment::now();
    say(&format!("{last_accepted} {at} {failures}"));
}

async fn until_live(keys: &Keygate) {
    let begun = Instant::now();
    loop {
        match keys.change_feed() {
            ChangeFeedStatus::Live => return,
            status => assert!(begun.elapsed() < PATIENCE, "the feed stays {status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
