//! Ten thousand requests at once, on a real file: each gets exactly its own answer.

#![cfg(all(feature = "axum", feature = "sqlite"))]

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt;
use keygate::{Change, Keygate, NewKey, Pepper, Principal, SqliteStore};
use tower::ServiceExt;

const REQUESTS: usize = 10_000;

/// What a caller sends, and the status and body, or code, that it must get.
struct Case {
    key: String,
    status: StatusCode,
    said: String,
}

impl Case {
    fn accepted(key: String, owner: String) -> Self {
        Self {
            key,
            status: StatusCode::OK,
            said: owner,
        }
    }

    fn refused(key: String, status: StatusCode, code: &str) -> Self {
        Self {
            key,
            status,
            said: code.into(),
        }
    }
}

async fn cases(keys: &Keygate) -> Vec<Case> {
    let manager = keys.manager();
    let mut cases = Vec::new();
    for n in 0..300 {
        let owner = format!("org_{n}");
        let new = || NewKey::for_owner(&owner).scopes(["orders:read"]);
        let good = manager.issue(new()).await.unwrap();
        cases.push(Case::accepted(good.key.expose().into(), owner.clone()));

        let weak = manager.issue(new().scopes(["orders:write"])).await.unwrap();
        let weak = weak.key.expose().into();
        cases.push(Case::refused(
            weak,
            StatusCode::FORBIDDEN,
            "scope_insufficient",
        ));

        let expired = manager
            .issue(new().expires_in(Duration::from_millis(1)))
            .await
            .unwrap();
        let expired = expired.key.expose().into();
        cases.push(Case::refused(
            expired,
            StatusCode::UNAUTHORIZED,
            "key_expired",
        ));

        let revoked = manager.issue(new()).await.unwrap();
        manager.revoke(&revoked.info.key_id, "").await.unwrap();
        let revoked = revoked.key.expose().into();
        cases.push(Case::refused(
            revoked,
            StatusCode::UNAUTHORIZED,
            "key_revoked",
        ));

        let rotated = manager.issue(new()).await.unwrap();
        let id = rotated.info.key_id;
        let newer = manager
            .rotate_with_overlap(&id, Duration::ZERO)
            .await
            .unwrap();
        manager
            .change(&id, Change::new().name("rotated"))
            .await
            .unwrap();
        cases.push(Case::accepted(newer.key.expose().into(), owner.clone()));
        let older = rotated.key.expose().into();
        cases.push(Case::refused(
            older,
            StatusCode::UNAUTHORIZED,
            "key_expired",
        ));

        let mut junk = good.key.expose().to_owned();
        junk.replace_range(30..31, if &junk[30..31] == "x" { "y" } else { "x" });
        cases.push(Case::refused(junk, StatusCode::UNAUTHORIZED, "key_invalid"));
    }
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_ten_thousand_requests_at_once_gets_its_own_answer() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("keys.db"))
        .await
        .unwrap();
    let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
    let builder = Keygate::builder("acme_live").pepper(pepper).store(store);
    let keys = builder.build().await.unwrap();
    let cases = cases(&keys).await;
    tokio::time::sleep(Duration::from_millis(5)).await;

    let handler = |caller: Principal| async move { caller.owner().to_owned() };
    let app = Router::new().route("/", get(handler).layer(keys.require("orders:read")));
    let asked: Vec<_> = (0..REQUESTS)
        .map(|n| {
            let key = &cases[n % cases.len()].key;
            let request = Request::get("/")
                .header("x-api-key", key)
                .body(Body::empty())
                .unwrap();
            tokio::spawn(app.clone().oneshot(request))
        })
        .collect();
    let mut answers = BTreeMap::new();
    for (n, response) in asked.into_iter().enumerate() {
        let Case { status, said, .. } = &cases[n % cases.len()];
        let response = response.await.unwrap().unwrap();
        assert_eq!(response.status(), *status, "expected {said}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        match serde_json::from_slice::<serde_json::Value>(&body) {
            Ok(problem) => assert_eq!(problem["code"], said.as_str()),
            Err(_) => assert_eq!(body, said.as_bytes()),
        }
        *answers.entry(status.as_u16()).or_insert(0) += 1;
    }
    assert_eq!(answers.values().sum::<usize>(), REQUESTS);
    assert_eq!(answers.len(), 3, "{answers:?}");
}
