//! A tighter rule on a route that is in use, and a key that ends, without a call that fails:
//! `cargo run --example tightening --features axum`

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use keygate::{Change, IntoRule, Keygate, MemoryStore, NewKey, Pepper, Principal};
use tower::ServiceExt;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn export(caller: Principal) -> String {
    format!("all orders of {}", caller.owner())
}

/// The route as it was, with a tighter rule inside that is tried.
fn trying(keys: &Keygate) -> Router {
    Router::new()
        .route("/export", get(export))
        .layer(keys.require("orders:export".report_only()))
        .layer(keys.require("orders:read"))
}

/// When nobody is named any more, the tighter rule takes the place of the other.
fn tightened(keys: &Keygate) -> Router {
    Router::new()
        .route("/export", get(export))
        .layer(keys.require("orders:export"))
}

async fn call(app: &Router, key: &str) -> Result<(), Box<dyn std::error::Error>> {
    let request = Request::get("/export")
        .header("X-API-Key", key)
        .body(Body::empty())?;
    let response = app.clone().oneshot(request).await?;
    println!("the caller gets {}", response.status());
    for name in ["x-api-key-expires", "x-api-key-rotate-by"] {
        if let Some(moment) = response.headers().get(name) {
            println!("  {name}: {}", moment.to_str()?);
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What rules that only report say is an event: it names the key, its owner and what it lacks.
    tracing_subscriber::fmt().without_time().init();
    let pepper = Pepper::from_base64(&Pepper::generate_base64()?)?;
    let keys = Keygate::builder("acme_live")
        .pepper(pepper)
        .store(MemoryStore::new())
        .tell_callers_of_end(14 * DAY)
        .build()
        .await?;
    let new = NewKey::for_owner("org_42")
        .scopes(["orders:read"])
        .expires_in(10 * DAY);
    let issued = keys.manager().issue(new).await?;
    let id = issued.info.key_id;

    println!("The tighter rule is tried, and the key ends within 14 days:");
    call(&trying(&keys), issued.key.expose()).await?;

    println!("It is counted, for all instances together:");
    let activity = keys.manager().activity(&id).await?;
    for lacked in activity.usage.iter().flat_map(|usage| &usage.lacked) {
        println!("{id} lacked {}, {} times", lacked.scope, lacked.requests);
    }

    println!("The key is given what it lacks, and replaced in time by its caller:");
    let both = Change::new().scopes(["orders:read", "orders:export"]);
    keys.manager().change(&id, both).await?;
    let rotated = keys.manager().rotate(&id).await?;
    call(&trying(&keys), issued.key.expose()).await?;
    call(&tightened(&keys), rotated.key.expose()).await?;

    keys.shutdown().await;
    Ok(())
}
