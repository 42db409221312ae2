use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use keygate::{ChangeFeedStatus, KeyStore, Keygate, NewKey, Principal, Refusal};
use tower::ServiceExt;

use crate::common::*;
use crate::place::Place;

/// For what must come by itself.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until(what: &str, happened: impl AsyncFn() -> bool) -> Duration {
    let began = Instant::now();
    while !happened().await {
        assert!(began.elapsed() < PATIENCE, "{what} does not come");
        tokio::time::sleep(millis(20)).await;
    }
    began.elapsed()
}

async fn live_feed(keys: &Keygate) {
    let is_live = async || matches!(keys.change_feed(), ChangeFeedStatus::Live);
    until("a live feed", is_live).await;
}

async fn issue(keys: &Keygate) -> String {
    let issued = keys.manager().issue(NewKey::for_owner("a")).await.unwrap();
    issued.key.expose().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_a_503_with_a_time_to_come_back_and_then_all_is_well() {
    for place in Place::all() {
        let keys = place.instance().await;
        let (known, unseen) = (issue(&keys).await, issue(&keys).await);
        live_feed(&keys).await;
        let app = Router::new().route("/", get(|| async { "ok" }).layer(keys.authenticate()));
        let ask = async |text: &str| {
            let request = Request::get("/").header("x-api-key", text);
            let request = request.body(Body::empty()).unwrap();
            app.clone().oneshot(request).await.unwrap()
        };
        assert_eq!(ask(&known).await.status(), StatusCode::OK);
        place.freeze();
        let began = Instant::now();
        let crowd = futures_util::future::join_all((0..200).map(|_| ask(&unseen))).await;
        for answer in crowd {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.headers().contains_key("retry-after"));
        }
        println!("two hundred were answered after {:?}", began.elapsed());
        tokio::time::sleep(millis(1_200)).await;
        let answer = ask(&known).await.status();
        assert_eq!(answer, StatusCode::SERVICE_UNAVAILABLE, "the lease is over");
        place.thaw();
        let serves = async || ask(&unseen).await.status() == StatusCode::OK;
        let took = until("an answer", serves).await;
        println!("it served {took:?} after the thaw");
        live_feed(&keys).await;
        assert_eq!(ask(&known).await.status(), StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_and_comes_back_needs_no_restart_of_the_service() {
    for mut place in Place::all() {
        let keys = place.instance().await;
        let text = issue(&keys).await;
        live_feed(&keys).await;
        place.kill();
        tokio::time::sleep(millis(1_200)).await;
        let outcome = present(&keys, &text).await;
        assert!(matches!(outcome, Err(Refusal::Failed(_))), "{outcome:?}");
        let revoked = keys.manager().revoke(&id_of(&text), "").await;
        assert!(revoked.is_err(), "nobody could have kept that");
        assert!(!matches!(keys.change_feed(), ChangeFeedStatus::Live));
        place.restart();
        until("an answer", async || present(&keys, &text).await.is_ok()).await;
        live_feed(&keys).await;
        // And the feed is as good as before.
        let other = place.instance().await;
        other.manager().revoke(&id_of(&text), "").await.unwrap();
        let refuses = async || matches!(present(&keys, &text).await, Err(Refusal::Rejected(_)));
        until("the revocation", refuses).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_grace_known_keys_go_on_while_the_server_is_frozen_and_do_not_wait() {
    let grace = Duration::from_secs(30);
    for place in Place::all() {
        let first = place.instance().await;
        let manager = first.manager();
        manager.set_revocation_bound(SECOND + grace).await.unwrap();
        let keys = place
            .instance_with(|builder| builder.outage_grace(grace))
            .await;
        let text = issue(&keys).await;
        let caller: Principal = present(&keys, &text).await.unwrap();
        let ended = tokio::spawn(caller.ended());
        place.freeze();
        tokio::time::sleep(millis(1_200)).await;
        assert!(present(&keys, &text).await.is_ok(), "who finds the outage");
        let began = Instant::now();
        for _ in 0..1_000 {
            assert!(present(&keys, &text).await.is_ok());
        }
        println!("a thousand went on in {:?}", began.elapsed());
        assert!(!ended.is_finished());
        place.thaw();
        let issued = async || keys.manager().issue(NewKey::for_owner("a")).await.is_ok();
        until("a new key", issued).await;
        let revoked = keys.manager().revoke(&id_of(&text), "").await.unwrap();
        assert_eq!(revoked.effective_within, SECOND + grace);
        assert!(matches!(ended.await.unwrap(), Refusal::Rejected(_)));
    }
}

/// What was cut off may have happened: it is looked up, and told apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_when_the_server_is_killed_amid_writes() {
    for mut place in Place::all() {
        let keys = place.instance().await;
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let keys = keys.clone();
                tokio::spawn(async move {
                    let mut acknowledged = Vec::new();
                    loop {
                        let new = NewKey::for_owner("a");
                        let Ok(issued) = keys.manager().issue(new).await else {
                            return acknowledged;
                        };
                        let id = issued.info.key_id;
                        acknowledged.push((id, false));
                        match keys.manager().revoke(&id, "").await {
                            Ok(_) => acknowledged.push((id, true)),
                            Err(_) => return acknowledged,
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(millis(300)).await;
        place.kill();
        let mut acknowledged = Vec::new();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        assert!(!acknowledged.is_empty());
        place.restart();
        let store = crate::place::open(&place.url()).await;
        println!("{} writes were acknowledged", acknowledged.len());
        for (id, is_revoked) in acknowledged {
            let record = store.get(&id).await.unwrap().expect("acknowledged");
            assert!(record.revocation.is_some() || !is_revoked, "{id}");
        }
    }
}
