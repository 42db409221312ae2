//! An instance that is frozen, as by a debugger or a container that is paused: what it held in
//! memory is old when it wakes up, and it must know.

use keygate::{ChangeFeedStatus, Keygate, NewKey, Refusal, Rejection};

use crate::child::Child;
use crate::common::*;
use crate::place::{self, Place};
use crate::servers::signal;

const CHILD: &str = "KEYGATE_INSTANCES_TEST_CHILD";

/// Answers what becomes of each key text that it reads, a line each.
#[tokio::test]
#[ignore = "a process of the next test"]
async fn child_that_answers() {
    let url = std::env::var(CHILD).unwrap();
    let keys = place::instance(&url, |builder| builder).await;
    while !matches!(keys.change_feed(), ChangeFeedStatus::Live) {
        tokio::time::sleep(millis(10)).await;
    }
    println!("\nready");
    for line in std::io::stdin().lines() {
        let decision = decided(&keys, &line.unwrap()).await;
        println!("\ndecided {decision}");
        // The feed's turn.
        tokio::time::sleep(millis(1)).await;
    }
}

async fn decided(keys: &Keygate, text: &str) -> &'static str {
    match present(keys, text).await {
        Ok(_) => "opens",
        Err(Refusal::Rejected(Rejection::KeyRevoked)) => "revoked",
        Err(Refusal::Rejected(_)) => "rejected",
        Err(Refusal::Failed(_)) => "failed",
    }
}

#[tokio::test]
async fn an_instance_that_was_frozen_refuses_what_was_revoked_meanwhile() {
    for place in Place::all() {
        let elsewhere = place.instance().await;
        let new = NewKey::for_owner("a");
        let issued = elsewhere.manager().issue(new).await.unwrap();
        let text = issued.key.expose();
        let mut instance = Child::start("frozen::child_that_answers", CHILD, &place.url());
        instance.ask(text);
        assert_eq!(instance.answer("decided"), "opens");
        let process = instance.id();
        assert!(signal(process, "STOP"));
        let id = issued.info.key_id;
        let revoked = elsewhere.manager().revoke(&id, "").await.unwrap();
        tokio::time::sleep(revoked.effective_within).await;
        // It decides as soon as it wakes up, before it hears what it missed.
        instance.ask(text);
        assert!(signal(process, "CONT"));
        assert_eq!(instance.answer("decided"), "revoked");
    }
}
