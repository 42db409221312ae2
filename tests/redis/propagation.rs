//! Two instances of a service on one server: what is ended at one is refused by the other.

use std::time::{Duration, Instant};

use keygate::{Attempt, ChangeFeedStatus, Keygate, NewKey, Pepper, RedisStore, Refusal, Rejection};
use tokio::time::sleep;

use crate::support::*;

/// What is promised of every revocation.
const BOUND: Duration = Duration::from_secs(1);

async fn gate(store: RedisStore) -> Keygate {
    let pepper = Pepper::from_base64("9b2Lw1Q0ZC7x1uYbKcE4s5m8GJtVnD3hRAfzPqXo6kI=").unwrap();
    let builder = Keygate::builder("acme_live").pepper(pepper).store(store);
    builder.build().await.unwrap()
}

async fn opens(keys: &Keygate, text: &str) -> bool {
    match keys.authenticator().authenticate(Attempt::new(text)).await {
        Ok(_) => true,
        Err(Refusal::Rejected(Rejection::KeyRevoked)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_here_or_by_hand_is_refused_there_within_a_second() {
    let server = server!();
    let here = gate(open(&server).await).await;
    let there = gate(open(&server).await).await;
    let is_live = |gate: &&Keygate| matches!(gate.change_feed(), ChangeFeedStatus::Live);
    eventually("both follow", || [&here, &there].iter().all(is_live)).await;
    for round in 0..20 {
        let issued = here
            .manager()
            .issue(NewKey::for_owner("org_42"))
            .await
            .unwrap();
        let text = issued.key.expose();
        assert!(opens(&there, text).await);
        match round % 2 {
            0 => {
                _ = here
                    .manager()
                    .revoke(&issued.info.key_id, "leaked")
                    .await
                    .unwrap()
            }
            _ => {
                let key = key_of(&issued.info.key_id);
                type_in(&server, &format!("HSET {key} revoked_at 8")).await;
            }
        }
        let revoked = Instant::now();
        while opens(&there, text).await {
            assert!(
                revoked.elapsed() < BOUND,
                "it opens after {:?}",
                revoked.elapsed()
            );
            sleep(Duration::from_millis(1)).await;
        }
        println!("refused after {:?}", revoked.elapsed());
    }
    here.shutdown().await;
    there.shutdown().await;
}
