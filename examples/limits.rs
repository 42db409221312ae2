//! A key that may be used so often, and an operation that costs more:
//! `cargo run --example limits --features axum`

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use keygate::{Keygate, MemoryStore, NewKey, Pepper, Principal, Quota, RateLimit};
use tower::ServiceExt;

/// However often a key may be used otherwise, it gets ten exports an hour.
const EXPORTS: Quota = Quota::new("exports", RateLimit::per_hour(10));

async fn list(caller: Principal) -> String {
    format!("orders of {}", caller.owner())
}

async fn export(caller: Principal) -> String {
    format!("all orders of {}", caller.owner())
}

fn app(keys: &Keygate) -> Router {
    let orders = keys.require("orders:read");
    // A whole export takes five of the quota, and as every request one of the key's own limit.
    let exports = keys.require("orders:read").charge(EXPORTS.cost(5));
    Router::new()
        .route("/orders", get(list).layer(orders))
        .route("/export", get(export).layer(exports))
}

async fn call(app: &Router, path: &str, key: &str) -> Result<(), Box<dyn std::error::Error>> {
    let request = Request::get(path)
        .header("X-API-Key", key)
        .body(Body::empty())?;
    let response = app.clone().oneshot(request).await?;
    println!("GET {path}: {}", response.status());
    for name in ["retry-after", "ratelimit-policy", "ratelimit"] {
        if let Some(value) = response.headers().get(name) {
            println!("  {name}: {}", value.to_str()?);
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pepper = Pepper::from_base64(&Pepper::generate_base64()?)?;
    let keys = Keygate::builder("acme_live")
        .pepper(pepper)
        .store(MemoryStore::new())
        .tell_rate_limits()
        .build()
        .await?;
    let app = app(&keys);
    let new = || NewKey::for_owner("org_42").scopes(["orders:read"]);

    println!("A key of five requests a minute: all at once, and then one each twelve seconds.");
    let limited = new().rate_limit(RateLimit::per_minute(5));
    let limited = keys.manager().issue(limited).await?;
    for _ in 0..6 {
        call(&app, "/orders", limited.key.expose()).await?;
    }

    println!("A key without a limit of its own has the quota of exports all the same.");
    let unlimited = keys.manager().issue(new()).await?;
    for _ in 0..3 {
        call(&app, "/export", unlimited.key.expose()).await?;
    }
    call(&app, "/orders", unlimited.key.expose()).await?;

    keys.shutdown().await;
    Ok(())
}
