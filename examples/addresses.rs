//! Keys that work from one network only, behind a proxy: who the client is, and what forging achieves.
//! `cargo run --example addresses --features axum`
//!
//! The proxy here is nginx on a machine of 10.0.0.0/8, which appends whom it was called by:
//!
//! ```text
//! location / {
//!     proxy_pass http://10.0.0.9:8080;
//!     proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
//! }
//! ```

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::routing::get;
use keygate::{ClientAddress, Keygate, MemoryStore, NewKey, Pepper, Principal};
use tower::ServiceExt;

type Failure = Box<dyn std::error::Error>;

async fn whoami(caller: Principal) -> String {
    match caller.client_address() {
        Some(address) => format!("{} at {address}", caller.owner()),
        None => format!("{} at an unknown address", caller.owner()),
    }
}

/// A request as the service gets it: from `peer`, and with what the field says by then.
async fn call(app: &Router, key: &str, peer: &str, forwarded: Option<&str>) -> Result<(), Failure> {
    let mut request = Request::get("/whoami").header("X-API-Key", key);
    if let Some(forwarded) = forwarded {
        request = request.header("X-Forwarded-For", forwarded);
    }
    // A server does this: axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
    let peer: SocketAddr = peer.parse()?;
    let request = request.extension(ConnectInfo(peer)).body(Body::empty())?;
    let response = app.clone().oneshot(request).await?;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 10_000).await?;
    let forwarded = forwarded.map_or("nothing".into(), |list| format!("{list:?}"));
    println!("  {} with {forwarded}: {status}", peer.ip());
    println!("    {}", String::from_utf8_lossy(&body));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let keys = Keygate::builder("acme_live")
        .pepper(Pepper::from_base64(&Pepper::generate_base64()?)?)
        .store(MemoryStore::new())
        .client_address(ClientAddress::behind(["10.0.0.0/8"]))
        .build()
        .await?;
    let app = Router::new().route("/whoami", get(whoami).layer(keys.authenticate()));

    let new = NewKey::for_owner("org_42").allowed_ips(["203.0.113.0/24", "2001:db8::/32"]);
    let issued = keys.manager().issue(new).await?;
    let key = issued.key.expose();

    println!("From the key's networks, through the proxy:");
    call(&app, key, "10.0.0.2:40000", Some("203.0.113.7")).await?;
    call(&app, key, "10.0.0.2:40001", Some("2001:db8::7")).await?;
    println!("From there through two proxies, and what the client wrote stands on the left:");
    let list = "192.0.2.1, 203.0.113.7, 10.0.0.3";
    call(&app, key, "10.0.0.2:40002", Some(list)).await?;

    println!("From elsewhere:");
    call(&app, key, "10.0.0.2:40003", Some("192.0.2.1")).await?;
    println!("From elsewhere, with a forged address, to which the proxy appends the real one:");
    call(&app, key, "10.0.0.2:40004", Some("203.0.113.7, 192.0.2.1")).await?;
    println!("From elsewhere, past the proxy, with a forged address:");
    call(&app, key, "192.0.2.1:40005", Some("203.0.113.7")).await?;
    println!("Through a proxy that says nothing that can be read:");
    call(&app, key, "10.0.0.2:40006", Some("203.0.113.7, unknown")).await?;

    keys.shutdown().await;
    Ok(())
}
