//! One instance of a service: this test binary, run again by [`Instance`](crate::instance).

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use keygate::{
    ChangeFeedStatus, Issued, KeyId, KeyInfo, KeyManager, Keygate, ManageError, NewKey, Pepper,
    Principal, StoreErrorKind,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::store;

/// Where the store is, and what else the process is given.
pub(crate) const STORE: &str = "KEYGATE_SOAK_SERVICE_STORE";
pub(crate) const PEPPER: &str = "KEYGATE_SOAK_SERVICE_PEPPER";
pub(crate) const CAPACITY: &str = "KEYGATE_SOAK_SERVICE_CAPACITY";

/// What it prints before its address when it serves.
pub(crate) const LISTENING: &str = "listening on ";

/// A service that panicked ends as a whole, so that it is noticed.
const PANICKED: i32 = 70;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of the soak"]
async fn serves_until_the_soak_ends() {
    let Ok(address) = std::env::var(STORE) else {
        return;
    };
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        std::process::exit(PANICKED);
    }));
    std::thread::spawn(|| {
        // It is closed when the soak ends, however that ends.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let keys = match gate(&address).await {
        Ok(keys) => keys,
        Err(error) => {
            println!("\nnot started: {error}");
            std::process::exit(1);
        }
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    println!("\n{LISTENING}{}", listener.local_addr().unwrap());
    axum::serve(listener, app(keys)).await.unwrap();
}

async fn gate(address: &str) -> Result<Keygate, String> {
    let pepper = std::env::var(PEPPER).unwrap();
    let capacity = std::env::var(CAPACITY).unwrap();
    gate_on(store::open(address).await?, &pepper, |builder| {
        builder.cache_capacity(capacity.parse().unwrap())
    })
    .await
}

/// A gate such as all processes of a run have.
pub(crate) async fn gate_on(
    store: Arc<dyn keygate::KeyStore>,
    pepper: &str,
    configure: impl FnOnce(keygate::Builder) -> keygate::Builder,
) -> Result<Keygate, String> {
    let builder = Keygate::builder("acme_live")
        .pepper(Pepper::from_base64(pepper).unwrap())
        .store(store);
    let keys = configure(builder).build().await;
    keys.map_err(|error| error.to_string())
}

fn app(keys: Keygate) -> Router {
    let manager = keys.manager().clone();
    Router::new()
        .route("/whoami", get(who).layer(keys.authenticate()))
        .route("/orders", get(who).layer(keys.require("orders:read")))
        .route("/keys", post(issue).layer(keys.require("keys:write")))
        .route(
            "/keys/{id}/{change}",
            post(change).layer(keys.require("keys:write")),
        )
        .route(
            "/keys/{id}/rotate/{overlap}",
            post(rotate).layer(keys.require("keys:write")),
        )
        .with_state(manager)
        .route("/feed", get(move || async move { feed(&keys) }))
}

async fn who(caller: Principal) -> String {
    caller.key_id().to_string()
}

/// Whether the feed is live, or the store has none.
fn feed(keys: &Keygate) -> StatusCode {
    match keys.change_feed() {
        ChangeFeedStatus::Live | ChangeFeedStatus::Absent => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

type Answer = Result<Json<Value>, Failed>;

async fn issue(State(manager): State<KeyManager>) -> Answer {
    let new = NewKey::for_owner("org_42").scopes(["orders:read"]);
    Ok(shown_once(&manager.issue(new).await.map_err(Failed)?))
}

async fn rotate(
    State(manager): State<KeyManager>,
    Path((id, overlap)): Path<(KeyId, u64)>,
) -> Answer {
    let overlap = Duration::from_millis(overlap);
    let rotated = manager.rotate_with_overlap(&id, overlap).await;
    Ok(shown_once(&rotated.map_err(Failed)?))
}

async fn change(
    State(manager): State<KeyManager>,
    Path((id, change)): Path<(KeyId, String)>,
) -> Answer {
    let told = |info: KeyInfo| Json(json!({"version": info.version}));
    match change.as_str() {
        "disable" => manager.disable(&id).await.map(told),
        "enable" => manager.enable(&id).await.map(told),
        _ => manager.revoke(&id, "no longer used").await.map(|revoked| {
            let within = u64::try_from(revoked.effective_within.as_millis()).unwrap();
            Json(json!({"version": revoked.info.version, "effective_within": within}))
        }),
    }
    .map_err(Failed)
}

fn shown_once(issued: &Issued) -> Json<Value> {
    Json(json!({
        "key_id": issued.info.key_id,
        "key": issued.key.expose(),
        "version": issued.info.version,
    }))
}

/// A change that was not made, or of which that is not known.
struct Failed(ManageError);

impl axum::response::IntoResponse for Failed {
    fn into_response(self) -> axum::response::Response {
        let status = match &self.0 {
            ManageError::Store(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
                StatusCode::GATEWAY_TIMEOUT
            }
            ManageError::Store(error) if error.kind() == StoreErrorKind::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ManageError::NotFound(_) => StatusCode::NOT_FOUND,
            ManageError::Conflict(_) => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.0.to_string()).into_response()
    }
}
