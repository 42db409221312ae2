//! A service on actix-web that is guarded by API keys, with its keys in memory.
//!
//! Run it with `cargo run --example actix --features actix-web` and follow what it prints. It
//! listens on `127.0.0.1:8081`; `KEYGATE_BIND` says otherwise, and port 0 picks a free one.

#[path = "shared/refused_keys.rs"]
mod refused_keys;

use std::error::Error;

use actix_web::dev::HttpServiceFactory;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::{self, Data, Json};
use actix_web::{App, HttpResponse, HttpServer, Responder};
use keygate::{
    Authorized, ClientAddress, KeyManager, Keygate, ManageError, MemoryStore, NewKey, Pepper,
    Principal,
};
use serde_json::json;

keygate::scopes! {
    SCOPES {
        /// Issue keys.
        KEYS_WRITE = "keys:write",
        /// See orders.
        ORDERS_READ = "orders:read",
        /// Create orders.
        ORDERS_WRITE = "orders:write",
    }
}

/// Every route here needs a key. What the key must allow is said by the handler or by a guard.
fn api(keys: &Keygate) -> impl HttpServiceFactory + use<> {
    let create = web::post().to(create_order);
    web::scope("/v1")
        .app_data(Data::new(keys.manager().clone()))
        .route("/whoami", web::get().to(whoami))
        .route("/orders", web::get().to(list_orders))
        .route("/orders", create.wrap(keys.require(ORDERS_WRITE)))
        .route("/keys", web::post().to(issue_key))
        .wrap(keys.authenticate())
}

async fn whoami(caller: Principal) -> impl Responder {
    Json(json!({ "key_id": caller.key_id(), "owner": caller.owner(), "scopes": caller.scopes() }))
}

async fn list_orders(caller: Authorized<ORDERS_READ>) -> impl Responder {
    Json(json!({ "owner": caller.owner(), "orders": [{ "id": 1, "item": "tea" }] }))
}

async fn create_order(caller: Principal) -> impl Responder {
    HttpResponse::Created().json(json!({ "owner": caller.owner(), "id": 2 }))
}

/// Issues a key with the scopes of the body: of the caller's owner, and with no more than the
/// caller's own key may do.
async fn issue_key(
    manager: Data<KeyManager>,
    caller: Authorized<KEYS_WRITE>,
    scopes: Json<Vec<String>>,
) -> Result<HttpResponse, ManageError> {
    let new = NewKey::for_owner(caller.owner()).scopes(scopes.into_inner());
    let issued = manager.on_behalf_of(&caller).issue(new).await?;
    Ok(HttpResponse::Created()
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .json(json!({ "key_id": issued.info.key_id, "key": issued.key.expose() })))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A service keeps its pepper in a file or a secrets manager, and its keys in a database.
    let keys = Keygate::builder("acme_live")
        .pepper(Pepper::from_base64(&Pepper::generate_base64()?)?)
        .store(MemoryStore::new())
        .scopes(SCOPES)
        .decline_prefix("acme_test")
        .client_address(ClientAddress::peer())
        .build()
        .await?;
    let full = NewKey::for_owner("org_42").scopes(["keys:write", "orders:read,write"]);
    let full = keys.manager().issue(full).await?;
    let reader = NewKey::for_owner("org_42").scopes([ORDERS_READ]);
    let reader = keys.manager().issue(reader).await?;
    let refused_keys = refused_keys::lines(&keys).await?;

    let bind = std::env::var("KEYGATE_BIND").unwrap_or_else(|_| "127.0.0.1:8081".into());
    let app = move || {
        App::new()
            .route("/healthz", web::get().to(|| async { "ok\n" }))
            .service(api(&keys))
    };
    let server = HttpServer::new(app)
        .workers(2)
        .bind(&bind)
        .map_err(|error| format!("cannot listen on {bind:?} (KEYGATE_BIND): {error}"))?;
    let url = format!("http://{}", server.addrs()[0]);
    println!(
        r#"listening on {url}
key: {key}
try:
  KEY={key}
  READER={reader}   # may only see orders
  curl {url}/healthz
  curl -H "Authorization: Bearer $KEY" {url}/v1/whoami
  curl -H "X-API-Key: $READER" {url}/v1/orders
  curl -H "X-API-Key: $KEY" -X POST {url}/v1/orders
  curl -H "X-API-Key: $KEY" {url}/v1/keys -H "Content-Type: application/json" -d '["orders:read"]'
and see what is refused:
  curl -i {url}/v1/orders
  curl -i -H "X-API-Key: ${{KEY}}x" {url}/v1/orders
  curl -i -H "X-API-Key: $READER" -X POST {url}/v1/orders
  curl -i -H "X-API-Key: $KEY" {url}/v1/keys -H "Content-Type: application/json" -d '["orders:void"]'
or with any of these:
{refused_keys}
  curl -i -H "X-API-Key: $REVOKED" {url}/v1/orders"#,
        key = full.key.expose(),
        reader = reader.key.expose(),
    );
    server.run().await?;
    Ok(())
}
